"""Many worlds of one task in one process: physics a chunk at a time, pictures only when the policy looks.

The arm of every world is moved by `motion_control`, by the functions that the driver uses: chunk -> joint waypoints ->
200 Hz targets -> limiter -> servo. A chunk's setpoints depend on commands alone, so they are computed for all worlds at
once and the physics of a whole chunk then runs in one go.
"""

import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from motion_control.limiter import Limiter, LimiterState, setpoints
from motion_control.limits import MotionLimits
from motion_control.schedule import MAX_START_DISTANCE_RAD, interpolate, start_distance
from numpy.typing import NDArray
from piper_description import HOME_POSITION, JOINT_NAMES, R_BASE_TOOL_HOME, tcp_pose
from policy_api.images import decode_jpeg, encode_jpeg, to_network_input
from policy_api.schema import CameraSpec, PolicySpec

from sim_train.envs.chunks import REST_STEPS, episode_chunks, parts_of
from sim_train.envs.specs import task_spec
from sim_train.strategies import Course
from sim_train.worlds.engine import CONTROL_DT_S, Engine, make_engine
from sim_train.worlds.episode import Actuation, Episode, nominal_episode
from sim_train.worlds.judge import Judge
from sim_train.worlds.states import States
from sim_train.worlds.task import ExpertView, Task
from sim_train.worlds.tasks import make_task

Array = NDArray[np.float64]


LATE_RAD = 0.1
"""A chunk is late if the limiter leaves a joint's setpoint farther than this from the chunk's end."""


