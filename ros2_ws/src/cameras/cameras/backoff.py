"""How long to wait before a camera is opened again."""

from typing import Final

FIRST_NS: Final = 250_000_000
LONGEST_NS: Final = 1_000_000_000
"""A camera that was plugged in again is found within this time, which leaves four of five seconds to start it."""


class Backoff:
    """Doubles from `FIRST_NS` to `LONGEST_NS`; `reset` when the camera has given a good frame."""

    def __init__(self) -> None:
        self._next_ns = FIRST_NS

    def next_ns(self) -> int:
        """How long to wait now, nanoseconds."""
        wait_ns = self._next_ns
        self._next_ns = min(2 * wait_ns, LONGEST_NS)
        return wait_ns

    def reset(self) -> None:
        """The camera works: the next trouble is answered quickly again."""
        self._next_ns = FIRST_NS
