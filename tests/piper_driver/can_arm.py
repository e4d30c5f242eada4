"""An arm on CAN for tests: the firmware of `virtual_lab` over a plant that follows perfectly."""

import threading
import time

import numpy as np
from piper_can import codec, open_bus
from piper_can.bus import to_message
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

CHANNEL = "239.74.163.77"


class CanArm:
    """Answers on `udp_multicast` at 200 Hz in a thread; `sent` keeps (time, id, data) of all commands it got."""

    def __init__(self, port, position):
        self.port = port
        self.position = np.array(position, dtype=float)
        self.sent = []
        self.silent = False
        self._bus = open_bus("udp_multicast", CHANNEL, port=port)
        self._emulator = ArmEmulator(self._reading(np.zeros(7)))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def torque_on(self):
        return self._emulator.mode == "servo"

    def targets(self):
        """Joint targets it got, (T, 2) of joints 1 and 2 in rad."""
        frames = [data for _, frame_id, data in list(self.sent) if frame_id == codec.JOINT_TARGETS[0]]
        return np.array([list(codec.decode(codec.JOINT_TARGETS[0], data).values()) for data in frames])

    def was_told_to_drop(self):
        """Whether a stop, a reset or a disable came."""
        return any(i == codec.STOP_COMMAND or (i == codec.ENABLE_COMMAND and d[1] == 1) for _, i, d in list(self.sent))

    def close(self):
        self._stop.set()
        self._thread.join(2)
        self._bus.shutdown()

    def _reading(self, velocity):
        return PlantReading(self.position.copy(), velocity, np.zeros(7))

    def _run(self):
        deadline = time.monotonic()
        while not self._stop.is_set():
            while (message := self._bus.recv(0)) is not None:
                if message.arbitration_id in COMMANDS:
                    self.sent.append((time.monotonic(), message.arbitration_id, bytes(message.data)))
                for frame in self._emulator.receive(message.arbitration_id, message.data):
                    self._bus.send(to_message(*frame))
            command = self._emulator.step(0.005)
            before = self.position
            self.position = command.setpoint.copy()
            frames = self._emulator.feedback(self._reading((self.position - before) / 0.005))
            if not self.silent:
                for frame in frames:
                    self._bus.send(to_message(*frame))
            deadline = max(deadline + 0.005, time.monotonic() - 0.02)
            time.sleep(max(0.0, deadline - time.monotonic()))


COMMANDS = {0x150, 0x151, *codec.JOINT_TARGETS, 0x159, 0x470, 0x471}
