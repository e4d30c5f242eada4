import json
from dataclasses import replace

import numpy as np
import pytest

from policy_server.backends.errors import BackendError
from policy_server.backends.scripted import BUILT_IN, CONTRACT, load_scripted

ONE = np.array([[0.1, 1.2, -1.0, 0, 0.2, 0, 0.03]], np.float32)


def played(policy, steps, state=ONE):
    """Actions (steps, A) as a robot gets them, one chunk behind the other."""
    begins = range(0, steps, policy.spec.horizon)
    return np.concatenate([policy.act({}, state, ["go"], steps=[step]).actions[0] for step in begins])


@pytest.fixture
def written(tmp_path):
    def write(motions, **other):
        path = tmp_path / "motions.yaml"
        path.write_text(json.dumps({"motions": motions, **other}))  # JSON is YAML
        return path

    return write


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_motions_keep_their_contract(name):
    policy = load_scripted(name)
    policy.spec.validate()
    actions = played(policy, 400)
    assert actions.dtype == np.float32
    assert actions.shape == (400, 4)
    lower, upper = (np.array([getattr(f, end) for f in policy.spec.action], np.float32) for end in ("lower", "upper"))
    assert (actions >= lower).all()
    assert (actions <= upper).all()


def test_hold_moves_nothing_and_leaves_the_gripper_as_it_is():
    policy = load_scripted("hold")
    np.testing.assert_array_equal(played(policy, 8), np.tile(np.float32([0, 0, 0, 0.03]), (8, 1)))


def test_wave_moves_one_action_and_comes_back():
    actions = played(load_scripted("wave"), 80)
    assert not actions[:, :2].any()
    np.testing.assert_allclose(actions[:40, 2].sum(), 0, atol=1e-6)
    np.testing.assert_allclose(actions[:40, 2], actions[40:, 2], atol=1e-7)
    assert 0.004 < actions[:, 2].max() <= 0.005
    assert actions[:10, 2].sum() > 0.02  # a quarter of the way up


def test_sweep_moves_every_action_in_turn():
    actions = played(load_scripted("sweep"), 160)
    displaced = actions[:, :3] != 0
    for turn in range(3):
        assert displaced[40 * turn : 40 * turn + 40, turn].all()
    assert (displaced.sum(axis=1)[:120] == 1).all()
    assert not displaced[120:].any()
    np.testing.assert_array_equal(actions[:120, 3], np.float32(0.03))
    assert np.ptp(actions[120:, 3]) == pytest.approx(0.007, abs=1e-4)


def test_rows_of_a_batch_have_steps_and_states_of_their_own():
    policy = load_scripted("wave")
    state = np.repeat(ONE, 3, axis=0)
    state[1, 6] = 0.05
    together = policy.act({}, state, ["a", "b", "c"], steps=[0, 12, 7]).actions
    for row, step in enumerate((0, 12, 7)):
        np.testing.assert_array_equal(
            together[row], policy.act({}, state[row : row + 1], ["x"], steps=[step]).actions[0]
        )
    assert not np.array_equal(together[0], together[1])


def test_a_motion_of_ones_own(written, tmp_path, spec):
    (tmp_path / "robot.json").write_text(spec.to_json())
    motions = {"nod": {"kind": "wave", "action": "dx", "amplitude": 0.05, "period_s": 0.8}, "rest": {"kind": "hold"}}
    path = written(motions, contract="robot.json")
    policy = load_scripted("nod", path)
    assert policy.spec == spec
    assert abs(played(policy, 8)[:, 0]).max() == pytest.approx(0.05 * np.cos(np.pi / 8), abs=1e-6)
    assert policy.revision != load_scripted("rest", path).revision
    assert policy.revision == load_scripted("nod", path).revision
    without = load_scripted("rest", written(motions)).spec
    assert without.to_json() + "\n" == CONTRACT.read_text()


@pytest.mark.parametrize(
    ("motion", "text"),
    [
        ("wave", "expected one of hold, wave, sweep"),
        ({"kind": "jump"}, r"motions.mine.kind: got 'jump', expected one of hold, wave, sweep"),
        ({"kind": "hold", "period_s": 2}, r"a hold has \['kind'\]"),
        ({"kind": "wave", "action": "dx", "period_s": 2}, "a wave has"),
        ({"kind": "wave", "action": "yaw", "amplitude": 0.01, "period_s": 2}, "'yaw' is unknown; known are dx, dy, dz"),
        ({"kind": "wave", "action": "dx", "amplitude": 0.5, "period_s": 2}, r"amplitude: got 0.5, expected .* 0..0.04"),
        ({"kind": "wave", "action": "dx", "amplitude": True, "period_s": 2}, "amplitude: got True"),
        ({"kind": "wave", "action": "dx", "amplitude": "0.01", "period_s": 2}, "amplitude: got '0.01'"),
        ({"kind": "wave", "action": "dx", "amplitude": 0.01, "period_s": 0.1}, r"period_s: got 0.1, expected .* 0.4"),
        ({"kind": "sweep", "amplitude_share": float("nan"), "period_s": 2}, "amplitude_share"),
    ],
)
def test_bad_motion_is_refused_by_key(written, motion, text):
    with pytest.raises(BackendError, match=text):
        load_scripted("mine", written({"mine": motion}))


def test_joints_are_not_scripted(tmp_path, written, spec):
    (tmp_path / "joints.json").write_text(replace(spec, action_space="joint_position", action=spec.state).to_json())
    with pytest.raises(
        BackendError, match="the action space is 'joint_position'; motions are scripted as displacements"
    ):
        load_scripted("a", written({"a": {"kind": "hold"}}, contract="joints.json"))


def test_bad_file_is_refused(tmp_path, written):
    with pytest.raises(BackendError, match="no motion 'fly'; known are hold, wave, sweep"):
        load_scripted("fly")
    with pytest.raises(BackendError, match=r"missing.yaml cannot be read"):
        load_scripted("a", tmp_path / "missing.yaml")
    with pytest.raises(BackendError, match="'speed' is unknown; known are contract, motions"):
        load_scripted("a", written({"a": {"kind": "hold"}}, speed=1))
    with pytest.raises(BackendError, match=r"absent.json holds no contract"):
        load_scripted("a", written({"a": {"kind": "hold"}}, contract="absent.json"))
    bad = tmp_path / "bad.yaml"
    for content in (
        b"motions: [",
        b"\xff\xfe\x00",
        b"- 1",
        b"motions: 3",
        b"!!python/object/apply:os.getcwd []",
        b"x" * 70_000,
    ):
        bad.write_bytes(content)
        with pytest.raises(BackendError, match=r"bad\.yaml"):
            load_scripted("a", bad)
