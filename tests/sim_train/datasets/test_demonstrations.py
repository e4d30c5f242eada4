"""Data sets: the same episodes however they were recorded, and nothing that is not sound is read."""

import functools
import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from toy_env import TOY_SPEC, DyingOnceEnv, ToyEnv

from sim_train.datasets import record as record_module
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import DatasetError, origin_of
from sim_train.datasets.record import DemonstrationError, record
from sim_train.rollouts.pool import WorkerPool

HOW = {"task": "toy", "engine": "none", "randomization": "", "noise": 0.25, "seed": 3}
ORIGIN = origin_of(TOY_SPEC, HOW)


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(functools.partial(ToyEnv, margin=0.028, max_chunks=1), 2, 4) as workers:
        yield workers


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(record_module, "_AT_ONCE", 16)


def made(pool, directory, *wanted, origin=ORIGIN):
    for count in wanted:
        with DemonstrationSet.recording(directory, origin) as dataset:
            record(dataset, pool, count)
    return DemonstrationSet.open(directory)


def same(one, other):
    return all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())


@pytest.fixture(scope="module")
def straight(pool, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_module, "_AT_ONCE", 16)
        return made(pool, tmp_path_factory.mktemp("sets") / "straight", 40)


def test_what_is_recorded_is_what_was_asked_for(straight):
    episodes = straight.load()
    assert len(straight) == len(episodes) == 40
    assert straight.tried > 40  # some failed
    assert episodes.success.all()
    assert len(straight.index.shards) > 2
    assert len(np.unique(episodes.seed)) == 40
    assert (np.diff(episodes.group) > 0).all()
    assert straight.index.origin["spec_hash"] == TOY_SPEC.spec_hash
    assert straight.index.origin["split"] == "train"
    assert straight.spec == TOY_SPEC


def test_the_first_episodes_are_those_of_a_smaller_set(straight):
    assert same(straight.load(7), straight.load().select(np.arange(7)))
    with pytest.raises(DatasetError, match="has 40 episodes, not 41"):
        straight.load(41)


def test_recording_in_several_goes_gives_the_same_episodes(pool, straight, tmp_path):
    grown = made(pool, tmp_path / "grown", 5, 23, 40)
    assert same(grown.load(), straight.load())
    assert grown.tried == straight.tried


def test_an_interruption_loses_no_whole_shard_and_changes_nothing(pool, straight, tmp_path):
    def stop(done):
        if done > 20:
            raise InterruptedError

    with DemonstrationSet.recording(tmp_path, ORIGIN) as dataset, pytest.raises(InterruptedError):
        record(dataset, pool, 40, stop)
    (tmp_path / "shard-00009.tmp").write_bytes(b"cut short by a kill")
    whole = DemonstrationSet.open(tmp_path)
    assert 0 < len(whole) <= 20
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("shard-*.safetensors")}
    assert len(before) == len(whole.index.shards)
    played = []
    with DemonstrationSet.recording(tmp_path, ORIGIN) as dataset:
        record(dataset, pool, 40, played.append)
    assert min(played) >= len(whole)
    for name, time_ns in before.items():
        assert (tmp_path / name).stat().st_mtime_ns == time_ns  # not written again
    assert same(DemonstrationSet.open(tmp_path).load(), straight.load())


def test_a_crash_of_a_worker_changes_nothing(straight, tmp_path):
    make = functools.partial(DyingOnceEnv, marker=str(tmp_path / "died"), after=2, margin=0.028, max_chunks=1)
    with WorkerPool(make, 1, 5) as fragile:
        assert same(made(fragile, tmp_path / "set", 40).load(), straight.load())
    assert (tmp_path / "died").exists()


def test_a_complete_set_is_left_alone(pool, straight):
    before = (straight.directory / "index.json").stat().st_mtime_ns
    assert len(made(pool, straight.directory, 30)) == 40
    assert (straight.directory / "index.json").stat().st_mtime_ns == before


def test_settings_must_be_those_of_the_set(pool, straight):
    with pytest.raises(DatasetError, match=r"another noise \(0.25, not 0.1\)"):
        made(pool, straight.directory, 50, origin=origin_of(TOY_SPEC, {**HOW, "noise": 0.1}))


