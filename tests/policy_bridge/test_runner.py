import dataclasses

import numpy as np
import pytest
from bridge_specs import make_spec
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from piper_description import HOME_POSITION, JOINT_NAMES, R_BASE_TOOL_HOME
from policy_api.schema import ActionChunk, EncodedImage, FieldSpec
from policy_bridge.contract_check import contract_problem
from policy_bridge.observation_sync import JointSample
from policy_bridge.pace import LEAD_NS
from policy_bridge.pacing import Pacing
from policy_bridge.runner import FIRST_LOOK_NS, LOOK_NS, PolicyRunner

MS = 1_000_000
SPEC = make_spec()
STEP_NS = SPEC.dt_ns
HOME = np.asarray(HOME_POSITION, dtype=np.float64)


def chunk(actions=None):
    actions = np.tile([0.0, 0.0, -0.01, 0.03], (4, 1)) if actions is None else actions
    return ActionChunk(actions.astype(np.float32), STEP_NS, 0, 0, "rev")


def setpoint(now_ns):
    return JointSample(HOME.copy(), now_ns)


def feed(runner, now_ns, size=(64, 48)):
    """Everything the robot sees, 5 ms ago."""
    runner.sync.on_image("front", EncodedImage("jpeg", *size, b"jpeg", now_ns - 5 * MS))
    runner.sync.on_joints(JointSample(HOME.copy(), now_ns - 1 * MS))


def started(max_chunks=3, now_ns=1000 * MS, server_wait_ns=0):
    runner = PolicyRunner(max_chunks, server_wait_ns)
    runner.instruction = "push the red cube"
    assert runner.start() == 1
    runner.on_session(SPEC, now_ns)
    assert runner.running
    return runner


def test_chunk_is_played_then_settles_then_the_policy_looks_again():
    runner = started(now_ns=1000 * MS)
    assert runner.look(1001 * MS, setpoint(1001 * MS)) is None  # nothing seen yet
    feed(runner, 1010 * MS)
    observation = runner.look(1012 * MS, setpoint(1012 * MS))
    assert (observation.stamp_ns, observation.instruction) == (1005 * MS, "push the red cube")
    assert runner.look(1013 * MS, setpoint(1013 * MS)) is None  # one question at a time

    play = runner.on_actions(chunk(), 30 * MS, now_ns=1042 * MS)
    begin = 1042 * MS + LEAD_NS
    np.testing.assert_array_equal(play.time_ns, [begin + k * STEP_NS for k in (1, 2, 3, 4)])
    assert play.observation_ns == 1005 * MS
    expected = decode_ee_delta_position(chunk().actions.astype(np.float64), HOME, R_BASE_TOOL_HOME, TABLE_WORKSPACE)
    np.testing.assert_allclose(play.position, expected)

    end = begin + 4 * STEP_NS + 100 * MS
    feed(runner, end - 1 * MS)
    assert runner.look(end - 1 * MS, setpoint(end)) is None  # still settling
    feed(runner, end + 4 * MS)  # captured 1 ms before the arm had settled
    assert runner.look(end + 4 * MS, setpoint(end)) is None
    feed(runner, end + 6 * MS)
    observation = runner.look(end + 7 * MS, setpoint(end + 7 * MS))
    assert (observation.stamp_ns, observation.step) == (end + 1 * MS, 4)


def test_status_has_the_figures():
    runner = started()
    for infer_ms in (10, 30):
        now = runner._pace.not_before_ns + 10 * MS
        feed(runner, now)
        assert runner.look(now, setpoint(now)) is not None
        runner.on_actions(chunk(), infer_ms * MS, now + infer_ms * MS)
    status = runner.status()
    assert (status.state, status.run, status.chunks) == ("running", 1, 2)
    assert (status.infer_ms, status.infer_p50_ms, status.image_age_ms) == ([10, 30], 20, [5, 5])
    assert (status.contract["horizon"], status.revision) == (4, "rev")


def test_ends_after_the_last_chunk_has_settled():
    runner = started(max_chunks=1)
    feed(runner, 1010 * MS)
    runner.look(1010 * MS, setpoint(1010 * MS))
    play = runner.on_actions(chunk(), 30 * MS, 1040 * MS)
    end = int(play.time_ns[-1]) + 100 * MS
    runner.look(end - 1, setpoint(end))
    assert runner.running
    runner.look(end, setpoint(end))
    assert (runner.state, runner.reason) == ("finished", "all 1 chunks were played")


