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


@pytest.mark.parametrize("micro_batch", [0, 1, 2, 5])
def test_micro_batches_change_nothing_but_the_number_of_passes(micro_batch):
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(3, generator=generator))
    data = torch.randn(9, 3, generator=generator)
    passes = []

    def loss(rows):
        passes.append(len(rows))
        return (data[rows] @ weight).square().sum(), len(rows)

    with GradientThreads(2, micro_batch) as threads:
        reports = threads.gradient(loss, [weight], len(data))
        assert sum(threads.map(len, len(data))) == sum(reports) == 9
    torch.testing.assert_close(weight.grad, 2 * data.T @ (data @ weight.detach()), atol=1e-5, rtol=0)
    assert max(passes) == (micro_batch or 5)
