"""Drive the arm with a policy server: observations out, chunks in, chunks to the driver.

Parameters: `server_address` (host:port, or unix:/path), `robot_id`, `infer_timeout_s`, `max_chunks` (end of a run),
`server_wait_s`: how long a run that loses its server waits for it, with the arm in HOLD; it then takes authority again
and goes on. Stop the run to keep the arm where it is. 0: the run fails at once.
`certificates`: folder with ca.pem, cert.pem and key.pem for a server with mutual TLS; `shared_memory`: hand frames to a
server on this host without copying them through the connection.
`execution` (auto, synchronous, streaming), `merge` (replace, crossfade, temporal_ensemble, rtc_prefix; where the server
does not say) and `every_steps` (control steps from one question to the next, 0: half a chunk): see `pacing.Pacing`.
"""

import time
from functools import partial
from pathlib import Path

from node_runtime.main import ManagedNode, SetupError, end_process, run_node
from node_runtime.payloads import RunnerState, to_json
from node_runtime.qos import LATCHED, LATEST, RELIABLE
from policy_api.channel import TlsFiles
from policy_api.client import PolicyClient
from policy_api.errors import DeadlineExceeded, ServerBusy, ServerUnavailable, UnknownSession
from policy_api.malloc import keep_large_blocks
from policy_api.schema import ActionChunk, PolicySpec
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from policy_bridge.conversions import (
    parse_mode,
    to_depth_image,
    to_encoded_image,
    to_joint_sample,
    to_joint_trajectory,
)
from policy_bridge.observation_sync import JointSample
from policy_bridge.pacing import Pacing
from policy_bridge.runner import PolicyRunner
from policy_bridge.worker import Answer, Worker

OPEN_TIMEOUT_S = 3.0
LOOK_PERIOD_S = 0.02
STATUS_PERIOD_S = 0.5


