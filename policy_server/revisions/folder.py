"""The folder that checkpoints are loaded from, and what may not be loaded from it."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from policy_server.revisions.errors import CheckpointRefused, UnknownCheckpoint
from policy_server.revisions.store import megabytes
from sim_train.checkpoint import MANIFEST

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""It is read as a whole before its own hash can be checked."""

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
"""Name, device, inode, size and time of change of each file."""


class CheckpointFolder:
    """Checkpoints below `root`, each of at most `max_bytes`. Whoever may write there decides what can be loaded."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        """NotADirectoryError if `root` is none."""
        if not root.is_dir():
            raise NotADirectoryError(f"{root} is no directory; name the folder that holds the checkpoints")
        self.root = root.resolve()
        self.max_bytes = max_bytes

    def find(self, name: str) -> Path:
        """The directory of a checkpoint by its path relative to the root.

        Raises:
            CheckpointRefused: a path that leaves the root, also by a symbolic link; or something in the directory that
                leaves it, is no plain file, or is too large.
            UnknownCheckpoint: there is nothing.
        """
        shown = name[:200]
        given = PurePosixPath(name)
        if not given.parts or given.is_absolute() or ".." in given.parts or not name.isprintable():
            raise CheckpointRefused(
                f"{shown!r} is no name of a checkpoint; give its path relative to the server's folder of checkpoints, "
                'without "..", as "runs/pusher"'
            )
        path = self._inside(self.root / given, shown)
        if not path.is_dir():
            raise CheckpointRefused(f"{shown!r} is no directory; a checkpoint is one, with its {MANIFEST} inside")
        total = 0
        for file in path.iterdir():
            about = self._inside(file, f"{shown}/{file.name}").stat()
            if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
                raise CheckpointRefused(f"{shown}/{file.name} is no plain file; copy the checkpoint again")
            total += about.st_size
            if total > self.max_bytes:
                raise CheckpointRefused(
                    f"{shown!r} is larger than {megabytes(self.max_bytes)}, which is the most that this server loads; "
                    "start it with a higher limit"
                )
            if file.name == MANIFEST and about.st_size > MAX_MANIFEST_BYTES:
                raise CheckpointRefused(
                    f"{shown}/{MANIFEST} has {megabytes(about.st_size)}, at most {megabytes(MAX_MANIFEST_BYTES)} are "
                    "read; save the policy with a shorter record"
                )
        return path

    def _inside(self, path: Path, shown: str) -> Path:
        try:
            found = path.resolve(strict=True)
        except FileNotFoundError as error:
            raise UnknownCheckpoint(f"{shown!r} is not in the server's folder of checkpoints") from error
        except (OSError, RuntimeError) as error:  # not readable, too long; or a loop of links
            raise CheckpointRefused(f"{shown!r} cannot be opened ({type(error).__name__})") from error
        if not found.is_relative_to(self.root):
            raise CheckpointRefused(
                f"{shown!r} is a symbolic link out of the server's folder of checkpoints; copy the files into it"
            )
        return found


def fingerprint(path: Path) -> Fingerprint:
    """Changes whenever a file of the directory does, or the directory is replaced."""
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    return tuple((e.name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns) for e in entries for s in [e.stat()])
