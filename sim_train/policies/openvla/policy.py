"""The network behind the interface of every policy; see `sim_train.policies.protocol.Policy`.

Sources: the prompt and the piece that ends it as in `process_input` of `verl/workers/rollout/rob_rollout.py`
(PRIME-RL/SimpleVLA-RL), which is OpenVLA's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from tokenizers import Tokenizer
from torch import nn

from sim_train.policies.action_tokens import choose_tokens, token_log_prob
from sim_train.policies.contracted import ContractedPolicy
from sim_train.policies.imitation import SftLossConfig, SftReport, cross_entropy, smoothed_targets
from sim_train.policies.openvla.actions import Bounds, Normaliser, decode_tokens
from sim_train.policies.openvla.checkpoint import load_openvla, read_normaliser
from sim_train.policies.openvla.config import OpenVlaConfig
from sim_train.policies.openvla.layout import OpenVlaCheckpointError
from sim_train.policies.openvla.network import OpenVla
from sim_train.policies.openvla.vision import crop_centre
from sim_train.policies.protocol import LogProb, PolicyInputs, PolicyOutput

PROMPT = "In: What action should the robot take to {}?\nOut:"
TOLERANCE = 1e-6
"""How far bin centres may lie outside the contract's range: the rounding of float32 and of OpenVLA's 1e-8."""
_LEAST_RANGE = 1e-3  # of recorded states, in their units: what hardly moves must not fill the whole range


class OpenVlaPolicy(ContractedPolicy):
    """OpenVLA-OFT with discrete action tokens.

    Args:
        spec: the contract; its cameras are shown in its order, at the network's image size.
        network: the weights.
        tokenizer: the language model's, as in the checkpoint's tokenizer.json.
        action: what -1..1 means for each action dimension.
        proprio: what -1..1 means for each number of the state; None if and only if the network takes none.
        text_tokens: places for a prompt; shorter ones are padded, which changes nothing.
        crop_area: share of each image's area, around its middle, that the network sees; 0.9 for checkpoints that were
            trained with random crops, as the published ones were.

    Raises:
        ValueError: contract, network and statistics that do not fit together.
    """

    ratio: Final = "token"
    imitation_draw_size: Final = 0

    def __init__(
        self,
        spec: PolicySpec,
        network: OpenVla,
        tokenizer: Tokenizer,
        action: Normaliser,
        proprio: Normaliser | None,
        text_tokens: int = 64,
        crop_area: float = 1.0,
    ) -> None:
        super().__init__(spec)
        if not 0 < crop_area <= 1:
            raise ValueError(f"crop_area must lie in (0, 1]; got {crop_area}")
        _check_fit(spec, network.config, action, proprio)
        self.network = network
        self.tokenizer = tokenizer
        self.action = action
        self.proprio = proprio
        self.text_tokens = text_tokens
        self.crop_area = crop_area

    @classmethod
    def load(
        cls,
        directory: Path,
        spec: PolicySpec,
        config: OpenVlaConfig,
        dataset: str,
        bounds: Bounds,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
        crop_area: float = 1.0,
        text_tokens: int = 64,
    ) -> OpenVlaPolicy:
        """A policy from a checkpoint directory with its tokenizer.json and the statistics of `dataset`.

        Raises:
            OpenVlaCheckpointError: the directory cannot be used; the message names the file.
            ValueError: contract, network and statistics do not fit together.
        """
        tokenizer = read_tokenizer(directory)
        action = read_normaliser(directory, dataset, "action", bounds)
        proprio = None if config.proprio_dim is None else read_normaliser(directory, dataset, "proprio", bounds)
        network = load_openvla(directory, config, dtype, device)
        return cls(spec, network, tokenizer, action, proprio, text_tokens, crop_area)

    @property
    def action_head(self) -> tuple[nn.Module, int]:
        """The module that makes logits of the trunk's features (B, T, width), and the width."""
        head = self.network.language_model.lm_head
        return head, head.in_features

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Let the 1 % and 99 % quantiles of (N, S) recorded states be -1 and 1, as in OpenVLA."""
        if self.proprio is not None:
            low, high = np.quantile(state.astype(np.float64), [0.01, 0.99], axis=0)
            self.proprio = Normaliser(low, np.maximum(high, low + _LEAST_RANGE), self.proprio.mask)

    def forward(self, inputs: PolicyInputs) -> torch.Tensor:
        """Logits (B, H, A, bins) in float32."""
        device = self.network.projector.fc1.weight.device
        images = [inputs.images[camera.name].to(device) for camera in self._spec.cameras]
        if self.crop_area < 1:
            images = [crop_centre(image, self.crop_area) for image in images]
        state = None
        if self.proprio is not None:
            state = torch.as_tensor(self.proprio.to_normalised(inputs.state.cpu().numpy()), dtype=torch.float32)
            state = state.to(device)
        horizon, width = self._spec.horizon, len(self._spec.action)
        logits = self.network(images, inputs.text.to(device), state, horizon * width)
        return logits.view(len(logits), horizon, width, -1)

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Likelihood of drawn["tokens"] (B, H, A) over the action slice alone, at a temperature above 0."""
        return token_log_prob(self(inputs), drawn["tokens"], temperature)

    @torch.no_grad()
    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each observation; see `Policy.act`."""
        tokens, log_probs = choose_tokens(self(self.inputs(images, state, instructions)), temperature, draws)
        actions = self.action.to_physical(decode_tokens(tokens, self.network.config.bins))
        return PolicyOutput(actions.astype(np.float32), {"tokens": tokens}, log_probs)

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Cross-entropy against smoothed tokens; there is no auxiliary loss. See `Policy.imitation_loss`."""
        logits = self(inputs)
        bins = self.network.config.bins
        place, centres = (
            torch.as_tensor((values + 1) / 2, dtype=torch.float32, device=logits.device)
            for values in (self.action.to_normalised(actions.cpu().numpy()), decode_tokens(np.arange(bins), bins))
        )
        targets = smoothed_targets(place, centres, config.sigma)
        loss, excess = cross_entropy(logits, targets, weights.to(logits.device))
        return loss, SftReport(excess, None)

    def words(self, instructions: Sequence[str]) -> NDArray[np.int64]:
        """(B, T) token ids of the prompts; ValueError for an instruction longer than `text_tokens`."""
        return np.stack([self._prompt(text) for text in instructions])

    def _prompt(self, instruction: str) -> NDArray[np.int64]:
        """Token ids (text_tokens,), padded on the left; without the start token, which the network puts first."""
        config = self.network.config
        ids = self.tokenizer.encode(PROMPT.format(instruction.lower()), add_special_tokens=False).ids
        ids = ids if ids[-1] == config.empty_token else [*ids, config.empty_token]
        if len(ids) > self.text_tokens:
            raise ValueError(
                f"the prompt for {instruction!r} has {len(ids)} tokens, at most {self.text_tokens}; "
                "shorten the instruction or raise text_tokens"
            )
        return np.asarray([config.pad_token] * (self.text_tokens - len(ids)) + ids, dtype=np.int64)


