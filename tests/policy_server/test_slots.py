from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from policy_api.errors import ServerFault, StaleRequest, Superseded, UnknownSession
from serving_fakes import make_request

from policy_server.slots import Slot


class Desk:
    """A worker without a thread: what was submitted waits in `queue` until it is taken into the policy."""

    def __init__(self):
        self.queue, self.inside = [], None

    def submit(self, request):
        self.queue.append(request)

    def take(self):
        """The first one that still wants an answer goes into the policy."""
        while self.queue and self.inside is None:
            request = self.queue.pop(0)
            if request.answer.set_running_or_notify_cancel():
                self.inside = request

    def finish(self, memory=None, error=None):
        request, self.inside = self.inside, None
        if error is None:
            request.answer.set_result(SimpleNamespace(memory=memory))
        else:
            request.answer.set_exception(error)


@pytest.fixture
def slot():
    return Slot()


@pytest.fixture
def desk():
    return Desk()


def offer(slot, desk, seq, epoch=1):
    slot.accept(epoch, seq)
    request = make_request()
    slot.offer(epoch, seq, request, desk.submit)
    return request


def test_requests_must_rise(slot):
    slot.accept(1, 1)
    slot.accept(1, 5)
    for seq in (5, 4, 0):
        with pytest.raises(StaleRequest, match=f"request {seq} came after request 5"):
            slot.accept(1, seq)
    slot.accept(1, 6)


def test_reset_ends_the_epoch(slot):
    slot.accept(1, 3)
    slot.check_epoch(1)
    assert slot.reset() == slot.epoch == 2
    with pytest.raises(StaleRequest, match="reset to epoch 2"):
        slot.check_epoch(1)
    for epoch in (0, 1, 3):
        with pytest.raises(StaleRequest, match=f"epoch {epoch}, the session is in epoch 2"):
            slot.accept(epoch, 4)
    with pytest.raises(StaleRequest):
        slot.accept(2, 3)  # a reset does not let an old request through
    slot.accept(2, 4)


def test_request_that_waits_is_superseded(slot, desk):
    first = offer(slot, desk, 1)
    second = offer(slot, desk, 2)
    assert first.answer.cancelled()
    with pytest.raises(Superseded, match="request 1 was superseded by request 2"):
        slot.check(1, 1)
    desk.take()
    assert desk.inside is second


def test_one_runs_and_one_is_pending(slot, desk):
    first = offer(slot, desk, 1)
    desk.take()
    second, third = offer(slot, desk, 2), offer(slot, desk, 3)
    assert desk.queue == []
    assert (first.answer.cancelled(), second.answer.cancelled(), third.answer.cancelled()) == (False, True, False)
    desk.finish()
    assert desk.queue == [third]
    slot.check_epoch(1)  # the first one's answer is still good


def test_older_request_that_was_decoded_later_is_superseded(slot, desk):
    slot.accept(1, 1)
    newer = offer(slot, desk, 2)
    with pytest.raises(Superseded, match="by request 2"):
        slot.offer(1, 1, make_request(), desk.submit)
    assert not newer.answer.cancelled()


def test_memory_goes_from_answer_to_the_next_request_of_the_episode(slot, desk):
    assert offer(slot, desk, 1).memory is None
    desk.take()
    pending = offer(slot, desk, 2)
    desk.finish(memory="one")
    assert pending.memory == "one"
    desk.take()
    desk.finish(error=ServerFault("bad row"))
    assert offer(slot, desk, 3).memory == "one", "a failed answer leaves what was remembered before"


def test_late_answer_of_an_old_epoch_leaves_no_memory(slot, desk):
    old = offer(slot, desk, 1)
    desk.take()
    slot.reset()
    new = offer(slot, desk, 2, epoch=2)
    assert desk.queue == [], "the new episode's request waits for the one inside"
    desk.finish(memory="of the old episode")
    assert desk.queue == [new]
    assert new.memory is None
    assert old.answer.done()


