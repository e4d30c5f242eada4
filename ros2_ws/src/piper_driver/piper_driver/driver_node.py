"""The node that owns one arm's CAN bus: topics and services around `ArmLink`."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from motion_control import ArmController, ChunkRefusedError, Mode, ModeRefusedError, MotionLimits, SafetyLimits
from node_runtime.main import EXIT_BAD_SETUP, SetupError, end_process
from node_runtime.qos import LATCHED, RELIABLE
from node_runtime.ros_time import to_stamp
from piper_can import BusError, FirmwareVersionError, GripperSample, PiperHost, firmware_zero, open_bus
from piper_description import FirmwareZero
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from piper_driver import conversions
from piper_driver.arm_link import ArmLink
from piper_driver.bus_lock import BusInUseError, BusLock
from piper_driver.control_loop import PERIOD_NS, run_until
from piper_driver.driver_parameters import DriverParameters
from piper_driver.loop_clock import LoopClock
from piper_driver.realtime import freeze_garbage, request_realtime

STATUS_PERIOD_NS = 500_000_000
LOG_PERIOD_S = 1.0
BAD_PARAMETERS = (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
Answer = TypeVar("Answer", SetBool.Response, Trigger.Response)


class DriverNode(Node):
    """Publishes what the arm does and takes requests; all of it in the control loop's thread."""

    def __init__(self, executor: Executor) -> None:
        super().__init__("piper_driver")
        parameters = DriverParameters.of(self)
        self._futures_executor = executor
        try:
            self._lock = BusLock(parameters.bus_name)
            self._bus = open_bus(parameters.can_interface, parameters.can_channel, **parameters.bus_options)
        except (BusInUseError, BusError) as error:
            raise SetupError(str(error)) from error
        self._host = PiperHost(self._bus, wall_clock_ns=time.time_ns)
        safety = SafetyLimits(tcp_speed_m_s=parameters.tcp_speed_m_s)
        self.controller = ArmController(MotionLimits.default(), PERIOD_NS, parameters.timeouts, safety)
        self.link = ArmLink(self._host, self.controller, parameters.gripper_effort_nm)
        self.loop = LoopClock(PERIOD_NS, time.monotonic_ns())
        self._auto_enable = parameters.auto_enable
        self._last_mode = ""
        self._last_joints_ns = 0
        self._last_gripper: GripperSample | None = None
        self._next_status_ns = 0
        self._last_refusal = ""
        self._firmware = ""
        self._joint_states = self.create_publisher(JointState, "joint_states", RELIABLE)
        self._setpoint = self.create_publisher(JointState, "~/setpoint", RELIABLE)
        self._mode = self.create_publisher(String, "~/mode", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self.create_subscription(JointTrajectory, "~/chunk", self._on_chunk, RELIABLE)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(SetBool, "~/policy", self._on_policy)
        self.create_service(Trigger, "~/hold", self._on_hold)
        self.create_service(Trigger, "~/home", self._on_home)
        self.create_service(Trigger, "~/estop", self._on_estop)
        self.create_service(Trigger, "~/clear_fault", self._on_clear_fault)
        self.get_logger().info(f"driving CAN {parameters.bus_name}")

    def tick(self, now_ns: int) -> None:
        """One control period: bus, decision, bus, topics."""
        setpoint = self.link.tick(now_ns)
        self._publish_joints()
        if setpoint.send:
            self._setpoint.publish(conversions.joint_state(to_stamp(now_ns), setpoint.position, setpoint.velocity))
        modes = self.controller.modes  # torque may have come on since the setpoint was made
        mode = f"{modes.mode.value}: {modes.reason}"
        status_is_due = now_ns >= self._next_status_ns
        if mode != self._last_mode:
            self.get_logger().info(mode)
        if mode != self._last_mode or status_is_due:
            self._last_mode = mode
            self._mode.publish(conversions.mode_message(modes.mode, modes.reason))
        if status_is_due:
            self._next_status_ns = now_ns + STATUS_PERIOD_NS
            self._on_status(now_ns)

    def close(self) -> None:
        """Give the bus free. The arm keeps its torque and holds the last setpoint."""
        self.link.cancel_torque("the driver stops")
        self.get_logger().info(self.summary())
        self._bus.shutdown()
        self._lock.release()

    def summary(self) -> str:
        """The loop's and the controller's figures in one line."""
        loop, counters = self.loop, self.controller.counters
        late, work = loop.lateness, loop.work
        return (
            f"loop: {loop.mean_hz:.1f} Hz over {loop.ticks} ticks, {loop.overruns} overruns; lateness p50 "
            f"{late.quantile_ms(0.5):.3f} ms, p99 {late.quantile_ms(0.99):.3f} ms, max {late.max_ns / 1e6:.3f} ms; "
            f"work p99 {work.quantile_ms(0.99):.3f} ms, max {work.max_ns / 1e6:.3f} ms; "
            f"limiter held back {counters.ticks_limited} ticks; chunks: {counters.chunks_accepted} played, "
            f"{counters.chunks_refused} refused; CAN errors: {self.link.bus_errors}"
        )

    def _publish_joints(self) -> None:
        state = self.link.state
        joints, gripper = state.joints, state.gripper
        if joints is None or gripper is None or joints.stamp_ns == self._last_joints_ns:
            return
        before, self._last_gripper, self._last_joints_ns = self._last_gripper, gripper, joints.stamp_ns
        gripper_speed = 0.0
        if before is not None and gripper.stamp_ns > before.stamp_ns:
            gripper_speed = (gripper.stroke_m - before.stroke_m) * 1e9 / (gripper.stamp_ns - before.stamp_ns)
        speeds = state.motors.velocity_rad_s if state.motors is not None else np.zeros(6)
        position, velocity = np.append(joints.position_rad, gripper.stroke_m), np.append(speeds, gripper_speed)
        self._joint_states.publish(conversions.joint_state(to_stamp(joints.stamp_ns), position, velocity))

    def _on_status(self, now_ns: int) -> None:
        if not self._firmware:
            self._ask_firmware()
        if self._auto_enable and self.controller.mode is Mode.DISABLED and self.link.state.joints is not None:
            self._enable_by_itself(now_ns)
        loop, counters = self.loop, self.controller.counters
        values = {
            "mode": self.controller.mode.value,
            "reason": self.controller.modes.reason,
            "mean_hz": loop.mean_hz,
            "lateness_p50_ms": loop.lateness.quantile_ms(0.5),
            "lateness_p99_ms": loop.lateness.quantile_ms(0.99),
            "lateness_max_ms": loop.lateness.max_ns / 1e6,
            "work_p50_ms": loop.work.quantile_ms(0.5),
            "work_p99_ms": loop.work.quantile_ms(0.99),
            "work_max_ms": loop.work.max_ns / 1e6,
            "ticks": loop.ticks,
            "overruns": loop.overruns,
            "limiter_ticks": counters.ticks_limited,
            "guard_ticks": counters.ticks_guarded,
            "held_back_by": self.controller.held_back_by,
            "chunks_accepted": counters.chunks_accepted,
            "chunks_refused": counters.chunks_refused,
            "points_dropped": counters.points_dropped,
            "points_clamped": counters.points_clamped,
            "stale_holds": counters.stale_holds,
            "last_refusal": self._last_refusal,
            "bus_errors": self.link.bus_errors,
            "bad_frames": self._host.bad_frames,
            "firmware": self._firmware,
        }
        level, summary = DiagnosticStatus.OK, "running"
        if self.controller.modes.latched:
            level, summary = DiagnosticStatus.ERROR, f"{self.controller.mode.value}: {self.controller.modes.reason}"
        elif loop.ticks > 400 and abs(loop.mean_hz - 1e9 / PERIOD_NS) > 5.0:
            level, summary = DiagnosticStatus.WARN, f"the loop runs at {loop.mean_hz:.1f} Hz; expected 200"
        name = "piper_driver: control"
        self._diagnostics.publish(conversions.diagnostics(to_stamp(now_ns), name, level, summary, values))

    def _ask_firmware(self) -> None:
        if self._host.firmware is None:
            try:
                self._host.request_firmware()
            except BusError as error:
                self.get_logger().error(str(error), throttle_duration_sec=LOG_PERIOD_S)
            return
        self._firmware = self._host.firmware
        try:
            zero = firmware_zero(self._firmware)
        except FirmwareVersionError as error:
            self.get_logger().warning(str(error))
            return
        self.get_logger().info(f"firmware {self._firmware}, joint zero '{zero.value}'")
        if zero is not FirmwareZero.CURRENT:
            self.get_logger().warning(
                "this firmware has the old joint zero: positions of the tool are 10 mm off until it is updated"
            )

    def _enable_by_itself(self, now_ns: int) -> None:
        def done(success: bool, text: str) -> None:
            self._auto_enable = not success
            if success:
                self.get_logger().info(text)
            else:
                self.get_logger().warning(text)

        try:
            self.link.switch_torque(True, now_ns, done)
        except ModeRefusedError as refused:
            self.get_logger().warning(str(refused), throttle_duration_sec=LOG_PERIOD_S)

    def _on_chunk(self, message: JointTrajectory) -> None:
        try:
            chunk = conversions.chunk_from_trajectory(message)
        except ChunkRefusedError as refused:
            self.controller.counters.chunks_refused += 1
            self._note_refusal(refused)
            return
        try:
            self.controller.accept_chunk(chunk, time.monotonic_ns())
        except ChunkRefusedError as refused:
            self._note_refusal(refused)

    def _note_refusal(self, refused: ChunkRefusedError) -> None:
        self._last_refusal = str(refused)
        self.get_logger().warning(f"chunk refused: {refused}", throttle_duration_sec=LOG_PERIOD_S)

    async def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        outcome: Future = Future(executor=self._futures_executor)
        try:
            self.link.switch_torque(request.data, time.monotonic_ns(), lambda *answer: outcome.set_result(answer))
        except ModeRefusedError as refused:
            response.success, response.message = False, str(refused)
            return response
        response.success, response.message = await outcome
        return response

    def _on_policy(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        return self._answer(response, lambda: self.controller.policy(request.data, time.monotonic_ns()))

    def _on_hold(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self.controller.hold)

    def _on_home(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, lambda: self.controller.go_home(time.monotonic_ns()))

    def _on_estop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self.controller.estop)

    def _on_clear_fault(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, lambda: self.controller.clear_fault(time.monotonic_ns()))

    def _answer(self, response: Answer, change: Callable[[], None]) -> Answer:
        try:
            change()
        except ModeRefusedError as refused:
            response.success, response.message = False, str(refused)
        else:
            modes = self.controller.modes
            response.success, response.message = True, f"{modes.mode.value}: {modes.reason}"
        return response


def drive() -> int:
    """Run the driver until SIGINT or SIGTERM, which bring the arm to rest, torque on; returns the exit status."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    refused = request_realtime()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        executor = SingleThreadedExecutor()  # not the EventsExecutor: it cannot await in a service
        try:
            node = DriverNode(executor)
        except (SetupError, *BAD_PARAMETERS) as error:
            print(f"cannot start: {error}", file=sys.stderr)
            return EXIT_BAD_SETUP
        for text in refused:
            node.get_logger().warning(text)
        executor.add_node(node)
        freeze_garbage()
        try:
            return run_until(stop, node, executor)
        finally:
            node.close()
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


def main() -> None:
    """Entry point of `piper_driver_node`."""
    end_process(drive())
