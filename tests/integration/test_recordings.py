"""What the recorder wrote of an episode in the virtual lab can be learned from, and does the same in the simulator."""

import os
import socket

import numpy as np
import pytest
import torch
from piper_description import tcp_pose

from sim_train.checkpoint import save_policy
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.importing import import_episodes
from sim_train.envs import BatchEnv, task_spec
from sim_train.policies.mlp import Mlp, MlpConfig
from sim_train.policies.text import build_vocabulary

SEED = 2_000_000


def free_udp_port():
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tcp(joints):
    return tcp_pose(joints[:6].astype(np.float64))[:3, 3]


@pytest.fixture
def untrained_checkpoint(tmp_path):
    """A policy that always moves some millimetres a step, within what the arm can do with its tool upright."""
    torch.manual_seed(0)
    policy = Mlp(task_spec("pick_cube"), MlpConfig(width=16), build_vocabulary(["pick up the red cube"]))
    with torch.no_grad():
        policy.mean.bias.view(-1, 4).copy_(torch.tensor([0.03, -0.06, 0.02, 0.4]))  # of the range, -1..1
    path = tmp_path / "checkpoint"
    save_policy(path, policy, {"note": "random weights"})
    return path


@pytest.mark.slow
def test_an_episode_of_the_lab_becomes_a_demonstration(ring, tmp_path):
    ring.start_server()
    episodes = ring.start(
        "episodes",
        "bringup",
        "launch/episodes.launch.yaml",
        "episodes:=1",
        f"first_seed:={SEED}",
        "episode_timeout_s:=8.0",
        f"can_port:={free_udp_port()}",
        f"lab:=record_{os.getpid()}",
        f"control_address:={ring.control_address}",
        f"server_address:={ring.server_address}",
        f"output_dir:={tmp_path / 'episodes'}",
        f"domain:={ring.operator.env['ROS_DOMAIN_ID']}",
        "--log-dir",
        str(tmp_path / "logs"),
    )
    assert episodes.wait(120) == 0, ring.log("episodes")

    report = import_episodes(tmp_path / "episodes", tmp_path / "set", chosen=["ep0000"])  # which was no success
    assert not report.skipped and report.taken[0].chunks >= 4
    shown = DemonstrationSet.open(tmp_path / "set").load()
    assert shown.seed.tolist() == [SEED]

    env = BatchEnv("pick_cube", 1)
    seen = env.reset([SEED])
    apart, unlike = [], []
    for row in range(len(shown.state)):
        apart.append(np.linalg.norm(tcp(seen.state[0]) - tcp(shown.state[row])))
        unlike.append(np.abs(seen.images["front"][0].astype(float) - shown.images["front"][row]).mean())
        seen = env.step(shown.actions[row][None]).observations
    env.close()
    assert np.median(apart) < 3e-3
    assert unlike[0] < 2.0  # of 255: the same scene, before anything has moved
