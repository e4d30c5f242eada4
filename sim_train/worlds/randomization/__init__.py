"""What makes every episode's world different: distributions, presets, and a function that draws an episode.

`BatchEnv(task, n, draw=drawer(load_randomization("wide")))`; the quantities are described in `quantities.py`, the
presets are in `sim_train/conf/demos/randomization`.
"""

from sim_train.worlds.randomization.drawing import drawer
from sim_train.worlds.randomization.quantities import Randomization
from sim_train.worlds.randomization.settings import centred, load_randomization, presets, randomization_from_plain

__all__ = ["Randomization", "centred", "drawer", "load_randomization", "presets", "randomization_from_plain"]
