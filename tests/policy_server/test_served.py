import gc
import threading
import time
import weakref
from concurrent.futures import CancelledError

import numpy as np
import pytest
from policy_api.errors import DeadlineExceeded, InvalidObservation, InvalidSpec, ServerFault, ServerUnavailable
from policy_api.schema import Committed
from serving_fakes import CountingPolicy, FakePolicy, PrefixPolicy, make_contract, make_request

from policy_server.seam import Priority
from policy_server.served import ServedRevision


@pytest.fixture
def serve():
    """Serve a policy until the test ends, without its warm-up."""
    running = []

    def start(policy):
        running.append((policy, ServedRevision(policy)))
        return running[-1][1]

    yield start
    for policy, served in running:
        policy.gate.set()
        served.close()


@pytest.fixture
def policy():
    return FakePolicy()


@pytest.fixture
def served(serve, policy):
    return serve(policy)


def ask(served, *joints, **options):
    requests = [make_request(joint1, **options) for joint1 in joints]
    for request in requests:
        served.submit(request)
    return requests


def answer(request):
    return request.answer.result(20)


def test_warm_up_runs_every_size_twice_on_the_policys_thread(served, policy):
    progress = []
    served.warm_up(progress.append)
    assert [len(batch.state) for batch in policy.batches] == [1, 1, 2, 2, 4, 4, 8, 8]
    assert progress == [0.25, 0.5, 0.75, 1.0]
    assert policy.batches[0].instructions == ["push_cube"]
    answer(*ask(served, 1.0))
    assert len(policy.threads) == 1
    assert policy.threads != {threading.get_ident()}
    assert served.p95_infer_ns() > 0
    assert served.stats.snapshot().answers == 1, "only requests are counted"


def test_policy_that_cannot_act_fails_its_warm_up(served, policy):
    policy.spoil = lambda actions: actions * np.nan
    with pytest.raises(ServerFault, match="is nan"):
        served.warm_up()
    policy.spoil = None
    served.warm_up()


def test_contract_must_make_sense(policy):
    policy.spec = make_contract(horizon=0)
    with pytest.raises(InvalidSpec, match="horizon"):
        ServedRevision(policy)


def test_what_waits_is_answered_together(served, policy):
    policy.hold()
    first = ask(served, 0.1)
    policy.wait_inside()
    others = ask(served, 0.2, 0.3, 0.4)
    assert served.waiting == 3
    policy.gate.set()
    assert [answer(r).batch for r in first + others] == [1, 3, 3, 3]
    assert [answer(r).actions[0, 0] for r in first + others] == pytest.approx([0.001, 0.002, 0.003, 0.004])


def test_robots_before_evaluation_before_shadows(served, policy):
    policy.hold()
    ask(served, 0.0)
    policy.wait_inside()
    shadows = ask(served, *[0.3] * 8, priority=Priority.SHADOW)
    evaluations = ask(served, *[0.2] * 8, priority=Priority.EVALUATION)
    robots = ask(served, *[0.1] * 8)
    policy.gate.set()
    for request in shadows + evaluations + robots:
        answer(request)
    order = [round(float(row[0]), 3) for batch in policy.batches[1:] for row in batch.state]
    assert order == [0.1] * 8 + [0.2] * 8 + [0.3] * 8


def test_request_that_cannot_be_answered_in_time_is_refused_at_once(served, policy):
    policy.delay_s = 0.3
    served.warm_up()
    (request,) = ask(served, 0.0, left_s=0.1)
    assert request.answer.done()
    with pytest.raises(DeadlineExceeded, match=r"ms after the deadline: 0.0 ms until .* ms to infer"):
        answer(request)
    assert served.stats.snapshot().deadline_misses == 1


def test_policy_that_was_quicker_than_expected_is_free_at_once(served, policy):
    policy.delay_s = 0.4
    served.warm_up()
    policy.delay_s = 0.0
    answer(*ask(served, 0.0))
    answer(*ask(served, 0.1, left_s=0.6))


