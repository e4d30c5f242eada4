"""Recorded episodes -> data set: what is taken, what is left out and why, and that nothing half-done stays."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from made_episodes import CHUNKS, IMAGES, JOINTS, MODES, SETPOINTS, write
from safetensors.numpy import load_file, save_file

from sim_train.checkpoint import save_policy
from sim_train.datasets.__main__ import main
from sim_train.datasets.checks import checked
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.importing import REPORT, import_episodes
from sim_train.datasets.index import RECORDED, DatasetError
from sim_train.policies.mlp import Mlp, MlpConfig
from sim_train.policies.text import build_vocabulary


@pytest.fixture
def episodes(tmp_path, done):
    """A folder with one good episode, ep0001."""
    write(tmp_path / "episodes", "ep0001", done)
    return tmp_path / "episodes"


def contract(done, **changes):
    return json.loads(dataclasses.replace(done.spec, **changes).to_json())


def skipped(episodes, tmp_path, name="ep0002"):
    """Why the import left an episode out, while it took the good one."""
    report = import_episodes(episodes, tmp_path / "set")
    assert [taken.id for taken in report.taken] == ["ep0001"]
    (only,) = report.skipped
    assert only.id == name
    return only.reason


def test_a_success_becomes_a_demonstration(episodes, tmp_path, done):
    told = []
    report = import_episodes(episodes, tmp_path / "set", on_episode=told.append)
    assert told == report.taken and not report.skipped
    assert (report.taken[0].id, report.taken[0].chunks, report.taken[0].cut) == ("ep0001", len(done.chunks), 0)
    dataset = DemonstrationSet.open(tmp_path / "set")
    assert dataset.spec == done.spec
    assert dataset.index.origin["split"] == RECORDED
    shown = dataset.load()
    assert shown.instructions == (done.instruction,)
    assert shown.seed.tolist() == [done.seed]
    assert shown.success.all() and shown.length.tolist() == [len(done.chunks)]
    np.testing.assert_allclose(shown.actions, np.stack(done.chunks), atol=2e-4)
    assert np.isnan(shown.target_position).all()
    assert json.loads((tmp_path / "set" / REPORT).read_text())["taken"][0]["id"] == "ep0001"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["episodes", "set"]


def test_episodes_of_one_layout_and_of_the_lab_are_no_training_seeds_and_all_count(episodes, tmp_path, done):
    for name in ("ep0002", "ep0003"):
        write(episodes, name, done, seed=2_000_001)
    import_episodes(episodes, tmp_path / "set")
    assert DemonstrationSet.open(tmp_path / "set").load().seed.tolist() == [5, 2_000_001, 2_000_001]


def test_where_a_training_set_may_not_hold_nan_a_recorded_one_may(episodes, tmp_path, done):
    import_episodes(episodes, tmp_path / "set")
    arrays = load_file(tmp_path / "set" / "shard-00000.safetensors")
    assert len(checked(arrays, done.spec, recorded=True)) == 1
    with pytest.raises(ValueError, match="target_position has values that are not finite"):
        checked(arrays, done.spec)
    arrays["state"][0, 0] = np.nan
    with pytest.raises(ValueError, match="state has values that are not finite"):
        checked(arrays, done.spec, recorded=True)


def test_damage_to_the_set_is_seen(episodes, tmp_path):
    import_episodes(episodes, tmp_path / "set")
    shard = tmp_path / "set" / "shard-00000.safetensors"
    arrays = load_file(shard)
    arrays["actions"] += 0.001
    save_file(arrays, shard)
    with pytest.raises(DatasetError, match="SHA-256"):
        DemonstrationSet.open(tmp_path / "set").load()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"success": False}, r"no success \(the referee said so\)"),
        ({"success": None}, "no success"),
        ({"dropped": {JOINTS: 3}}, "messages were dropped: 3 of /joint_states"),
        ({"contract": None}, "no policy had a session open"),
        ({"contract": {"model": "x"}}, "its contract cannot be read"),
        ({"instruction": " "}, "instruction ' '"),
    ],
)
def test_what_the_facts_speak_against(episodes, tmp_path, done, changes, reason):
    write(episodes, "ep0002", done, **changes)
    assert re.search(reason, skipped(episodes, tmp_path))


def other_camera(spec):
    return (dataclasses.replace(spec.cameras[0], name="wrist"),)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("firmware_zero", lambda spec: "legacy", "firmware_zero"),
        ("cameras", other_camera, "cameras"),
        ("horizon", lambda spec: 8, "horizon: 8 against 4"),
        ("dt_s", lambda spec: 0.05, "dt_s"),
        ("task", lambda spec: "push_cube", "task"),
    ],
)
def test_another_contract_is_left_out(episodes, tmp_path, done, field, value, reason):
    write(episodes, "ep0002", done, contract=contract(done, **{field: value(done.spec)}))
    answer = skipped(episodes, tmp_path)
    assert "its contract is another one" in answer and reason in answer


def test_the_name_of_the_network_is_no_other_contract(episodes, tmp_path, done):
    write(episodes, "ep0002", done, contract=contract(done, model="another network"))
    assert len(import_episodes(episodes, tmp_path / "set").taken) == 2


def without(done, topic):
    return [message for message in done.messages if message[0] != topic]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (JOINTS, "/joint_states has 0 messages"),
        (SETPOINTS, "/piper_driver/setpoint has 0 messages"),
        (CHUNKS, "no chunk was played"),
        (MODES, "no chunk was played"),
        (IMAGES, "camera 'front' of the contract has no frame"),
    ],
)
def test_a_topic_that_was_not_recorded_is_named(episodes, tmp_path, done, topic, reason):
    write(episodes, "ep0002", done, messages=without(done, topic))
    assert reason in skipped(episodes, tmp_path)


def test_a_clock_that_was_set_meanwhile_is_seen(episodes, tmp_path, done):
    setpoints = [message for message in done.messages if message[0] == SETPOINTS]
    again = [*setpoints[:10], setpoints[3], *setpoints[10:]]
    write(episodes, "ep0002", done, messages=without(done, SETPOINTS) + again)
    assert "do not increase: the robot's clock was set" in skipped(episodes, tmp_path)


def test_a_joint_that_is_missing_or_not_finite_is_seen(episodes, tmp_path, done):
    for name, spoil, reason in (
        ("ep0002", lambda m: dataclasses.replace(m, name=["other", *m.name[1:]]), "lacks joint1"),
        ("ep0003", lambda m: dataclasses.replace(m, position=m.position * np.nan), "not finite"),
    ):
        odd = [(t, at, spoil(m) if t == JOINTS else m) for t, at, m in done.messages]
        write(episodes, name, done, messages=odd)
        report = import_episodes(episodes, tmp_path / f"set-{name}")
        assert reason in report.skipped[-1].reason


def test_truncated_and_unfinished_folders_are_left_out(episodes, tmp_path, done):
    write(episodes, "ep0002", done, cut_short="stopped by hand")
    write(episodes, "ep0001", done)  # moves the first attempt aside
    (episodes / "ep0003.partial").mkdir()
    (episodes / "ep0004").mkdir()
    (episodes / "summary.json").write_text("{}")
    report = import_episodes(episodes, tmp_path / "set")
    assert [taken.id for taken in report.taken] == ["ep0001"]
    reasons = {left.id: left.reason for left in report.skipped}
    assert "moved aside" in reasons["ep0001.old-1"]
    assert "truncated" in reasons["ep0002.truncated"]
    assert "never closed" in reasons["ep0003.partial"]
    assert "episode.json cannot be read" in reasons["ep0004"]


def test_a_renamed_truncated_episode_is_still_truncated(episodes, tmp_path, done):
    write(episodes, "ep0002", done, cut_short="stopped by hand").rename(episodes / "ep0002")
    assert "truncated: stopped by hand" in skipped(episodes, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_a_file_that_ends_early_is_seen(episodes, tmp_path, done, share):
    file = write(episodes, "ep0002", done) / "ep0002.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert "ep0002.mcap is damaged" in skipped(episodes, tmp_path)


def test_fewer_messages_than_were_counted_are_seen(episodes, tmp_path, done):
    folder = write(episodes, "ep0002", done)
    facts = json.loads((folder / "episode.json").read_text())
    facts["counts"][MODES] += 1
    (folder / "episode.json").write_text(json.dumps(facts))
    assert "has 2 messages of /piper_driver/mode, episode.json says 3" in skipped(episodes, tmp_path)


def test_garbage_in_a_message_is_seen(episodes, tmp_path, done):
    odd = [(t, at, m) for t, at, m in done.messages if t != CHUNKS]
    string = next(m for t, _, m in done.messages if t == MODES)
    write(episodes, "ep0002", done, messages=[*odd, (CHUNKS, done.messages[-1][1], string)])
    assert "/piper_driver/chunk carries std_msgs/msg/String" in skipped(episodes, tmp_path)


def test_chosen_episodes_are_taken_whatever_their_outcome(episodes, tmp_path, done):
    write(episodes, "ep0002", done, success=False)
    report = import_episodes(episodes, tmp_path / "set", chosen=["ep0002"])
    assert [taken.id for taken in report.taken] == ["ep0002"]
    assert report.skipped[0].reason == "it was not chosen"
    with pytest.raises(DatasetError, match="has no episode 'ep0009'"):
        import_episodes(episodes, tmp_path / "other", chosen=["ep0009"])


def test_without_a_usable_episode_nothing_is_left_behind(tmp_path, done):
    write(tmp_path / "episodes", "ep0001", done, success=False)
    write(tmp_path / "episodes", "ep0002", done, messages=without(done, CHUNKS))
    with pytest.raises(DatasetError, match=r"no usable episode: 1 x no success.*1 x no chunk was played"):
        import_episodes(tmp_path / "episodes", tmp_path / "set")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="there is no episode"):
        import_episodes(tmp_path / "empty", tmp_path / "set")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "episodes"]


def test_an_existing_directory_is_not_touched(episodes, tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DatasetError, match="exists; choose another"):
        import_episodes(episodes, tmp_path / "set")
    with pytest.raises(DatasetError, match="is no folder"):
        import_episodes(tmp_path / "nowhere", tmp_path / "other")


def test_an_interrupted_import_leaves_nothing_and_can_be_repeated(episodes, tmp_path):
    def interrupt(episode):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_episodes(episodes, tmp_path / "set", on_episode=interrupt)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["episodes"]
    (tmp_path / ".set.importing").mkdir()  # as a kill leaves it
    assert import_episodes(episodes, tmp_path / "set").taken


def saved_policy(path, spec):
    torch.manual_seed(0)
    save_policy(path, Mlp(spec, MlpConfig(width=8), build_vocabulary(["lift the cube"])).eval(), {})


def test_the_command(episodes, tmp_path, done, capsys):
    write(episodes, "ep0002", done, success=False)
    saved_policy(tmp_path / "policy", done.spec)
    main(["import", str(episodes), f"output={tmp_path / 'set'}", f"contract={tmp_path / 'policy'}"])
    said = capsys.readouterr().out
    assert f"ep0001: {len(done.chunks)} chunks\n" in said
    assert "ep0002: skipped: no success" in said
    assert "1 episodes with" in said and "1 episodes skipped" in said
    main(["import", str(episodes), f"output={tmp_path / 'chosen'}", "episodes=[ep0002]"])
    assert "ep0002: 4 chunks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ([], "output is missing"),
        (["output=x", "contrat=y"], r"unknown setting contrat \(did you mean contract\?\)"),
        (["output=x", "contract=nowhere"], "nowhere"),
    ],
)
def test_the_command_says_what_is_wrong(episodes, tmp_path, monkeypatch, capsys, settings, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["import", str(episodes), *settings])
    assert stop.value.code == 1
    assert re.search(reason, capsys.readouterr().err)


def test_a_policy_of_another_contract_is_told_why(episodes, tmp_path, done, capsys):
    saved_policy(tmp_path / "policy", dataclasses.replace(done.spec, horizon=6))
    with pytest.raises(SystemExit):
        main(["import", str(episodes), f"output={tmp_path / 'set'}", f"contract={tmp_path / 'policy'}"])
    assert "horizon: 4 against 6, which is wanted" in capsys.readouterr().err
