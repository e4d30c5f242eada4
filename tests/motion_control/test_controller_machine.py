"""The controller's invariant under random sequences of everything that can happen to a driver.

Whatever comes in, setpoints are finite, within every limit, continuous in position, velocity and acceleration, and only
the one that has authority moves the arm.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from motion_control import (
    ArmController,
    Chunk,
    ChunkRefusedError,
    Feedback,
    Mode,
    ModeRefusedError,
    MotionLimits,
    SafetyLimits,
    TargetRefusedError,
    TeleopCommand,
    Timeouts,
)
from piper_description import HOME_POSITION
from setpoint_rules import SetpointRules

MS = 1_000_000
PERIOD = 5 * MS
LIMITS = MotionLimits.default()
DEAD_MAN = 50 * MS
TIMEOUTS = Timeouts(150 * MS, 300 * MS, 50 * MS, 150 * MS, DEAD_MAN, 200 * MS)
SEEDS = st.integers(0, 2**32 - 1)
SMOOTHING, STOPPED = 4, 150
"""Ticks until authority that was lost shows no more, and until the arm stands."""


class ControllerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.controller = ArmController(LIMITS, PERIOD, TIMEOUTS)
        self.rules = SetpointRules(LIMITS, SafetyLimits(), HOME_POSITION)
        self.now = 10**12
        self.position = HOME_POSITION.copy()
        self.torque_on, self.fault, self.talking = True, None, True
        self.feedback = None
        self.last = None
        self.restarted = False
        self.idle_ticks = 0
        self.command_ns = None
        self.tick()

    def tick(self, period=PERIOD):
        self.now += period
        if self.talking:
            self.feedback = Feedback(self.position.copy(), self.now, self.torque_on, self.fault)
        setpoint = self.controller.tick(self.now, self.feedback)
        self.check(setpoint)
        if setpoint.send:
            self.position = setpoint.position.copy()
        self.last = setpoint

    def check(self, new):
        if new.mode is Mode.DISABLED:
            assert not new.send
            self.rules.restart(self.feedback.position)
            return
        assert self.feedback.torque_on or not new.send
        if self.restarted or self.last.mode is Mode.DISABLED:
            self.restarted = False
            assert (new.position == self.feedback.position).all() and not new.velocity.any()
            self.rules.restart(new.position)
            self.idle_ticks = 0
        elif new.position is not self.last.position:  # it is when called again within half a period, and at rest
            self.rules.check(new.position, new.velocity)
        if new.mode in (Mode.POLICY, Mode.TELEOP) or self.controller.homing:
            self.idle_ticks = 0
        elif new.position is not self.last.position:
            self.idle_ticks += 1
            if self.idle_ticks > SMOOTHING:
                slower = np.abs(new.velocity) <= np.abs(self.last.velocity) + 1e-12
                assert slower.all() or self.controller.modes.reason == "at home", "moved without authority"
            assert self.idle_ticks < STOPPED, "does not come to rest"
        if new.mode is Mode.TELEOP and self.command_ns is not None:
            assert self.now - self.command_ns <= DEAD_MAN, "goes on without the person"
        if new.mode in (Mode.ESTOP, Mode.FAULT) and self.controller.at_rest:
            assert not new.send

    @rule(count=st.integers(1, 60))
    def run(self, count):
        for _ in range(count):
            self.tick()

    @rule(seed=SEEDS)
    def run_with_jitter(self, seed):
        for period in np.random.default_rng(seed).integers(0, 3 * PERIOD, 20):
            self.tick(int(period))

    @rule(stall_ms=st.integers(6, 2000))
    def stall(self, stall_ms):
        self.tick(stall_ms * MS)

    @rule(seed=SEEDS, spread=st.sampled_from([0.02, 0.3, 1.0, 50.0]), age_ms=st.integers(0, 400))
    def chunk(self, seed, spread, age_ms):
        rng = np.random.default_rng(seed)
        horizon = int(rng.integers(1, 6))
        times = self.now - age_ms * MS + np.cumsum(rng.integers(1, 80, horizon)) * MS
        waypoints = self.position + np.cumsum(rng.normal(size=(horizon, 7)) * spread, axis=0)
        before = self.controller.modes.mode
        try:
            chunk = Chunk(self.now - age_ms * MS, times, waypoints, continues=bool(rng.integers(2)))
            self.controller.accept_chunk(chunk, self.now)
        except ChunkRefusedError:
            pass
        else:
            assert before is Mode.POLICY, "a chunk was taken without authority"

    @rule(seed=SEEDS, spread=st.sampled_from([0.02, 0.3, 1.0, np.nan]), age_ms=st.integers(-40, 80))
    def teleop_command(self, seed, spread, age_ms):
        before, stamp = self.controller.mode, self.now - age_ms * MS
        wanted = self.position + np.random.default_rng(seed).normal(size=7) * spread
        try:
            self.controller.accept_teleop(TeleopCommand(stamp, wanted), self.now)
        except TargetRefusedError:
            return
        assert before is Mode.TELEOP, "a command was taken without authority"
        assert np.isfinite(spread) and -20 <= age_ms <= 50
        self.command_ns = stamp

    @rule(seed=SEEDS, ticks=st.integers(1, 80), spread=st.sampled_from([0.005, 0.05]))
    def teleop_stream(self, seed, ticks, spread):
        if self.controller.mode in (Mode.HOLD, Mode.POLICY):
            self.request("teleop on")
        rng = np.random.default_rng(seed)
        wanted = self.position.copy()
        for _ in range(ticks):
            wanted = wanted + rng.normal(size=7) * spread
            try:
                self.controller.accept_teleop(TeleopCommand(self.now, wanted), self.now)
                self.command_ns = self.now
            except TargetRefusedError:
                wanted = self.position.copy()
            self.tick()

    @rule(seed=SEEDS, bad=st.sampled_from([np.nan, np.inf, -np.inf]))
    def broken_chunk(self, seed, bad):
        rng = np.random.default_rng(seed)
        waypoints = np.tile(self.position, (3, 1))
        waypoints[rng.integers(3), rng.integers(7)] = bad
        try:
            self.controller.accept_chunk(Chunk(self.now, self.now + np.arange(1, 4) * 50 * MS, waypoints), self.now)
        except ChunkRefusedError:
            return
        raise AssertionError("a chunk that is not finite was taken")

    @rule(
        event=st.sampled_from(
            [
                "enable",
                "disable",
                "policy on",
                "policy off",
                "hold",
                "home",
                "park",
                "estop",
                "clear",
                "teleop on",
                "teleop off",
            ]
        )
    )
    def request(self, event):
        c = self.controller
        act = {
            "enable": lambda: c.enable(self.now),
            "disable": lambda: c.disable(),
            "policy on": lambda: c.policy(True, self.now),
            "policy off": lambda: c.policy(False, self.now),
            "hold": lambda: c.hold(),
            "home": lambda: c.go_home(self.now),
            "park": lambda: c.go_park(self.now),
            "estop": lambda: c.estop(),
            "clear": lambda: c.clear_fault(self.now),
            "teleop on": lambda: c.teleop(True, self.now),
            "teleop off": lambda: c.teleop(False, self.now),
        }[event]
        before = c.mode
        try:
            act()
        except ModeRefusedError:
            assert c.mode is before
            return
        if c.mode is not before:
            self.command_ns = None
        if before in (Mode.ESTOP, Mode.FAULT):
            assert event in ("clear", "estop", "policy off", "teleop off")
            self.restarted = event == "clear"

    @rule()
    def get_to_policy(self):
        self.torque_on, self.fault, self.talking = True, None, True
        self.tick()
        while not self.controller.at_rest:
            self.tick()
        if self.controller.mode in (Mode.ESTOP, Mode.FAULT):
            self.request("clear")
        self.tick()
        self.request("enable")
        self.tick()
        self.request("teleop off")
        self.request("policy on")
        assert self.controller.mode is Mode.POLICY

    @rule(torque_on=st.booleans())
    def torque(self, torque_on):
        self.torque_on = torque_on

    @rule(fault=st.sampled_from([None, None, "joint3 Collision"]))
    def arm_fault(self, fault):
        self.fault = fault

    @rule(talking=st.booleans())
    def feedback_link(self, talking):
        self.talking = talking

    @invariant()
    def a_reason_is_given(self):
        assert self.controller.modes.reason


class ManyControllers(ControllerMachine):
    """The same, for hours of made-up time."""


ControllerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
ManyControllers.TestCase.settings = settings(max_examples=3000, stateful_step_count=60, deadline=None)
TestController = ControllerMachine.TestCase
TestControllerForLong = pytest.mark.slow(pytest.mark.timeout(3600)(ManyControllers.TestCase))
