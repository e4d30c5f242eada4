"""One robot's episodes over openpi's protocol, without its socket."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from policy_api.errors import InvalidMessage, InvalidObservation, PolicyApiError
from policy_api.spec_json import to_plain

from policy_server.decoding import Decoded, Decoder
from policy_server.observing import Chunk, Observer
from policy_server.openpi import wire
from policy_server.openpi.mapping import ObservationKeys
from policy_server.seam import Answer, Hub, Placement, Priority, Request

MAX_WAIT_S = 30.0
"""How long an observation may wait for its answer: openpi's robots name no deadline."""
_MAX_EPISODE_CHARS = 200


@dataclass(eq=False)
class Question:
    """An observation on its way, and what is told of it with its answer."""

    placement: Placement
    request: Request
    decoded: Decoded
    began_ns: int


class OpenPiSession:
    """Who asks, who answers, and where in the episode they are. One question after the other."""

    def __init__(
        self, hub: Hub, decoder: Decoder, keys: ObservationKeys, robot_id: str, model: str, observer: Observer
    ) -> None:
        """Place the robot with the hub: UnknownModel."""
        self._hub = hub
        self._decoder = decoder
        self._keys = keys
        self.robot_id = robot_id
        self._model = model
        self._observer = observer
        self._seq = 0
        self._episode = ""
        self._memory: object | None = None
        self._step = 0
        self._prev_total_ms: float | None = None
        self._placement = hub.place(robot_id, "", model, "", False)

    def metadata(self) -> dict[str, Any]:
        """What the robot is told on connecting."""
        served = self._placement.served
        return {
            "model": served.spec.model,
            "revision": served.revision,
            "spec_hash": served.spec.spec_hash,
            "contract": to_plain(served.spec),
        }

    def ask(self, data: bytes, wanted: Callable[[], bool]) -> Question:
        """Read, check and decode an observation and hand it to the policy's worker; the answer is the request's.

        Takes milliseconds, so not for the thread of an event loop. InvalidMessage, InvalidObservation, UnknownModel.
        """
        began_ns = time.monotonic_ns()
        message = wire.unpack(data)
        if not isinstance(message, dict):
            raise InvalidMessage(f"an observation is a map, got {type(message).__name__}")
        self._begin_episode(message.get("episode", self._episode))
        step = message.get("step", self._step)
        if type(step) is not int:
            raise InvalidObservation(f"'step' must be a whole number, got {type(step).__name__}")
        observation = self._keys.read(message, self._placement.served.spec, step)
        decoded = self._decoder.decode(observation, self._placement.served.spec)
        self._step = step
        request = Request(
            images=decoded.images,
            state=observation.state,
            instruction=observation.instruction,
            committed=None,
            memory=self._memory,
            priority=Priority.ROBOT,
            arrived_ns=began_ns,
            deadline_ns=began_ns + round(MAX_WAIT_S * 1e9),
            wanted=wanted,
            answer=Future(),
            step=step,
        )
        self._placement.served.submit(request)
        return Question(self._placement, request, decoded, began_ns)

    def answered(self, question: Question, answer: Answer) -> bytes:
        """The reply to a question, after which the next one may come."""
        placement, decoded = question.placement, question.decoded
        self._hub.answered(placement, question.request, answer)
        self._memory = answer.memory
        self._step += placement.served.spec.horizon
        self._seq += 1
        self._observer.chunk(
            Chunk(
                robot_id=self.robot_id,
                model=placement.served.spec.model,
                revision=placement.served.revision,
                slot=placement.slot,
                seq=self._seq,
                step=question.request.step,
                batch=answer.batch,
                decode_ns=decoded.decode_ns,
                preprocess_ns=decoded.preprocess_ns + answer.preprocess_ns,
                queue_ns=answer.queue_ns,
                infer_ns=answer.infer_ns,
                postprocess_ns=answer.postprocess_ns,
            )
        )
        total_ms = (time.monotonic_ns() - question.began_ns) / 1e6
        timing = {
            "infer_ms": total_ms,
            "decode_ms": decoded.decode_ns / 1e6,
            "queue_ms": answer.queue_ns / 1e6,
            "batch": answer.batch,
        }
        if self._prev_total_ms is not None:
            timing["prev_total_ms"] = self._prev_total_ms
        reply = wire.pack(
            {
                "actions": answer.actions,
                "revision": placement.served.revision,
                "policy_timing": {"infer_ms": answer.infer_ns / 1e6},
                "server_timing": timing,
            }
        )
        self._prev_total_ms = (time.monotonic_ns() - question.began_ns) / 1e6
        return reply

    def refused(self, question: Question, error: PolicyApiError) -> None:
        """Tell the hub that a question found no answer."""
        self._hub.answered(question.placement, question.request, error)

    def close(self) -> None:
        """The robot has gone."""
        self._hub.release(self._placement, "")

    def _begin_episode(self, episode: object) -> None:
        if episode == self._episode:
            return
        if not isinstance(episode, str) or len(episode) > _MAX_EPISODE_CHARS:
            raise InvalidObservation(f"'episode' must be a text of at most {_MAX_EPISODE_CHARS} characters")
        placement = self._hub.place(self.robot_id, episode, self._model, "", False)
        self._hub.release(self._placement, "")
        self._placement, self._episode, self._memory, self._step = placement, episode, None, 0
