"""Frames as the camera encoded them -> what the network sees, the frames of one observation in parallel."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import InvalidImage, InvalidObservation
from policy_api.images import decode_image, to_network_input
from policy_api.schema import CameraSpec, Observation, PolicySpec


@dataclass(frozen=True, eq=False)
class Decoded:
    """An observation's frames, decoded and resized."""

    images: dict[str, NDArray[np.uint8]]
    """(S, S, 3) network input by camera."""
    decode_ns: int
    """Decoding in the thread that took longest."""
    preprocess_ns: int
    """Resizing in the thread that took longest."""


class Decoder:
    """Threads that decode frames for all calls. Decoding frees the GIL."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: one for every core if not given."""
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="decode")

    def decode(self, observation: Observation, spec: PolicySpec) -> Decoded:
        """Decode and resize the frames of a validated observation. InvalidObservation if one is damaged."""
        if not spec.cameras:
            return Decoded({}, 0, 0)
        first, *others = spec.cameras
        handed_out = {camera: self._pool.submit(_network_input, observation, camera) for camera in others}
        try:
            mine = [_network_input(observation, first)]
            # What no thread has begun yet is done here: nobody waits for a pool that is busy with other robots.
            mine += [_network_input(observation, c) for c in reversed(others) if handed_out[c].cancel()]
            theirs = [frame.result() for frame in handed_out.values() if not frame.cancelled()]
        finally:
            for frame in handed_out.values():
                frame.cancel()
        images = {frame.camera: frame.pixels for frame in mine + theirs}
        return Decoded(
            images={camera.name: images[camera.name] for camera in spec.cameras},
            decode_ns=max(sum(f.decode_ns for f in mine), *(f.decode_ns for f in theirs), 0),
            preprocess_ns=max(sum(f.resize_ns for f in mine), *(f.resize_ns for f in theirs), 0),
        )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Frame:
    camera: str
    pixels: NDArray[np.uint8]
    decode_ns: int
    resize_ns: int


def _network_input(observation: Observation, camera: CameraSpec) -> _Frame:
    started_ns = time.monotonic_ns()
    try:
        rgb = decode_image(observation.images[camera.name], camera.depth)
        decoded_ns = time.monotonic_ns()
        pixels = to_network_input(rgb, camera)
    except InvalidImage as error:
        raise InvalidObservation(f"camera {camera.name!r}: {error}") from error
    return _Frame(camera.name, pixels, decoded_ns - started_ns, time.monotonic_ns() - decoded_ns)
