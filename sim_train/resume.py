"""The half-done state of a stage: weights, optimiser, randomness, counters. Arrays in safetensors, the rest in JSON."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from sim_train.files import write_file
from sim_train.scale.shards import place, whole

_COSTS_BETWEEN_SAVES = 20
_ARRAYS, _STATE = "arrays-{}.safetensors", "state.json"


class ResumeError(ValueError):
    """A state that cannot be used; the text says what to remove."""


class HasWeights(Protocol):
    """A module, or what passes for one."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """All weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor]) -> object:
        """Take them back."""


@dataclass(frozen=True, eq=False)
class StageState:
    """What a stage needs to go on as if nothing had happened."""

    values: dict[str, Any]
    """Counters, fingerprints, randomness: anything that JSON takes."""
    arrays: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    """Weights, optimiser state, carried trajectories, by name."""


def save_state(path: Path, state: StageState) -> None:
    """Write the state to directory `path`; whoever reads sees the old one or the new one, never a mixture."""
    path.mkdir(parents=True, exist_ok=True)
    content = save({name: np.ascontiguousarray(array) for name, array in state.arrays.items()})
    digest = hashlib.sha256(content).hexdigest()
    name = _ARRAYS.format(digest[:16])
    write_file(path / name, content)
    values = {"arrays": name, "arrays_sha256": digest, "values": state.values}
    write_file(path / _STATE, json.dumps(values).encode())
    for old in path.glob(_ARRAYS.format("*")):
        if old.name != name:
            old.unlink()


class StateSaver:
    """Saves as often as costs a twentieth of the time at most: where a step takes longer than that, after each step.

    Args:
        path: directory of the state.
        clock: seconds; for tests.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._saved_s = clock()
        self._cost_s = 0.0

    def save(self, state: StageState) -> None:
        """Save now."""
        self.maybe(lambda: state, at_once=True)

    def maybe(self, make: Callable[[], StageState], at_once: bool = False) -> bool:
        """Save what `make` returns if it is time to; returns whether it was. The first time it always is."""
        started_s = self._clock()
        if not at_once and started_s - self._saved_s < _COSTS_BETWEEN_SAVES * self._cost_s:
            return False
        save_state(self._path, make())
        self._saved_s = self._clock()
        self._cost_s = self._saved_s - started_s
        return True


def load_state(path: Path) -> StageState | None:
    """The state in directory `path`; None if there is none.

    Raises:
        ResumeError: its files are damaged; the text names the directory to remove.
    """
    if not (path / _STATE).is_file():
        return None
    try:
        described = json.loads((path / _STATE).read_text(encoding="utf-8"))
        content = (path / described["arrays"]).read_bytes()
        digest = described["arrays_sha256"]
        values = described["values"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ResumeError(f"{path} cannot be resumed ({error}); remove it to start the stage again") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ResumeError(f"{path} cannot be resumed: {described['arrays']} is damaged; remove it to start again")
    return StageState(values, load(content))


def clear_state(path: Path) -> None:
    """Remove the state in directory `path`, if there is one."""
    (path / _STATE).unlink(missing_ok=True)  # first, so that what is half removed is no state
    if path.is_dir():
        shutil.rmtree(path)


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, NDArray[np.generic]]:
    """Adam's moments and step counts as `optimizer.<parameter>.<name>`."""
    return {
        f"optimizer.{index}.{name}": whole(value).numpy().copy()
        for index, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, arrays: dict[str, NDArray[np.generic]]) -> None:
    """The inverse of `optimizer_arrays`."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = torch.from_numpy(array.copy())
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, moments in state.items():
        for moment, value in moments.items():
            moments[moment] = place(value, parameters[number]) if value.ndim else value  # steps are counted on the CPU
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def policy_arrays(policy: HasWeights, prefix: str = "policy.") -> dict[str, NDArray[np.generic]]:
    """The weights as `<prefix><name>`, float32."""
    return {prefix + name: whole(value).numpy().copy() for name, value in policy.state_dict().items()}


def restore_policy(policy: HasWeights, arrays: dict[str, NDArray[np.generic]], prefix: str = "policy.") -> None:
    """The inverse of `policy_arrays`."""
    policy.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(array.copy())
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
    )
