"""The version out of its pieces, and the joint zero that follows from it."""

import pytest
from piper_can.errors import FirmwareVersionError
from piper_can.firmware import REPLY_FRAMES, FirmwareReply
from piper_can.variants import firmware_zero
from piper_description import FirmwareZero


def feed(text):
    reply = FirmwareReply()
    data = text.ljust(8 * REPLY_FRAMES, b"\0")
    return [reply.add(data[i : i + 8]) for i in range(0, len(data), 8)]


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("version", [b"S-V1.8-5", b"S-V1.8-12", b"S-V1.10-3"])
def test_version_is_found_whole_wherever_frames_split_it(offset, version):
    answers = [answer for answer in feed(b"H-V1.3-0"[:offset] + version) if answer is not None]
    assert answers and set(answers) == {version.decode()}


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
    ("version", "zero"),
    [
        ("S-V1.6-2", FirmwareZero.LEGACY),
        ("S-V1.6-3", FirmwareZero.CURRENT),
        ("S-V1.5-9", FirmwareZero.LEGACY),
        ("S-V1.10-0", FirmwareZero.CURRENT),
        ("S-V2.0-0", FirmwareZero.CURRENT),
    ],
)
def test_zero(version, zero):
    assert firmware_zero(version) is zero


@pytest.mark.parametrize("version", ["", "1.8-5", "S-V1.8", "S-V1.8-5x", "S-Vé"])
def test_unknown_version_is_refused(version):
    with pytest.raises(FirmwareVersionError, match="joint zero is unknown"):
        firmware_zero(version)
