"""Estimates, against arithmetic done by hand."""

import pytest

from sim_train.config import ConfigError, from_plain
from sim_train.cost import estimate
from sim_train.hardware import HardwareConfig, check_hardware

GIB = 2.0**30


def of(**changes):
    return estimate(from_plain({"output_dir": "x", **changes}))


def test_an_update_of_the_tiny_policy():
    told = of(
        task="pick_cube",  # 5 chunks of 4 steps of 4 numbers; one camera of 64 pixels, 7 numbers of state
        rl={"sampling": {"groups": 10, "group_size": 8, "oversample": 3.0}, "max_updates": 20},
    )
    assert told.episodes == (80, 240)
    assert told.chunks == (80 * 5, 240 * 5)
    assert told.env_steps == (80 * 20, 240 * 20)
    pixels = 64 * 64 * 3
    numbers = 7 * 4 + 16 * (8 + 4 + 4) + 8
    assert told.rollout_bytes == 400 * (pixels + numbers)
    assert told.float_rollout_bytes == 400 * (4 * pixels + numbers)
    weights = told.network.parameters
    assert told.network.trainable == weights
    assert (told.weight_bytes, told.gradient_bytes, told.optimizer_bytes) == (4 * weights, 4 * weights, 8 * weights)
    assert told.gpu_hours == 0.0


def test_a_perceptron_counted_by_hand():
    """2 hidden layers of 32 on no picture: all that multiplies is known."""
    told = of(
        policy={"kind": "mlp", "sizes": {"width": 32, "layers": 2, "text_width": 4}},
        contract={"cameras": [], "privileged": True},
    )
    inputs = 7 + 3 + 4  # joints and gripper, the cube's place, text
    layers = [(inputs, 32), (32, 32), (32, 16), (32, 3)]  # the last one is the auxiliary place
    assert told.network.forward_flops == pytest.approx(2 * sum(a * b for a, b in layers), rel=0.1)


def test_the_paper_by_hand():
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from sim_train import train  # noqa: F401 - gives hydra the settings
    from sim_train.command_line import CONF_DIR

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", ["preset=paper_robotwin2", "output_dir=x"])
    config = from_plain(OmegaConf.to_container(cfg, resolve=True))
    rl = config.rl
    assert (rl.sampling.groups, rl.sampling.group_size, rl.update.learning_rate) == (64, 8, 5e-6)
    assert (rl.update.temperature, rl.update.clip.low, rl.update.clip.high) == (1.6, 0.2, 0.28)
    told = estimate(config)
    assert told.episodes[0] == 512
    assert told.network.parameters == 7_541_237_184 + 14 * 4096 + 4096 + 4096 * 4096 + 4096  # and proprioception
    assert told.optimizer_bytes == 8 * told.network.trainable
    # two operations a weight of the language model and a token: 256 patches, some 64 of text, 1 state, 25 x 8 actions
    assert told.network.forward_flops == pytest.approx(2 * 6.6e9 * (256 + 64 + 1 + 200), rel=0.2)
    assert told.chunks[0] == 512 * 3 and told.env_steps[0] == 512 * 3 * 25  # 9 chunks of 4, or 3 of 25
    assert told.gpu_hours == pytest.approx(230 * 8 * 45 / 60) == 1380
    text = "\n".join(told.lines())
    assert "1,380 GPU-hours for 230 updates" in text and "8 x A800-80G" in text


def test_time_without_a_measurement_counts_operations():
    told = of(hardware={"gpus": 1, "tflops": 100.0, "utilisation": 0.5}, rl={"max_updates": 10})
    passes = 32 * 3 * 8 * 5 + 32 * 8 * 5 * (1 + 3 * 2)
    assert told.gpu_hours == pytest.approx(10 * passes * told.network.forward_flops / 50e12 / 3600)
    assert any("less than 0.01 GPU-hours an update" in line for line in told.lines())


def test_machines_without_the_gpus_are_refused_unless_told():
    need = HardwareConfig(gpus=2, gpu_memory_gib=80)
    check_hardware(need, [79.3 * GIB, 79.3 * GIB])
    with pytest.raises(ConfigError, match=r"2 GPUs with 80 GiB; this machine has 1 of them \(all: 79 GiB, 24 GiB\)"):
        check_hardware(need, [79.3 * GIB, 24 * GIB])
    check_hardware(HardwareConfig(gpus=2, check=False), [])
    check_hardware(HardwareConfig(), [])
