"""A Piper and its cameras in a box: a CAN arm, a MuJoCo world, software cameras."""
