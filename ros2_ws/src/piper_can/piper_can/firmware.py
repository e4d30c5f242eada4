"""The arm's firmware version: its number out of 0x4AF frames.

The answer is 11 frames of eight characters. The software version stands at characters 60 to 67 and the date of
production, six digits, directly behind it: `..S-V1.8-5250409..` is version S-V1.8-5 of 2025-04-09.
"""

import re
from typing import Final, NamedTuple

from piper_can.codec import FRAME_BYTES
from piper_can.errors import FirmwareVersionError

REPLY_FRAMES: Final = 11
_REPLY_BYTES: Final = REPLY_FRAMES * FRAME_BYTES
_IN_REPLY: Final = re.compile(rb"S-V\d+\.\d+-(\d+)")
_DATE_DIGITS: Final = 6
_LONGEST_PATCH: Final = 2
_VERSION: Final = re.compile(rf"S-V(\d+)\.(\d+)-(\d{{1,{_LONGEST_PATCH}}})")


class FirmwareVersion(NamedTuple):
    """A firmware version; versions compare by age."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"S-V{self.major}.{self.minor}-{self.patch}"

    @classmethod
    def parse(cls, text: str) -> "FirmwareVersion":
        """The version in a text such as `S-V1.8-5`; raises `FirmwareVersionError` for any other form."""
        match = _VERSION.fullmatch(text)
        if match is None or not text.isascii():
            raise FirmwareVersionError(
                f"firmware version {text!r} is not of the form 'S-V1.8-5', so joint zero and units are unknown; "
                "ask the arm again, or read the version with the vendor's tool and report this text"
            )
        return cls(*(int(group) for group in match.groups()))


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
        self._text = (self._text + piece)[-2 * _REPLY_BYTES :]
        match = _IN_REPLY.search(self._text)
        if match is None or (match.end() == len(self._text) and len(self._text) < _REPLY_BYTES):
            return None
        digits = match.group(1)
        has_date = len(digits) > _DATE_DIGITS
        return (match.group()[:-_DATE_DIGITS] if has_date else match.group()).decode("ascii")
