import json
import time
from pathlib import Path

import numpy as np
import pytest
from episode_recorder.episode_folder import EpisodeFolder, free_bytes
from episode_recorder.recording import QUEUE_MESSAGES, Ending, Recording
from episode_recorder.recovery import recover_bag, salvage
from node_runtime.payloads import EpisodeState
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import JointState
from std_msgs.msg import String

TYPES = get_typestore(Stores.ROS2_JAZZY)
EPISODE = EpisodeState("ep0001", 2_000_001, "push the red cube", "record")
DONE = EpisodeState("ep0001", 2_000_001, "push the red cube", "end", success=True)


def joint_state(k: int) -> bytes:
    return serialize_message(JointState(name=["joint1"], position=[k / 100], velocity=[0.0], effort=[0.0]))


def finish(recording: Recording, ending: Ending) -> None:
    recording.end(ending)
    recording.wait(5.0)
    assert recording.result is not None


def read(folder: Path) -> list[tuple[str, int, object]]:
    with Reader(folder) as bag:
        return [(c.topic, t, TYPES.deserialize_cdr(raw, c.msgtype)) for c, t, raw in bag.messages()]


def test_round_trip(tmp_path):
    recording = Recording(tmp_path, EPISODE, ["/joint_states", "/never"])
    for k in range(300):
        recording.put("/joint_states", "sensor_msgs/msg/JointState", 1000 + k, joint_state(k))
    recording.put("/note", "std_msgs/msg/String", 5000, serialize_message(String(data="hello")))
    finish(recording, Ending(DONE, {"model": "tiny"}))
    assert recording.result.error == ""
    assert recording.result.path == tmp_path / "ep0001"
    assert not (tmp_path / "ep0001.partial").exists()
    messages = read(tmp_path / "ep0001")
    assert [t for topic, t, _ in messages if topic == "/joint_states"] == list(range(1000, 1300))
    positions = np.array([m.position[0] for topic, _, m in messages if topic == "/joint_states"])
    np.testing.assert_array_equal(positions, np.arange(300) / 100)
    assert messages[-1][2].data == "hello"
    facts = json.loads((tmp_path / "ep0001" / "episode.json").read_text())
    assert facts["counts"] == {"/joint_states": 300, "/never": 0, "/note": 1}
    assert (facts["success"], facts["seed"], facts["truncated"]) == (True, 2_000_001, False)
    assert facts["contract"] == {"model": "tiny"}


def test_every_message_is_in_the_file_soon_after_it_came(tmp_path):
    recording = Recording(tmp_path, EPISODE, [])
    for k in range(50):
        recording.put("/joint_states", "sensor_msgs/msg/JointState", k, joint_state(k))
    time.sleep(0.4)
    found = list(salvage(tmp_path / "ep0001.partial" / "ep0001.mcap"))
    assert [m.log_ns for m in found] == list(range(50))
    finish(recording, Ending(DONE, None))


def test_unfinished_file_becomes_a_bag_up_to_its_last_whole_chunk(tmp_path):
    recording = Recording(tmp_path, EPISODE, [])
    for k in range(50):
        recording.put("/joint_states", "sensor_msgs/msg/JointState", k, joint_state(k))
        if k == 24:
            time.sleep(0.3)
    time.sleep(0.3)
    partial = tmp_path / "ep0001.partial" / "ep0001.mcap"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.mcap").write_bytes(partial.read_bytes()[:-600])  # a kill in the middle of the second chunk
    finish(recording, Ending(DONE, None))
    assert recover_bag(broken, tmp_path / "recovered") == 25
    assert [t for _, t, _ in read(tmp_path / "recovered")] == list(range(25))


def test_what_is_no_mcap_is_refused(tmp_path):
    (tmp_path / "a.mcap").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="not an MCAP file"):
        recover_bag(tmp_path, tmp_path / "out")


def test_full_queue_drops_and_counts(tmp_path, monkeypatch):
    recording = Recording(tmp_path, EPISODE, [])
    monkeypatch.setattr(recording, "_write_queued", lambda: recording._end.is_set())
    time.sleep(0.15)  # the writer is in the stalled loop now
    for k in range(QUEUE_MESSAGES + 7):
        recording.put("/joint_states", "sensor_msgs/msg/JointState", k, b"")
    assert recording.dropped == {"/joint_states": 7}
    finish(recording, Ending(DONE, None))
    facts = json.loads((recording.result.path / "episode.json").read_text())
    assert facts["dropped"] == {"/joint_states": 7}


def test_cut_short_is_never_listed_as_whole(tmp_path):
    recording = Recording(tmp_path, EPISODE, [])
    finish(recording, Ending(EPISODE, None, "stopped by hand"))
    assert [p.name for p in tmp_path.iterdir()] == ["ep0001.truncated"]
    facts = json.loads((tmp_path / "ep0001.truncated" / "episode.json").read_text())
    assert (facts["truncated"], facts["error"], facts["success"]) == (True, "stopped by hand", None)


def test_earlier_attempt_is_moved_aside_and_kept(tmp_path):
    for attempt in range(3):
        recording = Recording(tmp_path, EPISODE, [])
        recording.put("/note", "std_msgs/msg/String", attempt, serialize_message(String(data=str(attempt))))
        finish(recording, Ending(DONE, None))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ep0001", "ep0001.old-1", "ep0001.old-2"]
    assert read(tmp_path / "ep0001")[0][2].data == "2"


@pytest.mark.parametrize("episode_id", ["", "../up", "a b", "x" * 101])
def test_id_that_is_no_file_name_is_refused(tmp_path, episode_id):
    with pytest.raises(ValueError, match="no file name"):
        EpisodeFolder(tmp_path, episode_id)


def test_free_bytes_of_a_folder_to_come(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") > 0
