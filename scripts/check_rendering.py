"""Render one small frame with MuJoCo and one with SAPIEN, and say in words what works on this machine.

    .venv/bin/python scripts/check_rendering.py

Each simulator runs in a process of its own, because a broken graphics driver may end the process. Exit status 0 if
MuJoCo renders (all that the demo needs), 1 if it does not. SAPIEN needs a Vulkan device: a GPU's, or Mesa's software
one (`mesa-vulkan-drivers`) in version 24 or newer.
"""

from __future__ import annotations

import os
import subprocess
import sys

MUJOCO_FRAME = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 2"/>'
    '<camera name="c" pos="0 -1 .5" xyaxes="1 0 0 0 .45 .9"/><geom type="box" size=".2 .2 .2" rgba="1 0 0 1"/>'
    '</worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data, 'c')
    frame = renderer.render()
assert frame.shape == (48, 64, 3), frame.shape
red = int((frame[..., 0].astype(int) - frame[..., 1] > 60).sum())
assert red > 50, f'the red box covers {red} pixels'
print(f'{red} pixels of the red box seen')
"""

SAPIEN_FRAME = """
import sapien
scene = sapien.Scene()
scene.set_ambient_light([0.6, 0.6, 0.6])
builder = scene.create_actor_builder()
builder.add_box_visual(half_size=[0.2, 0.2, 0.2], material=[1.0, 0.0, 0.0])
builder.build_static(name='box')
camera = scene.add_camera('c', width=64, height=48, fovy=1.0, near=0.01, far=10.0)
camera.set_entity_pose(sapien.Pose([-1.0, 0.0, 0.0]))
scene.update_render()
camera.take_picture()
frame = camera.get_picture('Color')
assert frame.shape[:2] == (48, 64), frame.shape
red = int((frame[..., 0] - frame[..., 1] > 0.2).sum())
assert red > 50, f'the red box covers {red} pixels'
print(f'{red} pixels of the red box seen')
"""


def try_frame(code: str, environment: dict[str, str]) -> tuple[bool, str]:
    """Run `code` in a fresh interpreter; whether it rendered, and its last line of output (or of the error)."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, "no frame within 120 s"
    lines = [line for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
    last = lines[-1].strip() if lines else f"the process ended with status {answer.returncode}"
    return answer.returncode == 0, last


def main() -> int:
    """Print one line per simulator; 0 if MuJoCo renders."""
    works, detail = try_frame(MUJOCO_FRAME, {"MUJOCO_GL": "egl"})
    print(f"MuJoCo (EGL): {'renders, ' if works else 'DOES NOT RENDER: '}{detail}")
    if not works:
        software, detail = try_frame(MUJOCO_FRAME, {"MUJOCO_GL": "osmesa"})
        print(f"MuJoCo (OSMesa): {'renders; set MUJOCO_GL=osmesa' if software else 'DOES NOT RENDER: ' + detail}")
        if not software:
            print("MuJoCo needs libegl1 and libgl1-mesa-dri (or libosmesa6) from the system")
    sapien, detail = try_frame(SAPIEN_FRAME, {})
    print(f"SAPIEN (Vulkan): {'renders, ' if sapien else 'does not render here: '}{detail}")
    if not sapien:
        print("SAPIEN needs a Vulkan device: a GPU's driver, or mesa-vulkan-drivers 24 or newer. MuJoCo does without.")
    return 0 if works else 1


if __name__ == "__main__":
    sys.exit(main())
