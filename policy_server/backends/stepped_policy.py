"""What replayed and scripted policies share: actions that depend on the control step, not on pictures."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec


class Motion(Protocol):
    """Actions by control step."""

    def actions(self, steps: NDArray[np.int64], rest: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions (H, A), in the contract's units, at the control steps (H,), counted from 0 in an episode.

        `rest` (A,) is the action that leaves the arm where it is.
        """
        ...


@dataclass(frozen=True, eq=False)
class SteppedOutput:
    """What `act` returns: `actions` (B, H, A) in the units of the contract."""

    actions: NDArray[np.float32]


class SteppedPolicy:
    """A policy that plays a motion from the step that an observation bears. What it sees changes nothing."""

    stepped = True
    """The server hands over the observations' control steps."""

    def __init__(self, spec: PolicySpec, motion: Motion, content: bytes) -> None:
        """`content`: whatever decides the actions; with the contract it gives the revision. InvalidSpec."""
        spec.validate()
        self.spec = spec
        self.revision = hashlib.sha256(spec.spec_hash.encode() + content).hexdigest()
        self._motion = motion
        self._lower = np.array([field.lower for field in spec.action], dtype=np.float32)
        self._upper = np.array([field.upper for field in spec.action], dtype=np.float32)
        measured = {field.name: i for i, field in enumerate(spec.state)}
        self._measured = [(i, measured[f.name]) for i, f in enumerate(spec.action) if f.name in measured]

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
        steps: Sequence[int] | None = None,
    ) -> SteppedOutput:
        """Chunks (B, H, A) within the contract's ranges; `steps`: B control steps, None: all at the beginning."""
        begins = [0] * len(state) if steps is None else steps
        ahead = np.arange(self.spec.horizon, dtype=np.int64)
        chunks = [self._motion.actions(step + ahead, self._rest(row)) for step, row in zip(begins, state, strict=True)]
        return SteppedOutput(np.clip(np.stack(chunks), self._lower, self._upper).astype(np.float32))

    def _rest(self, state: NDArray[np.float32]) -> NDArray[np.float32]:
        """No displacement; what the state measures by the same name (a gripper's opening) stays as it is."""
        rest = np.zeros_like(self._lower)
        for action, field in self._measured:
            rest[action] = state[field]
        return np.clip(rest, self._lower, self._upper)
