"""One run of a policy: look, ask, play what was answered, look again, at the pace that suits the contract.

A state machine without a clock and without ROS. The node tells it what happened; it says what to do.
All times are monotonic nanoseconds.
"""

import json
from dataclasses import replace
from statistics import median
from typing import Any

from motion_control.errors import ActionRefusedError
from node_runtime.payloads import RunnerState, RunnerStatus
from policy_api.errors import InvalidObservation
from policy_api.schema import ActionChunk, Observation, PolicySpec

from policy_bridge.contract_check import contract_problem
from policy_bridge.observation_sync import MAX_AGE_NS, JointSample, ObservationSync
from policy_bridge.pace import Pace, Play
from policy_bridge.pacing import Pacing
from policy_bridge.recovery import Recovery, Todo

FIRST_LOOK_NS = 5_000_000_000
"""How long the first observation may take: cameras are discovered when the contract names them."""

LOOK_NS = 2_000_000_000
"""How long a later observation may take."""


class PolicyRunner:
    """At most one run at a time; `run` counts them. Ends in finished, stopped or failed, with a reason.

    `instruction` may be changed at any time; every observation carries the present one. A run that loses its server
    waits for it for at most `server_wait_ns`, with the arm in HOLD; 0: it fails at once. `pacing`: how it looks and
    plays.
    """

    def __init__(self, max_chunks: int, server_wait_ns: int = 0, pacing: Pacing | None = None) -> None:
        self._max_chunks = max_chunks
        self._server_wait_ns = server_wait_ns
        self._pacing = pacing or Pacing()
        self.run = 0
        self.state: RunnerState = "idle"
        self.reason = ""
        self.spec: PolicySpec | None = None
        self._contract: dict[str, Any] | None = None
        self.instruction = ""
        self._clear()

    def _clear(self) -> None:
        self.sync: ObservationSync | None = None
        self._pace: Pace | None = None
        self._asked: Observation | None = None
        self._recovery: Recovery | None = None
        self._chunks = 0
        self._infer_ms: list[float] = []
        self._image_age_ms: list[float] = []
        self._revision = ""

    @property
    def running(self) -> bool:
        """Whether a run is in progress, be it waiting for its server."""
        return self.state in ("running", "waiting")

    @property
    def revision(self) -> str:
        """Weights that gave the run's last chunk; empty before the first one."""
        return self._revision

    def start(self) -> int:
        """Begin a run; returns its number. The session is to be opened, then `on_session` called."""
        self._clear()
        self.run += 1
        self.state, self.reason = "running", ""
        return self.run

    def on_session(self, spec: PolicySpec, now_ns: int, prefix_steps: int = 0) -> None:
        """Take note of the server's contract; a contract this robot can't keep ends the run.

        `prefix_steps`: committed steps that the weights can be conditioned on.
        """
        if self._recovery is not None:
            self._recovery.on_session()
            return
        self.spec = spec
        self._contract = json.loads(spec.to_json())
        problem = contract_problem(spec)
        if problem:
            self.fail(f"contract refused: {problem}")
            return
        try:
            self._pace = self._pacing.pace(spec, prefix_steps)
        except ValueError as error:
            self.fail(f"the runner's settings do not fit the contract: {error}")
            return
        self._pace.begin(now_ns)
        self.sync = ObservationSync(camera.name for camera in spec.cameras)

    def look(self, now_ns: int, setpoint: JointSample | None) -> Observation | None:
        """Return the observation to send to the server now, if it is time and everything has arrived."""
        sync, spec, pace = self.sync, self.spec, self._pace
        if self.state != "running" or sync is None or spec is None or pace is None or self._asked:
            return None
        if self._chunks == self._max_chunks:
            if pace.over(now_ns):
                self._end("finished", f"all {self._max_chunks} chunks were played")
            return None
        since_ns = pace.due_since(now_ns)
        if since_ns is None:
            return None
        observation = sync.collect(now_ns, pace.not_before_ns, self.instruction, 0)
        if observation is None or setpoint is None or now_ns - setpoint.stamp_ns > MAX_AGE_NS:
            if now_ns > since_ns + (LOOK_NS if self._chunks else FIRST_LOOK_NS):
                missing = sync.missing(now_ns, pace.not_before_ns) or "the driver's setpoint is missing or old"
                self.fail(f"no observation: {missing}")
            return None
        question = pace.ask(now_ns, setpoint.position)
        observation = replace(observation, step=question.step, committed=question.committed)
        try:
            observation.validate(spec)
        except InvalidObservation as error:
            self.fail(f"observation refused: {error}")
            return None
        self._asked = observation
        self._image_age_ms.append((now_ns - observation.stamp_ns) / 1e6)
        return observation

    def on_actions(self, chunk: ActionChunk, infer_ns: int, now_ns: int) -> Play | None:
        """Turn the server's answer into waypoints to publish now; None if it came too late to be of use.

        An answer that makes no sense ends the run.
        """
        if not self.running or self._asked is None or self._pace is None:
            return None
        observation, self._asked = self._asked, None
        self._infer_ms.append(infer_ns / 1e6)
        self._revision = chunk.revision
        try:
            play = self._pace.answer(chunk, observation.stamp_ns, now_ns)
        except ActionRefusedError as error:
            self.fail(f"actions refused: {error}")
            return None
        self._chunks += play is not None
        return play

    def on_mode(self, mode: str, reason: str) -> None:
        """The arm's mode is `mode`; a run goes on only in POLICY, and waits only in HOLD."""
        if self._recovery is not None and mode in ("POLICY", "HOLD"):
            self._recovery.on_mode(mode)
        elif self.running and mode != "POLICY":
            self._end("stopped", f"the arm left POLICY: {mode}" + (f" ({reason})" if reason else ""))

    def on_server_lost(self, reason: str, now_ns: int) -> None:
        """The server is gone, or has forgotten the session; the arm is to be held, and `recover` asked often."""
        if not self.running:
            return
        self._asked = None
        if self._recovery is not None:
            self._recovery.on_refusal(now_ns)
        elif self._server_wait_ns and self.sync is not None:
            self._recovery = Recovery(reason, now_ns, self._server_wait_ns)
            self.state, self.reason = "waiting", reason
        else:
            self.fail(reason)

    def recover(self, now_ns: int) -> Todo:
        """What a run that waits for its server needs now; see `Recovery`. A run that does not wait needs nothing."""
        if self._recovery is None:
            return "wait"
        todo = self._recovery.todo(now_ns)
        if todo == "give up":
            self.fail(self._recovery.verdict())
        elif todo == "resume":
            self._recovery = None
            self.state, self.reason = "running", ""
            if self._pace is not None:
                self._pace.begin(now_ns)
        return todo

    def fail(self, reason: str) -> None:
        """End the run because something went wrong."""
        self._end("failed", reason)

    def stop(self, reason: str) -> None:
        """End the run on request."""
        self._end("stopped", reason)

    def status(self) -> RunnerStatus:
        """Everything about the present or the last run."""
        return RunnerStatus(
            state=self.state,
            run=self.run,
            reason=self.reason,
            instruction=self.instruction,
            chunks=self._chunks,
            late=self._pace.late if self._pace is not None else 0,
            infer_ms=[round(ms, 3) for ms in self._infer_ms],
            infer_p50_ms=round(median(self._infer_ms), 3) if self._infer_ms else None,
            image_age_ms=[round(ms, 3) for ms in self._image_age_ms],
            contract=self._contract,
            revision=self._revision,
        )

    def _end(self, state: RunnerState, reason: str) -> None:
        if self.running:
            self.state, self.reason = state, reason
            self._asked = self._recovery = None
