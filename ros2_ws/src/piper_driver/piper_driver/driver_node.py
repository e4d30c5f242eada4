"""The node that owns one arm's CAN bus: a lifecycle around `ArmLink`, and the topics that say what the arm does."""

import contextlib
import signal
import sys
import threading
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from motion_control import ArmController, Mode, ModeRefusedError, MotionLimits, SafetyLimits
from node_runtime.main import EXIT_BAD_SETUP, SetupError, end_process
from node_runtime.qos import LATCHED, RELIABLE
from node_runtime.ros_time import to_stamp
from piper_can import BusError, FirmwareVersionError, GripperSample, PiperHost, firmware_zero, open_bus
from piper_description import JOINT_NAMES, FirmwareZero
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from piper_driver import conversions, status
from piper_driver.arm_link import ArmLink
from piper_driver.bus_lock import BusInUseError, BusLock
from piper_driver.control_loop import PERIOD_NS, run_until
from piper_driver.driver_parameters import DriverParameters
from piper_driver.faults import Fault, FaultId
from piper_driver.interface_check import interface_problems
from piper_driver.loop_clock import LoopClock
from piper_driver.realtime import freeze_garbage, request_realtime
from piper_driver.requests import LOG_PERIOD_S, Requests
from piper_driver.transforms import RobotModel

