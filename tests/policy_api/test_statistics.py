import pytest
from policy_api.errors import (
    DeadlineExceeded,
    InvalidActions,
    ServerBusy,
    ServerUnavailable,
    StaleRequest,
    Superseded,
)
from policy_api.schema import Timing
from policy_api.statistics import ClientStatistics

MS = 1_000_000


def answer(statistics, now_ms, rtt_ms, age_ms, timing=None):
    now_ns = now_ms * MS
    statistics.answered(now_ns - rtt_ms * MS, now_ns - age_ms * MS, timing or Timing(), now_ns)


def test_nothing_is_known_before_the_first_answer():
    seen = ClientStatistics().snapshot(5)
    assert (seen.answers, seen.starved, seen.rtt, seen.age, seen.network, seen.server) == (0, 0, None, None, None, {})


def test_quantiles_are_of_the_answers():
    statistics = ClientStatistics()
    for number in range(1, 102):
        answer(statistics, 1000, rtt_ms=number, age_ms=2 * number)
    seen = statistics.snapshot(1000 * MS)
    assert (seen.rtt.p50_ms, seen.rtt.p95_ms, seen.rtt.p99_ms, seen.rtt.max_ms) == (51, 96, 100, 101)
    assert seen.age.p50_ms == 102


def test_what_the_server_did_not_need_was_the_way():
    statistics = ClientStatistics()
    answer(statistics, 1000, 30, 40, Timing(1000, 2000, 10_000, 3000, 4000, batch=3))
    seen = statistics.snapshot(1000 * MS)
    assert seen.network.p50_ms == pytest.approx(10)
    assert {stage: q.p50_ms for stage, q in seen.server.items()} == {
        "queue": 1,
        "decode": 2,
        "preprocess": 3,
        "infer": 10,
        "postprocess": 4,
    }
    assert seen.mean_batch == 3


def test_the_window_forgets_and_the_counts_do_not():
    statistics = ClientStatistics(window_ns=100 * MS)
    answer(statistics, 1000, 1000, 5)
    answer(statistics, 1090, 10, 5)
    assert statistics.snapshot(1100 * MS).rtt.max_ms == 1000
    seen = statistics.snapshot(1101 * MS)
    assert (seen.rtt.max_ms, seen.answers) == (10, 2)
    assert statistics.snapshot(2000 * MS).rtt is None


def test_each_error_has_its_count():
    statistics = ClientStatistics()
    for error in (
        DeadlineExceeded(""),
        Superseded(""),
        Superseded(""),
        StaleRequest(""),
        ServerUnavailable(""),
        ServerBusy(""),
        InvalidActions(""),
    ):
        statistics.failed(error)
    statistics.starved()
    seen = statistics.snapshot(0)
    assert (seen.deadline_misses, seen.superseded, seen.stale, seen.unavailable, seen.refused) == (1, 2, 1, 1, 2)
    assert (seen.starved, seen.answers) == (1, 0)


def test_the_delay_to_count_on_is_that_of_most_answers():
    statistics = ClientStatistics(window_ns=100 * MS)
    assert statistics.delay_steps(20 * MS, 6, 0) == 6  # nothing is known
    answer(statistics, 800, rtt_ms=5000, age_ms=5000)  # the first answer after a start
    for _ in range(100):
        answer(statistics, 1000, rtt_ms=45, age_ms=50)
    assert statistics.delay_steps(20 * MS, 6, 1000 * MS) == 3
    assert statistics.delay_steps(20 * MS, 2, 1000 * MS) == 2
    assert statistics.delay_steps(100 * MS, 6, 1000 * MS) == 1
    for _ in range(10):
        answer(statistics, 1001, rtt_ms=85, age_ms=90)
    assert statistics.delay_steps(20 * MS, 6, 1001 * MS) == 5
