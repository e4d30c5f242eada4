"""The recorder's process over real topics."""

import dataclasses
import json
import resource
import signal

import numpy as np
from node_runtime.payloads import EpisodeState, RecorderStatus, RunnerStatus, from_json, to_json
from node_runtime.qos import LATCHED, RELIABLE
from policy_api.images import encode_jpeg
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String

TYPES = get_typestore(Stores.ROS2_JAZZY)
ENTRY = "episode_recorder.recorder_node:main"
EPISODE = EpisodeState("ep0001", 2_000_001, "push the red cube", "record")
IMAGES = "/cameras/front/image/compressed"


class Desk:
    """Publishers that feed the recorder, and what it said."""

    def __init__(self, ros, output_dir, **parameters):
        self.ros = ros
        self.said: list[RecorderStatus] = []
        self.episode = ros.node.create_publisher(String, "/episode", LATCHED)
        self.joints = ros.node.create_publisher(JointState, "/joint_states", RELIABLE)
        self.images = ros.node.create_publisher(CompressedImage, IMAGES, RELIABLE)
        self.runner = ros.node.create_publisher(String, "/policy_runner/status", RELIABLE)
        ros.node.create_subscription(
            String,
            "/episode_recorder/status",
            lambda m: self.said.append(from_json(RecorderStatus, m.data)),
            LATCHED,
        )
        self.process = ros.start(ENTRY, output_dir=output_dir, **parameters)
        ros.wait(lambda: self.said, what="the recorder")
        for publisher in (self.joints, self.images, self.runner):
            ros.wait(lambda p=publisher: p.get_subscription_count() > 0, what=publisher.topic_name)
        assert self.said[0] == RecorderStatus("idle")

    def announce(self, **changes):
        self.episode.publish(String(data=to_json(dataclasses.replace(EPISODE, **changes))))

    def wait_for(self, phase):
        self.ros.wait(lambda: any(s.phase == phase for s in self.said), what=f"phase {phase}")
        return next(s for s in self.said if s.phase == phase)


def test_episode_is_what_was_sent(ros, tmp_path):
    desk = Desk(ros, tmp_path / "episodes")
    contract = {"model": "tiny", "horizon": 8}
    desk.runner.publish(String(data=to_json(RunnerStatus("running", contract=contract))))
    ros.spin_for(0.2)
    desk.announce()
    assert desk.wait_for("recording").path == str(tmp_path / "episodes" / "ep0001.partial")
    rng = np.random.default_rng(0)
    jpegs = [encode_jpeg(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), 90) for _ in range(30)]
    for k, jpeg in enumerate(jpegs):
        image = CompressedImage(format="jpeg", data=jpeg)
        image.header.stamp.sec = k
        desk.images.publish(image)
        for joint in range(5):
            desk.joints.publish(JointState(name=["joint1"], position=[5.0 * k + joint]))
        ros.spin_for(0.01)
    ros.spin_for(0.3)
    desk.announce(phase="run")
    ros.spin_for(0.1)
    desk.announce(phase="end", success=True)
    closed = desk.wait_for("closed")

    folder = tmp_path / "episodes" / "ep0001"
    assert closed.path == str(folder)
    with Reader(folder) as bag:
        messages = [(c.topic, t, TYPES.deserialize_cdr(raw, c.msgtype)) for c, t, raw in bag.messages()]
    assert [m.data.tobytes() for topic, _, m in messages if topic == IMAGES] == jpegs
    positions = [m.position[0] for topic, _, m in messages if topic == "/joint_states"]
    assert positions == [float(k) for k in range(150)]
    assert [json.loads(m.data)["phase"] for topic, _, m in messages if topic == "/episode"] == ["record", "run", "end"]
    times = [t for _, t, _ in messages]
    assert times == sorted(times)
    facts = json.loads((folder / "episode.json").read_text())
    assert facts["counts"][IMAGES] == 30
    assert facts["counts"]["/joint_states"] == 150
    assert facts["counts"]["/piper_driver/chunk"] == 0
    assert (facts["success"], facts["dropped"], facts["truncated"]) == (True, {}, False)
    assert facts["contract"] == contract
    assert desk.process.signal_and_wait(signal.SIGTERM) == 0


def test_full_disk_truncates_the_episode_and_the_node_lives_on(ros, tmp_path):
    desk = Desk(ros, tmp_path / "episodes")
    resource.prlimit(desk.process.process.pid, resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    desk.announce()
    desk.wait_for("recording")
    payload = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes()
    for _ in range(20):
        desk.images.publish(CompressedImage(format="jpeg", data=payload))
        ros.spin_for(0.03)
    truncated = desk.wait_for("truncated")
    assert "File too large" in truncated.error
    assert truncated.path == str(tmp_path / "episodes" / "ep0001.truncated")
    facts = json.loads((tmp_path / "episodes" / "ep0001.truncated" / "episode.json").read_text())
    assert facts["truncated"] is True
    assert 0 < facts["counts"][IMAGES] < 20

    desk.announce(phase="end", success=True)
    desk.said.clear()
    desk.announce(id="ep0002")
    assert desk.wait_for("recording").id == "ep0002"
    desk.announce(id="ep0002", phase="end", success=False)
    assert desk.wait_for("closed").id == "ep0002"


def test_too_little_space_is_refused_before_the_episode(ros, tmp_path):
    desk = Desk(ros, tmp_path / "episodes", min_free_mb=10**9)
    desk.announce()
    refused = desk.wait_for("refused")
    assert refused.id == "ep0001"
    assert "min_free_mb" in refused.error
    assert not (tmp_path / "episodes").exists()


def test_stop_in_mid_episode_marks_it_truncated(ros, tmp_path):
    desk = Desk(ros, tmp_path / "episodes")
    desk.announce()
    desk.wait_for("recording")
    desk.joints.publish(JointState(name=["joint1"], position=[1.0]))
    ros.spin_for(0.3)
    assert desk.process.signal_and_wait(signal.SIGINT) == 0
    facts = json.loads((tmp_path / "episodes" / "ep0001.truncated" / "episode.json").read_text())
    assert facts["error"] == "the recorder was stopped in mid-episode"
    assert facts["counts"]["/joint_states"] == 1


def test_aborted_episode_is_truncated(ros, tmp_path):
    desk = Desk(ros, tmp_path / "episodes")
    desk.announce()
    desk.wait_for("recording")
    desk.announce(phase="end", reason="no policy")
    assert desk.wait_for("truncated").error == "aborted: no policy"


def test_garbage_on_episode_is_logged_and_survived(ros, tmp_path):
    desk = Desk(ros, tmp_path / "episodes")
    desk.episode.publish(String(data="{"))
    ros.wait(lambda: "not JSON" in desk.process.text(), what="the complaint")
    desk.announce()
    desk.wait_for("recording")


def test_output_dir_is_required(ros):
    process = ros.start(ENTRY)
    assert process.process.wait(10) == 2
    assert "output_dir is empty" in process.text()
