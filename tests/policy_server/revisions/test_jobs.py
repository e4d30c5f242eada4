"""Loads in the background: one at a time, followed by any number of callers, outliving all of them."""

import threading

import pytest
from revision_policies import until

from policy_server.revisions.errors import CheckpointRefused, LoadInProgress
from policy_server.revisions.jobs import LoadJobs
from policy_server.revisions.progress import Phase, Progress


class SlowLoader:
    """Verifies, then waits until it is told how to end."""

    def __init__(self):
        self.started, self.go = threading.Event(), threading.Event()
        self.error = None
        self.loaded = []

    def load(self, checkpoint, revision, report):
        report(Progress(Phase.VERIFYING, 0.5))
        self.started.set()
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        report(Progress(Phase.ADMITTED, 1.0))
        self.loaded.append(checkpoint)


@pytest.fixture
def slow():
    loader = SlowLoader()
    yield loader
    loader.go.set()


def always():
    return True


def test_everybody_who_follows_sees_all_of_it(slow):
    jobs = LoadJobs(slow)
    early = jobs.start("one", "").follow(always)
    assert next(early).phase is Phase.VERIFYING
    late = jobs.start("one", "").follow(always)
    slow.go.set()
    assert [step.phase for step in late] == [Phase.VERIFYING, Phase.ADMITTED]
    assert [step.phase for step in early] == [Phase.ADMITTED]
    assert slow.loaded == ["one"]


def test_a_load_goes_on_when_its_caller_has_gone(slow):
    jobs = LoadJobs(slow)
    wanted = threading.Event()
    wanted.set()
    following = jobs.start("one", "").follow(wanted.is_set)
    assert next(following).phase is Phase.VERIFYING
    wanted.clear()
    assert list(following) == []
    slow.go.set()
    until(lambda: slow.loaded == ["one"])


def test_another_one_has_to_wait(slow):
    jobs = LoadJobs(slow)
    first = jobs.start("one", "")
    assert slow.started.wait(20)
    for other in (("two", ""), ("one", "f" * 64)):
        with pytest.raises(LoadInProgress, match=r"is loading 'one' \(verifying\) and loads one at a time"):
            jobs.start(*other)
    slow.go.set()
    list(first.follow(always))
    assert len(list(jobs.start("two", "").follow(always))) == 2
    assert slow.loaded == ["one", "two"]


def test_whoever_follows_learns_why_it_failed_without_the_frames_of_it(slow):
    jobs = LoadJobs(slow)
    slow.error = CheckpointRefused("damaged")
    job = jobs.start("one", "")
    slow.go.set()
    for _ in range(2):
        with pytest.raises(CheckpointRefused, match="damaged") as raised:
            list(job.follow(always))
        assert raised.value is not slow.error
        assert raised.value.__cause__ is None
    assert job.ended
    slow.error = None
    assert len(list(jobs.start("one", "").follow(always))) == 2  # once more


def test_what_was_loaded_in_the_background_answers(loader, operations):
    jobs = LoadJobs(loader)
    assert list(jobs.start("one", "").follow(always))[-1].phase is Phase.ADMITTED
    with pytest.raises(CheckpointRefused, match="relative"):
        list(jobs.start("../one", "").follow(always))
    assert [view.slot for view in operations.revisions("")] == ["stable"]
