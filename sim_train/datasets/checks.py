"""Whether recorded episodes can be what a data set says that they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec

from sim_train.rollouts.trajectories import Trajectories

Arrays = Mapping[str, NDArray[np.generic]]


def checked(arrays: Arrays, spec: PolicySpec, recorded: bool = False) -> Trajectories:
    """Demonstrations from the arrays of a file. ValueError says what is wrong with them.

    Where a robot recorded them nobody knows where the named object was: `target_position` is NaN then.
    """
    chunks, episodes = len(_array(arrays, "executed_steps")), len(_array(arrays, "length"))
    chunk = (chunks, spec.horizon, len(spec.action))
    expected: dict[str, tuple[tuple[int, ...], type]] = {
        **{f"image:{c.name}": ((chunks, c.input_size, c.input_size, 3), np.uint8) for c in spec.cameras},
        "state": ((chunks, len(spec.state)), np.float32),
        "target_position": ((chunks, 3), np.float32),
        "actions": (chunk, np.float32),
        "log_probs": (chunk, np.float32),
        "executed_steps": ((chunks,), np.int64),
        **dict.fromkeys(("length", "group", "seed", "task", "version"), ((episodes,), np.int64)),
        "success": ((episodes,), np.bool_),
    }
    if odd := sorted((arrays.keys() - {"instructions"}) ^ expected.keys()):
        raise ValueError(f"array {odd[0]!r} is missing or unknown to the contract")
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; the contract needs {np.dtype(dtype)} {shape}")
        unknown = recorded and name == "target_position" and np.isnan(array).all()
        if array.dtype == np.float32 and not (unknown or np.isfinite(array).all()):
            raise ValueError(f"{name} has values that are not finite")
    text = _array(arrays, "instructions")
    if text.dtype != np.uint8 or text.ndim != 1:
        raise ValueError("the instructions must be UTF-8 bytes")
    made = Trajectories.from_arrays(arrays)
    if len(made.instructions) != episodes or not all(line.strip() for line in made.instructions):
        raise ValueError(f"there are {len(made.instructions)} instructions for {episodes} episodes, or empty ones")
    _check_values(made, spec)
    return made


def _array(arrays: Arrays, name: str) -> NDArray[np.generic]:
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    return arrays[name]


def _check_values(made: Trajectories, spec: PolicySpec) -> None:
    if not made.success.all():
        raise ValueError("an episode did not succeed; demonstrations are successes")
    if (made.length < 1).any() or made.length.sum() != len(made.state):
        raise ValueError(f"the episodes' lengths sum up to {made.length.sum()}, but there are {len(made.state)} chunks")
    low, high = (np.array([getattr(f, side) for f in spec.action]) for side in ("lower", "upper"))
    slack = 1e-6 * (high - low)  # float32(0.07) is above 0.07
    ranges = {
        "executed_steps": (made.executed_steps, 1, spec.horizon),
        "actions": (made.actions, low - slack, high + slack),
    }
    for name, (values, lower, upper) in ranges.items():
        if (values < lower).any() or (values > upper).any():
            raise ValueError(f"{name} has values outside their range")
