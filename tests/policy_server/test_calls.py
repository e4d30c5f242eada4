import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.errors import (
    ContractMismatch,
    DeadlineExceeded,
    InvalidMessage,
    InvalidObservation,
    PermissionDenied,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
    StaleRequest,
    Superseded,
    UnknownModel,
    UnknownSession,
)
from policy_api.images import encode_jpeg
from policy_api.schema import Committed, EncodedImage, Observation
from serving_fakes import SECOND_NS, CountingPolicy, FakePolicy, PrefixPolicy, make_contract

from policy_server.calls import PolicyCalls
from policy_server.fixed_hub import FixedHub
from policy_server.front import Caller
from policy_server.seam import Answer, Placement, Priority
from policy_server.served import ServedRevision
from policy_server.sessions import SessionTable

JPEG = encode_jpeg(np.full((48, 64, 3), 99, np.uint8), 90)


class LedgerHub(FixedHub):
    """Counts what is placed and released, and remembers outcomes and results."""

    def __init__(self, policies):
        super().__init__(policies)
        self.asked, self.outcomes, self.results = [], [], []
        self.held = Counter()

    def place(self, *arguments):
        placement = super().place(*arguments)
        self.asked.append(arguments)
        placement = Placement(placement.served, "canary" if arguments[1] == "try" else "stable")
        self.held[id(placement)] += 1
        self.kept = [*getattr(self, "kept", []), placement]  # ids are of things that live
        return placement

    def judged(self, placement, outcome):
        assert self.held[id(placement)] == 1, "judged after it was released"
        self.asked.append(("judged", outcome))

    def release(self, placement, outcome):
        assert self.held[id(placement)] == 1, "released twice, or never placed"
        self.held[id(placement)] -= 1
        self.outcomes.append(outcome)

    def answered(self, placement, request, result):
        self.results.append(result)


class Watcher:
    def __init__(self):
        self.chunks = []

    def chunk(self, chunk):
        self.chunks.append(chunk)


@pytest.fixture
def build():
    made = []

    def build(*policies, **options):
        hub = LedgerHub(policies or [FakePolicy()])
        table = SessionTable(**options)
        calls = PolicyCalls(hub, table, Watcher())
        calls.hub, calls.table = hub, table
        made.append((calls, policies))
        return calls

    yield build
    for calls, policies in made:
        for policy in policies:
            policy.gate.set()
        calls.close()
        calls.hub.close()


def caller(identity=None, left_s=20.0, now_ns=None):
    now_ns = time.monotonic_ns() if now_ns is None else now_ns
    return Caller(identity, now_ns, now_ns + round(left_s * SECOND_NS), lambda: True)


def opened(calls, who=None, **fields):
    return calls.open_session(pb.OpenSessionRequest(**{"robot_id": "robot-1", **fields}), who or caller())


def message(session, seq, joint1=0.0, committed=None, step=0):
    images = {"camera0": EncodedImage("jpeg", 64, 48, JPEG, 0)}
    state = np.array([joint1, 0, 0, 0, 0, 0, 0.03], np.float32)
    request = serde.observation_to_proto(Observation(state, images, "push the red cube", 7, step, committed))
    request.session_id, request.epoch, request.seq = session.session_id, session.epoch, seq
    return request


def held(calls):
    return sum(calls.hub.held.values())


def test_answer_carries_what_it_belongs_to(build):
    calls = build()
    session = opened(calls, lease_ms=5000)
    assert (session.epoch, session.slot, session.lease_ms) == (1, "stable", 5000)
    assert session.p95_infer_us > 0
    assert session.boot_id == calls.info().boot_id != ""
    chunk = calls.infer(message(session, 4, joint1=1.0, step=9), caller())
    assert (chunk.session_id, chunk.epoch, chunk.obs_seq) == (session.session_id, 1, 4)
    assert (chunk.obs_ns, chunk.first_step, chunk.dt_ns) == (7, 9, 100_000_000)
    assert (chunk.revision, chunk.spec_hash) == ("a" * 64, make_contract().spec_hash)
    assert (chunk.merge, chunk.frozen_rows, chunk.timing.batch) == (pb.MERGE_UNSPECIFIED, 0, 1)
    assert isinstance(calls.hub.results[0], Answer)
    (told,) = calls._observer.chunks
    assert (told.robot_id, told.model, told.seq, told.step, told.slot) == ("robot-1", "fake", 4, 9, "stable")


