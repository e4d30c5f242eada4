"""A gRPC server that speaks the policy protocol and has no policy: it answers zeros and notes what it was asked.

Run as a program, `python wire_server.py ADDRESS SPEC_FILE`, it serves until it is killed.
"""

import queue
import secrets
import sys
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from policy_api.channel import TlsFiles
from policy_api.schema import ActionChunk, PolicySpec
from policy_api.shared_frames import is_local_peer, read_shared


class WireService(policy_pb2_grpc.PolicyServiceServicer):
    """Sessions without leases. Set `spoil` to change a reply to Infer, `refuse` to (status, text, class name)."""

    def __init__(self, spec, prefix_steps=0):
        self.spec = spec
        self.prefix_steps = prefix_steps
        self.boot_id = secrets.token_hex(4)
        self.revision = "a" * 64
        self.epochs = {}
        self.asked = []  # every request but Infer
        self.observations = []
        self.events = queue.Queue()
        self.watching = queue.Queue()
        self.spoil = lambda reply: None
        self.refuse = None

    def refuse_or_go_on(self, context):
        if self.refuse is not None:
            status, text, name = self.refuse
            context.set_trailing_metadata((("policy-error", name),) if name else ())
            context.abort(status, text)

    def session(self, session_id):
        return pb.Session(
            session_id=session_id,
            epoch=self.epochs[session_id],
            spec=serde.spec_to_proto(self.spec, self.revision, self.prefix_steps),
            slot="stable",
            lease_ms=1000,
            p95_infer_us=7,
            boot_id=self.boot_id,
        )

    def known(self, session_id, context):
        if session_id not in self.epochs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"session {session_id!r} is not open here; open a new session")

    def OpenSession(self, request, context):  # noqa: N802 - named by the proto
        self.asked.append(request)
        self.refuse_or_go_on(context)
        session_id = secrets.token_hex(8)
        self.epochs[session_id] = 1
        return self.session(session_id)

    def ResetSession(self, request, context):  # noqa: N802
        self.asked.append(request)
        self.known(request.session_id, context)
        self.epochs[request.session_id] += 1
        return self.session(request.session_id)

    def CloseSession(self, request, context):  # noqa: N802
        self.asked.append(request)
        self.known(request.session_id, context)
        del self.epochs[request.session_id]
        return pb.CloseSessionResponse()

    def Infer(self, request, context):  # noqa: N802
        self.known(request.session_id, context)
        self.refuse_or_go_on(context)
        shared = read_shared if is_local_peer(context.peer()) else None
        observation = serde.observation_from_proto(request, shared)
        self.observations.append((request, observation))
        actions = np.zeros((self.spec.horizon, len(self.spec.action)), np.float32)
        chunk = ActionChunk(actions, self.spec.dt_ns, observation.step, observation.stamp_ns, self.revision)
        reply = serde.chunk_to_proto(chunk)
        reply.session_id, reply.epoch, reply.obs_seq = request.session_id, request.epoch, request.seq
        self.spoil(reply)
        return reply

    def Watch(self, request, context):  # noqa: N802
        self.known(request.session_id, context)
        self.watching.put(request.session_id)
        while context.is_active():
            try:
                event = self.events.get(timeout=0.05)
            except queue.Empty:
                continue
            if event is None:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the stream broke")
            yield event


def serve(service, address="127.0.0.1:0", tls: TlsFiles | None = None):
    """A running server and the address it is on."""
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    policy_pb2_grpc.add_PolicyServiceServicer_to_server(service, server)
    if tls is None:
        port = server.add_insecure_port(address)
    else:
        pair = (tls.key.read_bytes(), tls.cert.read_bytes())
        secrets_ = grpc.ssl_server_credentials([pair], tls.ca.read_bytes(), require_client_auth=True)
        port = server.add_secure_port(address, secrets_)
    server.start()
    return server, address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"


if __name__ == "__main__":
    running, bound = serve(WireService(PolicySpec.from_json(Path(sys.argv[2]).read_text())), sys.argv[1])
    print(bound, flush=True)
    running.wait_for_termination()
