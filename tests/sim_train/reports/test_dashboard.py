"""The terminal's view of RL."""

import io

from made_runs import rl_record
from rich.console import Console
from rich.text import Text

from sim_train.reports.dashboard import Dashboard, sparkline
from sim_train.reports.progress import Stage


def test_sparkline():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([0.0, None, 7.0, 3.0], width=3) == " █▁"
    assert sparkline([0.5, 2.0], low=0.0, high=1.0) == "▅█"
    assert sparkline([3.0, 3.0]) == "▅▅"
    assert sparkline([None, None]) == ""


def text_of(dashboard):
    console = Console(file=io.StringIO(), width=140)
    console.print(dashboard)
    return console.file.getvalue()


def test_success_with_interval_phases_and_what_is_left():
    dashboard = Dashboard(budget_min=2.0)
    assert text_of(dashboard).strip() == ""
    dashboard.add(rl_record(1, 0.5))
    dashboard.add(rl_record(2, 0.6, greedy_success=0.8, greedy_ci95=[0.7, 0.9], validation_s=1.5))
    lines = {line.split("  ")[0]: line for line in text_of(dashboard).splitlines()}
    assert "60.0% (50%..70%)" in lines["sampled success"]
    assert "80.0% (70%..90%)" in lines["greedy success"]
    assert "60%" in lines["mixed groups"]
    phases, workers, left = list(lines)[-3:]
    assert phases == "rollouts 8.0 s, update 2.0 s, validation 1.5 s, 5 episodes/s, 50 steps/s"
    assert workers == "workers: environment 9.0 s, pictures 3.0 s, inference 3.0 s, idle 1.0 s"
    assert left.startswith("at most 1.7 of 2.0 min left, about 10 updates; ends by ")  # 100 s at 10 s an update


def several_tasks(update):
    names = ("pick_cube", "a_task_with_quite_a_long_name")
    tasks = {name: {"success": 0.1 * update, "success_ci95": [0.0, 1.0]} for name in names}
    greedy = {name: {"success": 0.05 * update, "success_ci95": [0.0, 1.0]} for name in names}
    return rl_record(
        update, greedy_success=0.8, greedy_ci95=[0.7, 0.9], validation_s=12.5, tasks=tasks, greedy_tasks=greedy
    )


def test_every_task_has_its_line():
    dashboard = Dashboard(budget_min=2.0)
    dashboard.add(rl_record(1))
    dashboard.add(several_tasks(4))
    lines = text_of(dashboard).splitlines()
    assert next(line for line in lines if "pick_cube" in line).split() == ["pick_cube", "▄", "40%,", "greedy", "20%"]


def test_it_fits_in_80_columns():
    dashboard = Dashboard(budget_min=240.0)
    for update in range(1, 61):
        dashboard.add(several_tasks(update / 60) | {"update": update, "episodes": 40 * update})
    console = Console(file=io.StringIO(), width=200)
    console.print(dashboard)
    lines = console.file.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80, lines
    assert any("a_task_with_quite_.." in line for line in lines)


def test_the_first_record_of_a_resumed_run_has_no_pace():
    dashboard = Dashboard(2.0)
    dashboard.add(rl_record(31, None, grad_norm=None))
    text = text_of(dashboard)
    assert "episodes/s" not in text
    assert "about" not in text
    assert "gradient norm" not in text


def test_a_terminal_shows_it_and_a_file_does_not():
    plain, terminal = io.StringIO(), io.StringIO()
    for file, is_terminal in ((plain, False), (terminal, True)):
        with Stage("rl", 2.0, Console(file=file, force_terminal=is_terminal, width=120)) as stage:
            stage.advance(0.2, "update 1", rl_record(1))
            stage.say("a line that stays")
    assert plain.getvalue() == "rl: 0.2/2 update 1\nrl: a line that stays\n"
    assert "sampled success" in terminal.getvalue()
    assert "a line that stays" in terminal.getvalue()


def test_the_bar_fits_in_80_columns():
    file = io.StringIO()
    with Stage("rl", 240.0, Console(file=file, force_terminal=True, width=80)) as stage:
        stage.advance(123.4, "update 123, 54400 episodes, sampled 19.5%", rl_record(123))
    drawn = Text.from_ansi(file.getvalue()).plain
    assert "update 123, 54400 episodes, sampled 19.5%" in drawn
