"""How `make test` shares its work."""

from pathlib import Path

import pytest
from run_tests import NO_TESTS, ROOT, TRAINING, groups, names_paths, status


def test_every_folder_of_tests_is_run_once():
    training, others = groups(["-m", "not slow"]).values()
    assert training[:2] == others[:2] == ["-m", "not slow"]
    assert training[2:] == list(TRAINING)
    assert others[2:] == [*(f"--ignore={folder}" for folder in TRAINING), "tests"]
    assert all((ROOT / folder).is_dir() for folder in TRAINING)
    assert Path(__file__).is_relative_to(ROOT / "tests")


@pytest.mark.parametrize(
    ("arguments", "certain"),
    [
        (["-m", "not slow"], False),
        (["-k", "can"], False),
        (["-x", "--durations=5"], False),
        (["-m", "not slow", "tests/piper_can"], True),
        (["tests/setup/test_run_tests.py::test_every_folder_of_tests_is_run_once"], True),
    ],
)
def test_paths_are_recognised(arguments, certain):
    assert names_paths(arguments) is certain


def test_one_failure_is_a_failure():
    assert status([0, 0]) == 0
    assert status([0, 1]) == status([1, 0]) == status([1, NO_TESTS]) == 1
    assert status([0, NO_TESTS]) == 0
    assert status([NO_TESTS, NO_TESTS]) == NO_TESTS
    assert status([0, -11]) == 11