class PolicyRunnerNode(ManagedNode):
    """Thin shell around `PolicyRunner`; calls to the server are made in a worker thread."""

    def __init__(self) -> None:
        super().__init__("policy_runner")
        address = str(self.declare_parameter("server_address", "127.0.0.1:50051").value)
        robot_id = str(self.declare_parameter("robot_id", "piper").value)
        self._infer_timeout_s = float(self.declare_parameter("infer_timeout_s", 0.7).value)
        max_chunks = int(self.declare_parameter("max_chunks", 40).value)
        server_wait_s = float(self.declare_parameter("server_wait_s", 120.0).value)
        if self._infer_timeout_s <= 0 or max_chunks <= 0 or server_wait_s < 0:
            raise SetupError(
                f"infer_timeout_s is {self._infer_timeout_s}, max_chunks {max_chunks} and server_wait_s "
                f"{server_wait_s}; the first two must be positive, the last one not negative"
            )
        self._runner = PolicyRunner(max_chunks, round(server_wait_s * 1e9), self._pacing())
        self._client = self._connection(address, robot_id)
        self._mode = ("", "")
        self._setpoint: JointSample | None = None
        self._subscribed: set[str] = set()
        self._reported: tuple[int, RunnerState] = (0, "idle")
        self._worker: Worker[PolicySpec | ActionChunk] = Worker(lambda: self.call_soon(self._on_answers))

        self._status = self.create_publisher(String, "/policy_runner/status", RELIABLE)
        self._chunks = self.create_publisher(JointTrajectory, "/piper_driver/chunk", RELIABLE)
        self._hold = self.create_client(Trigger, "/piper_driver/hold")
        self._authority = self.create_client(SetBool, "/piper_driver/policy")
        self.create_subscription(String, "/piper_driver/mode", self._on_mode, LATCHED)
        self.create_subscription(String, "/policy_runner/instruction", self._on_instruction, LATCHED)
        self.create_subscription(JointState, "/joint_states", self._on_joints, LATEST)
        self.create_subscription(JointState, "/piper_driver/setpoint", self._on_setpoint, LATEST)
        self.create_service(SetBool, "/policy_runner/run", self._on_run)
        self.create_timer(LOOK_PERIOD_S, self._look)
        self.create_timer(STATUS_PERIOD_S, self._publish_status)

    def _pacing(self) -> Pacing:
        try:
            return Pacing(
                execution=str(self.declare_parameter("execution", "auto").value),
                merge=str(self.declare_parameter("merge", "crossfade").value),
                every_steps=int(self.declare_parameter("every_steps", 0).value),
            )
        except ValueError as error:
            raise SetupError(str(error)) from error

    def _connection(self, address: str, robot_id: str) -> PolicyClient:
        certificates = str(self.declare_parameter("certificates", "").value)
        shared_memory = bool(self.declare_parameter("shared_memory", False).value)
        credentials = TlsFiles.of(Path(certificates)) if certificates else None
        try:
            return PolicyClient(address, robot_id, credentials=credentials, shared_memory=shared_memory)
        except (OSError, ValueError) as error:
            raise SetupError(f"no connection to the policy server can be made: {error}") from error

    def begin_stop(self) -> None:
        """Leave the arm in HOLD."""
        self._runner.stop("the policy runner was stopped")
        self._report_changes()
        self.exit_code = 0

    def close(self) -> None:
        """Close the session."""
        self._worker.submit(0, self._close_client)
        self._worker.close()

    def _close_client(self) -> ActionChunk | PolicySpec:
        self._client.close()
        raise UnknownSession("closed")

    def _on_run(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not request.data:
            self._runner.stop("stopped on request")
            self._report_changes()
            response.success = True
            return response
        response.message = self._refusal() or ""
        response.success = not response.message
        if response.success:
            run = self._runner.start()
            self._worker.submit(run, partial(self._open_or_reset, f"run-{run}"))
            response.message = f"run {run}"
            self._report_changes()
        return response

    def _refusal(self) -> str | None:
        mode, reason = self._mode
        if self._runner.running:
            return f"run {self._runner.run} is in progress; stop it first"
        if not mode:
            return "no driver: nothing was received on /piper_driver/mode"
        if mode != "POLICY":
            return f"the arm is in {mode} ({reason}); call /piper_driver/policy with true first"
        if not self._runner.instruction:
            return "no instruction: publish one on /policy_runner/instruction first"
        return None

    def _open_or_reset(self, episode_id: str) -> PolicySpec:
        if self._runner.spec is not None:
            try:
                self._client.reset_session(episode_id, OPEN_TIMEOUT_S)
            except UnknownSession:
                pass  # the server was restarted, or has forgotten us
            else:
                return self._runner.spec
        return self._client.open_session(episode_id=episode_id, timeout_s=OPEN_TIMEOUT_S)

    def _reopen(self, spec: PolicySpec, revision: str, episode_id: str) -> PolicySpec:
        """A new session for an episode in progress: the same contract, answered by the same weights."""
        try:
            return self._client.open_session(
                expect_spec=spec, revision=revision, episode_id=episode_id, timeout_s=OPEN_TIMEOUT_S
            )
        except (DeadlineExceeded, ServerBusy) as error:
            raise ServerUnavailable(f"not ready yet: {error}") from error

    def _recover(self) -> None:
        todo = self._runner.recover(time.monotonic_ns())
        if todo == "open" and self._runner.spec is not None:
            run = self._runner.run
            call = partial(self._reopen, self._runner.spec, self._runner.revision, f"run-{run}")
            self._worker.submit(run, call)
        elif todo == "ask":
            self._authority.call_async(SetBool.Request(data=True))

    def _on_answers(self) -> None:
        while not self._worker.answers.empty():
            answer = self._worker.answers.get()
            if answer.run == self._runner.run and self._runner.running:
                self._on_answer(answer)
        self._report_changes()

    def _on_answer(self, answer: Answer[PolicySpec | ActionChunk]) -> None:
        now_ns = time.monotonic_ns()
        if isinstance(answer.value, PolicySpec):
            session = self._client.session
            self._runner.on_session(answer.value, now_ns, session.prefix_steps if session is not None else 0)
            self._subscribe_cameras(answer.value)
        elif isinstance(answer.value, ActionChunk):
            play = self._runner.on_actions(answer.value, answer.took_ns, now_ns)
            if play is not None:
                self._chunks.publish(to_joint_trajectory(play))
                self._publish_status()
        elif answer.server_lost:
            self._runner.on_server_lost(answer.error, now_ns)
        else:
            self._runner.fail(answer.error)

    def _subscribe_cameras(self, spec: PolicySpec) -> None:
        for camera in spec.cameras:
            if camera.name in self._subscribed:
                continue
            topic, on_image = f"/cameras/{camera.name}/image", partial(self._on_image, camera.name)
            if camera.depth is None:
                self.create_subscription(CompressedImage, f"{topic}/compressed", on_image, LATEST)
            else:
                self.create_subscription(Image, topic, on_image, LATEST)
            self._subscribed.add(camera.name)

    def _on_image(self, camera: str, message: CompressedImage | Image) -> None:
        if self._runner.sync is None or not self._runner.running:
            return
        try:
            image = to_depth_image(message) if isinstance(message, Image) else to_encoded_image(message)
        except ValueError as error:
            kind = "depth picture" if isinstance(message, Image) else "JPEG"
            self._runner.fail(f"camera {camera}: not a {kind} ({error})")
            self._report_changes()
            return
        self._runner.sync.on_image(camera, image)
        self._look()

    def _on_joints(self, message: JointState) -> None:
        if (sample := self._joint_sample("/joint_states", message)) and self._runner.sync is not None:
            self._runner.sync.on_joints(sample)

    def _on_setpoint(self, message: JointState) -> None:
        self._setpoint = self._joint_sample("/piper_driver/setpoint", message) or self._setpoint

    def _joint_sample(self, topic: str, message: JointState) -> JointSample | None:
        if not self._runner.running:
            return None
        try:
            return to_joint_sample(message)
        except ValueError as error:
            self._runner.fail(f"{topic}: {error}")
            self._report_changes()
            return None

    def _look(self) -> None:
        self._recover()
        observation = self._runner.look(time.monotonic_ns(), self._setpoint)
        if observation is not None:
            call = partial(self._client.infer, observation, self._infer_timeout_s)
            self._worker.submit(self._runner.run, call)
        self._report_changes()

    def _on_mode(self, message: String) -> None:
        self._mode = parse_mode(message.data)
        self._runner.on_mode(*self._mode)
        self._report_changes()

    def _on_instruction(self, message: String) -> None:
        self._runner.instruction = message.data.strip()
        self._publish_status()

    def _report_changes(self) -> None:
        """Publish a change of state; when a run has ended or waits and the arm is still the policy's, hold it."""
        state = (self._runner.run, self._runner.state)
        if state == self._reported:
            return
        self._reported = state
        self._publish_status()
        if self._runner.state == "running":
            return
        text = f"run {self._runner.run} {self._runner.state}: {self._runner.reason}"
        if self._runner.state == "failed":
            self.get_logger().error(text)
        elif self._runner.state == "waiting":
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)
        if self._mode[0] == "POLICY":
            self._hold.call_async(Trigger.Request())

    def _publish_status(self) -> None:
        self._status.publish(String(data=to_json(self._runner.status())))


def main() -> None:
    """Entry point of `policy_runner_node`."""
    keep_large_blocks()
    end_process(run_node(PolicyRunnerNode))
