import pickle  # only to make bytes that must be refused
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.errors import ContractMismatch, InvalidMessage, InvalidObservation, InvalidSpec
from policy_api.schema import (
    CODECS,
    MERGES,
    ActionChunk,
    CameraSpec,
    Committed,
    DepthRange,
    EncodedImage,
    FieldSpec,
    Observation,
    PolicySpec,
    ServedModel,
    ServerInfo,
    Timing,
)
from policy_api.shared_frames import SharedBytes

names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
times = st.integers(0, 2**62)
text = st.text(min_size=1, max_size=40)
spelled = text.filter(str.strip)
f32 = st.floats(width=32)


def sent(message):
    """The message after a trip over the wire."""
    return type(message).FromString(message.SerializeToString())


@st.composite
def fields(draw, units):
    made = []
    for name, unit in units:
        lower = draw(st.floats(-1e6, 1e6))
        made.append(FieldSpec(name, unit, lower, draw(st.floats(lower, 2e6, exclude_min=True))))
    return tuple(made)


@st.composite
def specs(draw):
    cameras = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        width, height = draw(st.integers(16, 4096)), draw(st.integers(16, 4096))
        size = draw(st.integers(8, min(width, height)))
        near = draw(st.floats(0, 10))
        depth = draw(st.sampled_from((None, DepthRange(near, near + draw(st.floats(0.1, 10))))))
        cameras.append(CameraSpec(name, width, height, size, draw(st.integers(1, 100)), depth))
    return PolicySpec(
        model=draw(spelled),
        cameras=tuple(cameras),
        state=draw(fields([(f"joint{i}", "rad") for i in range(1, 7)] + [("gripper", "m")])),
        action_space="ee_delta_position",
        action=draw(fields([(name, "m") for name in ("dx", "dy", "dz", "gripper")])),
        horizon=draw(st.integers(1, 1000)),
        dt_s=draw(st.floats(0.001, 10)),
        settle_s=draw(st.floats(0, 10)),
        firmware_zero=draw(st.sampled_from(["current", "legacy"])),
        task=draw(spelled),
    )


frames = st.builds(
    EncodedImage,
    codec=st.sampled_from(CODECS),
    width=st.integers(0, 2**32 - 1),
    height=st.integers(0, 2**32 - 1),
    data=st.binary(max_size=100),
    capture_ns=times,
)
shapes = npst.array_shapes(max_dims=4, max_side=5)


@given(npst.arrays(np.float32, shapes, elements=f32))
def test_tensor_round_trip_is_exact(array):
    again = serde.tensor_from_proto(sent(serde.tensor_to_proto(array)))
    assert again.dtype == np.float32
    assert again.flags.writeable
    np.testing.assert_array_equal(again.view(np.uint32), array.view(np.uint32))


def test_tensor_takes_a_strided_view():
    view = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-1]
    np.testing.assert_array_equal(serde.tensor_from_proto(serde.tensor_to_proto(view)), view)


@given(spec=specs(), revision=st.text(max_size=20))
@settings(max_examples=50)
def test_spec_round_trip_keeps_contract_and_hash(spec, revision):
    message = sent(serde.spec_to_proto(spec, revision))
    assert serde.spec_from_proto(message) == (spec, revision)
    assert message.spec_hash == spec.spec_hash == PolicySpec.from_json(spec.to_json()).spec_hash


@given(names, frames)
def test_image_round_trip(name, image):
    message = sent(serde.image_to_proto(name, image))
    assert message.name == name
    assert serde.image_from_proto(message) == image


@given(npst.arrays(np.float32, 7, elements=f32), st.dictionaries(names, frames, max_size=3), text, times, times)
def test_observation_round_trip(state, images, instruction, stamp_ns, step):
    observation = Observation(state, images, instruction, stamp_ns, step)
    again = serde.observation_from_proto(sent(serde.observation_to_proto(observation)))
    np.testing.assert_array_equal(again.state, state)
    assert replace(again, state=None).__dict__ == replace(observation, state=None).__dict__


