"""What all policies share that turn noise into a chunk of actions by following a learned flow.

To act, K steps of the flow are integrated from always the same noise, so that an observation has one answer. To
explore, noise with a known likelihood is added on the way (`flow_exploration`): its log-density, averaged over the
steps that add it and summed over the executed numbers, is one likelihood a chunk, as in piRL's own code (arXiv
2510.25889). A sum over the steps of Flow-Noise would make the ratio so sensitive that the first optimiser step uses up
the trust region. Imitation is flow matching (arXiv 2210.02747) at times that prefer noisy chunks, Beta(1.5, 1) as in
pi0 (arXiv 2410.24164).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import Committed, PolicySpec

from sim_train.policies.contracted import ContractedPolicy
from sim_train.policies.flow_exploration import ExplorationConfig, FlowDraws, exploration_of, normal_of
from sim_train.policies.flow_guidance import Guide, held
from sim_train.policies.flow_steps import gaussian_entropy, gaussian_log_prob, ode_step
from sim_train.policies.protocol import LogProb, PolicyInputs, PolicyOutput


class FlowPolicy(ContractedPolicy):
    """A kind adds `prefix_of`, `flow`, `normalise`, `in_units`, `inputs` and `imitation_loss`.

    See `sim_train.policies.protocol.Policy` for the interface. Chunks x are in the network's own units, (B, H, A).

    Args:
        spec: the contract.
        steps: K, steps from noise to actions.
        exploration: how it explores.
        hidden: width of the hidden states that `flow` returns.
        chunk: (H, A) of the network's chunks, where they are larger than the contract's; None: the contract's.

    Raises:
        ValueError: no step, or an exploration that cannot be.
    """

    ratio: Final = "chunk"

    def __init__(
        self,
        spec: PolicySpec,
        steps: int,
        exploration: ExplorationConfig,
        hidden: int,
        chunk: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(spec)
        if steps < 1:
            raise ValueError(f"steps must be at least 1; got {steps}")
        self._chunk = chunk or (spec.horizon, len(spec.action))
        self.steps = steps
        self.exploration = exploration_of(exploration, hidden, self._chunk[1])

    @property
    def prefix_steps(self) -> int:
        """Committed steps that a chunk can be held to: all but one, or nothing would be left to decide."""
        return self._spec.horizon - 1

    @property
    def draw_size(self) -> int:
        """Uniform numbers that one explored chunk needs: starting noise, that of each step, and a step's number."""
        return FlowDraws.size(self.steps, *self._chunk)

    @property
    def imitation_draw_size(self) -> int:
        """Uniform numbers that imitation needs for one observation: a time, and a chunk of noise."""
        return 1 + self._chunk[0] * self._chunk[1]

    @abstractmethod
    def prefix_of(self, inputs: PolicyInputs) -> Any:  # noqa: ANN401 - the kind's own; takes rows by [index]
        """The encoded observations, which are indexed by rows like tensors."""

    @abstractmethod
    def flow(self, prefix: Any, x: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        """Velocity (B, H, A) and hidden states (B, H, width) of noised chunks (B, H, A) at times (B,) in 0..1."""

    @abstractmethod
    def normalise(self, actions: torch.Tensor) -> torch.Tensor:
        """Actions (..., A) in the contract's units -> the network's."""

    @abstractmethod
    def in_units(self, x: torch.Tensor) -> NDArray[np.float32]:
        """The inverse of `normalise`; what lies outside the contract's range goes to its end."""

    def forward(self, inputs: PolicyInputs) -> Any:  # noqa: ANN401 - see `prefix_of`
        """As `prefix_of`."""
        return self.prefix_of(inputs)

    @torch.no_grad()
    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
        *,
        committed: Sequence[Committed | None] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each observation; see `Policy.act`.

        At temperature 0 the flow is followed from always the same noise, and log-probabilities are zeros; at
        temperature 1 the policy explores. There is no other temperature.

        committed: for each observation the actions that the arm executes meanwhile, in the contract's units, or None;
            the chunk then goes on from them (`flow_guidance`). Only at temperature 0. Where actions are relative to
            the commanded position of the step before (ee_delta_position), they are the changes that were commanded,
            step by step from the observation on, not those that were measured: whoever plays the chunk from its n-th
            row must have played n committed rows since the observation.
        """
        inputs = self.inputs(images, state, instructions)
        prefix, step = self.prefix_of(inputs), 1 / self.steps
        if temperature == 0:
            x = torch.randn(self._chunk, generator=torch.Generator().manual_seed(0)).to(inputs.state.device)
            x = x.expand(len(inputs.state), -1, -1)

            def flow(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
                return self.flow(prefix, x, time)[0]

            guide = self._guide(committed, len(x), x.device)
            for k in range(self.steps):
                now = 1 - k * step
                velocity = guide.velocity(flow, x, now) if guide else flow(x, x.new_full((len(x),), now))
                x = ode_step(x, velocity, step)
            x = guide.finished(x) if guide else x
            return PolicyOutput(self.in_units(x), {}, np.zeros(x.shape, dtype=np.float32))
        if committed is not None:
            raise ValueError("a policy that explores cannot be held to committed actions; leave them out")
        _check_temperature(temperature)
        noise = FlowDraws.of(draws, len(inputs.state), self.steps, *self._chunk).to(inputs.state.device)
        stochastic = self.exploration.stochastic(noise)
        x = noise.start
        chain, log_probs = [x], torch.zeros_like(x)
        for k in range(self.steps):
            time = x.new_full((len(x),), 1 - k * step)
            velocity, hidden = self.flow(prefix, x, time)
            mean, std = self.exploration.transition(x, velocity, hidden, time[:, None, None], step)
            here = stochastic[:, k, None, None]
            x = torch.where(here, mean + std * noise.steps[:, k], ode_step(x, velocity, step))
            log_probs = log_probs + torch.where(here, gaussian_log_prob(x, mean, std), 0.0)
            chain.append(x)
        drawn = {"chain": torch.stack(chain, dim=1).cpu().numpy(), "stochastic": stochastic.cpu().numpy()}
        log_probs = log_probs / stochastic.sum(1)[:, None, None]
        return PolicyOutput(self.in_units(x), drawn, log_probs.cpu().numpy())

    def _guide(self, committed: Sequence[Committed | None] | None, batch: int, device: torch.device) -> Guide | None:
        """What the chunks are held to; None if nothing is committed in any row."""
        if committed is None or all(one is None for one in committed):
            return None
        if len(committed) != batch:
            raise ValueError(f"committed has {len(committed)} entries for {batch} observations")
        actions = held(committed, self._spec.horizon, len(self._spec.action))
        return Guide.of(committed, self.normalise(torch.from_numpy(actions).to(device)), self.steps)

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Log-density and entropy (B, H, A) of the noise that explored chunks hold: means over their stochastic steps.

        Args:
            inputs: B observations.
            drawn: "chain" (B, K + 1, H, A) from noise to actions in the network's units, and "stochastic" (B, K) bool,
                the steps that added noise. The starting noise, which no weight changes, is left out.
            temperature: 1.
        """
        _check_temperature(temperature)
        device, step = inputs.state.device, 1 / self.steps
        chain = drawn["chain"].to(device)
        rows, at = drawn["stochastic"].to(device).nonzero(as_tuple=True)
        before, after = chain[rows, at], chain[rows, at + 1]
        time = 1 - at.to(chain.dtype) * step
        velocity, hidden = self.flow(self.prefix_of(inputs)[rows], before, time)
        mean, std = self.exploration.transition(before, velocity, hidden, time[:, None, None], step)
        nothing = torch.zeros_like(chain[:, 0])
        share = drawn["stochastic"].to(device).sum(1)[rows, None, None]
        return LogProb(
            log_probs=nothing.index_add(0, rows, gaussian_log_prob(after, mean, std) / share),
            entropy=nothing.index_add(0, rows, gaussian_entropy(std).expand_as(mean) / share),
        )

    def flow_matching(
        self,
        prefix: Any,  # noqa: ANN401 - see `prefix_of`
        actions: torch.Tensor,
        weights: torch.Tensor,
        draws: torch.Tensor,
    ) -> torch.Tensor:
        """Squared error of the velocity: noise is mixed into the expert's chunk, and the policy says which way it lies.

        Args:
            prefix: B encoded observations.
            actions: (B, H, A) the expert's, in physical units.
            weights: (B, H, A), see `Policy.imitation_loss`.
            draws: (B, imitation_draw_size) in [0, 1).
        """
        aim = self.normalise(actions)
        time = (draws[:, 0] ** (2 / 3) * 0.999 + 0.001).to(aim.device)
        noise = normal_of(draws[:, 1:]).view(aim.shape).to(aim.device)
        share = time[:, None, None]
        velocity, _ = self.flow(prefix, (1 - share) * aim + share * noise, time)
        loss: torch.Tensor = ((velocity - (noise - aim)).square() * weights.to(aim.device)).sum()
        return loss


def _check_temperature(temperature: float) -> None:
    if temperature != 1:
        raise ValueError(
            "a flow policy acts at temperature 0 (the same starting noise always) or 1 (explores); how widely it "
            f"explores is set by its sizes (policy.sizes.exploration); got temperature {temperature}"
        )
