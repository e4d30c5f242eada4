"""Schema <-> protobuf, in pairs. The only file that knows both.

Every `*_from_proto` checks what it reads and raises an error of `policy_api.errors`; it never trusts a length.
Session, epoch and sequence numbers belong to the connection, not to the schema: client and server set them.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from policy_api import policy_pb2 as pb
from policy_api.errors import ContractMismatch, InvalidMessage, InvalidObservation
from policy_api.events import Draining, Load, NewRevision, Revoked, ServerEvent
from policy_api.schema import (
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

SharedReader = Callable[[SharedBytes], bytes]
"""Copies a frame out of shared memory: `policy_api.shared_frames.read_shared`."""

STATE_KEY = "state"
_CODEC_TO_PROTO = {"jpeg": pb.JPEG, "png": pb.PNG, "rgb8": pb.RAW_RGB8, "z16": pb.RAW_Z16}
_CODEC_FROM_PROTO = {number: name for name, number in _CODEC_TO_PROTO.items()}
_MERGE_TO_PROTO = {
    "": pb.MERGE_UNSPECIFIED,
    "replace": pb.REPLACE,
    "crossfade": pb.CROSSFADE,
    "temporal_ensemble": pb.TEMPORAL_ENSEMBLE,
    "rtc_prefix": pb.RTC_PREFIX,
}
_MERGE_FROM_PROTO = {number: name for name, number in _MERGE_TO_PROTO.items()}
_LITTLE_F32 = np.dtype("<f4")
_MAX_DIMENSIONS = 8


def tensor_to_proto(array: NDArray[np.float32]) -> pb.Tensor:
    """float32 array of 1..8 dimensions, none of them 0 -> message."""
    return pb.Tensor(dtype=pb.F32, shape=array.shape, data=array.astype(_LITTLE_F32, copy=False).tobytes())


def tensor_from_proto(message: pb.Tensor) -> NDArray[np.float32]:
    """Message -> float32 array. InvalidMessage if the type is unknown or the bytes do not fill the shape."""
    if message.dtype != pb.F32:
        raise InvalidMessage(f"tensor has dtype {message.dtype}; only F32 ({pb.F32}) is taken")
    if not 1 <= len(message.shape) <= _MAX_DIMENSIONS or min(message.shape) < 1:
        raise InvalidMessage(
            f"tensor has {len(message.shape)} dimensions; expected 1..{_MAX_DIMENSIONS}, none of them 0"
        )
    expected = math.prod(message.shape) * _LITTLE_F32.itemsize
    if len(message.data) != expected:
        raise InvalidMessage(f"tensor of shape {tuple(message.shape)} has {expected} bytes, got {len(message.data)}")
    return np.frombuffer(message.data, dtype=_LITTLE_F32).reshape(tuple(message.shape)).astype(np.float32)


def image_to_proto(name: str, image: EncodedImage, shared: SharedBytes | None = None) -> pb.Image:
    """A camera's frame -> message; with `shared` the message says where the bytes lie instead of holding them."""
    message = pb.Image(
        name=name,
        codec=_CODEC_TO_PROTO[image.codec],
        width=image.width,
        height=image.height,
        capture_ns=image.capture_ns,
    )
    if shared is None:
        message.data = image.data
    else:
        message.shared.CopyFrom(
            pb.SharedBytes(name=shared.name, offset=shared.offset, size=shared.size, ticket=shared.ticket)
        )
    return message


def image_from_proto(message: pb.Image, shared: SharedReader | None = None) -> EncodedImage:
    """Message -> frame, still encoded. InvalidMessage if the codec is unknown.

    `shared` reads a frame that lies in shared memory; without it such a frame is refused with InvalidObservation.
    """
    codec = _CODEC_FROM_PROTO.get(message.codec)
    if codec is None:
        raise InvalidMessage(
            f"camera {message.name!r}: codec {message.codec} is unknown; known are {', '.join(_CODEC_TO_PROTO)}"
        )
    data = message.data
    if message.HasField("shared"):
        if data:
            raise InvalidObservation(f"camera {message.name!r}: frame is given twice, as bytes and in shared memory")
        if shared is None:
            raise InvalidObservation(
                f"camera {message.name!r}: shared memory is taken only from a robot on the server's own host; "
                "send frames inside the messages"
            )
        place = message.shared
        data = shared(SharedBytes(place.name, place.offset, place.size, place.ticket))
    return EncodedImage(codec, message.width, message.height, data, message.capture_ns)


