"""One frame of a camera, and the lens it was taken through."""

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

StreamName = Literal["color", "depth"]
ClockName = Literal["monotonic", "device", "arrival"]
"""What `Frame.capture_ns` counts: the host's monotonic clock; a clock of the device's own, with any zero and some
drift; or nothing better than the arrival."""


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera with distortion: size, focal lengths and principal point in pixels.

    `distortion_model` is one of ROS's ("plumb_bob", "rational_polynomial", "equidistant"), `coefficients` in its order.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = "plumb_bob"
    coefficients: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: colour is (H, W, 3) uint8 RGB, depth (H, W) uint16 millimetres, 0 where nothing was measured.

    `capture_ns` is in the clock that `clock` names, `arrival_ns` is the host's monotonic time when it was received;
    `frame_number` is the device's counter; `intrinsics` is what the device says about its lens, None if nothing.
    """

    stream: StreamName
    pixels: NDArray[Any]
    capture_ns: int
    clock: ClockName
    arrival_ns: int
    frame_number: int
    intrinsics: Intrinsics | None
