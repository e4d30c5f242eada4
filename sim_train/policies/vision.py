"""Pixels -> keypoints: a small convolutional stem, told by the instruction what to look for.

FiLM (arXiv 1709.07871) scales and shifts feature maps by the instruction, as OpenVLA-OFT+ (arXiv 2502.19645) does;
spatial softmax (arXiv 1504.00702) turns each feature map into the place it points at. On few demonstrations this learns
where a vision transformer from scratch does not.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class FilmStem(nn.Module):
    """64 x 64 pixels -> 16 x 16 feature maps -> one (x, y) a map.

    Args:
        text_width: width of the instruction's embedding.
        channels: feature maps after the three convolutions; the last is the number of keypoints.
    """

    def __init__(self, text_width: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.conv1 = nn.Conv2d(3, first, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.conv4 = nn.Conv2d(third, third, 3, padding=1)
        self.film2 = nn.Linear(text_width, 2 * second)
        self.film3 = nn.Linear(text_width, 2 * third)
        self.sharpness = nn.Parameter(torch.ones(third))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Keypoints (B, 2 * channels[2]) in -1..1 of uint8 images (B, S, S, 3), given text (B, text_width)."""
        text = functional.rms_norm(text, text.shape[-1:])  # embeddings start too small for FiLM to hear one word
        pixels = images.permute(0, 3, 1, 2).float().mul(1 / 127.5).sub(1.0)
        x = functional.silu(self.conv1(pixels))
        x = functional.silu(film(self.conv2(x), self.film2(text)))
        x = functional.silu(film(self.conv3(x), self.film3(text)))
        return spatial_softmax(self.conv4(x), self.sharpness)


def film(maps: torch.Tensor, scale_and_shift: torch.Tensor) -> torch.Tensor:
    """Scale and shift feature maps (B, C, h, w) by (B, 2C); zeros leave them unchanged."""
    scale, shift = scale_and_shift[:, :, None, None].chunk(2, dim=1)
    return maps * (1 + scale) + shift


def spatial_softmax(maps: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """Expected (x, y) in -1..1 under each map's softmax: (B, C, h, w), (C,) -> (B, 2C), all x then all y."""
    batch, channels, height, width = maps.shape
    logits = maps.flatten(2).float() * sharpness[None, :, None]
    weights = logits.softmax(-1).view(batch, channels, height, width)
    xs = torch.linspace(-1, 1, width, device=maps.device)
    ys = torch.linspace(-1, 1, height, device=maps.device)
    return torch.cat([(weights.sum(2) * xs).sum(-1), (weights.sum(3) * ys).sum(-1)], dim=1)
