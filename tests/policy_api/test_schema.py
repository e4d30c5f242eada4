import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from piper_description import JOINT_NAMES
from policy_api.errors import ContractMismatch, InvalidActions, InvalidObservation, InvalidSpec
from policy_api.schema import ActionChunk, Committed, DepthRange, EncodedImage, FieldSpec, PolicySpec, first_difference


def edited(spec, path, value):
    """JSON of the contract with one value replaced, added (new key) or removed (value is ...)."""
    data = json.loads(spec.to_json())
    *parents, last = path
    place = data
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(data)


def test_json_round_trip_keeps_contract_and_hash(spec):
    again = PolicySpec.from_json(spec.to_json())
    assert again == spec
    assert again.spec_hash == spec.spec_hash


def test_hash_is_stable_across_processes_and_versions(spec):
    assert spec.spec_hash == "cdcc6d1e51cdfd658679610c0c571785e6c4c898895b5011b6e19024ae95b957"
    code = (
        "import sys; from policy_api.schema import PolicySpec;print(PolicySpec.from_json(sys.stdin.read()).spec_hash)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=spec.to_json(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == spec.spec_hash


def test_hash_ignores_spelling_of_numbers_and_order_of_keys(spec):
    whole = replace(spec, dt_s=1.0)
    data = json.loads(whole.to_json())
    data["dt_s"] = 1
    data["state"][6]["lower"] = -0.0
    backwards = json.dumps(dict(reversed(data.items())))
    assert PolicySpec.from_json(backwards).spec_hash == whole.spec_hash


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (["colour"], "red", "colour: unknown"),
        (["cameras", 1, "fps"], 30, "cameras[1].fps: unknown"),
        (["horizon"], ..., "horizon: missing"),
        (["state", 2, "unit"], ..., "state[2].unit: missing"),
        (["state", 2, "unit"], "deg", "state[2].unit"),
        (["state", 3, "name"], "elbow", "state: fields are"),
        (["action", 0, "lower"], 0.05, "action[0].lower"),
        (["action_space"], "joint_delta", "action_space"),
        (["firmware_zero"], "old", "firmware_zero"),
        (["horizon"], 0, "horizon"),
        (["horizon"], 2.5, "horizon: expected int"),
        (["horizon"], True, "horizon: expected int"),
        (["dt_s"], "0.1", "dt_s: expected float"),
        (["dt_s"], 0.0, "dt_s"),
        (["settle_s"], -0.1, "settle_s"),
        (["cameras"], [], "cameras: none"),
        (["cameras"], {}, "cameras: expected a list"),
        (["cameras", 0], 3, "cameras[0]: expected an object"),
        (["cameras", 1, "name"], "front", "cameras[1].name"),
        (["cameras", 1, "name"], "a/b", "cameras[1].name"),
        (["cameras", 0, "input_size"], 121, "cameras[0].input_size"),
        (["cameras", 0, "jpeg_quality"], 101, "cameras[0].jpeg_quality"),
        (["cameras", 0, "width"], 100_000, "cameras[0].width"),
        (["model"], " ", "model: empty"),
        (["task"], None, "task: expected str"),
    ],
)
def test_bad_contract_is_refused_by_dotted_name(spec, path, value, names):
    with pytest.raises(InvalidSpec) as error:
        PolicySpec.from_json(edited(spec, path, value))
    assert names in str(error.value)


def test_nan_and_garbage_are_refused(spec):
    with pytest.raises(InvalidSpec, match="dt_s"):
        PolicySpec.from_json(edited(spec, ["dt_s"], float("nan")))
    with pytest.raises(InvalidSpec, match=r"state\[0\]"):
        PolicySpec.from_json(edited(spec, ["state", 0, "upper"], float("inf")))
    with pytest.raises(InvalidSpec, match="not JSON"):
        PolicySpec.from_json("{")


def test_state_is_in_the_order_of_the_robot(spec):
    spec.validate()
    assert tuple(field.name for field in spec.state) == JOINT_NAMES
    with pytest.raises(InvalidSpec, match="state: fields are"):
        replace(spec, state=spec.state[::-1]).validate()


def places(*bodies):
    return tuple(FieldSpec(f"{body}_{axis}", "m", -1.0, 1.0) for body in bodies for axis in "xyz")


def test_only_a_state_that_knows_places_makes_cameras_needless(spec):
    blind = replace(spec, cameras=(), state=spec.state + places("red", "blue"))
    assert PolicySpec.from_json(blind.to_json()) == blind
    replace(blind, cameras=spec.cameras).validate()
    with pytest.raises(InvalidSpec, match="cameras: none"):
        replace(spec, cameras=()).validate()