def test_every_model_is_listed_and_chosen_by_name(build):
    calls = build(FakePolicy(make_contract("one")), PrefixPolicy(make_contract("two"), "b" * 64))
    assert [(s.model, s.prefix_steps) for s in calls.info().specs] == [("one", 0), ("two", 2)]
    assert opened(calls, model="two").spec.revision == "b" * 64
    with pytest.raises(UnknownModel, match="name one of: one, two"):
        opened(calls)


def test_places_are_given_back_with_the_outcome(build):
    calls = build()
    session = opened(calls, episode_id="1", stable_only=True)
    assert calls.hub.asked == [("robot-1", "1", "", "", True)]
    ended = pb.ResetSessionRequest(session_id=session.session_id, episode_id="try", outcome=pb.SUCCESS)
    session = calls.reset_session(ended, caller())
    assert (session.epoch, session.slot) == (2, "canary")
    assert [each[0] for each in calls.hub.asked[-2:]] == ["judged", "robot-1"]  # the verdict is known to who places
    assert calls.hub.asked[-1] == ("robot-1", "try", "fake", "", True)
    calls.reset_session(pb.ResetSessionRequest(session_id=session.session_id, keep_revision=True), caller())
    assert calls.hub.asked[-1] == ("robot-1", "", "fake", "a" * 64, True)
    assert held(calls) == 1
    calls.close_session(pb.CloseSessionRequest(session_id=session.session_id, outcome=pb.FAILURE), caller())
    assert calls.hub.outcomes == ["success", "", "failure"]
    assert held(calls) == 0


def test_refused_sessions_hold_no_place(build, monkeypatch):
    calls = build()
    with pytest.raises(ContractMismatch):
        opened(calls, expect_spec_hash="other")
    monkeypatch.setattr("policy_server.sessions.MAX_SESSIONS", 1)
    opened(calls)
    with pytest.raises(ServerBusy):
        opened(calls)
    assert held(calls) == 1


def test_silent_session_frees_its_place_for_the_next_one(build, monkeypatch):
    monkeypatch.setattr("policy_server.sessions.MAX_SESSIONS", 1)
    calls = build(lease_ns=SECOND_NS)
    now_ns = time.monotonic_ns()
    opened(calls, caller(now_ns=now_ns))
    opened(calls, caller(now_ns=now_ns + SECOND_NS))
    assert held(calls) == len(calls.table) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"robot_id": "x" * 200}, "robot_id has 200 characters; at most 128"),
        ({"episode_id": "x" * 129}, "episode_id has 129 characters"),
        ({"priority": 9}, "priority 9 is unknown; send ROBOT, EVALUATION or SHADOW"),
    ],
)
def test_fields_that_make_no_sense(build, fields, words):
    with pytest.raises(InvalidMessage, match=words):
        opened(build(), **fields)


def test_outcome_that_makes_no_sense(build):
    calls = build()
    session = opened(calls)
    for call, request in (
        (calls.close_session, pb.CloseSessionRequest(session_id=session.session_id, outcome=7)),
        (calls.reset_session, pb.ResetSessionRequest(session_id=session.session_id, outcome=7)),
    ):
        with pytest.raises(InvalidMessage, match="outcome 7 is unknown"):
            call(request, caller())
    calls.infer(message(session, 1), caller())


def test_certificate_decides_who_a_robot_is(build):
    calls = build()
    with pytest.raises(PermissionDenied, match="robot_id is 'robot-1', your certificate says 'robot-2'"):
        opened(calls, caller("robot-2"))
    session = opened(calls, caller("robot-1"))
    ids = {"session_id": session.session_id}
    for call, request in (
        (calls.infer, message(session, 1)),
        (calls.reset_session, pb.ResetSessionRequest(**ids)),
        (calls.close_session, pb.CloseSessionRequest(**ids)),
        (calls.watch, pb.WatchRequest(**ids)),
    ):
        with pytest.raises(PermissionDenied, match="opened by 'robot-1', your certificate says 'robot-2'"):
            call(request, caller("robot-2"))
    calls.infer(message(session, 1), caller("robot-1"))


