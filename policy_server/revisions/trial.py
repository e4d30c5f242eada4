"""One model's traffic, and the trial that its canary stands."""

from __future__ import annotations

from dataclasses import dataclass

from policy_server.revisions.guardrails import Guardrails, Tally, breach
from policy_server.revisions.store import Resident
from policy_server.revisions.traffic import Traffic
from policy_server.stats import StatsSnapshot


@dataclass(eq=False)
class Trial:
    """What the canary has done since it became one."""

    canary: Resident
    before: StatsSnapshot
    successes: int = 0
    failures: int = 0

    @classmethod
    def of(cls, canary: Resident) -> Trial:
        """A trial that begins now."""
        return cls(canary, canary.served.stats.snapshot())

    def tally(self) -> Tally:
        """Its counts so far."""
        return Tally.since(self.before, self.canary.served.stats.snapshot(), self.successes, self.failures)


@dataclass(eq=False)
class ModelState:
    """One model."""

    traffic: Traffic
    guardrails: Guardrails
    trial: Trial | None = None

    def verdict(self, trial: Trial, stable: Resident) -> str | None:
        """Why the canary has to end; None if it may go on."""
        return breach(self.guardrails, trial.tally(), Tally(successes=stable.successes, failures=stable.failures))
