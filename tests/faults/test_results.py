"""Tries summed up, kept in a file and shown on a page."""

import json

import pytest

from benchmarks.faults import matrix
from benchmarks.faults.attempt import MAKERS, Attempt
from benchmarks.faults.catalogue import BY_ID, ROWS
from benchmarks.faults.results import Results, figures, quantile


def test_the_catalogue_is_whole_and_every_built_row_is_in_it():
    assert [row.id for row in ROWS] == list(range(1, 56))
    assert set(MAKERS) <= set(BY_ID) and matrix.BUILT
    for row in ROWS:
        assert row.seam in ("processes", "in process") or row.seam.startswith("needs hardware: tested at ")


def test_quantiles_are_tries_not_in_between():
    values = [float(i) for i in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0)) == (50.0, 99.0, 100.0)
    assert quantile([7.0], 0.99) == 7.0 and quantile([], 0.5) is None


@pytest.mark.parametrize(
    ("attempts", "passed"),
    [
        ([], None),
        ([Attempt(1.0, 30.0)] * 3, True),
        ([Attempt(1.0, 30.0), Attempt(1.0, 51.0)], False),
        ([Attempt(1.0, 30.0), Attempt(failure="it went on")], False),
        ([Attempt(1.0, 30.0, breaches=("Joint1 jumps",))], False),
        ([Attempt()], False),
    ],
)
def test_a_row_with_a_bound(attempts, passed):
    assert figures(BY_ID[22], attempts).passed is passed


def test_a_row_without_a_bound_passes_by_its_outcome():
    assert figures(BY_ID[6], [Attempt()]).passed is True
    assert figures(BY_ID[6], [Attempt(failure="played")]).passed is False


def test_tries_are_kept_at_once_and_taken_up_again(tmp_path):
    page = tmp_path / "docs" / "faults.md"
    results = Results(tmp_path, page)
    results.add(22, Attempt(10.0, 20.0, {"resume": 5.0}))
    results.skip(39, "no libfaketime")
    results.counts["chaos_runs"] = 3
    results.add(22, Attempt(10.0, 40.0, breaches=("Joint1 begins 0.1 rad off",)))
    again = Results(tmp_path, page)
    assert again.tried(22) == 2 and again.tried(1) == 0
    (row,) = [each for each in again.rows() if each.row.id == 22]
    assert (row.p50_ms, row.p99_ms, row.also_ms, row.breaches) == (20.0, 40.0, {"resume": 5.0}, 1)
    values = json.loads((tmp_path / "faults.json").read_text())
    assert {"rows", "invariant_breaches", "property_cases", "chaos_runs"} <= set(values)
    assert values["invariant_breaches"] == 1 and values["chaos_runs"] == 3 and len(values["rows"]) == 55
    (one,) = [r for r in values["rows"] if r["id"] == 22]
    assert {"id", "fault", "bound_ms", "p50_ms", "p99_ms", "tries", "passed", "seam"} <= set(one)
    text = page.read_text()
    assert "not tried: no libfaketime" in text and "broke the invariant" in text
    again.forget(22)
    assert again.tried(22) == 0


def test_rows_that_are_not_built_are_never_shown_as_passed(tmp_path):
    page = tmp_path / "faults.md"
    Results(tmp_path, page).save()
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    shown = {int(line.split("|")[1]): line for line in lines if line.split("|")[1].strip().isdecimal()}
    assert set(shown) == set(BY_ID)
    for row, line in shown.items():
        assert line.endswith("| not tried |" if row in MAKERS else "| not yet |")


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "faults.json").write_text('{"rows": [{"id": 1}]}')
    with pytest.raises(ValueError, match="no result of this benchmark"):
        Results(tmp_path, tmp_path / "faults.md")
