"""Commands on the bus that are not ours: of a leader arm, or of a second program that believes it drives this arm."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from piper_can import codec
from piper_can.arm_state import PairCycle, joint_angles
from piper_can.errors import BadFrameError
from piper_can.samples import JointSample
from piper_can.wire import scales, unpacker

_ECHOES_KEPT: Final = 4096
"""More frames than a driver sends in a second; an echo takes milliseconds."""

_GRIPPER_FIELDS: Final = ("Stroke", "Effort")
_UNPACK_GRIPPER: Final = unpacker(codec.GRIPPER_COMMAND, _GRIPPER_FIELDS)
_STROKE_M, _EFFORT_NM = scales(codec.GRIPPER_COMMAND, _GRIPPER_FIELDS).tolist()
_UNPACK_JOINTS: Final = tuple(
    unpacker(frame_id, codec.JOINT_SIGNALS[2 * i : 2 * i + 2]) for i, frame_id in enumerate(codec.JOINT_TARGETS)
)

_TARGETS: Final = (codec.GRIPPER_COMMAND, *codec.JOINT_TARGETS)


@dataclass(frozen=True)
class ForeignCommand:
    """A command that somebody else sent."""

    frame_id: int
    data: bytes
    stamp_ns: int
    """Monotonic time at which it arrived."""


@dataclass(frozen=True)
class GripperTarget:
    """Where somebody else wants the gripper."""

    stroke_m: float
    effort_nm: float
    stamp_ns: int


class CommandWatch:
    """Tells foreign commands from echoes of our own. Pure logic; not thread-safe."""

    def __init__(self, hears_itself: bool) -> None:
        """`hears_itself`: whether the bus delivers what we send (`udp_multicast` does)."""
        self.count = 0
        """Foreign commands so far."""
        self.last: ForeignCommand | None = None
        self.joints: JointSample | None = None
        """The latest whole set of foreign joint targets: what a leader arm's joints are at."""
        self.gripper: GripperTarget | None = None
        self._echoes: deque[codec.Frame] | None = deque(maxlen=_ECHOES_KEPT) if hears_itself else None
        self._cycle = PairCycle()

    def sent(self, frame: codec.Frame) -> None:
        """Takes note of a frame that we sent."""
        if self._echoes is not None and frame.frame_id in codec.COMMANDS:
            self._echoes.append(frame)

    def heard(self, frame_id: int, data: bytes | bytearray, bus_ns: int, now_ns: int) -> None:
        """Takes a received frame with an id of `codec.COMMANDS`; times as `ArmStateAssembler.feed`.

        Raises `BadFrameError` for targets that are not eight bytes long.
        """
        frame = codec.Frame(frame_id, bytes(data))
        if self._echoes and frame in self._echoes:
            while self._echoes.popleft() != frame:
                pass  # the bus lost the echoes before this one
            return
        self.count += 1
        self.last = ForeignCommand(frame_id, frame.data, now_ns)
        if frame_id in _TARGETS and len(data) != codec.FRAME_BYTES:
            raise BadFrameError(codec.wrong_length(frame_id, data))
        if frame_id == codec.GRIPPER_COMMAND:
            stroke, effort = _UNPACK_GRIPPER(data)
            self.gripper = GripperTarget(stroke * _STROKE_M, effort * _EFFORT_NM, now_ns)
        elif frame_id in codec.JOINT_TARGETS:
            index = codec.JOINT_TARGETS.index(frame_id)
            whole = self._cycle.add(index, _UNPACK_JOINTS[index](data), bus_ns)
            if whole is not None:
                raw, skew_ns = whole
                self.joints = JointSample(joint_angles(raw), now_ns, skew_ns)
