import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_fakes import make_request

from policy_server.batching import WINDOW_NS, Batcher, rank
from policy_server.seam import Priority

MS = 1_000_000
ROBOT, EVALUATION, SHADOW = Priority


def fixed(ms=10, extra_ms=1):
    """Expected time of a batch: `ms` and `extra_ms` for every further row."""
    return lambda rows: (ms + extra_ms * (rows - 1)) * MS


def request(now_ms, left_ms=1000, priority=ROBOT):
    return make_request(now_ns=now_ms * MS, left_s=left_ms * 1e-3, priority=priority)


@pytest.fixture
def batcher():
    return Batcher(8, fixed())


def add(batcher, now_ms, *requests):
    for each in requests:
        batcher.add(each, now_ms * MS)


def test_a_robot_alone_never_waits(batcher):
    for turn in range(5):
        only = request(turn * 100)
        add(batcher, turn * 100, only)
        assert batcher.next(turn * 100 * MS).batch == [only]
        batcher.finished(1, (turn * 100 + 10) * MS)
    assert batcher.next(0).batch == []
    assert batcher.next(0).wake_ns is None


def test_crowd_is_waited_for_two_milliseconds_at_most(batcher):
    crowd = [request(0) for _ in range(4)]
    add(batcher, 0, *crowd)
    assert batcher.next(0).batch == crowd
    first, second = request(11), request(11)
    add(batcher, 11, first)  # came while the batch ran: four and one are expected
    batcher.finished(4, 13 * MS)
    waiting = batcher.next(13 * MS)
    assert (waiting.batch, waiting.wake_ns) == ([], 13 * MS + WINDOW_NS)
    add(batcher, 14, second)
    assert batcher.next(14 * MS).batch == []
    assert batcher.next(15 * MS).batch == [first, second]


def test_whole_crowd_starts_at_once(batcher):
    add(batcher, 0, request(0), request(0))
    batcher.next(0)
    batcher.finished(2, 11 * MS)
    add(batcher, 12, request(12))
    assert batcher.next(12 * MS).wake_ns == 14 * MS, "the window begins when the first one comes"
    add(batcher, 13, request(13))
    assert len(batcher.next(13 * MS).batch) == 2


def test_crowd_that_has_gone_is_not_waited_for(batcher):
    add(batcher, 0, *[request(0) for _ in range(8)])
    batcher.next(0)
    batcher.finished(8, 17 * MS)
    late = request(40)
    add(batcher, 40, late)
    assert batcher.next(40 * MS).batch == [late]


def test_window_ends_before_the_earliest_deadline(batcher):
    add(batcher, 0, *[request(0) for _ in range(8)])
    batcher.next(0)
    batcher.finished(8, 17 * MS)
    tight = request(17, left_ms=18)  # a full batch takes 17
    add(batcher, 17, tight, request(17))
    assert batcher.next(17 * MS).wake_ns == 18 * MS
    assert batcher.next(18 * MS).batch[0] is tight


def test_evaluation_fills_free_rows_and_costs_no_robot_its_deadline(batcher):
    robot = request(0, left_ms=12)
    evaluations = [request(0, priority=EVALUATION) for _ in range(9)]
    add(batcher, 0, *evaluations, robot)
    assert batcher.next(0).batch == [robot, *evaluations[:2]], "a fourth row would make the robot late"
    batcher.finished(3, 12 * MS)
    assert len(batcher.next(20 * MS).batch) == 7


def test_robots_go_before_evaluation_before_shadows(batcher):
    shadow, evaluation, late_robot, robot = (
        request(0, 500, SHADOW),
        request(0, 500, EVALUATION),
        request(0, 900),
        request(0, 800),
    )
    add(batcher, 0, shadow, evaluation, late_robot, robot)
    assert batcher.next(0).batch == [robot, late_robot, evaluation, shadow]


def test_what_cannot_be_answered_in_time_is_given_back(batcher):
    late, good = request(0, left_ms=5), request(0)
    add(batcher, 0, late, good)
    decision = batcher.next(0)
    assert (decision.late, decision.batch) == ([late], [good])


def test_cancelled_requests_are_dropped(batcher):
    gone, good = request(0), request(0)
    add(batcher, 0, gone, good)
    gone.answer.cancel()
    assert batcher.before(request(1)) == 1
    assert batcher.next(0).batch == [good]


