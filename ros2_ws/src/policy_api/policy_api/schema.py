"""What a policy sees and does: the contract, one observation, one chunk of actions.

The contract (`PolicySpec`) travels as JSON in a checkpoint and beside an episode, as protobuf on the wire.
Both ends compare `spec_hash` before anything moves. SI units and radians; frames as in ARCHITECTURE.md.
"""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policy_api.errors import InvalidActions, InvalidObservation, InvalidSpec
from policy_api.spec_json import canonical, difference, from_plain, to_plain
from policy_api.spec_rules import check_spec

MAX_INSTRUCTION_CHARS = 1000
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest message that server and client take: two raw 640x480 frames with room to spare."""
CODECS = ("jpeg", "png", "rgb8")


@dataclass(frozen=True)
class FieldSpec:
    """One number of a state or an action: its name, its unit ("rad" or "m") and its closed range."""

    name: str
    unit: str
    lower: float
    upper: float


@dataclass(frozen=True)
class CameraSpec:
    """One camera. `width` x `height` pixels is the stream at the camera, encoded as JPEG of `jpeg_quality`.

    The network sees the centre square, resized by area to `input_size` x `input_size`.
    """

    name: str
    width: int
    height: int
    input_size: int
    jpeg_quality: int


@dataclass(frozen=True)
class PolicySpec:
    """The contract between a policy and whoever runs it.

    cameras: at least one, unless the state is privileged.
    state: joint1..joint6 (rad) and gripper (m of opening), in that order; with two arms "left_joint1".. and then
        "right_joint1".., and the action's fields likewise. Where the state is privileged, behind them the places of
        bodies, "<body>_x", "<body>_y", "<body>_z" (m, frame of the first arm's base).
    action: the fields that `action_space` prescribes; for "ee_delta_position" dx, dy, dz (m, base frame,
        relative to the commanded TCP position of the step before) and gripper (m of opening, absolute).
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

    @property
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
class Observation:
    """What the policy is shown: `state` (fields,) float32 (rad, m), one encoded frame a camera, the instruction.

    `stamp_ns` is the robot's clock, `step` the index of the control step at which it was taken.
    """

    state: NDArray[np.float32]
    images: dict[str, EncodedImage]
    instruction: str
    stamp_ns: int
    step: int

    def validate(self, spec: PolicySpec) -> None:
        """Raise InvalidObservation, saying what does not fit the contract. Pixels are not looked at here."""
        _check_numbers(self.state, (len(spec.state),), "state", [f.name for f in spec.state], InvalidObservation)
        expected = {camera.name for camera in spec.cameras}
        if missing := sorted(expected - self.images.keys()):
            raise InvalidObservation(f"camera {missing[0]!r} is missing; got {sorted(self.images) or 'none'}")
        if extra := sorted(self.images.keys() - expected):
            raise InvalidObservation(f"camera {extra[0]!r} is not in the contract; known are {sorted(expected)}")
        for camera in spec.cameras:
            _check_image(camera, self.images[camera.name])
        if not self.instruction.strip():
            raise InvalidObservation("instruction is empty; say in words what the arm should do")
        if len(self.instruction) > MAX_INSTRUCTION_CHARS:
            raise InvalidObservation(
                f"instruction has {len(self.instruction)} characters, at most {MAX_INSTRUCTION_CHARS}"
            )
        for name, number in (("stamp_ns", self.stamp_ns), ("step", self.step)):
            if number < 0:
                raise InvalidObservation(f"{name} is {number}; it must not be negative")


@dataclass(frozen=True)
class Timing:
    """Where the server spent its time on one answer, in microseconds."""

    queue_us: int = 0
    decode_us: int = 0
    infer_us: int = 0


@dataclass(frozen=True, eq=False)
class ActionChunk:
    """A policy's answer: `actions` (H, A) float32 in the contract's units, one row a step of `dt_ns`.

    `first_step` and `observation_ns` are the observation's own `step` and `stamp_ns`, handed back.
    `revision` is the content hash of the weights that answered.
    """

    actions: NDArray[np.float32]
    dt_ns: int
    first_step: int
    observation_ns: int
    revision: str
    timing: Timing = field(default_factory=Timing)

    def validate(self, spec: PolicySpec) -> None:
        """Raise InvalidActions on a wrong shape, a NaN or a value outside its declared range."""
        names = [f.name for f in spec.action]
        _check_numbers(self.actions, (spec.horizon, len(names)), "actions", names, InvalidActions)
        lower = np.array([f.lower for f in spec.action])
        upper = np.array([f.upper for f in spec.action])
        rounding = 1e-6 * (upper - lower)  # float32(0.07) is above 0.07
        outside = np.argwhere((self.actions < lower - rounding) | (self.actions > upper + rounding))
        if len(outside):
            row, column = outside[0]
            raise InvalidActions(
                f"actions[{row}].{names[column]} is {self.actions[row, column]:.6g}; "
                f"the contract allows {spec.action[column].lower:g}..{spec.action[column].upper:g} "
                f"{spec.action[column].unit}"
            )


def _check_numbers(
    array: NDArray[np.float32],
    shape: tuple[int, ...],
    what: str,
    names: list[str],
    error: type[InvalidObservation] | type[InvalidActions],
) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise error(f"{what} must be a float32 array, got {getattr(array, 'dtype', type(array).__name__)}")
    if array.shape != shape:
        raise error(f"{what} has shape {array.shape}; the contract says {shape} ({', '.join(names)})")
    if len(bad := np.argwhere(~np.isfinite(array))):
        row = "".join(f"[{i}]" for i in bad[0][:-1])
        raise error(f"{what}{row}.{names[bad[0][-1]]} is {array[tuple(bad[0])]}; it must be a finite number")


def _check_image(camera: CameraSpec, image: EncodedImage) -> None:
    if image.codec not in CODECS:
        raise InvalidObservation(f"camera {camera.name!r}: codec {image.codec!r} is not one of {CODECS}")
    if (image.width, image.height) != (camera.width, camera.height):
        raise InvalidObservation(
            f"camera {camera.name!r}: frame is {image.width}x{image.height}, "
            f"the contract says {camera.width}x{camera.height}; set the camera's stream to that size"
        )
    if not isinstance(image.data, bytes):
        raise InvalidObservation(
            f"camera {camera.name!r}: frame must be bytes, got {type(image.data).__name__}; convert with bytes(...)"
        )
    if not image.data:
        raise InvalidObservation(f"camera {camera.name!r}: frame is empty")
    if image.capture_ns < 0:
        raise InvalidObservation(f"camera {camera.name!r}: capture_ns {image.capture_ns} is negative")


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself. `boot_id` changes when its process does; `revision` when its weights do."""

    server_version: str
    api_versions: tuple[str, ...]
    codecs: tuple[str, ...]
    max_message_bytes: int
    boot_id: str
    spec: PolicySpec
    revision: str
