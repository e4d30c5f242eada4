"""What a training run left on disk, whether it is finished, interrupted or still going."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim_train.reports.diagnostics import complete_all

STAGES = ("sft", "rl")
DEMONSTRATIONS, RL_TRAIN = "demonstrations", "rl_train"
"""Who plays again beside the checkpoints of both stages: the demonstrations' expert; RL where it was trained."""
STRATEGIES, FILMS = "replays/strategies", "replays/videos"
"""Folders of what `sim_train.replay` makes in a run."""
NOT_COMPARED = ("seed", "output_dir", "dry_run", "rollout", "hardware", "stages", "report")
"""Settings in which runs of one group may differ."""


class RunError(ValueError):
    """A directory that is no training run, or a damaged file in it; the text says which."""


@dataclass(frozen=True)
class Evaluation:
    """A result of `sim_train.evaluate` for one of the run's checkpoints."""

    stage: str
    path: Path
    result: dict[str, Any]


@dataclass(frozen=True)
class TrainingRun:
    """One run."""

    root: Path
    config: dict[str, Any]
    """Settings as far as they were saved; empty for a run that saved nothing yet."""
    records: dict[str, dict[str, Any]]
    """By stage that is finished: the training record of its checkpoint."""
    sft: list[dict[str, Any]]
    """Lines of `metrics/sft.jsonl`."""
    rl: list[dict[str, Any]]
    """Lines of `metrics/rl.jsonl`, completed; see `diagnostics.complete`."""
    evaluations: list[Evaluation]
    """Of its checkpoints, by stage."""
    status: str
    """For people."""
    revisions: dict[str, str]
    """By stage that is finished: hash of its weights."""
    strategies: dict[str, dict[str, dict[str, str | None]]]
    """By player (a stage, `DEMONSTRATIONS`, `RL_TRAIN`), task and seed: how an episode was done, None for a failure; as
    far as the run's checkpoints were played again (`sim_train.replay`)."""
    films: dict[str, dict[str, Any]]
    """By stage, by seed: "path" in `FILMS` and "success"; likewise."""

    @property
    def name(self) -> str:
        """The end of its path."""
        return "/".join(self.root.resolve().parts[-2:])

    @property
    def task(self) -> str:
        """The task that it learns; "unknown" before anything was saved."""
        return str(self.config.get("task", "unknown"))

    @property
    def kind(self) -> str:
        """Equal for runs that differ in nothing but their seed and where they ran."""
        return json.dumps({k: v for k, v in self.config.items() if k not in NOT_COMPARED}, sort_keys=True)


def read_run(root: Path) -> TrainingRun:
    """Read the run in directory `root`.

    Evaluations are looked for in `root`, in `root/evaluation` and in `evaluation` beside `root`, and belong to the run
    if they name the revision of one of its checkpoints.

    Raises:
        RunError: no training run, or a file of it is damaged.
    """
    metrics = {stage: root / "metrics" / f"{stage}.jsonl" for stage in STAGES}
    manifests = {stage: root / stage / "manifest.json" for stage in STAGES}
    if not any(path.is_file() for path in (*metrics.values(), *manifests.values())):
        raise RunError(
            f"{root} holds no training run: neither {metrics['sft']} nor {manifests['sft']} is there; give the "
            "output_dir of sim_train.train"
        )
    found = {stage: _json(path) for stage, path in manifests.items() if path.is_file()}
    records = {stage: _part(manifest, "record", manifests[stage]) for stage, manifest in found.items()}
    config = next((records[stage]["config"] for stage in reversed(STAGES) if stage in records), None)
    config = _fingerprint(root) if config is None else config
    lines = {stage: read_lines(path) for stage, path in metrics.items()}
    wanted = config.get("rl", {}).get("sampling", {}).get("groups")
    return TrainingRun(
        root=root,
        config=config,
        records=records,
        sft=lines["sft"] or records.get("sft", {}).get("curve", []),
        rl=complete_all(lines["rl"] or records.get("rl", {}).get("curve", []), wanted),
        evaluations=_evaluations(root, {manifest.get("weights_sha256"): stage for stage, manifest in found.items()}),
        status=_status(records, metrics),
        revisions=(revisions := {stage: str(manifest.get("weights_sha256")) for stage, manifest in found.items()}),
        strategies=_replayed(root / STRATEGIES, "tasks", revisions),
        films=_replayed(root / FILMS, "videos", revisions),
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a metrics file; empty if it is not there. A last line that is being written is left out.

    Raises:
        RunError: another line is no JSON object.
    """
    if not path.is_file():
        return []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(whole, 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise RunError(f"{path}, line {number} is not JSON ({error}); remove the line") from error
        if not isinstance(record, dict):
            raise RunError(f"{path}, line {number} is no JSON object; remove the line")
        records.append(record)
    return records


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names."""
    plain: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            plain |= flat(value, f"{prefix}{name}.")
        else:
            plain[prefix + name] = value
    return plain


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is not JSON ({error}); copy the run again") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is no JSON object; copy the run again")
    return content


def _part(content: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    if not isinstance(content.get(name), dict):
        raise RunError(f"{path} has no {name!r}; it was not written by sim_train.train")
    part: dict[str, Any] = content[name]
    return part


def _fingerprint(root: Path) -> dict[str, Any]:
    """Settings in the half-done state of a stage; empty if there is none."""
    for stage in reversed(STAGES):
        path = root / "state" / stage / "state.json"
        if path.is_file():
            return _part(_part(_json(path), "values", path), "fingerprint", path)
    return {}


def _evaluations(root: Path, stages: Mapping[str | None, str]) -> list[Evaluation]:
    found = []
    for folder in (root, root / "evaluation", root.resolve().parent / "evaluation"):
        for path in sorted(folder.glob("*.json")):
            result = _json(path)
            if "successes" in result and result.get("revision") in stages:
                found.append(Evaluation(stages[result["revision"]], path, result))
    return sorted(found, key=lambda evaluation: STAGES.index(evaluation.stage))


def _replayed(folder: Path, part: str, revisions: Mapping[str, str]) -> dict[str, Any]:
    """By player: what was replayed; weights that the run has no more are left out."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        content = _json(path)
        revision = _part(content, "made_of", path).get("revision")
        if revision is None or revision == revisions.get("rl" if path.stem == RL_TRAIN else path.stem):
            found[path.stem] = _part(content, part, path)
    return found


def _status(records: Mapping[str, dict[str, Any]], metrics: Mapping[str, Path]) -> str:
    if "rl" in records:
        return f"finished: {records['rl'].get('stopped_because', 'no reason recorded')}"
    if records.get("sft", {}).get("config", {}).get("stages") == ["sft"]:
        return "finished: SFT only"
    written = [path.stat().st_mtime for path in metrics.values() if path.is_file()]
    age_min = (time.time() - max(written)) / 60 if written else 0.0
    return f"not finished; its last line of metrics is {age_min:.0f} min old"
