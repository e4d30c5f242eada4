"""The commands that take published policies in and give them back."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from made_lerobot import FEATURES, SPEC, observed, word_tokenizer, write_policy

from sim_train.checkpoint import load_policy, save_policy
from sim_train.checkpoint.__main__ import main
from sim_train.policies.openvla.checkpoint import save_openvla
from sim_train.policies.openvla.config import OpenVlaConfig
from sim_train.policies.openvla.network import OpenVla

CAMERAS = "cameras=" + json.dumps(FEATURES)


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "contract.json"
    path.write_text(SPEC.to_json())
    return str(path)


@pytest.mark.parametrize("kind", ["pi0", "smolvla"])
def test_there_and_back(kind, tmp_path, contract, capsys):
    weights, ours, back, again = (str(tmp_path / name) for name in ("weights", "ours", "back", "again"))
    write_policy(tmp_path / "weights", kind)
    main(["import", kind, weights, contract, ours, "network=miniature", CAMERAS, "steps=2"])
    policy = load_policy(tmp_path / "ours")
    assert policy.steps == 2
    assert policy.revision in capsys.readouterr().out
    main(["export-lerobot", ours, back])
    main(["import", kind, back, ours, again, "network=miniature", CAMERAS])
    expected = policy.act(*observed(2)).actions
    np.testing.assert_array_equal(load_policy(tmp_path / "again").act(*observed(2)).actions, expected)
    main(["inspect", again])


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("pi0", ["network"], "no setting; write NAME=VALUE"),
        ("pi0", ["network=miniature"], "no image feature"),
        ("pi0", ["netwrok=miniature"], "did you mean network"),
        ("smolvla", ["network=miniature", CAMERAS], "type 'pi0'"),
        ("pi1", [], "'pi1' is unknown"),
    ],
)
def test_says_what_is_wrong(kind, settings, said, tmp_path, contract, capsys):
    write_policy(tmp_path / "weights", "pi0")
    command = ["import", kind, str(tmp_path / "weights"), contract, str(tmp_path / "ours")]
    with pytest.raises(SystemExit):
        main([*command, *settings])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "ours").exists()


def test_needs_a_contract(tmp_path, capsys):
    (tmp_path / "contract.json").write_text("{}")
    for path, said in (
        ("contract.json", "holds no contract"),
        ("none.json", "none.json"),
        (".", "does not belong to a checkpoint"),
    ):
        with pytest.raises(SystemExit):
            main(["import", "pi0", "weights", str(tmp_path / path), str(tmp_path / "ours")])
        assert said in capsys.readouterr().err


def test_gives_back_only_what_lerobot_has(tmp_path, tiny_policy, capsys):
    save_policy(tmp_path / "tiny", tiny_policy, {})
    with pytest.raises(SystemExit):
        main(["export-lerobot", str(tmp_path / "tiny"), str(tmp_path / "back")])
    assert "TokenVla; LeRobot's layout is for pi0 and smolvla" in capsys.readouterr().err


def test_takes_openvla_in_as_well(tmp_path):
    network = OpenVla(OpenVlaConfig.miniature(proprio_dim=7))
    save_openvla(network, tmp_path / "weights", {})
    word_tokenizer().save(str(tmp_path / "weights" / "tokenizer.json"))
    spec = dataclasses.replace(SPEC, cameras=(dataclasses.replace(SPEC.cameras[0], input_size=28),))
    (tmp_path / "contract.json").write_text(spec.to_json())
    paths = [str(tmp_path / name) for name in ("weights", "contract.json", "ours")]
    main(["import", "openvla", *paths, "network=miniature"])
    policy = load_policy(tmp_path / "ours")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, policy.network.state_dict()[name]), name
