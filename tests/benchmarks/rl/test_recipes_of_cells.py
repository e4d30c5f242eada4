"""Recipes: what is shipped can be trained, and what makes no sense is refused by name."""

import copy

import pytest
import yaml

from benchmarks.rl.measuring import KINDS
from benchmarks.rl.plan import plan
from benchmarks.rl.recipes import RECIPES, RecipeError, read_recipes
from sim_train.config import from_plain

PLAIN = {
    "seeds": [0, 1],
    "episodes": 10,
    "first_seed": 1_000_000,
    "common": {"sft.steps": 7},
    "tasks": {"pick_cube": {"budget_min": 2, "settings": {"sft.enough": 0.2, "rl.stop_at": 0.9}}},
    "ablations": {
        "budget_min": 1,
        "settings": {"task": "pick_cube"},
        "arms": {"base": None, "cold": {"rl.update.temperature": 0.5}},
        "compare": {"temperature": {"with": "base", "without": "cold"}},
    },
}


@pytest.fixture
def written(tmp_path):
    def write(change=lambda plain: None):
        plain = copy.deepcopy(PLAIN)
        change(plain)
        path = tmp_path / "recipes.yaml"
        path.write_text(yaml.safe_dump(plain))
        return path

    return write


def nested(settings):
    plain = {}
    for name, value in settings.items():
        *groups, last = name.split(".")
        inside = plain
        for group in groups:
            inside = inside.setdefault(group, {})
        inside[last] = value
    return plain


def test_everything_that_is_asked_for_is_in_the_shipped_recipes():
    recipes = read_recipes()
    assert list(recipes.tasks) == [
        "push_cube",
        "pick_cube",
        "click_bell",
        "pick_bottle",
        "place_empty_cup",
        "stack_bowls",
    ]
    assert (len(recipes.seeds), recipes.episodes) == (3, 200)
    assert {"dynamic_sampling", "clip_higher", "temperature"} <= recipes.ablations.compare.keys()
    cells = plan(recipes)
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.kind for cell in cells} == KINDS.keys()
    before = set()
    for cell in cells:
        assert cell.needs == "" or cell.needs in before
        before.add(cell.name)


def test_training_knows_every_setting_of_the_shipped_recipes():
    trained = [cell for cell in plan(read_recipes()) if "settings" in cell.settings]
    assert len(trained) > 30
    for cell in trained:
        more = cell.settings.get("imitation", {})
        from_plain(nested({**cell.settings["settings"], **more, "output_dir": "anywhere"}))


def test_common_settings_are_those_of_every_training(written):
    cells = {cell.name: cell for cell in plan(read_recipes(written()))}
    assert cells["task.pick_cube.seed1"].settings["settings"] == {
        "sft.steps": 7,
        "task": "pick_cube",
        "sft.enough": 0.2,
        "rl.stop_at": 0.9,
    }
    assert cells["ablation.cold.seed0"].settings["settings"]["rl.update.temperature"] == 0.5
    assert "rl.update.temperature" not in cells["ablation.base.seed0"].settings["settings"]


def test_another_recipe_is_another_cell(written):
    before = {cell.name: cell.fingerprint for cell in plan(read_recipes(written()))}
    changed = written(lambda plain: plain["tasks"]["pick_cube"].update(budget_min=3))
    after = {cell.name: cell.fingerprint for cell in plan(read_recipes(changed))}
    assert {name for name in before if before[name] != after[name]} == {"task.pick_cube.seed0", "task.pick_cube.seed1"}
    assert RECIPES.is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain.update(task={}), "unknown part 'task'"),
        (lambda plain: plain.pop("episodes"), "'episodes' is missing"),
        (lambda plain: plain.update(seeds=[]), "seeds is empty"),
        (lambda plain: plain.update(seeds="all"), "invalid literal"),
        (lambda plain: plain.update(tasks=["pick_cube"]), "tasks must be a mapping"),
        (lambda plain: plain["tasks"]["pick_cube"].update(budget_min=0), "tasks.pick_cube.budget_min must be above 0"),
        (lambda plain: plain["ablations"]["compare"]["temperature"].update({"with": "hot"}), "there is no arm 'hot'"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(written, change, message):
    with pytest.raises(RecipeError, match=message):
        read_recipes(written(change))
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipes(written().parent / "none.yaml")


def test_a_part_on_a_task_without_recipe_is_refused(written):
    recipes = read_recipes(written(lambda plain: plain.update(scaling={"task": "click_bell"})))
    with pytest.raises(ValueError, match="task 'click_bell' has no recipe; expected one of pick_cube"):
        plan(recipes)
