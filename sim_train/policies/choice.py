"""Which policy to train: a kind and its sizes, as settings say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from policy_api.schema import PolicySpec

import sim_train.policies.blueprint  # noqa: F401 - registers every kind
from sim_train.policies.kinds import StoredPolicy, kind_named, kind_names
from sim_train.typed import ConfigError, build, did_you_mean


@dataclass(frozen=True)
class PolicyChoice:
    """A kind of policy and how large it is."""

    kind: str = "token_vla"
    """Name of a registered kind, see `sim_train.policies.kinds`."""
    sizes: dict[str, Any] = field(default_factory=dict)
    """Changes to the defaults of the kind's dataclass of sizes, such as `TokenVlaConfig`."""

    def checks(self) -> list[tuple[bool, str]]:
        """Whether kind and sizes are known, with what to say if they are not."""
        try:
            sizes_of(self)
        except ConfigError as error:
            return [(False, str(error))]
        return []


def sizes_of(choice: PolicyChoice) -> Any:  # noqa: ANN401 - the dataclass of sizes of whichever kind was chosen
    """The kind's dataclass of sizes.

    Raises:
        ConfigError: the kind is unknown, or a size is unknown or of the wrong type; the text names it.
    """
    kind = kind_named(choice.kind)
    if kind is None:
        near = did_you_mean(choice.kind, kind_names())
        raise ConfigError(f"policy.kind {choice.kind!r} is unknown{near}; known are {', '.join(kind_names())}")
    return build(kind.sizes, choice.sizes, "policy.sizes.")


def make_policy(choice: PolicyChoice, spec: PolicySpec, vocabulary: Sequence[str]) -> StoredPolicy:
    """A policy with fresh weights from torch's generator, or with published ones where the sizes name them.

    Args:
        choice: kind and sizes.
        spec: the contract.
        vocabulary: words of the instructions, from `build_vocabulary`; kinds with a tokenizer of their own ignore them.

    Raises:
        ConfigError: the kind cannot be made so, or not for this contract.
    """
    sizes, kind = sizes_of(choice), kind_named(choice.kind)
    assert kind is not None  # or `sizes_of` had raised
    try:
        policy: StoredPolicy = kind.fresh(spec, sizes, vocabulary)  # type: ignore[assignment]  # a module with Policy's methods
    except ValueError as error:
        raise ConfigError(f"policy.kind={choice.kind} cannot be made for task {spec.task}: {error}") from error
    return policy
