"""One try of one row, and how rows name the function that makes it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

RigName = Literal["none", "arm", "ring"]
"""What a try needs around it: nothing, the driver and its virtual arm, or the whole loop with a policy server."""


class SkipRowError(RuntimeError):
    """A row cannot be tried on this machine; the text says why."""


@dataclass(frozen=True)
class Attempt:
    """What came of one try.

    detect_ms: from the fault to the first word about it. react_ms: from the fault to the reaction that the row's bound
    is about. None where the row has no such time. also_ms: further times by name. failure: what went wrong; empty if
    the loop did all that it should. breaches: setpoints on the bus that broke the invariant.
    """

    detect_ms: float | None = None
    react_ms: float | None = None
    also_ms: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    breaches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Maker:
    """The function that makes a try of a row: of its rig, and the number of the try, from 0."""

    rig: RigName
    make: Callable[[Any, int], Attempt]


MAKERS: Final[dict[int, Maker]] = {}
"""By the row's number; rows that are missing here are not built yet."""

Try = Callable[[Any, int], Attempt]


def tries(row: int, rig: RigName) -> Callable[[Try], Try]:
    """Decorator of the function that makes one try of a row."""

    def register(function: Try) -> Try:
        if row in MAKERS:
            raise ValueError(f"row {row} has two functions")
        MAKERS[row] = Maker(rig, function)
        return function

    return register


def since_ms(from_ns: int, to_ns: int | None) -> float | None:
    """Milliseconds from one time to another; None without the other."""
    return None if to_ns is None else (to_ns - from_ns) / 1e6
