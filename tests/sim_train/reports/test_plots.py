"""Curves."""

from xml.etree import ElementTree

from made_runs import rl_record

from sim_train.reports.diagnostics import RL_PANELS, complete_all
from sim_train.reports.plots import Series, panel_plot, rates_plot, success_plot


def words(svg):
    return " ".join(
        "".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")
    )


def series(kind=0, updates=3, **changed):
    return Series(complete_all([rl_record(i, **changed) for i in range(1, updates + 1)], 4), kind)


def played(kind=0, updates=3):
    return series(kind, updates, greedy_success=0.4)


def test_every_panel_draws_one_run_and_several():
    for panel in RL_PANELS:
        if panel.title not in ("Anchor", "Critic"):  # which not every run has
            for runs in ([played(updates=1)], [played(), played(), played(1, 2)]):
                assert panel.title in words(panel_plot(panel, runs)), panel.title


def test_a_panel_without_values_is_none():
    panel = next(panel for panel in RL_PANELS if panel.title == "Anchor")
    assert panel_plot(panel, [series()]) is None


def test_a_median_is_drawn_only_where_all_runs_have_a_value():
    panel = next(panel for panel in RL_PANELS if panel.title == "Entropy")
    alone = panel_plot(panel, [series(0), series(1)])
    together = panel_plot(panel, [series(0), series(0)])
    assert together.count(b"stroke-width: 2;") > alone.count(b"stroke-width: 2;")
    nothing_shared = [series(0, 1), Series(series(0, 3).records[1:], 0)]
    assert panel_plot(panel, nothing_shared).count(b"stroke-width: 2;") == alone.count(b"stroke-width: 2;")


def test_success_of_kinds_with_a_legend():
    text = words(success_plot([series(0, greedy_success=0.9, greedy_ci95=[0.8, 1.0]), series(1)], ["#1: a", "#2: b"]))
    assert "#1: a" in text
    assert "#2: b" in text


def test_rates():
    assert "run, task" in words(rates_plot(["run, task"], [0.5], [(0.4, 0.6)]))
