"""What the server needs of a policy."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import Committed, PolicySpec


class PolicyOutput(Protocol):
    """What `Policy.act` returns."""

    @property
    def actions(self) -> NDArray[np.float32]:
        """Actions (B, H, A) in the units of the contract."""
        ...


class RecurrentOutput(PolicyOutput, Protocol):
    """What `RecurrentPolicy.act` returns."""

    @property
    def memory(self) -> list[object]:
        """B things to be handed in with the next observation of the same session."""
        ...


class Policy(Protocol):
    """A loaded policy; `sim_train.checkpoint.load_policy` returns one. Called by one thread, always the same."""

    @property
    def spec(self) -> PolicySpec:
        """The contract that the policy was trained for."""
        ...

    @property
    def revision(self) -> str:
        """Content hash of the weights."""
        ...

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
    ) -> PolicyOutput:
        """Images (B, S, S, 3) by camera, state (B, F) in rad and m, one instruction a row. Temperature 0: greedy.

        Row by row the answer is the same whatever the other rows are.
        """
        ...


class ConditionedPolicy(Protocol):
    """A policy that can be told what the arm does meanwhile. The server knows it by `prefix_steps` above 0."""

    prefix_steps: int
    """Committed steps that it can be conditioned on."""

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
        *,
        committed: list[Committed | None],
    ) -> PolicyOutput:
        """As `Policy.act`; rows with something committed repeat its first `delay_steps` actions."""
        ...


class RecurrentPolicy(Protocol):
    """A policy that remembers earlier observations of an episode. The server knows it by `recurrent`.

    What it remembers of a session it hands back, keeps no copy of and does not change afterwards: the server hands
    it in again with the session's next observation, and drops it when the episode ends. It may be conditioned, too.
    """

    recurrent: bool

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
        *,
        memory: list[object | None],
    ) -> RecurrentOutput:
        """As `Policy.act`; a row's memory is None at the start of an episode."""
        ...


class SteppedPolicy(Protocol):
    """A policy that goes by the control step, not by what it sees. The server knows it by `stepped`."""

    stepped: bool

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
        *,
        steps: list[int],
    ) -> PolicyOutput:
        """As `Policy.act`; `steps`: index of the control step of each row's observation."""
        ...


def prefix_steps_of(policy: Policy) -> int:
    """Committed steps that a policy can be conditioned on; 0 for one that cannot."""
    return int(getattr(policy, "prefix_steps", 0))


def is_recurrent(policy: Policy) -> bool:
    """Whether a policy remembers earlier observations of an episode."""
    return bool(getattr(policy, "recurrent", False))


def is_stepped(policy: Policy) -> bool:
    """Whether a policy goes by the control step."""
    return bool(getattr(policy, "stepped", False))
