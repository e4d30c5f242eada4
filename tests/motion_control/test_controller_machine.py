"""The controller's invariant under random sequences of everything that can happen to a driver.

Whatever comes in, setpoints are finite, within limits, continuous in position and velocity, and only the mode that has
authority moves the arm.
"""

import numpy as np
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
    Timeouts,
)
from piper_description import HOME_POSITION

MS = 1_000_000
PERIOD = 5 * MS
LIMITS = MotionLimits.default()
V_STEP = LIMITS.acceleration * PERIOD / 1e9
TIMEOUTS = Timeouts(150 * MS, 300 * MS, 50 * MS, 150 * MS)
SEEDS = st.integers(0, 2**32 - 1)


class ControllerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.controller = ArmController(LIMITS, PERIOD, TIMEOUTS)
        self.now = 10**12
        self.position = HOME_POSITION.copy()
        self.torque_on, self.fault, self.talking = True, None, True
        self.feedback = None
        self.last = None
        self.restarted = False
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
        assert np.isfinite(new.position).all() and np.isfinite(new.velocity).all()
        assert (LIMITS.outside(new.position) == 0.0).all()
        assert (np.abs(new.velocity) <= LIMITS.velocity + 1e-12).all()
        if new.mode is Mode.DISABLED:
            assert not new.send
            return
        assert self.feedback.torque_on or not new.send
        if self.restarted or self.last.mode is Mode.DISABLED:
            self.restarted = False
            assert np.abs(new.position - self.feedback.position).max() <= (V_STEP * 0.005).max() + 1e-12
            return
        if new.position is self.last.position:
            return  # called again within half a period: nothing moved
        step, change = np.abs(new.position - self.last.position), np.abs(new.velocity - self.last.velocity)
        assert (step <= LIMITS.velocity * 0.005 + 1e-12).all()
        assert (change <= V_STEP * (1 + 1e-9)).all()
        if new.mode is not Mode.POLICY and not self.controller.homing:
            slower = np.maximum(np.abs(self.last.velocity) - V_STEP, 0.0)
            homed = self.controller.modes.reason == "at home"
            assert homed or (np.abs(new.velocity) <= slower + 1e-12).all(), "moved without authority"
        if new.mode in (Mode.ESTOP, Mode.FAULT) and not new.velocity.any():
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
            self.controller.accept_chunk(Chunk(self.now - age_ms * MS, times, waypoints), self.now)
        except ChunkRefusedError:
            pass
        else:
            assert before is Mode.POLICY, "a chunk was taken without authority"

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
            "estop": lambda: c.estop(),
            "clear": lambda: c.clear_fault(self.now),
            "teleop on": lambda: c.modes.teleop(True),
            "teleop off": lambda: c.modes.teleop(False),
        }[event]
        before = c.mode
        try:
            act()
        except ModeRefusedError:
            assert c.mode is before
            return
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


ControllerMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestController = ControllerMachine.TestCase
