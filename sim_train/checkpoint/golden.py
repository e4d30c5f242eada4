"""Golden answers: what the policy did when it was saved, asked again when it is loaded.

The greedy choice may jump where two tokens are about equally likely, and bfloat16 rounds differently from processor to
processor. So both limits are on means: single jumps stay below them, another network does not. Measured: bfloat16
against float32 changes the actions of twelve fresh policies by up to 1 % of their range and log-probabilities by 0.003
to 0.013 nats. In a trained policy of the default size, the weights before reinforcement change them by 6 % and 0.8
nats, and of all 74 exchanges of two tensors of equal shape 60 are found; the other 14 are norms that differ by 3 % and
small biases.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sim_train.checkpoint.files import CheckpointError
from sim_train.policies.protocol import Policy, PolicyOutput

ROWS = 4
ACTION_LIMIT = 0.02
"""Largest mean difference of actions, as a share of each action's range in the contract."""
LOG_PROB_LIMIT = 0.05
"""Largest mean difference of the chosen tokens' log-probabilities, in nats."""
_IMAGE = "image."
_WORDS = 8  # an instruction, at most


@dataclass(frozen=True)
class Deviation:
    """How far a policy's answers are from its golden ones."""

    actions: float
    """Mean difference as a share of the action's range."""
    log_probs: float
    """Mean difference in nats; 0 where the policy gives no log-probabilities."""


@dataclass(frozen=True, eq=False)
class Questions:
    """What the policy is asked."""

    images: dict[str, NDArray[np.uint8]]
    """(ROWS, S, S, 3) for each camera of the contract."""
    state: NDArray[np.float32]
    """(ROWS, D) within the contract's ranges, in its units."""
    instructions: list[str]
    """ROWS texts."""


def questions_for(spec: PolicySpec, vocabulary: Sequence[str]) -> Questions:
    """Coloured squares for images, states from all over the ranges, known words dealt out over the instructions.

    Args:
        spec: the contract.
        vocabulary: words that the policy knows; empty where it reads any word, then the task's name is asked.
    """
    rng = np.random.default_rng(0)
    images = {}
    for camera in spec.cameras:
        squares = rng.integers(0, 256, (ROWS, 8, 8, 3), dtype=np.uint8)
        side = -(-camera.input_size // 8)
        images[camera.name] = np.ascontiguousarray(
            squares.repeat(side, 1).repeat(side, 2)[:, : camera.input_size, : camera.input_size]
        )
    lower, upper = ([getattr(f, end) for f in spec.state] for end in ("lower", "upper"))
    state = rng.uniform(lower, upper, (ROWS, len(spec.state))).astype(np.float32)
    task = spec.task.replace("_", " ")
    words = [word for word in vocabulary if word.isalnum()]  # not the padding
    return Questions(images, state, [" ".join(words[row::ROWS][:_WORDS]) or task for row in range(ROWS)])


def write_golden(path: Path, policy: Policy, vocabulary: Sequence[str]) -> None:
    """Ask the policy, with words of the vocabulary, and write questions and answers to the file `path`."""
    asked = questions_for(policy.spec, vocabulary)
    answer = policy.act(asked.images, asked.state, asked.instructions)
    tensors: dict[str, NDArray[Any]] = {_IMAGE + name: image for name, image in asked.images.items()}
    tensors |= {"state": asked.state, "actions": answer.actions, "log_probs": answer.log_probs}
    save_file(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        path,
        metadata={"instructions": json.dumps(asked.instructions)},
    )


def check_golden(path: Path, policy: Policy) -> Deviation:
    """Ask the policy what the file `path` asks.

    Raises:
        CheckpointError: the file does not fit the contract, or the policy answers differently.
    """
    asked, golden = read_golden(path)
    try:
        answer = policy.act(asked.images, asked.state, asked.instructions)
    except ValueError as error:
        raise CheckpointError(f"{path} does not fit the contract in the manifest: {error}") from error
    for name, before, now in (
        ("actions", golden.actions, answer.actions),
        ("log_probs", golden.log_probs, answer.log_probs),
    ):
        if before.shape != now.shape:
            raise CheckpointError(f"{path} has {name} {before.shape}; the policy of the manifest answers {now.shape}")
    span = np.array([f.upper - f.lower for f in policy.spec.action])
    found = Deviation(
        actions=float(np.mean(np.abs(answer.actions - golden.actions) / span)),
        log_probs=float(np.mean(np.abs(answer.log_probs - golden.log_probs))) if golden.log_probs.size else 0.0,
    )
    if not (found.actions <= ACTION_LIMIT and found.log_probs <= LOG_PROB_LIMIT):
        raise CheckpointError(
            f"the policy does not answer the observations in {path} as it did when it was saved: actions differ by "
            f"{found.actions:.1%} of their range on average (at most {ACTION_LIMIT:.0%}), log-probabilities by "
            f"{found.log_probs:.2g} nats (at most {LOG_PROB_LIMIT:g}). Weights, contract or network are not those that "
            "were saved, or this machine's packages compute something else: compare them with made_with in the manifest"
        )
    return found


def read_golden(path: Path) -> tuple[Questions, PolicyOutput]:
    """What the file `path` asks, and what the policy answered when it was saved; raises CheckpointError."""
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            instructions = json.loads((file.metadata() or {})["instructions"])
        images = {name.removeprefix(_IMAGE): tensor for name, tensor in tensors.items() if name.startswith(_IMAGE)}
        answer = PolicyOutput(tensors["actions"], {}, tensors["log_probs"])
        return Questions(images, tensors["state"], instructions), answer
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} holds no golden answers ({error}); save the policy again") from error
