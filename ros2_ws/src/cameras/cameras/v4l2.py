"""A V4L2 camera (most webcams) through OpenCV, chosen by USB serial number or by path.

The stream is taken uncompressed (YUYV), so that the node's JPEG is the only one. A thread of its own empties the
driver's queue, which otherwise holds frames back: the newest frame is read, and a read can end at its time limit.
"""

import threading
import time
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cameras.frames import ClockName, Frame
from cameras.source import CameraError, CameraSettings

_SYSFS: Final = Path("/sys/class/video4linux")
_UNCOMPRESSED: Final = cv2.VideoWriter.fourcc(*"YUYV")
_CLOSE_TIMEOUT_S: Final = 0.5
_SAME_CLOCK_NS: Final = 1_000_000_000
"""A stamp this near to its arrival counts the monotonic clock, as the kernel's USB video driver does by default."""


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, Any]: ...  # noqa: D102 - see OpenCV
    def get(self, prop: int) -> float: ...  # noqa: D102 - see OpenCV
    def release(self) -> None: ...  # noqa: D102 - see OpenCV


class V4l2Camera:
    """The colour stream of one camera. Raises CameraError if it is not there or can't give this stream.

    `capture` is the open device; by default the one that `settings.serial` names. Intrinsics are unknown: the rig
    file has them.
    """

    def __init__(self, settings: CameraSettings, capture: Capture | None = None) -> None:
        self._what = f"V4L2 camera {settings.serial}"
        self._capture: Capture = capture or _open(find_device(settings.serial), settings)
        self._fresh = threading.Condition()
        self._frame: Frame | None = None
        self._error = ""
        self._clock: ClockName | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._grab, name="v4l2", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float) -> Frame:
        """See `cameras.source.Source`."""
        with self._fresh:
            if not self._fresh.wait_for(lambda: self._frame is not None or self._error, timeout_s):
                raise TimeoutError(f"{self._what}: no frame within {timeout_s:g} s")
            if self._frame is None:
                raise CameraError(f"{self._what}: {self._error}")
            frame, self._frame = self._frame, None
            return frame

    def _grab(self) -> None:
        number, error = 0, ""
        while not self._stop.is_set() and not error:
            frame = None
            try:
                arrived, bgr = self._capture.read()
                if arrived:
                    number += 1
                    frame = self._to_frame(bgr, number, time.monotonic_ns())
                else:
                    error = "the device gives no more frames; it was unplugged, or another process has it"
            except cv2.error as reason:
                error = f"a frame can't be read: {reason}"
            with self._fresh:
                self._frame, self._error = frame or self._frame, error
                self._fresh.notify()
        self._capture.release()

    def _to_frame(self, bgr: NDArray[np.uint8], number: int, arrival_ns: int) -> Frame:
        stamp_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if self._clock is None:
            self._clock = _clock_of(stamp_ns, arrival_ns)
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        capture_ns = arrival_ns if self._clock == "arrival" else stamp_ns
        return Frame("color", rgb, capture_ns, self._clock, arrival_ns, number, None)

    def close(self) -> None:
        """Stop the stream. A device that hangs in the driver is left to its thread."""
        self._stop.set()
        self._thread.join(_CLOSE_TIMEOUT_S)


def find_device(serial: str, sysfs: Path = _SYSFS) -> str:
    """Path of the video device: `serial` itself if it is a path, else that of the camera with this USB serial number.

    CameraError if there is none, with the serial numbers that are there, or if several cameras have the same.
    """
    if serial.startswith("/"):
        if not Path(serial).exists():
            raise CameraError(f"V4L2 camera {serial} is not connected; ls /dev/v4l/by-id shows what is")
        return serial
    found: dict[str, list[str]] = {}
    for folder in sorted(sysfs.glob("video*")):
        index, number = _line(folder / "index"), _line((folder / "device").resolve().parent / "serial")
        if index == "0" and number:  # the other nodes of a camera carry metadata
            found.setdefault(number, []).append(f"/dev/{folder.name}")
    if serial not in found:
        connected = ", ".join(found) or "none"
        raise CameraError(
            f"V4L2 camera {serial} is not connected; connected are: {connected}. "
            "A camera without a serial number goes by its path under /dev/v4l/by-path"
        )
    if len(found[serial]) > 1:
        paths = " and ".join(found[serial])
        raise CameraError(f"{paths} have the same serial number {serial}; use their paths under /dev/v4l/by-path")
    return found[serial][0]


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _clock_of(stamp_ns: int, arrival_ns: int) -> ClockName:
    if stamp_ns <= 0:
        return "arrival"
    return "monotonic" if abs(arrival_ns - stamp_ns) < _SAME_CLOCK_NS else "device"


def _open(path: str, settings: CameraSettings) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise CameraError(f"{path} can't be opened; another process has it, or this user may not (group video)")
    for prop, value in (
        (cv2.CAP_PROP_FOURCC, _UNCOMPRESSED),
        (cv2.CAP_PROP_FRAME_WIDTH, settings.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, settings.height),
        (cv2.CAP_PROP_FPS, settings.fps),
    ):
        capture.set(prop, value)
    got = tuple(
        round(capture.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
    )
    wanted = (settings.width, settings.height, settings.fps)
    if got != wanted:
        capture.release()
        raise CameraError(
            f"{path} gives {got[0]}x{got[1]} at {got[2]} Hz uncompressed (YUYV), not {wanted[0]}x{wanted[1]} at "
            f"{wanted[2]} Hz; choose a mode it has (v4l2-ctl --list-formats-ext lists them)"
        )
    return capture
