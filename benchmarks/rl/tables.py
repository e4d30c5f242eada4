"""`rl.md`: the figures as tables, with what they must reach and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.results import rounded
from benchmarks.writing import table

REACH: Final = {"push_cube": 0.9, "pick_cube": 0.9, "click_bell": 0.9}
"""Success that RL must reach, from an imitation between 10 and 50 %. Of other tasks it must double the success."""
START: Final = (0.1, 0.5)
BUSY, GAP, SCALING, SB3 = 0.85, 1e-3, 1.6, 0.5
"""Least share of the cores' time, largest gap in nats, least speed-up of two workers, largest share of SB3's time."""


def page(values: Mapping[str, Any], plots: Sequence[str], failures: Mapping[str, str]) -> str:
    """The figures of `benchmarks.rl.results.summary` in Markdown.

    Args:
        values: the figures.
        plots: paths of pictures relative to the page.
        failures: cells that could not be measured, and why.
    """
    cpu = values["machine"]
    software = ", ".join(f"{name} {version}" for name, version in values["versions"].items())
    parts = [
        "# What reinforcement learning reaches\n\n"
        f"`make bench-rl`, {values['date']}, on {cpu['cores']} cores of {cpu['cpu']}; {software}.\n"
        "Few demonstrations, imitation (SFT), then GRPO on outcomes. Pictures in; greedy; held-out starts and\n"
        "wordings; medians over seeds. Recipes: `benchmarks/rl/recipes.yaml`.\n",
        *_others(values),
        _tasks(values["tasks"] or {}),
        _targets(values),
        _ablations(values["ablations"] or {}),
        _generalisation(values["generalisation"] or {}),
        _sb3(values["sb3"]),
        *(f"![{path.rsplit('/', 1)[-1].removesuffix('.svg')}]({path})\n" for path in plots),
        _missing(values["missing"], failures),
    ]
    return "\n".join(part for part in parts if part)


def _others(values: Mapping[str, Any]) -> list[str]:
    return [
        f"Some cells were measured on {one['cores']} cores of {one['cpu']}; each result file names its machine.\n"
        for one in values["other_machines"]
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _between(interval: Sequence[float] | None, signed: bool = False) -> str:
    if interval is None:
        return "-"
    low, high = (f"{100 * value:{'+' if signed else ''}.1f}" for value in interval)
    return f"{low}..{high}"


def reached(task: str, figures: Mapping[str, Any]) -> bool:
    """Whether the task's median does what it must."""
    if task in REACH:
        return bool(START[0] <= figures["sft"] <= START[1] and figures["rl"] >= REACH[task])
    return bool(figures["rl"] >= 2 * figures["sft"] > 0)


def _tasks(tasks: Mapping[str, Any]) -> str:
    rows = [
        (
            task,
            str(found["demonstrations"]),
            _share(found["sft"]),
            f"{_share(found['rl'])} ({_between(found['ci95'])})",
            ", ".join(f"{_share(one['sft'])} → {_share(one['rl'])}" for one in found["seeds"]),
            f"{found['budget_min']:g}",
            rounded(found["wall_s"] / 60, 1),
            f"{START[0]:.0%}..{START[1]:.0%} → ≥ {REACH[task]:.0%}" if task in REACH else "≥ 2 x SFT",
            "yes" if reached(task, found) else "**no**",
        )
        for task, found in tasks.items()
    ]
    heading = ("task", "demos", "SFT", "RL (95 %)", "each seed", "RL budget, min", "SFT + RL, min", "target", "reached")
    return "## Tasks\n\n" + table(heading, rows) if rows else ""


def _targets(values: Mapping[str, Any]) -> str:
    rows = []
    for what, key, limit, at_least, digits in (
        ("cores busy in training (median of the tasks' runs)", "cores_busy", BUSY, True, 2),
        ("log-probability gap, rollout against trainer (largest), nats", "logprob_gap", GAP, False, 6),
        ("episodes/s of two workers against one", "two_worker_scaling", SCALING, True, 2),
        ("training time to 90 % as a share of stable-baselines3's", "sb3_time_ratio", SB3, False, 2),
    ):
        value = values[key]
        fine = value is not None and (value >= limit if at_least else value <= limit)
        verdict = "-" if value is None else "yes" if fine else "**no**"
        figure = "not measured" if value is None else rounded(value, digits)
        rows.append((what, figure, f"{'≥' if at_least else '≤'} {limit:g}", verdict))
    return "## Efficiency\n\n" + table(("what", "figure", "target", "reached"), rows)


def _ablations(ablations: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            f"{found['arms'][0]} / {found['arms'][1]}",
            f"{_share(found['with'])} / {_share(found['without'])}",
            _between(found["ci95"], signed=True),
            f"{_share(found['area_with'])} / {_share(found['area_without'])}",
            _between(found["area_ci95"], signed=True),
            str(found["pairs"]),
            found["verdict"],
        )
        for name, found in ablations.items()
    ]
    if not rows:
        return ""
    note = (
        "Both arms of a seed start from one SFT checkpoint and train for the same wall time. Success: held out, at\n"
        "the end. Area: mean greedy validation success over that time. Difference: with less without, in percent\n"
        "points, Student's 95 % interval over pairs of seeds.\n\n"
    )
    heading = ("technique", "with / without", "success", "difference", "area", "difference", "pairs", "verdict")
    return "## Ablations\n\n" + note + table(heading, rows)


def _generalisation(studies: Mapping[str, Any]) -> str:
    rows = [
        (
            study,
            name,
            f"{point['at']:.0f} {'steps' if way == 'sft' else 's'}",
            _share(point["seen"]),
            _share(point["held_out"]),
            ", ".join(_share(value) for value in point["held_out_of_seeds"]),
        )
        for study, ways in studies.items()
        for way, name in (("sft", "SFT"), ("rl", "RL"))
        for point in ways.get(way, [])
    ]
    if not rows:
        return ""
    heading = ("what is held out", "learning", "after", "seen", "held out", "held out, each seed")
    return "## Generalisation\n\n" + table(heading, rows)


def _sb3(sb3: Mapping[str, Any] | None) -> str:
    if sb3 is None:
        return ""
    rows = [
        (
            rounded(row["ours_s"], 0),
            rounded(row["sb3_s"], 0) if row["sb3_s"] is not None else f"not within {row['limit_s']:.0f}",
            _share(row["last_success"]),
        )
        for row in sb3["seeds"]
    ]
    note = (
        f"PPO of stable-baselines3 reached the success in {sb3['reached']} of {sb3['of']} runs. Training seconds "
        "without validation, from\nthe same SFT checkpoint, on the same batched worlds and cores, with the same "
        "network; see docs/benchmarks.md.\n\n"
    )
    return "## Against stable-baselines3\n\n" + note + table(("ours, s", "SB3, s", "SB3's last success"), rows)


def _missing(missing: Sequence[str], failures: Mapping[str, str]) -> str:
    if not missing:
        return ""
    lines = [f"- `{name}`" + (f": {failures[name].splitlines()[-1]}" if name in failures else "") for name in missing]
    return "## Not measured yet\n\n`make bench-rl` goes on with these cells:\n\n" + "\n".join(lines) + "\n"
