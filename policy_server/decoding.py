"""Frames as the camera encoded them -> what the network sees, the frames of one observation in parallel."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import InvalidImage, InvalidObservation
from policy_api.images import decode_image, to_network_input
from policy_api.schema import CameraSpec, EncodedImage, Observation, PolicySpec


@dataclass(frozen=True, eq=False)
class Decoded:
    """An observation's frames, decoded and resized."""

    images: dict[str, NDArray[np.uint8]]
    """(S, S, 3) network input by camera."""
    decode_ns: int
    """The longest decoding of a frame; frames are decoded in parallel."""
    preprocess_ns: int
    """The longest resizing."""


class Decoder:
    """Threads that decode frames for all calls. Decoding frees the GIL."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: one for every core if not given."""
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="decode")

    def decode(self, observation: Observation, spec: PolicySpec) -> Decoded:
        """Decode and resize the frames of a validated observation. InvalidObservation if one is damaged."""
        if not spec.cameras:
            return Decoded({}, 0, 0)
        *others, last = spec.cameras
        ahead = [self._pool.submit(_network_input, observation.images[camera.name], camera) for camera in others]
        here = _network_input(observation.images[last.name], last)  # this thread would only wait
        frames = [*(future.result() for future in ahead), here]
        return Decoded(
            images={camera.name: frame for camera, (frame, _, _) in zip(spec.cameras, frames, strict=True)},
            decode_ns=max(decode_ns for _, decode_ns, _ in frames),
            preprocess_ns=max(resize_ns for _, _, resize_ns in frames),
        )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _network_input(image: EncodedImage, camera: CameraSpec) -> tuple[NDArray[np.uint8], int, int]:
    """(Network input, ns of decoding, ns of resizing)."""
    started_ns = time.monotonic_ns()
    try:
        rgb = decode_image(image, camera.depth)
        decoded_ns = time.monotonic_ns()
        return to_network_input(rgb, camera), decoded_ns - started_ns, time.monotonic_ns() - decoded_ns
    except InvalidImage as error:
        raise InvalidObservation(f"camera {camera.name!r}: {error}") from error
