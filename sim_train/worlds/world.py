"""One world of a task in MuJoCo, stepped by control ticks: what the virtual lab runs in real time."""

from typing import Final

import mujoco
import numpy as np
from numpy.typing import NDArray
from piper_description import ARM_JOINT_NAMES, HOME_POSITION

from sim_train.worlds.mujoco_model import CONTROL_DT_S, build_model
from sim_train.worlds.scene import Array, Layout
from sim_train.worlds.tasks import make_task

SERVO_MODES: Final = ("servo", "off", "damped")
_DAMPING_WITHOUT_TORQUE: Final = 6.0  # N m s/rad: a stopped arm sinks in seconds instead of dropping


class World:
    """The Piper over a table with a task's bodies.

    `cameras` maps camera names to (width, height). A world is not thread-safe, but `render_snapshot` may run in one
    other thread (always the same: the graphics context stays with the thread that made it).
    """

    def __init__(self, task: str, cameras: dict[str, tuple[int, int]] | None = None) -> None:
        self.task = make_task(task)
        sizes = cameras or {}
        unknown = set(sizes) - {camera.name for camera in self.task.cameras}
        if unknown:
            known = sorted(camera.name for camera in self.task.cameras)
            raise ValueError(f"task {task!r} has no camera {sorted(unknown)}; it has {known}")
        self.camera_sizes = sizes
        largest = (max((w for w, _ in sizes.values()), default=64), max((h for _, h in sizes.values()), default=64))
        self.model = build_model(self.task, largest)
        self.data = mujoco.MjData(self.model)
        self._gravcomp = self.model.body_gravcomp.copy()
        self._damping = self.model.dof_damping.copy()
        self._render_data: mujoco.MjData | None = None
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self.layout: Layout = self.task.sample(0)
        self._place_arm()
        self.reset(0)

    def _place_arm(self) -> None:
        mujoco.mj_resetData(self.model, self.data)
        set_arm(self.data.qpos, HOME_POSITION)
        self.data.ctrl[:] = HOME_POSITION

    def reset(self, seed: int, arm_home: bool = False) -> Layout:
        """Put the bodies where `seed` says; the arm stays where it is unless `arm_home`."""
        self.layout = self.task.sample(seed)
        if arm_home:
            self._place_arm()
        for name, pose in self.layout.poses.items():
            joint = self.data.joint(name)
            joint.qpos[:] = pose
            joint.qvel[:] = 0.0
        mujoco.mj_forward(self.model, self.data)
        return self.layout

    def step(self, ctrl: Array, substeps: int | None = None) -> None:
        """Advance one 5 ms control tick toward `ctrl` (7,): joint targets in rad and gripper opening in m."""
        self.data.ctrl[:] = ctrl
        mujoco.mj_step(self.model, self.data, substeps or round(CONTROL_DT_S / self.model.opt.timestep))

    def set_servo_mode(self, mode: str) -> None:
        """`servo`: torque on; `damped`: no torque but damping, the arm sinks; `off`: no torque, the arm drops."""
        if mode not in SERVO_MODES:
            raise ValueError(f"unknown servo mode {mode!r}; expected one of {SERVO_MODES}")
        self.model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        self.model.body_gravcomp[:] = self._gravcomp
        self.model.dof_damping[:] = self._damping
        if mode != "servo":
            self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
            self.model.body_gravcomp[:] = 0.0
        if mode == "damped":
            self.model.dof_damping[: len(ARM_JOINT_NAMES)] = _DAMPING_WITHOUT_TORQUE

    def joint_position(self) -> Array:
        """Measured joints, shape (7,): rad, and the gripper opening in m."""
        return get_arm(self.data.qpos)

    def joint_velocity(self) -> Array:
        """Measured joint velocities, shape (7,): rad/s and m/s."""
        return get_arm(self.data.qvel)

    def actuator_torque(self) -> Array:
        """What the six servos and the gripper apply, shape (7,): N m and N."""
        return self.data.actuator_force.copy()

    def object_poses(self) -> dict[str, Array]:
        """Pose of every body, (7,): x y z qw qx qy qz in the base frame."""
        return {body.name: self.data.joint(body.name).qpos.copy() for body in self.task.bodies}

    def success(self) -> bool:
        """Whether the task's success holds right now."""
        positions = {name: pose[:3] for name, pose in self.object_poses().items()}
        return bool(self.task.success(positions, self.layout.target))

    def camera_intrinsics(self, name: str) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy) of camera `name` at its size, pixels."""
        width, height = self.camera_sizes[name]
        focal = height / 2 / np.tan(np.radians(self.model.camera(name).fovy[0]) / 2)
        return float(focal), float(focal), width / 2 - 0.5, height / 2 - 0.5

    def snapshot(self) -> Array:
        """What a picture depends on, for `render_snapshot`."""
        return self.data.qpos.copy()

    def render_snapshot(self, name: str, snapshot: Array) -> NDArray[np.uint8]:
        """Camera `name`'s picture of a snapshot, (height, width, 3) RGB."""
        if self._render_data is None:
            self._render_data = mujoco.MjData(self.model)
        self._render_data.qpos[:] = snapshot
        mujoco.mj_kinematics(self.model, self._render_data)
        mujoco.mj_camlight(self.model, self._render_data)
        return self._renderer(self.camera_sizes[name], self._render_data, name)

    def render(self, name: str) -> NDArray[np.uint8]:
        """Camera `name`'s picture right now, (height, width, 3) RGB."""
        return self.render_snapshot(name, self.snapshot())

    def _renderer(self, size: tuple[int, int], data: mujoco.MjData, camera: str) -> NDArray[np.uint8]:
        if size not in self._renderers:
            self._renderers[size] = mujoco.Renderer(self.model, height=size[1], width=size[0])
        renderer = self._renderers[size]
        renderer.update_scene(data, camera)
        return renderer.render().copy()

    def close(self) -> None:
        """Free the graphics contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def set_arm(qpos: Array, position: Array) -> None:
    """Write joints (..., 7) into MuJoCo coordinates (..., nq); each finger moves half the opening."""
    qpos[..., :6] = position[..., :6]
    qpos[..., 6] = qpos[..., 7] = position[..., 6] / 2


def get_arm(coordinates: Array) -> Array:
    """Joints (..., 7) from MuJoCo positions or velocities (..., n)."""
    return np.concatenate([coordinates[..., :6], coordinates[..., 6:7] + coordinates[..., 7:8]], axis=-1)
