"""MIT frames of old and new firmware: layouts byte by byte, limits, checksum, and no wrapping."""

import math

import pytest
from piper_can import MitTarget, ValueOutOfRangeError, codec, variant_of
from piper_can.mit import decode_mit, encode_mit, torque_limit_nm

OLDEST, OLD, NEW = (variant_of(version) for version in ("S-V1.8-2", "S-V1.8-5", "S-V1.8-8"))
GOOD = {"position_rad": 0.5, "velocity_rad_s": -1.0, "kp": 10.0, "kd": 0.8, "torque_nm": 2.0}


def target(**changes):
    return MitTarget(**(GOOD | changes))


def test_layout_of_old_and_new_frames():
    """Counts put together by hand from the vendor's bit tables."""
    position, velocity = round((0.5 + 12.5) / 25 * 65535), round((-1.0 + 45) / 90 * 4095)
    kp, kd = round(10 / 500 * 4095), round((0.8 + 5) / 10 * 4095)
    upper = position << 48 | velocity << 36 | kp << 24 | kd << 12
    new = encode_mit(0, target(), NEW)
    assert new == codec.Frame(0x15A, (upper | round((2.0 / 16 + 1) / 2 * 4095)).to_bytes(8, "big"))
    old = encode_mit(5, target(torque_nm=2.0 * 0.813252), OLD)
    body = (upper | round((2.0 / 8 + 1) / 2 * 255) << 4).to_bytes(8, "big")
    checksum = 0
    for byte in body[:7]:
        checksum ^= byte & 0xF
    assert old == codec.Frame(0x15F, body[:7] + bytes([body[7] | checksum]))


@pytest.mark.parametrize("variant", [OLDEST, OLD, NEW])
@pytest.mark.parametrize("joint", range(6))
def test_limits_and_one_step_beyond(variant, joint):
    message = codec.DATABASE.get_message_by_frame_id(codec.MIT_TARGETS[joint])
    limit = torque_limit_nm(variant, joint)
    middle = [0.0, 1.0, -1.0, 0.0, 0.0, 0.0][joint]
    for name, field in (("Position", "position_rad"), ("Velocity", "velocity_rad_s"), ("Kp", "kp"), ("Kd", "kd")):
        signal = message.get_signal_by_name(name)
        for end, outside in ((signal.minimum, -signal.scale), (signal.maximum, signal.scale)):
            values = {**GOOD, "position_rad": middle, field: float(end)}
            decoded = decode_mit(encode_mit(joint, MitTarget(**values), variant), variant)
            assert getattr(decoded, field) == pytest.approx(float(end), abs=signal.scale / 2 + 1e-9)
            values[field] = float(end) + outside
            with pytest.raises(ValueOutOfRangeError, match=name):
                encode_mit(joint, MitTarget(**values), variant)
    for sign in (-1, 1):
        frame = encode_mit(joint, target(position_rad=middle, torque_nm=sign * limit), variant)
        assert decode_mit(frame, variant).torque_nm == pytest.approx(sign * limit)
        step = 2 * limit / ((1 << variant.mit.torque_bits) - 1)
        with pytest.raises(ValueOutOfRangeError, match="torque of joint"):
            encode_mit(joint, target(position_rad=middle, torque_nm=sign * (limit + step)), variant)


def test_torque_that_the_vendors_sdk_turns_round_is_refused():
    for torque in (8.1, 10.0, -9.0, math.nan, math.inf):
        with pytest.raises(ValueOutOfRangeError, match=r"expected -8 to 8 N·m for firmware from S-V1\.8-3"):
            encode_mit(0, target(torque_nm=torque), OLD)
    with pytest.raises(ValueOutOfRangeError, match="Kd"):
        encode_mit(0, target(kd=-0.1), OLD)
    with pytest.raises(ValueOutOfRangeError, match="no joint 6"):
        encode_mit(6, target(), NEW)


def test_a_frame_with_a_wrong_checksum_says_nothing():
    frame = encode_mit(2, target(position_rad=-1.0), OLD)
    for bit in range(8):
        broken = bytes([frame.data[0], frame.data[1], frame.data[2] ^ 1 << bit % 4, *frame.data[3:]])
        assert decode_mit(codec.Frame(frame.frame_id, broken), OLD) is None
    assert decode_mit(frame, OLD).position_rad == pytest.approx(-1.0, abs=2e-4)
