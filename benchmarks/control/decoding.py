"""Processor time for a Piper's full feedback, 3040 frames a second: our host against the vendor's SDK."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import can
import numpy as np
from piper_can import PiperHost
from piper_can.bus import to_message
from piper_sdk import C_PiperInterface_V2
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

from benchmarks.measure import cpu_s

TICKS_A_SECOND: Final = 200
FRAMES_A_SECOND: Final = 3040
_FRAME_S: Final = 0.000125  # what a frame takes on the bus


@dataclass(frozen=True)
class DecodeCost:
    """What it costs to take in one second of an arm's feedback."""

    ratio: float
    """Our processor time as a share of the SDK's: the median over rounds of the ratio in a round."""
    ours_ms: float
    """Median of a round, per second of feedback."""
    sdk_ms: float
    frames: int
    """Frames of the stream that both took in."""


class _ReplayBus(can.BusABC):
    """Delivers a recorded stream: one tick of it, then nothing until `next_tick`."""

    def __init__(self, ticks: Sequence[Sequence[can.Message]]) -> None:
        super().__init__(channel="replay")
        self._waiting = iter(ticks)
        self._tick: list[can.Message] = []

    def next_tick(self) -> None:
        """Has the next tick of the stream arrive."""
        self._tick = list(reversed(next(self._waiting)))

    def recv(self, timeout: float | None = None) -> can.Message | None:
        """The next message of this tick; None when it is through."""
        return self._tick.pop() if self._tick else None

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """A replayed arm listens to nobody."""


def record(seconds: float) -> list[list[can.Message]]:
    """The feedback of an arm whose joints swing, tick by tick of 5 ms, with the times at which frames leave the bus."""
    arm = ArmEmulator(PlantReading(np.zeros(7), np.zeros(7), np.zeros(7)))
    phases = np.arange(7) / 3.0
    middle = np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.03])
    reach = np.array([1.0, 0.9, 0.9, 1.0, 1.0, 1.0, 0.03])
    ticks = []
    for tick in range(round(seconds * TICKS_A_SECOND)):
        now_s = tick / TICKS_A_SECOND
        angle = 2.0 * now_s + phases
        reading = PlantReading(middle + reach * np.sin(angle), 2.0 * reach * np.cos(angle), np.sin(angle))
        messages = [to_message(*frame) for frame in arm.feedback(reading)]
        for index, message in enumerate(messages):
            message.timestamp = now_s + index * _FRAME_S
        ticks.append(messages)
    return ticks


def _take_in_ours(ticks: Sequence[Sequence[can.Message]]) -> list[float]:
    with _ReplayBus(ticks) as bus:
        host = PiperHost(bus)
        for tick in range(len(ticks)):
            bus.next_tick()
            host.poll(tick * 1_000_000_000 // TICKS_A_SECOND)
    joints = host.state.joints
    return [] if joints is None else np.degrees(joints.position_rad).tolist()


def _take_in_sdk(sdk: C_PiperInterface_V2, ticks: Sequence[Sequence[can.Message]]) -> list[float]:
    parse = sdk.ParseCANFrame
    for messages in ticks:
        for message in messages:
            parse(message)
    state = sdk.GetArmJointMsgs().joint_state
    return [getattr(state, f"joint_{joint}") / 1000.0 for joint in range(1, 7)]


def decode_cpu_ratio(seconds: float = 2.0, rounds: int = 5) -> DecodeCost:
    """Has both take in the same stream by turns and compares their processor time.

    Ours is all of `PiperHost.poll`: drained from a bus, decoded, put together into samples, a state every 5 ms. Theirs
    is `ParseCANFrame` alone, without the thread that reads the bus. Raises RuntimeError if the two do not end at the
    same joint angles, and ValueError for less than one round or tick.
    """
    if rounds < 1 or seconds * TICKS_A_SECOND < 1:
        raise ValueError(f"nothing to measure in {rounds} rounds of {seconds} s; expected at least one of 0.005 s")
    ticks = record(seconds)
    sdk = C_PiperInterface_V2("decoding", judge_flag=False, can_auto_init=False)
    pairs = []
    for number in range(rounds + 1):
        ends: list[list[float]] = []

        def ours(ends: list[list[float]] = ends) -> None:
            ends.append(_take_in_ours(ticks))

        def theirs(ends: list[list[float]] = ends) -> None:
            ends.append(_take_in_sdk(sdk, ticks))

        if number % 2:
            ours_s, sdk_s = cpu_s(ours), cpu_s(theirs)
        else:
            sdk_s, ours_s = cpu_s(theirs), cpu_s(ours)
        if not (len(ends[0]) == len(ends[1]) == 6 and np.allclose(ends[0], ends[1], atol=1e-6)):
            raise RuntimeError(f"the decoders disagree about the last joint angles: {ends}")
        if number:  # the first round warms up
            pairs.append((ours_s, sdk_s))
    return DecodeCost(
        ratio=statistics.median(ours_s / sdk_s for ours_s, sdk_s in pairs),
        ours_ms=statistics.median(ours_s for ours_s, _ in pairs) / seconds * 1e3,
        sdk_ms=statistics.median(sdk_s for _, sdk_s in pairs) / seconds * 1e3,
        frames=sum(len(messages) for messages in ticks),
    )


if __name__ == "__main__":
    cost = decode_cpu_ratio()
    print(
        f"a second of feedback ({FRAMES_A_SECOND} frames): ours {cost.ours_ms:.1f} ms, piper_sdk {cost.sdk_ms:.1f} ms, "
        f"ratio {cost.ratio:.3f}"
    )
    sys.exit(0 if cost.ratio < 0.5 else 1)
