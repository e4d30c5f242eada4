"""A toy task with the interface of BatchEnv: move by dx > 0 when told "right", by dx < 0 when told "left".

Importable by name, because worker processes start from nothing. Images carry the seed, so that tests can follow rows.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from policy_api.schema import CameraSpec, FieldSpec, PolicySpec

PHRASES = ("go left", "go right")
TOY_SPEC = PolicySpec(
    model="token_vla",
    cameras=(CameraSpec("front", width=64, height=64, input_size=16, jpeg_quality=90),),
    state=(*(FieldSpec(f"joint{i}", "rad", -3.0, 3.0) for i in range(1, 7)), FieldSpec("gripper", "m", 0.0, 0.07)),
    action_space="ee_delta_position",
    action=(*(FieldSpec(name, "m", -0.05, 0.05) for name in ("dx", "dy", "dz")), FieldSpec("gripper", "m", 0.0, 0.07)),
    horizon=2,
    dt_s=0.1,
    settle_s=0.1,
    firmware_zero="current",
    task="toy",
)


@dataclass
class Seen:
    images: dict
    state: np.ndarray
    instructions: list
    target_position: np.ndarray


@dataclass
class Result:
    observations: Seen
    success: np.ndarray
    executed_steps: np.ndarray
    done: np.ndarray
    fault: np.ndarray


class ToyEnv:
    """Even seeds say left, odd ones right. Success: the first step of the chunk goes the right way far enough."""

    def __init__(self, num_envs, fault_every=0, margin=0.0, max_chunks=3, spec=TOY_SPEC):
        self.spec = spec
        self.num_envs = num_envs
        self.max_chunks = max_chunks
        self.margin = margin
        self.fault_every = fault_every
        self.steps = 0
        self.seeds = np.zeros(num_envs, dtype=np.int64)
        self.chunks = np.zeros(num_envs, dtype=np.int64)

    def _seen(self, rows):
        seeds, chunks = self.seeds[rows], self.chunks[rows]
        size = self.spec.cameras[0].input_size
        images = np.zeros((len(rows), size, size, 3), dtype=np.uint8)
        images[:, 0, 0, 0] = seeds % 256
        images[:, :, :, 1] = (chunks * 40)[:, None, None]
        state = np.tile(np.arange(7, dtype=np.float32) / 10, (len(rows), 1))
        state[:, 0] = chunks
        place = np.stack([seeds % 2, chunks, np.zeros(len(rows))], axis=1).astype(np.float32) / 10
        return Seen({"front": images}, state, [PHRASES[s % 2] for s in seeds], place)

    def reset(self, seeds, indices):
        rows = np.asarray(indices)
        self.seeds[rows] = seeds
        self.chunks[rows] = 0
        return self._seen(rows)

    def step(self, actions, indices):
        rows = np.asarray(indices)
        self.steps += 1
        self.chunks[rows] += 1
        wanted = np.where(self.seeds[rows] % 2, 1.0, -1.0)
        good = actions[:, :, 0] * wanted[:, None] > self.margin
        success = good.any(axis=1)
        executed = np.where(success, good.argmax(axis=1) + 1, self.spec.horizon)
        fault = np.zeros(len(rows), dtype=bool)
        if self.fault_every and self.steps % self.fault_every == 0:
            fault[0] = True
        done = success | (self.chunks[rows] >= self.max_chunks)
        return Result(self._seen(rows), success & ~fault, executed, done, fault)

    def expert_actions(self, indices):
        rows = np.asarray(indices)
        actions = np.zeros((len(rows), 2, 4), dtype=np.float32)
        actions[:, :, 0] = np.where(self.seeds[rows] % 2, 0.03, -0.03)[:, None]
        actions[:, :, 3] = 0.035
        return actions

    def close(self):
        pass


def make_toy(task, num_envs):
    """As `sim_train.train.make_environment`."""
    return ToyEnv(num_envs, margin=0.02)


class SlowEnv(ToyEnv):
    """As slow as a real simulator."""

    def __init__(self, num_envs, chunk_s):
        super().__init__(num_envs)
        self.chunk_s = chunk_s

    def step(self, actions, indices):
        time.sleep(self.chunk_s)
        return super().step(actions, indices)


class DyingOnceEnv(ToyEnv):
    """Ends its process in its step number `after`, unless another one did so before."""

    def __init__(self, num_envs, marker, after=0, **settings):
        super().__init__(num_envs, **settings)
        self.marker = Path(marker)
        self.after = after

    def step(self, actions, indices):
        if self.steps >= self.after and not self.marker.exists():
            self.marker.touch()
            self.fail()
        return super().step(actions, indices)

    def fail(self):
        os._exit(3)


class HangingOnceEnv(DyingOnceEnv):
    """Like it, but hangs."""

    def fail(self):
        time.sleep(600)
        raise AssertionError("should have been killed")


class SpinningOnceEnv(DyingOnceEnv):
    """Like it, but never comes to an end."""

    def fail(self):
        until = time.monotonic() + 600
        while time.monotonic() < until:
            pass
        raise AssertionError("should have been killed")


class AlwaysDyingEnv(ToyEnv):
    """Ends its process in every step."""

    def step(self, actions, indices):
        os._exit(4)
