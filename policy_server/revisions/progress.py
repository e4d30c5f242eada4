"""How far a load is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from policy_api.schema import PolicySpec


class Phase(Enum):
    """Where a load is."""

    VERIFYING = "verifying"
    LOADING = "loading"
    WARMING_UP = "warming up"
    GOLDEN = "golden"
    ADMITTED = "admitted"


@dataclass(frozen=True)
class Progress:
    """How far a load is. `spec` and `revision` are known once the manifest was read, the last two when it is admitted.

    `prefix_steps`: committed steps that the revision can be conditioned on.
    `golden_error`: largest difference from the recorded answers, as a share of the action's range.
    """

    phase: Phase
    fraction: float
    """Of the phase, 0..1."""
    spec: PolicySpec | None = None
    revision: str = ""
    prefix_steps: int = 0
    golden_error: float = 0.0


Report = Callable[[Progress], None]
