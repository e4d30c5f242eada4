"""Cells: what is done stays done, what is missing is measured, and stopping loses only what was running."""

import dataclasses
import io
import json
import time

import pytest
from rich.console import Console

from benchmarks.rl.cells import Cell, Store, StoreError
from benchmarks.rl.commands import CommandError
from benchmarks.rl.runner import choose, estimates_min, overview, run
from benchmarks.rl.workshop import Workshop

CELLS = [Cell(f"task.a.seed{seed}", "fake", {"seed": seed}, 5.0) for seed in range(3)]


class Fake:
    """Measures nothing, remembers for whom, and fails or is interrupted where it is told."""

    def __init__(self, error=None, at=""):
        self.error, self.at = error, at
        self.asked = []

    def __call__(self, shop, cell):
        self.asked.append(cell.name)
        if cell.name == self.at:
            raise self.error
        shop.say("half way")
        return {"success": 0.5}


@pytest.fixture
def shop(tmp_path):
    return Workshop(tmp_path / "scratch", Store(tmp_path / "results"), {cell.name: cell for cell in CELLS})


def go(shop, fake, console=None, **more):
    return run(CELLS, shop, {"fake": fake}, console or Console(quiet=True), **more)


def test_a_finished_cell_is_not_measured_again(shop):
    assert go(shop, Fake()).done == [cell.name for cell in CELLS]
    again = Fake()
    assert go(shop, again).done == []
    assert again.asked == []


def test_a_changed_recipe_makes_its_cell_missing_and_gives_it_another_place(shop):
    go(shop, Fake())
    changed = dataclasses.replace(CELLS[1], settings={"seed": 1, "budget_min": 2})
    assert shop.store.find(changed) is None
    assert shop.store.find(CELLS[1]).result == {"success": 0.5}
    assert shop.place(changed) != shop.place(CELLS[1])
    assert dataclasses.replace(CELLS[1], estimate_min=1.0).fingerprint == CELLS[1].fingerprint


def test_an_interrupt_keeps_what_is_finished_and_the_next_start_goes_on(shop):
    outcome = go(shop, Fake(KeyboardInterrupt(), "task.a.seed1"))
    assert outcome.done == ["task.a.seed0"]
    assert outcome.stopped == "interrupted in task.a.seed1, which goes on where it stopped"
    again = Fake()
    assert go(shop, again).done == ["task.a.seed1", "task.a.seed2"]
    assert again.asked == ["task.a.seed1", "task.a.seed2"]


def test_a_cell_that_fails_is_named_and_the_others_are_measured(shop):
    said = io.StringIO()
    outcome = go(shop, Fake(CommandError("status 1; [/tmp] ends"), "task.a.seed0"), Console(file=said))
    assert outcome.failed == {"task.a.seed0": "status 1; [/tmp] ends"}
    assert "task.a.seed0 failed: status 1; [/tmp] ends" in said.getvalue()
    assert outcome.done == ["task.a.seed1", "task.a.seed2"]
    assert shop.store.find(CELLS[0]) is None


def test_an_error_of_the_program_is_not_swallowed(shop):
    with pytest.raises(ZeroDivisionError):
        go(shop, Fake(ZeroDivisionError(), "task.a.seed0"))


def test_no_cell_begins_when_the_budget_is_used_up(shop):
    now = iter(range(0, 10_000, 40))  # every look at the clock is 40 s later
    outcome = go(shop, Fake(), budget_min=1.5, clock=lambda: float(next(now)))
    assert outcome.done == ["task.a.seed0"]
    assert outcome.stopped == "the budget of 1.5 min is used up; 2 cells are left"


def test_results_are_written_after_every_cell(shop):
    counted = []
    go(shop, Fake(), after=lambda: counted.append(len(list(shop.store.directory.glob("*.json")))))
    assert counted == [1, 2, 3]


def test_a_result_file_tells_what_was_measured_and_where(shop):
    go(shop, Fake())
    written = json.loads(shop.store.path(CELLS[2]).read_text())
    assert (written["cell"], written["settings"], written["result"]) == (
        "task.a.seed2",
        {"seed": 2},
        {"success": 0.5},
    )
    assert written["machine"]["cores"] >= 1
    assert {"fingerprint", "date", "versions", "git", "wall_s"} <= written.keys()


@pytest.mark.parametrize("damage", ["{", "[]", '{"fingerprint": 1}', None])
def test_a_damaged_result_file_is_named(shop, damage):
    go(shop, Fake())
    path = shop.store.path(CELLS[0])
    if damage is None:
        damage = json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "result"})
    path.write_text(damage)
    if damage == '{"fingerprint": 1}':
        assert shop.store.find(CELLS[0]) is None
    else:
        with pytest.raises(StoreError, match=r"task\.a\.seed0\.json is no result of a cell"):
            shop.store.find(CELLS[0])


def test_cells_are_chosen_by_patterns():
    assert choose(CELLS, "") == CELLS
    assert choose(CELLS, "*seed2, task.a.seed0") == [CELLS[0], CELLS[2]]
    with pytest.raises(ValueError, match="no cell matches 'tsk"):
        choose(CELLS, "task.*,tsk.*")


def test_the_overview_counts_and_estimates(shop):
    assert estimates_min(CELLS, shop.store)["task.a.seed0"] == 5.0
    shop.store.keep(CELLS[0], {}, wall_s=90.0)
    shop.store.keep(dataclasses.replace(CELLS[1], settings={}), {}, wall_s=1.0)
    assert estimates_min(CELLS, shop.store)["task.a.seed2"] == 1.5
    table = overview(CELLS, shop.store)
    assert table.title == "1 of 3 cells are done; the others take about 3 min"
    assert list(table.columns[1].cells) == ["done", "changed", "missing"]


def test_time_of_a_cell_is_its_own(shop):
    def slow(shop, cell):
        time.sleep(0.05)
        return {}

    run(CELLS[:1], shop, {"fake": slow}, Console(quiet=True))
    assert 0.05 <= shop.store.find(CELLS[0]).wall_s + 0.05 < 5.0
