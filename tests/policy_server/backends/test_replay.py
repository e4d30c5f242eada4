import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from episode_recorder.recording import Ending, Recording
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from node_runtime.payloads import EpisodeState
from piper_description import HOME_POSITION, JOINT_NAMES, R_BASE_TOOL_HOME
from rosbags.typesys import Stores, get_typestore
from safetensors.numpy import save_file

from policy_server.backends.errors import BackendError
from policy_server.backends.replay import load_replay

STORE = get_typestore(Stores.ROS2_JAZZY)
BEGIN_NS = 1_790_000_000_123_456_789
SETPOINTS, CHUNKS, MODES = "/piper_driver/setpoint", "/piper_driver/chunk", "/piper_driver/mode"
STATE = np.array([[*HOME_POSITION[:6], 0.02]], np.float32)


def make(name, *parts):
    return STORE.types[name](*parts)


def header(time_ns):
    return make("std_msgs/msg/Header", make("builtin_interfaces/msg/Time", *divmod(int(time_ns), 10**9)), "")


def setpoint(time_ns, position):
    return make("sensor_msgs/msg/JointState", header(time_ns), list(JOINT_NAMES), position, np.zeros(0), np.zeros(0))


def chunk(observed_ns, due_ns, waypoints):
    points = []
    for time_ns, position in zip(due_ns, waypoints, strict=True):
        after = make("builtin_interfaces/msg/Duration", *divmod(int(time_ns - observed_ns), 10**9))
        empty = np.zeros(0)
        points.append(make("trajectory_msgs/msg/JointTrajectoryPoint", position, empty, empty, empty, after))
    return make("trajectory_msgs/msg/JointTrajectory", header(observed_ns), list(JOINT_NAMES), points)


def mode(text):
    return make("std_msgs/msg/String", text)


def performed(spec, chunks):
    """What is sent over the topics while a robot plays chunks of actions (C, H, 4) that it follows exactly."""
    messages, now, at = [(MODES, BEGIN_NS - 10**8, mode("POLICY"))], BEGIN_NS, np.array(HOME_POSITION)
    for actions in chunks:
        messages += [(SETPOINTS, now + ns, setpoint(now + ns, at)) for ns in (-(10**7), 10**7)]
        observed, begin = now, now + 80_000_000
        waypoints = decode_ee_delta_position(actions.astype(np.float64), at, R_BASE_TOOL_HOME, TABLE_WORKSPACE)
        due = begin + spec.dt_ns * np.arange(1, len(actions) + 1)
        messages.append((CHUNKS, begin, chunk(observed, due, waypoints)))
        messages += [(SETPOINTS, int(ns), setpoint(ns, q)) for ns, q in zip(due, waypoints, strict=True)]
        now, at = int(due[-1]) + 300_000_000, waypoints[-1]
        messages.append((SETPOINTS, now - 2 * 10**7, setpoint(now - 2 * 10**7, at)))
    return [*messages, (MODES, now, mode("HOLD: the policy was stopped"))]


def record(folder, spec, messages, cut_short=""):
    recording = Recording(folder, EpisodeState("e1", 2_000_000, "push", "record"), (SETPOINTS, CHUNKS, MODES))
    for topic, log_ns, message in messages:
        recording.put(topic, message.__msgtype__, log_ns, bytes(STORE.serialize_cdr(message, message.__msgtype__)))
    ended = EpisodeState("e1", 2_000_000, "push", "end", success=True, reason="done")
    recording.end(Ending(ended, json.loads(spec.to_json()), cut_short))
    recording.wait(20.0)
    return recording.result.path


@pytest.fixture
def actions(spec):
    """Three chunks that stay inside the workspace."""
    made = np.random.default_rng(5).uniform(-0.004, 0.004, (3, spec.horizon, 4)).astype(np.float32)
    made[..., 3] = np.linspace(0.07, 0.01, 3 * spec.horizon).reshape(3, -1)
    return made


@pytest.fixture
def episode(tmp_path, spec, actions):
    return record(tmp_path, spec, performed(spec, actions))


def answer(policy, step):
    return policy.act({}, STATE, ["whatever"], steps=[step]).actions[0]


def test_recorded_actions_come_back_by_step_and_the_end_holds(episode, spec, actions):
    policy = load_replay(episode)
    assert policy.spec == spec
    assert len(policy.revision) == 64
    flat = actions.reshape(-1, 4)
    for step in (0, 8, 16, 3):
        np.testing.assert_allclose(answer(policy, step), flat[step : step + 8], atol=2e-5)
    across = answer(policy, 20)
    np.testing.assert_allclose(across[:4], flat[20:], atol=2e-5)
    np.testing.assert_allclose(across[4:], np.tile(np.float32([0, 0, 0, flat[-1, 3]]), (4, 1)), atol=1e-6)
    assert not answer(policy, 10_000)[:, :3].any()


def test_joints_that_were_commanded_come_back(tmp_path, spec, actions):
    joints = replace(spec, action_space="joint_position", action=spec.state)
    messages = performed(spec, actions)
    waypoints = np.concatenate(
        [[point.positions for point in message.points] for topic, _, message in messages if topic == CHUNKS]
    )
    policy = load_replay(record(tmp_path, joints, messages))
    np.testing.assert_allclose(answer(policy, 5), waypoints[5:13], atol=1e-6)
    np.testing.assert_allclose(answer(policy, 500), np.tile(waypoints[-1], (8, 1)), atol=1e-6)


