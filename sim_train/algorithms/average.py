"""A running mean of weights: it jumps about less than weights that learn, and is usually the better policy.

Polyak, Juditsky: Acceleration of stochastic approximation by averaging (1992); in the exponential form of Adam's
section 7.2 (arXiv 1412.6980).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_START = 10  # steps after which the mean still forgets with the time constant of 11


class WeightAverage:
    """Exponential moving average of parameters, in their own type and place.

    The mean begins at the given weights and forgets them soon: after step n it keeps min(decay, n / (n + 10)).

    Args:
        parameters: what learns.
        decay: share of itself that the mean keeps at a step, in [0, 1); 0: it is the present weights.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], decay: float) -> None:
        self.decay = decay
        self._parameters = list(parameters)
        self._mean = [parameter.detach().clone() for parameter in parameters] if decay else []

    @torch.no_grad()
    def follow(self, steps: int) -> None:
        """Take in the present weights, after optimiser step `steps` (from 1)."""
        share = 1.0 - min(self.decay, steps / (steps + _START))
        for mean, parameter in zip(self._mean, self._parameters, strict=False):
            mean.lerp_(parameter, share)

    @torch.no_grad()
    def exchange(self) -> None:
        """Let the parameters be the mean, and the mean the parameters; a second call undoes it."""
        for mean, parameter in zip(self._mean, self._parameters, strict=False):
            present = parameter.clone()
            parameter.copy_(mean)
            mean.copy_(present)