def test_newest_observation_wins(build):
    policy = FakePolicy()
    calls = build(policy)
    session = opened(calls)
    policy.hold()
    with ThreadPoolExecutor(4) as pool:
        running = pool.submit(calls.infer, message(session, 1, 0.1), caller())
        policy.wait_inside()
        pending = []
        for seq in (2, 3):
            pending.append(pool.submit(calls.infer, message(session, seq, 0.1 * seq), caller()))
            until = time.monotonic() + 20
            while calls.table.all()[0].slot._pending is None or (seq == 3 and not pending[0].done()):
                assert time.monotonic() < until
                time.sleep(0.002)
        policy.gate.set()
        assert running.result(20).obs_seq == 1
        with pytest.raises(Superseded, match="request 2 was superseded by request 3"):
            pending[0].result(20)
        assert serde.chunk_from_proto(pending[1].result(20)).actions[0, 0] == pytest.approx(0.003)
    assert len(calls.hub.results) == 2, "what was superseded says nothing about the revision"


def ask_in_background(pool, calls, policy, session, seq):
    policy.hold()
    asked = pool.submit(calls.infer, message(session, seq), caller())
    policy.wait_inside()
    return asked


def test_memory_lives_in_the_session_and_dies_with_the_episode(build):
    policy = CountingPolicy()
    calls = build(policy)
    one, two = opened(calls), opened(calls)

    def seen(session, seq):
        return round(float(serde.chunk_from_proto(calls.infer(message(session, seq), caller())).actions[0, 1]) * 1000)

    assert [seen(one, seq) for seq in (1, 2, 3)] == [0, 1, 2]
    assert seen(two, 1) == 0
    assert seen(one, 4) == 3
    one = calls.reset_session(pb.ResetSessionRequest(session_id=one.session_id), caller())
    assert [seen(one, 5), seen(one, 6), seen(two, 2)] == [0, 1, 1]


def test_late_answer_of_the_episode_before_is_refused_and_not_remembered(build):
    policy = CountingPolicy()
    calls = build(policy)
    session = opened(calls)
    with ThreadPoolExecutor(1) as pool:
        late = ask_in_background(pool, calls, policy, session, 1)
        session = calls.reset_session(pb.ResetSessionRequest(session_id=session.session_id), caller())
        policy.gate.set()
        with pytest.raises(StaleRequest, match="reset to epoch 2 while epoch 1 was answered"):
            late.result(20)
    chunk = serde.chunk_from_proto(calls.infer(message(session, 2), caller()))
    assert chunk.actions[0, 1] == 0.0


def test_session_that_ends_while_it_is_answered(build):
    policy = FakePolicy()
    calls = build(policy)
    session = opened(calls)
    with ThreadPoolExecutor(1) as pool:
        late = ask_in_background(pool, calls, policy, session, 1)
        calls.close_session(pb.CloseSessionRequest(session_id=session.session_id), caller())
        policy.gate.set()
        with pytest.raises(UnknownSession, match="the session was closed; open a new session"):
            late.result(20)


def test_session_that_ends_just_before_it_is_watched(build, monkeypatch):
    calls = build()
    session = opened(calls)
    watch = calls._events.watch

    def late(session_id):
        calls.close_session(pb.CloseSessionRequest(session_id=session_id), caller())
        return watch(session_id)

    monkeypatch.setattr(calls._events, "watch", late)
    with pytest.raises(UnknownSession, match="the session was closed"):
        calls.watch(pb.WatchRequest(session_id=session.session_id), caller())
    assert calls._events.watched() == []


def test_deadline_that_passes_inside_the_policy(build):
    policy = FakePolicy()
    calls = build(policy)
    session = opened(calls)
    policy.hold()
    with pytest.raises(DeadlineExceeded, match="had not answered at the deadline"):
        calls.infer(message(session, 1), caller(left_s=0.2))
    policy.gate.set()
    assert isinstance(calls.hub.results[0], DeadlineExceeded)
    calls.infer(message(session, 2), caller())
    assert calls.table.all()[0].placement.served.stats.snapshot().deadline_misses == 1