@given(
    npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2), elements=f32),
    times,
    text,
    st.builds(Timing, *[st.integers(0, 2**32 - 1)] * 6),
    st.sampled_from(("", *MERGES)),
)
def test_chunk_round_trip(actions, number, revision, timing, merge):
    chunk = ActionChunk(actions, number, number // 2, number // 3, revision, timing, 3, merge, "hash")
    again = serde.chunk_from_proto(sent(serde.chunk_to_proto(chunk)))
    np.testing.assert_array_equal(again.actions, actions)
    assert replace(again, actions=None).__dict__ == replace(chunk, actions=None).__dict__


def test_server_info_round_trip(spec):
    info = ServerInfo("0.1.0", ("v1",), CODECS, 8, "boot", (ServedModel(spec, "rev"), ServedModel(spec, "new", 8)))
    assert serde.server_info_from_proto(sent(serde.server_info_to_proto(info))) == info


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        (pb.Tensor(dtype=pb.F32, shape=[7], data=b"x" * 27), "28 bytes, got 27"),
        (pb.Tensor(dtype=pb.F32, shape=[7], data=pickle.dumps(np.zeros(7, np.float32))), "28 bytes"),
        (pb.Tensor(shape=[7], data=b"x" * 28), "dtype 0"),
        (pb.Tensor(dtype=9, shape=[7], data=b"x" * 28), "dtype 9"),
        (pb.Tensor(dtype=pb.F32), "0 dimensions"),
        (pb.Tensor(dtype=pb.F32, shape=[0, 2**32 - 1, 2**32 - 1, 2**32 - 1]), "none of them 0"),
        (pb.Tensor(dtype=pb.F32, shape=[2**32 - 1] * 100_000), "100000 dimensions"),
    ],
)
def test_bad_tensor_is_refused(tensor, names):
    with pytest.raises(InvalidMessage, match=names):
        serde.tensor_from_proto(tensor)


def test_bad_observations_are_refused(observation):
    message = serde.observation_to_proto(observation)
    message.images.append(message.images[0])
    with pytest.raises(InvalidObservation, match="'front' is given twice"):
        serde.observation_from_proto(message)
    message = serde.observation_to_proto(observation)
    message.images[1].codec = 77
    with pytest.raises(InvalidMessage, match="'wrist': codec 77"):
        serde.observation_from_proto(message)
    message = serde.observation_to_proto(observation)
    message.state["force"].CopyFrom(message.state["state"])
    with pytest.raises(InvalidObservation, match="force"):
        serde.observation_from_proto(message)


def test_a_frame_may_lie_in_shared_memory(observation):
    frames = {}

    def share(data):
        frames[len(frames) + 1] = data
        return SharedBytes("ring", 64, len(data), len(frames))

    message = sent(serde.observation_to_proto(observation, share))
    assert len(message.SerializeToString()) < 300
    again = serde.observation_from_proto(message, lambda place: frames[place.ticket])
    assert again.images == observation.images
    with pytest.raises(InvalidObservation, match=r"'front': shared memory is taken only from.*own host"):
        serde.observation_from_proto(message)
    message.images[0].data = b"x"
    with pytest.raises(InvalidObservation, match="'front': frame is given twice, as bytes"):
        serde.observation_from_proto(message, lambda place: frames[place.ticket])
    kept = serde.observation_to_proto(observation, lambda data: None)
    assert kept == serde.observation_to_proto(observation)


prefixes = st.builds(
    Committed,
    npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2), elements=f32),
    st.integers(0, 2**32 - 1),
    times,
)


@given(prefixes)
def test_committed_prefix_round_trip(prefix):
    again = serde.committed_from_proto(sent(serde.committed_to_proto(prefix)))
    np.testing.assert_array_equal(again.actions, prefix.actions)
    assert (again.delay_steps, again.first_step) == (prefix.delay_steps, prefix.first_step)


def test_an_observation_without_a_prefix_has_none(observation):
    assert serde.observation_from_proto(sent(serde.observation_to_proto(observation))).committed is None
    prefix = Committed(np.ones((2, 4), np.float32), 1, 3)
    message = sent(serde.observation_to_proto(replace(observation, committed=prefix)))
    again = serde.observation_from_proto(message).committed
    np.testing.assert_array_equal(again.actions, prefix.actions)


def test_a_merge_strategy_of_a_later_version_is_left_to_the_robot():
    chunk = ActionChunk(np.zeros((1, 1), np.float32), 1, 0, 0, "r", merge="crossfade")
    message = serde.chunk_to_proto(chunk)
    assert serde.chunk_from_proto(message).merge == "crossfade"
    message.merge = 77
    assert serde.chunk_from_proto(sent(message)).merge == ""


def test_bad_contracts_are_refused(spec):
    message = serde.spec_to_proto(spec, "r")
    message.cameras[0].jpeg_quality = 91
    with pytest.raises(ContractMismatch, match="same version of policy_api"):
        serde.spec_from_proto(message)
    message.cameras[0].jpeg_quality = 0
    with pytest.raises(InvalidSpec, match=r"cameras\[0\].jpeg_quality"):
        serde.spec_from_proto(message)


def test_server_info_must_name_a_contract(spec):
    message = serde.server_info_to_proto(ServerInfo("0", ("v1",), CODECS, 8, "b", (ServedModel(spec, "r"),)))
    del message.specs[:]
    with pytest.raises(InvalidMessage, match="no contract"):
        serde.server_info_from_proto(message)
