"""What is said on the command line."""

from dataclasses import replace

import pytest

from sim_train import train
from sim_train.command_line import CONF_DIR, GROUPS, choices, prepared
from sim_train.config import ConfigError, defaults
from sim_train.rigs import load_rig, rig_names

KNOWN = {"output_dir": "", **defaults()}


def composed(monkeypatch, *arguments):
    """The configuration that a run of these arguments gets."""
    made = []
    monkeypatch.setattr(train, "run_main", lambda config: made.append(config) or 0)
    monkeypatch.setattr(train, "_tell", lambda config: None)
    monkeypatch.setattr("sys.argv", ["sim_train.train", *arguments])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 0
    return made[0]


def test_a_run_needs_to_say_nothing_about_where_it_goes(monkeypatch):
    arguments = ["task=pick_bottle", "policy=tiny", "algorithm=grpo", "engine=mujoco", "rig=default", "seed=3"]
    config = composed(monkeypatch, *arguments)
    assert config.output_dir == "outputs/pick_bottle-tiny-grpo-3"
    assert (config.task, config.policy.kind, config.rl.algorithm, config.rig) == (
        "pick_bottle",
        "token_vla",
        "grpo",
        "default",
    )


def test_a_run_of_several_tasks_is_named_after_all_of_them(monkeypatch):
    config = composed(monkeypatch, "tasks=[pick_cube,click_bell]")
    assert config.output_dir == "outputs/pick_cube+click_bell-tiny-grpo-0"


def test_custom_resources_of_nodes_may_have_any_name(monkeypatch):
    config = composed(monkeypatch, "rollout.engine=ray", "rollout.ray.rollout.resources.simulation=1", "output_dir=x")
    assert config.rollout.ray.rollout.resources == {"simulation": 1.0}


def test_the_command_line_wins_over_presets_and_presets_over_groups(monkeypatch):
    config = composed(monkeypatch, "preset=one_gpu", "hardware.check=false", "rl.sampling.groups=7")
    assert config.policy.kind == "backbone_vla"
    assert (config.rl.sampling.groups, config.rl.sampling.group_size) == (7, 8)
    config = composed(monkeypatch, "preset=one_gpu", "hardware.check=false", "policy=tiny", "algorithm=rloo")
    assert (config.policy.kind, config.rl.advantage, config.rl.sampling.groups) == ("token_vla", "rloo", 64)


def test_open_mappings_take_keys_of_their_own(monkeypatch):
    config = composed(monkeypatch, "knobs.spread=0.5", "policy.sizes.layers=1", "output_dir=x")
    assert config.knobs == {"spread": 0.5} and config.policy.sizes == {"layers": 1}
    for moved in ("curriculum.knobs.spread=[0.5,1]", "curriculum.knobs={spread:[0.5,1]}"):
        config = composed(monkeypatch, moved, "tasks=[pick_cube,click_bell]", "output_dir=x")
        assert config.worlds.curriculum == {"spread": (0.5, 1.0)}
        assert config.worlds.tasks == ("pick_cube", "click_bell")


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_of_every_group_composes(monkeypatch, group):
    names = choices(group)
    assert names == sorted(path.stem for path in (CONF_DIR / group).iterdir()) and len(names) >= 3
    for name in names:
        composed(monkeypatch, f"{group}={name}", "hardware.check=false")


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("policy=tinny", r"policy=tinny is unknown \(did you mean tiny\?\).*act, .*tiny"),
        ("preset=gpu", "preset=gpu is unknown.*paper_robotwin2"),
        ("algorithm=sac", "choose one of grpo, ppo, rloo"),
        ("rl.sampling.grups=3", r"unknown setting rl.sampling.grups \(did you mean rl.sampling.groups\?\)"),
        ("group_size=3", r"did you mean rl.sampling.group_size\?"),
        ("nonsense=1", "unknown setting nonsense; all settings"),
        ("a b", "is no setting"),
    ],
)
def test_mistakes_are_named_with_a_way_out(argument, says):
    with pytest.raises(ConfigError, match=says):
        prepared([argument], KNOWN)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rig=nominal"], "there is no rig 'nominal'.*known are default"),
        (["task=pick_cub"], "unknown task 'pick_cub'"),
        (["knobs.magic=1"], "has no knob 'magic'"),
        (["engine=mujocco"], r"engine=mujocco is unknown \(did you mean mujoco\?\)"),
        (["randomization=mildd"], "no randomization 'mildd'"),
        (["stages=[magic]"], "stages must be some of"),
        (["seed=seven"], "seed must be of type int; got 'seven'"),
        (["policy.sizes.layerz=2"], r"policy.sizes.layerz \(did you mean layers\?\)"),
        (["policy.kind=tokenvla"], r"'tokenvla' is unknown \(did you mean token_vla\?\)"),
        (["contract.image_size=4"], "image_size|input_size"),
        (["preset=node8"], "need 8 GPUs with 80 GiB.*hardware.check=false"),
    ],
)
def test_settings_that_cannot_be_run_end_with_status_2(monkeypatch, capsys, arguments, says):
    import re

    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr(train, "_tell", lambda config: None)
    monkeypatch.setattr("sys.argv", ["sim_train.train", *arguments])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    assert re.search(says, capsys.readouterr().err)