def read_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a checkpoint directory; OpenVlaCheckpointError if it has none."""
    if not (directory / "tokenizer.json").is_file():
        raise OpenVlaCheckpointError(f"{directory} has no tokenizer.json")
    return parse_tokenizer((directory / "tokenizer.json").read_text(encoding="utf-8"))


def parse_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that a tokenizer.json describes.

    Raises:
        OpenVlaCheckpointError: it is none.
    """
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the tokenizers library raises nothing more precise
        raise OpenVlaCheckpointError(f"tokenizer.json cannot be read: {error}") from error


def _check_fit(spec: PolicySpec, config: OpenVlaConfig, action: Normaliser, proprio: Normaliser | None) -> None:
    for camera in spec.cameras:
        if camera.input_size != config.dinov2.image_size:
            raise ValueError(
                f"camera {camera.name!r} has input_size {camera.input_size}; the network sees images of "
                f"{config.dinov2.image_size} pixels"
            )
    if (proprio is None) != (config.proprio_dim is None):
        raise ValueError(
            f"the network has proprio_dim={config.proprio_dim}, so statistics of proprioception are "
            f"{'needed' if proprio is None else 'of no use'}"
        )
    if proprio is not None and not len(spec.state) == config.proprio_dim == len(proprio.low):
        raise ValueError(
            f"proprioception has {len(spec.state)} numbers in the contract, {config.proprio_dim} in the network and "
            f"{len(proprio.low)} in the statistics; they must be equal"
        )
    if len(action.low) != len(spec.action):
        raise ValueError(f"the contract has {len(spec.action)} action dimensions, the statistics {len(action.low)}")
    lowest, highest = (action.to_physical(np.full(len(action.low), end)) for end in (-1.0, 1.0))
    for field, low, high in zip(spec.action, lowest, highest, strict=True):
        if low < field.lower - TOLERANCE or high > field.upper + TOLERANCE:
            raise ValueError(
                f"action {field.name!r} reaches {low:.6g}..{high:.6g} by the statistics, beyond the contract's "
                f"{field.lower:.6g}..{field.upper:.6g}"
            )