def test_reset_drops_what_waits(slot, desk):
    queued = offer(slot, desk, 1)
    slot.reset()
    assert queued.answer.cancelled()
    offer(slot, desk, 2, epoch=2)
    desk.take()
    pending = offer(slot, desk, 3, epoch=2)
    slot.reset()
    assert pending.answer.cancelled()


def test_end_tells_the_reason(slot, desk):
    queued = offer(slot, desk, 1)
    slot.end("revision abc was unloaded")
    assert queued.answer.cancelled()
    for call in (slot.reset, lambda: slot.accept(1, 2), lambda: slot.check(1, 1)):
        with pytest.raises(UnknownSession, match="revision abc was unloaded; open a new session"):
            call()


def test_worker_that_refuses_at_once(slot, desk):
    def refuse(request):
        assert request.answer.set_running_or_notify_cancel()
        request.answer.set_exception(ServerFault("no"))

    slot.accept(1, 1)
    slot.offer(1, 1, make_request(), refuse)
    assert offer(slot, desk, 2) in desk.queue


class LossyLink(RuleBasedStateMachine):
    """Requests of one session arrive lost, repeated and out of order; resets come in between."""

    def __init__(self):
        super().__init__()
        self.slot, self.desk = Slot(), Desk()
        self.accepted = []  # (epoch, seq), in order
        self.offered = {}  # (epoch, seq) -> request
        self.decoding = []
        self.memory = {}  # epoch -> what the last good answer left
        self.started = []

    @rule(seq=st.integers(1, 12), behind=st.integers(0, 1))
    def arrive(self, seq, behind):
        epoch = self.slot.epoch - behind
        newest = max((s for _, s in self.accepted), default=0)
        try:
            self.slot.accept(epoch, newest + seq - 3)
        except StaleRequest:
            assert behind or seq <= 3
            return
        assert not behind
        assert seq > 3
        self.accepted.append((epoch, newest + seq - 3))
        self.decoding.append(self.accepted[-1])

    @precondition(lambda self: self.decoding)
    @rule(which=st.integers(0, 100))
    def decoded(self, which):
        key = self.decoding.pop(which % len(self.decoding))
        request = make_request()
        try:
            self.slot.offer(*key, request, self.submit)
        except StaleRequest:
            assert key != self.accepted[-1] or key[0] != self.slot.epoch
            return
        assert key == self.accepted[-1]
        self.offered[key] = request

    def submit(self, request):
        self.desk.submit(request)
        (key,) = [key for key, other in self.offered.items() if other is request] or [self.accepted[-1]]
        self.started.append(key)
        assert request.memory == self.memory.get(self.slot.epoch), "it starts from the last answer of its episode"

    @rule()
    def take(self):
        self.desk.take()

    @precondition(lambda self: self.desk.inside is not None)
    @rule(fails=st.booleans())
    def finish(self, fails):
        (key,) = [key for key, request in self.offered.items() if request is self.desk.inside]
        if not fails and key[0] == self.slot.epoch:
            self.memory[key[0]] = key
        self.desk.finish(key, ServerFault("no") if fails else None)

    @rule()
    def reset(self):
        self.slot.reset()

    @invariant()
    def policy_sees_rising_requests(self):
        assert self.started == sorted(set(self.started))

    @invariant()
    def one_waits_at_most(self):
        alive = [r for r in self.offered.values() if not r.answer.done() and r is not self.desk.inside]
        assert len(alive) <= 1

    def teardown(self):
        while self.desk.queue or self.desk.inside:
            self.desk.take()
            if self.desk.inside:
                self.desk.finish()
        assert all(request.answer.done() for request in self.offered.values()), "every caller gets an end"
        if self.accepted and self.accepted[-1] in self.offered and self.accepted[-1][0] == self.slot.epoch:
            assert not self.offered[self.accepted[-1]].answer.cancelled(), "the newest one is answered"


TestLossyLink = LossyLink.TestCase
TestLossyLink.settings = settings(max_examples=60)
