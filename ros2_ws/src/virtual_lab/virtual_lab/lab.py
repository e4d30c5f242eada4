"""One lab: a world, the firmware of the arm in it, and the bus between that arm and its host."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

import can
import numpy as np
from numpy.typing import NDArray
from piper_can import codec
from piper_can.bus import to_message
from piper_description import HOME_POSITION

from sim_train.worlds import World
from sim_train.worlds.seeds import LAB, check_seeds
from virtual_lab.arm_emulator import ArmEmulator, PlantReading
from virtual_lab.can_faults import CanFault, CanFaults

Array = NDArray[np.float64]
Result = TypeVar("Result")

TICK_S: Final = 0.005
REST_POSITION: Final = np.array([0.0, 0.0, 0.0, 0.0, 1.12, 0.0, 0.0])
"""Where a Piper without torque lies: joints 2 and 3 on their stops, gripper closed; rad and m, shape (7,)."""
NEAR_HOME_RAD: Final = 0.1
_MAX_FRAMES_A_TICK: Final = 1000


class NotAtHomeError(RuntimeError):
    """An episode cannot begin because the arm is away from home."""


@dataclass(frozen=True)
class Truth:
    """What really is in the lab; positions in metres, base frame."""

    success: bool
    """Whether the task succeeded at any time in this episode."""
    seed: int
    object_poses: dict[str, Array]
    """Pose (7,) of every body: x y z qw qx qy qz."""
    joint_position: Array
    """(7,): rad, and the gripper opening in m."""
    torque_on: bool


class Lab:
    """Owns the world and the bus; everything here happens in the thread that calls `tick`, except `submit`.

    The arm starts without torque in its rest pose, as one that was just powered on.
    """

    def __init__(self, world: World, bus: can.BusABC, seed: int) -> None:
        self._world = world
        self._bus = bus
        self._requests: SimpleQueue[Callable[[], None]] = SimpleQueue()
        world.set_joints(REST_POSITION)
        self._arm = ArmEmulator(self._reading())
        self._faults_in, self._faults_out = CanFaults(seed), CanFaults(seed)
        self._servo_mode = ""
        self._seed = seed
        self._success = False
        self._begin(seed, arm_home=False)

    def tick(self) -> None:
        """One 5 ms step: take in commands, move the world, send feedback. Raises `can.CanError` if the bus fails."""
        self._serve_requests()
        frames = self._receive()
        command = self._arm.step(TICK_S)
        if command.mode != self._servo_mode:
            self._world.set_servo_mode(command.mode)
            self._servo_mode = command.mode
        self._world.step(command.setpoint)
        self._success = self._success or self._world.success
        frames += self._arm.feedback(self._reading())
        for frame in self._faults_out.through(frames):
            self._bus.send(to_message(*frame))

    def submit(self, function: Callable[["Lab"], Result]) -> "Future[Result]":
        """Has the ticking thread call `function` with this lab between two ticks. The only thread-safe method."""
        future: Future[Result] = Future()

        def call() -> None:
            try:
                future.set_result(function(self))
            except Exception as error:  # noqa: BLE001 - it belongs to the thread that waits for the result
                future.set_exception(error)

        self._requests.put(call)
        return future

    def reset(self, seed: int, task: str, force_arm_home: bool) -> str:
        """Starts the episode of `seed`; its instruction.

        Raises ValueError for a seed or a task that is not this lab's ("" is any task), and `NotAtHomeError` if the arm
        is away from home and is not to be put there.
        """
        if task and task != self._world.task.name:
            raise ValueError(
                f"this lab runs task {self._world.task.name!r}, not {task!r}; start one with --task {task}"
            )
        check_seed(seed)
        away = np.abs(self._world.joint_position()[:6] - HOME_POSITION[:6])
        if not force_arm_home and away.max() > NEAR_HOME_RAD:
            joint = int(away.argmax())
            raise NotAtHomeError(
                f"the arm is away from home: joint{joint + 1} by {away[joint]:.3f} rad, at most {NEAR_HOME_RAD} is "
                "allowed; send it home first (service /piper_driver/home) and try again"
            )
        return self._begin(seed, force_arm_home)

    def _begin(self, seed: int, arm_home: bool) -> str:
        layout = self._world.reset(seed, arm_home=arm_home)
        if arm_home:
            self._arm.hold(HOME_POSITION)
        self._seed = seed
        self._success = False
        return layout.instruction

    def truth(self) -> Truth:
        """What really is, now."""
        return Truth(
            success=self._success,
            seed=self._seed,
            object_poses=self._world.object_poses(),
            joint_position=self._world.joint_position(),
            torque_on=self._arm.mode == "servo",
        )

    def set_can_faults(self, faults: Iterable[CanFault]) -> None:
        """From the next frame on, the wire between the arm and the bus has these faults, and no other."""
        faults = tuple(faults)
        self._faults_in.set(faults)
        self._faults_out.set(faults)

    def _serve_requests(self) -> None:
        while True:
            try:
                call = self._requests.get_nowait()
            except Empty:
                return
            call()

    def _receive(self) -> list[codec.Frame]:
        """Gives the arm what came over the bus; its replies."""
        heard: list[codec.Frame] = []
        for _ in range(_MAX_FRAMES_A_TICK):
            message = self._bus.recv(0)
            if message is None:
                break
            if not (message.is_error_frame or message.is_extended_id or message.is_remote_frame):
                heard.append(codec.Frame(message.arbitration_id, bytes(message.data)))
        commands = self._faults_in.through(heard)
        return [reply for frame in commands for reply in self._arm.receive(frame.frame_id, frame.data)]

    def _reading(self) -> PlantReading:
        world = self._world
        return PlantReading(world.joint_position(), world.joint_velocity(), world.actuator_torque())


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed that is not for labs."""
    check_seeds([seed], LAB, "a virtual lab")
