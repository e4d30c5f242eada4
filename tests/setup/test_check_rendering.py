import subprocess
import sys
from pathlib import Path

import check_rendering
import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_mujoco_renders_and_sapien_does_or_says_why():
    command = [sys.executable, str(ROOT / "scripts" / "check_rendering.py")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert answer.returncode == 0, answer.stdout
    assert "MuJoCo (EGL): renders, " in answer.stdout or "MuJoCo (OSMesa): renders" in answer.stdout
    if "SAPIEN (Vulkan): renders" not in answer.stdout:
        assert "SAPIEN needs a Vulkan device" in answer.stdout
        pytest.skip(answer.stdout.splitlines()[-2])


def test_a_wrong_picture_and_a_crash_are_failures():
    black = check_rendering.MUJOCO_FRAME.replace('rgba="1 0 0 1"', 'rgba="0 0 0 1"')
    works, detail = check_rendering.try_frame(black, {"MUJOCO_GL": "egl"})
    assert not works and "the red box covers" in detail
    works, detail = check_rendering.try_frame("import os; os.abort()", {})
    assert not works and "status -6" in detail
