"""Renders the lab's cameras in a thread of its own and publishes the frames."""

import threading
import time
from typing import Final

from cameras.shared_frames import Intrinsics, SharedFrameWriter
from numpy.typing import NDArray

from sim_train.worlds import World
from virtual_lab.tick_clock import TickClock

FPS: Final = 30


class CameraThread:
    """Renders every camera of `world` 30 times a second from the latest published snapshot.

    The graphics context lives in this thread. Raises `SharedFramesError` if the lab's name is taken and RuntimeError if
    nothing can be rendered. A later error ends the thread; `error` then has it.
    """

    def __init__(self, world: World, lab: str) -> None:
        self._world = world
        self._latest = (world.snapshot(), time.monotonic_ns())
        self._ready = threading.Event()
        self._stop = threading.Event()
        self.error: Exception | None = None
        """Why rendering ended, if it failed."""
        self._writers: dict[str, SharedFrameWriter] = {}
        try:
            for name, (width, height) in world.camera_sizes.items():
                intrinsics = Intrinsics(width, height, *world.camera_intrinsics(name))
                self._writers[name] = SharedFrameWriter(lab, name, intrinsics)
        except OSError:
            self._close_writers()
            raise
        self._thread = threading.Thread(target=self._run, name="cameras")
        self._thread.start()
        self._ready.wait()  # making the graphics context takes long, so it is done before the lab's loop begins
        if self.error is not None:
            self.close()
            raise RuntimeError(
                f"the cameras cannot be rendered: {self.error}; install EGL (libegl1), or set MUJOCO_GL=osmesa"
            ) from self.error

    def publish(self, snapshot: NDArray, now_ns: int) -> None:
        """Hands over what the cameras see at monotonic `now_ns`; cheap, and the older snapshot is dropped."""
        self._latest = (snapshot, now_ns)

    def _run(self) -> None:
        try:
            clock = TickClock(1_000_000_000 // FPS)
            while not self._stop.wait(clock.wait_ns(time.monotonic_ns()) / 1e9):
                clock.tick(time.monotonic_ns())
                self._render()
                self._ready.set()
        except Exception as error:  # noqa: BLE001 - any failure of the graphics stack ends the lab, with its text
            self.error = error
        finally:
            self._ready.set()
            self._world.close()

    def _render(self) -> None:
        snapshot, capture_ns = self._latest
        for name, writer in self._writers.items():
            writer.write(self._world.render_snapshot(name, snapshot), capture_ns)

    def close(self) -> None:
        """Ends the thread and removes the frames."""
        self._stop.set()
        self._thread.join()
        self._close_writers()

    def _close_writers(self) -> None:
        for writer in self._writers.values():
            writer.close()
