"""One observation through the policy: decode outside its lock, act inside, check what comes out."""

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import DeadlineExceeded, InvalidActions, InvalidImage, InvalidObservation, ServerFault
from policy_api.images import decode_image, to_network_input
from policy_api.schema import ActionChunk, CameraSpec, EncodedImage, Observation, Timing

from policy_server.policy import Policy

log = logging.getLogger(__name__)

_WARM_UP_RUNS = 3

NetworkInputs = dict[str, NDArray[np.uint8]]


class InferenceEngine:
    """A policy that many sessions share. Callers wait for it in turn."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.spec = policy.spec
        self.spec.validate()
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Run the policy on grey images, so that the first robot does not wait. ServerFault if it cannot act."""
        grey: NetworkInputs = {
            camera.name: np.full((camera.input_size, camera.input_size, 3), 128, dtype=np.uint8)
            for camera in self.spec.cameras
        }
        middle = np.array([(f.lower + f.upper) / 2 for f in self.spec.state], dtype=np.float32)
        for _ in range(_WARM_UP_RUNS):
            self._chunk(self._act(grey, middle, self.spec.task), 0, 0, Timing())

    def infer(self, observation: Observation, wait_s: float, wanted: Callable[[], bool]) -> ActionChunk:
        """Actions for one observation.

        Waits at most `wait_s` for the policy, and does not run it if nobody is `wanted()` any more.
        Raises InvalidObservation, DeadlineExceeded, ServerFault.
        """
        start_ns = time.perf_counter_ns()
        observation.validate(self.spec)
        inputs = {camera.name: _network_input(observation.images[camera.name], camera) for camera in self.spec.cameras}
        decoded_ns = time.perf_counter_ns()
        if not self._lock.acquire(timeout=max(0.0, wait_s - (decoded_ns - start_ns) * 1e-9)):
            raise DeadlineExceeded("the policy was busy with other sessions until the deadline")
        try:
            free_ns = time.perf_counter_ns()
            if not wanted():
                raise DeadlineExceeded("the caller gave up while the policy was busy with other sessions")
            actions = self._act(inputs, observation.state, observation.instruction)
            done_ns = time.perf_counter_ns()
        finally:
            self._lock.release()
        timing = Timing(
            queue_us=(free_ns - decoded_ns) // 1000,
            decode_us=(decoded_ns - start_ns) // 1000,
            infer_us=(done_ns - free_ns) // 1000,
        )
        return self._chunk(actions, observation.step, observation.stamp_ns, timing)

    def _act(self, inputs: NetworkInputs, state: NDArray[np.float32], instruction: str) -> NDArray[np.float32]:
        images = {name: image[np.newaxis] for name, image in inputs.items()}
        try:
            return self.policy.act(images, state[np.newaxis], [instruction], temperature=0.0).actions
        except Exception as error:  # a policy may raise anything; the peer is told only that it did
            log.exception("policy raised")
            raise ServerFault("the policy raised an error; the server's log holds it") from error

    def _chunk(self, actions: NDArray[np.float32], first_step: int, observation_ns: int, timing: Timing) -> ActionChunk:
        expected = (1, self.spec.horizon, len(self.spec.action))
        if actions.shape != expected:
            raise self._refused(f"actions have shape {actions.shape}, the contract says {expected}")
        chunk = ActionChunk(actions[0], self.spec.dt_ns, first_step, observation_ns, self.policy.revision, timing)
        try:
            chunk.validate(self.spec)
        except InvalidActions as error:
            raise self._refused(str(error)) from error
        return chunk

    def _refused(self, reason: str) -> ServerFault:
        log.error("policy's answer refused: %s", reason)
        return ServerFault(f"the policy's answer breaks its contract and was not sent: {reason}")


def _network_input(image: EncodedImage, camera: CameraSpec) -> NDArray[np.uint8]:
    try:
        return to_network_input(decode_image(image), camera)
    except InvalidImage as error:
        raise InvalidObservation(f"camera {camera.name!r}: {error}") from error
