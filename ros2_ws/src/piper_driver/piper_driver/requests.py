"""What others ask of the driver: its services and the topics that it listens to."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from motion_control import ChunkRefusedError, ModeRefusedError, TargetRefusedError
from node_runtime.qos import LATEST, RELIABLE
from piper_can import BusError
from rclpy.executors import Executor
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from piper_driver import conversions
from piper_driver.arm_link import ArmLink
from piper_driver.confirmed_reset import WARNING, ConfirmedReset

if TYPE_CHECKING:
    from piper_driver.driver_node import DriverNode

LOG_PERIOD_S = 1.0
Answer = TypeVar("Answer", SetBool.Response, Trigger.Response)


class Requests:
    """Serves requests in the control loop's thread. Those that move the arm need an active driver."""

    def __init__(self, node: "DriverNode", executor: Executor, names: tuple[str, ...]) -> None:
        self.calls = 0
        """Callbacks so far."""
        self.last_refusal = ""
        self._node = node
        self._executor = executor
        self._names = names
        self._reset = ConfirmedReset()
        node.create_subscription(JointTrajectory, "~/chunk", self._on_chunk, RELIABLE)
        node.create_subscription(JointState, "~/teleop_command", self._on_teleop_command, LATEST)
        node.create_service(SetBool, "~/enable", self._on_enable)
        self._switch("policy", lambda link, on, now_ns: link.controller.policy(on, now_ns))
        self._switch("teleop", lambda link, on, now_ns: link.controller.teleop(on, now_ns))
        self._trigger("home", lambda link, now_ns: link.controller.go_home(now_ns))
        self._trigger("park", lambda link, now_ns: link.controller.go_park(now_ns))
        self._trigger("clear_fault", lambda link, now_ns: link.clear_fault(now_ns))
        self._trigger("hold", lambda link, _now: link.controller.hold(), always=True)
        self._trigger("estop", lambda link, _now: link.controller.estop(), always=True)
        self._trigger("reset_drops_arm", self._confirm_reset)

    def _trigger(self, name: str, change: Callable[[ArmLink, int], None], always: bool = False) -> None:
        def serve(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            return self._answer(response, change, always)

        self._node.create_service(Trigger, f"~/{name}", serve)

    def _switch(self, name: str, change: Callable[[ArmLink, bool, int], None]) -> None:
        def serve(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            on = bool(request.data)
            return self._answer(response, lambda link, now_ns: change(link, on, now_ns), always=not on)

        self._node.create_service(SetBool, f"~/{name}", serve)

    def _answer(self, response: Answer, change: Callable[[ArmLink, int], None], always: bool) -> Answer:
        self.calls += 1
        try:
            change(self._node.link_for(always), time.monotonic_ns())
        except (ModeRefusedError, TargetRefusedError, BusError) as refused:
            response.success, response.message = False, str(refused)
        else:
            modes = self._node.controller.modes
            response.success, response.message = True, f"{modes.mode.value}: {modes.reason}"
        return response

    def _confirm_reset(self, link: ArmLink, now_ns: int) -> None:
        if not self._reset.confirmed(now_ns):
            raise ModeRefusedError(WARNING)
        self._node.get_logger().warning("the operator confirmed: the arm is reset and drops")
        link.reset_drops_arm(now_ns)

    async def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.calls += 1
        outcome: Future = Future(executor=self._executor)
        try:
            link = self._node.link_for(always=not request.data)
            link.switch_torque(request.data, time.monotonic_ns(), lambda *answer: outcome.set_result(answer))
        except ModeRefusedError as refused:
            response.success, response.message = False, str(refused)
            return response
        response.success, response.message = await outcome
        return response

    def _on_chunk(self, message: JointTrajectory) -> None:
        self.calls += 1
        try:
            chunk = conversions.chunk_from_trajectory(message, self._names)
        except ChunkRefusedError as refused:
            self._node.controller.counters.chunks_refused += 1
            self._note("chunk", refused)
            return
        try:
            self._node.link_for().controller.accept_chunk(chunk, time.monotonic_ns())
        except (ChunkRefusedError, ModeRefusedError) as refused:
            self._note("chunk", refused)

    def _on_teleop_command(self, message: JointState) -> None:
        self.calls += 1
        try:
            command = conversions.teleop_from_joint_state(message, self._names)
        except TargetRefusedError as refused:
            self._node.controller.counters.teleop_refused += 1
            self._note("teleop command", refused)
            return
        try:
            self._node.link_for().controller.accept_teleop(command, time.monotonic_ns())
        except (TargetRefusedError, ModeRefusedError) as refused:
            self._note("teleop command", refused)

    def _note(self, what: str, refused: Exception) -> None:
        self.last_refusal = str(refused)
        self._node.get_logger().warning(f"{what} refused: {refused}", throttle_duration_sec=LOG_PERIOD_S)
