"""Settings of rollouts."""

import pytest

from sim_train.rollouts.config import RayConfig, RoleConfig, RolloutConfig


def complaints(config):
    return [text for fine, text in config.checks() if not fine]


def test_the_defaults_are_fine():
    assert complaints(RolloutConfig()) == []
    assert RolloutConfig().processes >= 1
    assert RolloutConfig(workers=3).processes == 3


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (RolloutConfig(engine="slurm"), "rollout.engine"),
        (RolloutConfig(workers=-1), "rollout.workers"),
        (RolloutConfig(envs_per_worker=0), "rollout.envs_per_worker"),
        (RolloutConfig(inference="remote"), "rollout.inference "),
        (RolloutConfig(inference_workers=0), "rollout.inference_workers"),
        (RolloutConfig(inference="shared", inference_device="tpu"), "rollout.inference_device"),
        (RolloutConfig(inference_device="cuda"), "needs rollout.inference=shared"),
        (RolloutConfig(timeout_s=0), "rollout.timeout_s"),
        (RolloutConfig(ray=RayConfig(placement="near")), "rollout.ray.placement"),
        (RolloutConfig(ray=RayConfig(start_timeout_s=0)), "start_timeout_s"),
        (RolloutConfig(ray=RayConfig(rollout=RoleConfig(cpus=-1))), "rollout.ray.rollout"),
        (RolloutConfig(ray=RayConfig(inference=RoleConfig(resources={"x": 0}))), "rollout.ray.inference"),
        (RolloutConfig("ray", inference="shared", inference_device="cuda"), "inference.gpus above 0"),
    ],
)
def test_what_makes_no_sense_is_named(config, named):
    assert any(named in text for text in complaints(config)), complaints(config)


def test_a_gpu_for_inference_can_be_had():
    ray = RayConfig("auto", "apart", inference=RoleConfig(gpus=0.5))
    assert complaints(RolloutConfig("ray", inference="shared", inference_device="cuda", ray=ray)) == []
