"""Observations that fit a contract: what a robot would send, made up."""

from collections.abc import Iterator

import cv2
import numpy as np
from policy_api.images import encode_jpeg, encode_z16
from policy_api.schema import CameraSpec, EncodedImage, Observation, PolicySpec

FRAMES = 4
"""Different pictures a camera; they are encoded beforehand, as a camera would have done it."""

_BLUR = 6.0  # pixels; with the noise on top, a 640x480 picture of quality 90 has about the size of a photograph


def made_up(spec: PolicySpec, seed: int) -> Iterator[Observation]:
    """Observations without end: JPEG pictures, or depth, and states in the middle half of their range.

    `step` counts up from 0 and `stamp_ns` with it.
    """
    random = np.random.default_rng(seed)
    frames = {camera.name: [_frame(camera, random) for _ in range(FRAMES)] for camera in spec.cameras}
    lower = np.array([field.lower for field in spec.state])
    upper = np.array([field.upper for field in spec.state])
    step = 0
    while True:
        yield Observation(
            state=(lower + (upper - lower) * random.uniform(0.25, 0.75, len(lower))).astype(np.float32),
            images={name: encoded[step % FRAMES] for name, encoded in frames.items()},
            instruction=spec.task,
            stamp_ns=step * spec.dt_ns,
            step=step,
        )
        step += 1


def _frame(camera: CameraSpec, random: np.random.Generator) -> EncodedImage:
    smooth = cv2.GaussianBlur(random.normal(0, 1, (camera.height, camera.width, 3)).astype(np.float32), (0, 0), _BLUR)
    smooth = smooth / smooth.std() * 45 + random.normal(0, 4, smooth.shape)
    rgb = np.clip(smooth + 128, 0, 255).astype(np.uint8)
    if camera.depth is None:
        return EncodedImage("jpeg", camera.width, camera.height, encode_jpeg(rgb, camera.jpeg_quality), 0)
    metres = camera.depth.near + rgb[..., 0] / 255 * (camera.depth.far - camera.depth.near)
    return EncodedImage("z16", camera.width, camera.height, encode_z16((metres * 1000).astype(np.uint16)), 0)