@pytest.mark.parametrize(
    ("beyond", "names"),
    [
        (places("red")[:2], "state: fields are .*'red_z'"),
        (places("red")[::-1], "state: fields are"),
        (places("red", "red"), "state: fields are"),
        ((replace(places("red")[0], unit="rad"), *places("red")[1:]), r"state\[7\].unit: got 'rad'"),
        ((*places("red")[:2], replace(places("red")[2], lower=1.0)), r"state\[9\].lower"),
    ],
)
def test_places_of_bodies_are_whole_and_in_metres(spec, beyond, names):
    with pytest.raises(InvalidSpec, match=names):
        replace(spec, state=spec.state + beyond).validate()


def test_first_difference_names_the_first_field(spec):
    assert first_difference(spec, spec) is None
    other = replace(spec, cameras=(spec.cameras[0], replace(spec.cameras[1], jpeg_quality=70)), dt_s=0.2)
    assert first_difference(spec, other) == "cameras[1].jpeg_quality: 80 against 70"
    assert other.spec_hash != spec.spec_hash
    assert first_difference(spec, replace(spec, cameras=spec.cameras[:1])) == "cameras: 2 entries against 1"
    wider = (FieldSpec("dx", "m", -0.1, 0.05), *spec.action[1:])
    assert first_difference(spec, replace(spec, action=wider)) == "action[0].lower: -0.05 against -0.1"


def test_good_observation_passes(spec, observation):
    observation.validate(spec)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"state": np.zeros(6, np.float32)}, r"state has shape \(6,\).*\(7,\)"),
        ({"state": np.zeros(7)}, "state must be a float32 array, got float64"),
        ({"state": [0.0] * 7}, "state must be a float32 array, got list"),
        ({"state": np.array([0, 0, np.nan, 0, 0, 0, 0], np.float32)}, "state.joint3 is nan"),
        ({"state": np.array([0, 0, 0, 0, 0, 0, np.inf], np.float32)}, "state.gripper is inf"),
        ({"images": {}}, "camera 'front' is missing; got none"),
        ({"instruction": " "}, "instruction is empty"),
        ({"instruction": "x" * 1001}, "1001 characters"),
        ({"stamp_ns": -1}, "stamp_ns"),
        ({"step": -1}, "step"),
    ],
)
def test_bad_observation_is_refused_by_name(spec, observation, change, names):
    with pytest.raises(InvalidObservation, match=names):
        replace(observation, **change).validate(spec)


@pytest.mark.parametrize(
    ("image", "names"),
    [
        (EncodedImage("jpeg", 640, 480, b"x", 0), "'wrist': frame is 640x480, the contract says 128x96"),
        (EncodedImage("webp", 128, 96, b"x", 0), "'wrist': codec 'webp'"),
        (EncodedImage("jpeg", 128, 96, bytearray(b"x"), 0), r"'wrist': frame must be bytes, got bytearray"),
        (EncodedImage("jpeg", 128, 96, b"", 0), "'wrist': frame is empty"),
        (EncodedImage("jpeg", 128, 96, b"x", -1), "'wrist': capture_ns"),
    ],
)
def test_bad_frame_is_refused_by_camera(spec, observation, image, names):
    with pytest.raises(InvalidObservation, match=names):
        replace(observation, images={**observation.images, "wrist": image}).validate(spec)


def test_unexpected_camera_is_refused(spec, observation):
    extra = {**observation.images, "side": observation.images["front"]}
    with pytest.raises(InvalidObservation, match="'side' is not in the contract"):
        replace(observation, images=extra).validate(spec)


def chunk(actions):
    return ActionChunk(actions, 100_000_000, 0, 0, "r")


def test_chunk_may_reach_its_limits_in_float32(spec):
    actions = np.zeros((8, 4), np.float32)
    actions[:, 3] = 0.07
    actions[:, 0] = np.nextafter(np.float32(-0.05), np.float32(-1))
    chunk(actions).validate(spec)


@pytest.mark.parametrize(
    ("row", "column", "value", "names"),
    [
        (2, 1, np.nan, r"actions\[2\].dy is nan"),
        (7, 0, 0.050001, r"actions\[7\].dx is 0.050001;"),
        (7, 0, 0.0501, r"actions\[7\].dx is 0.0501; the contract allows -0.05..0.05 m"),
        (0, 3, -0.001, r"actions\[0\].gripper"),
    ],
)
def test_chunk_outside_its_range_is_refused(spec, row, column, value, names):
    actions = np.zeros((8, 4), np.float32)
    actions[row, column] = value
    with pytest.raises(InvalidActions, match=names):
        chunk(actions).validate(spec)