@dataclass(frozen=True, eq=False)
class Observations:
    """What n policies see at the start of a chunk."""

    images: dict[str, NDArray[np.uint8]]
    """Camera name -> (n, S, S, 3) RGB."""
    state: NDArray[np.float32]
    """(n, 7 * arms) measured joints, rad, and gripper opening, m, of one arm after the other; if the contract's state
    is privileged also (n, 3) for each of its bodies: where it is, m, frame of the first arm's base, cut off at the
    contract's limits."""
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
        task: str | Task,
        num_envs: int,
        physics_threads: int = 1,
        video_size: tuple[int, int] | None = None,
        engine: str | Engine = "mujoco",
        draw: Callable[[Task, int], Episode] = nominal_episode,
        cameras: Sequence[str] | None = None,
        spec: PolicySpec | None = None,
    ) -> None:
        """`video_size` (width, height): size of `render_video_frame`, if it will be called. `engine`: one of `ENGINES`,
        or one with at least `num_envs` worlds that several environments share. `draw` makes the episode of a seed.
        `cameras` to render, of the contract's (default: all; none for work on states). `spec`: the contract (default:
        `task_spec(task)`)."""
        self.task = make_task(task) if isinstance(task, str) else task
        self.spec: PolicySpec = spec or task_spec(self.task)
        self.num_envs = num_envs
        self.max_chunks = episode_chunks(self.task.max_chunks, self.spec.horizon)
        self._cameras = [c for c in self.spec.cameras if cameras is None or c.name in cameras]
        self._video_size = video_size
        self._draw = draw
        sizes = [(camera.width, camera.height) for camera in self._cameras] + ([video_size] if video_size else [])
        self._engine = make_engine(engine, num_envs, sizes, physics_threads) if isinstance(engine, str) else engine
        self._step_ticks = round(self.spec.dt_s / CONTROL_DT_S)
        self._settle_ticks = round(self.spec.settle_s / CONTROL_DT_S)
        self._limiter = Limiter(MotionLimits.default(), CONTROL_DT_S)
        self._judge = Judge(num_envs, round(self.task.hold_s / CONTROL_DT_S), self.task.manner)
        self._arms = len(self.task.scene().arms)
        told = self.spec.state[len(JOINT_NAMES) * self._arms :]
        self._told = [field.name.removesuffix("_x") for field in told[::3]]
        self._told_within = (np.array([f.lower for f in told]), np.array([f.upper for f in told]))
        self._home = np.tile(HOME_POSITION, (self._arms, 1))
        self._command = LimiterState.at_rest(np.tile(HOME_POSITION, (num_envs, self._arms, 1)))
        self._episodes: list[Episode | None] = [None] * num_envs
        self._chunks = np.zeros(num_envs, dtype=np.int64)
        self._played_ticks = np.zeros(num_envs, dtype=np.int64)
        self.render_s = 0.0
        """Seconds spent on making what the policy sees, JPEG included."""
        self.executed: Counter[str] = Counter()
        """So far: control "steps" and "chunks" executed; chunks "refused", which start too far from the setpoint for
        the driver to take them, and "late" ones, see `LATE_RAD`."""
        self._courses: list[Course | None] | None = None

    def follow(self) -> None:
        """Keep track of how things are done in episodes that begin from now on; see `strategy`."""
        self._courses = [None] * self.num_envs

    def strategy(self, index: int) -> str:
        """How the episode in world `index` was done so far, see `sim_train.strategies`; ValueError if it was not
        followed."""
        course = self._courses[index] if self._courses else None
        if course is None:
            raise ValueError(f"the episode of world {index} was not followed; call follow() before reset()")
        return course.strategy

    def reset(self, seeds: Sequence[int], indices: Sequence[int] | None = None) -> Observations:
        """Start new episodes with the layouts of `seeds`, arms at home."""
        rows = self._rows(indices)
        if len(seeds) != len(rows):
            raise ValueError(f"got {len(seeds)} seeds for {len(rows)} worlds; expected one a world")
        for row, seed in zip(rows, seeds, strict=True):
            episode = self._draw(self.task, int(seed))
            joints = self._home if episode.actuation is None else episode.actuation.begin(self._home)
            self._engine.load(int(row), episode.scene, episode.layout, joints)
            self._episodes[row] = episode
            if self._courses is not None:
                self._courses[row] = Course(episode.scene, episode.layout)
        self._command.position[rows] = HOME_POSITION
        self._command.velocity[rows] = 0.0
        self._chunks[rows] = 0
        self._played_ticks[rows] = 0
        self._judge.begin(rows)
        return self._observe(rows)

    def step(self, actions: NDArray[np.float32], indices: Sequence[int] | None = None) -> StepResult:
        """Execute one chunk in each world: `actions` (n, H, 4 * arms) in the contract's units."""
        rows = self._rows(indices)
        ctrl, refused, late = self._setpoints(rows, np.asarray(actions, dtype=np.float64), self._settle_ticks)
        self.executed.update(refused=int(refused.sum()), late=int(late.sum()))
        ctrl = _through([self.episode(row).actuation for row in rows], ctrl)
        motion = self._engine.play(rows, ctrl)
        self._chunks[rows] += 1
        self._played_ticks[rows] = ctrl.shape[1]
        succeeded = self._succeeded(rows, motion.states)
        success = succeeded.any(axis=-1) & ~motion.fault
        first_tick = np.where(success, succeeded.argmax(axis=-1), ctrl.shape[1] - 1)
        executed = np.minimum(first_tick // self._step_ticks + 1, self.spec.horizon)
        self.executed.update(steps=int(executed.sum()), chunks=len(rows))
        for i, row in enumerate(rows if self._courses else []):
            if (course := self._courses[row]) is not None and not motion.fault[i]:  # type: ignore[index]
                course.follow(motion.states[i][: first_tick[i] + 1])
        done = success | (self._chunks[rows] >= self.max_chunks)
        return StepResult(self._observe(rows), success, executed, done, motion.fault)

    def expert_actions(self, indices: Sequence[int] | None = None) -> NDArray[np.float32]:
        """The scripted expert's next chunk for each world, (n, H, 4 * arms).

        In a long chunk it does several things: each is tried in the worlds, which are then put back. ValueError if the
        engine cannot put them back.
        """
        rows = self._rows(indices)
        *first, last = parts_of(self.spec.horizon)
        if not first:
            return self._expert_part(rows, last)
        made = []
        with self._rehearsal(rows) as actuations:
            for steps in first:
                part = self._expert_part(rows, steps)
                rest = np.repeat(part[:, -1:], REST_STEPS, axis=1)
                rest.reshape(*rest.shape[:2], self._arms, -1)[..., :3] = 0.0
                made += [part, rest]
                ctrl, _, _ = self._setpoints(rows, np.concatenate([part, rest], axis=1).astype(np.float64), 0)
                self._engine.play(rows, _through(actuations, ctrl))
            made.append(self._expert_part(rows, last))
        return np.concatenate(made, axis=1)

    @contextmanager
    def _rehearsal(self, rows: NDArray[np.int64]) -> Iterator[list[Actuation | None]]:
        """What is played in these worlds meanwhile, through the given actuations, is undone."""
        position, velocity = self._command.position.copy(), self._command.velocity.copy()
        actuations = [copy.deepcopy(self.episode(row).actuation) for row in rows]
        with self._engine.rehearsal(rows):
            yield actuations
        self._command = LimiterState(position, velocity)

    def _expert_part(self, rows: NDArray[np.int64], steps: int) -> NDArray[np.float32]:
        """What the script does in so many steps, (n, steps, 4 * arms)."""
        states = self._engine.now(rows)
        tcp = tcp_pose(self._command.position[rows, :, :6])[..., :3, 3] + states.bases
        chunks = []
        for i, row in enumerate(rows):
            episode = self.episode(row)
            opening = self._command.position[row, :, 6]
            view = ExpertView(states[i], tcp[i], opening, episode.layout.target, steps, episode.scales)
            chunks.append(self.task.expert(view))
        return np.stack(chunks).astype(np.float32)

    @property
    def engine(self) -> Engine:
        """The worlds themselves."""
        return self._engine

    def episode(self, index: int) -> Episode:
        """The episode of world `index`; ValueError before its first reset."""
        episode = self._episodes[index]
        if episode is None:
            raise ValueError(f"world {index} has no episode yet; reset it first")
        return episode

    def states(self, indices: Sequence[int] | None = None) -> States:
        """True states (n,) of the worlds: privileged."""
        return self._engine.now(self._rows(indices))

    def manner(self, index: int) -> str:
        """How the thing was moved in world `index` so far: "carried" or "pushed"."""
        return self._judge.manner(index)

    def render_video_frame(self, index: int, ticks_ago: int = 0) -> NDArray[np.uint8]:
        """A picture of world `index` by the first camera (the scene's where the contract has none) at `video_size`,
        (height, width, 3) RGB."""
        if self._video_size is None:
            raise ValueError("this environment was made without video_size; pass it to BatchEnv")
        camera = self.spec.cameras[0] if self.spec.cameras else self.episode(index).scene.cameras[0]
        return self._engine.picture(index, camera.name, self._video_size, ticks_ago)

    def render_last_chunk(self, index: int, every_s: float) -> list[NDArray[np.uint8]]:
        """World `index` during the chunk played last, a picture every `every_s` seconds, like `render_video_frame`."""
        ticks = int(self._played_ticks[index])
        if ticks == 0:
            raise ValueError(f"world {index} played no chunk yet")
        every = max(round(every_s / CONTROL_DT_S), 1)
        return [self.render_video_frame(index, ticks - 1 - tick) for tick in range(0, ticks, every)]

    def close(self) -> None:
        """Free threads and graphics contexts."""
        self._engine.close()

    def _rows(self, indices: Sequence[int] | None) -> NDArray[np.int64]:
        return np.arange(self.num_envs) if indices is None else np.asarray(indices, dtype=np.int64)

    def _setpoints(
        self, rows: NDArray[np.int64], actions: Array, settle_ticks: int
    ) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """200 Hz setpoints (n, T, arms, 7) of chunks (n, H, 4 * arms), as the driver would send them; and whether each
        chunk (n,) is refused or late.

        A chunk that the driver would refuse, because it starts too far from the setpoint, moves nothing here either.
        """
        command = LimiterState(self._command.position[rows], self._command.velocity[rows])
        each_arm = actions.reshape(len(rows), actions.shape[1], self._arms, -1).swapaxes(1, 2)
        waypoints = decode_ee_delta_position(each_arm, command.position, R_BASE_TOOL_HOME, TABLE_WORKSPACE)
        refused = (start_distance(waypoints[..., 0, :], command.position) > MAX_START_DISTANCE_RAD).any(axis=-1)
        waypoints[refused] = command.position[refused][:, None]  # as the driver: the arm stays where it is
        targets = interpolate(command.position, waypoints, self._step_ticks, settle_ticks)
        ctrl, command = setpoints(self._limiter, command, targets)
        late = (np.abs(command.position - targets[..., -1, :])[..., :6] > LATE_RAD).any(axis=(-2, -1))
        self._command.position[rows], self._command.velocity[rows] = command.position, command.velocity
        return np.ascontiguousarray(ctrl.swapaxes(1, 2)), np.asarray(refused), np.asarray(late)

    def _succeeded(self, rows: NDArray[np.int64], states: States) -> NDArray[np.bool_]:
        """Whether the task was done at each tick, (n, T)."""
        result = np.zeros(states.joints.shape[:2], dtype=np.bool_)
        targets = np.array([self.episode(row).layout.target for row in rows])
        for target in np.unique(targets):
            mine = np.flatnonzero(targets == target)
            every = len(mine) == len(rows)
            seen = self.task.conditions(states if every else states[mine], str(target))
            result[mine] = self._judge.watch(rows[mine], seen)
        return result

    def _observe(self, rows: NDArray[np.int64]) -> Observations:
        began = time.perf_counter()
        images = {c.name: np.stack([self._network_input(int(row), c) for row in rows]) for c in self._cameras}
        self.render_s += time.perf_counter() - began
        states = self._engine.now(rows)
        measured = states.joints.copy()
        for i, row in enumerate(rows):
            actuation = self.episode(row).actuation
            if actuation is not None:
                measured[i] = actuation.measured(measured[i])
        state = measured.reshape(len(rows), -1)
        if self._told:
            places = np.concatenate([states.position(body) - states.bases[:, 0] for body in self._told], axis=-1)
            state = np.concatenate([state, np.clip(places, *self._told_within)], axis=-1)
        targets = [states.pose[self.episode(row).layout.target][i, :3] for i, row in enumerate(rows)]
        return Observations(
            images=images,
            state=state.astype(np.float32),
            instructions=[self.episode(row).layout.instruction for row in rows],
            target_position=np.stack(targets).astype(np.float32),
        )

    def _network_input(self, row: int, camera: CameraSpec) -> NDArray[np.uint8]:
        """What the robot's image path makes of the camera's picture, JPEG included."""
        look = self.episode(row).looks.get(camera.name)
        size = (camera.width, camera.height)
        if look is None:
            picture, quality = self._engine.picture(row, camera.name, size), camera.jpeg_quality
        else:
            picture = look.apply(self._engine.picture(row, camera.name, size, look.ticks_ago))
            quality = look.jpeg_quality or camera.jpeg_quality
        return to_network_input(decode_jpeg(encode_jpeg(picture, quality)), camera)


def _through(actuations: Sequence[Actuation | None], ctrl: Array) -> Array:
    """Setpoints (n, T, arms, 7) as they reach the servos."""
    for i, actuation in enumerate(actuations):
        if actuation is not None:
            ctrl[i] = actuation.through(ctrl[i])
    return ctrl
