"""What a robot recorded, in the hands of imitation and of reinforcement's anchor."""

import io

import numpy as np
import pytest
import torch
from made_episodes import write
from rich.console import Console

from sim_train.algorithms.anchor import Anchor, AnchorConfig
from sim_train.algorithms.parallel import GradientThreads
from sim_train.config import from_plain
from sim_train.datasets.importing import import_episodes
from sim_train.datasets.index import DatasetError
from sim_train.policies.imitation import SftLossConfig
from sim_train.stages.demonstrate import demonstrate
from sim_train.stages.imitate import Imitation
from sim_train.stages.run import Run

KINDS = {
    "token_vla": {"d_model": 24, "layers": 1, "heads": 2, "mlp": 32, "channels": [4, 8, 8], "bins": 32},
    "mlp": {"width": 32, "channels": [4, 8, 8]},
    "act": {"width": 16, "heads": 2, "mlp": 32, "channels": [4, 8, 8]},
}


@pytest.fixture(scope="module")
def recorded(done, tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    for name in ("ep0001", "ep0002"):
        write(root / "episodes", name, done)
    import_episodes(root / "episodes", root / "set")
    return root / "set"


@pytest.fixture
def run(recorded, tmp_path):
    """Makes runs that learn from the recorded set, without workers."""
    with GradientThreads(1) as threads:

        def make(kind="mlp", task="pick_cube", **changes):
            plain = {
                "output_dir": str(tmp_path / "run"),
                "task": task,
                "policy": {"kind": kind, "sizes": KINDS[kind]},
                "demonstrations": {"source": str(recorded)},
                "sft": {"batch": 16, "steps": 60, "learning_rate": 5e-3},
                **changes,
            }
            return Run(from_plain(plain), None, threads, Console(file=io.StringIO()))

        yield make


@pytest.mark.parametrize("kind", KINDS)
def test_every_small_kind_imitates_it_without_knowing_where_the_object_was(run, kind, done):
    chosen = run(kind)
    shown = demonstrate(chosen)
    assert len(shown) == 2
    learner = Imitation(chosen.threads, chosen.config, shown)
    reports = [learner.advance() for _ in range(60)]
    assert np.isfinite([report.imitation_loss for report in reports]).all()
    assert reports[-1].imitation_loss < 0.5 * reports[0].imitation_loss
    assert reports[-1].target_error_mm == 0.0
    assert all(torch.isfinite(parameter).all() for parameter in learner.policy.parameters())


def test_it_anchors_reinforcement(run, recorded):
    chosen = run("token_vla")
    learner = Imitation(chosen.threads, chosen.config, demonstrate(chosen))
    parameters = list(learner.policy.parameters())
    anchor = Anchor.load(recorded, learner.policy, AnchorConfig(weight=0.2, batch=8), SftLossConfig())
    loss = anchor.add_gradient(learner.policy, parameters, chosen.threads, np.random.default_rng(0))
    assert np.isfinite(loss) and loss > 0
    assert all(torch.isfinite(p.grad).all() for p in parameters if p.grad is not None)
    assert any(p.grad.abs().sum() > 0 for p in parameters if p.grad is not None)


def test_at_most_so_many_episodes_are_used(run):
    assert len(demonstrate(run(demonstrations={"source": run().config.demonstrations.source, "episodes": 1}))) == 1


def test_a_set_of_another_task_or_contract_is_refused(run):
    with pytest.raises(DatasetError, match="shows the task 'pick_cube', which is not one of the run's"):
        demonstrate(run(task="push_cube"))
    with pytest.raises(DatasetError, match=r"another contract than the run \(cameras\[0\].input_size: 64 against 32"):
        demonstrate(run(contract={"image_size": 32}))
