"""Compiled readers say exactly what cantools says."""

import random

import pytest
from piper_can import codec
from piper_can.wire import flag_bit, flag_names, scales, unpacker

PAIRS = [
    *((i, codec.JOINT_SIGNALS[2 * k : 2 * k + 2]) for k, i in enumerate(codec.JOINT_FEEDBACK)),
    *((i, codec.JOINT_SIGNALS[2 * k : 2 * k + 2]) for k, i in enumerate(codec.JOINT_TARGETS)),
    *((i, codec.END_POSE_SIGNALS[2 * k : 2 * k + 2]) for k, i in enumerate(codec.END_POSE)),
]
READERS = [
    *PAIRS,
    *((i, ("Velocity", "Current")) for i in codec.MOTOR_FAST),
    (codec.GRIPPER_FEEDBACK, ("Stroke", "Effort")),
    (codec.GRIPPER_COMMAND, ("Stroke", "Effort")),
    (codec.ARM_STATUS, ("CtrlMode", "ArmStatus", "MoveMode", "Motion", "AngleLimitJoints", "CommErrorJoints")),
]
FLAGS = [(codec.GRIPPER_FEEDBACK, "SensorError", 6), *((i, "Stalled", 5) for i in codec.MOTOR_SLOW)]


@pytest.mark.parametrize(("frame_id", "names"), READERS)
def test_numbers_are_those_of_cantools(frame_id, names):
    rng = random.Random(frame_id)
    unpack, scale = unpacker(frame_id, names), scales(frame_id, names)
    for _ in range(200):
        data = rng.randbytes(8)
        expected = codec.decode(frame_id, data)
        assert unpack(data) == unpack(bytearray(data))
        assert (unpack(data) * scale).tolist() == pytest.approx([expected[name] for name in names], rel=1e-13)


@pytest.mark.parametrize(("frame_id", "last", "byte"), FLAGS)
def test_flags_are_those_of_cantools(frame_id, last, byte):
    names = ("Undervoltage", "Overcurrent", "Enabled", last)
    unpack, table = unpacker(frame_id, ("Enabled",)), flag_names(frame_id, names, "x ")
    for value in range(256):
        data = bytearray(8)
        data[byte] = value
        expected = codec.decode(frame_id, data)
        (flags,) = unpack(data)
        assert flags == value
        assert set(table[flags]) == {f"x {name}" for name in names if expected[name]}
        assert bool(flags & 1 << flag_bit(frame_id, "Enabled")) == bool(expected["Enabled"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Velocity does not fill whole bytes"):
        unpacker(codec.MIT_TARGETS[0], ("Velocity",))
    with pytest.raises(ValueError, match="not in the order of the bytes"):
        unpacker(codec.MOTOR_FAST[0], ("Current", "Velocity"))
