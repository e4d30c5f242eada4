"""The episode runner's process with a real recorder and policy runner's topics, driver and lab played by the test."""

import json
import signal
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
from node_runtime.payloads import EpisodeState, RunnerStatus, from_json, to_json
from node_runtime.qos import LATCHED, RELIABLE
from node_runtime.ros_time import to_stamp
from piper_description import HOME_POSITION, JOINT_NAMES
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from virtual_lab import lab_pb2, lab_pb2_grpc

ENTRY = "policy_bridge.episode_runner_node:main"
RECORDER = "episode_recorder.recorder_node:main"
SEED = 2_000_000


class FakeLab(lab_pb2_grpc.LabControlServicer):
    """Success is seen 0.4 s after the reset of every second seed."""

    def __init__(self):
        self.seeds = []
        self.success_at = None
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        lab_pb2_grpc.add_LabControlServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def Reset(self, request, context):  # noqa: N802 - gRPC's name
        self.seeds.append(request.seed)
        self.success_at = time.monotonic() + (0.4 if request.seed % 2 == 0 else 1e9)
        return lab_pb2.ResetReply(instruction=f"push cube {request.seed}")

    def GetTruth(self, request, context):  # noqa: N802 - gRPC's name
        return lab_pb2.GetTruthReply(success=time.monotonic() > self.success_at, seed=self.seeds[-1])


class FakeRobot:
    """Driver and policy runner: modes, services, statuses; a run finishes after 0.8 s."""

    def __init__(self, ros):
        self.ros = ros
        self.calls = []
        self.episodes: list[EpisodeState] = []
        self.q = np.array(HOME_POSITION) + 0.4
        self.status = RunnerStatus("idle")
        self.run_began = None
        self.reply = {}
        node = ros.node
        self.mode_topic = node.create_publisher(String, "/piper_driver/mode", LATCHED)
        self.joints = node.create_publisher(JointState, "/joint_states", RELIABLE)
        self.status_topic = node.create_publisher(String, "/policy_runner/status", RELIABLE)
        node.create_subscription(String, "/policy_runner/instruction", self.on_instruction, LATCHED)
        node.create_subscription(
            String, "/episode", lambda m: self.episodes.append(from_json(EpisodeState, m.data)), LATCHED
        )
        for name, kind in (("enable", SetBool), ("policy", SetBool), ("hold", Trigger), ("home", Trigger)):
            node.create_service(kind, f"/piper_driver/{name}", lambda q, a, n=name: self.on_driver(n, q, a))
        node.create_service(SetBool, "/policy_runner/run", self.on_run)
        node.create_timer(0.02, self.tick)
        self.set_mode("DISABLED")

    def set_mode(self, mode):
        self.mode = mode
        self.mode_topic.publish(String(data=mode))

    def on_instruction(self, message):
        self.status = RunnerStatus(self.status.state, self.status.run, instruction=message.data)

    def on_driver(self, name, request, answer):
        on = getattr(request, "data", True)
        self.calls.append(name if on else f"{name} off")
        if name in self.reply:
            answer.success, answer.message = False, self.reply[name]
            return answer
        if name == "home":
            self.q = np.array(HOME_POSITION) + 0.005
        else:
            self.set_mode("POLICY" if name == "policy" and on else "HOLD")
        answer.success = True
        return answer

    def on_run(self, request, answer):
        self.calls.append("run" if request.data else "run off")
        old = self.status
        if request.data:
            self.run_began = time.monotonic()
            self.status = RunnerStatus("running", old.run + 1, instruction=old.instruction)
        elif old.state == "running":
            self.status = RunnerStatus("stopped", old.run, "stopped on request", old.instruction, 3, [5.0, 6.0, 7.0])
        answer.success = True
        return answer

    def tick(self):
        if self.status.state == "running" and time.monotonic() - self.run_began > 0.8:
            said = self.status.instruction
            self.status = RunnerStatus("finished", self.status.run, "all 4 chunks were played", said, 4)
        self.status_topic.publish(String(data=to_json(self.status)))
        message = JointState(name=list(JOINT_NAMES), position=self.q.tolist())
        message.header.stamp = to_stamp(time.monotonic_ns())
        self.joints.publish(message)


@pytest.fixture
def lab():
    lab = FakeLab()
    yield lab
    lab.server.stop(None)


def start(ros, out, lab, **changes):
    parameters = {"episodes": 2, "first_seed": SEED, "output_dir": out, "lab_address": lab.address, **changes}
    return ros.start(ENTRY, **parameters)


def wait_for_exit(ros, process, timeout_s=15.0):
    ros.wait(lambda: process.process.poll() is not None, timeout_s, "the end of the evaluation")
    return process.process.returncode


