"""Which frames are fit to act on: a frame that is not is refused by name, and never published as a good one.

Every check looks at one frame, or at two that follow each other, so that a fault is seen with its first frame (frozen
pictures: with the third of the same).
"""

from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cameras.frames import Frame

MAX_AGE_NS: Final = 200_000_000
"""Oldest frame that still shows the present."""

DARK: Final = 16
"""Levels of 255: a pixel below it shows nothing."""

BRIGHT: Final = 240
"""Levels of 255: a pixel with every channel at or above it shows nothing."""

_MOST: Final = 0.99
_FLAT_LEVELS: Final = 1.0  # standard deviation of a picture that shows nothing; a sensor's noise alone has more
_NOISE_LEVELS: Final = 30.0  # mean step between neighbours; a sensor's noise is a tenth of it
_NOISE_RATIO: Final = 0.9  # steps between neighbours against the standard deviation: noise has 1.15, pictures 0.3
_PROBES: Final = 20  # pixels of a row: that so many are equal by chance, in many rows, does not happen
_TORN_SHARE: Final = 1 / 8  # of the rows, one below the other, each of one single colour
_SAME_FRAMES: Final = 3
_STEP: Final = 4  # every fourth pixel of every fourth row is looked at, where that is enough


class Refusal(NamedTuple):
    """Why a frame was refused: `kind` is one word for a counter, `text` is for a person."""

    kind: str
    text: str


class QualityGate:
    """Judges the frames of one stream, in their order.

    `noisy` says that pictures come from a sensor, where no two are the same. A rendered picture may be still, flat or
    half of one colour, so these faults are not looked for without it; repeated stamps are.
    """

    def __init__(self, width: int, height: int, noisy: bool) -> None:
        self._size = (width, height)
        self._noisy = noisy
        self._stamp: tuple[int, int] | None = None
        self._sample: NDArray[Any] | None = None
        self._same = 1

    def judge(self, frame: Frame, capture_ns: int, now_ns: int) -> Refusal | None:
        """Why the frame, captured at monotonic `capture_ns`, is unfit at `now_ns`; None if it is good."""
        height, width = frame.pixels.shape[:2]
        if (width, height) != self._size:
            wanted = "x".join(map(str, self._size))
            return Refusal(
                "size",
                f"the camera gives {width}x{height}, parameters width and height say {wanted}; make them equal",
            )
        frozen = self._frozen(frame)  # looks at every frame, also at one that is refused for something else
        if now_ns - capture_ns > MAX_AGE_NS:
            age_ms = (now_ns - capture_ns) / 1e6
            return Refusal("old", f"the frame is {age_ms:.0f} ms old, at most {MAX_AGE_NS // 1_000_000} ms are taken")
        return frozen or (_depth_fault(frame.pixels) if frame.stream == "depth" else self._color_fault(frame.pixels))

    def _frozen(self, frame: Frame) -> Refusal | None:
        stamp = (frame.capture_ns, frame.frame_number)
        repeated = self._stamp is not None and (stamp[0] == self._stamp[0] or stamp[1] == self._stamp[1])
        self._stamp = stamp
        if self._noisy:
            sample = frame.pixels[::_STEP, ::_STEP].copy()
            same = self._sample is not None and np.array_equal(sample, self._sample)
            self._same = self._same + 1 if same else 1
            self._sample = sample
        if repeated:
            return Refusal("frozen", "the camera repeats a frame: number or time stamp did not change")
        if self._same >= _SAME_FRAMES:
            return Refusal("frozen", f"the same picture {self._same} times: the camera is frozen")
        return None

    def _color_fault(self, rgb: NDArray[np.uint8]) -> Refusal | None:
        sample = np.ascontiguousarray(rgb[::_STEP, ::_STEP])
        dark = _share(sample, 0, DARK - 1)
        if dark > _MOST:
            return Refusal("black", f"{dark:.1%} of the picture is black: look for a lens cap, a light, the exposure")
        bright = _share(sample, BRIGHT, 255)
        if bright > _MOST:
            return Refusal("saturated", f"{bright:.1%} of the picture is white: look for a lamp, the exposure")
        green = cv2.extractChannel(rgb, 1)
        deviation = float(cv2.meanStdDev(green[::8])[1][0, 0])
        if _is_noise(green, deviation):
            return Refusal("garbage", "the picture is noise: look at cable, hub and USB bandwidth")
        if self._noisy and deviation < _FLAT_LEVELS:
            return Refusal("garbage", "the picture is of one single colour: the camera sends no picture")
        if self._noisy and _is_torn(green):
            return Refusal("garbage", "a part of the picture is missing: look at cable, hub and USB bandwidth")
        return None


def _depth_fault(depth_mm: NDArray[np.uint16]) -> Refusal | None:
    empty = float(np.mean(depth_mm[::_STEP, ::_STEP] == 0))
    if empty > _MOST:
        text = f"{empty:.1%} of the depth picture was not measured: look for a covered lens, or something too near"
        return Refusal("empty", text)
    return None


def _share(rgb: NDArray[np.uint8], low: int, high: int) -> float:
    """Share of the pixels of which every channel lies within the levels low..high."""
    return cv2.countNonZero(cv2.inRange(rgb, (low, low, low), (high, high, high))) / (rgb.shape[0] * rgb.shape[1])


def _is_noise(levels: cv2.typing.MatLike, deviation: float) -> bool:
    """Whether neighbours, along rows or along columns, have as little to do with each other as any two pixels."""
    rows = levels[:-1:8]
    along = cv2.mean(cv2.absdiff(rows[:, 1:], rows[:, :-1]))[0]
    across = cv2.mean(cv2.absdiff(levels[1::8], rows))[0]
    step = max(along, across)
    return step > _NOISE_LEVELS and step > _NOISE_RATIO * deviation


def _is_torn(levels: cv2.typing.MatLike) -> bool:
    """Whether there is a band of rows of one single level each: what was never received. Not the darkest and brightest
    levels, where a sensor has no noise.
    """
    probe = levels[:, :: max(1, levels.shape[1] // _PROBES)]
    lowest = probe.min(axis=1)
    flat = (lowest == probe.max(axis=1)) & (lowest > 0) & (lowest < BRIGHT)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat, [False]))))
    return bool(edges.size) and int(np.max(edges[1::2] - edges[::2])) >= _TORN_SHARE * len(levels)
