"""The kinds of policies that a description can name, and how to add one.

A kind is added in the file of its policy and becomes known to trainer, workers and server when `blueprint` imports it:

    # sim_train/policies/flow_vla.py
    register("flow_vla", Kind(FlowVla, describe, build, FlowVlaConfig))

    # sim_train/policies/blueprint.py
    import sim_train.policies.flow_vla  # noqa: F401 - registers its kind

`describe(policy)` returns {"model": sizes, ...}: all that `build` needs beside contract and weights, as plain JSON;
"vocabulary", if there, is the list of words that the policy knows.
`build(spec, parts)` gets the contract and what `describe` returned, and makes the policy with fresh float32 weights.
It raises ValueError, KeyError or TypeError where the parts cannot be used; `sizes` builds a dataclass of sizes and
names what is missing or unknown. The dataclass of sizes has a default for every field; what settings change in it
(`policy.sizes`) is checked against its types. A new policy is built of {"model": sizes, "vocabulary": words}, or by
`make(spec, sizes, words)` where a kind needs more than that.

The policy is a `torch.nn.Module` that does what `StoredPolicy` says. Everything that training changes is in its
`state_dict`, and `act` at temperature 0 answers the same observation with the same actions every time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from policy_api.schema import PolicySpec

from sim_train.policies.protocol import Policy, PolicyInputs

T = TypeVar("T")


class StoredPolicy(Policy, Protocol):
    """What training and checkpoints need of a policy; every `torch.nn.Module` with the methods of `Policy` has it."""

    training: bool
    revision: str

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All weights by name."""

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The weights that can be trained."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The same without names."""

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor]) -> object:
        """Take all weights from the inverse of `state_dict`."""

    def train(self, mode: bool = True) -> object:
        """Switch between learning and acting."""

    def __call__(self, inputs: PolicyInputs) -> object:
        """One forward pass; what comes out is the kind's own affair."""


@dataclass(frozen=True)
class Kind:
    """How one kind of policy becomes plain JSON and comes back."""

    policy: type[torch.nn.Module]
    """Its class; each kind has its own."""
    describe: Callable[[Any], dict[str, Any]]
    """A policy -> its sizes under "model" and whatever else `build` needs, as plain JSON."""
    build: Callable[[PolicySpec, dict[str, Any]], torch.nn.Module]
    """Contract and parts -> a policy with fresh weights."""
    sizes: type
    """The dataclass that settings choose the size of a new policy by."""
    make: Callable[[PolicySpec, Any, Sequence[str]], torch.nn.Module] | None = None
    """Contract, sizes and words -> a new policy; None: `build` makes it."""
    undeployed: tuple[str, ...] = ()
    """What the names of weights start with that serve training alone and never reach a checkpoint."""

    def fresh(self, spec: PolicySpec, sizes: Any, vocabulary: Sequence[str]) -> torch.nn.Module:  # noqa: ANN401 - a `sizes`
        """A new policy. ValueError: the sizes make none, or none for this contract."""
        if self.make is not None:
            return self.make(spec, sizes, vocabulary)
        return self.build(spec, {"model": dataclasses.asdict(sizes), "vocabulary": list(vocabulary)})


_KINDS: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Make a kind known under a name that stays the same for as long as its checkpoints live.

    Raises:
        ValueError: the name, or the class under another name, is taken.
    """
    for known, other in _KINDS.items():
        if known == name or other.policy is kind.policy:
            raise ValueError(
                f"kind {name!r} of {kind.policy.__name__} collides with {known!r} of {other.policy.__name__}; "
                "each name and each class stands for one kind"
            )
    _KINDS[name] = kind


def kind_named(name: object) -> Kind | None:
    """The kind of that name, or None."""
    return _KINDS.get(name) if isinstance(name, str) else None


def kind_of(policy: object) -> tuple[str, Kind] | None:
    """Name and kind of a policy, or None if its class is not registered."""
    for name, kind in _KINDS.items():
        if type(policy) is kind.policy:
            return name, kind
    return None


def kind_names() -> list[str]:
    """Names of all kinds, sorted."""
    return sorted(_KINDS)


def sizes(of: Callable[..., T], plain: dict[str, Any]) -> T:
    """The dataclass `of` from its fields in JSON, lists turned into tuples.

    Raises:
        ValueError: a field is missing or unknown; the text names it.
    """
    known = {f.name for f in dataclasses.fields(of)}  # type: ignore[arg-type]  # a dataclass is callable, too
    if plain.keys() != known:
        raise ValueError(
            f"model sizes differ from what this version knows: missing {sorted(known - plain.keys())}, "
            f"unknown {sorted(plain.keys() - known)}"
        )
    return of(**{name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()})
