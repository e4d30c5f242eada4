"""Shadows give way, see whole episodes where they remember, and are compared with what was answered."""

import numpy as np
import pytest
from policy_api.schema import Committed
from revision_policies import MarkedPolicy, request_for, until

from policy_server.revisions.shadow import MAX_WAITING, ShadowEpisode, Shadows
from policy_server.seam import Answer, Priority
from policy_server.served import ServedRevision

MS = 1_000_000


@pytest.fixture
def serve(spec):
    running = []

    def start(**given):
        policy = MarkedPolicy(spec, "s", 3, **given)
        served = ServedRevision(policy)
        running.append((policy, served))
        return policy, served

    yield start
    for policy, served in running:
        policy.go.set()
        served.close()


@pytest.fixture
def given(spec):
    """The robot's answer: all zero but for the gripper, after 5 ms."""
    actions = np.zeros((spec.horizon, 4), np.float32)
    actions[:, 3] = 0.03
    return Answer(actions, None, 0, 1 * MS, 1 * MS, 2 * MS, 1 * MS, 1)


def test_a_share_of_the_observations_is_asked_evenly(serve, spec, given):
    policy, served = serve()
    shadows, episode, heard = Shadows(), ShadowEpisode("", 0.9), []
    asked = []
    for _ in range(12):
        asked.append(shadows.offer(served, 0.25, episode, request_for(spec), given, heard.append))
        until(lambda: len(heard) == sum(asked))
    assert asked == [False, False, False, True] * 3
    assert heard == [pytest.approx(0.003 / 0.1 / 4)] * 3
    assert policy.rows == 3


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (1.0, 5)])
def test_none_and_all(serve, spec, given, fraction, count):
    _, served = serve()
    shadows, episode, heard = Shadows(), ShadowEpisode("", 0.0), []
    for _ in range(5):
        if shadows.offer(served, fraction, episode, request_for(spec), given, heard.append):
            until(lambda: not episode.is_asked)
    assert len(heard) == count


def test_few_observations_wait_one_a_session_and_the_rest_is_dropped(serve, spec, given):
    policy, served = serve()
    shadows, heard = Shadows(), []
    policy.go.clear()
    episodes = [ShadowEpisode("", 0.0) for _ in range(MAX_WAITING + 2)]

    def offer(episode):
        return shadows.offer(served, 1.0, episode, request_for(spec), given, heard.append)

    assert [offer(episode) for episode in episodes] == [True] * MAX_WAITING + [False] * 2
    assert not offer(episodes[0])
    policy.go.set()
    until(lambda: len(heard) == MAX_WAITING)
    until(lambda: not any(episode.is_asked for episode in episodes))
    assert [offer(episode) for episode in episodes[:1]] == [True]


def test_a_shadow_has_the_robots_time_once_more_and_the_lowest_priority(serve, spec, given, monkeypatch):
    _, served = serve()
    seen = []
    monkeypatch.setattr(served, "submit", seen.append)
    request = request_for(spec, queued_ns=7, step=9, memory="the robot's")
    Shadows().offer(served, 1.0, ShadowEpisode("", 0.0), request, given, lambda distance: None)
    copy = seen[0]
    assert copy.priority is Priority.SHADOW
    assert copy.deadline_ns - request.deadline_ns == 5 * MS
    assert copy.arrived_ns - request.arrived_ns == 5 * MS
    assert (copy.memory, copy.queued_ns, copy.step) == (None, 0, 9)
    assert copy.answer is not request.answer
    assert copy.images is request.images


def test_committed_actions_are_passed_on_to_those_that_can_take_them(serve, spec, given, monkeypatch):
    _, served = serve()
    seen = []
    monkeypatch.setattr(served, "submit", seen.append)
    request = request_for(spec, committed=Committed(given.actions[:3], 2))
    for prefix_steps, expected in ((0, None), (1, None), (2, request.committed)):
        served.prefix_steps = prefix_steps
        Shadows().offer(served, 1.0, ShadowEpisode("", 0.0), request, given, lambda distance: None)
        assert seen[-1].committed is expected


def test_one_that_remembers_is_asked_all_of_an_episode_or_nothing(serve, spec, given):
    _, served = serve(recurrent=True)
    shadows = Shadows()

    def episode_of(draw, revision, count=4):
        episode = ShadowEpisode(revision, draw)
        for _ in range(count):
            if shadows.offer(served, 0.5, episode, request_for(spec), given, lambda distance: None):
                until(lambda: not episode.is_asked)
        return episode.memory

    assert episode_of(0.49, served.revision) == 4  # it has seen each observation, with what it remembered
    assert episode_of(0.51, served.revision) is None
    assert episode_of(0.0, "") is None  # it became the shadow in the middle of the episode


def test_one_that_remembers_and_missed_something_is_left_out_until_the_next_episode(serve, spec, given):
    policy, served = serve(recurrent=True)
    shadows, heard = Shadows(), []
    episode = ShadowEpisode(served.revision, 0.0)

    def offer(**given_time):
        return shadows.offer(served, 1.0, episode, request_for(spec, **given_time), given, heard.append)

    policy.go.clear()
    assert offer()
    assert not offer()  # dropped: it is still busy with the one before
    policy.go.set()
    until(lambda: len(heard) == 1)
    until(lambda: not episode.is_asked)
    assert not offer()
    episode = ShadowEpisode(served.revision, 0.0)
    assert offer(wait_s=-1.0)  # too late: refused
    until(lambda: not episode.is_asked)
    assert not offer()
    assert len(heard) == 1


def test_a_shadow_that_fails_or_is_gone_harms_nobody(serve, spec, given):
    policy, served = serve()
    shadows, episode, heard = Shadows(), ShadowEpisode("", 0.0), []
    policy.spoil = lambda actions: actions * np.nan
    for _ in range(2 * MAX_WAITING):
        assert shadows.offer(served, 1.0, episode, request_for(spec), given, heard.append)
        until(lambda: not episode.is_asked)
    served.close()
    for _ in range(2 * MAX_WAITING):
        assert shadows.offer(served, 1.0, episode, request_for(spec), given, heard.append)
    assert heard == []
