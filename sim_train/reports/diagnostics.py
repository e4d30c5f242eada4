"""The numbers that tell whether reinforcement learning is healthy: how they are got and what each one means.

A record is one line of `metrics/rl.jsonl`. `complete` adds what follows from a record, so that everything that shows
diagnostics (terminal, page, event files) shows the same ones, for runs of older versions, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from policy_api.intervals import wilson_interval


@dataclass(frozen=True)
class Diagnostic:
    """One curve."""

    key: str
    """In a completed record."""
    label: str
    """In a legend, with its unit."""


@dataclass(frozen=True)
class Panel:
    """Curves that are looked at together."""

    title: str
    note: str
    """How to read it."""
    curves: tuple[Diagnostic, ...]
    style: str = "lines"
    """Of `lines`, `stacked` (parts of a whole) and `log` (lines over a logarithmic axis)."""


def _panel(title: str, note: str, style: str = "lines", **curves: str) -> Panel:
    return Panel(title, note, tuple(Diagnostic(key, label) for key, label in curves.items()), style)


RL_PANELS = (
    _panel(
        "Groups",
        "GRPO learns from mixed groups only. Many fail: too hard a task; many succeed: little is left to learn.",
        "stacked",
        mixed_share="mixed",
        failed_share="all failed",
        succeeded_share="all succeeded",
    ),
    _panel(
        "Groups played for one wanted",
        "Dynamic sampling goes on until enough groups are mixed, up to rl.sampling.oversample.",
        oversample="groups played / wanted",
    ),
    _panel(
        "Clipped tokens",
        "Share of tokens that the trust region holds back. If it keeps rising, the steps are too large.",
        clip_low="lower clip",
        clip_high="upper clip",
    ),
    _panel("Approximate KL(old || new)", "How far one update moves the policy, nats a token.", approx_kl="KL, nats"),
    _panel(
        "Largest |ratio - 1|",
        "In the first mini-batch, before any step, it is 0.",
        "log",
        max_ratio_error="last pass",
        first_ratio_error="first mini-batch",
    ),
    _panel("Entropy", "Of a token, nats. A fall to 0 ends exploration.", entropy="nats a token"),
    _panel("Gradient norm", "Before clipping.", grad_norm="norm"),
    _panel("Steps skipped", "Optimiser steps whose gradient was not finite.", skipped_steps="steps"),
    _panel(
        "Critic",
        "PPO only. Explained variance: 1 is perfect, 0 as good as a constant.",
        explained_variance="explained variance",
        value_error="RMS error of value",
    ),
    _panel("Anchor", "Imitation loss of the demonstrations to stay close to.", anchor_loss="loss"),
    _panel("Length of successes", "Mean of sampled episodes.", success_length="chunks"),
    _panel(
        "Faults of environments",
        "Share of episodes that the simulator broke; they are played again and never count as failures.",
        fault_rate="share of episodes",
    ),
    _panel(
        "Staleness",
        "Mean age of the trajectories that were learned from, in versions of the weights.",
        staleness="versions",
    ),
    _panel(
        "Weight of older trajectories",
        "Mean of the cut-off ratio of the weights at the start of the update to those that played.",
        behaviour_weight="weight",
    ),
    _panel(
        "Log-probability gap, rollout against trainer",
        "Largest of fresh trajectories. Should stay below 0.001.",
        rollout_gap="nats",
    ),
    _panel(
        "Where the time goes",
        "Seconds of an update.",
        "stacked",
        rollout_s="rollouts",
        update_s="update",
        validation_s="validation",
    ),
    _panel(
        "Where the rollout workers' time goes",
        "Seconds of all of them together, for the episodes of an update.",
        "stacked",
        environment_s="environment",
        render_s="pictures",
        inference_s="inference",
        idle_s="idle",
    ),
    _panel(
        "Executor violations",
        "Chunks that the driver would refuse because they start too far from the setpoint, and chunks that the limiter "
        "keeps from arriving in time.",
        refused_share="refused",
        late_share="late",
    ),
    _panel(
        "Sampled less greedy success",
        "Sampled success is of training starts, greedy success of validation starts that nothing trains on. If it "
        "stays above 0, the policy does better where it has been than elsewhere.",
        train_gap="difference",
    ),
    _panel("Cores busy", "Share of this machine's processor time that trainer and workers use.", cores_busy="share"),
    _panel("Episodes a second", "While rollouts run.", episodes_per_s="episodes/s"),
    _panel("Control steps a second", "While rollouts run.", steps_per_s="steps/s"),
)
SFT_PANELS = (
    _panel(
        "Imitation loss",
        "Without its auxiliary part. Policies with tokens: nats above the smoothed targets' own entropy.",
        "log",
        imitation_loss="loss",
    ),
    _panel("Auxiliary target", "How far off the guess of the object's place is.", "log", target_error_mm="error, mm"),
)


def group_interval(group_rates: Sequence[float], size: int) -> tuple[float, float]:
    """95 % interval of the mean success of groups.

    Members of a group share their starting point and are no independent trials. Wilson's interval is therefore taken
    with the effective number of trials p (1 - p) / se^2 (Kish, Survey Sampling, 1965), where se is the standard error
    of the mean of groups; it lies between the number of groups and the number of episodes.

    Args:
        group_rates: share of successes of each group.
        size: episodes in a group.

    Raises:
        ValueError: no group.
    """
    groups = len(group_rates)
    if not groups:
        raise ValueError("an interval needs at least one group of episodes")
    mean = sum(group_rates) / groups
    variance = sum((rate - mean) ** 2 for rate in group_rates) / max(groups - 1, 1) / groups
    effective = mean * (1 - mean) / variance if variance > 0 else float(groups)
    trials = round(min(max(effective, groups), groups * size))
    return wilson_interval(round(mean * trials), trials)


def complete(record: dict[str, Any], wanted_groups: int | None, episodes_before: int | None) -> dict[str, Any]:
    """A record of `rl.jsonl` with everything that follows from it; values that are not finite become None.

    Args:
        record: of one update.
        wanted_groups: `rl.sampling.groups`; None if it is not known.
        episodes_before: `episodes` of the record before, 0 for the first; None if it is not known.
    """
    full = finite(record)
    groups = full["groups"]
    if groups:
        full["mixed_share"] = full["mixed"] / groups
        full["failed_share"] = full["all_failed"] / groups
        full["succeeded_share"] = full["all_succeeded"] / groups
        if wanted_groups:
            full["oversample"] = groups / wanted_groups
    if episodes_before is not None:
        played = full["episodes"] - episodes_before
        if played:
            full["fault_rate"] = full["faults"] / (played + full["faults"])
        if full["rollout_s"]:
            full["episodes_per_s"] = played / full["rollout_s"]
    if full.get("steps") and full["rollout_s"]:
        full["steps_per_s"] = full["steps"] / full["rollout_s"]
    if full.get("greedy_success") is not None and full.get("success") is not None:
        full["train_gap"] = full["success"] - full["greedy_success"]
    return full


def complete_all(records: Sequence[dict[str, Any]], wanted_groups: int | None) -> list[dict[str, Any]]:
    """All records of a run from its first update on, completed."""
    before = [0, *(record["episodes"] for record in records)]
    return [complete(record, wanted_groups, episodes) for record, episodes in zip(records, before, strict=False)]


def of_task(records: Sequence[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    """Records with the success of one of several tasks as if it were the only one; those without it are left out."""
    found = []
    for record in records:
        sampled, greedy = record.get("tasks", {}).get(task, {}), record.get("greedy_tasks", {}).get(task, {})
        if sampled or greedy:
            mine = {name: sampled.get(name) for name in ("success", "success_ci95")}
            mine |= {
                f"greedy_{name}": greedy.get(key) for name, key in (("success", "success"), ("ci95", "success_ci95"))
            }
            found.append({"update": record["update"], **mine})
    return found


def levels(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By update, the curriculum's level of each task under the task's name; empty without a curriculum."""
    return [
        {"update": record["update"], **{task: at["level"] for task, at in record["levels"].items()}}
        for record in records
        if record.get("levels")
    ]


def finite(record: dict[str, Any]) -> dict[str, Any]:
    """The record with None, which JSON knows, for numbers that are not finite."""
    odd = {name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)}
    return {name: None if name in odd else value for name, value in record.items()}
