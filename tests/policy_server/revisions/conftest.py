import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from revision_policies import MarkedPolicy

from policy_server.revisions.catalog import Catalog
from policy_server.revisions.hub import RevisionHub
from policy_server.revisions.operations import Operations

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