def committed_to_proto(committed: Committed) -> pb.Committed:
    """What the arm does meanwhile -> message."""
    return pb.Committed(
        first_step=committed.first_step,
        actions=tensor_to_proto(committed.actions),
        delay_steps=committed.delay_steps,
    )


def committed_from_proto(message: pb.Committed) -> Committed:
    """Message -> what the arm does meanwhile. InvalidMessage if the actions cannot be read."""
    return Committed(tensor_from_proto(message.actions), message.delay_steps, message.first_step)


def observation_to_proto(
    observation: Observation, share: Callable[[bytes], SharedBytes | None] | None = None
) -> pb.InferRequest:
    """Observation -> request, without session, epoch and sequence number.

    `share` puts a frame's bytes into shared memory and says where; None, or an answer of None: they go along.
    """
    committed = observation.committed
    return pb.InferRequest(
        step=observation.step,
        obs_ns=observation.stamp_ns,
        state={STATE_KEY: tensor_to_proto(observation.state)},
        images=[
            image_to_proto(name, image, share(image.data) if share else None)
            for name, image in observation.images.items()
        ],
        task=observation.instruction,
        committed=None if committed is None else committed_to_proto(committed),
    )


def observation_from_proto(message: pb.InferRequest, shared: SharedReader | None = None) -> Observation:
    """Request -> observation. Not yet checked against a contract: call `Observation.validate`.

    `shared` as in `image_from_proto`.
    """
    if list(message.state) != [STATE_KEY]:
        raise InvalidObservation(f"state has the keys {sorted(message.state)}; expected one, {STATE_KEY!r}")
    images: dict[str, EncodedImage] = {}
    for image in message.images:
        if image.name in images:
            raise InvalidObservation(f"camera {image.name!r} is given twice")
        images[image.name] = image_from_proto(image, shared)
    return Observation(
        state=tensor_from_proto(message.state[STATE_KEY]),
        images=images,
        instruction=message.task,
        stamp_ns=message.obs_ns,
        step=message.step,
        committed=committed_from_proto(message.committed) if message.HasField("committed") else None,
    )


def chunk_to_proto(chunk: ActionChunk) -> pb.ActionChunk:
    """Chunk -> message, without session, epoch and sequence number."""
    timing = chunk.timing
    return pb.ActionChunk(
        obs_ns=chunk.observation_ns,
        first_step=chunk.first_step,
        dt_ns=chunk.dt_ns,
        actions=tensor_to_proto(chunk.actions),
        revision=chunk.revision,
        timing=pb.Timing(
            queue_us=timing.queue_us,
            decode_us=timing.decode_us,
            preprocess_us=timing.preprocess_us,
            infer_us=timing.infer_us,
            postprocess_us=timing.postprocess_us,
            batch=timing.batch,
        ),
        frozen_rows=chunk.frozen_rows,
        merge=_MERGE_TO_PROTO[chunk.merge],
        spec_hash=chunk.spec_hash,
    )


def chunk_from_proto(message: pb.ActionChunk) -> ActionChunk:
    """Message -> chunk. Not yet checked against a contract: call `ActionChunk.validate`.

    A merge strategy that this version does not know is left to the robot.
    """
    timing = message.timing
    return ActionChunk(
        actions=tensor_from_proto(message.actions),
        dt_ns=message.dt_ns,
        first_step=message.first_step,
        observation_ns=message.obs_ns,
        revision=message.revision,
        timing=Timing(
            queue_us=timing.queue_us,
            decode_us=timing.decode_us,
            preprocess_us=timing.preprocess_us,
            infer_us=timing.infer_us,
            postprocess_us=timing.postprocess_us,
            batch=timing.batch,
        ),
        frozen_rows=message.frozen_rows,
        merge=_MERGE_FROM_PROTO.get(message.merge, ""),
        spec_hash=message.spec_hash,
    )