def test_chunk_of_wrong_shape_is_refused(spec):
    with pytest.raises(InvalidActions, match=r"shape \(7, 4\); the contract says \(8, 4\)"):
        chunk(np.zeros((7, 4), np.float32)).validate(spec)


def depth_camera(spec, near=0.1, far=1.1):
    return replace(spec, cameras=(replace(spec.cameras[0], depth=DepthRange(near, far)), spec.cameras[1]))


def test_depth_range_is_part_of_the_contract_only_where_there_is_one(spec):
    deep = depth_camera(spec)
    assert "depth" not in spec.to_json()
    assert PolicySpec.from_json(deep.to_json()) == deep
    assert deep.spec_hash != spec.spec_hash
    assert first_difference(spec, deep) == "cameras[0].depth: None against {'near': 0.1, 'far': 1.1}"
    assert first_difference(deep, depth_camera(spec, 0.2)) == "cameras[0].depth.near: 0.1 against 0.2"


@pytest.mark.parametrize(
    ("depth", "names"),
    [
        ({"near": 0.1}, "cameras[0].depth.far: missing"),
        ({"near": 0.1, "far": 1.0, "unit": "mm"}, "cameras[0].depth.unit: unknown"),
        (None, "cameras[0].depth: expected an object"),
        ({"near": 1.0, "far": 1.0}, "cameras[0].depth.near"),
        ({"near": -0.1, "far": 1.0}, "cameras[0].depth.near"),
        ({"near": 0.1, "far": 1000}, "cameras[0].depth.far"),
    ],
)
def test_bad_depth_range_is_refused_by_dotted_name(spec, depth, names):
    with pytest.raises(InvalidSpec) as error:
        PolicySpec.from_json(edited(spec, ["cameras", 0, "depth"], depth))
    assert names in str(error.value)


def test_a_depth_camera_sends_depth_and_a_colour_camera_does_not(spec, observation):
    deep = depth_camera(spec)
    frame = EncodedImage("z16", 160, 120, bytes(160 * 120 * 2), 5)
    replace(observation, images={**observation.images, "front": frame}).validate(deep)
    with pytest.raises(InvalidObservation, match=r"'front': codec 'jpeg'.*a depth camera may send"):
        observation.validate(deep)
    with pytest.raises(InvalidObservation, match=r"'front': codec 'z16'.*a colour camera may send"):
        replace(observation, images={**observation.images, "front": frame}).validate(spec)


def committed(rows=3, delay=2, first_step=3, **changes):
    actions = np.zeros((rows, 4), np.float32)
    return Committed(changes.get("actions", actions), delay, first_step)


def test_good_committed_prefix_passes(spec, observation):
    for prefix in (committed(), committed(8, 8), committed(1, 0)):
        replace(observation, committed=prefix).validate(spec)


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        (committed(rows=9), "committed.actions has 9 rows"),
        (committed(rows=0), "committed.actions has 0 rows"),
        (committed(actions=np.float32(3)), "committed.actions has 0 rows"),
        (committed(actions=np.zeros((3, 5), np.float32)), r"committed.actions has shape \(3, 5\)"),
        (committed(actions=np.zeros((3, 4))), "must be a float32 array, got float64"),
        (committed(actions=np.full((3, 4), np.nan, np.float32)), r"committed.actions\[0\].dx is nan"),
        (committed(actions=np.full((3, 4), 0.06, np.float32)), r"committed.actions\[0\].dx is 0.06; the contract"),
        (committed(delay=4), "delay_steps is 4"),
        (committed(first_step=2), "first_step is 2; it must be the observation's step, 3"),
    ],
)
def test_bad_committed_prefix_is_refused(spec, observation, prefix, names):
    with pytest.raises(InvalidObservation, match=names):
        replace(observation, committed=prefix).validate(spec)


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"frozen_rows": 9}, InvalidActions, "frozen_rows is 9; the chunk has 8 rows"),
        ({"merge": "add"}, InvalidActions, "merge is 'add'; known are replace"),
        ({"spec_hash": "0" * 64}, ContractMismatch, "open the session again"),
    ],
)
def test_chunk_that_says_the_impossible_is_refused(spec, change, error, names):
    good = replace(chunk(np.zeros((8, 4), np.float32)), frozen_rows=8, merge="rtc_prefix", spec_hash=spec.spec_hash)
    good.validate(spec)
    with pytest.raises(error, match=names):
        replace(good, **change).validate(spec)


def test_joints_may_be_what_a_policy_commands(spec):
    joints = replace(spec, action_space="joint_position", action=spec.state)
    joints.validate()
    assert PolicySpec.from_json(joints.to_json()) == joints
    with pytest.raises(InvalidSpec, match=r"action: fields are \['dx'"):
        replace(spec, action_space="joint_position").validate()
