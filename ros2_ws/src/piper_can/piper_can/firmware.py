"""The arm's firmware version: its text out of 0x4AF frames, and the joint zero that it implies."""

import re
from typing import Final

from piper_description import FirmwareZero

from piper_can.codec import FRAME_BYTES
from piper_can.errors import FirmwareVersionError

REPLY_FRAMES: Final = 11
_VERSION: Final = re.compile(rb"S-V(\d+)\.(\d+)-(\d+)")
_FIRST_CURRENT: Final = (1, 6, 3)


class FirmwareReply:
    """Gathers the pieces of the arm's answer to a version request. Pure logic."""

    def __init__(self) -> None:
        self._text = b""

    def clear(self) -> None:
        """Forgets what was gathered: a new request goes out."""
        self._text = b""

    def add(self, piece: bytes) -> str | None:
        """Takes eight bytes; the version, as `S-V1.8-5`, once it is whole, else None.

        A number that reaches the end of a frame may go on in the next, so the text counts as whole only when something
        follows it or the answer's last frame is in.
        """
        self._text = (self._text + piece)[-2 * REPLY_FRAMES * FRAME_BYTES :]
        match = _VERSION.search(self._text)
        if match is None or (match.end() == len(self._text) and len(self._text) < REPLY_FRAMES * FRAME_BYTES):
            return None
        return match.group().decode("ascii")


def firmware_zero(version: str) -> FirmwareZero:
    """The joint zero of firmware `version`: CURRENT from S-V1.6-3 on (`dh_is_offset = 1` in the vendor SDK).

    Raises `FirmwareVersionError` for a text not of the form `S-V1.8-5`: a guess could put the flange 10 mm off.
    """
    match = _VERSION.fullmatch(version.encode("ascii", errors="replace"))
    if match is None:
        raise FirmwareVersionError(
            f"firmware version {version!r} is not of the form 'S-V1.8-5', so the joint zero is unknown; "
            "ask the arm again, or read the version with the vendor's tool and report this text"
        )
    numbers = tuple(int(group) for group in match.groups())
    return FirmwareZero.CURRENT if numbers >= _FIRST_CURRENT else FirmwareZero.LEGACY
