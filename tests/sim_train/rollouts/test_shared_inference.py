"""Inference workers: the same answers whoever asks beside whom, and whatever happens to them."""

import functools
import os
import signal
import time

import numpy as np
import pytest
import torch
from toy_env import PHRASES, DyingOnceEnv, HangingOnceEnv, SlowEnv, ToyEnv

from sim_train.rollouts.calls import WorkerFailureError
from sim_train.rollouts.episodes import Job, play, play_episodes, starts_of
from sim_train.rollouts.inference import InferenceError, Query, answer
from sim_train.rollouts.inference_batcher import Batcher
from sim_train.rollouts.players import PolicyPlayer, SharedPlayer
from sim_train.rollouts.pool import WorkerPool
from sim_train.rollouts.weights import weights_of
from sim_train.rollouts.worker import ExpertTask, PolicyTask

JOBS = [Job(i, i, 4) for i in range(6)]


def same(one, other):
    return all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())


def query(policy, rows, seed=0, weights=0, temperature=1.0):
    rng = np.random.default_rng(seed)
    images = {"front": rng.integers(0, 255, (rows, 16, 16, 3), dtype=np.uint8)}
    state = rng.random((rows, 7), dtype=np.float32)
    draws = rng.random((rows, policy.draw_size), dtype=np.float32) if temperature else None
    return Query(weights, temperature, images, state, [PHRASES[i % 2] for i in range(rows)], draws)


@pytest.mark.parametrize("rows", [0, 4])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_does_not_depend_on_who_shares_the_batch(tiny_policy, rows, temperature):
    queries = [query(tiny_policy, n, n, 0, temperature) for n in (1, 3, 1, 7)]
    together = answer(tiny_policy, queries, rows)
    for one, shared in zip(queries, together, strict=True):
        alone = answer(tiny_policy, [one], rows)[0]
        np.testing.assert_array_equal(alone.actions, shared.actions)
        np.testing.assert_array_equal(alone.log_probs, shared.log_probs)
        assert alone.drawn.keys() == shared.drawn.keys() == ({"tokens"} if temperature else set())
        assert len(shared.actions) == len(one)


def test_batches_are_filled_up_to_a_size(tiny_policy, monkeypatch):
    asked = []
    act = tiny_policy.act
    monkeypatch.setattr(tiny_policy, "act", lambda i, state, *rest: asked.append(len(state)) or act(i, state, *rest))
    answer(tiny_policy, [query(tiny_policy, 5), query(tiny_policy, 2)], rows=4)
    answer(tiny_policy, [query(tiny_policy, 1)])
    assert asked == [4, 4, 2]


def test_questions_wait_for_their_weights_and_are_put_together(tiny_policy):
    batcher = Batcher("cpu")
    early = [batcher.ask(query(tiny_policy, 2, i, weights=1)) for i in range(3)]
    time.sleep(0.1)
    assert not any(one.done() for one in early)
    batcher.load(weights_of(tiny_policy, 0), 1)
    got = [one.result(timeout=10) for one in early]
    assert batcher.batches == [3]
    assert 0 < got[0].cpu_s < 10 and len({one.cpu_s for one in got}) == 1  # each has its part of the processor time
    for i, one in enumerate(got):
        np.testing.assert_array_equal(one.actions, answer(tiny_policy, [query(tiny_policy, 2, i)])[0].actions)
    with pytest.raises(InferenceError, match="weights 0 were replaced by 1"):
        batcher.ask(query(tiny_policy, 2, weights=0)).result(timeout=10)
    broken = query(tiny_policy, 2, weights=1)
    broken.images["side"] = broken.images["front"]
    with pytest.raises(InferenceError, match="ValueError"):
        batcher.ask(broken).result(timeout=10)
    batcher.close()


class LocalLine:
    """A line to a policy in this process; remembers how many questions were open at once."""

    def __init__(self, policy):
        self.policy, self.open, self.most = policy, 0, 0

    def ask(self, query):
        self.open += 1
        self.most = max(self.most, self.open)

        def wait():
            self.open -= 1
            return answer(self.policy, [query])[0]

        return wait


def test_while_one_half_of_the_worlds_is_simulated_the_other_is_thought_about(tiny_policy):
    line = LocalLine(tiny_policy)
    player = SharedPlayer(line, 0, tiny_policy.draw_size, 1.0)
    beats = list(play(ToyEnv(4), player, starts_of(JOBS), 0, tables=2))
    assert line.most == 2
    assert line.open == 0
    assert sum(len(beat.finished) for beat in beats) == 24
    whole, _ = play_episodes(ToyEnv(4), PolicyPlayer(tiny_policy, 1.0), JOBS, 0)
    actions = {(e.start.group, e.start.member): e.rows[0]["actions"] for beat in beats for e in beat.finished}
    starts = np.cumsum([0, *whole.length[:-1]])
    for i, key in enumerate(sorted(actions)):
        np.testing.assert_array_equal(actions[key], whole.actions[starts[i]])


def test_shared_inference_plays_the_same_episodes(tiny_policy):
    with WorkerPool(ToyEnv, 1, 4) as own:
        own.set_policy(tiny_policy, 3)
        expected, _ = own.play(JOBS, PolicyTask(1.0), seed=5)
    with WorkerPool(ToyEnv, 2, 4, inference_workers=1) as pool:
        with pytest.raises(WorkerFailureError, match="before it received a policy"):
            pool.play(JOBS, PolicyTask(1.0), seed=5)
        pool.set_policy(tiny_policy, 3)
        played, report = pool.play(JOBS, PolicyTask(1.0), seed=5)
        assert same(played, expected)
        assert report.spent.inference_s > 0
        with torch.no_grad():
            tiny_policy.head.mix.bias += torch.randn(8)
        pool.set_policy(tiny_policy, 4)
        changed, _ = pool.play(JOBS, PolicyTask(1.0), seed=5)
        assert (changed.version == 4).all()
        assert not np.array_equal(changed.actions, played.actions)
        pool.play(JOBS, ExpertTask((0.0,) * 4), seed=0)
        pids = [*pool.process_ids, *pool._inference.process_ids]
        folder = pool._inference._folder
    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_inference_process_that_dies_is_replaced_in_mid_play(tiny_policy):
    jobs = [Job(i, i, 30) for i in range(4)]
    with WorkerPool(functools.partial(SlowEnv, chunk_s=0.03), 2, 4, inference_workers=1) as pool:
        pool.set_policy(tiny_policy, 0)
        struck = []

        def strike(finished):
            if finished > 20 and not struck:
                struck.append(pool._inference.process_ids[0])
                os.kill(struck[0], signal.SIGKILL)

        played, report = pool.play(jobs, PolicyTask(1.0), seed=0, on_progress=strike)
        assert report.restarts >= 1
        assert pool._inference.process_ids != struck
    expected, _ = play_episodes(ToyEnv(8), PolicyPlayer(tiny_policy, 1.0), jobs, 0)
    assert same(played, expected)


@pytest.mark.parametrize("env", [DyingOnceEnv, HangingOnceEnv])
def test_a_rollout_worker_that_fails_is_replaced(tmp_path, tiny_policy, env):
    make = functools.partial(env, marker=str(tmp_path / "failed"), after=4)
    with WorkerPool(make, 1, 4, inference_workers=1) as pool:
        pool.set_policy(tiny_policy, 0)
        played, report = pool.play(JOBS, PolicyTask(1.0), seed=0)
    assert report.restarts == 1
    assert same(played, play_episodes(ToyEnv(4), PolicyPlayer(tiny_policy, 1.0), JOBS, 0)[0])
