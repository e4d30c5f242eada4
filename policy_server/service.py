"""The gRPC service: messages in, errors turned into status codes, messages out."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import grpc
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from policy_api.errors import (
    ContractMismatch,
    DeadlineExceeded,
    InvalidMessage,
    InvalidObservation,
    InvalidSpec,
    PolicyApiError,
    ServerBusy,
    ServerFault,
    StaleRequest,
    UnknownSession,
)
from policy_api.schema import CODECS, MAX_MESSAGE_BYTES, PolicySpec, ServedModel, ServerInfo, first_difference

from policy_server.inference import InferenceEngine
from policy_server.sessions import SessionTable

log = logging.getLogger(__name__)

MAX_WAIT_S = 30.0
"""How long a call without a deadline may wait for the policy."""

_MAX_DETAILS = 1000  # gRPC carries the text in a header of at most 8 kB, and it may quote the peer

_STATUS: dict[type[PolicyApiError], grpc.StatusCode] = {
    ContractMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidSpec: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidObservation: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidMessage: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownSession: grpc.StatusCode.NOT_FOUND,
    StaleRequest: grpc.StatusCode.ABORTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    ServerBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ServerFault: grpc.StatusCode.INTERNAL,
}


@contextmanager
def _answering(context: grpc.ServicerContext) -> Iterator[None]:
    """Turn an error into its status code. The peer gets the text, never a traceback."""
    try:
        yield
    except PolicyApiError as error:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        text = str(error)[:_MAX_DETAILS]
        log.info("%s: %s", status.name, text)
        context.abort(status, text)
    except Exception:  # the last line of defence: a defect of ours must not show its insides
        log.exception("call failed")
        context.abort(grpc.StatusCode.INTERNAL, "the server failed; its log holds the cause")


class PolicyService(policy_pb2_grpc.PolicyServiceServicer):
    """Sessions in front of one policy."""

    def __init__(self, engine: InferenceEngine, sessions: SessionTable) -> None:
        self._engine = engine
        self._sessions = sessions
        self._boot_id = uuid.uuid4().hex

    def GetServerInfo(  # noqa: N802 - named by the proto
        self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> pb.ServerInfo:
        """What this server is and which contract it serves."""
        info = ServerInfo(
            server_version=version("armature"),
            api_versions=("v1",),
            codecs=CODECS,
            max_message_bytes=MAX_MESSAGE_BYTES,
            boot_id=self._boot_id,
            models=(ServedModel(self._engine.spec, self._engine.policy.revision),),
        )
        return serde.server_info_to_proto(info)

    def OpenSession(  # noqa: N802 - named by the proto
        self, request: pb.OpenSessionRequest, context: grpc.ServicerContext
    ) -> pb.Session:
        """Open a session if the caller's contract is ours."""
        with _answering(context):
            if request.HasField("expect_spec"):
                self._compare(serde.spec_from_proto(request.expect_spec)[0])
            self._compare_hash(request.expect_spec_hash)
            session_id = self._sessions.open(request.robot_id, time.monotonic_ns())
            log.info("session %s opened by %r, episode %r", session_id, request.robot_id, request.episode_id)
            return self._session(session_id, epoch=1)

    def Infer(  # noqa: N802 - named by the proto
        self, request: pb.InferRequest, context: grpc.ServicerContext
    ) -> pb.ActionChunk:
        """Answer one observation."""
        with _answering(context):
            self._sessions.accept(request.session_id, request.epoch, request.seq, time.monotonic_ns())
            remaining_s = context.time_remaining()
            wait_s = MAX_WAIT_S if remaining_s is None else min(remaining_s, MAX_WAIT_S)
            observation = serde.observation_from_proto(request)
            chunk = self._engine.infer(observation, wait_s, context.is_active)
            self._sessions.check_epoch(request.session_id, request.epoch, time.monotonic_ns())
            reply = serde.chunk_to_proto(chunk)
            reply.session_id, reply.epoch, reply.obs_seq = request.session_id, request.epoch, request.seq
            return reply

    def ResetSession(  # noqa: N802 - named by the proto
        self, request: pb.ResetSessionRequest, context: grpc.ServicerContext
    ) -> pb.Session:
        """Begin the next epoch."""
        with _answering(context):
            epoch = self._sessions.reset(request.session_id, time.monotonic_ns())
            log.info("session %s reset, epoch %d, episode %r", request.session_id, epoch, request.episode_id)
            return self._session(request.session_id, epoch)

    def CloseSession(  # noqa: N802 - named by the proto
        self, request: pb.CloseSessionRequest, context: grpc.ServicerContext
    ) -> pb.CloseSessionResponse:
        """Forget a session."""
        with _answering(context):
            self._sessions.close(request.session_id, time.monotonic_ns())
            log.info("session %s closed", request.session_id)
            return pb.CloseSessionResponse()

    def _session(self, session_id: str, epoch: int) -> pb.Session:
        return pb.Session(
            session_id=session_id,
            epoch=epoch,
            spec=serde.spec_to_proto(self._engine.spec, self._engine.policy.revision),
            lease_ms=self._sessions.lease_ns // 1_000_000,
            boot_id=self._boot_id,
        )

    def _compare(self, expected: PolicySpec) -> None:
        found = first_difference(expected, self._engine.spec)
        if found is not None:
            raise ContractMismatch(
                f"contracts differ at {found} (robot against policy); "
                "load a checkpoint trained for this robot, or set the robot up like the checkpoint"
            )

    def _compare_hash(self, expected: str) -> None:
        ours = self._engine.spec.spec_hash
        if expected and expected != ours:
            raise ContractMismatch(
                f"contracts differ: the robot expects {expected}, model {self._engine.spec.model!r} has {ours}; "
                "send the whole contract (expect_spec) to learn which field, or read ours with GetServerInfo"
            )
