"""The harness's own ROS node: it watches what the loop says, publishes chunks, and calls services."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from motion_control import Chunk
from node_runtime.payloads import EpisodeState, RecorderStatus, RunnerStatus, from_json, to_json
from node_runtime.qos import LATCHED, RELIABLE
from numpy.typing import NDArray
from piper_driver.conversions import mode_from_message, trajectory_from_chunk, values_from_diagnostics
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from benchmarks.faults.processes import START_S, TryError, hurry_thread, wait_for

PICTURES: Final = "/cameras/front/image/compressed"


@dataclass(frozen=True)
class Said:
    """Something that was heard at monotonic `time_ns`."""

    time_ns: int
    what: Any


class Desk:
    """Callbacks run in a thread of their own; what they hear is kept with its time."""

    def __init__(self) -> None:
        self.modes: list[Said] = []
        self.runner: list[Said] = []
        self.recorder: list[Said] = []
        self.diagnostics: dict[str, str] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("faults", context=self._context)
        node = self._node
        node.create_subscription(String, "/piper_driver/mode", self._on_mode, LATCHED)
        node.create_subscription(String, "/policy_runner/status", self._keep(self.runner, RunnerStatus), RELIABLE)
        recorder = self._keep(self.recorder, RecorderStatus)
        node.create_subscription(String, "/episode_recorder/status", recorder, LATCHED)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)
        self._chunks = node.create_publisher(JointTrajectory, "/piper_driver/chunk", RELIABLE)
        self._instruction = node.create_publisher(String, "/policy_runner/instruction", LATCHED)
        self._episode = node.create_publisher(String, "/episode", LATCHED)
        self._pictures = node.create_publisher(CompressedImage, PICTURES, RELIABLE)
        self._clients: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="desk", daemon=True)
        self._thread.start()

    @property
    def mode(self) -> str:
        """The driver's mode, as it last said; empty before."""
        return self.modes[-1].what[0] if self.modes else ""

    @property
    def reason(self) -> str:
        """The reason it gave."""
        return self.modes[-1].what[1] if self.modes else ""

    @property
    def runner_status(self) -> RunnerStatus | None:
        """What the policy runner said last."""
        return self.runner[-1].what if self.runner else None

    def mode_since(self, since_ns: int, timeout_s: float, *wanted: str) -> int:
        """Monotonic ns at which one of these modes was first heard after `since_ns`; `TryError` if none is."""

        def heard() -> list[Said]:
            return [said for said in list(self.modes) if said.time_ns >= since_ns and said.what[0] in wanted]

        wait_for(heard, timeout_s, f"mode {' or '.join(wanted)}; it is {self.mode} ({self.reason})")
        return heard()[0].time_ns

    def wait_mode(self, timeout_s: float, *wanted: str) -> None:
        """Wait until the mode is one of these."""
        wait_for(lambda: self.mode in wanted, timeout_s, f"mode {' or '.join(wanted)}; it is {self.mode}")

    def trigger(self, name: str, timeout_s: float = 8.0) -> tuple[bool, str]:
        """Call a `Trigger` service by its full name: success and text."""
        return self._call(Trigger, name, Trigger.Request(), timeout_s)

    def switch(self, name: str, on: bool, timeout_s: float = 8.0) -> tuple[bool, str]:
        """Call a `SetBool` service by its full name: success and text."""
        return self._call(SetBool, name, SetBool.Request(data=on), timeout_s)

    def trigger_now(self, name: str) -> int:
        """Call a `Trigger` service that is known to be there, and do not wait; monotonic ns before the call."""
        client = self._client(Trigger, name)
        wait_for(client.service_is_ready, 8.0, f"service {name}")
        called: list[int] = []

        def call() -> None:  # in the thread that goes before others
            called.append(time.monotonic_ns())
            client.call_async(Trigger.Request())

        self._executor.create_task(call)
        wait_for(lambda: called, 8.0, f"the call of {name}")
        return called[0]

    def publish_chunk(self, chunk: Chunk) -> None:
        """Send the driver a chunk, as a policy runner would."""
        self._chunks.publish(trajectory_from_chunk(chunk))

    def publish_trajectory(
        self, position: NDArray[np.float64], times_s: NDArray[np.float64], observed_ns: int, names: list[str]
    ) -> None:
        """Send the driver a trajectory that need not make sense."""
        good = Chunk(observed_ns, observed_ns + (times_s * 1e9).astype(np.int64), np.zeros((len(times_s), 7)))
        message = trajectory_from_chunk(good)
        message.joint_names = names
        for point, values in zip(message.points, position.tolist(), strict=True):
            point.positions = values
        self._chunks.publish(message)

    def wait_for_chunk_reader(self) -> None:
        """Wait until the driver listens to chunks."""
        wait_for(lambda: self._chunks.get_subscription_count() > 0, 10.0, "the driver's ear for chunks")

    def instruct(self, text: str) -> None:
        """Tell the policy what to do."""
        self._instruction.publish(String(data=text))

    def announce(self, episode: EpisodeState) -> None:
        """Say on `/episode` where an episode is."""
        self._episode.publish(String(data=to_json(episode)))

    def _spin(self) -> None:
        hurry_thread()
        self._executor.spin()

    def wait_for_picture_reader(self) -> None:
        """Wait until the recorder listens to pictures of the front camera."""
        wait_for(lambda: self._pictures.get_subscription_count() > 0, START_S, "the recorder's ear for pictures")

    def publish_picture(self, data: bytes) -> int:
        """Publish `data` as a picture of the front camera; monotonic ns before that."""
        now_ns = time.monotonic_ns()
        self._pictures.publish(CompressedImage(format="jpeg", data=data))
        return now_ns

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(2)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _client(self, kind: Any, name: str) -> Any:  # noqa: ANN401 - rclpy's generated types
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, name)
        return self._clients[name]

    def _call(self, kind: Any, name: str, request: Any, timeout_s: float) -> tuple[bool, str]:  # noqa: ANN401
        client = self._client(kind, name)
        wait_for(client.service_is_ready, timeout_s, f"service {name}")
        future = client.call_async(request)
        try:
            wait_for(future.done, timeout_s, f"an answer of {name}")
        except TryError:
            client.remove_pending_request(future)
            raise
        return bool(future.result().success), str(future.result().message)

    def _on_mode(self, message: String) -> None:
        now_ns = time.monotonic_ns()
        mode, reason = mode_from_message(message)
        self.modes.append(Said(now_ns, (mode.value, reason)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if message.status and message.status[0].name.startswith("piper_driver"):
            self.diagnostics = values_from_diagnostics(message)

    @staticmethod
    def _keep(into: list[Said], kind: Any) -> Callable[[String], None]:  # noqa: ANN401 - a payload's class
        def hear(message: String) -> None:
            into.append(Said(time.monotonic_ns(), from_json(kind, message.data)))

        return hear
