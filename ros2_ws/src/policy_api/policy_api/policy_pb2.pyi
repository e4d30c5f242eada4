from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_UNSPECIFIED: _ClassVar[DType]
    F32: _ClassVar[DType]

class ImageCodec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_CODEC_UNSPECIFIED: _ClassVar[ImageCodec]
    RAW_RGB8: _ClassVar[ImageCodec]
    JPEG: _ClassVar[ImageCodec]
    PNG: _ClassVar[ImageCodec]
DTYPE_UNSPECIFIED: DType
F32: DType
IMAGE_CODEC_UNSPECIFIED: ImageCodec
RAW_RGB8: ImageCodec
JPEG: ImageCodec
PNG: ImageCodec

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: DType
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[_Union[DType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("name", "codec", "width", "height", "data", "capture_ns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_NS_FIELD_NUMBER: _ClassVar[int]
    name: str
    codec: ImageCodec
    width: int
    height: int
    data: bytes
    capture_ns: int
    def __init__(self, name: _Optional[str] = ..., codec: _Optional[_Union[ImageCodec, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., data: _Optional[bytes] = ..., capture_ns: _Optional[int] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("session_id", "epoch", "seq", "step", "obs_ns", "state", "images", "task")
    class StateEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OBS_NS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    seq: int
    step: int
    obs_ns: int
    state: _containers.MessageMap[str, Tensor]
    images: _containers.RepeatedCompositeFieldContainer[Image]
    task: str
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., step: _Optional[int] = ..., obs_ns: _Optional[int] = ..., state: _Optional[_Mapping[str, Tensor]] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., task: _Optional[str] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_us", "decode_us", "infer_us")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    INFER_US_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    decode_us: int
    infer_us: int
    def __init__(self, queue_us: _Optional[int] = ..., decode_us: _Optional[int] = ..., infer_us: _Optional[int] = ...) -> None: ...

class ActionChunk(_message.Message):
    __slots__ = ("session_id", "epoch", "obs_seq", "obs_ns", "first_step", "dt_ns", "actions", "revision", "timing")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OBS_SEQ_FIELD_NUMBER: _ClassVar[int]
    OBS_NS_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    DT_NS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    obs_seq: int
    obs_ns: int
    first_step: int
    dt_ns: int
    actions: Tensor
    revision: str
    timing: Timing
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., obs_seq: _Optional[int] = ..., obs_ns: _Optional[int] = ..., first_step: _Optional[int] = ..., dt_ns: _Optional[int] = ..., actions: _Optional[_Union[Tensor, _Mapping]] = ..., revision: _Optional[str] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ...) -> None: ...

class FieldSpec(_message.Message):
    __slots__ = ("name", "unit", "lower", "upper")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    lower: float
    upper: float
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class CameraSpec(_message.Message):
    __slots__ = ("name", "width", "height", "input_size", "jpeg_quality")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    JPEG_QUALITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    width: int
    height: int
    input_size: int
    jpeg_quality: int
    def __init__(self, name: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., input_size: _Optional[int] = ..., jpeg_quality: _Optional[int] = ...) -> None: ...

class PolicySpec(_message.Message):
    __slots__ = ("model", "revision", "spec_hash", "horizon", "cameras", "state", "action_space", "action", "dt_s", "settle_s", "firmware_zero", "task")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DT_S_FIELD_NUMBER: _ClassVar[int]
    SETTLE_S_FIELD_NUMBER: _ClassVar[int]
    FIRMWARE_ZERO_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    model: str
    revision: str
    spec_hash: str
    horizon: int
    cameras: _containers.RepeatedCompositeFieldContainer[CameraSpec]
    state: _containers.RepeatedCompositeFieldContainer[FieldSpec]
    action_space: str
    action: _containers.RepeatedCompositeFieldContainer[FieldSpec]
    dt_s: float
    settle_s: float
    firmware_zero: str
    task: str
    def __init__(self, model: _Optional[str] = ..., revision: _Optional[str] = ..., spec_hash: _Optional[str] = ..., horizon: _Optional[int] = ..., cameras: _Optional[_Iterable[_Union[CameraSpec, _Mapping]]] = ..., state: _Optional[_Iterable[_Union[FieldSpec, _Mapping]]] = ..., action_space: _Optional[str] = ..., action: _Optional[_Iterable[_Union[FieldSpec, _Mapping]]] = ..., dt_s: _Optional[float] = ..., settle_s: _Optional[float] = ..., firmware_zero: _Optional[str] = ..., task: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("server_version", "api_versions", "codecs", "max_message_bytes", "specs", "boot_id")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    API_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPECS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    api_versions: _containers.RepeatedScalarFieldContainer[str]
    codecs: _containers.RepeatedScalarFieldContainer[ImageCodec]
    max_message_bytes: int
    specs: _containers.RepeatedCompositeFieldContainer[PolicySpec]
    boot_id: str
    def __init__(self, server_version: _Optional[str] = ..., api_versions: _Optional[_Iterable[str]] = ..., codecs: _Optional[_Iterable[_Union[ImageCodec, str]]] = ..., max_message_bytes: _Optional[int] = ..., specs: _Optional[_Iterable[_Union[PolicySpec, _Mapping]]] = ..., boot_id: _Optional[str] = ...) -> None: ...

class OpenSessionRequest(_message.Message):
    __slots__ = ("robot_id", "expect_spec_hash", "episode_id", "expect_spec")
    ROBOT_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SPEC_FIELD_NUMBER: _ClassVar[int]
    robot_id: str
    expect_spec_hash: str
    episode_id: str
    expect_spec: PolicySpec
    def __init__(self, robot_id: _Optional[str] = ..., expect_spec_hash: _Optional[str] = ..., episode_id: _Optional[str] = ..., expect_spec: _Optional[_Union[PolicySpec, _Mapping]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "epoch", "spec", "lease_ms", "boot_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    spec: PolicySpec
    lease_ms: int
    boot_id: str
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., spec: _Optional[_Union[PolicySpec, _Mapping]] = ..., lease_ms: _Optional[int] = ..., boot_id: _Optional[str] = ...) -> None: ...

class ResetSessionRequest(_message.Message):
    __slots__ = ("session_id", "episode_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    episode_id: str
    def __init__(self, session_id: _Optional[str] = ..., episode_id: _Optional[str] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