STATUS_PERIOD_NS = 500_000_000
STATUS_PAUSE_NS = 50_000_000
"""Changes of the status are told at most this often; those of the mode at once."""
BAD_PARAMETERS = (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class DriverNode(LifecycleNode):
    """Publishes what the arm does and takes requests; all of it in the control loop's thread.

    Unconfigured: no bus. Inactive: hears the arm and tells about it, moves nothing. Active: everything.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__("piper_driver")
        self.parameters = DriverParameters.of(self)
        self.controller = self._new_controller()
        self.link: ArmLink | None = None
        self.loop = LoopClock(PERIOD_NS, time.monotonic_ns())
        self.finished = False
        """Whether the lifecycle has ended, and the process with it."""
        self._state = "unconfigured"
        self._names = tuple(self.parameters.prefix + name for name in JOINT_NAMES)
        self._auto_enable = self.parameters.auto_enable
        self._last_mode = ""
        self._last_status = ""
        self._next_change_ns = 0
        self._next_status_ns = 0
        self._last_joints_ns = 0
        self._last_gripper: GripperSample | None = None
        self._firmware = ""
        self._joint_states = self.create_publisher(JointState, "joint_states", RELIABLE)
        self._setpoint = self.create_publisher(JointState, "~/setpoint", RELIABLE)
        self._mode = self.create_publisher(String, "~/mode", LATCHED)
        self._status = self.create_publisher(String, "~/status", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self._model = RobotModel(self, self.parameters.prefix)
        self._requests = Requests(self, executor, self._names)

    @property
    def calls(self) -> int:
        """Callbacks that were run so far."""
        return self._requests.calls

    def link_for(self, always: bool = False) -> ArmLink:
        """The link to serve a request with. Raises `ModeRefusedError` if it is not to be served now."""
        if self.link is None or not (always or self._state == "active"):
            raise ModeRefusedError(f"the driver is {self._state}: configure and activate it first")
        return self.link

    def open(self) -> None:
        """Take the bus. Raises `SetupError`."""
        parameters = self.parameters
        if parameters.can_interface == "socketcan":
            for problem in interface_problems(parameters.can_channel):
                self.get_logger().warning(problem)
        try:
            self._lock = BusLock(parameters.bus_name)
        except BusInUseError as error:
            raise SetupError(str(error)) from error
        try:
            host = self._open_host()
        except BusError as error:
            self._lock.release()
            raise SetupError(str(error)) from error
        self.controller = self._new_controller()
        self.link = ArmLink(
            host,
            self.controller,
            parameters.gripper_effort_nm,
            self._open_again,
            parameters.tracking_error_rad,
            parameters.timeouts.feedback_fault_ns,
        )
        self._firmware = ""
        self._model.begin(FirmwareZero.CURRENT, time.monotonic_ns())
        self.get_logger().info(f"driving CAN {parameters.bus_name}")

    def close(self) -> None:
        """Give the bus free. The arm keeps its torque and holds the last setpoint."""
        if self.link is None:
            return
        self.link.cancel_torque("the driver stops")
        self.get_logger().info(self.summary(self.link))
        self.link = None
        self._bus.shutdown()
        self._lock.release()

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Open the bus and hear the arm."""
        try:
            self.open()
        except SetupError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE
        self._state = "inactive"
        return SUCCESS

    def on_activate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Take requests."""
        self._state = "active"
        return SUCCESS

    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Slow down and hold, torque on; requests are refused from now on."""
        self._state = "inactive"
        if self.controller.mode in (Mode.HOLD, Mode.POLICY, Mode.TELEOP):
            self.controller.hold("the driver was deactivated")
        return SUCCESS

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Give the bus free; refused while the arm moves."""
        if self.controller.mode is not Mode.DISABLED and not self.controller.at_rest:
            self.get_logger().error("cannot clean up: the arm is not at rest yet")
            return FAILURE
        self.close()
        self._state = "unconfigured"
        return SUCCESS

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest, torque on, and end the process."""
        self._state = "finalized"
        self.finished = True
        return SUCCESS

    def tick(self, now_ns: int) -> None:
        """One control period: bus, decision, bus, topics."""
        link = self.link
        if link is not None:
            self._watch_loop(link)
            setpoint = link.tick(now_ns)
            self._publish_joints(link)
            if link.sent:
                stamp = to_stamp(now_ns)
                self._setpoint.publish(
                    conversions.joint_state(stamp, setpoint.position, setpoint.velocity, self._names)
                )
        self._publish_status(link, now_ns)

    def summary(self, link: ArmLink) -> str:
        """The loop's and the controller's figures in one line."""
        loop, counters = self.loop, self.controller.counters
        late, work = loop.lateness, loop.work
        return (
            f"loop: {loop.mean_hz:.1f} Hz over {loop.ticks} ticks, {loop.overruns} overruns; lateness p50 "
            f"{late.quantile_ms(0.5):.3f} ms, p99 {late.quantile_ms(0.99):.3f} ms, max {late.max_ns / 1e6:.3f} ms; "
            f"work p99 {work.quantile_ms(0.99):.3f} ms, max {work.max_ns / 1e6:.3f} ms; "
            f"limiter held back {counters.ticks_limited} ticks; chunks: {counters.chunks_accepted} played, "
            f"{counters.chunks_refused} refused; CAN errors: {link.bus_errors}"
        )

    def _new_controller(self) -> ArmController:
        safety = SafetyLimits(tcp_speed_m_s=self.parameters.tcp_speed_m_s)
        return ArmController(MotionLimits.default(), PERIOD_NS, self.parameters.timeouts, safety)

    def _open_host(self) -> PiperHost:
        parameters = self.parameters
        self._bus = open_bus(parameters.can_interface, parameters.can_channel, **parameters.bus_options)
        return PiperHost(self._bus, wall_clock_ns=time.time_ns)

    def _open_again(self) -> PiperHost:
        with contextlib.suppress(OSError):  # what is lost need not be closed well
            self._bus.shutdown()
        host = self._open_host()
        self._firmware = ""
        self.get_logger().warning(f"opened CAN {self.parameters.bus_name} again; nothing moves before clear_fault")
        return host

    def _watch_loop(self, link: ArmLink) -> None:
        missed = self.loop.missed_in_a_row
        if missed >= self.parameters.late_ticks_to_hold and self.controller.mode in (Mode.POLICY, Mode.TELEOP):
            fault = Fault(FaultId.LOOP_LATE, f"the control loop missed {missed} periods in a row")
            link.counts[fault.id.value] += 1
            self.controller.hold(str(fault))

    def _publish_joints(self, link: ArmLink) -> None:
        joints, gripper = link.joints, link.state.gripper
        if joints is None or gripper is None or joints.stamp_ns == self._last_joints_ns:
            return
        before, self._last_gripper, self._last_joints_ns = self._last_gripper, gripper, joints.stamp_ns
        gripper_speed = 0.0
        if before is not None and gripper.stamp_ns > before.stamp_ns:
            gripper_speed = (gripper.stroke_m - before.stroke_m) * 1e9 / (gripper.stamp_ns - before.stamp_ns)
        speeds = link.state.motors.velocity_rad_s if link.state.motors is not None else np.zeros(6)
        position, velocity = np.append(joints.position_rad, gripper.stroke_m), np.append(speeds, gripper_speed)
        self._joint_states.publish(conversions.joint_state(to_stamp(joints.stamp_ns), position, velocity, self._names))
        self._model.update(position, joints.stamp_ns)

    def _publish_status(self, link: ArmLink | None, now_ns: int) -> None:
        modes = self.controller.modes  # torque may have come on since the setpoint was made
        mode = f"{modes.mode.value}: {modes.reason}"
        is_new, is_due = mode != self._last_mode, now_ns >= self._next_status_ns
        if is_new:
            self.get_logger().info(mode)
        if is_new or is_due:
            self._last_mode = mode
            self._mode.publish(conversions.mode_message(modes.mode, modes.reason))
        if is_due:
            self._next_status_ns = now_ns + STATUS_PERIOD_NS
        if link is None or not (is_new or is_due or now_ns >= self._next_change_ns):
            return
        self._next_change_ns = now_ns + STATUS_PAUSE_NS
        told = status.status_of(link, self._state, now_ns)
        if (text := told.to_json()) != self._last_status or is_due:
            self._last_status = text
            self._status.publish(String(data=text))
        if is_due:
            self._name_firmware(link)
            self._enable_by_itself(link, now_ns)
            level, summary = status.level_of(told, self.loop)
            values = status.diagnostic_values(link, self.loop, told, self._requests.last_refusal)
            name = f"{self.get_namespace()}/piper_driver: control".lstrip("/")
            hardware = f"piper {self.parameters.arm}".strip()
            self._diagnostics.publish(conversions.diagnostics(to_stamp(now_ns), name, level, summary, values, hardware))

    def _name_firmware(self, link: ArmLink) -> None:
        if self._firmware or link.host.firmware is None:
            return
        self._firmware = link.host.firmware
        try:
            zero = firmware_zero(self._firmware)
        except FirmwareVersionError as error:
            self.get_logger().warning(str(error))
            return
        self.get_logger().info(f"firmware {self._firmware}, joint zero '{zero.value}'")
        self._model.begin(zero, time.monotonic_ns())
        if zero is not FirmwareZero.CURRENT:
            self.get_logger().warning(
                "this firmware has the old joint zero: positions of the tool are 10 mm off until it is updated"
            )

    def _enable_by_itself(self, link: ArmLink, now_ns: int) -> None:
        if not self._auto_enable or self._state != "active" or self.controller.mode is not Mode.DISABLED:
            return

        def done(success: bool, text: str) -> None:
            self._auto_enable = not success
            if success:
                self.get_logger().info(text)
            else:
                self.get_logger().warning(text)

        try:
            link.switch_torque(True, now_ns, done)
        except ModeRefusedError as refused:
            self.get_logger().warning(str(refused), throttle_duration_sec=LOG_PERIOD_S)


def drive(args: list[str] | None = None) -> int:
    """Run the driver until SIGINT or SIGTERM, which bring the arm to rest, torque on; returns the exit status.

    `args` are those of ROS (default: the process's own).
    """
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    refused = request_realtime()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        executor = SingleThreadedExecutor()  # not the EventsExecutor: it cannot await in a service
        try:
            node = DriverNode(executor)
            if node.parameters.autostart and not _started(node):
                return EXIT_BAD_SETUP
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


def _started(node: DriverNode) -> bool:
    return node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS


def main() -> None:
    """Entry point of `piper_driver_node`."""
    end_process(drive())