def test_missing_camera_ends_the_run_by_name():
    runner = started(now_ns=0)
    runner.sync.on_joints(JointSample(HOME, FIRST_LOOK_NS))
    assert runner.look(FIRST_LOOK_NS, setpoint(FIRST_LOOK_NS)) is None
    assert runner.running
    runner.look(FIRST_LOOK_NS + 1, setpoint(FIRST_LOOK_NS))
    assert (runner.state, runner.reason) == ("failed", "no observation: camera front: nothing received yet")


def test_camera_that_dies_in_mid_run_ends_it():
    runner = started()
    feed(runner, 1010 * MS)
    runner.look(1010 * MS, setpoint(1010 * MS))
    runner.on_actions(chunk(), 30 * MS, 1040 * MS)
    late = runner._pace.not_before_ns + LOOK_NS + 1
    runner.look(late, setpoint(late))
    assert runner.state == "failed"
    assert "camera front: the newest sample is" in runner.reason


def test_old_setpoint_ends_the_run():
    runner = started(now_ns=0)
    for now in (FIRST_LOOK_NS, FIRST_LOOK_NS + 1):
        feed(runner, now)
        assert runner.look(now, setpoint(1)) is None
    assert runner.reason == "no observation: the driver's setpoint is missing or old"


def test_image_of_another_size_is_refused():
    runner = started()
    feed(runner, 1010 * MS, size=(640, 480))
    assert runner.look(1010 * MS, setpoint(1010 * MS)) is None
    assert runner.state == "failed"
    assert "frame is 640x480, the contract says 64x48" in runner.reason


def test_nan_is_refused_whole():
    runner = started()
    feed(runner, 1010 * MS)
    runner.look(1010 * MS, setpoint(1010 * MS))
    actions = np.zeros((4, 4))
    actions[2, 1] = np.nan
    assert runner.on_actions(chunk(actions), 30 * MS, 1040 * MS) is None
    assert runner.state == "failed"
    assert "not finite" in runner.reason


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (lambda r: r.on_mode("FAULT", "no feedback"), "stopped", "the arm left POLICY: FAULT (no feedback)"),
        (lambda r: r.on_mode("HOLD", ""), "stopped", "the arm left POLICY: HOLD"),
        (lambda r: r.stop("stopped on request"), "stopped", "stopped on request"),
        (lambda r: r.fail("server gone"), "failed", "server gone"),
    ],
)
def test_answer_to_a_run_that_is_over_is_not_played(end, state, reason):
    runner = started()
    feed(runner, 1010 * MS)
    runner.look(1010 * MS, setpoint(1010 * MS))
    end(runner)
    assert (runner.state, runner.reason) == (state, reason)
    assert runner.on_actions(chunk(), 30 * MS, 1040 * MS) is None
    assert runner.look(1050 * MS, setpoint(1050 * MS)) is None
    runner.stop("again")
    assert (runner.state, runner.reason) == (state, reason)  # the first reason stays


def waiting():
    """A run that played one chunk and then lost its server."""
    runner = started(server_wait_ns=5000 * MS)
    feed(runner, 1010 * MS)
    runner.look(1010 * MS, setpoint(1010 * MS))
    runner.on_actions(chunk(), 30 * MS, 1040 * MS)
    now = runner._pace.not_before_ns + 10 * MS
    feed(runner, now)
    assert runner.look(now, setpoint(now)) is not None
    runner.on_server_lost("ServerUnavailable: gone", now)
    assert (runner.state, runner.reason, runner.running) == ("waiting", "ServerUnavailable: gone", True)
    return runner, now


def test_a_run_that_lost_its_server_goes_on_where_it_was():
    runner, now = waiting()
    feed(runner, now + 5 * MS)
    assert runner.look(now + 5 * MS, setpoint(now)) is None
    assert runner.on_actions(chunk(), 30 * MS, now) is None  # an answer after all: the session is over
    runner.on_mode("HOLD", "hold was requested")
    assert runner.recover(now + 10 * MS) == "open"
    runner.on_server_lost("ServerUnavailable: still gone", now + 20 * MS)
    assert runner.recover(now + 300 * MS) == "open"
    runner.on_session(SPEC, now + 310 * MS)
    assert runner.recover(now + 320 * MS) == "ask"
    assert runner.recover(now + 330 * MS) == "wait"
    runner.on_mode("POLICY", "policy has authority")
    assert runner.recover(now + 340 * MS) == "resume"
    assert (runner.state, runner.reason) == ("running", "")
    feed(runner, now + 342 * MS)  # captured before authority came back
    assert runner.look(now + 342 * MS, setpoint(now + 342 * MS)) is None
    feed(runner, now + 350 * MS)
    observation = runner.look(now + 350 * MS, setpoint(now + 350 * MS))
    assert observation.step == 4
    assert runner.status().chunks == 1
    assert runner.recover(now + 360 * MS) == "wait"


