"""Running the matrix: what is tried, kept, taken up again and told. Rows of the loop itself are in the slow suite."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks.faults import __main__ as command
from benchmarks.faults.attempt import MAKERS, Attempt, Maker, SkipRowError
from benchmarks.faults.matrix import run_matrix
from benchmarks.faults.processes import TryError
from benchmarks.faults.results import Results

ROOT = Path(__file__).parent.parent.parent
ROW = 6


@pytest.fixture
def told(tmp_path):
    return SimpleNamespace(
        rows=[ROW],
        tries=3,
        again=False,
        chaos=0,
        properties=False,
        first_seed=0,
        results=tmp_path,
        page=tmp_path / "faults.md",
    )


@pytest.fixture
def make(monkeypatch):
    """Row 6 is made by what the test puts here; the numbers of its tries."""
    made = SimpleNamespace(numbers=[], give=lambda number: Attempt())

    def one(_rig, number):
        made.numbers.append(number)
        return made.give(number)

    monkeypatch.setitem(MAKERS, ROW, Maker("none", one))
    return made


def run(told):
    with Path("/dev/null").open("w") as nowhere:
        return run_matrix(told, told.results, Console(file=nowhere))


def test_a_row_that_passes(told, make):
    assert run(told) == 0
    assert make.numbers == [0, 1, 2]
    assert Results(told.results, told.page).tried(ROW) == 3


def test_what_was_tried_is_not_tried_again_unless_asked(told, make):
    def interrupted(number):
        if number == 1:
            raise KeyboardInterrupt
        return Attempt()

    make.give = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(told)
    make.give = lambda number: Attempt()
    assert run(told) == 0
    assert make.numbers == [0, 1, 1, 2]
    assert run(told) == 0 and len(make.numbers) == 4
    told.again = True
    assert run(told) == 0 and len(make.numbers) == 7


def test_a_try_that_could_not_be_made_is_a_failure(told, make):
    def broken(number):
        raise TryError("the loop did not start")

    make.give = broken
    assert run(told) == 1
    assert "the loop did not start" in told.page.read_text()


def test_a_row_that_cannot_be_tried_here_says_why(told, make):
    def impossible(number):
        raise SkipRowError("no root")

    make.give = impossible
    assert run(told) == 0
    assert "not tried: no root" in told.page.read_text()
    assert Results(told.results, told.page).tried(ROW) == 0


@pytest.mark.parametrize(("row", "text"), [(56, "rows are 1 to 55"), (55, "has no test yet")])
def test_rows_that_are_not_there(told, make, monkeypatch, row, text):
    monkeypatch.delitem(MAKERS, 55, raising=False)
    told.rows = [row]
    with pytest.raises(ValueError, match=text):
        run(told)


@pytest.mark.parametrize(("came", "code"), [((100_000, ""), 0), ((0, "it moved too fast"), 1)])
def test_properties_of_the_limiter_are_counted(told, monkeypatch, came, code):
    monkeypatch.setattr("benchmarks.faults.matrix.run_properties", lambda: came)
    told.rows, told.properties = [], True
    assert run(told) == code
    values = json.loads((told.results / "faults.json").read_text())
    assert (values["property_cases"], values["invariant_breaches"]) == (came[0], code)


def test_what_the_command_takes():
    assert command._arguments(["--rows", "1,22"]).rows == [1, 22]
    assert command._arguments([]).rows is None
    assert command._arguments(["--chaos", "3"]).rows == []
    assert command._arguments(["--properties"]).rows == []
    for bad in (["--rows", "one"], ["--tries", "0"], ["--chaos", "-1"]):
        with pytest.raises(SystemExit):
            command._arguments(bad)


def matrix(tmp_path, *arguments):
    """The command in a process of its own; its exit status, its words and the results."""
    where = ["--results", str(tmp_path), "--page", str(tmp_path / "faults.md")]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *arguments, *where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr, json.loads((tmp_path / "faults.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_rows_of_the_driver_and_its_arm(tmp_path):
    code, told, found = matrix(tmp_path, "--rows", "6,27,40,47", "--tries", "1")
    assert code == 0, told
    assert [row["id"] for row in found["rows"] if row["passed"]] == [6, 27, 40, 47]
    assert found["invariant_breaches"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_rows_of_the_whole_loop(tmp_path):
    code, told, found = matrix(tmp_path, "--rows", "3,18", "--tries", "1")
    assert code == 0, told
    assert found["invariant_breaches"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_random_runs_keep_the_invariant(tmp_path):
    _, told, found = matrix(tmp_path, "--chaos", "3")
    assert found["chaos_runs"] == 3 and found["chaos_seeds"] == [0, 1, 2]
    assert found["invariant_breaches"] == 0, told
