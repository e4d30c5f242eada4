"""Client of a virtual lab's control service, for those who run episodes in it."""

from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from virtual_lab import lab_pb2, lab_pb2_grpc
from virtual_lab.can_faults import CanFault


class LabError(RuntimeError):
    """The lab refused a request or cannot be reached; `code` is the gRPC status, the text says what to do."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class LabTruth:
    """What really is in the lab."""

    success: bool
    """Whether the task succeeded at any time since the last reset."""
    seed: int
    object_poses: dict[str, NDArray[np.float64]]
    """Pose (7,) of every body in the base frame: x y z (m) qw qx qy qz."""
    ticks: int
    mean_loop_hz: float
    joint_position: NDArray[np.float64]
    """(7,): rad, and the gripper opening in m."""
    torque_on: bool


class LabClient:
    """Talks to the lab at `address` (host:port); every call has `timeout_s`. It is a context manager.

    Calls raise `LabError`: INVALID_ARGUMENT (seed, task or fault), FAILED_PRECONDITION (arm away from home),
    UNAVAILABLE or DEADLINE_EXCEEDED (no lab there).
    """

    def __init__(self, address: str, timeout_s: float = 5.0) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address)
        self._stub = lab_pb2_grpc.LabControlStub(self._channel)

    def wait_ready(self, timeout_s: float) -> None:
        """Waits until the lab answers; raises `LabError` (UNAVAILABLE) if it does not in time."""
        try:
            grpc.channel_ready_future(self._channel).result(timeout_s)
        except grpc.FutureTimeoutError:
            text = f"no virtual lab answers at {self._address} within {timeout_s:g} s; start one: virtual_lab"
            raise LabError(grpc.StatusCode.UNAVAILABLE, text) from None

    def reset(self, seed: int, task: str = "", force_arm_home: bool = False) -> str:
        """Starts the episode of `seed` (2000000 to 2999999); its instruction.

        `task` is checked against the lab's if given. `force_arm_home` puts the arm at home at once, for tests.
        """
        request = lab_pb2.ResetRequest(seed=seed, task=task, force_arm_home=force_arm_home)
        try:
            return str(self._stub.Reset(request, timeout=self._timeout_s).instruction)
        except grpc.RpcError as error:
            raise self._error("reset the lab", error) from error

    def truth(self) -> LabTruth:
        """What really is in the lab now."""
        try:
            reply = self._stub.GetTruth(lab_pb2.GetTruthRequest(), timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise self._error("read the lab's truth", error) from error
        return LabTruth(
            success=reply.success,
            seed=reply.seed,
            object_poses={
                body: np.array([p.x, p.y, p.z, p.qw, p.qx, p.qy, p.qz]) for body, p in reply.object_poses.items()
            },
            ticks=reply.ticks,
            mean_loop_hz=reply.mean_loop_hz,
            joint_position=np.array(reply.joint_position),
            torque_on=reply.torque_on,
        )

    def set_can_faults(self, *faults: CanFault) -> int:
        """Gives the wire between the arm and its bus these faults, and no other; monotonic ns at which they began."""
        messages = [
            lab_pb2.CanFault(
                kind=fault.kind.value,
                frame_ids=fault.frame_ids,
                values=dict(fault.values),
                every=fault.every,
                delay_ticks=fault.delay_ticks,
                share=fault.share,
            )
            for fault in faults
        ]
        try:
            request = lab_pb2.SetCanFaultsRequest(faults=messages)
            return int(self._stub.SetCanFaults(request, timeout=self._timeout_s).since_ns)
        except grpc.RpcError as error:
            raise self._error("set the faults of the CAN bus", error) from error

    def _error(self, what: str, error: grpc.RpcError) -> LabError:
        code, details = error.code(), error.details()
        return LabError(code, f"cannot {what} at {self._address}: {code.name}: {details}")

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __enter__(self) -> "LabClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
