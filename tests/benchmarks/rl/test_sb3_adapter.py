"""stable-baselines3 on our worlds and network: the same episodes, the same actions, and PPO that learns."""

import functools

import numpy as np
import pytest
import torch
from gymnasium import spaces
from policy_api.schema import CameraSpec, PolicySpec
from stable_baselines3 import PPO

from benchmarks.rl import sb3
from benchmarks.rl.cells import Cell, Store
from benchmarks.rl.sb3 import NotComparableError, fastest_threads, greedy_success, race, sb3_cell, time_to
from benchmarks.rl.sb3_policy import TokenGaussianPolicy, policy_inputs
from benchmarks.rl.sb3_worlds import Worlds
from benchmarks.rl.workshop import Workshop
from sim_train.envs import task_spec
from sim_train.envs.settings import WorldSettings, make_environment
from sim_train.policies.token_vla import TokenVla, TokenVlaConfig

TASK = "reach_target"
MAKE = functools.partial(make_environment, WorldSettings(TASK))
SMALL = TokenVlaConfig(d_model=32, layers=1, heads=2, mlp=32, channels=(4, 8, 8), bins=32, head_rank=8, bf16=False)
SETTINGS = {
    "seed": 0,
    "success": 0.9,
    "check_every_s": 1e9,
    "sharpness": 4.0,
    "envs_per_worker": 2,
    "n_steps": 4,
    "batch_size": 8,
    "n_epochs": 2,
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "clip_range": 0.2,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of torch cost such small networks more than they do, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def local():
    env = MAKE(3)
    yield env
    env.close()


@pytest.fixture(scope="module")
def policy(local):
    torch.manual_seed(0)
    return TokenVla(local.spec, SMALL, ["[PAD]", "[UNK]", "reach", "the", "red", "blue"])


@pytest.fixture(scope="module")
def worlds(policy):
    made = Worlds(MAKE, policy.tokenizer, 1, 3, 100_000)
    yield made
    made.close()


def unit(chunks, spec):
    """Chunks (n, H, A) as numbers in -1..1 side by side."""
    low, high = (np.array([getattr(f, end) for f in spec.action]) for end in ("lower", "upper"))
    return ((chunks - low) / (high - low) * 2 - 1).reshape(len(chunks), -1)


def test_worlds_are_ours(worlds, local, policy):
    seeds = [5, 6, 7]
    seen, ours = worlds.begin(seeds), local.reset(seeds)
    assert worlds.observation_space.spaces.keys() == seen.keys()
    succeeded = np.zeros(3, dtype=bool)
    for _ in range(local.max_chunks):
        np.testing.assert_array_equal(seen["state"], ours.state)
        np.testing.assert_array_equal(seen["image_front"].transpose(0, 2, 3, 1), ours.images["front"])
        np.testing.assert_array_equal(seen["text"], policy.tokenizer(ours.instructions))
        chunks = np.clip(
            local.expert_actions(), [f.lower for f in local.spec.action], [f.upper for f in local.spec.action]
        )
        result = local.step(chunks.astype(np.float32))
        seen, success = worlds.play(unit(chunks, local.spec))
        ours = result.observations
        np.testing.assert_allclose(seen["state"], ours.state, atol=1e-4)
        seen["state"], seen["image_front"] = ours.state, ours.images["front"].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(success, result.success)
        succeeded |= success
    assert succeeded.all()


def test_an_episode_ends_as_a_failure_after_the_last_chunk_and_the_next_begins(worlds):
    first = worlds.reset()
    still = np.full((3, *worlds.action_space.shape), 3.0)  # out of range: counts as 1
    for chunk in range(worlds.max_chunks):
        seen, rewards, dones, infos = worlds.step(still)
        assert not rewards.any()
        assert dones.all() == (chunk == worlds.max_chunks - 1)
    assert [info["TimeLimit.truncated"] for info in infos] == [False] * 3
    np.testing.assert_allclose(seen["state"], first["state"], atol=0.02)  # home again
    assert np.abs(infos[0]["terminal_observation"]["state"] - seen["state"][0]).max() > 0.05
    assert (seen["image_front"] != first["image_front"]).any()  # another layout


def test_seeds_must_fit_the_worlds(worlds):
    with pytest.raises(ValueError, match="between 1 and 3 seeds"):
        worlds.begin([])
    with pytest.raises(AttributeError, match="no method"):
        worlds.env_method("reset")
    assert worlds.begin([1])["state"].shape == (3, 7)


@pytest.fixture
def acting(policy, worlds):
    return TokenGaussianPolicy(
        worlds.observation_space, worlds.action_space, lambda _: 1e-3, policy=policy, sharpness=500.0
    )


def test_the_mean_is_the_greedy_answer_of_our_policy(acting, policy, worlds, local):
    seen, ours = worlds.begin([1, 2, 3]), local.reset([1, 2, 3])
    actions, _ = acting.predict(seen, deterministic=True)
    greedy = unit(policy.act(ours.images, ours.state, ours.instructions).actions, local.spec)
    assert np.median(np.abs(actions - greedy)) < 2 / SMALL.bins


def test_exploration_starts_at_the_spread_of_the_token_policy(acting, policy, worlds):
    tensors, _ = acting.obs_to_tensor(worlds.begin([1, 2, 3]))
    acting.explore_by(acting.network.spread(tensors))
    with torch.no_grad():
        shares = policy(policy_inputs(tensors))[0].softmax(-1)[:, 0, 0]
    centres = (torch.arange(SMALL.bins) + 0.5) / SMALL.bins * 2 - 1
    spread = ((shares * (centres - (shares @ centres)[:, None]) ** 2).sum(-1)).sqrt().mean()
    assert float(acting.log_std.detach()[0].exp()) == pytest.approx(float(spread), rel=1e-3)


def test_every_weight_of_our_network_learns(acting, worlds):
    tensors, _ = acting.obs_to_tensor(worlds.begin([1, 2, 3]))
    values, log_probs, _ = acting.evaluate_actions(tensors, torch.zeros(3, *worlds.action_space.shape))
    assert float(values.detach().abs().max()) == 0.0  # the critic starts at 0
    log_probs.sum().backward()
    without = [n for n, p in acting.network.policy.named_parameters() if p.grad is None]
    assert all(name.startswith("target.") for name in without)  # the auxiliary guess is no part of acting
    held = {id(p) for group in acting.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in acting.parameters()}
    assert fastest_threads(acting, tensors, 2) in (1, 2)


class _Toy(Worlds):
    """A world of one number: the action's first number must be near 1. No processes."""

    def __init__(self, spec, num_envs=16):
        self.max_chunks, self.faults = 1, 0
        self._n, self._spec = num_envs, spec
        seen = {
            "state": spaces.Box(-np.inf, np.inf, (len(spec.state),)),
            "text": spaces.Box(0, 99, (12,), np.int32),
            "image_front": spaces.Box(0, 255, (3, 16, 16), np.uint8),
        }
        super(Worlds, self).__init__(num_envs, spaces.Dict(seen), spaces.Box(-1.0, 1.0, (len(spec.action),)))

    def _seen(self):
        return {
            "state": np.zeros((self._n, len(self._spec.state)), np.float32),
            "text": np.ones((self._n, 12), np.int32),
            "image_front": np.zeros((self._n, 3, 16, 16), np.uint8),
        }

    def reset(self):
        return self._seen()

    def begin(self, seeds):
        return self._seen()

    def step_async(self, actions):
        self._actions = actions

    def step_wait(self):
        seen, success = self.play(self._actions)
        infos = [{"terminal_observation": {}, "TimeLimit.truncated": False}] * self._n
        return seen, success.astype(np.float32), np.ones(self._n, bool), infos

    def play(self, actions):
        return self._seen(), actions[:, 0] > 0.3

    def close(self):
        pass


def toy_policy():
    spec = PolicySpec(
        model="token_vla",
        cameras=(CameraSpec("front", width=64, height=64, input_size=16, jpeg_quality=90),),
        state=task_spec(TASK).state,
        action_space="ee_delta_position",
        action=task_spec(TASK).action,
        horizon=1,
        dt_s=0.1,
        settle_s=0.1,
        firmware_zero="current",
        task="toy",
    )
    torch.manual_seed(1)
    return TokenVla(spec, SMALL, ["[PAD]", "[UNK]"])


def test_ppo_learns_with_it_on_a_toy():
    torch.manual_seed(0)
    policy = toy_policy()
    worlds = _Toy(policy.spec)
    learner = PPO(
        TokenGaussianPolicy,
        worlds,
        n_steps=4,
        batch_size=64,
        n_epochs=4,
        learning_rate=1e-2,
        policy_kwargs={"policy": policy, "sharpness": 4.0},
        seed=0,
        device="cpu",
    )
    learner.policy.explore_by(torch.full(worlds.action_space.shape, 0.5))
    assert greedy_success(learner.policy, worlds, range(20)) == 0.0
    callback = sb3.Race(worlds, range(20), 0.9, 0.0, 60.0, lambda text: None)
    learner.learn(10_000, callback=callback)
    assert callback.curve[0]["greedy"] == 0.0
    assert callback.curve[-1]["greedy"] == 1.0
    assert learner.num_timesteps < 10_000  # it stopped at success
    assert time_to(callback.curve, 0.9) == callback.curve[-1]["train_s"] > 0.0


@pytest.mark.slow
def test_a_race_in_real_worlds_ends_when_the_time_is_up(policy):
    told = []
    found = race(MAKE, policy, SETTINGS, limit_s=0.01, episodes=4, say=told.append)
    assert found["reached_s"] is None
    assert len(found["curve"]) == len(told) == 2
    assert found["curve"][1]["train_s"] >= 0.01
    assert found["curve"][1]["chunks"] > 0
    assert found["faults"] == 0


def test_the_first_point_above_counts():
    curve = [{"train_s": 0.0, "greedy": 0.5}, {"train_s": 9.0, "greedy": 0.91}, {"train_s": 20.0, "greedy": 0.95}]
    assert time_to(curve, 0.9) == 9.0
    assert time_to(curve, 0.96) is None


def test_only_what_was_measured_here_is_compared(tmp_path, monkeypatch):
    ours = Cell("task.a.seed0", "training", {}, 1.0)
    cell = Cell("sb3.seed0", "sb3", {"success": 0.9, "limit": 4}, 1.0, needs=ours.name)
    shop = Workshop(tmp_path, Store(tmp_path), {ours.name: ours, cell.name: cell})
    with pytest.raises(NotComparableError, match="is to be measured first"):
        sb3_cell(shop, cell)
    for greedy in (0.5, 0.95):  # never there; there from the beginning
        shop.store.keep(ours, {"curve": [{"train_s": 0.0, "greedy": greedy}]}, 1.0)
        with pytest.raises(NotComparableError, match="did not go from below 90%"):
            sb3_cell(shop, cell)
    monkeypatch.setattr(sb3, "machine", lambda: {"cpu": "another", "cores": 2})
    with pytest.raises(NotComparableError, match="another machine"):
        sb3_cell(shop, cell)
