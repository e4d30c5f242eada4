from dataclasses import replace

import numpy as np
import pytest
from policy_api.errors import InvalidObservation
from policy_api.images import decode_image, encode_jpeg

from policy_server.openpi.mapping import ObservationKeys

FRONT = np.full((240, 320, 3), (10, 200, 30), np.uint8)
WRIST = np.full((240, 320, 3), (1, 2, 3), np.uint8)
STATE = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.05])


@pytest.fixture
def message():
    return {"images/front": FRONT, "images/wrist": WRIST, "state": STATE, "prompt": "push the red cube", "more": 1}


@pytest.fixture
def read(spec):
    def from_message(message, *chosen, spec=spec):
        return ObservationKeys.parse(chosen).read(message, spec, 7)

    return from_message


def test_usual_names(read, message):
    seen = read(message)
    assert seen.step == 7
    assert seen.instruction == "push the red cube"
    assert seen.state.dtype == np.float32
    np.testing.assert_allclose(seen.state, STATE)
    np.testing.assert_array_equal(decode_image(seen.images["front"]), FRONT)
    np.testing.assert_array_equal(decode_image(seen.images["wrist"]), WRIST)


def test_nested_maps_other_usual_names_and_lists(read, message):
    nested = {"images": {"front": FRONT}, "observation": {"wrist": WRIST, "state": STATE.tolist()}, "prompt": "push"}
    seen = read(nested)
    np.testing.assert_array_equal(decode_image(seen.images["wrist"]), WRIST)
    np.testing.assert_allclose(seen.state, STATE)


def test_an_only_camera_may_be_just_image(read, message, spec):
    one = replace(spec, cameras=spec.cameras[:1])
    seen = read({"observation/image": FRONT, "state": STATE, "prompt": "push"}, spec=one)
    np.testing.assert_array_equal(decode_image(seen.images["front"]), FRONT)
    with pytest.raises(InvalidObservation, match=r"'images/front' or .* is missing.*observation/image"):
        read({"observation/image": FRONT, "state": STATE, "prompt": "push"})


def test_chosen_names_and_a_state_in_two_parts(read, message):
    droid = {
        "observation/exterior_image_1_left": FRONT,
        "wrist": WRIST,
        "observation/joint_position": STATE[:6],
        "observation/gripper_position": STATE[6:],
        "prompt": "push",
    }
    chosen = (
        "front=observation/exterior_image_1_left",
        "state=observation/joint_position+observation/gripper_position",
    )
    seen = read(droid, *chosen)
    np.testing.assert_array_equal(decode_image(seen.images["front"]), FRONT)
    np.testing.assert_allclose(seen.state, STATE)
    with pytest.raises(InvalidObservation, match="'observation/exterior_image_1_left' is missing"):
        read(message, *chosen)


def test_jpeg_bytes_are_taken_as_they_are(read, message):
    jpeg = encode_jpeg(FRONT, 90)
    image = read(message | {"images/front": jpeg}).images["front"]
    assert (image.codec, image.data) == ("jpeg", jpeg)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images/front": None}, r"'images/front' must be a \(240, 320, 3\) uint8 RGB frame.*got NoneType"),
        ({"images/front": FRONT.transpose(2, 0, 1)}, r"got uint8 of shape \(3, 240, 320\); do not resize"),
        ({"images/front": FRONT[:224, :224]}, r"got uint8 of shape \(224, 224, 3\); do not resize"),
        ({"images/front": FRONT.astype(np.float32)}, "got float32"),
        ({"state": STATE[:6]}, r"state has shape \(6,\)"),
        ({"state": STATE * np.nan}, "must be a finite number"),
        ({"state": STATE[None]}, r"must be a row of numbers, got float64 of shape \(1, 7\)"),
        ({"state": ["a"] * 7}, "must be a row of numbers, got list"),
        ({"state": {}}, "must be a row of numbers, got dict"),
        ({"prompt": 3}, "'prompt' must be a text, got int"),
        ({"prompt": " "}, "instruction is empty"),
        ({"prompt": "x" * 2000}, "at most 1000"),
    ],
)
def test_what_does_not_fit_is_named(read, message, change, text):
    with pytest.raises(InvalidObservation, match=text):
        read(message | change)


@pytest.mark.parametrize("part", ["state", "prompt", "images/wrist"])
def test_missing_part_is_named_with_what_is_there(read, message, part):
    del message[part]
    with pytest.raises(
        InvalidObservation, match=rf"'{part}'.* is missing; the observation has the keys .*--openpi-key"
    ):
        read(message)


def test_choices_that_make_no_sense(spec):
    for text in ("front", "=x", "front=", ""):
        with pytest.raises(ValueError, match="is not NAME=KEY"):
            ObservationKeys.parse([text])
    rear = ObservationKeys.parse(["rear=x"])
    with pytest.raises(ValueError, match="have no 'rear'; they have state, prompt, front, wrist"):
        rear.check([spec])
    rear.check([spec, replace(spec, cameras=(replace(spec.cameras[0], name="rear"),))])
    rear.check([])
