"""The robot as the episode protocol sees it, over ROS 2. Called from a thread beside the executor."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from node_runtime.payloads import EpisodeState, RecorderStatus, RunnerStatus, from_json, to_json
from node_runtime.qos import LATCHED, LATEST, RELIABLE
from piper_description import HOME_POSITION
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from policy_bridge.conversions import parse_mode, to_joint_sample
from policy_bridge.episode_protocol import SetupFailedError, StoppedError

POLL_S = 0.02
CONNECT_S = 10.0
REPLY_S = 3.0
RETRY_S = 0.2
HOME_S = 20.0
NEAR_HOME_RAD = 0.03
"""Largest distance of a measured joint from home: a loaded Piper sags by about 0.01 rad."""
STANDSTILL_S = 0.3


class RosDeck:
    """Topics and services of driver, runner and recorder. `stop` makes every waiting method raise StoppedError."""

    def __init__(self, node: Node, stop: threading.Event) -> None:
        self._node = node
        self._stop = stop
        self._mode = ("", "")
        self._joints: JointState | None = None
        self._runner: RunnerStatus | None = None
        self._run_before = 0
        self._run_status: RunnerStatus | None = None
        self._recorder: RecorderStatus | None = None
        self._episode = node.create_publisher(String, "/episode", LATCHED)
        self._instruction = node.create_publisher(String, "/policy_runner/instruction", LATCHED)
        node.create_subscription(String, "/piper_driver/mode", self._on_mode, LATCHED)
        node.create_subscription(JointState, "/joint_states", self._on_joints, LATEST)
        node.create_subscription(String, "/policy_runner/status", self._on_runner, RELIABLE)
        node.create_subscription(String, "/episode_recorder/status", self._on_recorder, LATCHED)
        self._enable = node.create_client(SetBool, "/piper_driver/enable")
        self._policy = node.create_client(SetBool, "/piper_driver/policy")
        self._hold = node.create_client(Trigger, "/piper_driver/hold")
        self._home = node.create_client(Trigger, "/piper_driver/home")
        self._run = node.create_client(SetBool, "/policy_runner/run")

    def connect(self) -> None:
        """Wait for driver, runner and recorder; then bring the arm into HOLD, with torque on."""
        for what, there in (
            ("piper_driver", lambda: bool(self._mode[0])),
            ("policy_runner", lambda: self._runner is not None),
            ("episode_recorder", lambda: self._recorder is not None),
        ):
            self._wait(there, CONNECT_S, f"nothing was heard of {what} within {CONNECT_S:g} s; is it running?")
        if self._mode[0] == "DISABLED":
            self._insist(self._enable, SetBool.Request(data=True), "enable")
        elif self._mode[0] != "HOLD":
            self._insist(self._hold, Trigger.Request(), "hold")
        self._wait(lambda: self._mode[0] == "HOLD", CONNECT_S, "the arm did not come to HOLD")

    def now_ns(self) -> int:
        """Monotonic time."""
        return time.monotonic_ns()

    def pause(self, seconds: float) -> None:
        """Let time pass; StoppedError if a stop was requested."""
        if self._stop.wait(seconds):
            raise StoppedError("stopped on request")

    def announce(self, state: EpisodeState) -> None:
        """Publish on `/episode`."""
        self._episode.publish(String(data=to_json(state)))

    def go_home(self) -> None:
        """Bring the arm home; it stands there in HOLD when this returns."""
        self._insist(self._home, Trigger.Request(), "home")
        standing_since_ns = 0
        end_ns = self.now_ns() + round(HOME_S * 1e9)
        while self.now_ns() < end_ns:
            if self._mode[0] != "HOLD":
                raise SetupFailedError(f"the arm left HOLD on its way home: {self._mode_text()}")
            if not self._near_home():
                standing_since_ns = 0
            elif not standing_since_ns:
                standing_since_ns = self.now_ns()
            elif self.now_ns() - standing_since_ns > STANDSTILL_S * 1e9:
                return
            self.pause(POLL_S)
        raise SetupFailedError(f"the arm did not arrive at home within {HOME_S:g} s ({self._mode_text()})")

    def recorder(self) -> RecorderStatus | None:
        """The recorder's newest word."""
        return self._recorder

    def start_policy(self, instruction: str) -> None:
        """Give the policy authority and start a run with this instruction."""
        self._instruction.publish(String(data=instruction))
        told = "the policy runner did not take note of the instruction"
        self._wait(lambda: self._runner is not None and self._runner.instruction == instruction, REPLY_S, told)
        self._insist(self._policy, SetBool.Request(data=True), "policy")
        self._wait(lambda: self._mode[0] == "POLICY", REPLY_S, "the arm did not come to POLICY")
        self._run_before, self._run_status = (self._runner.run if self._runner else 0), None
        self._insist(self._run, SetBool.Request(data=True), "run")

    def runner(self) -> RunnerStatus | None:
        """The newest word on the run last started, kept if the runner dies and starts again."""
        return self._run_status

    def mode(self) -> tuple[str, str]:
        """The arm's mode and its reason."""
        return self._mode

    def stop_policy(self) -> None:
        """End the run and take authority away; a driver that is in HOLD already has nothing to do."""
        for client in (self._run, self._policy):
            answered = threading.Event()
            client.call_async(SetBool.Request(data=False)).add_done_callback(lambda _, e=answered: e.set())
            answered.wait(REPLY_S if not self._stop.is_set() else 0.2)

    def _insist(self, client: Any, request: Any, what: str) -> None:  # noqa: ANN401 - rclpy's are not typed
        """Call a service that returns success and message until it agrees; a refusal is repeated for a while."""
        self._wait(client.service_is_ready, CONNECT_S, f"service {client.srv_name} is missing; is its node running?")
        end_ns = self.now_ns() + round(REPLY_S * 1e9)
        while True:
            answered = threading.Event()
            future = client.call_async(request)
            future.add_done_callback(lambda _, e=answered: e.set())
            self._wait(answered.is_set, REPLY_S, f"service {client.srv_name} did not answer within {REPLY_S:g} s")
            reply = future.result()
            if reply.success:
                return
            if self.now_ns() > end_ns:
                raise SetupFailedError(f"{what} was refused: {reply.message} ({self._mode_text()})")
            self.pause(RETRY_S)

    def _wait(self, condition: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        end_ns = self.now_ns() + round(timeout_s * 1e9)
        while not condition():
            if self.now_ns() > end_ns:
                raise SetupFailedError(f"{otherwise} ({self._mode_text()})")
            self.pause(POLL_S)

    def _near_home(self) -> bool:
        message = self._joints
        if message is None:
            return False
        try:
            position = to_joint_sample(message).position
        except ValueError as error:
            raise SetupFailedError(f"/joint_states: {error}") from error
        return float(np.abs(position - HOME_POSITION)[:6].max()) < NEAR_HOME_RAD

    def _mode_text(self) -> str:
        mode, reason = self._mode
        return f"arm: {mode or 'unknown'}" + (f", {reason}" if reason else "")

    def _on_mode(self, message: String) -> None:
        self._mode = parse_mode(message.data)

    def _on_joints(self, message: JointState) -> None:
        self._joints = message

    def _on_runner(self, message: String) -> None:
        try:
            status = from_json(RunnerStatus, message.data)
        except ValueError as error:
            self._node.get_logger().error(f"/policy_runner/status: {error}")
            return
        self._runner = status
        if status.run > self._run_before:
            self._run_status = status

    def _on_recorder(self, message: String) -> None:
        try:
            self._recorder = from_json(RecorderStatus, message.data)
        except ValueError as error:
            self._node.get_logger().error(f"/episode_recorder/status: {error}")
