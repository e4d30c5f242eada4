"""The names of weights: those of our modules, and those that LeRobot's files have for the same numbers.

Files differ by age: published base weights lack the first "model.", transformers has moved PaliGemma's parts about,
and an embedding that is tied to an output layer may be stored under the name of either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from sim_train.policies.lerobot.config import LeRobotConfig

_HEADS = {
    "state.": "state_proj.",
    "actions.enter.": "action_in_proj.",
    "actions.leave.": "action_out_proj.",
    "actions.mix_in.": "action_time_mlp_in.",
    "actions.mix_out.": "action_time_mlp_out.",
}
_OLDER = {
    "paligemma.language_model.model.": "paligemma.model.language_model.",
    "paligemma.language_model.lm_head.": "paligemma.lm_head.",
    "paligemma.vision_tower.": "paligemma.model.vision_tower.",
    "paligemma.multi_modal_projector.": "paligemma.model.multi_modal_projector.",
}
STATISTIC = re.compile(
    r"(?P<layer>normalize_inputs|normalize_targets|unnormalize_outputs)\."
    r"((?P<robot>.+)_)?buffer_(?P<feature>.+)\.(?P<statistic>mean|std|min|max)"
)
"""A statistic among the weights, as older versions stored them; some files have those of several robots."""


@dataclass(frozen=True)
class Names:
    """One kind of network in LeRobot's files."""

    prefixes: dict[str, str]
    """Beginnings of our names -> beginnings of LeRobot's, without the first "model."."""
    tied: dict[str, str]
    """LeRobot's name of an embedding -> name of the output layer that may stand for it."""
    unused: dict[str, str]
    """Tensors that LeRobot stores and no action depends on -> the dimension of the network that is their width."""

    def of(self, ours: str) -> str:
        """LeRobot's name of one of our tensors."""
        for mine, theirs in self.prefixes.items():
            if ours.startswith(mine):
                return f"model.{theirs}{ours.removeprefix(mine)}"
        raise KeyError(ours)

    def stored(self, ours: str) -> str:
        """The name that we write it under: that of published files."""
        return self.tied.get(self.of(ours), self.of(ours))

    def unused_shapes(self, config: LeRobotConfig) -> dict[str, tuple[int, int]]:
        """Shapes of the tensors that are stored, but not used."""
        widths = {"language": config.language.width, "expert": config.expert_width}
        return {name: (config.language.vocab, widths[of]) for name, of in self.unused.items()}


PI0 = Names(
    prefixes={
        **_HEADS,
        "vision.": "paligemma_with_expert.paligemma.model.vision_tower.vision_model.",
        "projector.": "paligemma_with_expert.paligemma.model.multi_modal_projector.linear.",
        "language.": "paligemma_with_expert.paligemma.model.language_model.",
        "expert.": "paligemma_with_expert.gemma_expert.model.",
    },
    tied={
        "model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight": (
            "model.paligemma_with_expert.paligemma.lm_head.weight"
        )
    },
    unused={"model.paligemma_with_expert.gemma_expert.lm_head.weight": "expert"},
)
SMOLVLA = Names(
    prefixes={
        **_HEADS,
        "vision.": "vlm_with_expert.vlm.model.vision_model.",
        "connector.": "vlm_with_expert.vlm.model.connector.",
        "language.": "vlm_with_expert.vlm.model.text_model.",
        "expert.": "vlm_with_expert.lm_expert.",
    },
    tied={},
    unused={"model.vlm_with_expert.vlm.lm_head.weight": "language"},
)


def present_day(name: str) -> str:
    """The name that LeRobot gives today to a tensor of an older or newer file."""
    name = name if name.startswith("model.") else f"model.{name}"
    for old, new in _OLDER.items():
        name = name.replace(old, new)
    if ".vision_tower." in name and ".vision_tower.vision_model." not in name:
        name = name.replace(".vision_tower.", ".vision_tower.vision_model.")
    return name


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's tensors by our names."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