def test_a_server_that_does_not_come_back_ends_the_run():
    runner, now = waiting()
    runner.on_mode("HOLD", "")
    runner.recover(now + 1)
    assert runner.recover(now + 5000 * MS) == "give up"
    assert (runner.state, runner.running) == ("failed", False)
    assert runner.reason == "ServerUnavailable: gone; the server did not come back within 5 s"


@pytest.mark.parametrize("mode", ["ESTOP", "TELEOP", "FAULT", "DISABLED"])
def test_whoever_takes_the_arm_meanwhile_ends_the_run(mode):
    runner, now = waiting()
    runner.on_mode("HOLD", "")
    runner.on_mode(mode, "by hand")
    assert (runner.state, runner.reason) == ("stopped", f"the arm left POLICY: {mode} (by hand)")
    assert runner.recover(now + 1) == "wait"


def test_a_stop_ends_the_wait():
    runner, now = waiting()
    runner.stop("stopped on request")
    runner.on_server_lost("late news", now)
    assert (runner.state, runner.reason) == ("stopped", "stopped on request")
    assert runner.start() == 2
    assert runner.recover(now) == "wait"


def test_a_server_that_was_never_there_is_not_waited_for():
    runner = PolicyRunner(3, server_wait_ns=5000 * MS)
    runner.start()
    runner.on_server_lost("ServerUnavailable: nobody", 0)
    assert (runner.state, runner.reason) == ("failed", "ServerUnavailable: nobody")
    at_once = started()
    at_once.on_server_lost("gone", 1000 * MS)
    assert at_once.state == "failed"


def test_policy_mode_does_not_end_the_run():
    runner = started()
    runner.on_mode("POLICY", "policy has authority")
    assert runner.running


def test_next_run_starts_clean():
    runner = started()
    runner.fail("x")
    assert runner.start() == 2
    status = runner.status()
    assert (status.state, status.run, status.reason, status.chunks) == ("running", 2, "", 0)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            dataclasses.replace(SPEC, state=SPEC.state[::-1]),
            f"this robot gives {', '.join(JOINT_NAMES)} in that order",
        ),
        (dataclasses.replace(SPEC, action_space="wheels"), "action space is 'wheels'; this robot plays ee_delta"),
        (dataclasses.replace(SPEC, action_space="joint_position"), "joint_position has joint1, joint2"),
        (dataclasses.replace(SPEC, action=(*SPEC.action, FieldSpec("x", "m", 0, 1))), "dx, dy, dz, gripper, x"),
        (dataclasses.replace(SPEC, cameras=()), "no camera"),
    ],
)
def test_contract_the_robot_cannot_keep(spec, text):
    assert text in contract_problem(spec)
    runner = PolicyRunner(3)
    runner.start()
    runner.on_session(spec, 0)
    assert runner.state == "failed"
    assert runner.reason.startswith("contract refused: ")
    assert contract_problem(SPEC) is None


def test_a_streaming_run_asks_while_it_plays_and_ends_with_its_last_chunk():
    spec = dataclasses.replace(SPEC, settle_s=0.0)
    runner = PolicyRunner(2, pacing=Pacing(every_steps=2))
    runner.instruction = "push the red cube"
    runner.start()
    runner.on_session(spec, 0, prefix_steps=0)
    feed(runner, 10 * MS)
    assert runner.look(10 * MS, setpoint(10 * MS)).step == 0
    play = runner.on_actions(chunk(), 30 * MS, 40 * MS)
    begin = 40 * MS + LEAD_NS
    feed(runner, begin)
    assert runner.look(begin, setpoint(begin)) is None  # one step of two
    feed(runner, begin + STEP_NS)
    assert runner.look(begin + STEP_NS, setpoint(begin + STEP_NS)).step == 2
    more = runner.on_actions(chunk(), 30 * MS, begin + STEP_NS + 30 * MS)
    assert more.time_ns[-1] == play.time_ns[-1] + 2 * STEP_NS
    end = int(more.time_ns[-1])
    assert runner.look(end - 1, setpoint(end)) is None
    assert runner.running
    runner.look(end, setpoint(end))
    assert (runner.state, runner.status().chunks, runner.status().late) == ("finished", 2, 0)


def test_settings_that_do_not_fit_the_contract_end_the_run():
    runner = PolicyRunner(2, pacing=Pacing("streaming", every_steps=9))
    runner.start()
    runner.on_session(SPEC, 0)
    assert (runner.state, runner.reason) == (
        "failed",
        "the runner's settings do not fit the contract: every_steps is 9; chunks have 4 steps, give 1..4",
    )
