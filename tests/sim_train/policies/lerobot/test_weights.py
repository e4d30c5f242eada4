"""Weights there and back, and every file that must be refused, by name."""

import json

import pytest
import torch
from made_lerobot import MINIATURES, SPEC, STATISTICS, TOP, keys_of, random_tensors, write_policy
from safetensors.torch import load_file, save_file

from sim_train.policies.lerobot.config_json import plain_config
from sim_train.policies.lerobot.layout import LeRobotError, check_directory
from sim_train.policies.lerobot.pi0_network import Pi0Network
from sim_train.policies.lerobot.smolvla_network import SmolVlaNetwork
from sim_train.policies.lerobot.statistics import Scaling, read_scalings
from sim_train.policies.lerobot.weights import load_weights, save_network

NETWORKS = {"pi0": Pi0Network, "smolvla": SmolVlaNetwork}
KINDS = pytest.mark.parametrize("kind", ["pi0", "smolvla"])
EMBEDDING = f"{TOP}paligemma.model.language_model.embed_tokens.weight"
OUTPUT = f"{TOP}paligemma.lm_head.weight"


def network_of(kind):
    return NETWORKS[kind](MINIATURES[kind])


def load(kind, path):
    network = network_of(kind)
    load_weights(network, MINIATURES[kind], path)
    return network.state_dict()


@pytest.fixture
def pi0(tmp_path):
    """Tensors of a pi0, where to write them, and how to load them."""
    path = tmp_path / "model.safetensors"

    def attempt(tensors):
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
        return load("pi0", path)

    return random_tensors(MINIATURES["pi0"]), attempt


@KINDS
def test_weights_survive_the_way_there_and_back(kind, tmp_path):
    torch.manual_seed(0)
    network, config = network_of(kind), MINIATURES[kind]
    scaling = Scaling(STATISTICS["action.mean"], STATISTICS["action.std"])
    state = Scaling(STATISTICS["observation.state.mean"], STATISTICS["observation.state.std"])
    save_network(tmp_path / "new", network, config, SPEC, {"action": scaling, "observation.state": state})
    back = load(kind, tmp_path / "new" / "model.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, back[name]), name
    written = load_file(tmp_path / "new" / "model.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in written.items()} == keys_of(config)
    plain = json.loads((tmp_path / "new" / "config.json").read_text())
    assert plain == plain_config(config, SPEC)
    scalings = read_scalings(tmp_path / "new", plain, {"action": 4, "observation.state": 7})
    for name, expected in (("action", scaling), ("observation.state", state)):
        assert torch.equal(scalings[name].shift, expected.shift)
        assert torch.equal(scalings[name].scale, expected.scale)


@KINDS
def test_every_stored_number_arrives(kind, tmp_path):
    """The sum of squares over the network is that over the file, less what is unused."""
    tensors = random_tensors(MINIATURES[kind])
    save_file(tensors, tmp_path / "model.safetensors")
    unused = {"pi0": f"{TOP}gemma_expert.lm_head.weight", "smolvla": "model.vlm_with_expert.vlm.lm_head.weight"}[kind]
    loaded = sum(t.double().square().sum() for t in load(kind, tmp_path / "model.safetensors").values())
    stored = sum(t.double().square().sum() for name, t in tensors.items() if name != unused)
    torch.testing.assert_close(loaded, stored)


def test_other_ages_of_names_give_the_same_weights(pi0):
    tensors, attempt = pi0
    expected = attempt(tensors)
    ages = [
        {name.removeprefix("model."): t for name, t in tensors.items()},
        {name.replace(".vision_tower.vision_model.", ".vision_tower."): t for name, t in tensors.items()},
        {
            name.replace("paligemma.model.language_model.", "paligemma.language_model.model.")
            .replace("paligemma.model.", "paligemma.")
            .replace("paligemma.lm_head.", "paligemma.language_model.lm_head."): t
            for name, t in tensors.items()
        },
        {EMBEDDING if name == OUTPUT else name: t for name, t in tensors.items()},
        # trained by LeRobot since: the output layer is stale and the embedding counts
        {**tensors, EMBEDDING: tensors[OUTPUT], OUTPUT: torch.zeros_like(tensors[OUTPUT])},
        {**tensors, "normalize_inputs.so100-blue_buffer_observation_state.mean": torch.zeros(6)},
    ]
    for age in ages:
        assert age.keys() != tensors.keys()
        got = attempt(age)
        assert all(torch.equal(tensor, got[name]) for name, tensor in expected.items())


def test_half_precision_is_read_into_full(pi0):
    tensors, attempt = pi0
    got = attempt({name: tensor.bfloat16() for name, tensor in tensors.items()})
    assert {tensor.dtype for tensor in got.values()} == {torch.float32}
    assert torch.equal(got["state.weight"], tensors["model.state_proj.weight"].bfloat16().float())


def test_names_what_does_not_fit(pi0):
    tensors, attempt = pi0
    name = f"{TOP}gemma_expert.model.layers.1.mlp.up_proj.weight"
    with pytest.raises(LeRobotError, match=rf"lacks 1 tensors: {name}"):
        attempt({n: t for n, t in tensors.items() if n != name})
    with pytest.raises(LeRobotError, match=r"lacks 1 tensors: .*paligemma\.lm_head\.weight"):
        attempt({n: t for n, t in tensors.items() if n != OUTPUT})
    with pytest.raises(LeRobotError, match=r"1 unexpected tensors: model\.value_head\.weight"):
        attempt({**tensors, "model.value_head.weight": torch.zeros(1)})
    with pytest.raises(LeRobotError, match=r"up_proj.weight \(28, 19\), expected \(28, 20\)"):
        attempt({**tensors, name: torch.zeros(28, 19)})
    with pytest.raises(LeRobotError, match=r"gemma_expert.lm_head.weight \(3, 20\), expected \(64, 20\)"):
        attempt({**tensors, f"{TOP}gemma_expert.lm_head.weight": torch.zeros(3, 20)})
    with pytest.raises(LeRobotError, match="two names of one tensor"):
        attempt({**tensors, name.removeprefix("model."): tensors[name]})


def test_refuses_a_file_that_was_cut_short(tmp_path):
    path = write_policy(tmp_path / "p", "pi0") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(LeRobotError, match="damaged"):
        load("pi0", path)
    path.unlink()
    with pytest.raises(LeRobotError, match=r"has no model\.safetensors"):
        load("pi0", path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "policy.pt", "training_state.pkl"])
def test_refuses_pickles_beside_the_weights(tmp_path, name):
    directory = write_policy(tmp_path / "p", "smolvla")
    check_directory(directory)
    (directory / name).write_bytes(b"\x80\x04N.")
    with pytest.raises(LeRobotError, match=f"{name} may be a pickle"):
        check_directory(directory)
    with pytest.raises(LeRobotError, match="not a directory"):
        check_directory(directory / name)