def test_two_episodes_then_a_third_is_added(ros, tmp_path, lab):
    out = tmp_path / "lab"
    robot = FakeRobot(ros)
    ros.start(RECORDER, output_dir=out, min_free_mb=1)
    process = start(ros, out, lab)
    assert wait_for_exit(ros, process) == 0, process.text()
    assert lab.seeds == [SEED, SEED + 1]
    episode = ["home", "policy", "run", "run off", "policy off"]
    assert robot.calls == ["enable", *episode, *episode]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["episodes"], summary["successes"], summary["success_rate"]) == (2, 1, 0.5)
    first, second = summary["results"]
    assert (first["id"], first["seed"], first["success"], first["reason"]) == ("ep0000", SEED, True, "success was seen")
    assert first["instruction"] == f"push cube {SEED}"
    assert (second["success"], second["reason"]) == (False, "policy finished: all 4 chunks were played")
    assert second["chunks"] == 4
    assert [e.phase for e in robot.episodes if e.id == "ep0001"] == ["setup", "record", "run", "end"]
    for result in (first, second):
        assert result["recording"] == str(out / result["id"])
        assert result["recording_error"] == ""
        facts = json.loads((out / result["id"] / "episode.json").read_text())
        assert (facts["instruction"], facts["success"]) == (result["instruction"], result["success"])
        with Reader(out / result["id"]) as bag:
            assert sum(c.msgcount for c in bag.connections if c.topic == "/joint_states") > 20

    robot.calls.clear()
    process = start(ros, out, lab, episodes=3)
    assert wait_for_exit(ros, process) == 0, process.text()
    assert lab.seeds[2:] == [SEED + 2]
    assert robot.calls == ["hold", *episode] or robot.calls == episode
    assert json.loads((out / "summary.json").read_text())["successes"] == 2
    assert "2 of 3 succeeded" in process.text()

    process = start(ros, out, lab, episodes=3)
    assert wait_for_exit(ros, process) == 0
    assert "all 3 episodes are in the summary already" in process.text()
    process = start(ros, out, lab, first_seed=SEED + 10)
    assert wait_for_exit(ros, process) == 2
    assert "belongs to another evaluation" in process.text()


def test_driver_that_refuses_home_ends_it_with_the_reason(ros, tmp_path, lab):
    robot = FakeRobot(ros)
    robot.reply["home"] = "joint 3 reports a fault"
    ros.start(RECORDER, output_dir=tmp_path / "lab", min_free_mb=1)
    process = start(ros, tmp_path / "lab", lab)
    assert wait_for_exit(ros, process) == 1
    assert "evaluation failed: home was refused: joint 3 reports a fault (arm: HOLD)" in process.text()
    assert not (tmp_path / "lab" / "summary.json").exists()


def test_stop_in_mid_episode_takes_the_policy_off_and_truncates_the_recording(ros, tmp_path, lab):
    robot = FakeRobot(ros)
    recorder = ros.start(RECORDER, output_dir=tmp_path / "lab", min_free_mb=1)
    process = start(ros, tmp_path / "lab", lab, first_seed=SEED + 1)
    ros.wait(lambda: robot.status.state == "running", what="a run")
    process.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert wait_for_exit(ros, process) == 0, process.text()
    assert time.monotonic() - began < 1.2
    assert robot.calls[-2:] == ["run off", "policy off"]
    truncated = tmp_path / "lab" / "ep0000.truncated"
    ros.wait((truncated / "episode.json").exists, what="the closed recording")
    assert "aborted: stopped on request" in json.loads((truncated / "episode.json").read_text())["error"]
    assert recorder.process.poll() is None


def test_operator_places_tells_and_judges(ros, tmp_path, lab):
    robot = FakeRobot(ros)
    ros.start(RECORDER, output_dir=tmp_path / "out", min_free_mb=1)
    process = start(ros, tmp_path / "out", lab, referee="operator")
    ros.wait(lambda: f"seed {SEED}: place the objects" in process.text(), what="the question")
    process.type("push the red cube")
    ros.wait(lambda: "Did it succeed? [y/n]" in process.text(), what="the verdict")
    assert robot.status.instruction == "push the red cube"
    process.type("y")
    ros.wait(lambda: f"seed {SEED + 1}: place the objects" in process.text(), what="the second episode")
    began = time.monotonic()
    process.process.send_signal(signal.SIGINT)  # while the operator is being asked
    assert wait_for_exit(ros, process) == 0, process.text()
    assert time.monotonic() - began < 1.2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(r["success"], r["instruction"]) for r in summary["results"]] == [(True, "push the red cube")]
    assert lab.seeds == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"output_dir": "''"}, "output_dir is empty"),
        ({"referee": "coin"}, "referee is 'coin'; known are lab, operator"),
        ({"episodes": 0}, "episodes is 0"),
    ],
)
def test_wrong_parameters(ros, tmp_path, lab, changes, text):
    process = start(ros, tmp_path, lab, **changes)
    assert process.process.wait(10) == 2
    assert text in process.text()
