"""What the tests of algorithms share: gradient threads, rollouts of the toy task, an RL stage without processes."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_model import TINY
from toy_env import PHRASES, TOY_SPEC, ToyEnv

from sim_train.algorithms.parallel import GradientThreads
from sim_train.config import from_plain
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import ExpertPlayer, PolicyPlayer
from sim_train.rollouts.pool import PlayReport
from sim_train.stages.learner import Reinforcement
from sim_train.stages.run import Run


class PoolInHere:
    """A worker pool without workers; remembers the seeds that were played."""

    def __init__(self, margin):
        self.margin = margin
        self.seeds = []

    def set_policy(self, policy, version):
        self.policy, self.version = policy, version

    def play(self, jobs, task, seed, on_progress=None):
        self.seeds += [job.seed for job in jobs]
        player = PolicyPlayer(self.policy, task.temperature)
        played, faults = play_episodes(ToyEnv(16, margin=self.margin), player, jobs, self.version, seed)
        return played, PlayReport(0.0, faults, 0)

    def close(self):
        pass


@pytest.fixture(scope="session")
def threads():
    with GradientThreads(2) as pool:
        yield pool


@pytest.fixture
def play():
    """Rollouts of a policy in groups of eight."""

    def rollouts(policy, groups=8, seed=0, version=0, margin=0.02, max_chunks=1):
        jobs = [Job(i, 1000 * seed + i, 8) for i in range(groups)]
        env = ToyEnv(16, margin=margin, max_chunks=max_chunks)
        return play_episodes(env, PolicyPlayer(policy, 1.0), jobs, version, seed)[0]

    return rollouts


@pytest.fixture
def shown():
    """Six demonstrations."""
    env = ToyEnv(4)
    return play_episodes(env, ExpertPlayer(env, np.zeros(4)), [Job(i, i, 1) for i in range(6)], 0)[0]


@pytest.fixture
def weights():
    """All weights of a policy as one vector."""
    return lambda policy: torch.cat([p.detach().flatten().clone() for p in policy.parameters()])


@pytest.fixture
def reinforcement(tmp_path, threads):
    """Makes an RL stage that plays in this process, always from the same weights."""

    def make(margin=0.02, **rl):
        torch.manual_seed(0)
        policy = TokenVla(TOY_SPEC, TINY, build_vocabulary(PHRASES))
        plain = {
            "output_dir": str(tmp_path / "run"),
            "task": "toy",
            "policy": {"sizes": dataclasses.asdict(TINY)},
            "rl": {"sampling": {"groups": 4, "group_size": 4}, "validation_episodes": 8, **rl},
        }
        run = Run(from_plain(plain), PoolInHere(margin), threads, Console(file=io.StringIO()))
        return Reinforcement(run, policy)

    return make