def test_an_expert_that_fails_is_refused(tmp_path):
    failing = functools.partial(ToyEnv, margin=0.04)
    with WorkerPool(failing, 1, 4) as pool, pytest.raises(DemonstrationError, match="succeeded in"):
        made(pool, tmp_path, 40, origin=origin_of(TOY_SPEC, {**HOW, "noise": 0.0}))


def test_only_one_process_records(tmp_path):
    with (
        DemonstrationSet.recording(tmp_path, ORIGIN),
        pytest.raises(DatasetError, match="another process"),
        DemonstrationSet.recording(tmp_path, ORIGIN),
    ):
        pass


def test_a_directory_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(DatasetError, match=r"thesis\.tex"), DemonstrationSet.recording(tmp_path, ORIGIN):
        pass
    with pytest.raises(DatasetError, match="no data set"):
        DemonstrationSet.open(tmp_path)


# what damage can be done to a set, and what is then said


def cut(directory):
    path = directory / "shard-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def remove(directory):
    (directory / "shard-00000.safetensors").unlink()


def rewritten(change):
    """A shard that was changed together with its hash."""

    def damage(directory):
        path = directory / "shard-00000.safetensors"
        arrays = load_file(path)
        change(arrays)
        save_file(arrays, path)
        index = json.loads((directory / "index.json").read_text())
        index["shards"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (directory / "index.json").write_text(json.dumps(index))

    return damage


def indexed(change):
    def damage(directory):
        index = json.loads((directory / "index.json").read_text())
        change(index)
        (directory / "index.json").write_text(json.dumps(index))

    return damage


DAMAGE = {
    "cut": (cut, "SHA-256"),
    "removed": (remove, "No such file"),
    "not an array": (rewritten(lambda a: a.pop("state")), "'state' is missing"),
    "odd array": (rewritten(lambda a: a.update(code=np.zeros(1))), "'code' is missing or unknown"),
    "shape": (rewritten(lambda a: a.update(state=a["state"][:, :6].copy())), "state is float32"),
    "type": (rewritten(lambda a: a.update(actions=a["actions"].astype(np.float64))), "actions is float64"),
    "nan": (rewritten(lambda a: a["state"].__setitem__((0, 0), np.nan)), "not finite"),
    "actions": (rewritten(lambda a: a["actions"].__setitem__((0, 0, 0), 1.0)), "actions has values outside"),
    "steps": (rewritten(lambda a: a["executed_steps"].__setitem__(0, 0)), "executed_steps has values outside"),
    "failure": (rewritten(lambda a: a["success"].__setitem__(0, False)), "did not succeed"),
    "length": (rewritten(lambda a: a["length"].__setitem__(0, 99)), "lengths"),
    "texts": (rewritten(lambda a: a.update(instructions=a["instructions"][:5].copy())), "instructions"),
    "seed twice": (rewritten(lambda a: a["seed"].__setitem__(0, a["seed"][1])), "two episodes of one seed"),
    "evaluation": (rewritten(lambda a: a["seed"].__setitem__(0, 1_000_000)), "not for training"),
    "no json": (lambda d: (d / "index.json").write_text("{"), "no JSON"),
    "version": (indexed(lambda i: i.update(schema_version=9)), "schema_version is 9"),
    "totals": (indexed(lambda i: i.update(episodes=39)), "totals"),
    "contract": (indexed(lambda i: i["origin"]["spec"].update(horizon=3)), "spec_hash"),
    "no contract": (indexed(lambda i: i["origin"].pop("spec")), "contract cannot be read"),
    "path": (indexed(lambda i: i["shards"][0].update(file="../../etc/passwd")), "has the file"),
    "odd entry": (indexed(lambda i: i["shards"][0].update(code="x")), "not sound"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named(straight, tmp_path, damage):
    for path in straight.directory.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert len(DemonstrationSet.open(tmp_path).load()) == 40
    do, said = DAMAGE[damage]
    do(tmp_path)
    with pytest.raises(DatasetError, match=said) as refused:
        DemonstrationSet.open(tmp_path).load()
    assert str(tmp_path) in str(refused.value)
