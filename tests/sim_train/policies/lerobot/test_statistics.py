"""Normalisation against its formulas, from every place where LeRobot has stored statistics."""

import json

import pytest
import torch
from made_lerobot import STATISTICS, config_json, write_json, write_policy
from safetensors.torch import load_file, save_file

from sim_train.policies.lerobot.layout import LeRobotError
from sim_train.policies.lerobot.statistics import Scaling, check_processors, read_scalings

SIZES = {"action": 4, "observation.state": 7}
NUMBERS = {
    "mean": torch.tensor([1.0, -2.0]),
    "std": torch.tensor([0.5, 4.0]),
    "min": torch.tensor([-1.0, 3.0]),
    "max": torch.tensor([3.0, 3.0]),
    "q01": torch.tensor([0.0, -5.0]),
    "q99": torch.tensor([4.0, 5.0]),
}


@pytest.mark.parametrize(
    ("mode", "at_zero", "at_one"),
    [
        ("MEAN_STD", [1.0, -2.0], [1.5, 2.0]),
        ("MIN_MAX", [1.0, 3.0], [3.0, 3.0]),
        ("QUANTILES", [2.0, 0.0], [4.0, 5.0]),
        ("IDENTITY", [0.0, 0.0], [1.0, 1.0]),
    ],
)
def test_modes(mode, at_zero, at_one):
    scaling = Scaling.of(mode, NUMBERS, 2)
    torch.testing.assert_close(scaling.shift, torch.tensor(at_zero))
    torch.testing.assert_close(scaling.shift + scaling.scale, torch.tensor(at_one))


def test_refuses_statistics_that_make_no_scaling():
    with pytest.raises(ValueError, match="LOG"):
        Scaling.of("LOG", NUMBERS, 2)
    with pytest.raises(ValueError, match="q90"):
        Scaling.of("QUANTILE10", NUMBERS, 2)
    with pytest.raises(ValueError, match=r"expected \(3,\)"):
        Scaling.of("MEAN_STD", NUMBERS, 3)
    with pytest.raises(ValueError, match="finite"):
        Scaling.of("MEAN_STD", {"mean": torch.tensor([torch.nan]), "std": torch.ones(1)}, 1)
    with pytest.raises(ValueError, match="above 0"):
        Scaling.of("MIN_MAX", {"min": torch.ones(1), "max": torch.zeros(1)}, 1)


def expected(scalings):
    for feature in SIZES:
        torch.testing.assert_close(scalings[feature].shift, STATISTICS[f"{feature}.mean"])
        torch.testing.assert_close(scalings[feature].scale, STATISTICS[f"{feature}.std"])


def older(directory, changed=()):
    """The same policy as versions before 0.4 wrote it."""
    for path in directory.glob("policy_*"):
        path.unlink()
    tensors = load_file(directory / "model.safetensors")
    for layer, feature in (
        ("normalize_inputs", "observation.state"),
        ("normalize_targets", "action"),
        ("unnormalize_outputs", "action"),
    ):
        for statistic in ("mean", "std"):
            key = f"{layer}.buffer_{feature.replace('.', '_')}.{statistic}"
            tensors[key] = STATISTICS[f"{feature}.{statistic}"].clone()
    save_file(tensors | dict(changed), directory / "model.safetensors")


def test_reads_statistics_of_processors_and_of_older_versions(tmp_path):
    directory = write_policy(tmp_path / "p", "pi0")
    expected(read_scalings(directory, config_json("pi0"), SIZES))
    older(directory)
    expected(read_scalings(directory, config_json("pi0"), SIZES))


def test_says_when_there_are_none(tmp_path):
    directory = write_policy(tmp_path / "p", "pi0")
    older(directory, {"unnormalize_outputs.buffer_action.mean": torch.full((4,), torch.inf)})
    with pytest.raises(LeRobotError, match=r"no statistics of 'action'.*robot=contract"):
        read_scalings(directory, config_json("pi0"), SIZES)
    directory = write_policy(tmp_path / "q", "pi0")
    content = json.loads((directory / "policy_preprocessor.json").read_text())
    del content["steps"][-1]["state_file"]
    write_json(directory / "policy_preprocessor.json", content)
    with pytest.raises(LeRobotError, match=r"no statistics of 'observation\.state'"):
        read_scalings(directory, config_json("pi0"), SIZES)


@pytest.mark.parametrize(
    "name", ["../elsewhere.safetensors", "/etc/x.safetensors", "state.pkl", "..\\x.safetensors", 3]
)
def test_refuses_files_elsewhere(tmp_path, name):
    directory = write_policy(tmp_path / "p", "pi0")
    content = json.loads((directory / "policy_postprocessor.json").read_text())
    content["steps"][0]["state_file"] = name
    write_json(directory / "policy_postprocessor.json", content)
    with pytest.raises(LeRobotError, match="no safetensors file beside it"):
        read_scalings(directory, config_json("pi0"), SIZES)


def test_refuses_damaged_or_missing_statistics(tmp_path):
    directory = write_policy(tmp_path / "p", "pi0")
    file = directory / "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(LeRobotError, match="damaged"):
        read_scalings(directory, config_json("pi0"), SIZES)
    file.unlink()
    with pytest.raises(LeRobotError, match="has no policy_postprocessor_step_0"):
        read_scalings(directory, config_json("pi0"), SIZES)


def test_refuses_other_normalisation_of_images(tmp_path):
    directory = write_policy(tmp_path / "p", "pi0")
    content = json.loads((directory / "policy_preprocessor.json").read_text())
    content["steps"][-1]["config"]["norm_map"]["VISUAL"] = "MEAN_STD"
    write_json(directory / "policy_preprocessor.json", content)
    with pytest.raises(LeRobotError, match="normalises images by MEAN_STD"):
        read_scalings(directory, config_json("pi0"), SIZES)


def test_refuses_steps_that_would_change_what_the_policy_does(tmp_path):
    directory = write_policy(tmp_path / "p", "pi0")
    check_processors(directory, 12)
    with pytest.raises(LeRobotError, match=r"cuts instructions at 12 tokens, config\.json at 48"):
        check_processors(directory, 48)
    path = directory / "policy_preprocessor.json"
    content = json.loads(path.read_text())
    content["steps"][5]["config"]["enabled"] = True
    write_json(path, content)
    with pytest.raises(LeRobotError, match="step 'relative_actions_processor'"):
        check_processors(directory, 12)
    write_json(path, {"steps": [{"class": "my.Step"}]})
    with pytest.raises(LeRobotError, match=r"step 'my\.Step'"):
        check_processors(directory, 12)
    write_json(path, {"steps": None})
    with pytest.raises(LeRobotError, match="no list of 'steps'"):
        check_processors(directory, 12)
