"""Faults of the machine and of chunks that no policy should send; the driver and the virtual arm are the loop."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from motion_control import Chunk
from numpy.typing import NDArray
from piper_description import JOINT_NAMES

from benchmarks.faults.attempt import Attempt, since_ms, tries
from benchmarks.faults.machine_faults import FakeClock, busy_cores
from benchmarks.faults.processes import TryError, wait_for
from benchmarks.faults.robot import Robot
from benchmarks.faults.wire import PAUSE_NS, targets

BURST_NS: Final = 20_000_000
PERIODS_IN_BURST: Final = 6
"""Setpoints that may come in the first 20 ms after a stall: one a period, and one that is late."""


def _stops(robot: Robot, since_ns: int) -> list[str]:
    """What else than POLICY the driver said since then."""
    return [
        f"{s.what[0]} ({s.what[1]})" for s in list(robot.desk.modes) if s.time_ns >= since_ns and s.what[0] != "POLICY"
    ]


@tries(39, rig="arm")
def wall_clock_jumps(robot: Robot, number: int) -> Attempt:
    """In motion: the driver's wall clock jumps an hour ahead (odd tries: back) for a second."""
    clock = FakeClock(robot.log_dir / "clock")
    robot.driver.end()
    robot.desk.modes.clear()
    robot.start_driver(clock.env)
    try:
        robot.ready()
        robot.sweep()
        began_ns = time.monotonic_ns()
        clock.jump(-3600 if number % 2 else 3600)
        time.sleep(1.0)
        stops = _stops(robot, began_ns)
        each = targets(robot.commands())[0]
        gaps = np.diff(each.time_ns[each.time_ns > began_ns])
        broken = robot.breaches()
    finally:
        robot.driver.end()
        robot.desk.modes.clear()
    failure = f"the arm was stopped: {stops[0]}" if stops else ""
    if not len(gaps) or gaps.max() > PAUSE_NS:
        failure = "setpoints stopped"
    return Attempt(failure=failure, breaches=broken)


@tries(40, rig="arm")
def driver_stalls(robot: Robot, number: int) -> Attempt:
    """In motion: SIGSTOP for 200 ms, then SIGCONT; from there to the first setpoint."""
    robot.sweep()
    robot.driver.signal(signal.SIGSTOP)
    time.sleep(0.2)
    began_ns = robot.driver.signal(signal.SIGCONT)
    time.sleep(0.5)
    times = targets(robot.commands())[0].time_ns
    after = times[times > began_ns]
    burst = int((after < began_ns + BURST_NS).sum())
    failure = f"{burst} setpoints within {BURST_NS / 1e6:.0f} ms" if burst > PERIODS_IN_BURST else ""
    first_ns = int(after[0]) if len(after) else None
    return Attempt(None, since_ms(began_ns, first_ns), failure=failure, breaches=robot.breaches())


@tries(41, rig="arm")
def every_core_busy(robot: Robot, number: int) -> Attempt:
    """In motion: twice as many busy processes as cores, for three seconds; the longest time between setpoints."""
    robot.sweep()
    with busy_cores(2 * len(os.sched_getaffinity(0))):
        began_ns = time.monotonic_ns()
        time.sleep(3.0)
        each = targets(robot.commands())[0]
        stops = _stops(robot, began_ns)
    gaps = np.diff(each.time_ns[each.time_ns > began_ns]) / 1e6
    worst = float(gaps.max()) if len(gaps) else None
    held = bool(stops)
    failure = "" if worst is not None or held else "no setpoints came, and the arm was not held"
    return Attempt(None, None, {"gap": worst or 0.0}, failure, robot.breaches())


@tries(47, rig="arm")
def told_to_stop(robot: Robot, number: int) -> Attempt:
    """In motion: SIGTERM (odd tries: SIGINT); from the signal to the end of the process."""
    robot.sweep()
    began_ns = robot.driver.signal(signal.SIGINT if number % 2 else signal.SIGTERM)
    status = robot.driver.wait(10.0)
    ended_ns = time.monotonic_ns()
    time.sleep(0.1)
    failure = "" if status == 0 else f"the driver ended with {status}"
    if not robot.lab.truth().torque_on:
        failure = "the arm lost its torque"
    each = targets(robot.commands())
    if any(np.abs(np.diff(t.position[-2:], axis=0)).max() > 1e-3 for t in each):
        failure = "the last setpoint was in motion"
    return Attempt(None, since_ms(began_ns, ended_ns), failure=failure, breaches=robot.breaches())


def _refused(robot: Robot) -> int:
    return int(robot.desk.diagnostics.get("chunks_refused", "0"))


