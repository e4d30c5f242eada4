"""Many worlds in MuJoCo: a chunk's physics of all of them runs in C threads."""

import copy
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from sim_train.worlds.engine import Motion
from sim_train.worlds.mujoco_model import BuiltModel, build_model
from sim_train.worlds.mujoco_render import MujocoRenderer
from sim_train.worlds.scene import Layout, Scene
from sim_train.worlds.states import States

Array = NDArray[np.float64]

_KEPT = 8
"""Models kept of scenes that take turns: those of tasks, or of levels of difficulty."""
_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
_SIZES = ("nq", "nv", "na", "nu", "nbody", "njnt", "ngeom", "nsite", "ncam", "nlight", "ntendon", "neq", "nM", "narena")


@dataclass(eq=False)
class _Place:
    """One world."""

    built: BuiltModel
    model: mujoco.MjModel
    """`built.model`, or a copy of it in which the fixed bodies stand elsewhere."""
    key: tuple[int, ...]
    state: Array
    warmstart: Array
    played: Array
    """(T, size): states during the last chunk."""
    fixed: dict[str, Array]


class MujocoEngine:
    """See `engine.Engine`. Scenes that are the same object share a model; others are compiled at `load`."""

    def __init__(self, worlds: int, sizes: Sequence[tuple[int, int]], threads: int = 1) -> None:
        self._sizes = sizes
        self._threads = threads
        self._places: list[_Place | None] = [None] * worlds
        self._last: BuiltModel | None = None
        self._seen: weakref.WeakSet[Scene] = weakref.WeakSet()
        self._kept: OrderedDict[Scene, BuiltModel] = OrderedDict()
        self._data: dict[tuple[int, ...], list[mujoco.MjData]] = {}
        self._rollout = rollout.Rollout(nthread=threads)
        self._renderer = MujocoRenderer(sizes, worlds)

    def load(self, row: int, scene: Scene, layout: Layout, joints: Array) -> None:
        """See `engine.Engine`."""
        built = self._model_of(scene)
        model, height = built.model, scene.table.height
        fixed = {name: np.array(layout.poses[name]) for name in built.fixed}
        if fixed:
            model = copy.copy(model)
            for name, index in built.fixed.items():
                model.body_pos[index] = fixed[name][:3] + np.array([0.0, 0.0, height])
                model.body_quat[index] = fixed[name][3:]
        key = tuple(int(getattr(model, size)) for size in _SIZES)
        if key not in self._data:
            self._data[key] = [mujoco.MjData(model) for _ in range(self._threads)]
        data = self._data[key][0]
        mujoco.mj_resetData(model, data)
        for name, (first, _) in built.free.items():
            data.qpos[first : first + 7] = layout.poses[name]
            data.qpos[first + 2] += height
        set_arms(data.qpos, built.arm_qpos, joints)
        state = np.empty(mujoco.mj_stateSize(model, _STATE))
        mujoco.mj_getState(model, data, state, _STATE)
        self._places[row] = _Place(built, model, key, state, np.zeros(model.nv), state[None], fixed)

    def play(self, rows: NDArray[np.int64], ctrl: Array) -> Motion:
        """See `engine.Engine`."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, row in enumerate(rows):
            groups.setdefault(self._place(row).key, []).append(i)
        fault = np.zeros(len(rows), dtype=np.bool_)
        for key, members in groups.items():
            places = [self._place(rows[i]) for i in members]
            models = [place.model for place in places]
            alike = all(model is models[0] for model in models)
            states, _ = self._rollout.rollout(
                models[0] if alike else models,
                self._data[key],
                np.stack([place.state for place in places]),
                ctrl[members].reshape(len(members), ctrl.shape[1], -1),
                initial_warmstart=np.stack([place.warmstart for place in places]),
            )
            for place, played in zip(places, states, strict=True):
                place.played, place.state = played, played[-1]
            broken = ~np.isfinite(states[:, -1]).all(axis=-1)
            fault[members] = broken | (np.diff(states[..., 0], axis=1) <= 0).any(axis=-1)
        whole = states if len(groups) == 1 else [self._place(row).played for row in rows]
        return Motion(self._states(rows, whole), fault)

    def now(self, rows: NDArray[np.int64]) -> States:
        """See `engine.Engine`."""
        return self._states(rows, [self._place(row).state for row in rows])

    @contextmanager
    def rehearsal(self, rows: NDArray[np.int64]) -> Iterator[None]:
        """See `engine.Engine`."""
        places = [self._place(row) for row in rows]
        before = [(place.state, place.played) for place in places]
        yield
        for place, (state, played) in zip(places, before, strict=True):
            place.state, place.played = state, played

    def picture(self, row: int, camera: str, size: tuple[int, int], ticks_ago: int = 0) -> NDArray[np.uint8]:
        """See `engine.Engine`."""
        place = self._place(row)
        data = self._data[place.key][0]
        played = place.played
        data.qpos[:] = played[max(len(played) - 1 - ticks_ago, 0), 1 : 1 + place.model.nq]
        mujoco.mj_kinematics(place.model, data)
        mujoco.mj_camlight(place.model, data)
        return self._renderer.render(place.model, data, camera, size)

    def played(self, row: int) -> tuple[mujoco.MjModel, Array]:
        """The model of world `row` and its positions (T, nq) during the chunk played last: for a viewer."""
        place = self._place(row)
        return place.model, place.played[:, 1 : 1 + place.model.nq]

    def close(self) -> None:
        """See `engine.Engine`."""
        self._rollout.close()
        self._renderer.close()

    def _model_of(self, scene: Scene) -> BuiltModel:
        """The model of the last scene, or of one that has come back before; scenes of one episode never do."""
        if scene in self._kept:
            self._kept.move_to_end(scene)
            return self._kept[scene]
        if self._last is None or self._last.scene is not scene:
            largest = (max((w for w, _ in self._sizes), default=64), max((h for _, h in self._sizes), default=64))
            self._last = build_model(scene, largest)
            if scene in self._seen:
                self._kept[scene] = self._last
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._seen.add(scene)
        return self._last

    def _place(self, row: int) -> _Place:
        place = self._places[row]
        if place is None:
            raise ValueError(f"world {row} has no episode yet; load one first")
        return place

    def _states(self, rows: NDArray[np.int64], arrays: Array | Sequence[Array]) -> States:
        """States of worlds from their state vectors, one (size,) or (T, size) for each row."""
        places = [self._place(row) for row in rows]
        if all(place.built is places[0].built for place in places):
            states = read_states(places[0].built, arrays if isinstance(arrays, np.ndarray) else np.stack(arrays), {})
            fixed = {name: np.stack([place.fixed[name] for place in places]) for name in places[0].fixed}
            spread = (len(rows), *(1,) * (arrays[0].ndim - 1), 7)
            shape = (len(rows), *arrays[0].shape[:-1], 7)
            pose = {name: np.broadcast_to(value.reshape(spread), shape) for name, value in fixed.items()}
            still = {name: np.zeros((*shape[:-1], 3)) for name in fixed}
            return States(states.pose | pose, states.velocity | still, states.slide, states.joints, states.bases)
        each = [read_states(p.built, array, p.fixed) for p, array in zip(places, arrays, strict=True)]
        return stack_states(each)


def read_states(built: BuiltModel, state: Array, fixed: dict[str, Array]) -> States:
    """States (...) of state vectors (..., size) in FULLPHYSICS order: time, qpos, qvel, ..."""
    nq, nv = built.model.nq, built.model.nv
    qpos, qvel = state[..., 1 : 1 + nq], state[..., 1 + nq : 1 + nq + nv]
    height = built.scene.table.height
    pose = {name: qpos[..., first : first + 7] for name, (first, _) in built.free.items()}
    if height:
        pose = {name: np.concatenate([p[..., :2], p[..., 2:3] - height, p[..., 3:]], -1) for name, p in pose.items()}
    velocity = {name: qvel[..., first : first + 3] for name, (_, first) in built.free.items()}
    for name, value in fixed.items():
        pose[name] = np.broadcast_to(value, (*state.shape[:-1], 7))
        velocity[name] = np.zeros((*state.shape[:-1], 3))
    bases = np.array([arm.base for arm in built.scene.arms]) - (0.0, 0.0, height)
    return States(
        pose=pose,
        velocity=velocity,
        slide={name: qpos[..., index] for name, index in built.slide.items()},
        joints=get_arms(qpos, built.arm_qpos),
        bases=np.broadcast_to(bases, (*state.shape[:-1], *bases.shape)),
    )


def stack_states(each: Sequence[States]) -> States:
    """States of several worlds with a new first dimension, of the bodies that all of them have."""

    def stacked(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
        common = [name for name in parts[0] if all(name in part for part in parts)]
        return {name: np.stack([part[name] for part in parts]) for name in common}

    return States(
        stacked([s.pose for s in each]),
        stacked([s.velocity for s in each]),
        stacked([s.slide for s in each]),
        np.stack([s.joints for s in each]),
        np.stack([s.bases for s in each]),
    )


def set_arms(qpos: Array, arm_qpos: NDArray[np.int64], joints: Array) -> None:
    """Write joints (..., arms, 7) into MuJoCo coordinates (..., nq); each finger moves half the opening."""
    qpos[..., arm_qpos[:, :6]] = joints[..., :6]
    qpos[..., arm_qpos[:, 6:]] = joints[..., 6:7] / 2


def get_arms(qpos: Array, arm_qpos: NDArray[np.int64]) -> Array:
    """Joints (..., arms, 7) from MuJoCo positions (..., nq)."""
    values = qpos[..., arm_qpos]
    return np.concatenate([values[..., :6], values[..., 6:7] + values[..., 7:8]], axis=-1)
