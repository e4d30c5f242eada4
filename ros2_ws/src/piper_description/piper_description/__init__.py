"""The Piper arm in numbers: joints, limits, kinematics, model."""
