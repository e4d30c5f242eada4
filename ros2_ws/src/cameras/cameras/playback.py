"""A recording made by librealsense (.db3), played in real time and over again, as if its camera were connected."""

from pathlib import Path

import pyrealsense2 as rs

from cameras.frames import Frame
from cameras.librealsense import Pipeline
from cameras.source import CameraError, CameraSettings


class Playback:
    """The streams of the recording at the path `settings.serial`. CameraError if it can't be read or lacks a stream."""

    def __init__(self, settings: CameraSettings) -> None:
        require_recording(settings.serial)
        context, config = rs.context(), rs.config()
        config.enable_device_from_file(settings.serial, True)
        self._pipeline = Pipeline(context, config, settings, f"recording {settings.serial}")

    def read(self, timeout_s: float) -> Frame:
        """See `cameras.source.Source`."""
        return self._pipeline.read(timeout_s)

    def close(self) -> None:
        """Stop the streams."""
        self._pipeline.close()


def require_recording(path: str) -> None:
    """CameraError if there is no such recording."""
    if not path.endswith(".db3"):
        raise CameraError(f"{path} is no recording that this librealsense plays: expected the path of a .db3 file")
    if not Path(path).is_file():
        raise CameraError(f"there is no recording {path}; give the path of a .db3 file as serial")
