"""The measuring code on a CPU and a miniature: what it counts, and that it needs a GPU to write results."""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1] / "sim_train"))

from made_backbones import LLAMA, MINI, made, seen
from toy_env import TOY_SPEC, make_toy

from benchmarks import rl_gpu
from benchmarks.flops import forward_flops
from sim_train.config import from_plain
from sim_train.envs import contract
from sim_train.policies.choice import make_policy
from sim_train.policies.text import build_vocabulary

torch.set_num_threads(1)


@pytest.mark.parametrize("cameras", [1, 2])
def test_operations_are_those_that_torch_counts(cameras):
    front = TOY_SPEC.cameras[0]
    spec = dataclasses.replace(
        TOY_SPEC, cameras=tuple(dataclasses.replace(front, name=f"camera{i}") for i in range(cameras))
    )
    policy = made(spec=spec)
    for backbone in (policy.language, policy.vision.towers[0].backbone):
        backbone.set_attn_implementation("eager")  # whose products torch knows how to count
    images, state, texts = seen(3)
    inputs = policy.inputs({f"camera{i}": images["front"] for i in range(cameras)}, state, texts)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        policy(inputs)
    assert forward_flops(policy) == pytest.approx(counter.get_total_flops() / 3, rel=0.02)


def test_the_default_policy_has_some_hundred_million_weights(tmp_path):
    config = rl_gpu.settings(str(tmp_path), device="auto")
    with torch.device("meta"):
        policy = make_policy(config.policy, config.contract.spec("pick_cube"), build_vocabulary(["pick up the cube"]))
    assert sum(p.numel() for p in policy.parameters()) == pytest.approx(101e6, rel=0.01)
    assert forward_flops(policy) == pytest.approx(2 * 22e6 * 65 + 2 * 78e6 * 97, rel=0.1)


def test_measures_every_phase(tmp_path, monkeypatch):
    monkeypatch.setattr(contract, "task_spec", lambda *arguments: TOY_SPEC)
    config = from_plain(
        {
            "output_dir": str(tmp_path / "run"),
            "task": "toy",
            "rollout": {"workers": 1, "envs_per_worker": 8},
            "policy": {"kind": "backbone_vla", "sizes": {**dataclasses.asdict(MINI), "language": LLAMA}},
            "demonstrations": {"episodes": 4},
            "sft": {"batch": 4},
            "rl": {"update": {"minibatches": 2}},
            "scale": {"device": "cpu"},
        }
    )
    amount = rl_gpu.Amount(warm_up=1, sft_steps=2, updates=1, groups=1)
    measured = rl_gpu.measure(config, amount, 1e12, functools.partial(make_toy, None))
    sft, rl = measured["sft"], measured["rl"]
    assert sft["observations_per_s"] == pytest.approx(4 / sft["step_s"])
    assert sft["mfu"] == pytest.approx(3 * 4 * measured["forward_gflop"] * 1e9 / (sft["step_s"] * 1e12))
    assert 0 < rl["inference_s"] + rl["environment_s"] + rl["render_s"] <= rl["rollout_s"] * 1.001
    assert rl["update_s"] > 0 and rl["update_mfu"] > 0
    assert rl["environment_steps_per_s"] == pytest.approx(rl["steps"] / (rl["rollout_s"] + rl["update_s"]))
    assert measured["peak_memory_gib"] == {"sft": None, "rl": None}
    results = {"date": "2026-01-01", "gpu": "none", "machine": {"cores": 2}, "runs": [measured]}
    rl_gpu.write(results, tmp_path)
    assert json.loads((tmp_path / "rl_gpu.json").read_text())["runs"][0]["weights"] == measured["weights"]
    page = (tmp_path / "rl_gpu.md").read_text()
    assert "| off |" in page and "weights" in page


def test_says_that_there_is_no_gpu_and_writes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(rl_gpu, "write", lambda *arguments: pytest.fail("wrote results"))
    assert rl_gpu.main() != 0
    assert "no GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA L4", 121e12), ("GPU 1", None)],
)
def test_peaks_by_name(name, peak):
    assert rl_gpu.peak_of(name) == peak
