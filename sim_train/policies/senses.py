"""What small policies make of an observation before they think: words, keypoints and a guess at the target's place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from policy_api.schema import PolicySpec
from torch import nn

from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.vision import FilmStem


@dataclass(frozen=True, eq=False)
class Sensed:
    """B observations."""

    sentence: torch.Tensor
    """(B, width) mean of the instruction's words."""
    keypoints: list[torch.Tensor]
    """(B, 2 * channels) of each camera; empty where the contract has none."""
    target: torch.Tensor
    """(B, 3) estimate of where the named object is, metres in the base frame; zeros without cameras."""


class Senses(nn.Module):
    """A bag of words, and a convolutional stem a camera that the words tell what to look for.

    Args:
        spec: the contract: cameras.
        words: size of the vocabulary.
        width: of the words' embedding.
        channels: feature maps of the stem; the last is the number of keypoints a camera.
    """

    def __init__(self, spec: PolicySpec, words: int, width: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.cameras = [camera.name for camera in spec.cameras]
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.stems = nn.ModuleDict({name: FilmStem(width, channels) for name in self.cameras})
        if self.cameras:
            self.target = nn.Linear(2 * channels[2] * len(self.cameras), 3)

    def forward(self, inputs: PolicyInputs) -> Sensed:
        """Words and pixels of B observations."""
        spoken = (inputs.text != 0).float()[:, :, None]
        sentence = (self.words(inputs.text) * spoken).sum(1) / spoken.sum(1).clamp_min(1)
        keypoints = [self.stems[name](inputs.images[name], sentence) for name in self.cameras]
        nowhere = sentence.new_zeros(len(sentence), 3)
        return Sensed(sentence, keypoints, self.target(torch.cat(keypoints, dim=1)) if keypoints else nowhere)
