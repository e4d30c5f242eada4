"""Values to frames and back: every signal at its limits and one step beyond, and what must not go on the wire."""

import math

import pytest
from piper_can import codec
from piper_can.errors import BadFrameError, PiperCanError, UnknownFrameError, ValueOutOfRangeError
from piper_description import JOINT_LIMITS

LIMITS = list(zip(JOINT_LIMITS.lower[:6], JOINT_LIMITS.upper[:6], strict=True))
SIGNALS = [(message, signal) for message in codec.DATABASE.messages for signal in message.signals]


def is_command(message):
    return "Host" in message.senders


def legal_values(message):
    """A value for each signal that may be sent."""
    values = {}
    for signal in message.signals:
        codes = [code for code in signal.choices or () if is_command(message)]
        legal = min(codes) * signal.scale if codes else min(max(0.0, signal.minimum), signal.maximum)
        values[signal.name] = math.radians(legal) if signal.unit == "deg" else legal
    return values


def in_si(signal, value):
    return math.radians(value) if signal.unit == "deg" else value


@pytest.mark.parametrize(("message", "signal"), SIGNALS, ids=[f"{m.name}.{s.name}" for m, s in SIGNALS])
def test_every_signal_at_its_limits_and_one_step_beyond(message, signal):
    values = legal_values(message)
    ends = [(signal.minimum, -signal.scale), (signal.maximum, signal.scale)]
    if signal.choices and is_command(message):
        codes = sorted(signal.choices)
        ends = [(codes[0] * signal.scale, -signal.scale), (codes[-1] * signal.scale, signal.scale)]
        for code in set(range(codes[-1])) - set(codes):
            with pytest.raises(ValueOutOfRangeError, match=signal.name):
                codec.encode(message.frame_id, values | {signal.name: code * signal.scale})
    for end, step in ends:
        wanted = values | {signal.name: in_si(signal, end)}
        back = codec.decode(*codec.encode(message.frame_id, wanted))
        for other in message.signals:
            half_a_count = in_si(other, other.scale) / 2 + 1e-9 if other.scale != 1 else 0
            assert back[other.name] == pytest.approx(wanted[other.name], abs=half_a_count, rel=0)
        with pytest.raises(ValueOutOfRangeError, match=f"{signal.name} of frame 0x{message.frame_id:03X} is"):
            codec.encode(message.frame_id, values | {signal.name: in_si(signal, end + step)})
    for bad in (math.nan, math.inf, -math.inf, 1e30, -1e30):
        with pytest.raises(ValueOutOfRangeError, match=signal.name):
            codec.encode(message.frame_id, values | {signal.name: bad})


def test_the_dbc_has_every_frame_and_room_for_every_range():
    commands = {*range(0x150, 0x160), *range(0x470, 0x473), 0x474, 0x475, 0x477, 0x479, 0x47A, 0x47D}
    feedback = {*range(0x2A1, 0x2A9), *codec.MOTOR_FAST, *codec.MOTOR_SLOW, 0x473, 0x476, 0x478, 0x47B, 0x47C, 0x47E}
    assert commands == codec.COMMANDS
    assert {message.frame_id for message in codec.DATABASE.messages} == commands | feedback | {codec.FIRMWARE}
    for _, signal in SIGNALS:
        low, high = (round((end - signal.offset) / signal.scale) for end in (signal.minimum, signal.maximum))
        room = 1 << signal.length
        assert (-room // 2 <= low <= high < room // 2) if signal.is_signed else (0 <= low <= high < room), signal.name


def test_what_is_left_out_is_zero_where_zero_is_allowed():
    assert codec.encode(codec.MODE_COMMAND, {}).data == bytes(8)
    with pytest.raises(ValueOutOfRangeError, match="Motor of frame 0x471 is 0; expected 1 to 255"):
        codec.encode(codec.ENABLE_COMMAND, {"Enable": 2})
    with pytest.raises(ValueOutOfRangeError, match="Role of frame 0x470 is 0; expected one of 250, 252"):
        codec.encode(codec.ROLE_COMMAND, {})
    with pytest.raises(ValueOutOfRangeError, match=r"SpeedPercent|MoveMode of frame 0x151 is 1\.5"):
        codec.encode(codec.MODE_COMMAND, {"MoveMode": 1.5})


def test_joint_limits_of_the_dbc_are_the_robots():
    for joint, (lower, upper) in enumerate(LIMITS):
        q = [0.0] * 6
        for limit, outside in ((lower, lower - 1e-4), (upper, upper + 1e-4)):
            q[joint] = float(limit)
            codec.encode_joint_targets(q)
            q[joint] = float(outside)
            with pytest.raises(ValueOutOfRangeError, match=f"Joint{joint + 1}"):
                codec.encode_joint_targets(q)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e12, -1e12])
def test_values_that_do_not_fit_raise_and_never_wrap(bad):
    for frame_id, name in [
        (0x155, "Joint1"),
        (0x159, "Stroke"),
        (0x159, "Effort"),
        (0x251, "Velocity"),
        (0x2A5, "Joint2"),
    ]:
        with pytest.raises(ValueOutOfRangeError, match=name):
            codec.encode(frame_id, {name: bad})


def test_errors_are_one_family_and_say_what_to_do():
    with pytest.raises(UnknownFrameError, match="no frame 0x123"):
        codec.encode(0x123, {})
    with pytest.raises(UnknownFrameError, match="has no signal 'Jiont1'; it has Joint1, Joint2"):
        codec.encode(0x155, {"Jiont1": 0.0})
    with pytest.raises(BadFrameError, match="3 bytes; expected 8"):
        codec.decode(0x2A5, b"abc")
    with pytest.raises(ValueOutOfRangeError, match="expected 6"):
        codec.encode_joint_targets([0.0] * 5)
    with pytest.raises(PiperCanError, match="SpeedPercent of frame 0x151 is 101 %; expected 0 to 100 %"):
        codec.encode(0x151, {"SpeedPercent": 101})
