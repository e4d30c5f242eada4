"""What a policy sees and does: the contract, one observation, one chunk of actions.

The contract (`PolicySpec`) travels as JSON in a checkpoint and beside an episode, as protobuf on the wire.
Both ends compare `spec_hash` before anything moves. SI units and radians; frames as in ARCHITECTURE.md.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policy_api.errors import ContractMismatch, InvalidActions, InvalidObservation, InvalidSpec
from policy_api.spec_json import canonical, difference, from_plain, to_plain
from policy_api.spec_rules import check_spec
from policy_api.value_rules import check_committed, check_image, check_numbers, check_ranges

MAX_INSTRUCTION_CHARS = 1000
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest message that server and client take: two raw 640x480 frames with room to spare."""
CODECS = ("jpeg", "png", "rgb8", "z16")
"""How a frame may be encoded: colour as JPEG, PNG or plain bytes; depth as little-endian uint16, millimetres."""
MERGES = ("replace", "crossfade", "temporal_ensemble", "rtc_prefix")
"""How a chunk may want to follow the one that is being played."""


@dataclass(frozen=True)
class FieldSpec:
    """One number of a state or an action: its name, its unit ("rad" or "m") and its closed range."""

    name: str
    unit: str
    lower: float
    upper: float


@dataclass(frozen=True)
class DepthRange:
    """What a depth camera's picture shows: `near` to `far`, metres along its optical axis."""

    near: float
    far: float


@dataclass(frozen=True)
class CameraSpec:
    """One camera. `width` x `height` pixels is the stream at the camera, encoded as JPEG of `jpeg_quality`.

    The network sees the centre square, resized to `input_size` x `input_size` by `images.shrink`. A camera with a
    `depth` range is a depth camera: its frames are z16, its picture is grey, black at the near end and white at the
    far end.
    """

    name: str
    width: int
    height: int
    input_size: int
    jpeg_quality: int
    depth: DepthRange | None = None


