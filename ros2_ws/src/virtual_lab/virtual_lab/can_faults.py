"""Faults of the wire between the virtual arm and its bus, by frame id; they can be switched while the lab runs.

The kinds are those of PX4's `failure` command. Time is counted in the lab's ticks of 5 ms, so nothing here reads a
clock; what is random comes from a seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final

from piper_can import codec
from piper_can.errors import PiperCanError

MAX_DELAY_TICKS: Final = 2000
"""10 s."""
MAX_EVERY: Final = 10_000


class FaultKind(str, Enum):
    """What becomes of a frame."""

    OFF = "off"
    """It is lost."""
    STUCK = "stuck"
    """It repeats the payload of the first frame of its id after the fault began."""
    GARBAGE = "garbage"
    """Its payload is random bytes."""
    WRONG = "wrong"
    """Signals have other values; the frame can be read."""
    SLOW = "slow"
    """Only each n-th frame of its id gets through."""
    DELAYED = "delayed"
    """It comes later, in order."""
    INTERMITTENT = "intermittent"
    """It is lost with some probability."""


@dataclass(frozen=True)
class CanFault:
    """One fault of frames with some ids, feedback or commands.

    frame_ids: 11-bit ids; none means every frame in both directions.
    values: for WRONG, signal values by their names in `piper.dbc` (SI, rad).
    every: for SLOW, one of so many gets through, 2 to 10,000.
    delay_ticks: for DELAYED, ticks of 5 ms, 1 to 2,000.
    share: for INTERMITTENT, the share that is lost, above 0 and below 1.
    Raises ValueError for what makes no sense.
    """

    kind: FaultKind
    frame_ids: tuple[int, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    every: int = 0
    delay_ticks: int = 0
    share: float = 0.0

    def __post_init__(self) -> None:
        if bad := [frame_id for frame_id in self.frame_ids if not 0 <= frame_id <= 0x7FF]:
            raise ValueError(f"frame id {bad[0]:#x} is none; expected 0 to 0x7FF")
        if self.kind is FaultKind.WRONG:
            self._check_values()
        elif self.values:
            raise ValueError(f"values are for 'wrong' frames; this fault is {self.kind.value!r}")
        if self.kind is FaultKind.SLOW and not 2 <= self.every <= MAX_EVERY:
            raise ValueError(f"'slow' lets each {self.every}-th frame through; expected 2 to {MAX_EVERY}")
        if self.kind is FaultKind.DELAYED and not 1 <= self.delay_ticks <= MAX_DELAY_TICKS:
            raise ValueError(f"'delayed' is {self.delay_ticks} ticks; expected 1 to {MAX_DELAY_TICKS}")
        if self.kind is FaultKind.INTERMITTENT and not 0.0 < self.share < 1.0:
            raise ValueError(f"'intermittent' loses a share of {self.share}; expected above 0 and below 1")

    def _check_values(self) -> None:
        if not self.frame_ids or not self.values:
            raise ValueError("'wrong' needs the ids of its frames and the values that are to be wrong")
        try:
            for frame_id in self.frame_ids:
                _with(codec.Frame(frame_id, bytes(codec.FRAME_BYTES)), self.values)
        except PiperCanError as error:
            raise ValueError(f"'wrong' cannot make its frames: {error}") from error


class CanFaults:
    """The faults of one direction of the wire. Give `through` the frames of every tick, also when there are none."""

    def __init__(self, seed: int = 0) -> None:
        self._faults: tuple[CanFault, ...] = ()
        self._random = Random(seed)
        self._tick = 0
        self._stuck: dict[int, codec.Frame] = {}
        self._counts: dict[int, int] = {}
        self._waiting: list[tuple[int, codec.Frame]] = []

    def set(self, faults: Iterable[CanFault]) -> None:
        """From now on these faults, and no other; where two concern a frame, the first counts."""
        self._faults = tuple(faults)
        self._stuck.clear()
        self._counts.clear()

    def through(self, frames: Sequence[codec.Frame]) -> list[codec.Frame]:
        """What gets through in this tick, of these frames and of those that were delayed, in order of their time."""
        self._tick += 1
        if not self._faults and not self._waiting:
            return list(frames)
        passed = [frame for due, frame in self._waiting if due <= self._tick]
        self._waiting = [waiting for waiting in self._waiting if waiting[0] > self._tick]
        for frame in frames:
            passed += self._one(frame)
        return passed

    def _one(self, frame: codec.Frame) -> list[codec.Frame]:
        fault = next((f for f in self._faults if not f.frame_ids or frame.frame_id in f.frame_ids), None)
        if fault is None:
            return [frame]
        if fault.kind is FaultKind.STUCK:
            return [self._stuck.setdefault(frame.frame_id, frame)]
        if fault.kind is FaultKind.GARBAGE:
            return [codec.Frame(frame.frame_id, self._random.randbytes(len(frame.data)))]
        if fault.kind is FaultKind.WRONG:
            return _wrong(frame, fault.values)
        if fault.kind is FaultKind.SLOW:
            self._counts[frame.frame_id] = self._counts.get(frame.frame_id, 0) + 1
            return [] if self._counts[frame.frame_id] % fault.every else [frame]
        if fault.kind is FaultKind.DELAYED:
            self._waiting.append((self._tick + fault.delay_ticks, frame))
            return []
        if fault.kind is FaultKind.INTERMITTENT and self._random.random() >= fault.share:
            return [frame]
        return []


def _wrong(frame: codec.Frame, values: Mapping[str, float]) -> list[codec.Frame]:
    try:
        return [_with(frame, values)]
    except PiperCanError:  # it is no frame that the wire's description can read; so it is lost
        return []


def _with(frame: codec.Frame, values: Mapping[str, float]) -> codec.Frame:
    return codec.encode(frame.frame_id, {**codec.decode(frame.frame_id, frame.data), **values})
