"""A hub whose revisions never change: one policy a model, loaded before the server starts."""

from collections.abc import Callable, Sequence

from policy_api.errors import PolicyApiError, UnknownModel, UnknownRevision
from policy_api.schema import PolicySpec

from policy_server.policy import Policy
from policy_server.seam import Answer, Placement, Request
from policy_server.served import ServedRevision


class FixedHub:
    """Serves the policies it is given, each under the model name of its contract."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        """Warm all policies up. ServerFault, InvalidSpec for one that cannot act; ValueError for a name used twice."""
        self._served: dict[str, ServedRevision] = {}
        try:
            for policy in policies:
                if policy.spec.model in self._served:
                    raise ValueError(f"two policies are called {policy.spec.model!r}; give each model its own name")
                self._served[policy.spec.model] = ServedRevision(policy)
                self._served[policy.spec.model].warm_up()
        except BaseException:  # memory is given back whatever happened, Ctrl-C too
            self.close()
            raise

    def contracts(self) -> list[tuple[PolicySpec, str, int]]:
        """(contract, revision, prefix steps) of every policy."""
        return [(served.spec, served.revision, served.prefix_steps) for served in self._served.values()]

    def place(self, robot_id: str, episode_id: str, model: str, revision: str, stable_only: bool) -> Placement:
        """The policy of that name; empty: the only one. UnknownModel, UnknownRevision."""
        if not model and len(self._served) == 1:
            model = next(iter(self._served))
        served = self._served.get(model)
        if served is None:
            known = ", ".join(sorted(self._served))
            raise UnknownModel(f"model {model!r} is not served here; name one of: {known}")
        if revision not in ("", served.revision):
            raise UnknownRevision(
                f"revision {revision[:64]!r} of model {model!r} is not in memory; {served.revision!r} is"
            )
        return Placement(served, "stable")

    def judged(self, placement: Placement, outcome: str) -> None:
        """Nothing is counted here."""

    def release(self, placement: Placement, outcome: str) -> None:
        """Nothing is counted here."""

    def answered(self, placement: Placement, request: Request, result: Answer | PolicyApiError) -> None:
        """Nothing is watched here."""

    def residents(self) -> list[Placement]:
        """The policies, all of them stable."""
        return [Placement(served, "stable") for served in self._served.values()]

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Nothing ever changes here."""
        return lambda: None

    def close(self) -> None:
        """Give the policies back."""
        for served in self._served.values():
            served.close()
