"""What set-up installs, in one place: paths, extras and the Pythons that suit."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("train", "serve", "robot", "ros", "lab", "dev")
PYTHON_VERSIONS = ((3, 10), (3, 11), (3, 12))
