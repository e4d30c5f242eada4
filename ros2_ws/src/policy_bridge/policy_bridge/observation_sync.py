"""The newest image of every camera and the newest joint state, put together as one observation."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import EncodedImage, Observation

MAX_AGE_NS = 200_000_000
"""Oldest sample that still shows the present."""

MAX_SKEW_NS = 100_000_000
"""Most by which the samples of one observation may be apart: three frames of a 30 Hz camera."""


@dataclass(frozen=True, eq=False)
class JointSample:
    """Joint positions (7,), rad and m in the order of JOINT_NAMES, at a monotonic time."""

    position: NDArray[np.float64]
    stamp_ns: int


class ObservationSync:
    """Holds the newest sample of every source; all times are monotonic nanoseconds."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._images: dict[str, EncodedImage | None] = dict.fromkeys(cameras)
        self._joints: JointSample | None = None

    def on_image(self, camera: str, image: EncodedImage) -> None:
        """A frame arrived. Frames of cameras that the policy does not use are ignored."""
        if camera in self._images:
            self._images[camera] = image

    def on_joints(self, sample: JointSample) -> None:
        """A joint state arrived."""
        self._joints = sample

    def missing(self, now_ns: int, not_before_ns: int) -> str | None:
        """Say what keeps an observation from being taken now; None if nothing does.

        Every sample must have been taken at or after `not_before_ns`, be no older than MAX_AGE_NS, and all of
        them within MAX_SKEW_NS of each other.
        """
        stamps: dict[str, int | None] = {
            f"camera {name}": image.capture_ns if image else None for name, image in self._images.items()
        }
        stamps["joint states"] = self._joints.stamp_ns if self._joints else None
        taken: dict[str, int] = {}
        for source, stamp_ns in stamps.items():
            if stamp_ns is None:
                return f"{source}: nothing received yet"
            if stamp_ns < not_before_ns:
                late_ms = (not_before_ns - stamp_ns) / 1e6
                return f"{source}: the newest sample is {late_ms:.0f} ms older than the end of the last motion"
            if now_ns - stamp_ns > MAX_AGE_NS:
                return f"{source}: the newest sample is {(now_ns - stamp_ns) / 1e6:.0f} ms old"
            taken[source] = stamp_ns
        oldest, newest = min(taken, key=taken.__getitem__), max(taken, key=taken.__getitem__)
        skew_ns = taken[newest] - taken[oldest]
        if skew_ns > MAX_SKEW_NS:
            return f"{oldest} is {skew_ns / 1e6:.0f} ms older than {newest}"
        return None

    def collect(self, now_ns: int, not_before_ns: int, instruction: str, step: int) -> Observation | None:
        """Return the observation, or None while something is `missing`. Its stamp is that of the oldest image."""
        if self.missing(now_ns, not_before_ns) is not None or self._joints is None:
            return None
        images = {name: image for name, image in self._images.items() if image is not None}
        return Observation(
            state=self._joints.position.astype(np.float32),
            images=images,
            instruction=instruction,
            stamp_ns=min((image.capture_ns for image in images.values()), default=self._joints.stamp_ns),
            step=step,
        )
