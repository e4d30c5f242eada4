"""Half-done states."""

import numpy as np
import pytest
import torch

from sim_train.resume import (
    ResumeError,
    StageState,
    StateSaver,
    clear_state,
    load_state,
    optimizer_arrays,
    policy_arrays,
    restore_optimizer,
    restore_policy,
    save_state,
)


def test_a_state_comes_back_and_the_newest_counts(tmp_path):
    for step in (1, 2):
        save_state(tmp_path / "s", StageState({"step": step}, {"a": np.arange(step)}))
    state = load_state(tmp_path / "s")
    assert state.values == {"step": 2}
    np.testing.assert_array_equal(state.arrays["a"], [0, 1])
    assert len(list((tmp_path / "s").iterdir())) == 2


def test_no_state_and_a_cleared_state(tmp_path):
    assert load_state(tmp_path / "s") is None
    save_state(tmp_path / "s", StageState({}))
    clear_state(tmp_path / "s")
    assert load_state(tmp_path / "s") is None
    assert not (tmp_path / "s").exists()
    clear_state(tmp_path / "s")


def test_a_damaged_state_is_refused(tmp_path):
    save_state(tmp_path / "s", StageState({}, {"a": np.arange(8)}))
    arrays = next((tmp_path / "s").glob("arrays-*"))
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(ResumeError, match="cannot be resumed"):
        load_state(tmp_path / "s")
    (tmp_path / "s" / "state.json").write_text("{")
    with pytest.raises(ResumeError, match="cannot be resumed"):
        load_state(tmp_path / "s")


def test_an_optimizer_goes_on_exactly(tmp_path, tiny_policy):
    def steps(policy, optimizer, count):
        for _ in range(count):
            loss = sum((p**2).sum() for p in policy.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def adam():
        return torch.optim.AdamW(tiny_policy.parameters(), lr=1e-2)

    start = policy_arrays(tiny_policy)
    optimizer = adam()
    steps(tiny_policy, optimizer, 3)
    save_state(tmp_path / "s", StageState({}, {**policy_arrays(tiny_policy), **optimizer_arrays(optimizer)}))
    steps(tiny_policy, optimizer, 3)
    straight = policy_arrays(tiny_policy)

    restore_policy(tiny_policy, start)
    state = load_state(tmp_path / "s")
    restore_policy(tiny_policy, state.arrays)
    optimizer = adam()
    restore_optimizer(optimizer, state.arrays)
    steps(tiny_policy, optimizer, 3)
    for name, array in policy_arrays(tiny_policy).items():
        np.testing.assert_array_equal(array, straight[name])


def test_saving_costs_a_twentieth_of_the_time(tmp_path, monkeypatch):
    now = [0.0]

    def save(path, state):
        now[0] += 0.1  # it costs so much

    monkeypatch.setattr("sim_train.resume.save_state", save)
    saver = StateSaver(tmp_path, clock=lambda: now[0])
    assert saver.maybe(lambda: StageState({}))  # the first time, whatever it costs
    saved = 0
    for _ in range(1000):  # steps that are short
        now[0] += 0.05
        saved += saver.maybe(lambda: StageState({}))
    assert 0.03 < saved * 0.1 / (1000 * 0.05) <= 0.05
    for _ in range(10):  # an update that takes twenty times as long is never lost
        now[0] += 2.1
        assert saver.maybe(lambda: StageState({}))
    assert saver.maybe(lambda: StageState({}), at_once=True)


def test_what_a_kill_left_behind_goes_with_the_state(tmp_path):
    save_state(tmp_path / "s", StageState({}, {"a": np.arange(8)}))
    (tmp_path / "s" / "arrays-0.tmp").write_bytes(b"half")
    clear_state(tmp_path / "s")
    assert not (tmp_path / "s").exists()
