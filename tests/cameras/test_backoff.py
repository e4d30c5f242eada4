from cameras.backoff import FIRST_NS, LONGEST_NS, Backoff


def test_it_doubles_up_to_a_second_and_begins_anew():
    backoff = Backoff()
    assert [backoff.next_ns() for _ in range(5)] == [FIRST_NS, 2 * FIRST_NS, LONGEST_NS, LONGEST_NS, LONGEST_NS]
    backoff.reset()
    assert backoff.next_ns() == FIRST_NS
