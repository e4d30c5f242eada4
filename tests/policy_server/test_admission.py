import pytest
from policy_api.errors import DeadlineExceeded

from policy_server.admission import InferTimes, check_in_time

MS = 1_000_000
BUCKETS = (1, 2, 4, 8)


@pytest.fixture
def times():
    known = InferTimes(BUCKETS)
    for bucket, ms in ((1, 10), (2, 11), (4, 12), (8, 14)):
        known.measured(bucket, ms * MS)
    return known


@pytest.mark.parametrize(("rows", "bucket"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (20, 8)])
def test_bucket_is_the_smallest_that_holds_the_rows(times, rows, bucket):
    assert times.bucket_of(rows) == bucket


def test_nothing_is_expected_of_what_was_never_measured():
    times = InferTimes(BUCKETS)
    assert times.expected_ns(8) == 0
    times.measured(2, 5 * MS)
    assert [times.expected_ns(rows) for rows in (1, 2, 8)] == [0, 5 * MS, 5 * MS]


def test_one_stall_does_not_move_what_is_expected_but_a_slower_policy_does(times):
    times.measured(1, 10 * MS)
    times.measured(1, 5000 * MS)
    assert times.expected_ns(1) == 10 * MS
    for _ in range(30):
        times.measured(1, 40 * MS)
    assert times.expected_ns(1) == 40 * MS
    assert times.expected_ns(8) == 40 * MS, "a larger batch is never expected to be faster"


@pytest.mark.parametrize(
    ("ahead", "free_ms", "late_ms"),
    [
        (0, 0, 10),  # idle: one inference of its own
        (0, 105, 15),  # what runs now ends at 105
        (1, 0, 11),  # rides in a batch of two
        (8, 0, 24),  # a full batch before it
        (17, 0, 39),  # two full batches, and one other in its own
    ],
)
def test_answer_that_would_be_late_is_refused_saying_by_how_much(times, ahead, free_ms, late_ms):
    now_ns = 100 * MS
    with pytest.raises(DeadlineExceeded, match=rf"come {late_ms}.0 ms after the deadline.*fewer clients"):
        check_in_time(times, ahead, free_ms * MS, deadline_ns=now_ns, now_ns=now_ns)
    check_in_time(times, ahead, free_ms * MS, deadline_ns=now_ns + late_ms * MS, now_ns=now_ns)


def refused(times, now_ns):
    try:
        check_in_time(times, 0, 0, now_ns + 5 * MS, now_ns)
    except DeadlineExceeded:
        return True
    return False


def test_policy_that_was_slow_is_tried_again_after_a_second_of_refusals(times):
    outcomes = [refused(times, at * 100 * MS) for at in range(12)]
    assert outcomes == [True] * 11 + [False]
    times.measured(1, 2 * MS)
    assert not refused(times, 2000 * MS)
    times.measured(1, 30 * MS)
    times.measured(1, 30 * MS)
    assert refused(times, 9000 * MS), "what was measured since counts at once"
