"""Where colour frames come from: what every camera offers, and the choice between them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SOURCES = ("realsense", "software")


class CameraError(RuntimeError):
    """The camera can't be opened or is lost; the text says what to do."""


class Intrinsics(Protocol):
    """Pinhole model in pixels, with librealsense's names: principal point (ppx, ppy), five distortion coefficients."""

    @property
    def width(self) -> int: ...  # noqa: D102 - pixels
    @property
    def height(self) -> int: ...  # noqa: D102 - pixels
    @property
    def fx(self) -> float: ...  # noqa: D102 - pixels
    @property
    def fy(self) -> float: ...  # noqa: D102 - pixels
    @property
    def ppx(self) -> float: ...  # noqa: D102 - pixels
    @property
    def ppy(self) -> float: ...  # noqa: D102 - pixels
    @property
    def coeffs(self) -> list[float]: ...  # noqa: D102 - k1 k2 p1 p2 k3


class ColorFrame(Protocol):
    """One frame: `rgb` (H, W, 3) uint8, monotonic capture time, the device's frame counter."""

    @property
    def rgb(self) -> NDArray[np.uint8]: ...  # noqa: D102 - see above
    @property
    def capture_ns(self) -> int: ...  # noqa: D102 - monotonic
    @property
    def frame_number(self) -> int: ...  # noqa: D102 - see above
    @property
    def intrinsics(self) -> Intrinsics: ...  # noqa: D102 - see above


class ColorCamera(Protocol):
    """An open camera."""

    def read(self, timeout_s: float) -> ColorFrame:
        """Wait for the next frame. TimeoutError if none came; CameraError or OSError if the camera is lost."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


@dataclass(frozen=True)
class CameraSettings:
    """Which camera and which stream: `serial` is the RealSense serial number, or the lab's name for `software`."""

    name: str
    source: str
    serial: str
    width: int
    height: int
    fps: int

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"parameter source is {self.source!r}; known are {', '.join(SOURCES)}")
        if not self.name:
            raise ValueError("parameter name is empty; give the camera's name in the contract, such as front")
        if not self.serial:
            what = "the RealSense serial number" if self.source == "realsense" else "the lab's name"
            raise ValueError(f"parameter serial is empty; source {self.source} needs {what}")
        for label in ("width", "height", "fps"):
            if getattr(self, label) <= 0:
                raise ValueError(f"parameter {label} is {getattr(self, label)}; it must be positive")


def open_camera(settings: CameraSettings) -> ColorCamera:
    """Open the camera; CameraError or OSError, saying what to do, if it is not there."""
    if settings.source == "software":
        from cameras.software_device import SoftwareColorCamera

        return SoftwareColorCamera(settings.serial, settings.name)
    from cameras.realsense import RealSenseCamera

    return RealSenseCamera(settings)
