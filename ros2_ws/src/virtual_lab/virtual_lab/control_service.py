"""The lab's control service on a loopback gRPC port."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from typing import Final, NoReturn, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from virtual_lab import lab_pb2, lab_pb2_grpc
from virtual_lab.can_faults import CanFault, FaultKind
from virtual_lab.lab import Lab, NotAtHomeError
from virtual_lab.tick_clock import TickClock

Result = TypeVar("Result")

SERVICE_NAME: Final = "virtual_lab.v1.LabControl"
_TICK_THREAD_TIMEOUT_S: Final = 5.0
_STOP_GRACE_S: Final = 0.5


class _LabControl(lab_pb2_grpc.LabControlServicer):
    """Passes requests to the ticking thread and its answers back."""

    def __init__(self, lab: Lab, clock: TickClock) -> None:
        self._lab = lab
        self._clock = clock

    def Reset(  # noqa: N802 - the name in the proto
        self, request: lab_pb2.ResetRequest, context: grpc.ServicerContext
    ) -> lab_pb2.ResetReply:
        """See lab.proto."""
        try:
            instruction = self._in_lab(
                lambda lab: lab.reset(request.seed, request.task, request.force_arm_home), context
            )
        except ValueError as error:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except NotAtHomeError as error:
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return lab_pb2.ResetReply(instruction=instruction)

    def GetTruth(  # noqa: N802 - the name in the proto
        self, request: lab_pb2.GetTruthRequest, context: grpc.ServicerContext
    ) -> lab_pb2.GetTruthReply:
        """See lab.proto."""
        truth = self._in_lab(Lab.truth, context)
        names = ("x", "y", "z", "qw", "qx", "qy", "qz")
        return lab_pb2.GetTruthReply(
            success=truth.success,
            object_poses={
                body: lab_pb2.Pose(**dict(zip(names, pose.tolist(), strict=True)))
                for body, pose in truth.object_poses.items()
            },
            ticks=self._clock.ticks,
            mean_loop_hz=self._clock.mean_hz(time.monotonic_ns()),
            joint_position=truth.joint_position.tolist(),
            torque_on=truth.torque_on,
            seed=truth.seed,
        )

    def SetCanFaults(  # noqa: N802 - the name in the proto
        self, request: lab_pb2.SetCanFaultsRequest, context: grpc.ServicerContext
    ) -> lab_pb2.SetCanFaultsReply:
        """See lab.proto."""
        try:
            faults = [_fault(message) for message in request.faults]
        except ValueError as error:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

        def switch(lab: Lab) -> int:
            lab.set_can_faults(faults)
            return time.monotonic_ns()

        return lab_pb2.SetCanFaultsReply(since_ns=self._in_lab(switch, context))

    def _in_lab(self, function: Callable[[Lab], Result], context: grpc.ServicerContext) -> Result:
        future: Future[Result] = self._lab.submit(function)
        try:
            return future.result(_TICK_THREAD_TIMEOUT_S)
        except TimeoutError:
            _abort(context, grpc.StatusCode.UNAVAILABLE, "the lab's loop does not run; it is stopping or stuck")


def _fault(message: lab_pb2.CanFault) -> CanFault:
    known = [kind.value for kind in FaultKind]
    if message.kind not in known:
        raise ValueError(f"no fault is called {message.kind!r}; known are {', '.join(known)}")
    return CanFault(
        FaultKind(message.kind),
        tuple(message.frame_ids),
        dict(message.values),
        every=message.every,
        delay_ticks=message.delay_ticks,
        share=message.share,
    )


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, text: str) -> NoReturn:
    context.abort(code, text)
    raise AssertionError("abort raises")


class ControlServer:
    """Serves `LabControl` and grpc.health on `address`. Raises OSError if the address is taken."""

    def __init__(self, lab: Lab, clock: TickClock, address: str) -> None:
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        lab_pb2_grpc.add_LabControlServicer_to_server(_LabControl(lab, clock), self._server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in ("", SERVICE_NAME):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {address} ({error}); is another lab running? Give this one another --control-address"
            ) from error
        self.address = f"{address.rsplit(':', 1)[0]}:{port}"
        """Where it listens; port 0 was replaced by the one the system chose."""
        self._server.start()

    def close(self) -> None:
        """Stops serving."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_STOP_GRACE_S).wait()
