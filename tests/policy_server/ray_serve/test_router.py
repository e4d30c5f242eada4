import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest

from policy_server.ray_serve.router import SessionRouter

REPLICAS = [SimpleNamespace(replica_id=SimpleNamespace(unique_id=name)) for name in "cab"]


@pytest.fixture
def choose():
    router = SessionRouter.__new__(SessionRouter)  # Ray gives it the rest
    router.initialize_state()

    def choice(session="", replicas=REPLICAS):
        pending = SimpleNamespace(
            metadata=SimpleNamespace(session_id=session), routing_context=SimpleNamespace(should_backoff=False)
        )
        ranks = asyncio.run(router.choose_replicas(list(replicas), pending))
        assert pending.routing_context.should_backoff
        return [replica.replica_id.unique_id for rank in ranks for replica in rank]

    return choice


def test_a_session_is_always_sent_where_it_lives_and_nowhere_else(choose):
    for name in "abcabcaab":
        assert choose(name) == [name]


def test_new_sessions_go_round(choose):
    first = [choose()[0] for _ in range(30)]
    assert Counter(first) == {"a": 10, "b": 10, "c": 10}
    assert sorted(choose()) == ["a", "b", "c"]  # the others are asked if the first is busy


def test_a_session_whose_replica_has_gone_is_refused_by_another(choose):
    assert sorted(choose("dead")) == ["a", "b", "c"]


def test_without_replicas_there_is_no_choice(choose):
    router = SessionRouter.__new__(SessionRouter)
    router.initialize_state()
    assert asyncio.run(router.choose_replicas([], None)) == []
