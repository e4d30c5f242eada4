"""The page."""

import html.parser
import json
import re

import pytest
from made_runs import rl_record

from sim_train.reports.page import write_page
from sim_train.reports.runs import STRATEGIES, read_run

EMPTY = {"meta", "img", "br", "link", "input"}


class Checker(html.parser.HTMLParser):
    """Tags must close in order; addresses and text are kept."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.tags, self.text = [], [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "data")]
        self.text += " " if tag in ("td", "th") else ""
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text += data


def checked(path):
    page = Checker()
    page.feed(path.read_text())
    page.close()
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    page.text = re.sub(r"\s+", " ", page.text)
    return page


def test_a_finished_run_with_videos(tmp_path, make_run, evaluate_run):
    root = make_run(tmp_path / "a<b>&c")
    evaluate_run(root)
    write_page([read_run(root)], tmp_path / "out" / "report.html")
    page = checked(tmp_path / "out" / "report.html")
    assert all(address.startswith("data:") for address in page.addresses)  # nothing from elsewhere
    assert page.tags.count("video") == 4
    assert "greedy, held-out starts 90.0 % 85.0 to 95.0 % 200" in page.text
    assert "rl, greedy, validation starts +5.0" in page.text
    assert "rl.update.learning_rate 0.001" in page.text
    assert "rollout 80.0 %, update 20.0 %, validation 2.5 %" in page.text
    assert "1000000..1000001 (2)" in page.text
    assert "a<b>&c" in page.text  # escaped, or it would have been taken for a tag
    assert "Side by side" not in page.text


def test_several_runs_side_by_side(tmp_path, make_run):
    runs = [read_run(make_run(tmp_path / f"s{seed}", seed)) for seed in (0, 1, 2)]
    runs.append(read_run(make_run(tmp_path / "b", 0, 5e-4, updates=2, finished=False)))
    write_page(runs, tmp_path / "report.html")
    page = checked(tmp_path / "report.html")
    assert "#1: rl.update.learning_rate=0.001 3, 3 60.0 95.0" in page.text
    assert "#2: rl.update.learning_rate=0.0005 1, 0" in page.text
    assert "not finished" in page.text


def test_a_run_that_has_only_begun(tmp_path):
    (tmp_path / "metrics").mkdir()
    path = tmp_path / "metrics" / "rl.jsonl"
    for content in ("", json.dumps(rl_record(1, float("nan"), success_ci95=None)) + "\n"):
        path.write_text(content)
        write_page([read_run(tmp_path)], tmp_path / "report.html")
        assert "saved nothing yet" in checked(tmp_path / "report.html").text
    assert not list(tmp_path.glob("*.tmp"))


def test_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one run"):
        write_page([], tmp_path / "report.html")


def test_several_tasks_a_curriculum_and_strategies(tmp_path, make_run):
    root = make_run(tmp_path / "train")
    lines = [json.loads(line) for line in (root / "metrics" / "rl.jsonl").read_text().splitlines()]
    for line in lines:
        tasks = {
            name: {"success": 0.5, "success_ci95": [0.4, 0.6], "groups": 2} for name in ("pick_cube", "click_bell")
        }
        line |= {"tasks": tasks, "levels": {name: {"level": 0.3, "spread": 0.5} for name in tasks}}
    (root / "metrics" / "rl.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    played = {
        "demonstrations": {"1": "carried", "2": "carried"},
        "sft": {"1": "carried", "2": None},
        "rl": {"1": "carried", "2": "pushed"},
    }
    (root / STRATEGIES).mkdir(parents=True)
    for who, seeds in played.items():
        made_of = {} if who == "demonstrations" else {"revision": f"{who}train"}
        text = json.dumps({"made_of": made_of, "tasks": {"pick_cube": seeds}})
        (root / STRATEGIES / f"{who}.json").write_text(text)
    write_page([read_run(root)], tmp_path / "report.html")
    page = checked(tmp_path / "report.html")
    content = (tmp_path / "report.html").read_text()
    assert all(f'alt="{title}"' in content for title in ("pick_cube", "click_bell", "Curriculum"))
    assert "1 of 2 successes of RL, 50.0 %" in page.text
    assert "in a way that none of 2 demonstrations shows: pushed." in page.text
    assert "pushed (new) 0 of 2, 0.0 %" in page.text