@dataclass(frozen=True)
class PolicySpec:
    """The contract between a policy and whoever runs it.

    cameras: at least one, unless the state is privileged.
    state: joint1..joint6 (rad) and gripper (m of opening), in that order; with two arms "left_joint1".. and then
        "right_joint1".., and the action's fields likewise. Where the state is privileged, behind them the places of
        bodies, "<body>_x", "<body>_y", "<body>_z" (m, frame of the first arm's base).
    action: the fields that `action_space` prescribes; for "ee_delta_position" dx, dy, dz (m, base frame,
        relative to the commanded TCP position of the step before) and gripper (m of opening, absolute); for
        "joint_position" the joints of the state, absolute.
    A chunk has `horizon` steps of `dt_s` seconds and holds its last waypoint for `settle_s` seconds.
    firmware_zero: which zero of joints 2 and 3 the numbers use, "current" or "legacy".
    """

    model: str
    cameras: tuple[CameraSpec, ...]
    state: tuple[FieldSpec, ...]
    action_space: str
    action: tuple[FieldSpec, ...]
    horizon: int
    dt_s: float
    settle_s: float
    firmware_zero: str
    task: str

    def validate(self) -> None:
        """Raise InvalidSpec, naming the field with its dotted path, if the contract makes no sense."""
        check_spec(self)

    def to_json(self) -> str:
        """Readable JSON of the contract."""
        return json.dumps(to_plain(self), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "PolicySpec":
        """Read and validate; InvalidSpec names an unknown, missing or wrong field by its dotted path."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidSpec(f"contract is not JSON: {error}") from error
        spec = from_plain(cls, data)
        spec.validate()
        return spec

    @cached_property
    def spec_hash(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(canonical(to_plain(self)).encode()).hexdigest()

    @property
    def dt_ns(self) -> int:
        """Duration of one step in nanoseconds."""
        return round(self.dt_s * 1e9)


def first_difference(a: PolicySpec, b: PolicySpec) -> str | None:
    """The first field in which two contracts differ, as "cameras[0].width: 320 against 640"; else None."""
    return difference(to_plain(a), to_plain(b))


@dataclass(frozen=True)
class EncodedImage:
    """One frame as the camera encoded it. `capture_ns` is in the clock of the machine that captured it."""

    codec: str
    width: int
    height: int
    data: bytes
    capture_ns: int


@dataclass(frozen=True, eq=False)
class Committed:
    """What the arm does while the policy thinks (real-time chunking, arXiv 2506.07339).

    actions: (P, A) float32 in the contract's units, as commanded or scheduled, the first for the observation's step.
    delay_steps: so many of them, 0..P, will have been executed when the answer arrives.
    first_step: control step of the first action; the observation's.
    """

    actions: NDArray[np.float32]
    delay_steps: int
    first_step: int = 0


@dataclass(frozen=True, eq=False)
class Observation:
    """What the policy is shown: `state` (fields,) float32 (rad, m), one encoded frame a camera, the instruction.

    `stamp_ns` is the robot's clock, `step` the index of the control step at which it was taken. `committed` is what is
    played meanwhile, for a policy that can be conditioned on it; None: nothing, or nobody wants to know.
    """

    state: NDArray[np.float32]
    images: dict[str, EncodedImage]
    instruction: str
    stamp_ns: int
    step: int
    committed: Committed | None = None

    def validate(self, spec: PolicySpec) -> None:
        """Raise InvalidObservation, saying what does not fit the contract. Pixels are not looked at here."""
        check_numbers(self.state, (len(spec.state),), "state", [f.name for f in spec.state], InvalidObservation)
        expected = {camera.name for camera in spec.cameras}
        if missing := sorted(expected - self.images.keys()):
            raise InvalidObservation(f"camera {missing[0]!r} is missing; got {sorted(self.images) or 'none'}")
        if extra := sorted(self.images.keys() - expected):
            raise InvalidObservation(f"camera {extra[0]!r} is not in the contract; known are {sorted(expected)}")
        for camera in spec.cameras:
            check_image(camera, self.images[camera.name])
        if not self.instruction.strip():
            raise InvalidObservation("instruction is empty; say in words what the arm should do")
        if len(self.instruction) > MAX_INSTRUCTION_CHARS:
            raise InvalidObservation(
                f"instruction has {len(self.instruction)} characters, at most {MAX_INSTRUCTION_CHARS}"
            )
        for name, number in (("stamp_ns", self.stamp_ns), ("step", self.step)):
            if number < 0:
                raise InvalidObservation(f"{name} is {number}; it must not be negative")
        if self.committed is not None:
            check_committed(self.committed, self.step, spec)


@dataclass(frozen=True)
class Timing:
    """Where the server spent its time on one answer, in microseconds, and how many rows were answered together.

    decode: images to pixels. preprocess: pixels to network input, rows to a batch. queue: waiting for the policy.
    postprocess: checks, and the batch to rows.
    """

    queue_us: int = 0
    decode_us: int = 0
    infer_us: int = 0
    preprocess_us: int = 0
    postprocess_us: int = 0
    batch: int = 0


@dataclass(frozen=True, eq=False)
class ActionChunk:
    """A policy's answer: `actions` (H, A) float32 in the contract's units, one row a step of `dt_ns`.

    `first_step` and `observation_ns` are the observation's own `step` and `stamp_ns`, handed back.
    `revision` is the content hash of the weights that answered, `spec_hash` that of their contract (empty: not said).
    The first `frozen_rows` rows repeat the committed actions that the policy was conditioned on: if more steps than
    that were executed before the chunk arrived, it is worthless (0: it was not conditioned).
    `merge` is one of MERGES, or empty if the robot may choose.
    """

    actions: NDArray[np.float32]
    dt_ns: int
    first_step: int
    observation_ns: int
    revision: str
    timing: Timing = field(default_factory=Timing)
    frozen_rows: int = 0
    merge: str = ""
    spec_hash: str = ""

    def validate(self, spec: PolicySpec) -> None:
        """Raise InvalidActions on a wrong shape, a NaN or a value outside its declared range.

        Raises ContractMismatch if the chunk says that it answers another contract.
        """
        names = [f.name for f in spec.action]
        check_numbers(self.actions, (spec.horizon, len(names)), "actions", names, InvalidActions)
        check_ranges(self.actions, spec.action, "actions", InvalidActions)
        if self.dt_ns != spec.dt_ns:
            raise InvalidActions(f"dt_ns is {self.dt_ns}; the contract's step is {spec.dt_ns} ns")
        if not 0 <= self.frozen_rows <= spec.horizon:
            raise InvalidActions(f"frozen_rows is {self.frozen_rows}; the chunk has {spec.horizon} rows")
        if self.merge and self.merge not in MERGES:
            raise InvalidActions(f"merge is {self.merge!r}; known are {', '.join(MERGES)}")
        if self.spec_hash and self.spec_hash != spec.spec_hash:
            raise ContractMismatch(
                f"the chunk answers contract {self.spec_hash}, the session has {spec.spec_hash}; open the session again"
            )


@dataclass(frozen=True)
class ServedModel:
    """One contract that a server serves, and the weights that a new session gets.

    `prefix_steps`: committed steps that these weights can be conditioned on, 0 for none.
    """

    spec: PolicySpec
    revision: str
    prefix_steps: int = 0


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself. `boot_id` changes when its process does; a model's `revision` with its weights."""

    server_version: str
    api_versions: tuple[str, ...]
    codecs: tuple[str, ...]
    max_message_bytes: int
    boot_id: str
    models: tuple[ServedModel, ...]

    @property
    def spec(self) -> PolicySpec:
        """Contract of the first model, which for most servers is the only one."""
        return self.models[0].spec

    @property
    def revision(self) -> str:
        """Weights of the first model."""
        return self.models[0].revision
