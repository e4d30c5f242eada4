"""Watchdog over the age of something that has to keep coming."""


class Watchdog:
    """Expires when nothing was fed for `timeout_ns`; inactive until first fed."""

    def __init__(self, timeout_ns: int) -> None:
        if timeout_ns <= 0:
            raise ValueError(f"a watchdog's timeout must be above zero nanoseconds; got {timeout_ns}")
        self.timeout_ns = timeout_ns
        self._last_ns: int | None = None

    def feed(self, at_ns: int) -> None:
        """Restart the time at `at_ns`, which may lie in the future (the end of a schedule)."""
        self._last_ns = at_ns

    def stop(self) -> None:
        """Become inactive until fed again."""
        self._last_ns = None

    def age_ns(self, now_ns: int) -> int:
        """Time since the last feed; 0 while inactive, negative before a feed that lies in the future."""
        return 0 if self._last_ns is None else now_ns - self._last_ns

    def expired(self, now_ns: int) -> bool:
        """Whether the last feed is older than the timeout."""
        return self.age_ns(now_ns) > self.timeout_ns
