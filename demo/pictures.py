"""Pictures of the report: learning curve, tracking, videos."""

from pathlib import Path

import av
import matplotlib
import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES

from demo.lab_figures import JointStates

matplotlib.use("Agg")
from matplotlib import pyplot as plt

INK, GOOD, SOFT = "#1c2430", "#1b7f4d", "#9aa5b1"


def learning_curve(path: Path, updates: list[dict[str, float]], sft_success: float, rl_success: float) -> None:
    """Success over episodes. Each update has `episodes`, `success` (sampled) and, now and then, `greedy_success`."""
    figure, axes = plt.subplots(figsize=(9, 3.6), dpi=110)
    axes.plot([u["episodes"] for u in updates], [u["success"] for u in updates], color=SOFT, label="sampled, training")
    greedy = [u for u in updates if u.get("greedy_success") is not None]
    axes.plot(
        [u["episodes"] for u in greedy],
        [u["greedy_success"] for u in greedy],
        "o-",
        color=GOOD,
        label="greedy, validation",
    )
    axes.axhline(sft_success, color=INK, linestyle=":", linewidth=1)
    axes.axhline(rl_success, color=GOOD, linestyle=":", linewidth=1)
    axes.annotate("SFT, held out", (0, sft_success), textcoords="offset points", xytext=(4, 4), color=INK, fontsize=8)
    axes.annotate("RL, held out", (0, rl_success), textcoords="offset points", xytext=(4, 4), color=GOOD, fontsize=8)
    axes.set(xlabel="training episodes", ylabel="success", ylim=(0, 1.05))
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def tracking(path: Path, setpoint: JointStates, measured: JointStates) -> None:
    """Setpoints (dotted) and measured joints of one episode; the gripper below."""
    figure, (joints, gripper) = plt.subplots(
        2, 1, figsize=(9, 4.6), dpi=110, sharex=True, gridspec_kw={"height_ratios": [3, 1]}
    )
    start_s = setpoint.stamp_s[0]
    for index, name in enumerate(JOINT_NAMES[:6]):
        (line,) = joints.plot(measured.stamp_s - start_s, measured.position[:, index], linewidth=1.2, label=name)
        joints.plot(setpoint.stamp_s - start_s, setpoint.position[:, index], ":", color=line.get_color(), linewidth=1.6)
    gripper.plot(measured.stamp_s - start_s, measured.position[:, 6] * 1e3, color=GOOD, linewidth=1.2)
    gripper.plot(setpoint.stamp_s - start_s, setpoint.position[:, 6] * 1e3, ":", color=GOOD, linewidth=1.6)
    joints.set(ylabel="rad")
    joints.legend(ncols=6, frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.15))
    gripper.set(xlabel="seconds", ylabel="gripper, mm")
    for axes in (joints, gripper):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    """Every frame of a video, (height, width, 3) RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def side_by_side(left: list[NDArray[np.uint8]], right: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Two videos next to each other; the shorter one holds its last frame."""
    length = max(len(left), len(right))
    padded = [frames + [frames[-1]] * (length - len(frames)) for frames in (left, right)]
    return [np.concatenate(pair, axis=1) for pair in zip(*padded, strict=True)]
