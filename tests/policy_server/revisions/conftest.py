import shutil
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from revision_policies import MarkedPolicy

from policy_server.revisions.catalog import Catalog
from policy_server.revisions.folder import CheckpointFolder
from policy_server.revisions.hub import RevisionHub
from policy_server.revisions.loading import Loader
from policy_server.revisions.operations import Operations
from sim_train.checkpoint import save_policy
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla, TokenVlaConfig

torch.set_num_threads(1)  # many tiny products: more threads only wait for each other
MEGABYTE = 1_000_000


@pytest.fixture
def catalog():
    """Room for weights of 10 MB."""
    made = Catalog(10 * MEGABYTE)
    yield made
    made.close()


@pytest.fixture
def hub(catalog):
    return RevisionHub(catalog)


@pytest.fixture
def operations(catalog):
    return Operations(catalog)


@pytest.fixture
def add(catalog, spec):
    """Put a marked policy of 1 MB into memory: a for mark 1, b for mark 2, and so on."""

    def put(letter, **given):
        policy = MarkedPolicy(given.pop("spec", spec), letter, ord(letter) - ord("a") + 1, **given)
        catalog.add(policy, MEGABYTE)
        policy.rows = 0
        return policy

    return put


TEXT = "push the red cube"


@pytest.fixture(scope="session")
def saved(spec, tmp_path_factory):
    """A folder with the checkpoints one and two of one contract; tests copy what they change."""
    folder = tmp_path_factory.mktemp("saved")
    config = TokenVlaConfig(d_model=32, layers=1, heads=2, mlp=32, bins=16, head_rank=4, bf16=False)
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        save_policy(folder / name, TokenVla(spec, config, build_vocabulary([TEXT])), record={})
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the saved checkpoints, to spoil."""
    copy = tmp_path / "checkpoints"
    shutil.copytree(saved, copy)
    return copy


@pytest.fixture
def loader(folder, catalog):
    return Loader(CheckpointFolder(folder, MEGABYTE), catalog)
