"""One evaluation episode, step by step. Knows neither ROS nor a clock: the deck does."""

from dataclasses import dataclass, field
from typing import Protocol

from node_runtime.payloads import EpisodeState, RecorderStatus, RunnerStatus

from policy_bridge.referee import Referee

RECORDER_OPENS_S = 5.0
RECORDER_CLOSES_S = 10.0
WATCH_PERIOD_S = 0.1
RUNNER_EXPLAINS_S = 0.6
"""How long to wait for the runner's own reason once the arm has left POLICY."""
AFTERMATH_S = 0.3
"""Between the arm's stop and the verdict: what was pushed comes to rest."""


class SetupFailedError(RuntimeError):
    """The evaluation can't go on; the text says why and what to do."""


class StoppedError(RuntimeError):
    """Somebody asked the evaluation to stop."""


class Deck(Protocol):
    """The robot as the protocol sees it. Methods block; they raise SetupFailedError, or StoppedError on request."""

    def now_ns(self) -> int:
        """Monotonic time."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def announce(self, state: EpisodeState) -> None:
        """Publish the state of the episode."""
        ...

    def go_home(self) -> None:
        """Bring the arm home and wait until it stands there in HOLD."""
        ...

    def recorder(self) -> RecorderStatus | None:
        """The recorder's newest word."""
        ...

    def start_policy(self, instruction: str) -> None:
        """Give the policy authority and start a run with this instruction."""
        ...

    def runner(self) -> RunnerStatus | None:
        """The newest word on the run last started; None until there is one."""
        ...

    def mode(self) -> tuple[str, str]:
        """The arm's mode and its reason."""
        ...

    def stop_policy(self) -> None:
        """End the run and take authority away. Never raises."""
        ...


@dataclass(frozen=True)
class EpisodeResult:
    """What became of an episode. `duration_s` is the time under policy; `recording` is empty if there is none."""

    id: str
    seed: int
    instruction: str
    success: bool
    reason: str
    chunks: int
    duration_s: float
    infer_ms: list[float] = field(default_factory=list)
    image_age_ms: list[float] = field(default_factory=list)
    revision: str = ""
    recording: str = ""
    recording_error: str = ""


def run_episode(episode_id: str, seed: int, timeout_s: float, deck: Deck, referee: Referee) -> EpisodeResult:
    """Home, place the objects, record, run the policy until something ends it, judge, close the recording."""
    state = EpisodeState(episode_id, seed, "", "setup")
    deck.announce(state)
    deck.go_home()
    instruction = referee.setup(seed)
    state = EpisodeState(episode_id, seed, instruction, "record")
    deck.announce(state)
    try:
        _wait_for_recorder(episode_id, deck)
        reason, duration_s = _run_policy(state, timeout_s, deck, referee)
        deck.pause(AFTERMATH_S)
        success = referee.verdict()
    except Exception as error:  # whatever it was, the recording must close; it is raised again
        deck.announce(EpisodeState(episode_id, seed, instruction, "end", None, str(error)))
        raise
    deck.announce(EpisodeState(episode_id, seed, instruction, "end", success, reason))
    recording, recording_error = _close_recording(episode_id, deck)
    runner = deck.runner() or RunnerStatus("idle")
    return EpisodeResult(
        id=episode_id,
        seed=seed,
        instruction=instruction,
        success=success,
        reason=reason,
        chunks=runner.chunks,
        duration_s=round(duration_s, 3),
        infer_ms=runner.infer_ms,
        image_age_ms=runner.image_age_ms,
        revision=runner.revision,
        recording=recording,
        recording_error=recording_error,
    )


def _wait_for_recorder(episode_id: str, deck: Deck) -> None:
    end_ns = deck.now_ns() + round(RECORDER_OPENS_S * 1e9)
    while deck.now_ns() < end_ns:
        status = deck.recorder()
        if status is not None and status.id == episode_id:
            if status.phase == "recording":
                return
            if status.phase == "refused":
                raise SetupFailedError(f"the recorder refused episode {episode_id}: {status.error}")
        deck.pause(0.02)
    raise SetupFailedError(
        f"the recorder did not open episode {episode_id} within {RECORDER_OPENS_S:g} s; is episode_recorder running?"
    )


def _run_policy(state: EpisodeState, timeout_s: float, deck: Deck, referee: Referee) -> tuple[str, float]:
    """Return why the run ended, and how long it took in seconds. The policy is off again when this returns."""
    try:
        deck.start_policy(state.instruction)
        deck.announce(EpisodeState(state.id, state.seed, state.instruction, "run"))
        begin_ns = deck.now_ns()
        while True:
            reason = _ended(begin_ns, timeout_s, deck, referee)
            if reason:
                return reason, (deck.now_ns() - begin_ns) / 1e9
            deck.pause(WATCH_PERIOD_S)
    finally:
        deck.stop_policy()


def _ended(begin_ns: int, timeout_s: float, deck: Deck, referee: Referee) -> str | None:
    if referee.succeeded():
        return "success was seen"
    if reason := _runner_ended(deck):
        return reason
    mode, why = deck.mode()
    if mode != "POLICY":
        deck.pause(RUNNER_EXPLAINS_S)
        if reason := _runner_ended(deck):
            return reason
        if not (_waiting(deck) and mode == "HOLD") and deck.mode()[0] != "POLICY":
            return f"the arm left POLICY: {mode}" + (f" ({why})" if why else "")
    if deck.now_ns() - begin_ns > timeout_s * 1e9:
        return f"timeout after {timeout_s:g} s"
    return None


def _runner_ended(deck: Deck) -> str | None:
    runner = deck.runner()
    if runner is None or runner.state in ("running", "waiting"):
        return None
    if runner.state == "failed" and runner.chunks == 0:
        raise SetupFailedError(f"the policy did not play a single chunk: {runner.reason}")
    return f"policy {runner.state}: {runner.reason}"


def _waiting(deck: Deck) -> bool:
    """Whether the runner holds the arm until its server is back."""
    runner = deck.runner()
    return runner is not None and runner.state == "waiting"


def _close_recording(episode_id: str, deck: Deck) -> tuple[str, str]:
    end_ns = deck.now_ns() + round(RECORDER_CLOSES_S * 1e9)
    while deck.now_ns() < end_ns:
        status = deck.recorder()
        if status is not None and status.id == episode_id and status.phase in ("closed", "truncated"):
            return status.path, status.error
        deck.pause(0.02)
    return "", f"the recorder did not close the episode within {RECORDER_CLOSES_S:g} s"
