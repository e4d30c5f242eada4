"""Many worlds of one task in one process: physics in C threads, pictures only when the policy looks.

The arm of every world is moved by `motion_control`, by the functions that the driver uses: chunk -> joint waypoints ->
200 Hz targets -> limiter -> servo. A chunk's setpoints depend on commands alone, so they are computed for all worlds at
once and the physics of a whole chunk then runs in C.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from motion_control.limiter import Limiter, LimiterState, setpoints
from motion_control.limits import MotionLimits
from motion_control.schedule import interpolate
from mujoco import rollout
from numpy.typing import NDArray
from piper_description import HOME_POSITION, R_BASE_TOOL_HOME, tcp_pose
from policy_api.images import decode_jpeg, encode_jpeg, to_network_input
from policy_api.schema import CameraSpec, PolicySpec

from sim_train.envs.specs import task_spec
from sim_train.worlds.mujoco_model import CONTROL_DT_S, build_model
from sim_train.worlds.scene import Array, Layout
from sim_train.worlds.tasks import make_task
from sim_train.worlds.world import get_arm, set_arm

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS


@dataclass(frozen=True, eq=False)
class Observations:
    """What n policies see at the start of a chunk."""

    images: dict[str, NDArray[np.uint8]]
    """Camera name -> (n, S, S, 3) RGB."""
    state: NDArray[np.float32]
    """(n, 7) measured joints, rad, and gripper opening, m."""
    instructions: list[str]
    target_position: NDArray[np.float32]
    """(n, 3) m, base frame: where the named body is. Privileged: for auxiliary losses and scripts, never for acting."""


@dataclass(frozen=True, eq=False)
class StepResult:
    """What one chunk led to in n worlds; every array has shape (n,)."""

    observations: Observations
    success: NDArray[np.bool_]
    executed_steps: NDArray[np.int64]
    """Steps of the chunk that were executed; the one in which success came is counted."""
    done: NDArray[np.bool_]
    """Success, or the last chunk of the episode."""
    fault: NDArray[np.bool_]
    """The physics broke (not finite): the episode is invalid and must be run again, not scored."""


class BatchEnv:
    """`num_envs` independent worlds of `task`. Calls take `indices` of the worlds meant (default: all)."""

    def __init__(
        self,
        task: str,
        num_envs: int,
        physics_threads: int = 1,
        video_size: tuple[int, int] | None = None,
    ) -> None:
        """`video_size` (width, height): size of `render_video_frame`, if it will be called."""
        self.spec: PolicySpec = task_spec(task)
        self.task = make_task(task)
        self.num_envs = num_envs
        self.max_chunks = self.task.max_chunks
        self._video_size = video_size
        sizes = [(camera.width, camera.height) for camera in self.spec.cameras] + ([video_size] if video_size else [])
        self.model = build_model(self.task, (max(w for w, _ in sizes), max(h for _, h in sizes)))
        self._step_ticks = round(self.spec.dt_s / CONTROL_DT_S)
        self._settle_ticks = round(self.spec.settle_s / CONTROL_DT_S)
        self._limiter = Limiter(MotionLimits.default(), CONTROL_DT_S)
        self._threads = [mujoco.MjData(self.model) for _ in range(physics_threads)]
        self._rollout = rollout.Rollout(nthread=physics_threads)
        self._scratch = mujoco.MjData(self.model)
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self._body_columns = {
            body.name: self.model.joint(body.name).qposadr[0] + np.arange(3) for body in self.task.bodies
        }
        size = mujoco.mj_stateSize(self.model, _STATE)
        self._state = np.zeros((num_envs, size))
        self._warmstart = np.zeros((num_envs, self.model.nv))
        self._command = LimiterState.at_rest(np.tile(HOME_POSITION, (num_envs, 1)))
        self._layouts: list[Layout] = [self.task.sample(0)] * num_envs
        self._chunks = np.zeros(num_envs, dtype=np.int64)
        self._played: dict[int, Array] = {}  # states of the last chunk, kept for videos

    def reset(self, seeds: Sequence[int], indices: Sequence[int] | None = None) -> Observations:
        """Start new episodes with the layouts of `seeds`, arm at home."""
        rows = self._rows(indices)
        if len(seeds) != len(rows):
            raise ValueError(f"got {len(seeds)} seeds for {len(rows)} worlds; expected one a world")
        for row, seed in zip(rows, seeds, strict=True):
            layout = self.task.sample(int(seed))
            mujoco.mj_resetData(self.model, self._scratch)
            set_arm(self._scratch.qpos, HOME_POSITION)
            for name, pose in layout.poses.items():
                self._scratch.joint(name).qpos[:] = pose
            mujoco.mj_getState(self.model, self._scratch, self._state[row], _STATE)
            self._layouts[row] = layout
        self._warmstart[rows] = 0.0
        self._command.position[rows] = HOME_POSITION
        self._command.velocity[rows] = 0.0
        self._chunks[rows] = 0
        return self._observe(rows)

    def step(self, actions: NDArray[np.float32], indices: Sequence[int] | None = None) -> StepResult:
        """Execute one chunk in each world: `actions` (n, H, 4) in the contract's units."""
        rows = self._rows(indices)
        command = LimiterState(self._command.position[rows], self._command.velocity[rows])
        waypoints = decode_ee_delta_position(
            np.asarray(actions, dtype=np.float64), command.position, R_BASE_TOOL_HOME, TABLE_WORKSPACE
        )
        targets = interpolate(command.position, waypoints, self._step_ticks, self._settle_ticks)
        ctrl, command = setpoints(self._limiter, command, targets)
        self._command.position[rows], self._command.velocity[rows] = command.position, command.velocity

        states, _ = self._rollout.rollout(
            self.model, self._threads, self._state[rows], ctrl, initial_warmstart=self._warmstart[rows]
        )
        self._state[rows] = states[:, -1]
        if self._video_size is not None:
            self._played = {int(row): states[i] for i, row in enumerate(rows)}
        self._chunks[rows] += 1
        fault = ~np.isfinite(states[:, -1]).all(axis=-1) | (np.diff(states[..., 0], axis=1) <= 0).any(axis=-1)
        succeeded = self._succeeded(rows, states)
        success = succeeded.any(axis=-1) & ~fault
        first_tick = np.where(success, succeeded.argmax(axis=-1), states.shape[1] - 1)
        executed = np.minimum(first_tick // self._step_ticks + 1, self.spec.horizon)
        done = success | (self._chunks[rows] >= self.max_chunks)
        return StepResult(self._observe(rows), success, executed, done, fault)

    def expert_actions(self, indices: Sequence[int] | None = None) -> NDArray[np.float32]:
        """The scripted expert's next chunk for each world, (n, H, 4)."""
        rows = self._rows(indices)
        tcp = tcp_pose(self._command.position[rows, :6])[:, :3, 3]
        opening = self._command.position[rows, 6]
        target = self._target_position(rows)
        chunks = [self.task.expert(tcp[i], float(opening[i]), target[i], self.spec.horizon) for i in range(len(rows))]
        return np.stack(chunks).astype(np.float32)

    def render_video_frame(self, index: int) -> NDArray[np.uint8]:
        """A picture of world `index` by the first camera at `video_size`, (height, width, 3) RGB."""
        return self._video_picture(self._state[index])

    def render_last_chunk(self, index: int, every_s: float) -> list[NDArray[np.uint8]]:
        """World `index` during the chunk played last, a picture every `every_s` seconds, like `render_video_frame`."""
        if index not in self._played:
            raise ValueError(f"world {index} played no chunk yet, or the environment was made without video_size")
        return [self._video_picture(state) for state in self._played[index][:: max(round(every_s / CONTROL_DT_S), 1)]]

    def close(self) -> None:
        """Free threads and graphics contexts."""
        self._rollout.close()
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _rows(self, indices: Sequence[int] | None) -> NDArray[np.int64]:
        return np.arange(self.num_envs) if indices is None else np.asarray(indices, dtype=np.int64)

    def _qpos(self, states: Array) -> Array:
        return states[..., 1 : 1 + self.model.nq]  # FULLPHYSICS is time, qpos, qvel, ...

    def _target_position(self, rows: NDArray[np.int64]) -> Array:
        qpos = self._qpos(self._state[rows])
        return np.stack([qpos[i, self._body_columns[self._layouts[row].target]] for i, row in enumerate(rows)])

    def _succeeded(self, rows: NDArray[np.int64], states: Array) -> NDArray[np.bool_]:
        """Whether the task was done at each tick, (n, T), by states (n, T, size)."""
        qpos = self._qpos(states)
        result = np.zeros(states.shape[:2], dtype=np.bool_)
        targets = np.array([self._layouts[row].target for row in rows])
        for target in np.unique(targets):
            mine = targets == target
            positions = {name: qpos[mine][..., columns] for name, columns in self._body_columns.items()}
            result[mine] = self.task.success(positions, target)
        return result

    def _observe(self, rows: NDArray[np.int64]) -> Observations:
        images = {
            camera.name: np.stack([self._network_input(self._state[row], camera) for row in rows])
            for camera in self.spec.cameras
        }
        return Observations(
            images=images,
            state=get_arm(self._qpos(self._state[rows])).astype(np.float32),
            instructions=[self._layouts[row].instruction for row in rows],
            target_position=self._target_position(rows).astype(np.float32),
        )

    def _network_input(self, state: Array, camera: CameraSpec) -> NDArray[np.uint8]:
        """What the robot's image path makes of the camera's picture, JPEG included."""
        picture = self._picture(state, camera.name, (camera.width, camera.height))
        return to_network_input(decode_jpeg(encode_jpeg(picture, camera.jpeg_quality)), camera)

    def _video_picture(self, state: Array) -> NDArray[np.uint8]:
        if self._video_size is None:
            raise ValueError("this environment was made without video_size; pass it to BatchEnv")
        return self._picture(state, self.spec.cameras[0].name, self._video_size).copy()

    def _picture(self, state: Array, camera: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        self._scratch.qpos[:] = self._qpos(state)
        mujoco.mj_kinematics(self.model, self._scratch)
        mujoco.mj_camlight(self.model, self._scratch)
        if size not in self._renderers:
            self._renderers[size] = mujoco.Renderer(self.model, height=size[1], width=size[0])
        self._renderers[size].update_scene(self._scratch, camera)
        return self._renderers[size].render()
