"""Keeps a camera open and its good frames coming: open, read, stamp, judge, deliver; and again after every loss.

No ROS in here. This is the thin shell that reads clocks and owns threads; what it decides by is in `clock_mapper`,
`quality`, `health` and `backoff`.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from cameras.backoff import Backoff
from cameras.clock_mapper import CaptureClock
from cameras.frames import Frame, StreamName
from cameras.health import CameraHealth, Level
from cameras.quality import QualityGate
from cameras.source import CameraError, CameraSettings, Source, open_source

READ_TIMEOUT_S: Final = 0.03
OPEN_TIMEOUT_S: Final = 10.0
"""A device that takes longer hangs in its driver: it is left to its thread, and tried anew."""

CLOSE_TIMEOUT_S: Final = 2.0
_LOSSES = (CameraError, OSError)


class Status(NamedTuple):
    """How one stream is doing; `values` are figures by name."""

    level: Level
    summary: str
    values: dict[str, str]


class CaptureLoop:
    """Reads one camera in a thread of its own.

    deliver: called in that thread with every good frame and its monotonic capture time (ns); returns the nanoseconds
        that encoding took.
    changed: called when a stream's level, or the cause of it, changed, and when the loop broke; it may call `status`.
    """

    broken: Exception | None = None
    """What ended the loop although nobody asked for it: an error in `deliver` or in here."""

    def __init__(
        self,
        settings: CameraSettings,
        deliver: Callable[[Frame, int], int],
        changed: Callable[[], None],
        opener: Callable[[CameraSettings], Source] = open_source,
    ) -> None:
        self._settings, self._deliver, self._changed, self._opener = settings, deliver, changed, opener
        streams: tuple[StreamName, ...] = ("color",) if settings.depth == "off" else ("color", "depth")
        self._lock = threading.Lock()
        self._healths = {stream: CameraHealth(time.monotonic_ns(), settings.fps) for stream in streams}
        self._reported: dict[StreamName, tuple[Level, str]] = {}
        self._backoff = Backoff()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop reading and give the device back; wait at most `timeout_s` for it."""
        self._stop.set()
        self._thread.join(timeout_s)

    def status(self) -> dict[StreamName, Status]:
        """How every stream is doing now; may be called from any thread."""
        now_ns = time.monotonic_ns()
        with self._lock:
            return {
                stream: Status(health.level(now_ns), health.summary(now_ns), health.values())
                for stream, health in self._healths.items()
            }

    def _run(self) -> None:
        try:
            self._keep_streaming()
        except Exception as error:  # noqa: BLE001 - whoever owns the loop is told, and ends, instead of staying blind
            self.broken = error
            self._changed()

    def _keep_streaming(self) -> None:
        while not self._stop.is_set():
            try:
                source = self._open()
            except _LOSSES as error:
                self._on_lost(str(error))
            else:
                try:
                    self._stream(source)
                except _LOSSES as error:
                    self._on_lost(str(error))
                finally:
                    self._close(source)
            self._stop.wait(self._backoff.next_ns() / 1e9)

    def _stream(self, source: Source) -> None:
        """Deliver frames until told to stop. CameraError or OSError if the camera is lost or silent for too long."""
        clocks = {stream: CaptureClock() for stream in self._healths}
        gates = {
            stream: QualityGate(self._settings.width, self._settings.height, self._settings.noisy)
            for stream in self._healths
        }
        with self._lock:
            for health in self._healths.values():
                health.on_open(time.monotonic_ns())
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                frame = source.read(self._read_timeout_s())
                capture_ns = clocks[frame.stream].to_monotonic(frame.capture_ns, frame.clock, frame.arrival_ns)
                self._take(frame, capture_ns, gates[frame.stream])
            self._notify()
            now_ns = time.monotonic_ns()
            if any(health.wants_reopening(now_ns) for health in self._healths.values()):
                raise CameraError("the device was silent or frozen for too long; opening it again")

    def _read_timeout_s(self) -> float:
        """Not beyond the moment at which a stream becomes stale, so that this is noticed at once."""
        now_ns = time.monotonic_ns()
        left_s = [(health.stale_at_ns() - now_ns) / 1e9 for health in self._healths.values()]
        return min([READ_TIMEOUT_S, *(s + 0.001 for s in left_s if s > 0)])

    def _take(self, frame: Frame, capture_ns: int, gate: QualityGate) -> None:
        health = self._healths[frame.stream]
        refusal = gate.judge(frame, capture_ns, time.monotonic_ns())
        if refusal is not None:
            with self._lock:
                health.on_refused(time.monotonic_ns(), refusal)
            return
        encode_ns = self._deliver(frame, capture_ns)
        self._backoff.reset()
        with self._lock:
            health.on_frame(time.monotonic_ns(), encode_ns, capture_ns)

    def _on_lost(self, text: str) -> None:
        with self._lock:
            for health in self._healths.values():
                health.on_lost(text)
        self._notify()

    def _notify(self) -> None:
        now_ns = time.monotonic_ns()
        found = {stream: (health.level(now_ns), health.cause(now_ns)) for stream, health in self._healths.items()}
        if found != self._reported:
            self._reported = found
            self._changed()

    def _open(self) -> Source:
        """Open the device in a thread of its own, because librealsense and drivers may hang."""
        result: queue.SimpleQueue[Source | Exception] = queue.SimpleQueue()
        late = threading.Event()

        def opening() -> None:
            try:
                source = self._opener(self._settings)
            except _LOSSES as error:
                result.put(error)
                return
            result.put(source)
            if late.is_set():
                source.close()

        threading.Thread(target=opening, name="camera-open", daemon=True).start()
        end_s = time.monotonic() + OPEN_TIMEOUT_S
        while not self._stop.is_set() and time.monotonic() < end_s:
            with contextlib.suppress(queue.Empty):
                opened = result.get(timeout=0.05)
                if isinstance(opened, Exception):
                    raise opened
                return opened
        late.set()
        raise CameraError(
            f"the device could not be opened within {OPEN_TIMEOUT_S:g} s; plug it in anew if this goes on"
        )

    def _close(self, source: Source) -> None:
        """Close the device, in a thread of its own for the same reason."""

        def closing() -> None:
            with contextlib.suppress(RuntimeError, OSError):  # a lost device may refuse to be closed
                source.close()

        thread = threading.Thread(target=closing, name="camera-close", daemon=True)
        thread.start()
        thread.join(CLOSE_TIMEOUT_S)
