"""The driver and the virtual arm as processes, ready to have something done to them."""

import os
import random
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from motion_control import Chunk
from numpy.typing import NDArray
from piper_can import codec
from piper_description import HOME_POSITION
from virtual_lab.client import LabClient, LabError

from benchmarks.faults.desk import Desk
from benchmarks.faults.processes import START_S, Child, TryError, free_port, wait_for
from benchmarks.faults.wire import PAUSE_NS, Command, Wire, breaches, targets

DRIVER: Final = "piper_driver.driver_node:main"
SWEEP_RAD_S: Final = 0.3
SEED: Final = 2_000_000
SWEEP_S: Final = 6.0
_SWEEP_STEP_S: Final = 0.1
_FAR_RAD: Final = 1.0


class Robot:
    """A virtual lab, a driver, a listener on their bus, and the desk. `ready` before each try, `close` in the end."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.channel = f"239.74.163.{random.SystemRandom().randint(2, 254)}"
        self.port = free_port(socket.SOCK_DGRAM)
        self._control = f"127.0.0.1:{free_port()}"
        self.lab_name = f"faults_{os.getpid()}_{random.SystemRandom().randint(0, 10**6)}"
        self.wire = Wire(self.channel, self.port)
        self.desk = Desk()
        self.lab = LabClient(self._control)
        self._children: list[Child] = []

    def start(self) -> None:
        """Start the processes. Raises `TryError` if one does not come up; `close` ends the others."""
        self.start_lab()
        self.start_driver()

    def keep(self, child: Child) -> Child:
        """This process ends with the robot."""
        self._children.append(child)
        return child

    def start_lab(self) -> None:
        """A lab on this robot's bus; the one before must have ended."""
        arguments = ["virtual_lab", "--can-channel", self.channel, "--can-port", str(self.port)]
        arguments += ["--control-address", self._control, "--lab", self.lab_name, "--seed", str(SEED)]
        self.lab_process = self.keep(Child.module("lab", arguments, self.log_dir))
        try:
            self.lab.wait_ready(START_S)
        except LabError as error:
            raise TryError(str(error)) from error

    def start_driver(self, env: Mapping[str, str] | None = None, **parameters: object) -> None:
        """A driver on this robot's bus; it becomes the robot's."""
        self.driver = self.new_driver(env, **parameters)

    def new_driver(self, env: Mapping[str, str] | None = None, **parameters: object) -> Child:
        """Another driver process on this bus, beside the robot's own."""
        options = {"can_interface": "udp_multicast", "can_channel": self.channel, "can_port": self.port}
        options |= {"tcp_speed_m_s": 1.0, **parameters}
        return self.keep(Child.node("driver", DRIVER, options, self.log_dir, env))

    def ready(self) -> None:
        """Everything runs, nothing is wrong with the wire, and the arm holds; the record begins anew.

        Raises `TryError` if that cannot be reached.
        """
        if not self.lab_process.alive:
            self.start_lab()
        self.lab.set_can_faults()
        if not self.driver.alive:
            self.desk.modes.clear()
            self.start_driver()
        wait_for(lambda: self.desk.mode, START_S, f"the driver's mode\n{self.driver.text()[-800:]}")
        self._to_hold()
        self.begin_record()
        wait_for(lambda: len(targets(self.commands())[0].time_ns) > 3, 5.0, "setpoints on the bus")
        if abs(self.setpoint()[0]) > _FAR_RAD:
            self.go_home()
        self.begin_record()
        wait_for(lambda: len(targets(self.commands())[0].time_ns) > 3, 5.0, "setpoints on the bus")

    def begin_record(self) -> None:
        """Forget what went over the bus so far."""
        self.wire.forget()

    def commands(self) -> list[Command]:
        """What went over the bus since the record began."""
        return self.wire.commands()

    def breaches(self) -> tuple[str, ...]:
        """How setpoints of this record broke the invariant."""
        return tuple(breaches(self.commands()))

    def setpoint(self) -> NDArray[np.float64]:
        """The last joint targets on the bus, with the gripper's opening at home: (7,), rad and m."""
        latest = [each.position[-1] for each in targets(self.wire.latest(60))]
        return np.append(np.concatenate(latest), HOME_POSITION[6])

    def go_home(self) -> None:
        """Send the arm home, and wait until it is there."""
        self.call("home")
        wait_for(lambda: self.desk.mode == "HOLD" and self.desk.reason == "at home", 20.0, "home")

    def call(self, name: str) -> str:
        """A `Trigger` service of the driver; its text. Raises `TryError` if it is refused."""
        done, text = self.desk.trigger(f"/piper_driver/{name}")
        if not done:
            raise TryError(f"{name}: {text}")
        return text

    def to_policy(self) -> None:
        """Give the policy authority."""
        self.desk.wait_for_chunk_reader()
        done, text = self.desk.switch("/piper_driver/policy", True)
        if not done:
            raise TryError(f"policy: {text}")
        self.desk.wait_mode(2.0, "POLICY")

    def sweep(self, seconds: float = SWEEP_S) -> float:
        """Move joint 1 at a constant speed with one chunk, away from where there is less room; +1 or -1.

        Returns when the arm has got up to speed.
        """
        self.to_policy()
        start = self.setpoint()
        sign = -1.0 if start[0] > 0 else 1.0
        self.desk.publish_chunk(self.sweep_chunk(start, sign, seconds))
        wait_for(lambda: self._speed() > 0.95 * SWEEP_RAD_S, seconds, "the arm to move")
        return sign

    @staticmethod
    def sweep_chunk(start: NDArray[np.float64], sign: float, seconds: float) -> Chunk:
        """A chunk that turns joint 1 from the setpoint `start` (7,) at constant speed."""
        now_ns = time.monotonic_ns()
        after_s = np.arange(1, round(seconds / _SWEEP_STEP_S) + 1) * _SWEEP_STEP_S
        position = start + np.outer(sign * SWEEP_RAD_S * after_s, np.eye(7)[0])
        return Chunk(now_ns, now_ns + (after_s * 1e9).astype(np.int64), position)

    def at_rest(self) -> None:
        """Wait until the setpoints stand still, or none come any more, as in a latched mode."""

        def still() -> bool:
            recent = targets(self.wire.latest(120))
            silent = all(time.monotonic_ns() - int(e.time_ns[-1]) > PAUSE_NS for e in recent if len(e.time_ns))
            return silent or all(np.ptp(e.position[-20:], axis=0).max(initial=0.0) == 0.0 for e in recent)

        wait_for(still, 5.0, "setpoints that stand still")

    def _speed(self) -> float:
        each = targets(self.wire.latest(40))[0]
        steps = np.abs(np.diff(each.position[:, 0]))
        return float(np.median(steps[-4:]) / 0.005) if len(steps) >= 4 else 0.0

    def _to_hold(self) -> None:
        end = time.monotonic() + 30.0
        while self.desk.mode != "HOLD":
            if time.monotonic() > end:
                raise TryError(f"the arm does not come to HOLD: {self.desk.mode} ({self.desk.reason})")
            before = self.desk.mode
            if before in ("ESTOP", "FAULT"):
                self.desk.trigger("/piper_driver/clear_fault")
            elif before == "DISABLED":
                self.lab.reset(SEED, force_arm_home=True)
                self.desk.switch("/piper_driver/enable", True)
            elif before:
                self.desk.trigger("/piper_driver/hold")
            time.sleep(0.1)

    def close(self) -> None:
        """End the processes, those that use the others first."""
        for child in reversed(self._children):
            child.end()
        self.lab.close()
        self.desk.close()
        self.wire.close()


def feedback_ids(*groups: Sequence[int] | int) -> tuple[int, ...]:
    """Ids of feedback frames; all of them if none is named."""
    chosen = groups or (codec.ARM_STATUS, codec.END_POSE, codec.JOINT_FEEDBACK, codec.GRIPPER_FEEDBACK)
    if not groups:
        chosen = (*chosen, codec.MOTOR_FAST, codec.MOTOR_SLOW)
    return tuple(i for group in chosen for i in ([group] if isinstance(group, int) else group))
