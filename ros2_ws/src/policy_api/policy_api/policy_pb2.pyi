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
    RAW_Z16: _ClassVar[ImageCodec]

class Merge(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_UNSPECIFIED: _ClassVar[Merge]
    REPLACE: _ClassVar[Merge]
    CROSSFADE: _ClassVar[Merge]
    TEMPORAL_ENSEMBLE: _ClassVar[Merge]
    RTC_PREFIX: _ClassVar[Merge]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    ROBOT: _ClassVar[Priority]
    EVALUATION: _ClassVar[Priority]
    SHADOW: _ClassVar[Priority]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    SUCCESS: _ClassVar[Outcome]
    FAILURE: _ClassVar[Outcome]
    DISCARDED: _ClassVar[Outcome]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    VERIFYING: _ClassVar[Phase]
    LOADING: _ClassVar[Phase]
    WARMING_UP: _ClassVar[Phase]
    GOLDEN: _ClassVar[Phase]
    ADMITTED: _ClassVar[Phase]
DTYPE_UNSPECIFIED: DType
F32: DType
IMAGE_CODEC_UNSPECIFIED: ImageCodec
RAW_RGB8: ImageCodec
JPEG: ImageCodec
PNG: ImageCodec
RAW_Z16: ImageCodec
MERGE_UNSPECIFIED: Merge
REPLACE: Merge
CROSSFADE: Merge
TEMPORAL_ENSEMBLE: Merge
RTC_PREFIX: Merge
PRIORITY_UNSPECIFIED: Priority
ROBOT: Priority
EVALUATION: Priority
SHADOW: Priority
OUTCOME_UNSPECIFIED: Outcome
SUCCESS: Outcome
FAILURE: Outcome
DISCARDED: Outcome
PHASE_UNSPECIFIED: Phase
VERIFYING: Phase
LOADING: Phase
WARMING_UP: Phase
GOLDEN: Phase
ADMITTED: Phase

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
    __slots__ = ("name", "codec", "width", "height", "data", "capture_ns", "shared")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_NS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    name: str
    codec: ImageCodec
    width: int
    height: int
    data: bytes
    capture_ns: int
    shared: SharedBytes
    def __init__(self, name: _Optional[str] = ..., codec: _Optional[_Union[ImageCodec, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., data: _Optional[bytes] = ..., capture_ns: _Optional[int] = ..., shared: _Optional[_Union[SharedBytes, _Mapping]] = ...) -> None: ...

class SharedBytes(_message.Message):
    __slots__ = ("name", "offset", "size", "ticket")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    name: str
    offset: int
    size: int
    ticket: int
    def __init__(self, name: _Optional[str] = ..., offset: _Optional[int] = ..., size: _Optional[int] = ..., ticket: _Optional[int] = ...) -> None: ...

class Committed(_message.Message):
    __slots__ = ("first_step", "actions", "delay_steps")
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    DELAY_STEPS_FIELD_NUMBER: _ClassVar[int]
    first_step: int
    actions: Tensor
    delay_steps: int
    def __init__(self, first_step: _Optional[int] = ..., actions: _Optional[_Union[Tensor, _Mapping]] = ..., delay_steps: _Optional[int] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("session_id", "epoch", "seq", "step", "obs_ns", "state", "images", "task", "committed")
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
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    seq: int
    step: int
    obs_ns: int
    state: _containers.MessageMap[str, Tensor]
    images: _containers.RepeatedCompositeFieldContainer[Image]
    task: str
    committed: Committed
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., step: _Optional[int] = ..., obs_ns: _Optional[int] = ..., state: _Optional[_Mapping[str, Tensor]] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., task: _Optional[str] = ..., committed: _Optional[_Union[Committed, _Mapping]] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_us", "decode_us", "preprocess_us", "infer_us", "postprocess_us", "batch")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_US_FIELD_NUMBER: _ClassVar[int]
    INFER_US_FIELD_NUMBER: _ClassVar[int]
    POSTPROCESS_US_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    decode_us: int
    preprocess_us: int
    infer_us: int
    postprocess_us: int
    batch: int
    def __init__(self, queue_us: _Optional[int] = ..., decode_us: _Optional[int] = ..., preprocess_us: _Optional[int] = ..., infer_us: _Optional[int] = ..., postprocess_us: _Optional[int] = ..., batch: _Optional[int] = ...) -> None: ...

class ActionChunk(_message.Message):
    __slots__ = ("session_id", "epoch", "obs_seq", "obs_ns", "first_step", "dt_ns", "actions", "frozen_rows", "merge", "revision", "spec_hash", "timing")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OBS_SEQ_FIELD_NUMBER: _ClassVar[int]
    OBS_NS_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    DT_NS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    FROZEN_ROWS_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    obs_seq: int
    obs_ns: int
    first_step: int
    dt_ns: int
    actions: Tensor
    frozen_rows: int
    merge: Merge
    revision: str
    spec_hash: str
    timing: Timing
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., obs_seq: _Optional[int] = ..., obs_ns: _Optional[int] = ..., first_step: _Optional[int] = ..., dt_ns: _Optional[int] = ..., actions: _Optional[_Union[Tensor, _Mapping]] = ..., frozen_rows: _Optional[int] = ..., merge: _Optional[_Union[Merge, str]] = ..., revision: _Optional[str] = ..., spec_hash: _Optional[str] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("name", "width", "height", "input_size", "jpeg_quality", "depth")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    JPEG_QUALITY_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    width: int
    height: int
    input_size: int
    jpeg_quality: int
    depth: DepthRange
    def __init__(self, name: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., input_size: _Optional[int] = ..., jpeg_quality: _Optional[int] = ..., depth: _Optional[_Union[DepthRange, _Mapping]] = ...) -> None: ...

class DepthRange(_message.Message):
    __slots__ = ("near", "far")
    NEAR_FIELD_NUMBER: _ClassVar[int]
    FAR_FIELD_NUMBER: _ClassVar[int]
    near: float
    far: float
    def __init__(self, near: _Optional[float] = ..., far: _Optional[float] = ...) -> None: ...

class PolicySpec(_message.Message):
    __slots__ = ("model", "revision", "spec_hash", "horizon", "cameras", "state", "action_space", "action", "dt_s", "settle_s", "firmware_zero", "task", "prefix_steps")
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
    PREFIX_STEPS_FIELD_NUMBER: _ClassVar[int]
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
    prefix_steps: int
    def __init__(self, model: _Optional[str] = ..., revision: _Optional[str] = ..., spec_hash: _Optional[str] = ..., horizon: _Optional[int] = ..., cameras: _Optional[_Iterable[_Union[CameraSpec, _Mapping]]] = ..., state: _Optional[_Iterable[_Union[FieldSpec, _Mapping]]] = ..., action_space: _Optional[str] = ..., action: _Optional[_Iterable[_Union[FieldSpec, _Mapping]]] = ..., dt_s: _Optional[float] = ..., settle_s: _Optional[float] = ..., firmware_zero: _Optional[str] = ..., task: _Optional[str] = ..., prefix_steps: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("robot_id", "model", "revision", "expect_spec_hash", "episode_id", "lease_ms", "stable_only", "expect_spec", "priority")
    ROBOT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    STABLE_ONLY_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SPEC_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    robot_id: str
    model: str
    revision: str
    expect_spec_hash: str
    episode_id: str
    lease_ms: int
    stable_only: bool
    expect_spec: PolicySpec
    priority: Priority
    def __init__(self, robot_id: _Optional[str] = ..., model: _Optional[str] = ..., revision: _Optional[str] = ..., expect_spec_hash: _Optional[str] = ..., episode_id: _Optional[str] = ..., lease_ms: _Optional[int] = ..., stable_only: _Optional[bool] = ..., expect_spec: _Optional[_Union[PolicySpec, _Mapping]] = ..., priority: _Optional[_Union[Priority, str]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "epoch", "spec", "slot", "lease_ms", "p95_infer_us", "boot_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    P95_INFER_US_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    spec: PolicySpec
    slot: str
    lease_ms: int
    p95_infer_us: int
    boot_id: str
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ..., spec: _Optional[_Union[PolicySpec, _Mapping]] = ..., slot: _Optional[str] = ..., lease_ms: _Optional[int] = ..., p95_infer_us: _Optional[int] = ..., boot_id: _Optional[str] = ...) -> None: ...

class ResetSessionRequest(_message.Message):
    __slots__ = ("session_id", "episode_id", "keep_revision", "outcome")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_REVISION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    episode_id: str
    keep_revision: bool
    outcome: Outcome
    def __init__(self, session_id: _Optional[str] = ..., episode_id: _Optional[str] = ..., keep_revision: _Optional[bool] = ..., outcome: _Optional[_Union[Outcome, str]] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("session_id", "outcome")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    outcome: Outcome
    def __init__(self, session_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class SessionEvent(_message.Message):
    __slots__ = ("draining", "new_revision", "revoked", "load")
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    NEW_REVISION_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    draining: Draining
    new_revision: PolicySpec
    revoked: Revoked
    load: Load
    def __init__(self, draining: _Optional[_Union[Draining, _Mapping]] = ..., new_revision: _Optional[_Union[PolicySpec, _Mapping]] = ..., revoked: _Optional[_Union[Revoked, _Mapping]] = ..., load: _Optional[_Union[Load, _Mapping]] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("grace_ms",)
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    grace_ms: int
    def __init__(self, grace_ms: _Optional[int] = ...) -> None: ...

class Revoked(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("busy", "waiting", "p95_infer_us")
    BUSY_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    P95_INFER_US_FIELD_NUMBER: _ClassVar[int]
    busy: float
    waiting: int
    p95_infer_us: int
    def __init__(self, busy: _Optional[float] = ..., waiting: _Optional[int] = ..., p95_infer_us: _Optional[int] = ...) -> None: ...

class LoadRevisionRequest(_message.Message):
    __slots__ = ("checkpoint", "revision")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    revision: str
    def __init__(self, checkpoint: _Optional[str] = ..., revision: _Optional[str] = ...) -> None: ...

class LoadProgress(_message.Message):
    __slots__ = ("phase", "fraction", "spec", "golden_error")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_ERROR_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    fraction: float
    spec: PolicySpec
    golden_error: float
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., fraction: _Optional[float] = ..., spec: _Optional[_Union[PolicySpec, _Mapping]] = ..., golden_error: _Optional[float] = ...) -> None: ...

class RevisionStatus(_message.Message):
    __slots__ = ("spec", "slot", "sessions", "bytes", "answers", "deadline_misses", "bad_answers", "clipped", "successes", "failures", "shadow_distance", "p95_infer_us")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MISSES_FIELD_NUMBER: _ClassVar[int]
    BAD_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    CLIPPED_FIELD_NUMBER: _ClassVar[int]
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    SHADOW_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    P95_INFER_US_FIELD_NUMBER: _ClassVar[int]
    spec: PolicySpec
    slot: str
    sessions: int
    bytes: int
    answers: int
    deadline_misses: int
    bad_answers: int
    clipped: float
    successes: int
    failures: int
    shadow_distance: float
    p95_infer_us: int
    def __init__(self, spec: _Optional[_Union[PolicySpec, _Mapping]] = ..., slot: _Optional[str] = ..., sessions: _Optional[int] = ..., bytes: _Optional[int] = ..., answers: _Optional[int] = ..., deadline_misses: _Optional[int] = ..., bad_answers: _Optional[int] = ..., clipped: _Optional[float] = ..., successes: _Optional[int] = ..., failures: _Optional[int] = ..., shadow_distance: _Optional[float] = ..., p95_infer_us: _Optional[int] = ...) -> None: ...

class ListRevisionsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListRevisionsResponse(_message.Message):
    __slots__ = ("revisions", "traffic", "guardrails")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[RevisionStatus]
    traffic: _containers.RepeatedCompositeFieldContainer[Traffic]
    guardrails: _containers.RepeatedCompositeFieldContainer[Guardrails]
    def __init__(self, revisions: _Optional[_Iterable[_Union[RevisionStatus, _Mapping]]] = ..., traffic: _Optional[_Iterable[_Union[Traffic, _Mapping]]] = ..., guardrails: _Optional[_Iterable[_Union[Guardrails, _Mapping]]] = ...) -> None: ...

class Traffic(_message.Message):
    __slots__ = ("model", "stable", "canary", "canary_fraction", "shadow", "shadow_fraction", "previous", "etag", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    CANARY_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FRACTION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    stable: str
    canary: str
    canary_fraction: float
    shadow: str
    shadow_fraction: float
    previous: str
    etag: int
    reason: str
    def __init__(self, model: _Optional[str] = ..., stable: _Optional[str] = ..., canary: _Optional[str] = ..., canary_fraction: _Optional[float] = ..., shadow: _Optional[str] = ..., shadow_fraction: _Optional[float] = ..., previous: _Optional[str] = ..., etag: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Guardrails(_message.Message):
    __slots__ = ("min_answers", "max_deadline_misses", "max_bad_answers", "max_clipped", "min_episodes", "max_success_drop")
    MIN_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    MAX_DEADLINE_MISSES_FIELD_NUMBER: _ClassVar[int]
    MAX_BAD_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    MAX_CLIPPED_FIELD_NUMBER: _ClassVar[int]
    MIN_EPISODES_FIELD_NUMBER: _ClassVar[int]
    MAX_SUCCESS_DROP_FIELD_NUMBER: _ClassVar[int]
    min_answers: int
    max_deadline_misses: float
    max_bad_answers: int
    max_clipped: float
    min_episodes: int
    max_success_drop: float
    def __init__(self, min_answers: _Optional[int] = ..., max_deadline_misses: _Optional[float] = ..., max_bad_answers: _Optional[int] = ..., max_clipped: _Optional[float] = ..., min_episodes: _Optional[int] = ..., max_success_drop: _Optional[float] = ...) -> None: ...

class SetTrafficRequest(_message.Message):
    __slots__ = ("traffic", "guardrails")
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    traffic: Traffic
    guardrails: Guardrails
    def __init__(self, traffic: _Optional[_Union[Traffic, _Mapping]] = ..., guardrails: _Optional[_Union[Guardrails, _Mapping]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class UnloadRevisionRequest(_message.Message):
    __slots__ = ("revision", "force")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    revision: str
    force: bool
    def __init__(self, revision: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class UnloadRevisionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