def test_a_dry_run_prints_settings_and_cost_and_starts_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "run_main", lambda config: pytest.fail("started"))
    monkeypatch.setattr("sys.argv", ["sim_train.train", "task=push_cube", "dry_run=true"])
    train.main()
    told = capsys.readouterr().out
    assert "task: push_cube" in told and "256 to 768 episodes" in told
    assert list(tmp_path.iterdir()) == []


def test_rigs_are_checked_and_hashed_by_what_they_say(tmp_path):
    (tmp_path / "lab.yaml").write_text("# measured on a Monday\nfront.fovy_deg: 43.5\ncommand: {delay_s: 0.012}\n")
    rig = load_rig("lab", tmp_path)
    assert rig.values == {"front.fovy_deg": 43.5, "command": {"delay_s": 0.012}}
    (tmp_path / "copy.yaml").write_text("command: {delay_s: 0.012}\nfront.fovy_deg: 43.5\n")
    assert load_rig("copy", tmp_path).sha256 == rig.sha256 != load_rig("default").sha256
    assert rig_names(tmp_path) == ["copy", "default", "lab"]
    (tmp_path / "odd.yaml").write_text("command: {delay: 0.012}\n")
    with pytest.raises(ConfigError, match=r"odd\.yaml.*command\.delay"):
        load_rig("odd", tmp_path)
    with pytest.raises(ConfigError, match=r"did you mean copy\?"):
        load_rig("coppy", tmp_path)
    cameras = 'cameras: {front: {serial: "111", width: 640, height: 480, fps: 30}}'
    (tmp_path / "nodes.yaml").write_text(f"{(tmp_path / 'lab.yaml').read_text()}\n{cameras}\n")
    assert load_rig("nodes", tmp_path) == replace(rig, name="nodes")  # what camera nodes read is no measured quantity


def test_worlds_stand_about_what_was_measured(monkeypatch, tmp_path):
    from sim_train import rigs
    from sim_train.config import from_plain
    from sim_train.worlds.randomization.distributions import Uniform

    (tmp_path / "lab.yaml").write_text("command.delay_s: 0.02\n")
    monkeypatch.setattr("sim_train.config.load_rig", lambda name: rigs.load_rig(name, tmp_path))
    config = from_plain({"output_dir": "x", "rig": "lab", "randomization": "wide"})
    assert config.worlds.drawn.command.delay_s == Uniform(0.0, 0.04)
    narrow = from_plain({"output_dir": "x", "rig": "lab", "randomization": "mild"})
    assert narrow.worlds.drawn.command.delay_s == Uniform(0.015, 0.025)
