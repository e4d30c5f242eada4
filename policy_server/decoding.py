"""Frames as the camera encoded them -> what the network sees, the frames of one observation in parallel."""

import os
import threading
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


_NICENESS = 5
"""Of the pool's threads: while many robots' frames keep all cores busy, calls that need little are answered at once."""


class Decoder:
    """Threads that decode frames for all calls, no more than there are cores. Decoding frees the GIL.

    One call at a time decodes its first frame itself, which saves a lone robot the way to another thread.
    """

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: one for every core if not given."""
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "decode", initializer=_step_back)
        self._alone = threading.Lock()

    def decode(self, observation: Observation, spec: PolicySpec) -> Decoded:
        """Decode and resize the frames of a validated observation. InvalidObservation if one is damaged."""
        if not spec.cameras:
            return Decoded({}, 0, 0)
        alone = self._alone.acquire(blocking=False)
        first, others = (spec.cameras[:1], spec.cameras[1:]) if alone else ((), spec.cameras)
        handed_out = {camera: self._pool.submit(_network_input, observation, camera) for camera in others}
        try:
            mine = [_network_input(observation, camera) for camera in first]
            if alone:  # what no thread has begun yet is done here, too
                mine += [_network_input(observation, c) for c in reversed(others) if handed_out[c].cancel()]
            theirs = [frame.result() for frame in handed_out.values() if not frame.cancelled()]
        finally:
            if alone:
                self._alone.release()
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


def _step_back() -> None:
    """Lower the priority of the calling thread, which Linux does thread by thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)


def _network_input(observation: Observation, camera: CameraSpec) -> _Frame:
    started_ns = time.monotonic_ns()
    try:
        rgb = decode_image(observation.images[camera.name], camera.depth)
        decoded_ns = time.monotonic_ns()
        pixels = to_network_input(rgb, camera)
    except InvalidImage as error:
        raise InvalidObservation(f"camera {camera.name!r}: {error}") from error
    return _Frame(camera.name, pixels, decoded_ns - started_ns, time.monotonic_ns() - decoded_ns)
