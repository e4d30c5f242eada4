"""A virtual lab's camera as a RealSense software device: the frames go through librealsense like a real camera's."""

import time
from typing import Final

import numpy as np
import pyrealsense2 as rs

from cameras.frames import Frame
from cameras.librealsense import to_intrinsics
from cameras.shared_frames import Intrinsics, SharedFrame, SharedFrameReader, SharedFramesError
from cameras.source import CameraError

_RING_POLL_S: Final = 0.001
_QUEUE_FRAMES: Final = 4
_QUEUE_TIMEOUT_MS: Final = 1000
_NOMINAL_FPS: Final = 30


class SoftwareColorCamera:
    """The colour stream of `camera` in the virtual lab `lab`. Use it from one thread.

    Every frame of the lab's ring is injected into a `pyrealsense2.software_device` and comes out of librealsense's own
    queue. Raises `CameraError` if the lab is not running.
    """

    def __init__(self, lab: str, camera: str) -> None:
        try:
            self._reader = SharedFrameReader(lab, camera)
        except SharedFramesError as error:
            raise CameraError(str(error)) from error
        self._device = rs.software_device()
        self._sensor = self._device.add_sensor("Color")
        self._profile = self._sensor.add_video_stream(_stream(self._reader.intrinsics)).as_video_stream_profile()
        self._intrinsics = to_intrinsics(self._profile.get_intrinsics())
        self._queue = rs.frame_queue(_QUEUE_FRAMES)
        self._sensor.open(self._profile)
        self._sensor.start(self._queue)
        self._last_number = 0

    def read(self, timeout_s: float) -> Frame:
        """Wait for the next frame; TimeoutError if none came, `CameraError` if the lab is gone."""
        frame = self._inject(self._next_from_ring(timeout_s))
        rgb = np.asarray(frame.get_data(), dtype=np.uint8).copy()  # the buffer goes back to librealsense
        capture_ns = round(frame.get_timestamp() * 1e6)
        return Frame(
            "color", rgb, capture_ns, "monotonic", time.monotonic_ns(), frame.get_frame_number(), self._intrinsics
        )

    def _next_from_ring(self, timeout_s: float) -> SharedFrame:
        deadline_s = time.monotonic() + timeout_s
        while (shared := self._reader.read(self._last_number)) is None:
            if time.monotonic() >= deadline_s:
                if not self._reader.is_current():
                    raise CameraError("the virtual lab that rendered this camera has stopped; start it again")
                raise TimeoutError(f"the virtual lab rendered no frame within {timeout_s:g} s")
            time.sleep(_RING_POLL_S)
        self._last_number = shared.frame_number
        return shared

    def _inject(self, shared: SharedFrame) -> rs.video_frame:
        frame = rs.software_video_frame()
        frame.pixels = shared.rgb
        frame.bpp = 3
        frame.stride = 3 * shared.intrinsics.width
        frame.timestamp = shared.capture_ns * 1e-6  # ms
        frame.domain = rs.timestamp_domain.system_time
        frame.frame_number = shared.frame_number
        frame.profile = self._profile
        self._sensor.on_video_frame(frame)
        try:
            return self._queue.wait_for_frame(_QUEUE_TIMEOUT_MS)
        except RuntimeError as error:
            raise CameraError(f"librealsense did not return the injected frame: {error}") from error

    def close(self) -> None:
        """Stop the stream and let go of the lab's frames."""
        self._sensor.stop()
        self._sensor.close()
        self._reader.close()


def _stream(intrinsics: Intrinsics) -> rs.video_stream:
    model = rs.intrinsics()
    model.width, model.height = intrinsics.width, intrinsics.height
    model.fx, model.fy = intrinsics.fx, intrinsics.fy
    model.ppx, model.ppy = intrinsics.cx, intrinsics.cy
    model.model = rs.distortion.none
    model.coeffs = [0.0] * 5
    stream = rs.video_stream()
    stream.type = rs.stream.color
    stream.index = 0
    stream.uid = 1
    stream.width, stream.height = intrinsics.width, intrinsics.height
    stream.fps = _NOMINAL_FPS
    stream.bpp = 3
    stream.fmt = rs.format.rgb8
    stream.intrinsics = model
    return stream
