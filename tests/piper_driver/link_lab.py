"""An `ArmLink` and the firmware of `virtual_lab` on a virtual bus, ticked together in made-up time."""

import itertools

import numpy as np
from motion_control import ArmController, Chunk, MotionLimits, Timeouts
from piper_can import BusError, PiperHost, open_bus
from piper_can.bus import to_message
from piper_description import HOME_POSITION
from piper_driver.arm_link import ArmLink
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

PERIOD = 5_000_000
CHANNELS = (f"arm_link_{i}" for i in itertools.count())


class Lab:
    """A link and an arm on a virtual bus, ticked together."""

    def __init__(self, position=HOME_POSITION):
        channel = next(CHANNELS)
        self.host_bus, self.arm_bus = open_bus("virtual", channel), open_bus("virtual", channel)
        self.position = np.array(position, dtype=float)
        self.emulator = ArmEmulator(PlantReading(self.position, np.zeros(7), np.zeros(7)))
        timeouts = Timeouts(feedback_hold_ns=40_000_000, feedback_fault_ns=100_000_000)
        self.controller = ArmController(MotionLimits.default(), PERIOD, timeouts)
        self.host = PiperHost(self.host_bus)
        self.link = ArmLink(self.host, self.controller, 1.0, self.reopen)
        self.opens = 0
        self.plugged = True
        self.mute = set()
        self.now = 10**9
        self.commands = []
        self.answers = []
        self.deaf = False
        self.change = lambda frame: frame

    def tick(self, count=1):
        for _ in range(count):
            self.now += PERIOD
            while (message := self.arm_bus.recv(0)) is not None:
                self.commands.append((message.arbitration_id, bytes(message.data)))
                if not self.deaf:
                    for frame in self.emulator.receive(message.arbitration_id, message.data):
                        self.arm_bus.send(to_message(*self.change(frame)))
            self.position = self.emulator.step(0.005).setpoint.copy()
            for frame in self.emulator.feedback(PlantReading(self.position, np.zeros(7), np.zeros(7))):
                if frame.frame_id not in self.mute:
                    self.arm_bus.send(to_message(*self.change(frame)))
            self.setpoint = self.link.tick(self.now)
        return self.setpoint

    def reopen(self):
        self.opens += 1
        if not self.plugged:
            raise BusError("cannot open CAN: no such device")
        return PiperHost(self.host_bus)

    def until(self, condition, ticks):
        """Ticks until `condition()`; fails after `ticks`."""
        for count in range(1, ticks + 1):
            self.tick()
            if condition():
                return count
        raise AssertionError(f"not within {ticks} ticks; {self.controller.mode}: {self.controller.modes.reason}")

    def moving(self):
        """Under way on joint 1 at more than 0.3 rad/s, in POLICY."""
        self.enabled()
        self.controller.policy(True, self.now)
        goal = self.position.copy()
        goal[0] += 0.45
        self.controller.accept_chunk(Chunk(self.now, np.array([self.now + 1_000_000_000]), goal[None]), self.now)
        self.until(lambda: self.setpoint.velocity[0] > 0.3, 100)
        self.commands.clear()
        return self

    def close(self):
        self.host_bus.shutdown()
        self.arm_bus.shutdown()

    def switch(self, on):
        self.link.switch_torque(on, self.now, lambda *answer: self.answers.append(answer))

    def enabled(self):
        self.tick(10)
        self.switch(True)
        self.tick(60)
        assert self.answers == [(True, "torque is on; the arm holds")]
        return self

    def ids(self):
        return [frame_id for frame_id, _ in self.commands]