class Simulation:
    """A worker that follows the decisions: requests come while it runs, and it asks again when it was told to."""

    def __init__(self, max_rows, expected_ns):
        self.batcher = Batcher(max_rows, expected_ns)
        self.max_rows, self.expected_ns = max_rows, expected_ns
        self.waiting, self.served, self.late, self.cancelled = [], [], [], []
        self.running, self.free_ns, self.wake_ns = 0, 0, None

    def play(self, events):
        """`events`: (ns, a request that comes or None: the oldest one that waits is cancelled), in order of time."""
        events = list(events)
        while True:
            moments = [events[0][0]] if events else []
            moments += [self.free_ns] if self.running else [] if self.wake_ns is None else [self.wake_ns]
            if not moments:
                return
            now_ns = min(moments)
            if self.running and now_ns == self.free_ns:
                self.batcher.finished(self.running, now_ns)
                self.running = 0
            while events and events[0][0] == now_ns:
                self.happen(events.pop(0)[1], now_ns)
            if not self.running:
                self.decide(now_ns)

    def happen(self, request, now_ns):
        if request is not None:
            self.waiting.append(request)
            self.batcher.add(request, now_ns)
        elif self.waiting:
            self.cancelled.append(self.waiting.pop(0))
            self.cancelled[-1].answer.cancel()

    def decide(self, now_ns):
        decision = self.batcher.next(now_ns)
        batch, self.wake_ns = decision.batch, decision.wake_ns
        assert all(now_ns + self.expected_ns(1) > r.deadline_ns for r in decision.late), "given up too early"
        assert all(now_ns + self.expected_ns(len(batch)) <= r.deadline_ns for r in batch), "started too late"
        assert len(batch) <= self.max_rows
        for request in [*batch, *decision.late]:
            self.waiting.remove(request)  # ValueError if it did not wait, or was given twice
        self.served += batch
        self.late += decision.late
        if batch:
            assert [rank(r) for r in batch] == sorted(rank(r) for r in batch)
            assert all(rank(r) >= rank(batch[0]) for r in self.waiting), "somebody of a higher rank was left behind"
            self.running, self.free_ns, self.wake_ns = len(batch), now_ns + self.expected_ns(len(batch)), None
        elif self.wake_ns is None:
            assert not self.waiting, "somebody was forgotten"
        else:
            assert now_ns < self.wake_ns <= now_ns + WINDOW_NS


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 6_000_000),  # ns since the one before
        st.one_of(st.none(), st.tuples(st.sampled_from(Priority), st.integers(0, 60))),  # a request: rank, ms left
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=300)
@given(EVENTS, st.integers(1, 8), st.integers(1, 20), st.integers(0, 3))
def test_everybody_is_served_once_in_order_and_in_time(drawn, max_rows, ms, extra_ms):
    now_ns, events = 0, []
    for after_ns, event in drawn:
        now_ns += after_ns
        request = event and make_request(priority=event[0], now_ns=now_ns, left_s=event[1] * 1e-3)
        events.append((now_ns, request))
    simulation = Simulation(max_rows, fixed(ms, extra_ms))
    simulation.play(events)
    fates = simulation.served + simulation.late + simulation.cancelled
    assert {id(r) for r in fates} == {id(r) for _, r in events if r is not None}, "each request has a fate"
    assert len({id(r) for r in fates}) == len(fates), "and only one"
    assert len(simulation.batcher) == 0


def test_evaluation_goes_on_while_robots_come_and_robots_never_wait_for_it():
    """Two robots that ask every 25 ms of a policy that takes 10, and evaluation that always has ten in the queue."""
    events = [(at * MS, request(at, left_ms=40)) for at in range(0, 1000, 25) for _ in range(2)]
    events += [(at * MS, request(at, left_ms=60_000, priority=EVALUATION)) for at in range(1000)]
    simulation = Simulation(8, fixed())
    simulation.play(sorted(events, key=lambda event: event[0]))
    assert not simulation.late
    assert sum(r.priority is ROBOT for r in simulation.served) == 80
    in_the_second = [r for r in simulation.served[:500] if r.priority is EVALUATION]
    assert len(in_the_second) > 200
