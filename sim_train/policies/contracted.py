"""What a policy of any kind knows of its contract and of itself."""

from __future__ import annotations

from policy_api.schema import PolicySpec
from torch import nn


class ContractedPolicy(nn.Module):
    """A network made for a contract; see `sim_train.policies.protocol.Policy` for the interface.

    Args:
        spec: the contract.

    Raises:
        InvalidSpec: the contract contradicts itself.
    """

    def __init__(self, spec: PolicySpec) -> None:
        super().__init__()
        spec.validate()
        self._spec = spec
        self._revision = ""

    @property
    def spec(self) -> PolicySpec:
        """The contract that the policy was made for."""
        return self._spec

    @property
    def revision(self) -> str:
        """Content hash of the weights; empty while they have never been saved."""
        return self._revision

    @revision.setter
    def revision(self, revision: str) -> None:
        self._revision = revision

    @property
    def draw_size(self) -> int:
        """Uniform numbers that one sampled chunk needs: one for each number of the chunk, unless the kind says more."""
        return self._spec.horizon * len(self._spec.action)
