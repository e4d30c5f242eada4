"""How a camera is doing, in numbers and in words."""

from collections import deque
from statistics import median

STALE_NS = 500_000_000
REOPEN_NS = 2_000_000_000
"""Silence after which the device is closed and opened again: a replugged camera does not come back otherwise."""

_WINDOW = 60


class CameraHealth:
    """Counts frames and remembers trouble; time comes in as monotonic `now_ns`."""

    def __init__(self, now_ns: int) -> None:
        self.frames = 0
        self.opened = 0
        self.trouble = "not opened yet"
        self._alive_ns = now_ns
        self._arrivals: deque[int] = deque(maxlen=_WINDOW)
        self._encode_ms: deque[float] = deque(maxlen=_WINDOW)
        self._age_ms: deque[float] = deque(maxlen=_WINDOW)

    def on_open(self, now_ns: int) -> None:
        """The device was opened; it gets time for its first frame."""
        self.opened += 1
        self._alive_ns = now_ns
        self.trouble = "opened, no frame yet"

    def on_frame(self, now_ns: int, encode_ns: int, capture_ns: int) -> None:
        """A frame was published at `now_ns`."""
        self.frames += 1
        self._alive_ns = now_ns
        self.trouble = ""
        self._arrivals.append(now_ns)
        self._encode_ms.append(encode_ns / 1e6)
        self._age_ms.append((now_ns - capture_ns) / 1e6)

    def on_trouble(self, text: str) -> None:
        """The device failed, or gave something unusable."""
        self.trouble = text

    def silent_ns(self, now_ns: int) -> int:
        """Time since the last frame, or since the device was opened."""
        return now_ns - self._alive_ns

    def stale(self, now_ns: int) -> bool:
        """Whether the images are too old to act on."""
        return self.frames == 0 or self.silent_ns(now_ns) > STALE_NS

    def summary(self, now_ns: int) -> str:
        """One line for a person."""
        if not self.stale(now_ns):
            return "streaming"
        silent_s = self.silent_ns(now_ns) / 1e9
        return f"no frame for {silent_s:.1f} s: {self.trouble or 'the device is silent'}"

    def values(self) -> dict[str, str]:
        """Figures over the last 60 frames."""
        figures = {"frames": str(self.frames), "opened": str(self.opened)}
        if len(self._arrivals) > 1:
            span_ns = self._arrivals[-1] - self._arrivals[0]
            figures["rate_hz"] = f"{(len(self._arrivals) - 1) * 1e9 / max(span_ns, 1):.2f}"
            figures["encode_p50_ms"] = f"{median(self._encode_ms):.3f}"
            figures["age_p50_ms"] = f"{median(self._age_ms):.3f}"
        return figures
