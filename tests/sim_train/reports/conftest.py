"""Runs as `sim_train.train` leaves them, in a directory."""

import json

import pytest
from made_runs import config_of, rate, rl_record


@pytest.fixture
def make_run():
    """Writes a run to a directory, and its evaluations with videos beside it."""

    def make(root, seed=0, learning_rate=1e-3, updates=4, finished=True):
        config = config_of(seed, learning_rate)
        (root / "metrics").mkdir(parents=True)
        sft = [{"step": 20 * i, "imitation_loss": 2.0 / i, "target_error_mm": 100.0 / i} for i in range(1, 5)]
        rl = [rl_record(i, round(0.4 + 0.1 * seed + 0.02 * i, 2)) for i in range(1, updates + 1)]
        rl[-1] |= {"greedy_success": 0.9, "greedy_ci95": [0.85, 0.94], "greedy_episodes": 200, "validation_s": 1.0}
        for stage, records in (("sft", sft), ("rl", rl)):
            text = "".join(json.dumps(record) + "\n" for record in records)
            (root / "metrics" / f"{stage}.jsonl").write_text(text)
        records = {"sft": {"config": config, "validation": {"greedy": rate(120, 200, 0.53, 0.67)}}}
        if finished:
            greedy = {"greedy": rate(190, 200, 0.91, 0.97)}
            records["rl"] = {"config": config, "validation": greedy, "stopped_because": "the budget is used up"}
        for stage, record in records.items():
            (root / stage).mkdir()
            manifest = {"weights_sha256": f"{stage}{root.name}", "record": record}
            (root / stage / "manifest.json").write_text(json.dumps(manifest))
        return root

    return make


@pytest.fixture
def evaluate_run():
    """Writes evaluations of a run's checkpoints, and films two seeds, in `evaluation` beside it."""

    def make(root, video_bytes=100):
        folder = root.parent / "evaluation"
        for stage, successes in (("sft", 100), ("rl", 180)):
            (folder / "videos" / stage).mkdir(parents=True)
            videos = {}
            for seed in ("1000000", "1000001"):
                (folder / "videos" / stage / f"{seed}.mp4").write_bytes(bytes(video_bytes))
                won = stage == "rl" or seed == "1000000"
                videos[seed] = {"path": f"elsewhere/evaluation/videos/{stage}/{seed}.mp4", "success": won}
            result = {
                "task": "pick_cube",
                "revision": f"{stage}{root.name}",
                "successes": successes,
                "seeds": {"1000000": True, "1000001": False},
                "videos": videos,
                **rate(successes, 200, successes / 200 - 0.05, successes / 200 + 0.05),
            }
            (folder / f"{stage}.json").write_text(json.dumps(result))

    return make
