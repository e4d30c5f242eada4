"""What each call of PolicyService does with policies in this process; no gRPC in it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from importlib.metadata import version

from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.errors import (
    DeadlineExceeded,
    PermissionDenied,
    PolicyApiError,
    ServerUnavailable,
)
from policy_api.schema import (
    CODECS,
    MAX_MESSAGE_BYTES,
    PolicySpec,
    ServedModel,
    ServerInfo,
)
from policy_api.shared_frames import read_shared

from policy_server.decoding import Decoder
from policy_server.events import EventBus, Subscription
from policy_server.front import Caller, Front
from policy_server.observing import Observer, Observers
from policy_server.replies import chunk_of, told_of
from policy_server.requests import check_contract, check_names, outcome_of, priority_of
from policy_server.seam import Answer, Hub, Placement, Request
from policy_server.served import check_prefix
from policy_server.sessions import Session, SessionTable
from policy_server.upkeep import Upkeep

log = logging.getLogger(__name__)

MAX_WAIT_NS = 30_000_000_000
"""How long a call without a deadline may wait for the policy."""


class PolicyCalls(Front):
    """Sessions in front of the revisions of a hub."""

    def __init__(self, hub: Hub, sessions: SessionTable, observer: Observer | None = None) -> None:
        """`observer` is told of every observation that is answered."""
        self._hub = hub
        self._observer = observer or Observers()
        self._sessions = sessions
        self._decoder = Decoder()
        self._events = EventBus()
        self._upkeep = Upkeep(hub, sessions, self._events)
        self._upkeep.start()
        self._boot_id = uuid.uuid4().hex
        self._draining = False

    def contracts(self) -> list[tuple[PolicySpec, str, int]]:
        """The hub's."""
        return self._hub.contracts()

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """The hub's."""
        return self._hub.subscribe(on_change)

    def info(self) -> pb.ServerInfo:
        """What this server is and which contracts it serves."""
        info = ServerInfo(
            server_version=version("armature"),
            api_versions=("v1",),
            codecs=CODECS,
            max_message_bytes=MAX_MESSAGE_BYTES,
            boot_id=self._boot_id,
            models=tuple(ServedModel(*contract) for contract in self._hub.contracts()),
        )
        return serde.server_info_to_proto(info)

    def open_session(self, request: pb.OpenSessionRequest, caller: Caller) -> pb.Session:
        """Open a session if the caller's contract is that of the revision it is given."""
        if self._draining:
            raise ServerUnavailable("the server is about to stop; connect again in some seconds")
        check_names(robot_id=request.robot_id, episode_id=request.episode_id)
        if caller.identity is not None and request.robot_id != caller.identity:
            raise PermissionDenied(
                f"robot_id is {request.robot_id!r}, your certificate says {caller.identity!r}; they must be the same"
            )
        priority = priority_of(request.priority)
        self._upkeep.forget_silent(caller.arrived_ns)
        placement = self._hub.place(
            request.robot_id, request.episode_id, request.model, request.revision, request.stable_only
        )
        try:
            check_contract(request, placement.served)
            session = self._sessions.open(
                request.robot_id,
                caller.identity,
                placement,
                caller.arrived_ns,
                priority=priority,
                revision=request.revision,
                stable_only=request.stable_only,
                lease_ns=request.lease_ms * 1_000_000,
            )
        except PolicyApiError:
            self._hub.release(placement, "")
            raise
        log.info("session %s opened by %r, episode %r", session.session_id, request.robot_id, request.episode_id)
        return self._session(session)

    def infer(self, message: pb.InferRequest, caller: Caller) -> pb.ActionChunk:
        """Answer one observation."""
        session = self._sessions.get(message.session_id, caller.identity, caller.arrived_ns)
        slot, placement = session.slot, session.placement
        slot.accept(message.epoch, message.seq)
        observation = serde.observation_from_proto(message, read_shared if caller.local else None)
        observation.validate(placement.served.spec)
        check_prefix(observation.committed, placement.served.prefix_steps, placement.served.spec.model)
        decoded = self._decoder.decode(observation, placement.served.spec)
        request = Request(
            images=decoded.images,
            state=observation.state,
            instruction=observation.instruction,
            committed=observation.committed,
            memory=None,  # the slot's, once the request before it is done
            priority=session.priority,
            arrived_ns=caller.arrived_ns,
            deadline_ns=caller.deadline_ns,
            wanted=caller.wanted,
            answer=Future(),
            step=observation.step,
            queued_ns=time.monotonic_ns(),
        )
        slot.offer(message.epoch, message.seq, request, placement.served.submit)
        try:
            answer = self._wait(request, placement)
        except CancelledError:
            slot.check(message.epoch, message.seq)
            raise DeadlineExceeded("the request was given up") from None
        slot.check_epoch(message.epoch)
        self._observer.chunk(told_of(answer, message, decoded, session.robot_id, placement, caller))
        reply = serde.chunk_to_proto(chunk_of(answer, observation, decoded, placement.served))
        reply.session_id, reply.epoch, reply.obs_seq = message.session_id, message.epoch, message.seq
        return reply

    def reset_session(self, request: pb.ResetSessionRequest, caller: Caller) -> pb.Session:
        """Begin the next epoch, with the revision that traffic now says."""
        check_names(episode_id=request.episode_id)
        outcome = outcome_of(request.outcome)
        session = self._sessions.get(request.session_id, caller.identity, caller.arrived_ns)
        served = session.placement.served
        revision = served.revision if request.keep_revision else session.revision
        self._hub.judged(session.placement, outcome)  # may end a canary, which then does not get the next episode
        placement = self._hub.place(
            session.robot_id, request.episode_id, served.spec.model, revision, session.stable_only
        )
        try:
            session.slot.reset()
            before = self._sessions.move(session, placement)
        except PolicyApiError:
            self._hub.release(placement, "")
            raise
        self._hub.release(before, outcome)
        log.info("session %s reset, epoch %d, episode %r", session.session_id, session.slot.epoch, request.episode_id)
        return self._session(session)

    def close_session(self, request: pb.CloseSessionRequest, caller: Caller) -> pb.CloseSessionResponse:
        """Forget a session."""
        outcome = outcome_of(request.outcome)
        session = self._sessions.get(request.session_id, caller.identity, caller.arrived_ns)
        self._events.end(session.session_id)
        self._upkeep.end(session, "the session was closed", outcome)
        return pb.CloseSessionResponse()

    def watch(self, request: pb.WatchRequest, caller: Caller) -> tuple[Subscription, Iterator[pb.SessionEvent]]:
        """What happens to a session, until it ends; the subscription can be ended from outside."""
        session = self._sessions.get(request.session_id, caller.identity, caller.arrived_ns)
        subscription = self._events.watch(session.session_id)
        try:
            session.slot.check_epoch(session.slot.epoch)
        except PolicyApiError:  # it ended just before it was watched, so nobody will end the stream
            self._events.leave(session.session_id, subscription)
            raise
        return subscription, self._follow(session.session_id, subscription)

    def drain(self, grace_ns: int) -> None:
        """Take no more sessions and tell those that watch that the server stops after `grace_ns`."""
        self._draining = True
        self._events.drain(grace_ns // 1_000_000)

    def close(self) -> None:
        """End the threads."""
        self._upkeep.stop()
        self._decoder.close()

    def _follow(self, session_id: str, subscription: Subscription) -> Iterator[pb.SessionEvent]:
        try:
            while (event := subscription.next()) is not None:
                yield event
        finally:
            self._events.leave(session_id, subscription)

    def _wait(self, request: Request, placement: Placement) -> Answer:
        """The worker's answer; whatever it is, the hub learns of it."""
        left_s = max(0, request.deadline_ns - time.monotonic_ns()) * 1e-9
        try:
            answer = request.answer.result(left_s)
        except FutureTimeoutError:
            late = DeadlineExceeded("the policy had not answered at the deadline; give more time or use fewer clients")
            if request.answer.cancel():  # otherwise the worker counts it when the policy is done
                placement.served.stats.deadline_missed()
            self._hub.answered(placement, request, late)
            raise late from None
        except PolicyApiError as error:
            self._hub.answered(placement, request, error)
            raise
        self._hub.answered(placement, request, answer)
        return answer

    def _session(self, session: Session) -> pb.Session:
        served = session.placement.served
        return pb.Session(
            session_id=session.session_id,
            epoch=session.slot.epoch,
            spec=serde.spec_to_proto(served.spec, served.revision, served.prefix_steps),
            slot=session.placement.slot,
            lease_ms=session.lease_ns // 1_000_000,
            p95_infer_us=served.p95_infer_ns() // 1000,
            boot_id=self._boot_id,
        )
