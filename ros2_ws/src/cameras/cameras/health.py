"""How one stream of a camera is doing, in numbers and in words."""

from collections import Counter, deque
from itertools import pairwise
from statistics import median
from typing import Final, Literal

from cameras.quality import Refusal

Level = Literal["ok", "degraded", "error"]

REOPEN_NS: Final = 1_000_000_000
"""Silence after which the device is closed and opened again: a replugged camera does not come back otherwise."""

FIRST_FRAME_NS: Final = 3_000_000_000
"""Time that a device has for its first frame after it was opened."""

SHORTEST_STALE_NS: Final = 80_000_000
LONGEST_STALE_NS: Final = 500_000_000

_MISSED_PERIODS: Final = 2.5
_SLOW_SHARE: Final = 0.7
_OLD_MS: Final = 100.0
_RECENT: Final = 10
_WINDOW: Final = 60


class CameraHealth:
    """Counts frames and remembers trouble; time comes in as monotonic `now_ns`. `fps` is the rate that was asked for.

    A stream without a good frame for two and a half periods is stale: 83 ms at 30 Hz. A period is the nominal one, or
    the one that was seen last if that is longer, so that a slow stream is told from a dead one.
    """

    def __init__(self, now_ns: int, fps: float) -> None:
        self.frames = 0
        self.opened = 0
        self.trouble = "not opened yet"
        self.refused: Counter[str] = Counter()
        self._fps = fps
        self._lost = False
        self._refusal: Refusal | None = None
        self._good_ns = now_ns
        self._alive_ns = now_ns
        self._patience_ns = FIRST_FRAME_NS
        self._arrivals: deque[int] = deque(maxlen=_WINDOW)
        self._encode_ms: deque[float] = deque(maxlen=_WINDOW)
        self._age_ms: deque[float] = deque(maxlen=_WINDOW)

    def on_open(self, now_ns: int) -> None:
        """The device was opened; it gets time for its first frame."""
        self.opened += 1
        self._alive_ns = now_ns
        self._patience_ns = FIRST_FRAME_NS
        self.trouble = "opened, no frame yet"
        self._arrivals.clear()

    def on_frame(self, now_ns: int, encode_ns: int, capture_ns: int) -> None:
        """A good frame was published at `now_ns`."""
        self.frames += 1
        self._good_ns = self._alive_ns = now_ns
        self._patience_ns = REOPEN_NS
        self._lost, self._refusal, self.trouble = False, None, ""
        self._arrivals.append(now_ns)
        self._encode_ms.append(encode_ns / 1e6)
        self._age_ms.append((now_ns - capture_ns) / 1e6)

    def on_refused(self, now_ns: int, refusal: Refusal) -> None:
        """A frame was not good enough. A frozen device is no sign of life: it is opened again."""
        self.refused[refusal.kind] += 1
        self._refusal = refusal
        if refusal.kind != "frozen":
            self._alive_ns = now_ns

    def on_lost(self, text: str) -> None:
        """The device failed, was unplugged or can't be opened."""
        self._lost = True
        self.trouble = text

    def wants_reopening(self, now_ns: int) -> bool:
        """Whether the device has been silent or frozen for so long that it had better be opened again."""
        return now_ns - self._alive_ns > self._patience_ns

    def stale_at_ns(self) -> int:
        """When the images become too old to act on, if no good one comes."""
        period_ns = max(1e9 / self._fps, self._recent_period_ns())
        return self._good_ns + round(min(max(_MISSED_PERIODS * period_ns, SHORTEST_STALE_NS), LONGEST_STALE_NS))

    def stale(self, now_ns: int) -> bool:
        """Whether the images are too old to act on."""
        return self.frames == 0 or self._lost or now_ns > self.stale_at_ns()

    def level(self, now_ns: int) -> Level:
        """Error while stale or while frames are refused, degraded while they come too seldom or too late."""
        if self._refusal is not None or self.stale(now_ns):
            return "error"
        return "degraded" if self._too_slow() or self._too_old() else "ok"

    def cause(self, now_ns: int) -> str:
        """What keeps the stream from being ok, in words that stay the same while it stays the same."""
        if self._refusal is not None and not self._lost:
            return self._refusal.kind
        return self.trouble if self.stale(now_ns) else ""

    def summary(self, now_ns: int) -> str:
        """One line for a person."""
        silent_s = (now_ns - self._good_ns) / 1e9
        if self._refusal is not None and not self._lost:
            return f"no good frame for {silent_s:.1f} s: {self._refusal.text}"
        if self.stale(now_ns):
            return f"no frame for {silent_s:.1f} s: {self.trouble or 'the device is silent'}"
        if self._too_slow():
            return f"streaming at {1e9 / self._recent_period_ns(mean=True):.1f} Hz of {self._fps:g} Hz"
        return f"streaming, {median(self._recent(self._age_ms)):.0f} ms late" if self._too_old() else "streaming"

    def values(self) -> dict[str, str]:
        """Figures over the last 60 frames; counts since the start."""
        figures = {"frames": str(self.frames), "opened": str(self.opened), "refused": str(self.refused.total())}
        figures |= {f"refused_{kind}": str(count) for kind, count in sorted(self.refused.items())}
        if len(self._arrivals) > 1:
            span_ns = self._arrivals[-1] - self._arrivals[0]
            figures["rate_hz"] = f"{(len(self._arrivals) - 1) * 1e9 / max(span_ns, 1):.2f}"
            figures["encode_p50_ms"] = f"{median(self._encode_ms):.3f}"
            figures["age_p50_ms"] = f"{median(self._age_ms):.3f}"
        return figures

    def _recent_period_ns(self, mean: bool = False) -> float:
        """Time between the last frames: its median, or its mean; 0 if there are too few."""
        times = self._recent(self._arrivals)
        if len(times) < _RECENT:
            return 0.0
        if mean:
            return (times[-1] - times[0]) / (len(times) - 1)
        return median(b - a for a, b in pairwise(times))

    def _too_slow(self) -> bool:
        return self._recent_period_ns(mean=True) * self._fps * _SLOW_SHARE > 1e9

    def _too_old(self) -> bool:
        return len(self._age_ms) >= _RECENT and median(self._recent(self._age_ms)) > _OLD_MS

    @staticmethod
    def _recent(values: "deque[int] | deque[float]") -> list[float]:
        return list(values)[-_RECENT:]
