"""Gaussian policies of both kinds, small enough to train in a test, with and without cameras."""

import dataclasses

import numpy as np
import torch
from policy_api.schema import FieldSpec
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.act import Act, ActConfig
from sim_train.policies.gaussian import Spread
from sim_train.policies.mlp import Mlp, MlpConfig
from sim_train.policies.text import build_vocabulary

CHANNELS = (4, 8, 8)
PLACES = tuple(FieldSpec(f"cube_{axis}", "m", -1.0, 1.0) for axis in "xyz")
BLIND_SPEC = dataclasses.replace(TOY_SPEC, cameras=(), state=TOY_SPEC.state + PLACES)
"""The toy's contract with a body's place instead of a camera."""
KINDS = ("mlp", "act")


def make(kind, spec=TOY_SPEC, seed=0, spread=None):
    """Fresh weights, always the same."""
    torch.manual_seed(seed)
    spread = spread or Spread()
    if kind == "mlp":
        config = MlpConfig(width=32, text_width=8, text_tokens=4, channels=CHANNELS, spread=spread)
        return Mlp(spec, config, build_vocabulary(PHRASES))
    config = ActConfig(
        width=16, heads=2, mlp=32, encoder_layers=1, decoder_layers=1, latent=4, text_tokens=4, visual_tokens=1
    )
    config = dataclasses.replace(config, channels=CHANNELS, spread=spread)
    return Act(spec, config, build_vocabulary(PHRASES))


def seen(batch, seed=0, spec=TOY_SPEC):
    """Observations: images, states, instructions."""
    rng = np.random.default_rng(seed)
    images = {c.name: rng.integers(0, 255, (batch, 16, 16, 3), dtype=np.uint8) for c in spec.cameras}
    state = rng.normal(size=(batch, len(spec.state))).astype(np.float32)
    return images, state, [PHRASES[i % 2] for i in range(batch)]


def uniform(batch, policy, seed=0):
    """Draws for a batch of chunks."""
    return np.random.default_rng(seed).random((batch, policy.draw_size), dtype=np.float32)


def imitate(policy, images, state, texts, actions, place, config, steps=150, rate=5e-3):
    """Reports of imitating given chunks over and over."""
    inputs, (rows, horizon, dims) = policy.inputs(images, state, texts), actions.shape
    weights = torch.full((rows, horizon, dims), 1 / (rows * horizon * dims))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=0.0)
    reports = []
    for _ in range(steps):
        draws = torch.rand(rows, policy.imitation_draw_size, generator=generator)
        loss, report = policy.imitation_loss(
            inputs, torch.from_numpy(actions), weights, torch.from_numpy(place), config, draws
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reports.append(report)
    return reports