def test_failure_of_the_policy_reaches_the_hub(build):
    policy = FakePolicy()
    calls = build(policy)
    session = opened(calls)
    policy.spoil = lambda actions: actions * np.nan
    with pytest.raises(ServerFault, match="is nan"):
        calls.infer(message(session, 1), caller())
    assert isinstance(calls.hub.results[0], ServerFault)


def test_committed_steps_are_repeated_and_counted(build):
    calls = build(PrefixPolicy())
    session = opened(calls)
    assert session.spec.prefix_steps == 2
    prefix = Committed(np.full((3, 4), 0.02, np.float32), delay_steps=2, first_step=5)
    chunk = serde.chunk_from_proto(calls.infer(message(session, 1, committed=prefix, step=5), caller()))
    assert (chunk.frozen_rows, chunk.merge) == (2, "rtc_prefix")
    np.testing.assert_array_equal(chunk.actions[:2], prefix.actions[:2])


def test_prefix_for_a_policy_that_cannot_use_it(build):
    calls = build()
    session = opened(calls)
    prefix = Committed(np.full((3, 4), 0.02, np.float32), delay_steps=2)
    with pytest.raises(InvalidObservation, match=r"prefix_steps is 0.*leave `committed` out"):
        calls.infer(message(session, 1, committed=prefix), caller())


def test_priority_of_the_session_is_that_of_its_requests(build, monkeypatch):
    calls = build()
    seen = []
    submit = ServedRevision.submit
    monkeypatch.setattr(ServedRevision, "submit", lambda self, request: (seen.append(request), submit(self, request)))
    for priority in (pb.PRIORITY_UNSPECIFIED, pb.ROBOT, pb.EVALUATION, pb.SHADOW):
        calls.infer(message(opened(calls, priority=priority), 1), caller())
    assert [r.priority for r in seen] == [Priority.ROBOT, Priority.ROBOT, Priority.EVALUATION, Priority.SHADOW]


def test_drain_takes_no_more_sessions_and_finishes_the_others(build):
    calls = build()
    session = opened(calls)
    _, events = calls.watch(pb.WatchRequest(session_id=session.session_id), caller())
    calls.drain(SECOND_NS)
    assert [event.draining.grace_ms for event in events] == [1000]
    with pytest.raises(ServerUnavailable, match="about to stop"):
        opened(calls)
    calls.infer(message(session, 1), caller())


def test_storm_of_overlapping_calls_ends_well(build):
    """Twelve threads share four sessions: newer requests, resets, tight deadlines, callers that go away, closings."""
    policy = CountingPolicy(delay_s=0.001)
    calls = build(policy)
    sessions = [opened(calls, robot_id=f"robot-{i}") for i in range(4)]
    numbers, expected = count(1), (StaleRequest, DeadlineExceeded, UnknownSession)

    def storm(seed):
        dice, answered = random.Random(seed), 0
        for _ in range(60):
            at = dice.randrange(4)
            session = sessions[at]
            try:
                move = dice.random()
                if move < 0.05:
                    request = pb.ResetSessionRequest(session_id=session.session_id)
                    sessions[at] = calls.reset_session(request, caller())
                elif move < 0.07:
                    calls.close_session(pb.CloseSessionRequest(session_id=session.session_id), caller())
                    sessions[at] = opened(calls, robot_id=f"robot-{at}")
                else:
                    wanted = dice.random() < 0.9
                    who = replace(caller(left_s=dice.choice([0.002, 0.01, 20.0])), wanted=lambda wanted=wanted: wanted)
                    calls.infer(message(session, next(numbers)), who)
                    answered += 1
            except expected:
                continue
        return answered

    with ThreadPoolExecutor(12) as pool:
        answered = list(pool.map(storm, range(12), timeout=60))
    assert sum(answered) > 10
    assert all(session.slot._pending is None for session in calls.table.all())
    assert calls.table.all()[0].placement.served.waiting == 0
    assert held(calls) == len(calls.table)
    session = opened(calls, robot_id="after")
    calls.infer(message(session, 1), caller())
