"""Episodes as a robot records them: a scripted expert's chunks through the driver's schedule and limiter, written by
the recorder's own writer."""

import json
from dataclasses import dataclass, field

import numpy as np
from episode_recorder.recording import Ending, Recording
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from motion_control.limiter import Limiter, LimiterState
from motion_control.limits import MotionLimits
from motion_control.schedule import Chunk, ChunkSchedule
from node_runtime.payloads import EpisodeState
from piper_description import HOME_POSITION, JOINT_NAMES, R_BASE_TOOL_HOME
from policy_api.images import encode_jpeg
from rosbags.typesys import Stores, get_typestore

from sim_train.envs import BatchEnv

STORE = get_typestore(Stores.ROS2_JAZZY)
BEGIN_NS = 1_790_000_000_123_456_789
TICK_NS = 5_000_000
INFER_NS = 60_000_000
LEAD_NS = 20_000_000
JOINTS, SETPOINTS, CHUNKS, MODES, IMAGES = TOPICS = (
    "/joint_states",
    "/piper_driver/setpoint",
    "/piper_driver/chunk",
    "/piper_driver/mode",
    "/cameras/front/image/compressed",
)


def make(name, *parts):
    return STORE.types[name](*parts)


def header(time_ns):
    seconds, nanoseconds = divmod(int(time_ns), 1_000_000_000)
    return make("std_msgs/msg/Header", make("builtin_interfaces/msg/Time", seconds, nanoseconds), "")


def joint_state(time_ns, position):
    nothing = np.zeros(0)
    values = (list(JOINT_NAMES), np.array(position, dtype=np.float64), nothing, nothing)
    return make("sensor_msgs/msg/JointState", header(time_ns), *values)


def trajectory(observation_ns, due_ns, waypoints):
    nothing, points = np.zeros(0), []
    for time_ns, position in zip(due_ns, waypoints, strict=True):
        after = make("builtin_interfaces/msg/Duration", *divmod(int(time_ns - observation_ns), 1_000_000_000))
        points.append(make("trajectory_msgs/msg/JointTrajectoryPoint", position, nothing, nothing, nothing, after))
    return make("trajectory_msgs/msg/JointTrajectory", header(observation_ns), list(JOINT_NAMES), points)


def image(time_ns, jpeg):
    data = np.frombuffer(jpeg, dtype=np.uint8)
    return make("sensor_msgs/msg/CompressedImage", header(time_ns), "jpeg", data)


def text(content):
    return make("std_msgs/msg/String", content)


@dataclass
class Performance:
    """What was sent over the topics, and what really happened."""

    messages: list = field(default_factory=list)
    """(topic, log time, message)."""
    instruction: str = ""
    spec: object = None
    seed: int = 0
    chunks: list = field(default_factory=list)
    """What the expert asked for, (H, 4) each."""
    seen: list = field(default_factory=list)
    """What a policy would have been shown before each chunk."""
    joints: list = field(default_factory=list)
    """(7,) measured at the beginning and after each chunk."""
    success: bool = False

    def say(self, topic, time_ns, message):
        self.messages.append((topic, int(time_ns) + 200_000, message))


def perform(task, seed, max_chunks=100):
    """The expert does the task on a robot whose driver is the real one's arithmetic."""
    env = BatchEnv(task, 1)
    seen = env.reset([seed])
    done = Performance(instruction=seen.instructions[0], spec=env.spec, seed=seed)
    done.joints.append(seen.state[0])
    camera = env.spec.cameras[0]
    limiter = Limiter(MotionLimits.default(), TICK_NS / 1e9)
    command, schedule, now = LimiterState.at_rest(HOME_POSITION), ChunkSchedule(), BEGIN_NS
    done.say(MODES, now - 30_000_000, text("POLICY"))

    def drive(until_ns, measured):
        nonlocal command, now
        while now < until_ns:
            now += TICK_NS
            target = schedule.sample(now)
            command = limiter.step(command, command.position if target is None else target)
            done.say(SETPOINTS, now, joint_state(now, command.position))
            if (now // TICK_NS) % 4 == 0 and now < until_ns:
                done.say(JOINTS, now, joint_state(now, command.position if measured is None else measured))

    drive(now + 40_000_000, seen.state[0])
    while len(done.chunks) < max_chunks:
        observed = now
        picture = env.engine.picture(0, camera.name, (camera.width, camera.height))
        for frame_ns, shown in ((observed - 33_000_000, 0 * picture), (observed, picture)):  # the earlier one is black
            done.say(IMAGES, frame_ns, image(frame_ns, encode_jpeg(shown, camera.jpeg_quality)))
        done.say(JOINTS, observed, joint_state(observed, seen.state[0]))
        actions = env.expert_actions()
        drive(observed + INFER_NS, seen.state[0])
        start = command.position
        waypoints = decode_ee_delta_position(actions[0].astype(np.float64), start, R_BASE_TOOL_HOME, TABLE_WORKSPACE)
        due = now + LEAD_NS + env.spec.dt_ns * np.arange(1, env.spec.horizon + 1, dtype=np.int64)
        done.say(CHUNKS, now, trajectory(observed, due, waypoints))
        schedule.merge(Chunk(observed, due, waypoints), now + 2_000_000, start)
        drive(int(due[-1]) + round(env.spec.settle_s * 1e9), None)
        result = env.step(actions)
        done.chunks.append(actions[0])
        done.seen.append(seen)
        seen = result.observations
        done.joints.append(seen.state[0])
        if result.done[0]:
            done.success = bool(result.success[0])
            break
    done.say(MODES, now, text("HOLD: the policy was stopped"))
    env.close()
    return done


def write(folder, episode_id, done, **changes):
    """Record it. `changes`: messages, success, cut_short, dropped, contract (a mapping), instruction, seed."""
    success = changes.get("success", done.success)
    instruction, seed = changes.get("instruction", done.instruction), changes.get("seed", done.seed)
    begun = EpisodeState(episode_id, seed, instruction, "record")
    recording = Recording(folder, begun, TOPICS)
    for topic, log_ns, message in changes.get("messages", done.messages):
        kind = message.__msgtype__
        recording.put(topic, kind, log_ns, bytes(STORE.serialize_cdr(message, kind)))
    recording.dropped.update(changes.get("dropped", {}))
    ended = EpisodeState(episode_id, seed, instruction, "end", success=success, reason="the referee said so")
    contract = changes.get("contract", json.loads(done.spec.to_json()))
    recording.end(Ending(ended, contract, changes.get("cut_short", "")))
    recording.wait(20.0)
    assert recording.result is not None
    return recording.result.path
