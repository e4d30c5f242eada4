"""Errors of this package; each says what was wrong, what was expected and what to do."""


class PiperCanError(Exception):
    """Base of every error that `piper_can` raises."""


class ValueOutOfRangeError(PiperCanError, ValueError):
    """A value does not fit its signal: outside the limits in `piper.dbc`, not finite, or of the wrong shape."""


class UnknownFrameError(PiperCanError, KeyError):
    """A frame id or signal name that `piper.dbc` does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class BadFrameError(PiperCanError, ValueError):
    """A received frame of a known id whose data cannot be decoded."""


class BusError(PiperCanError, OSError):
    """The CAN interface cannot be opened, read or written."""


class FirmwareVersionError(PiperCanError, ValueError):
    """A firmware version that this release does not know, or a text that is none."""
