"""Policies from LeRobot's directories, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from policy_api.schema import PolicySpec

from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.lerobot.config import LeRobotConfig, Pi0Config
from sim_train.policies.lerobot.config_json import check_robot, match_cameras, published, read_sizes
from sim_train.policies.lerobot.layout import CONFIG, WEIGHTS, LeRobotError, check_directory, read_json
from sim_train.policies.lerobot.policy import LeRobotPolicy, Pi0, SmolVla
from sim_train.policies.lerobot.statistics import ACTION, STATE, check_processors, read_scalings
from sim_train.policies.lerobot.text import read_tokenizer
from sim_train.policies.lerobot.weights import load_weights, save_network

Robot = Literal["file", "contract"]


def load_lerobot(
    directory: Path,
    spec: PolicySpec,
    *,
    tokenizer: Path | None = None,
    cameras: Mapping[str, str] | None = None,
    robot: Robot = "file",
    steps: int | None = None,
    exploration: ExplorationConfig | None = None,
    towers: LeRobotConfig | None = None,
) -> LeRobotPolicy:
    """A policy from a directory that LeRobot wrote, in float32; see `sim_train.policies.lerobot.layout`.

    LeRobot writes neither units nor what the numbers are: they must be the contract's, in its order.

    Args:
        directory: with config.json and model.safetensors.
        spec: the contract.
        tokenizer: tokenizer.json of the language model, or a directory with it; None: it lies in `directory`.
        cameras: image feature of the file -> camera of the contract; None: `observation.images.` and its name.
        robot: "file": the weights were trained for the contract's robot; its statistics are used. "contract": they
            were trained for others and are a start for training: statistics come from contract and demonstrations,
            and the network plans no more than the contract's horizon.
        steps: K, steps from noise to actions; None: as in the file.
        exploration: how it explores in reinforcement learning; None: the default.
        towers: sizes of the networks in the file; None: the published ones.

    Raises:
        LeRobotError: the directory cannot be used, or not for this contract; the text names file, field or tensor.
    """
    check_directory(directory)
    plain = read_json(directory / CONFIG)
    config = read_sizes(plain, towers or published(plain.get("type")))
    config = replace(config, cameras=match_cameras(plain, spec, cameras), steps=steps or config.steps)
    scalings = None
    if robot == "file":
        check_robot(plain, spec)
        check_processors(directory, config.text_tokens)
        scalings = read_scalings(directory, plain, {STATE: len(spec.state), ACTION: len(spec.action)})
    else:
        config = replace(config, chunk=spec.horizon)
    try:
        policy = kind_of_sizes(config)(
            spec, config, read_tokenizer(tokenizer or directory), exploration or ExplorationConfig(), scalings
        )
    except LeRobotError:
        raise
    except ValueError as error:
        raise LeRobotError(f"{directory} does not fit the contract: {error}") from error
    load_weights(policy.network, config, directory / WEIGHTS)
    policy.eval()
    return policy


def save_lerobot(policy: LeRobotPolicy, directory: Path) -> None:
    """Write a policy so that LeRobot loads it; the directory is made if missing, files of these names are overwritten.

    The tokenizer lies beside the weights; LeRobot itself fetches its own.
    """
    save_network(directory, policy.network, policy.config, policy.spec, policy.scalings)
    policy.tokenizer.tokenizer.save(str(directory / "tokenizer.json"))


def kind_of_sizes(config: LeRobotConfig) -> type[LeRobotPolicy]:
    """The class of policy for a network of these sizes."""
    return Pi0 if isinstance(config, Pi0Config) else SmolVla
