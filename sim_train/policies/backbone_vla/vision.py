"""Images -> a grid of features, from one or several vision backbones side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from sim_train.policies.backbone_vla.backbones import BackboneError, make_config, make_vision, settings_of

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VisionTower(nn.Module):
    """One backbone with its pixels.

    Args:
        entry: of `BackboneVlaConfig.vision`.

    Raises:
        BackboneError: the backbone cannot be built, or makes no features of an image.
    """

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__()
        config = make_config(entry)
        self.model_type: str = entry["model_type"]
        self.pixels = int(entry.get("pixels") or getattr(config, "image_size", 0) or 224)
        self.mean, self.std = _statistics(entry)
        self.backbone = make_vision(entry, config)
        weight = next(self.backbone.parameters())
        try:
            with torch.no_grad():
                made = self.features(torch.zeros(1, 3, self.pixels, self.pixels, device=weight.device))
        except Exception as error:  # whatever a model says to inputs that it does not know
            raise BackboneError(f"{self.model_type} makes no features of {self.pixels} pixels: {error}") from error
        self.width, self.side = made.shape[1], made.shape[2]

    @property
    def entry(self) -> dict[str, Any]:
        """All that is needed to build it again, as plain JSON, without the directory of its weights."""
        own = {"pixels": self.pixels, "mean": list(self.mean), "std": list(self.std)}
        return {"model_type": self.model_type, **own, **settings_of(self.backbone.config)}

    def train(self, mode: bool = True) -> VisionTower:
        """As of every module, but batch statistics stay as they are: a row must not depend on its neighbours."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Feature maps (B, width, side, side) of normalised pixels (B, 3, S, S), class token and registers left out."""
        states: torch.Tensor = self.backbone(pixel_values=pixels).last_hidden_state
        if states.ndim == 4:
            return states
        side = min(pixels.shape[-1] // getattr(self.backbone.config, "patch_size", 1), math.isqrt(states.shape[1]))
        patches = states[:, states.shape[1] - side * side :]  # they come last
        return patches.transpose(1, 2).unflatten(2, (side, side))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps (B, width, side, side) of uint8 images (B, S, S, 3)."""
        mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (self.mean, self.std))
        pixels = images.permute(0, 3, 1, 2).float() / 255
        if pixels.shape[-1] != self.pixels:
            pixels = functional.interpolate(pixels, size=self.pixels, mode="bilinear", antialias=True)
        return self.features((pixels - mean) / std)


class Vision(nn.Module):
    """All backbones on the same image, averaged down to the same grid, their channels side by side.

    Args:
        entries: `BackboneVlaConfig.vision`.
        grid: tokens along a side.

    Raises:
        BackboneError: a backbone that cannot be built, or makes fewer features than the grid has places.
    """

    def __init__(self, entries: tuple[dict[str, Any], ...], grid: int) -> None:
        super().__init__()
        self.grid = grid
        towers = [VisionTower(entry) for entry in entries]
        for tower in towers:
            if tower.side < grid:
                raise BackboneError(
                    f"{tower.model_type} makes {tower.side} x {tower.side} features of {tower.pixels} pixels, fewer "
                    f"than grid={grid} asks for; lower grid, or let it see more pixels"
                )
        self.towers = nn.ModuleList(towers)
        self.width = sum(tower.width for tower in towers)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """`VisionTower.entry` of all backbones."""
        return [cast(VisionTower, tower).entry for tower in self.towers]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Tokens (B, grid * grid, width), row by row, of uint8 images (B, S, S, 3)."""
        maps = [functional.adaptive_avg_pool2d(tower(images), self.grid) for tower in self.towers]
        return torch.cat(maps, dim=1).flatten(2).transpose(1, 2)


def _statistics(entry: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    told: dict[str, Any] = {}
    file = Path(entry.get("weights") or "") / "preprocessor_config.json"
    if entry.get("weights") and file.is_file():
        told = json.loads(file.read_text(encoding="utf-8"))
    mean = tuple(float(v) for v in entry.get("mean") or told.get("image_mean") or IMAGENET_MEAN)
    std = tuple(float(v) for v in entry.get("std") or told.get("image_std") or IMAGENET_STD)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise BackboneError(f"{entry['model_type']}: mean and std need three numbers, std above 0; got {mean}, {std}")
    return mean, std