def test_only_what_was_played_under_the_policys_authority_counts(tmp_path, spec, actions):
    messages = performed(spec, actions)
    second = [i for i, (topic, *_) in enumerate(messages) if topic == CHUNKS][1]
    stop = messages[second][1] + 3 * spec.dt_ns + 10**7
    messages += [(MODES, stop, mode("HOLD: hand in the way")), (MODES, stop + 10**8, mode("POLICY"))]
    policy = load_replay(record(tmp_path, spec, sorted(messages, key=lambda m: m[1])))
    np.testing.assert_allclose(answer(policy, 8)[:3], actions[1, :3], atol=2e-5)
    np.testing.assert_allclose(answer(policy, 11), actions[2], atol=2e-5)


def test_revision_is_of_the_content(tmp_path, spec, actions, episode):
    other = record(tmp_path / "other", spec, performed(spec, actions * np.float32(0.5)))
    same = record(tmp_path / "same", spec, performed(spec, actions))
    revisions = [load_replay(path).revision for path in (episode, other, same)]
    assert revisions[0] == revisions[2] != revisions[1]


def test_recordings_that_cannot_be_replayed(tmp_path, spec, actions, episode):
    messages = performed(spec, actions)
    with pytest.raises(BackendError, match=r"no chunk was played.*mode POLICY"):
        load_replay(record(tmp_path / "a", spec, [m for m in messages if m[0] != MODES]))
    with pytest.raises(BackendError, match=r"truncated \(the disk was full\)"):
        load_replay(record(tmp_path / "b", spec, messages, "the disk was full"))
    narrow = replace(spec, action=(replace(spec.action[0], lower=-1e-4, upper=1e-4), *spec.action[1:]))
    with pytest.raises(BackendError, match=r"dx of step \d+ is .* its contract allows -0.0001..0.0001 m"):
        load_replay(record(tmp_path / "c", narrow, messages))
    both = [replace(field, name=arm + field.name) for arm in ("left_", "right_") for field in spec.state]
    moved = [replace(field, name=arm + field.name) for arm in ("left_", "right_") for field in spec.action]
    with pytest.raises(BackendError, match="is not of one arm"):
        load_replay(record(tmp_path / "d", replace(spec, state=tuple(both), action=tuple(moved)), messages))
    with pytest.raises(BackendError, match="there is no episode 3"):
        load_replay(episode, 3)
    facts = json.loads((episode / "episode.json").read_text())
    for spoilt in ("{", "[]", *(json.dumps(facts | {name: None}) for name in ("contract", "counts"))):
        (episode / "episode.json").write_text(spoilt)
        with pytest.raises(BackendError, match=r"episode\.json cannot be used"):
            load_replay(episode)
    with pytest.raises(BackendError, match=r"cannot be replayed: expected the directory of a recorded episode"):
        load_replay(tmp_path / "nowhere")


def test_damaged_file_is_refused(episode):
    file = episode / "e1.mcap"
    whole = file.read_bytes()
    for content in (
        b"",
        b"\x80\x05cposix\nsystem\n",
        whole[: len(whole) // 2],
        whole.replace(b"MCAP0", b"PACM0"),
        None,
    ):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(BackendError, match=r"e1\.mcap is damaged"):
            load_replay(episode)
        file.write_bytes(b"")


@pytest.fixture
def demonstrations(tmp_path, spec, actions):
    """A set of three episodes in two shards; the last chunk of the second one was cut short."""
    folder = tmp_path / "set"
    folder.mkdir()
    parts = [(actions[:2], [8, 8], [2]), (actions, [8, 5, 8], [2, 1])]
    shards = []
    for i, (chunks, executed, length) in enumerate(parts):
        name = f"shard-{i:05d}.safetensors"
        arrays = {"actions": chunks, "executed_steps": np.array(executed), "length": np.array(length)}
        save_file(arrays, folder / name)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        shards.append({"file": name, "sha256": digest, "episodes": len(length), "tried": len(length)})
    index = {"schema_version": 2, "origin": {"spec": json.loads(spec.to_json())}, "shards": shards}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_an_episode_of_a_set_of_demonstrations(demonstrations, spec, actions):
    policy = load_replay(demonstrations)
    assert policy.spec == spec
    np.testing.assert_array_equal(answer(policy, 8), actions[1])
    second, third = load_replay(demonstrations, 1), load_replay(demonstrations, 2)
    np.testing.assert_array_equal(answer(second, 8)[:5], actions[1, :5])
    assert not answer(second, 13)[:, :3].any()
    np.testing.assert_array_equal(answer(third, 0), actions[2])
    with pytest.raises(BackendError, match="has 3 episodes, counted from 0; there is no episode 3"):
        load_replay(demonstrations, 3)


def test_damaged_demonstrations_are_refused(demonstrations):
    shard, index = demonstrations / "shard-00000.safetensors", demonstrations / "index.json"
    sound = json.loads(index.read_text())
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BackendError, match=r"shard-00000.safetensors cannot be used: its SHA-256"):
        load_replay(demonstrations)
    shard.write_bytes(b"\x80\x05.")
    sound["shards"][0]["sha256"] = hashlib.sha256(b"\x80\x05.").hexdigest()
    index.write_text(json.dumps(sound))
    with pytest.raises(BackendError, match=r"shard-00000.safetensors cannot be used"):
        load_replay(demonstrations)
    sound["shards"][0]["file"] = "../secret.safetensors"
    index.write_text(json.dumps(sound))
    with pytest.raises(BackendError, match="no name of a shard"):
        load_replay(demonstrations)
    index.write_text("{}")
    with pytest.raises(BackendError, match=r"index.json cannot be read"):
        load_replay(demonstrations)
