"""Frames out of librealsense's pipeline, whether a device feeds it or a recording."""

import time
from collections import deque
from typing import Any, Final

import numpy as np
import pyrealsense2 as rs

from cameras.frames import ClockName, Frame, Intrinsics, StreamName
from cameras.source import CameraError, CameraSettings

_MILLIMETRE: Final = 0.001
_MODELS: Final = {rs.distortion.kannala_brandt4: "equidistant"}
_MAX_MM: Final = np.iinfo(np.uint16).max


class Pipeline:
    """A running pipeline with the streams of `settings`; `config` says where they come from.

    Time stamps are taken as the device's own clock: librealsense's estimate of the wall clock is switched off, because
    the wall clock may be set. Raises CameraError if the streams cannot be had.
    """

    def __init__(self, context: rs.context, config: rs.config, settings: CameraSettings, what: str) -> None:
        self._what = what
        config.enable_stream(rs.stream.color, settings.width, settings.height, rs.format.rgb8, settings.fps)
        if settings.depth != "off":
            config.enable_stream(rs.stream.depth, settings.width, settings.height, rs.format.z16, settings.fps)
        self._align = rs.align(rs.stream.color) if settings.depth == "aligned" else None
        self._pipeline = rs.pipeline(context)
        self._last_number: dict[StreamName, int] = {}
        self._waiting: deque[Frame] = deque()
        try:
            device = config.resolve(self._pipeline).get_device()
            for sensor in device.query_sensors():
                if sensor.supports(rs.option.global_time_enabled):
                    sensor.set_option(rs.option.global_time_enabled, 0)
            self._pipeline.start(config)
        except RuntimeError as error:
            depth = "" if settings.depth == "off" else " in colour and depth"
            raise CameraError(
                f"{what} can't stream {settings.width}x{settings.height}{depth} at {settings.fps} Hz: {error}; "
                "choose a mode it has (rs-enumerate-devices lists them)"
            ) from error

    def read(self, timeout_s: float) -> Frame:
        """See `cameras.source.Source`. Where there is depth, a colour frame comes before the depth frame of its set."""
        if self._waiting:
            return self._waiting.popleft()
        deadline_s = time.monotonic() + timeout_s
        while not self._waiting:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"{self._what}: no frame within {timeout_s:g} s")
            try:
                arrived, frames = self._pipeline.try_wait_for_frames(max(1, round(left_s * 1000)))
                if arrived:
                    self._take(frames, time.monotonic_ns())
            except RuntimeError as error:
                raise CameraError(f"{self._what}: {error}") from error
        return self._waiting.popleft()

    def _take(self, frames: Any, arrival_ns: int) -> None:  # noqa: ANN401 - rs.composite_frame has no type
        """Queue what is new: a set repeats the older frame of a stream whose next one is not there yet."""
        color = frames.get_color_frame()
        if color and self._is_new("color", color):
            self._waiting.append(to_frame("color", np.asarray(color.get_data()).copy(), color, arrival_ns))
        depth = frames.get_depth_frame()
        if not depth or not self._is_new("depth", depth):
            return
        if self._align is not None:
            depth = self._align.process(frames).get_depth_frame()
        pixels = to_millimetres(np.asarray(depth.get_data()), depth.get_units())
        self._waiting.append(to_frame("depth", pixels, depth, arrival_ns))

    def _is_new(self, stream: StreamName, frame: rs.frame) -> bool:
        number = frame.get_frame_number()
        new = self._last_number.get(stream) != number
        self._last_number[stream] = number
        return new

    def close(self) -> None:
        """Stop the streams."""
        self._pipeline.stop()


def to_millimetres(raw: np.ndarray, unit_m: float) -> np.ndarray:
    """Depth (H, W) uint16 in units of `unit_m` metres (0.001 for most cameras, 0.0001 for a D405) as uint16 mm, a copy.

    What is too far for 16 bits becomes 0, not measured.
    """
    if abs(unit_m - _MILLIMETRE) < 1e-9:
        return raw.copy()
    millimetres = np.rint(raw * (unit_m / _MILLIMETRE))
    return np.where(millimetres <= _MAX_MM, millimetres, 0).astype(np.uint16)


def to_frame(stream: StreamName, pixels: np.ndarray, frame: rs.video_frame, arrival_ns: int) -> Frame:
    """A librealsense frame, whose pixels were copied, as ours."""
    on_device = frame.get_frame_timestamp_domain() == rs.timestamp_domain.hardware_clock
    clock: ClockName = "device" if on_device else "arrival"
    stamp_ns = round(frame.get_timestamp() * 1e6) if on_device else arrival_ns
    intrinsics = to_intrinsics(frame.profile.as_video_stream_profile().get_intrinsics())
    return Frame(stream, pixels, stamp_ns, clock, arrival_ns, frame.get_frame_number(), intrinsics)


def to_intrinsics(model: rs.intrinsics) -> Intrinsics:
    """librealsense's model in ROS's names.

    Its Brown-Conrady variants all become plumb_bob, as in RealSense's own ROS node; their coefficients are 0, or so
    small that the direction of the correction does not matter.
    """
    name = _MODELS.get(model.model, "plumb_bob")
    coefficients = tuple(float(c) for c in model.coeffs)[: 4 if name == "equidistant" else 5]
    return Intrinsics(model.width, model.height, model.fx, model.fy, model.ppx, model.ppy, name, coefficients)
