import copy
import time

import pytest
from policy_api.errors import DeadlineExceeded, ServerFault, Superseded, UnknownSession

from policy_server.front import Caller
from policy_server.ray_serve.wire import RemoteCaller, Reply


def raising(error):
    def answer():
        raise error

    return answer


@pytest.mark.parametrize("error", [UnknownSession("open one"), DeadlineExceeded("late"), Superseded("by request 4")])
def test_errors_of_the_protocol_arrive_as_they_were(error):
    reply = Reply.to(raising(error))
    with pytest.raises(type(error), match=str(error)):
        reply.value()


def test_a_defect_shows_nothing_of_its_insides():
    reply = Reply.to(raising(KeyError("secret")))
    assert "secret" not in repr(reply)
    with pytest.raises(ServerFault, match="its log holds the cause"):
        reply.value()
    assert Reply.to(lambda: b"answer").value() == b"answer"


def test_an_error_that_this_end_does_not_know_is_a_fault():
    with pytest.raises(ServerFault, match="text"):
        Reply(error="ErrorOfTheFuture", text="text").value()


def test_time_travels_as_what_is_left():
    now_ns = 5_000_000_000
    caller = Caller("left", now_ns - 1, now_ns + 2_000_000_000, lambda: False, {"traceparent": "00"})
    remote = copy.deepcopy(RemoteCaller.of(caller, now_ns))  # taken apart and put together as Ray does
    assert remote.left_ns == 2_000_000_000
    before = time.monotonic_ns()
    here = remote.here(lambda: True)
    assert before <= here.arrived_ns <= time.monotonic_ns()
    assert here.deadline_ns - here.arrived_ns == 2_000_000_000
    assert (here.identity, here.trace, here.wanted()) == ("left", {"traceparent": "00"}, True)
    late = Caller(None, 0, 10, lambda: True)
    assert RemoteCaller.of(late, 20).left_ns == 0
