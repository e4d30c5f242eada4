"""Gradients from several threads."""

import pytest
import torch

from sim_train.algorithms.parallel import GradientThreads


def test_gradients_add_up_and_reports_keep_their_order():
    weight, unused = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(1))
    data = torch.arange(15.0).view(5, 3)
    with GradientThreads(2) as threads:
        reports = threads.gradient(
            lambda rows: ((data[rows] * weight).sum(), rows.tolist()), [weight, unused], rows=len(data)
        )
    assert torch.equal(weight.grad, data.sum(0))
    assert unused.grad is None
    assert [row for report in reports for row in report] == list(range(5))


def test_fewer_rows_than_threads():
    weight = torch.nn.Parameter(torch.ones(1))
    with GradientThreads(4) as threads:
        reports = threads.gradient(lambda rows: (weight.sum() * len(rows), len(rows)), [weight], rows=1)
    assert reports == [1]
    assert weight.grad == 1


def test_map_needs_no_gradient():
    weight = torch.nn.Parameter(torch.ones(1))
    with GradientThreads(2) as threads:
        assert threads.map(lambda rows: (weight * 2).requires_grad, rows=4) == [False, False]


def test_an_error_in_a_thread_comes_out():
    def broken(rows):
        raise ZeroDivisionError

    with GradientThreads(2) as threads, pytest.raises(ZeroDivisionError):
        threads.gradient(broken, [], rows=4)


def test_at_least_one_thread():
    with pytest.raises(ValueError, match="at least one"):
        GradientThreads(0)
