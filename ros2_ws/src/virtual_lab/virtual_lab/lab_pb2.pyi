from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResetRequest(_message.Message):
    __slots__ = ("seed", "task", "force_arm_home")
    SEED_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    FORCE_ARM_HOME_FIELD_NUMBER: _ClassVar[int]
    seed: int
    task: str
    force_arm_home: bool
    def __init__(self, seed: _Optional[int] = ..., task: _Optional[str] = ..., force_arm_home: _Optional[bool] = ...) -> None: ...

class ResetReply(_message.Message):
    __slots__ = ("instruction",)
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    def __init__(self, instruction: _Optional[str] = ...) -> None: ...

class GetTruthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTruthReply(_message.Message):
    __slots__ = ("success", "object_poses", "ticks", "mean_loop_hz", "joint_position", "torque_on", "seed")
    class ObjectPosesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Pose
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Pose, _Mapping]] = ...) -> None: ...
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    OBJECT_POSES_FIELD_NUMBER: _ClassVar[int]
    TICKS_FIELD_NUMBER: _ClassVar[int]
    MEAN_LOOP_HZ_FIELD_NUMBER: _ClassVar[int]
    JOINT_POSITION_FIELD_NUMBER: _ClassVar[int]
    TORQUE_ON_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    object_poses: _containers.MessageMap[str, Pose]
    ticks: int
    mean_loop_hz: float
    joint_position: _containers.RepeatedScalarFieldContainer[float]
    torque_on: bool
    seed: int
    def __init__(self, success: _Optional[bool] = ..., object_poses: _Optional[_Mapping[str, Pose]] = ..., ticks: _Optional[int] = ..., mean_loop_hz: _Optional[float] = ..., joint_position: _Optional[_Iterable[float]] = ..., torque_on: _Optional[bool] = ..., seed: _Optional[int] = ...) -> None: ...

class Pose(_message.Message):
    __slots__ = ("x", "y", "z", "qw", "qx", "qy", "qz")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    QW_FIELD_NUMBER: _ClassVar[int]
    QX_FIELD_NUMBER: _ClassVar[int]
    QY_FIELD_NUMBER: _ClassVar[int]
    QZ_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    z: float
    qw: float
    qx: float
    qy: float
    qz: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., z: _Optional[float] = ..., qw: _Optional[float] = ..., qx: _Optional[float] = ..., qy: _Optional[float] = ..., qz: _Optional[float] = ...) -> None: ...

class CanFault(_message.Message):
    __slots__ = ("kind", "frame_ids", "values", "every", "delay_ticks", "share")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    FRAME_IDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    DELAY_TICKS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    frame_ids: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.ScalarMap[str, float]
    every: int
    delay_ticks: int
    share: float
    def __init__(self, kind: _Optional[str] = ..., frame_ids: _Optional[_Iterable[int]] = ..., values: _Optional[_Mapping[str, float]] = ..., every: _Optional[int] = ..., delay_ticks: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class SetCanFaultsRequest(_message.Message):
    __slots__ = ("faults",)
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    faults: _containers.RepeatedCompositeFieldContainer[CanFault]
    def __init__(self, faults: _Optional[_Iterable[_Union[CanFault, _Mapping]]] = ...) -> None: ...

class SetCanFaultsReply(_message.Message):
    __slots__ = ("since_ns",)
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    since_ns: int
    def __init__(self, since_ns: _Optional[int] = ...) -> None: ...
