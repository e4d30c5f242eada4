"""What a control period costs in the motion layer: mode, schedule, limiter, guard and smoothing of seven joints.

Times are processor time of the thread; a bare loop that does nothing is measured with the same clock, tick by tick in
turns. The same motion is played several times, and the least time of each tick counts: what is left is what the code
takes, without what other programs do to caches.
"""

import sys
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from motion_control import ArmController, Chunk, ChunkRefusedError, Feedback, Mode, MotionLimits, SafetyLimits
from piper_description import HOME_POSITION

PERIOD_NS: Final = 5_000_000
LIMIT_US: Final = 50.0
_STEP_NS: Final = 100_000_000
_STEPS: Final = 8
_WARM_UP_TICKS: Final = 200
MOTIONS: Final = {"within limits": 0.006, "held back": 0.15}
"""Spread of the joint steps between two waypoints, rad."""


@dataclass(frozen=True)
class LimitingCost:
    """Of one motion: microseconds a tick, those of the empty tick included, and those of the empty tick alone."""

    median_us: float
    p99_us: float
    bare_median_us: float
    bare_p99_us: float
    ticks: int
    held_back: float
    """Share of the ticks in which the guard slowed the arm."""


def cycle_cost(motion: str, ticks: int = 2000, runs: int = 5, seed: int = 0) -> LimitingCost:
    """Has controllers play the same random chunks of `motion`, one of `MOTIONS`, `runs` times, measuring every tick.

    Raises ValueError for less than 100 ticks or one run, and RuntimeError if the arm did not move.
    """
    if ticks < 100 or runs < 1:
        raise ValueError(f"{runs} runs of {ticks} ticks are too few for a 99th percentile; expected 100 ticks or more")
    played = [_play(motion, ticks, seed) for _ in range(runs)]
    ours, bare = (np.min([run[which] for run in played], axis=0) for which in (0, 1))
    return LimitingCost(
        float(np.median(ours)),
        float(np.quantile(ours, 0.99)),
        float(np.median(bare)),
        float(np.quantile(bare, 0.99)),
        ticks,
        played[0][2],
    )


def _play(motion: str, ticks: int, seed: int) -> tuple[list[float], list[float], float]:
    """Microseconds of every tick and of every empty one; the share of ticks that the guard slowed."""
    rng = np.random.default_rng(seed)
    controller = ArmController(MotionLimits.default(), PERIOD_NS, safety=SafetyLimits())
    now_ns = 10**9
    position = HOME_POSITION.copy()
    controller.tick(now_ns, Feedback(position, now_ns, True))
    controller.enable(now_ns)
    controller.policy(True, now_ns)
    ours, bare, moved = [], [], 0
    for tick in range(_WARM_UP_TICKS + ticks):
        now_ns += PERIOD_NS
        if tick % (_STEPS * _STEP_NS // PERIOD_NS // 2) == 0:
            _send_chunk(controller, rng, position, MOTIONS[motion], now_ns)
        feedback = Feedback(position, now_ns, True)
        started_ns = time.thread_time_ns()
        between_ns = time.thread_time_ns()
        setpoint = controller.tick(now_ns, feedback)
        ended_ns = time.thread_time_ns()
        if tick >= _WARM_UP_TICKS:
            bare.append((between_ns - started_ns) / 1e3)
            ours.append((ended_ns - between_ns) / 1e3)
        moved += setpoint.position is not position
        position = setpoint.position
    if controller.mode is not Mode.POLICY or moved < ticks // 2:
        raise RuntimeError(f"the arm did not move as it should: {controller.modes.reason}, {moved} ticks in motion")
    return ours, bare, controller.counters.ticks_guarded / (_WARM_UP_TICKS + ticks)


def _send_chunk(
    controller: ArmController, rng: np.random.Generator, position: np.ndarray, spread: float, now_ns: int
) -> None:
    """Toward somewhere near home, so that the arm neither stands nor drifts away."""
    drift = (HOME_POSITION - position) / _STEPS
    steps = np.clip(rng.normal(size=(_STEPS, 7)) * spread, -0.3, 0.3) + np.clip(drift, -spread, spread)
    steps[:, 6] *= 0.1  # metres
    times = now_ns + _STEP_NS * np.arange(1, _STEPS + 1)
    try:
        controller.accept_chunk(Chunk(now_ns - 1, times, position + np.cumsum(steps, axis=0)), now_ns)
    except ChunkRefusedError:  # it led out of the limits: the one before goes on
        return


if __name__ == "__main__":
    slow = False
    for name in MOTIONS:
        cost = cycle_cost(name)
        slow |= cost.median_us > LIMIT_US
        print(
            f"{name} ({cost.held_back:.0%} of {cost.ticks} ticks slowed by the guard): median {cost.median_us:.1f} us, "
            f"p99 {cost.p99_us:.1f} us; an empty tick {cost.bare_median_us:.1f} us, p99 {cost.bare_p99_us:.1f} us"
        )
    sys.exit(1 if slow else 0)
