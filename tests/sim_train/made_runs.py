"""Runs as `sim_train.train` leaves them, without training."""

GROUPS, SIZE = 4, 8


def rl_record(update, success=0.5, **changed):
    """One line of metrics/rl.jsonl."""
    return {
        "update": update,
        "episodes": 40 * update,
        "seconds": 10.0 * update,
        "faults": 0,
        "restarts": 0,
        "groups": 5,
        "mixed": 3,
        "all_failed": 1,
        "all_succeeded": 1,
        "carried": 0,
        "success": success,
        "success_ci95": None if success is None else [success - 0.1, success + 0.1],
        "success_length": 4.0,
        "entropy": 3.0 - 0.1 * update,
        "rollout_gap": 1e-5,
        "first_ratio_error": 0.0 if update == 1 else 0.5,
        "max_ratio_error": 2.0,
        "clip_low": 0.02,
        "clip_high": 0.01,
        "approx_kl": 0.01,
        "grad_norm": 0.7,
        "skipped_steps": 0,
        "staleness": 0.1,
        "behaviour_weight": 0.98,
        "environment_s": 9.0,
        "render_s": 3.0,
        "inference_s": 3.0,
        "idle_s": 1.0,
        "steps": 400,
        "refused_share": 0.0,
        "late_share": 0.02,
        "cores_busy": 0.9,
        "rollout_s": 8.0,
        "update_s": 2.0,
        **changed,
    }


def config_of(seed, learning_rate):
    """Some of the settings of a run."""
    return {
        "output_dir": f"outputs/{seed}",
        "task": "pick_cube",
        "seed": seed,
        "stages": ["sft", "rl"],
        "rollout": {"workers": 0},
        "rl": {"sampling": {"groups": GROUPS, "group_size": SIZE}, "update": {"learning_rate": learning_rate}},
    }


def rate(successes, episodes, low, high):
    """A success rate as records hold it."""
    return {"success": successes / episodes, "success_ci95": [low, high], "episodes": episodes}