def test_deadline_that_passes_while_the_policy_is_busy(served, policy):
    policy.hold()
    (running,) = ask(served, 0.0, left_s=0.2)
    policy.wait_inside()
    (waiting,) = ask(served, 0.1, left_s=0.2)
    time.sleep(0.25)
    policy.gate.set()
    assert answer(running).batch == 1, "an answer that comes too late is still an answer"
    with pytest.raises(DeadlineExceeded, match="busy with other requests"):
        answer(waiting)
    assert served.stats.snapshot().deadline_misses == 2


def test_nothing_is_computed_for_callers_that_have_gone(served, policy):
    policy.hold()
    ask(served, 0.0)
    policy.wait_inside()
    (gone,) = ask(served, 0.1, wanted=lambda: False)
    (cancelled,) = ask(served, 0.2)
    (wanted,) = ask(served, 0.3)
    cancelled.answer.cancel()
    policy.gate.set()
    answer(wanted)
    with pytest.raises(DeadlineExceeded, match="gave up"):
        answer(gone)
    with pytest.raises(CancelledError):
        answer(cancelled)
    assert [row[0] for batch in policy.batches for row in batch.state] == pytest.approx([0.0, 0.3])


def raised(actions):
    raise RuntimeError("broken")


@pytest.mark.parametrize("spoil", [raised, lambda a: a * np.nan, lambda a: None])
def test_thread_survives_whatever_a_policy_does(served, policy, spoil):
    policy.spoil = spoil
    with pytest.raises(ServerFault):
        answer(*ask(served, 0.0))
    policy.spoil = None
    assert answer(*ask(served, 1.0)).actions[0, 0] == pytest.approx(0.01)
    counts = served.stats.snapshot()
    assert (counts.answers, counts.bad_answers) == (1, 1)


def test_clipped_numbers_are_counted(served):
    answer(*ask(served, 5.0))  # dx at the edge in each of three steps
    assert served.stats.snapshot().clipped_numbers == 3
    assert served.stats.snapshot().clipped == pytest.approx(3 / 12)


@pytest.mark.parametrize(
    ("kind", "delay", "words"),
    [(FakePolicy, 1, "cannot be conditioned.*leave `committed` out"), (PrefixPolicy, 3, "at most 2 steps")],
)
def test_prefix_that_the_policy_cannot_use_is_refused(serve, kind, delay, words):
    prefix = Committed(np.zeros((3, 4), np.float32), delay)
    with pytest.raises(InvalidObservation, match=words):
        answer(*ask(serve(kind()), 0.0, committed=prefix))


@pytest.mark.parametrize("kind", [PrefixPolicy, CountingPolicy])
def test_policies_with_more_arguments_are_warmed_up(serve, kind):
    policy = kind()
    serve(policy).warm_up()
    assert len(policy.batches) == 8
    if kind is PrefixPolicy:
        assert {batch.committed[0] is None for batch in policy.batches} == {True, False}


def test_close_refuses_what_waits_and_lets_the_batch_in_progress_end(served, policy):
    policy.hold()
    running = ask(served, 0.0)
    policy.wait_inside()
    waiting = ask(served, 0.1)
    closing = threading.Thread(target=served.close)
    closing.start()
    with pytest.raises(ServerUnavailable, match="being unloaded"):
        answer(*waiting)
    policy.gate.set()
    closing.join(20)
    assert answer(*running).batch == 1
    assert served.closed
    with pytest.raises(ServerUnavailable):
        answer(*ask(served, 0.2))
    with pytest.raises(ServerUnavailable):
        served.warm_up()


def test_memory_of_a_closed_revision_is_free():
    policy = FakePolicy()
    weights = weakref.ref(policy)
    served = ServedRevision(policy)
    served.warm_up()
    served.close()
    del policy, served
    gc.collect()
    assert weights() is None
