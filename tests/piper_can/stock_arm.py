"""The virtual lab's firmware on a `virtual` bus, for tools that speak to a real Piper, and the vendor's SDK on it."""

import threading
import time

import numpy as np
from piper_can import codec, open_bus
from piper_can.bus import to_message
from piper_sdk import C_PiperInterface_V2
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

TICK_S = 0.02
"""Four times the real period: the tests are about what is said, not how often."""


class StockArm:
    """Answers in a thread, over joints that follow perfectly; `close` ends it."""

    def __init__(self, channel):
        self.position = np.array([0.0, 0.3, -0.3, 0.0, 0.5, 0.0, 0.02])
        self.commands = set()
        self._bus = open_bus("virtual", channel)
        self.emulator = ArmEmulator(self._reading())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join(5)
        self._bus.shutdown()

    def _reading(self):
        return PlantReading(self.position.copy(), np.zeros(7), np.zeros(7))

    def _run(self):
        while not self._stop.wait(TICK_S):
            while (message := self._bus.recv(0)) is not None:
                if message.arbitration_id in codec.COMMANDS:
                    self.commands.add(message.arbitration_id)
                for frame in self.emulator.receive(message.arbitration_id, message.data):
                    self._bus.send(to_message(*frame))
            self.position = self.emulator.step(TICK_S).setpoint.copy()
            for frame in self.emulator.feedback(self._reading()):
                self._bus.send(to_message(*frame))


def stock_sdk(channel):
    """The unmodified SDK's interface on that channel; the SDK returns the same object to whoever asks for the name."""
    sdk = C_PiperInterface_V2(channel, judge_flag=False, can_auto_init=False)
    sdk.CreateCanBus(channel, bustype="virtual", judge_flag=False)
    sdk.ConnectPort()
    return sdk


def wait_for(condition, timeout_s=30.0):
    """Whether a condition came true in time; generous, because a test machine may be busy."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def says_firmware(sdk, version):
    """Whether the SDK got the version; it is asked again because it forgets an answer that comes at once."""
    for _ in range(10):
        if wait_for(lambda: sdk.GetPiperFirmwareVersion() == version, timeout_s=3.0):
            return True
        sdk.SearchPiperFirmwareVersion()
    return False
