"""Evaluation refuses what would flatter."""

import io

import pytest
from rich.console import Console

from sim_train.evaluate import evaluate, film


@pytest.mark.parametrize("seed", [0, 999_999, 2_000_000])
def test_only_evaluation_seeds_are_evaluated_on(tiny_policy, tmp_path, seed):
    with pytest.raises(ValueError, match="evaluation"):
        evaluate(tiny_policy, [seed], 1, 1, Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="evaluation"):
        film(tiny_policy, seed, tmp_path / "v.mp4")


def test_at_least_one_episode(tiny_policy):
    with pytest.raises(ValueError, match="at least one"):
        evaluate(tiny_policy, [], 1, 1, Console(file=io.StringIO()))
