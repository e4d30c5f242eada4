"""The version out of its pieces, and what follows from it."""

import pytest
from piper_can.errors import FirmwareVersionError
from piper_can.firmware import REPLY_FRAMES, FirmwareReply, FirmwareVersion
from piper_can.variants import NEWEST_KNOWN, VARIANTS, firmware_zero, variant_of
from piper_description import FirmwareZero


def feed(text):
    reply = FirmwareReply()
    data = text.ljust(8 * REPLY_FRAMES, b"\0")
    return [reply.add(data[i : i + 8]) for i in range(0, len(data), 8)]


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("version", [b"S-V1.8-5", b"S-V1.8-12", b"S-V1.10-3"])
def test_version_is_found_whole_wherever_frames_split_it(offset, version):
    for date in (b"", b"250409"):
        answers = [answer for answer in feed(b"H-V1.3-0"[:offset] + version + date) if answer is not None]
        assert answers and set(answers) == {version.decode()}


def test_the_date_behind_the_version_in_an_arms_answer_is_not_part_of_it():
    answer = bytearray(88)
    for start, part in ((0, b"H-V1.2-1"), (16, b"10"), (32, b"ARM_MC"), (60, b"S-V1.6-5250409"), (76, b"15")):
        answer[start : start + len(part)] = part
    assert feed(bytes(answer))[-1] == "S-V1.6-5"


def test_a_version_that_fills_the_last_frame_is_found():
    answers = feed(b"x" * 80 + b"S-V1.8-5")
    assert answers == [None] * 10 + ["S-V1.8-5"]


def test_no_version_and_a_new_request():
    reply = FirmwareReply()
    assert reply.add(b"garbage!") is None
    reply.add(b"..S-V1.5")
    reply.clear()
    assert reply.add(b"-2......") is None


@pytest.mark.parametrize(
    ("version", "zero", "move_mode", "bits", "joint1_nm"),
    [
        ("S-V1.5-2", FirmwareZero.LEGACY, 4, 8, 32.0),
        ("S-V1.6-2", FirmwareZero.LEGACY, 4, 8, 32.0),
        ("S-V1.6-3", FirmwareZero.CURRENT, 4, 8, 32.0),
        ("S-V1.7-11", FirmwareZero.CURRENT, 4, 8, 32.0),
        ("S-V1.8-2", FirmwareZero.CURRENT, 4, 8, 32.0),
        ("S-V1.8-3", FirmwareZero.CURRENT, 4, 8, 8.0),
        ("S-V1.8-7", FirmwareZero.CURRENT, 4, 8, 8.0),
        ("S-V1.8-8", FirmwareZero.CURRENT, 6, 12, 16.0),
        ("S-V1.8-9", FirmwareZero.CURRENT, 6, 12, 16.0),
    ],
)
def test_variant_on_both_sides_of_each_change(version, zero, move_mode, bits, joint1_nm):
    variant = variant_of(version)
    assert firmware_zero(version) is variant.zero is zero
    assert (variant.mit.move_mode, variant.mit.torque_bits) == (move_mode, bits)
    assert variant.mit.has_checksum == (bits == 8)
    assert variant.mit.torque_limit_nm * variant.mit.joint_torque[0] == joint1_nm
    assert variant.joint_speed_unit_rad_s == 0.01


def test_variants_are_in_order_and_versions_print_as_they_parse():
    firsts = [variant.first for variant in VARIANTS]
    assert firsts == sorted(set(firsts)) and firsts[-1] <= NEWEST_KNOWN
    assert FirmwareVersion.parse("S-V1.8-12") > FirmwareVersion.parse("S-V1.8-5")
    assert str(FirmwareVersion.parse("S-V1.8-12")) == "S-V1.8-12"


@pytest.mark.parametrize("version", ["", "1.8-5", "S-V1.8", "S-V1.8-5x", "S-Vé", "S-V1.8-5250409", "S-V1.8-٥"])
def test_a_text_that_is_no_version_is_refused(version):
    with pytest.raises(FirmwareVersionError, match=r"is not of the form 'S-V1\.8-5'.*ask the arm again"):
        variant_of(version)


def test_unknown_versions_are_refused_with_what_to_do():
    for version in ("S-V1.8-10", "S-V1.9-0", "S-V2.0-0"):
        with pytest.raises(FirmwareVersionError, match=f"{version} is newer than S-V1.8-9.*update Armature, or flash"):
            variant_of(version)
    with pytest.raises(FirmwareVersionError, match=r"S-V1\.5-1 is older than S-V1\.5-2.*update the arm"):
        firmware_zero("S-V1.5-1")
