"""The colour stream of a RealSense camera, through librealsense's pipeline.

Written against pyrealsense2 2.5x; needs a librealsense device on USB.
"""

import time
from dataclasses import dataclass

import numpy as np
import pyrealsense2 as rs
from numpy.typing import NDArray

from cameras.source import CameraError, CameraSettings


@dataclass(frozen=True)
class RealSenseFrame:
    """One colour frame; see `cameras.source.ColorFrame`."""

    rgb: NDArray[np.uint8]
    capture_ns: int
    frame_number: int
    intrinsics: rs.intrinsics


class RealSenseCamera:
    """One colour stream, selected by serial number. Raises CameraError if that device can't give that stream."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        connected = _connected()
        if settings.serial not in connected:  # the pipeline itself would wait 15 s for it
            raise CameraError(
                f"RealSense {settings.serial} is not connected; connected are: {', '.join(connected) or 'none'}"
            )
        config = rs.config()
        config.enable_device(settings.serial)
        config.enable_stream(rs.stream.color, settings.width, settings.height, rs.format.rgb8, settings.fps)
        self._pipeline = rs.pipeline()
        try:
            profile = self._pipeline.start(config)
        except RuntimeError as error:
            raise CameraError(
                f"RealSense {settings.serial} can't stream {settings.width}x{settings.height} at {settings.fps} Hz: "
                f"{error}; choose a mode it has (rs-enumerate-devices lists them)"
            ) from error
        stream = profile.get_stream(rs.stream.color).as_video_stream_profile()
        self._intrinsics: rs.intrinsics = stream.get_intrinsics()

    def read(self, timeout_s: float) -> RealSenseFrame:
        """Wait for the next colour frame; TimeoutError if none came, CameraError if the device failed."""
        try:
            arrived, frames = self._pipeline.try_wait_for_frames(round(timeout_s * 1000))
        except RuntimeError as error:
            raise CameraError(f"RealSense {self._settings.serial}: {error}") from error
        color = frames.get_color_frame() if arrived else None
        if not color:
            raise TimeoutError(f"RealSense {self._settings.serial}: no frame within {timeout_s:g} s")
        rgb = np.asarray(color.get_data(), dtype=np.uint8).copy()  # the buffer goes back to librealsense
        return RealSenseFrame(rgb, _capture_ns(color), color.get_frame_number(), self._intrinsics)

    def close(self) -> None:
        """Stop the stream."""
        self._pipeline.stop()


def _connected() -> list[str]:
    return [device.get_info(rs.camera_info.serial_number) for device in rs.context().query_devices()]


def _capture_ns(frame: rs.frame) -> int:
    """Monotonic capture time. A stamp of the device's own clock means nothing here; then it is the arrival."""
    now_ns = time.monotonic_ns()
    if frame.get_frame_timestamp_domain() == rs.timestamp_domain.hardware_clock:
        return now_ns
    wall_ns = round(frame.get_timestamp() * 1e6)
    return min(now_ns, wall_ns - (time.time_ns() - now_ns))
