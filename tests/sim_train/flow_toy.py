"""A flow policy small enough to train in a test, and a task with two right answers to one observation."""

import functools
from dataclasses import replace

import numpy as np
import torch
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.flow_prefix import PrefixConfig
from sim_train.policies.flow_vla import FlowVla, FlowVlaConfig
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.text import build_vocabulary

SHAPE = (TOY_SPEC.horizon, len(TOY_SPEC.action))
MODE_M = 0.03
"""The demonstrations move by this much in x, y and z, or by minus this much."""
_CONFIG = FlowVlaConfig(
    PrefixConfig(d_model=24, layers=1, heads=2, mlp=32, channels=(4, 8, 8), visual_tokens=1, text_tokens=4),
    expert_width=16,
    expert_mlp=32,
)


def make_policy(steps=4, **exploration):
    """Fresh weights, always the same."""
    torch.manual_seed(0)
    config = replace(_CONFIG, steps=steps, exploration=ExplorationConfig(**exploration))
    return FlowVla(TOY_SPEC, config, build_vocabulary(PHRASES))


def observation(rows):
    """The same one in every row."""
    return {"front": np.full((rows, 16, 16, 3), 100, np.uint8)}, np.zeros((rows, 7), np.float32), [PHRASES[1]] * rows


def demonstrations(rows):
    """Chunks (rows, H, A): three in eight forward and open, the others backward and closed."""
    forward = np.arange(rows) % 8 < 3
    actions = np.zeros((rows, *SHAPE), np.float32)
    actions[..., :3] = np.where(forward, MODE_M, -MODE_M)[:, None, None]
    actions[..., 3] = np.where(forward, 0.06, 0.01)[:, None]
    return actions


def trained_on_two_modes(steps=4, **exploration):
    """A policy that imitates the demonstrations."""
    policy = make_policy(steps, **exploration)
    policy.load_state_dict(_trained_weights(), strict=False)  # all but the noise net
    return policy


@functools.cache
def _trained_weights():
    policy, rows, updates, rate = make_policy(), 64, 300, 1e-2
    inputs, actions = policy.inputs(*observation(rows)), torch.from_numpy(demonstrations(rows))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=0.0)
    weights = torch.full((rows, *SHAPE), 1 / (rows * SHAPE[0] * SHAPE[1]))
    for update in range(updates):
        draws = torch.rand(rows, policy.imitation_draw_size, generator=generator)
        loss, _ = policy.imitation_loss(inputs, actions, weights, torch.zeros(rows, 3), SftLossConfig(), draws)
        optimizer.param_groups[0]["lr"] = rate * (1 - update / updates)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policy.state_dict()


def shares_of_modes(policy):
    """Shares of forward and of backward chunks, within a centimetre, among 512 from their own noise, none added."""
    x = torch.randn(512, *SHAPE, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        prefix = policy.prefix_of(policy.inputs(*observation(512)))
        for k in range(policy.steps):
            x = x - policy.flow(prefix, x, torch.full((512,), 1 - k / policy.steps))[0] / policy.steps
    first = policy.in_units(x)[:, 0, 0]
    return float((np.abs(first - MODE_M) < 0.01).mean()), float((np.abs(first + MODE_M) < 0.01).mean())
