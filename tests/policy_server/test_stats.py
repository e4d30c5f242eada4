from concurrent.futures import ThreadPoolExecutor

from policy_server.stats import RevisionStats


def test_counts_of_many_threads_add_up():
    stats = RevisionStats()

    def work(number):
        stats.answered(10, number % 2)
        stats.deadline_missed()
        stats.bad_answer()
        stats.inferred(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(400)))
    counts = stats.snapshot()
    assert (counts.answers, counts.deadline_misses, counts.bad_answers) == (400, 400, 400)
    assert (counts.numbers, counts.clipped_numbers, counts.clipped) == (4000, 200, 0.05)
    assert counts.busy_ns == sum(range(400))


def test_quantile_is_of_the_latest_inferences():
    stats = RevisionStats()
    assert stats.snapshot().p95_infer_ns == 0
    assert stats.snapshot().clipped == 0.0
    for infer_ns in [10**9] * 600 + list(range(1, 513)):
        stats.inferred(infer_ns)
    assert stats.snapshot().p95_infer_ns == 486