def spec_to_proto(spec: PolicySpec, revision: str, prefix_steps: int = 0) -> pb.PolicySpec:
    """Contract, and the weights that honour it -> message with the contract's hash.

    `prefix_steps`: committed steps that the weights can be conditioned on.
    """
    return pb.PolicySpec(
        model=spec.model,
        revision=revision,
        spec_hash=spec.spec_hash,
        horizon=spec.horizon,
        cameras=[
            pb.CameraSpec(
                name=camera.name,
                width=camera.width,
                height=camera.height,
                input_size=camera.input_size,
                jpeg_quality=camera.jpeg_quality,
                depth=None if camera.depth is None else pb.DepthRange(near=camera.depth.near, far=camera.depth.far),
            )
            for camera in spec.cameras
        ],
        state=[_field_to_proto(field) for field in spec.state],
        action_space=spec.action_space,
        action=[_field_to_proto(field) for field in spec.action],
        dt_s=spec.dt_s,
        settle_s=spec.settle_s,
        firmware_zero=spec.firmware_zero,
        task=spec.task,
        prefix_steps=prefix_steps,
    )


def spec_from_proto(message: pb.PolicySpec) -> tuple[PolicySpec, str]:
    """Message -> (contract, revision).

    InvalidSpec if the contract makes no sense; ContractMismatch if its hash is not the one in the message, which
    happens when the two ends are different versions of this package.
    """
    spec = PolicySpec(
        model=message.model,
        cameras=tuple(_camera_from_proto(camera) for camera in message.cameras),
        state=tuple(_field_from_proto(field) for field in message.state),
        action_space=message.action_space,
        action=tuple(_field_from_proto(field) for field in message.action),
        horizon=message.horizon,
        dt_s=message.dt_s,
        settle_s=message.settle_s,
        firmware_zero=message.firmware_zero,
        task=message.task,
    )
    spec.validate()
    if spec.spec_hash != message.spec_hash:
        raise ContractMismatch(
            f"the contract as received has hash {spec.spec_hash}, its sender says {message.spec_hash or 'none'}; "
            "run the same version of policy_api at both ends"
        )
    return spec, message.revision


def server_info_to_proto(info: ServerInfo) -> pb.ServerInfo:
    """ServerInfo -> message."""
    return pb.ServerInfo(
        server_version=info.server_version,
        api_versions=info.api_versions,
        codecs=[_CODEC_TO_PROTO[codec] for codec in info.codecs],
        max_message_bytes=info.max_message_bytes,
        specs=[spec_to_proto(model.spec, model.revision, model.prefix_steps) for model in info.models],
        boot_id=info.boot_id,
    )


def server_info_from_proto(message: pb.ServerInfo) -> ServerInfo:
    """Message -> ServerInfo. Codecs that this version does not know are left out."""
    if not message.specs:
        raise InvalidMessage("the server names no contract; it serves nothing yet, ask again")
    return ServerInfo(
        server_version=message.server_version,
        api_versions=tuple(message.api_versions),
        codecs=tuple(_CODEC_FROM_PROTO[codec] for codec in message.codecs if codec in _CODEC_FROM_PROTO),
        max_message_bytes=message.max_message_bytes,
        boot_id=message.boot_id,
        models=tuple(_model_from_proto(model) for model in message.specs),
    )


def event_from_proto(message: pb.SessionEvent) -> ServerEvent | None:
    """Message -> event; None for one that this version does not know. Raises as `spec_from_proto` does."""
    kind = message.WhichOneof("event")
    if kind == "draining":
        return Draining(message.draining.grace_ms)
    if kind == "new_revision":
        return NewRevision(_model_from_proto(message.new_revision))
    if kind == "revoked":
        return Revoked(message.revoked.reason)
    if kind == "load":
        return Load(message.load.busy, message.load.waiting, message.load.p95_infer_us)
    return None


def _model_from_proto(message: pb.PolicySpec) -> ServedModel:
    return ServedModel(*spec_from_proto(message), message.prefix_steps)


def _camera_from_proto(camera: pb.CameraSpec) -> CameraSpec:
    depth = DepthRange(camera.depth.near, camera.depth.far) if camera.HasField("depth") else None
    return CameraSpec(camera.name, camera.width, camera.height, camera.input_size, camera.jpeg_quality, depth)


def _field_to_proto(field: FieldSpec) -> pb.FieldSpec:
    return pb.FieldSpec(name=field.name, unit=field.unit, lower=field.lower, upper=field.upper)


def _field_from_proto(field: pb.FieldSpec) -> FieldSpec:
    return FieldSpec(field.name, field.unit, field.lower, field.upper)
