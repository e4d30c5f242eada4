from types import SimpleNamespace

import numpy as np
import pytest
from policy_api.errors import ServerFault
from policy_api.schema import Committed
from serving_fakes import CountingPolicy, FakePolicy, PrefixPolicy, make_contract, make_request

from policy_server.batch_runner import BatchRunner
from policy_server.seam import Answer

BUCKETS = (1, 2, 4, 8)


def run(policy, requests):
    runner = BatchRunner(policy, BUCKETS)
    return runner.rows(runner.infer(requests), requests)


def test_rows_are_padded_to_a_bucket_and_answered_by_their_own_request():
    policy = FakePolicy(make_contract(cameras=2))
    requests = [make_request(joint1, spec=policy.spec) for joint1 in (0.5, -1.0, 2.0)]
    for shade, request in enumerate(requests):
        request.images["camera1"][:] = shade
    answers = run(policy, requests)
    (batch,) = policy.batches
    assert batch.state.shape == (4, 7)
    assert batch.images["camera0"].shape == batch.images["camera1"].shape == (4, 16, 16, 3)
    assert batch.images["camera1"][:, 0, 0, 0].tolist() == [0, 1, 2, 2], "the last row is repeated"
    assert len(batch.instructions) == 4
    assert [answer.actions[0, 0] for answer in answers] == pytest.approx([0.005, -0.01, 0.02])
    assert [answer.batch for answer in answers] == [3, 3, 3]
    assert all(answer.actions.shape == (3, 4) and answer.memory is None for answer in answers)


def test_times_are_of_the_stages():
    policy = FakePolicy(delay_s=0.02)
    request = make_request(spec=policy.spec)
    request.queued_ns = request.arrived_ns
    (answer,) = run(policy, [request])
    assert answer.infer_ns >= 20_000_000
    assert min(answer.queue_ns, answer.preprocess_ns, answer.postprocess_ns) >= 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(np.nan, r"actions\[2\].dx is nan"), (0.06, r"actions\[2\].dx is 0.06.*allows -0.05..0.05 m")],
)
def test_bad_row_fails_alone(spoil, words):
    policy = FakePolicy()

    def spoiled(actions):
        actions[1, 2, 0] = spoil
        return actions

    policy.spoil = spoiled
    good, bad, other = run(policy, [make_request(0.1 * i) for i in range(3)])
    assert isinstance(good, Answer)
    assert isinstance(other, Answer)
    with pytest.raises(ServerFault, match=words):
        raise bad


def raised(actions):
    raise RuntimeError("/secret/weights.py")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a[:, :2], r"shape \(2, 2, 4\), the contract says \(2, 3, 4\)"),
        (lambda a: a[:1], r"shape \(1, 3, 4\)"),
        (lambda a: a.astype(np.float64), "float32 array, got float64"),
        (lambda a: a.tolist(), "float32 array, got list"),
        (raised, "the policy raised an error; the server's log holds it$"),
    ],
)
def test_batch_that_is_no_use_at_all(spoil, words):
    policy = FakePolicy()
    policy.spoil = spoil
    with pytest.raises(ServerFault, match=words):
        run(policy, [make_request(), make_request()])


def test_policy_may_use_its_output_again():
    """A compiled policy may answer in the same buffer every time."""
    policy = FakePolicy()
    buffer = np.zeros((1, 3, 4), np.float32)

    def into_buffer(actions):
        buffer[:] = actions
        return buffer

    policy.spoil = into_buffer
    (first,) = run(policy, [make_request(1.0)])
    run(policy, [make_request(-1.0)])
    assert first.actions[0, 0] == pytest.approx(0.01)


def test_recurrent_policy_gets_and_gives_a_memory_a_row():
    policy = CountingPolicy()
    answers = run(policy, [make_request(memory=memory) for memory in (None, 7, 3)])
    assert policy.batches[0].memory == [None, 7, 3, 3]
    assert [answer.memory for answer in answers] == [1, 8, 4]
    assert [answer.actions[0, 1] for answer in answers] == pytest.approx([0.0, 0.007, 0.003])


@pytest.mark.parametrize("memory", [None, [1]])
def test_recurrent_policy_that_forgets_a_memory(memory):
    policy = FakePolicy()
    policy.recurrent = True
    act = policy.act
    policy.act = lambda *rows, **extras: SimpleNamespace(actions=act(*rows, **extras).actions, memory=memory)
    with pytest.raises(ServerFault, match="one memory a row, 2 of them"):
        run(policy, [make_request(), make_request()])


def test_conditioned_policy_is_told_what_is_committed():
    policy = PrefixPolicy()
    prefix = Committed(np.full((3, 4), 0.02, np.float32), delay_steps=2)
    free, bound = run(policy, [make_request(0.5), make_request(0.5, committed=prefix)])
    assert policy.batches[0].committed == [None, prefix]
    assert (free.frozen_rows, bound.frozen_rows) == (0, 2)
    assert bound.actions[:, 0] == pytest.approx([0.02, 0.02, 0.005])


def test_numbers_on_the_edge_of_their_range_are_counted():
    runner = BatchRunner(FakePolicy(), BUCKETS)
    actions = np.array([[0.05, -0.05, 0.0, 0.07], [0.0499, 0.0, 0.0499999, 0.03]], np.float32)
    assert runner.clipped(actions) == 4
