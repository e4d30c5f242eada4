"""Where frames come from: what every camera offers, and the choice between them."""

from dataclasses import dataclass
from typing import Final, Protocol

from cameras.frames import Frame

SOURCES: Final = {
    "realsense": "the RealSense serial number",
    "v4l2": "the camera's USB serial number, or its path under /dev/v4l",
    "playback": "the path of a librealsense recording (.db3)",
    "software": "the lab's name",
}
"""Every source, and what its `serial` is."""

DEPTHS: Final = {"off": (), "raw": ("realsense", "playback"), "aligned": ("realsense", "playback")}
"""What may be asked of the depth stream, and the sources that have it; aligned means seen from the colour camera."""


class CameraError(RuntimeError):
    """The camera can't be opened or is lost; the text says what to do."""


class Source(Protocol):
    """An open camera. One thread reads it."""

    def read(self, timeout_s: float) -> Frame:
        """Wait for the next frame. TimeoutError if none came; CameraError or OSError if the camera is lost."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


@dataclass(frozen=True)
class CameraSettings:
    """Which camera and which streams. `serial` is what `SOURCES` says, `depth` one of `DEPTHS`; pixels, frames/s."""

    name: str
    source: str
    serial: str
    width: int
    height: int
    fps: int
    depth: str = "off"

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"parameter source is {self.source!r}; known are {', '.join(SOURCES)}")
        if not self.name:
            raise ValueError("parameter name is empty; give the camera's name in the contract, such as front")
        if not self.serial:
            raise ValueError(f"parameter serial is empty; source {self.source} needs {SOURCES[self.source]}")
        for label in ("width", "height", "fps"):
            if getattr(self, label) <= 0:
                raise ValueError(f"parameter {label} is {getattr(self, label)}; it must be positive")
        if self.depth not in DEPTHS:
            raise ValueError(f"parameter depth is {self.depth!r}; known are {', '.join(DEPTHS)}")
        if self.depth != "off" and self.source not in DEPTHS[self.depth]:
            able = " and ".join(DEPTHS[self.depth])
            raise ValueError(f"parameter depth is {self.depth!r}, but source {self.source} has no depth; {able} have")

    @property
    def noisy(self) -> bool:
        """Whether pictures come from a sensor, so that no two of them are the same."""
        return self.source != "software"


def open_source(settings: CameraSettings) -> Source:
    """Open the camera; CameraError or OSError, saying what to do, if it is not there."""
    if settings.source == "software":
        from cameras.software_device import SoftwareColorCamera

        return SoftwareColorCamera(settings.serial, settings.name)
    if settings.source == "v4l2":
        from cameras.v4l2 import V4l2Camera

        return V4l2Camera(settings)
    if settings.source == "playback":
        from cameras.playback import Playback

        return Playback(settings)
    from cameras.realsense import RealSenseCamera

    return RealSenseCamera(settings)


def require_present(settings: CameraSettings) -> None:
    """CameraError, by name and with what is connected, if the device is not there.

    A lab's cameras are not asked for: the lab may be started later.
    """
    if settings.source == "realsense":
        from cameras.realsense import require_connected

        require_connected(settings.serial)
    elif settings.source == "v4l2":
        from cameras.v4l2 import find_device

        find_device(settings.serial)
    elif settings.source == "playback":
        from cameras.playback import require_recording

        require_recording(settings.serial)