def _send_bad(robot: Robot, send: Callable[[NDArray[np.float64]], Any], names: str) -> Attempt:
    """Gives the policy authority, sends something that must be refused, and says whether that was counted."""
    robot.to_policy()
    wait_for(lambda: robot.desk.diagnostics, 3.0, "diagnostics")
    before = _refused(robot)
    start = robot.setpoint()
    send(start)
    try:
        wait_for(lambda: _refused(robot) > before, 3.0, f"a refusal of {names}")
        failure = ""
    except TryError as error:
        failure = str(error)
    moved = float(np.abs(robot.setpoint()[:6] - start[:6]).max())
    if moved > 1e-4:
        failure = f"{names} moved the arm by {moved:.3f} rad"
    return Attempt(failure=failure, breaches=robot.breaches())


def _trajectory(robot: Robot, position: NDArray[np.float64], observed_ns: int | None = None) -> None:
    times = np.arange(1, len(position) + 1, dtype=np.float64) * 0.1
    robot.desk.publish_trajectory(position, times, observed_ns or time.monotonic_ns(), list(JOINT_NAMES))


@tries(5, rig="arm")
def chunk_late_or_twice(robot: Robot, number: int) -> Attempt:
    """In motion: an older chunk comes again, and one whose time has passed; both are dropped, the motion goes on."""
    sign = robot.sweep()
    wait_for(lambda: robot.desk.diagnostics, 3.0, "diagnostics")
    before, start = _refused(robot), robot.setpoint()
    ahead = start + np.outer(sign * np.array([0.03, 0.06]), np.eye(7)[0])
    _trajectory(robot, ahead, time.monotonic_ns() - 1_500_000_000)  # answers an older observation
    _trajectory(robot, ahead, time.monotonic_ns() - 5_000_000_000)  # is over
    began_ns = time.monotonic_ns()
    try:
        wait_for(lambda: _refused(robot) >= before + 2, 3.0, "two refusals")
        failure = ""
    except TryError as error:
        failure = str(error)
    each = targets(robot.commands())[0]
    back = sign * np.diff(each.position[each.time_ns > began_ns - 50_000_000][:, 0])
    if len(back) and back.min() < -1e-4:
        failure = "the arm moved backwards"
    return Attempt(failure=failure, breaches=robot.breaches())


@tries(6, rig="arm")
def not_finite(robot: Robot, number: int) -> Attempt:
    """A chunk with one NaN or infinity: nothing of it is played."""
    bad = (np.nan, np.inf, -np.inf)[number % 3]

    def send(start: NDArray[np.float64]) -> None:
        position = start + np.outer(np.arange(1, 6) * 0.02, np.eye(7)[0])
        position[number % 5, number % 7] = bad
        _trajectory(robot, position)

    return _send_bad(robot, send, f"a chunk with {bad}")


@tries(7, rig="arm")
def far_outside(robot: Robot, number: int) -> Attempt:
    """Waypoints in degrees: far outside the limits."""

    def send(start: NDArray[np.float64]) -> None:
        position = np.repeat(start[None], 5, axis=0)
        position[:, number % 6] = np.degrees(2.0) * (-1.0 if number % 2 else 1.0)
        _trajectory(robot, position)

    return _send_bad(robot, send, "a chunk in degrees")


@tries(9, rig="arm")
def starts_elsewhere(robot: Robot, number: int) -> Attempt:
    """A chunk that starts 0.6 rad from the setpoint."""

    def send(start: NDArray[np.float64]) -> None:
        away = start + 0.6 * (1.0 if start[0] < 0 else -1.0) * np.eye(7)[0]
        robot.desk.publish_chunk(_chunk(away))

    return _send_bad(robot, send, "a chunk that starts elsewhere")


def _chunk(position: NDArray[np.float64]) -> Chunk:
    now_ns = time.monotonic_ns()
    return Chunk(now_ns, now_ns + np.arange(1, 4) * 100_000_000, np.repeat(position[None], 3, axis=0))


@tries(10, rig="arm")
def changes_direction(robot: Robot, number: int) -> Attempt:
    """Waypoints 50 ms apart that jump to and fro by 0.2 rad, for two seconds: smooth, and the driver stops it."""
    robot.to_policy()
    start = robot.setpoint()
    began_ns = time.monotonic_ns()
    signs = np.where(np.arange(40) % 2, -0.1, 0.1)
    times = began_ns + (np.arange(1, 41) * 50_000_000)
    robot.desk.publish_chunk(Chunk(began_ns, times, start + np.outer(signs, np.eye(7)[0])))
    time.sleep(2.0)
    stops = _stops(robot, began_ns)
    failure = "" if stops else "the driver says nothing about a policy that oscillates"
    return Attempt(failure=failure, breaches=robot.breaches())
