"""Shared by the tests of the motion layer: what every setpoint keeps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
