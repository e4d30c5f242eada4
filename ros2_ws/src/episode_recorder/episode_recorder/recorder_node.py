"""Record episodes: `/episode` says when, the parameter `topics` says what.

Parameters: `output_dir` (str, required), `topics` (list of str), `min_free_mb` (int, megabytes of free
disk below which an episode is refused).
"""

import time
from pathlib import Path
from typing import Any

from node_runtime.main import ManagedNode, SetupError, end_process, run_node
from node_runtime.payloads import EpisodeState, RecorderPhase, RecorderStatus, RunnerStatus, from_json, to_json
from node_runtime.qos import LATCHED
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from episode_recorder.episode_folder import free_bytes
from episode_recorder.recording import Ending, Recording
from episode_recorder.topic_taps import TopicTaps

EPISODE_TOPIC = "/episode"
RUNNER_TOPIC = "/policy_runner/status"
STRING_TYPE = "std_msgs/msg/String"
DEFAULT_TOPICS = [
    "/joint_states",
    "/piper_driver/setpoint",
    "/piper_driver/mode",
    "/piper_driver/chunk",
    "/cameras/front/image/compressed",
    "/cameras/front/camera_info",
    "/cameras/wrist/image/compressed",
    "/cameras/wrist/camera_info",
    RUNNER_TOPIC,
    "/diagnostics",
]
WATCH_PERIOD_S = 0.1
LOOK_PERIOD_S = 0.5
STATUS_PERIOD_NS = 1_000_000_000
STALL_NS = 2_000_000_000


class RecorderNode(ManagedNode):
    """Thin shell around one `Recording` at a time."""

    def __init__(self) -> None:
        super().__init__("episode_recorder")
        output_dir = self.declare_parameter("output_dir", "").value
        if not output_dir:
            raise SetupError("parameter output_dir is empty; name the folder that takes the episodes")
        self._output_dir = Path(output_dir)
        self._topics: list[str] = list(self.declare_parameter("topics", DEFAULT_TOPICS).value)
        self._min_free_bytes = int(self.declare_parameter("min_free_mb", 200).value) * 1_000_000
        self._recording: Recording | None = None
        self._last_runner_status: bytes | None = None
        self._last_message_ns = 0
        self._last_status_ns = 0
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()  # log times never step back
        self._status = self.create_publisher(String, "/episode_recorder/status", LATCHED)
        self.create_subscription(String, EPISODE_TOPIC, self._on_episode, LATCHED, raw=True)
        self._taps = TopicTaps(self, [t for t in self._topics if t != EPISODE_TOPIC], self._on_raw)
        self._taps.look_for_publishers()
        self.create_timer(LOOK_PERIOD_S, self._taps.look_for_publishers)
        self.create_timer(WATCH_PERIOD_S, self._watch)
        self._publish(RecorderStatus("idle"))

    def close(self) -> None:
        """Close an open episode as truncated."""
        recording = self._recording
        if recording is not None:
            self._end(recording, recording.episode, "the recorder was stopped in mid-episode")
            recording.wait(0.25)
            self._report_result()

    def _on_raw(self, topic: str, msgtype: str, cdr: bytes) -> None:
        if topic == RUNNER_TOPIC:
            self._last_runner_status = cdr
        if self._recording is not None:
            now_ns = time.monotonic_ns()
            self._last_message_ns = now_ns
            self._recording.put(topic, msgtype, now_ns + self._wall_offset_ns, cdr)

    def _on_episode(self, cdr: bytes) -> None:
        try:
            episode = from_json(EpisodeState, deserialize_message(cdr, String).data)
        except ValueError as error:
            self.get_logger().error(f"{EPISODE_TOPIC}: {error}")
            return
        current = self._recording
        if episode.phase == "record" and (current is None or current.episode.id != episode.id):
            if current is not None:
                self._end(current, current.episode, f"episode {episode.id} began")
                current.wait(2.0)
                self._report_result()
            self._begin(episode)
        self._on_raw(EPISODE_TOPIC, STRING_TYPE, cdr)
        if episode.phase == "end" and current is not None and current.episode.id == episode.id:
            self._end(current, episode, f"aborted: {episode.reason}" if episode.success is None else "")

    def _begin(self, episode: EpisodeState) -> None:
        try:
            free = free_bytes(self._output_dir)
            if free < self._min_free_bytes:
                raise OSError(
                    f"only {free / 1e6:.0f} MB free below {self._output_dir}, min_free_mb is "
                    f"{self._min_free_bytes / 1e6:.0f}; free some space or lower min_free_mb"
                )
            self._recording = Recording(self._output_dir, episode, [*self._topics, EPISODE_TOPIC])
        except (OSError, ValueError) as error:
            self.get_logger().error(f"episode {episode.id} is not recorded: {error}")
            self._publish(RecorderStatus("refused", episode.id, error=str(error)))
            return
        self._last_message_ns = time.monotonic_ns()
        self._publish_progress(self._recording, "recording", "")

    def _end(self, recording: Recording, episode: EpisodeState, cut_short: str) -> None:
        recording.end(Ending(episode, self._contract(), cut_short))

    def _contract(self) -> dict[str, Any] | None:
        if self._last_runner_status is None:
            return None
        try:
            return from_json(RunnerStatus, deserialize_message(self._last_runner_status, String).data).contract
        except ValueError as error:
            self.get_logger().error(f"{RUNNER_TOPIC}: {error}")
            return None

    def _watch(self) -> None:
        recording = self._recording
        if recording is None:
            return
        if recording.result is not None:
            self._report_result()
            return
        now_ns = time.monotonic_ns()
        if now_ns - self._last_status_ns >= STATUS_PERIOD_NS:
            silent_s = (now_ns - self._last_message_ns) / 1e9
            stalled = silent_s * 1e9 > STALL_NS
            error = f"no message on any topic for {silent_s:.1f} s" if stalled else ""
            self._publish_progress(recording, "recording", error)

    def _report_result(self) -> None:
        recording = self._recording
        if recording is None or recording.result is None:
            return
        self._recording = None
        error = recording.result.error
        if error:
            self.get_logger().error(f"episode {recording.episode.id} is truncated: {error}")
        self._publish_progress(recording, "truncated" if error else "closed", error)

    def _publish_progress(self, recording: Recording, phase: RecorderPhase, error: str) -> None:
        self._publish(
            RecorderStatus(
                phase,
                recording.episode.id,
                str(recording.path),
                error,
                dict(recording.counts),
                dict(recording.dropped),
            )
        )

    def _publish(self, status: RecorderStatus) -> None:
        self._last_status_ns = time.monotonic_ns()
        self._status.publish(String(data=to_json(status)))


def main() -> None:
    """Entry point of `episode_recorder_node`."""
    end_process(run_node(RecorderNode))
