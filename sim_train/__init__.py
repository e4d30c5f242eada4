"""Learning: worlds, environments, policies, algorithms, rollouts, checkpoints."""

import os

# MuJoCo reads these when it is first imported: render without a display, and a software renderer on its own core only
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "0")
