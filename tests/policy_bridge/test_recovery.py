import pytest
from policy_bridge.recovery import RETRY_NS, Recovery

S = 1_000_000_000


def lost(wait_s=10):
    return Recovery("server gone", 0, wait_s * S)


def test_steps_come_in_order_and_once():
    recovery = lost()
    assert recovery.todo(1) == "wait"  # the arm is still moving
    recovery.on_mode("HOLD")
    assert [recovery.todo(2), recovery.todo(3)] == ["open", "wait"]
    recovery.on_session()
    assert [recovery.todo(4), recovery.todo(5)] == ["ask", "wait"]
    recovery.on_mode("POLICY")
    assert recovery.todo(6) == "resume"


def test_the_server_is_asked_again_after_a_while():
    recovery = lost()
    recovery.on_mode("HOLD")
    now = 1
    for _ in range(5):
        assert recovery.todo(now) == "open"
        recovery.on_refusal(now)
        assert recovery.todo(now + RETRY_NS - 1) == "wait"
        now += RETRY_NS


def test_authority_of_before_the_outage_does_not_resume_the_run():
    recovery = lost()
    recovery.on_mode("POLICY")  # said again before the hold took effect
    assert recovery.todo(1) == "wait"
    recovery.on_mode("HOLD")
    recovery.todo(2)
    recovery.on_session()
    recovery.on_mode("POLICY")  # somebody else gave it: the run did not ask yet
    assert recovery.todo(3) == "wait"
    recovery.on_mode("HOLD")
    assert recovery.todo(4) == "ask"


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "the arm did not come to HOLD"),
        ([lambda r: r.on_mode("HOLD")], "the server did not come back"),
        ([lambda r: r.on_mode("HOLD"), lambda r: r.on_refusal(2)], "the server did not come back"),
        ([lambda r: r.on_mode("HOLD"), lambda r: r.on_session()], "the driver did not give the policy authority again"),
        (
            [lambda r: r.on_mode("HOLD"), lambda r: r.on_session(), lambda r: r.on_mode("POLICY")],
            "the arm did not stay in HOLD",
        ),
    ],
)
def test_it_is_given_up_in_the_end(events, words):
    recovery = lost(wait_s=3)
    for event in events:
        event(recovery)
    if "authority" in words:
        assert recovery.todo(3) == "ask"
    recovery.todo(2 * S)
    assert recovery.todo(3 * S) == "give up"
    assert recovery.verdict() == f"server gone; {words} within 3 s"
