"""A recorded episode's actions, played again: the same motion for every robot, whatever its cameras show.

Takes an episode as the recorder writes it (a directory with `episode.json` and an MCAP file) or one episode of a set of
demonstrations (a directory with `index.json` and shards). Chunks are addressed by the observation's control step, so
that a lost or repeated observation changes nothing. Behind the end the arm holds.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec

from policy_server.backends import demonstrations, recordings
from policy_server.backends.errors import BackendError
from policy_server.backends.stepped_policy import SteppedPolicy


@dataclass(frozen=True, eq=False)
class Track:
    """The actions (N, A) of N control steps, and which of the A fields are displacements."""

    rows: NDArray[np.float32]
    displaced: NDArray[np.bool_]

    def actions(self, steps: NDArray[np.int64], rest: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows (H, A) at the control steps (H,); behind the end nothing moves any more."""
        last = len(self.rows) - 1
        found = self.rows[np.minimum(steps, last)]
        over = steps > last
        return np.where(over[:, None] & self.displaced, rest, found).astype(np.float32)


def load_replay(path: Path, episode: int = 0) -> SteppedPolicy:
    """The policy that repeats an episode; `episode` counts from 0 in a set of demonstrations.

    Raises:
        BackendError: nothing is there that can be replayed, or it is damaged; the text says what to do.
    """
    if (path / recordings.FACTS).is_file():
        if episode:
            raise BackendError(f"{path} is one recorded episode; there is no episode {episode} in it")
        spec, rows = recordings.read_episode(path)
    elif (path / demonstrations.INDEX).is_file():
        spec, rows = demonstrations.read_episode(path, episode)
    else:
        raise BackendError(
            f"{path} cannot be replayed: expected the directory of a recorded episode (with {recordings.FACTS}) or of "
            f"demonstrations (with {demonstrations.INDEX})"
        )
    _check(path, spec, rows)
    measured = {field.name for field in spec.state}
    track = Track(rows, np.array([field.name not in measured for field in spec.action]))
    return SteppedPolicy(spec, track, rows.tobytes())


def _check(path: Path, spec: PolicySpec, rows: NDArray[np.float32]) -> None:
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(spec.action):
        raise BackendError(f"{path}: actions have shape {rows.shape}, expected (steps, {len(spec.action)})")
    lower, upper = (np.array([getattr(field, end) for field in spec.action]) for end in ("lower", "upper"))
    slack = 1e-3 * (upper - lower)
    bad = np.argwhere(~((rows >= lower - slack) & (rows <= upper + slack)))
    if len(bad):
        step, column = bad[0]
        field = spec.action[column]
        raise BackendError(
            f"{path}: {field.name} of step {step} is {rows[step, column]:.6g}, its contract allows "
            f"{field.lower:g}..{field.upper:g} {field.unit}; record the episode anew"
        )
