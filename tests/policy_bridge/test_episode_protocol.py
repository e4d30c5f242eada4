import dataclasses

import pytest
from node_runtime.payloads import RecorderStatus, RunnerStatus
from policy_bridge.episode_protocol import SetupFailedError, StoppedError, run_episode

S = 1_000_000_000
ID, SEED = "ep0003", 2_000_003


class World:
    """Robot and referee in one; `script` maps seconds of policy time to what happens then."""

    def __init__(self, script=None, recorder_opens=True, verdict=False):
        self.t_ns = 0
        self.script = dict(script or {})
        self.log: list[str] = []
        self.recorder_opens = recorder_opens
        self.recorder_status = None
        self.runner_status = None
        self.mode_now = ("HOLD", "at home")
        self.seen_success = False
        self.verdict_now = verdict
        self.policy_since_ns = None

    def now_ns(self):
        return self.t_ns

    def pause(self, seconds):
        self.t_ns += round(seconds * 1e9)
        if self.policy_since_ns is None:
            return
        for due_s in sorted(self.script):
            if self.t_ns - self.policy_since_ns >= due_s * S:
                self.script.pop(due_s)(self)

    def announce(self, state):
        self.log.append(f"announce {state.phase} {state.success}")
        self.last = state
        if state.phase == "record":
            phase = "recording" if self.recorder_opens else "refused"
            self.recorder_status = RecorderStatus(phase, state.id, "/tmp/x.partial", "")
        elif state.phase == "end" and self.recorder_status:
            self.recorder_status = RecorderStatus("closed", state.id, "/tmp/x")

    def go_home(self):
        self.log.append("home")

    def recorder(self):
        return self.recorder_status

    def start_policy(self, instruction):
        self.log.append(f"policy on: {instruction}")
        self.mode_now = ("POLICY", "")
        self.runner_status = RunnerStatus("running", 1)
        self.policy_since_ns = self.t_ns

    def runner(self):
        return self.runner_status

    def mode(self):
        return self.mode_now

    def stop_policy(self):
        self.log.append("policy off")
        self.mode_now = ("HOLD", "policy was taken off")

    def setup(self, seed):
        self.log.append(f"setup {seed}")
        return "push the red cube"

    def succeeded(self):
        return self.seen_success

    def verdict(self):
        self.log.append("verdict")
        return self.verdict_now or self.seen_success


def runner_says(state, chunks, reason, **more):
    def act(world):
        world.runner_status = RunnerStatus(state, 1, reason, chunks=chunks, **more)

    return act


def mode_becomes(mode, reason):
    return lambda world: setattr(world, "mode_now", (mode, reason))


def run(world, timeout_s=30.0):
    return run_episode(ID, SEED, timeout_s, world, world)


def test_steps_come_in_order():
    finished = runner_says("finished", 5, "all 5 chunks were played", infer_ms=[9.0, 11.0], revision="abc")
    world = World({4.0: finished}, verdict=True)
    result = run(world)
    assert world.log == [
        "announce setup None",
        "home",
        f"setup {SEED}",
        "announce record None",
        "policy on: push the red cube",
        "announce run None",
        "policy off",
        "verdict",
        "announce end True",
    ]
    assert result.duration_s == pytest.approx(4.0, abs=0.11)
    assert dataclasses.replace(result, duration_s=0.0) == dataclasses.replace(
        result,
        id=ID,
        seed=SEED,
        instruction="push the red cube",
        success=True,
        reason="policy finished: all 5 chunks were played",
        chunks=5,
        duration_s=0.0,
        infer_ms=[9.0, 11.0],
        revision="abc",
        recording="/tmp/x",
        recording_error="",
    )


@pytest.mark.parametrize(
    ("script", "reason", "success"),
    [
        ({2.0: lambda w: setattr(w, "seen_success", True)}, "success was seen", True),
        ({2.0: runner_says("failed", 2, "server gone")}, "policy failed: server gone", False),
        ({2.0: mode_becomes("ESTOP", "by hand")}, "the arm left POLICY: ESTOP (by hand)", False),
        (
            # the runner's own reason comes a little after the hold that it asked for
            {2.0: mode_becomes("HOLD", "hold requested"), 2.5: runner_says("failed", 2, "server gone")},
            "policy failed: server gone",
            False,
        ),
        ({}, "timeout after 30 s", False),
        (
            # an outage: the runner waits, the arm holds; both go on, the driver's word comes before the runner's
            {
                2.0: mode_becomes("HOLD", "hold requested"),
                2.3: runner_says("waiting", 2, "server gone"),
                8.0: mode_becomes("POLICY", ""),
                8.1: runner_says("running", 2, ""),
                9.0: lambda w: setattr(w, "seen_success", True),
            },
            "success was seen",
            True,
        ),
        (
            # the same, the runner's word first
            {
                2.0: runner_says("waiting", 2, "server gone"),
                2.3: mode_becomes("HOLD", "hold requested"),
                8.0: runner_says("running", 2, ""),
                8.3: mode_becomes("POLICY", ""),
            },
            "timeout after 30 s",
            False,
        ),
        (
            {
                2.0: runner_says("waiting", 2, "server gone"),
                2.1: mode_becomes("HOLD", ""),
                9.0: mode_becomes("ESTOP", "by hand"),
            },
            "the arm left POLICY: ESTOP (by hand)",
            False,
        ),
        (
            {
                2.0: runner_says("waiting", 2, "server gone"),
                2.1: mode_becomes("HOLD", ""),
                9.0: runner_says("failed", 2, "it did not come back"),
            },
            "policy failed: it did not come back",
            False,
        ),
    ],
)
def test_what_ends_an_episode(script, reason, success):
    world = World(script)
    result = run(world)
    assert (result.reason, result.success) == (reason, success)
    assert "policy off" in world.log
    assert world.log[-1] == f"announce end {success}"


def test_success_counts_even_when_seen_only_after_the_stop():
    world = World({2.0: runner_says("finished", 2, "x")})
    world.stop_policy = lambda: setattr(world, "seen_success", True)
    assert run(world).success is True


def test_recorder_that_refuses_ends_the_evaluation():
    world = World(recorder_opens=False)
    with pytest.raises(SetupFailedError, match="the recorder refused episode ep0003"):
        run(world)
    assert not any(entry.startswith("policy on") for entry in world.log)
    assert (world.last.phase, world.last.success) == ("end", None)


def test_recorder_that_is_not_there_ends_the_evaluation():
    world = World()
    world.announce = lambda state: None
    with pytest.raises(SetupFailedError, match="is episode_recorder running"):
        run(world)


def test_policy_that_never_plays_ends_the_evaluation_with_the_policy_off():
    world = World({1.0: runner_says("failed", 0, "no policy server at 127.0.0.1:1")})
    with pytest.raises(SetupFailedError, match="did not play a single chunk: no policy server"):
        run(world)
    assert world.log[-2:] == ["policy off", "announce end None"]


def test_stop_takes_the_policy_off():
    def stop(_world):
        raise StoppedError("stopped on request")

    world = World({3.0: stop})
    with pytest.raises(StoppedError):
        run(world)
    assert world.log[-2:] == ["policy off", "announce end None"]


def test_recording_that_does_not_close_is_reported():
    world = World({2.0: runner_says("finished", 2, "x")})
    announce = world.announce
    world.announce = lambda state: announce(state) if state.phase != "end" else None
    result = run(world)
    assert (result.recording, "did not close" in result.recording_error) == ("", True)
