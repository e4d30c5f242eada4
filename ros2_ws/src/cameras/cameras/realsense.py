"""A RealSense camera on USB, chosen by its serial number."""

import threading
import time
from typing import Final

import pyrealsense2 as rs

from cameras.frames import Frame
from cameras.librealsense import Pipeline
from cameras.source import CameraError, CameraSettings

_GLANCE_S: Final = 0.03  # how often a wait for a frame looks whether the device is still there


class RealSenseCamera:
    """The streams of one device. Raises CameraError if it is not connected, or can't give these streams.

    `context` is librealsense's view of what is connected; tests put a recording in the place of a device.
    """

    def __init__(self, settings: CameraSettings, context: rs.context | None = None) -> None:
        context = context or rs.context()
        require_connected(settings.serial, context)  # the pipeline itself would wait 15 s for it
        self._what = f"RealSense {settings.serial}"
        self._unplugged = threading.Event()
        self._device = _devices(context)[settings.serial]
        config = rs.config()
        config.enable_device(settings.serial)
        self._pipeline = Pipeline(context, config, settings, self._what)
        self._context = context
        context.set_devices_changed_callback(self._on_devices_changed)

    def _on_devices_changed(self, event: rs.event_information) -> None:
        if event.was_removed(self._device):
            self._unplugged.set()

    def read(self, timeout_s: float) -> Frame:
        """See `cameras.source.Source`; CameraError as soon as librealsense knows that the device was unplugged."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._unplugged.is_set():
                raise CameraError(f"{self._what} was unplugged")
            left_s = deadline_s - time.monotonic()
            try:
                return self._pipeline.read(min(max(left_s, 0.001), _GLANCE_S))
            except TimeoutError:
                if left_s <= _GLANCE_S:
                    raise TimeoutError(f"{self._what}: no frame within {timeout_s:g} s") from None

    def close(self) -> None:
        """Stop the streams."""
        self._context.set_devices_changed_callback(_ignore)
        self._pipeline.close()


def require_connected(serial: str, context: rs.context | None = None) -> None:
    """CameraError, with the serial numbers that are connected, if this one is not."""
    connected = _devices(context or rs.context())
    if serial not in connected:
        raise CameraError(f"RealSense {serial} is not connected; connected are: {', '.join(connected) or 'none'}")


def _devices(context: rs.context) -> dict[str, rs.device]:
    return {device.get_info(rs.camera_info.serial_number): device for device in context.query_devices()}


def _ignore(_event: rs.event_information) -> None:
    """Nobody listens any more."""
