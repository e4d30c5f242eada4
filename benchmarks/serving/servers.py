"""The servers of the benchmark, each a process: `python -m benchmarks.serving.servers KIND [--tls DIR]`.

"ours" and "ours-slow" are the policy server; "bare" is the least that gRPC can do for the same bytes: it decodes the
pictures and answers; "serial" does that with the slow policy, one request after the other.
"""

import argparse
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import simplejpeg
from policy_api import policy_pb2 as pb
from policy_api.channel import TlsFiles
from policy_api.malloc import keep_large_blocks
from policy_api.schema import MAX_MESSAGE_BYTES

from benchmarks.serving.policies import TimedPolicy, slow_policy
from policy_server.fixed_hub import FixedHub
from policy_server.security import server_credentials
from policy_server.server import PolicyServer, ServerConfig
from policy_server.threads import share_cores

BARE_METHOD = "/bench.Bare/Infer"
_THREADS = 16


class BareHandler(grpc.GenericRpcHandler):
    """One unary call: pictures decoded, the policy asked, its chunk sent back; nothing is checked."""

    def __init__(self, policy: TimedPolicy, one_by_one: bool) -> None:
        self._policy = policy
        self._turn = threading.Lock() if one_by_one else None

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of the one call there is."""
        if details.method != BARE_METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._infer, pb.InferRequest.FromString, pb.ActionChunk.SerializeToString
        )

    def _infer(self, request: pb.InferRequest, context: grpc.ServicerContext) -> pb.ActionChunk:
        images = {image.name: simplejpeg.decode_jpeg(image.data, colorspace="RGB") for image in request.images}
        state = np.frombuffer(request.state["state"].data, dtype="<f4")[np.newaxis]
        if self._turn is None:
            actions = self._policy.act(images, state, [request.task]).actions
        else:
            with self._turn:
                actions = self._policy.act(images, state, [request.task]).actions
        tensor = pb.Tensor(dtype=pb.F32, shape=actions.shape[1:], data=actions.tobytes())
        return pb.ActionChunk(obs_seq=request.seq, first_step=request.step, actions=tensor)


def _bare(policy: TimedPolicy, one_by_one: bool = False) -> tuple[grpc.Server, str]:
    size = [("grpc.max_send_message_length", MAX_MESSAGE_BYTES), ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=size)
    server.add_generic_rpc_handlers((BareHandler(policy, one_by_one),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def _ours(policy: TimedPolicy, tls: Path | None) -> tuple[PolicyServer, str]:
    credentials = None if tls is None else server_credentials(TlsFiles.of(tls))
    server = PolicyServer(FixedHub([policy]), ServerConfig(address="127.0.0.1:0", credentials=credentials))
    return server, server.address


def main() -> None:
    """Serve until the process is told to end or its standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("ours", "ours-slow", "bare", "serial"))
    parser.add_argument("--tls", type=Path, help="folder with the server's certificate (ours)")
    told = parser.parse_args()
    keep_large_blocks()
    if told.kind.startswith("ours"):
        share_cores()  # as `python -m policy_server` does
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    policy = slow_policy() if told.kind in ("ours-slow", "serial") else TimedPolicy()
    if told.kind.startswith("ours"):
        server, address = _ours(policy, told.tls)
    else:
        server, address = _bare(policy, one_by_one=told.kind == "serial")
    print(address, flush=True)
    sys.stdin.read()
    server.stop(0) if isinstance(server, grpc.Server) else server.stop()


if __name__ == "__main__":
    main()
