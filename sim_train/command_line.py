"""Checks what is said on the command line before hydra composes the configuration, whose errors name no remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sim_train.rollouts.config import RolloutConfig
from sim_train.typed import ConfigError, build, did_you_mean

CONF_DIR: Final = Path(__file__).resolve().parent / "conf"
GROUPS: Final = ("policy", "algorithm", "preset")
"""Groups of `conf` that `conf/train.yaml` composes."""
OPEN: Final = (
    "knobs",
    "curriculum.knobs",
    "policy.sizes",
    *(f"rollout.ray.{role}.resources" for role in ("rollout", "inference", "trainer")),
)
"""Mappings whose keys are nobody's business here: another part knows what may be in them."""


def choices(group: str) -> list[str]:
    """What may be chosen of a group."""
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def prepared(arguments: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """The arguments as hydra takes them: keys of open mappings may be new to it.

    Args:
        arguments: of the command line; options, which begin with a dash, pass.
        known: all settings with their defaults, as plain values.

    Raises:
        ConfigError: a setting or the choice of a group is unknown (with the nearest known one), or cannot be read.
    """
    made = list(arguments)
    for i, argument in enumerate(arguments):
        if argument.startswith("-"):
            continue
        try:
            override = OverridesParser.create().parse_override(argument)
        except HydraException as error:
            raise ConfigError(f"{argument!r} is no setting; write it like rl.max_updates=100 ({error})") from error
        key = override.key_or_group
        if key.startswith("hydra") or override.is_delete():
            continue
        if key in GROUPS:
            _check_choice(key, str(override.value()))
        elif any((key + ".").startswith(name + ".") for name in OPEN):
            made[i] = argument if argument.startswith("+") else "++" + argument
        else:
            _check_key(key, known)
    return made


def opened(arguments: Sequence[str]) -> list[str]:
    """The arguments as hydra takes them, of a command that leaves all other checks to hydra: see `OPEN`."""
    return [f"++{one}" if one.startswith(tuple(f"{name}." for name in OPEN)) else one for one in arguments]


def players() -> dict[str, Any]:
    """Settings of rollouts, with defaults, for commands that train nothing and call two of them otherwise."""
    plain = dataclasses.asdict(RolloutConfig())
    return {name: value for name, value in plain.items() if name not in ("workers", "envs_per_worker")}


def rollout_of(plain: Mapping[str, Any], workers: int, envs_per_worker: int) -> RolloutConfig:
    """Who plays for a command that trains nothing.

    Args:
        plain: as `players` has it.
        workers: processes that simulate; 0: one a core.
        envs_per_worker: worlds in each.

    Raises:
        ConfigError: a setting is unknown, makes no sense, or is for training.
    """
    config = build(RolloutConfig, {**plain, "workers": workers, "envs_per_worker": envs_per_worker}, "rollout.")
    training = "rollout.asynchronous and rollout.ray.trainer are for training; nothing is trained here"
    for fine, text in [*config.checks(), (not config.asynchronous and not config.ray.places_trainer, training)]:
        if not fine:
            raise ConfigError(text)
    return config


def _check_choice(group: str, value: str) -> None:
    if value not in choices(group):
        raise ConfigError(
            f"{group}={value} is unknown{did_you_mean(value, choices(group))}; choose one of "
            f"{', '.join(choices(group))}, or set single values, such as {_EXAMPLES[group]}"
        )


_EXAMPLES: Final = {
    "policy": "policy.sizes.layers=4",
    "algorithm": "rl.advantage=rloo",
    "preset": "rl.sampling.groups=64",
}


def _check_key(key: str, known: Mapping[str, Any]) -> None:
    paths = list(_paths(known))
    if key in paths:
        return
    last = key.rsplit(".", 1)[-1]
    alike = [path for path in paths if path.rsplit(".", 1)[-1] == last]
    hint = f" (did you mean {' or '.join(alike)}?)" if alike else did_you_mean(key, paths)
    raise ConfigError(f"unknown setting {key}{hint}; all settings and defaults: python -m sim_train.train --cfg job")


def _paths(plain: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in plain.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{name}.")
