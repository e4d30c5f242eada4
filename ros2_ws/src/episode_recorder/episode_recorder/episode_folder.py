"""The folder of one episode: its names while it grows, when it is whole and when it is not.

`<id>.partial` grows; `<id>` is whole; `<id>.truncated` ended early. A folder that is in the way is
renamed to `<name>.old-1`, `.old-2`, ...; nothing is ever deleted.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

EPISODE_FILE = "episode.json"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class EpisodeFolder:
    """Names and moves of one episode's folder below `output_dir`."""

    def __init__(self, output_dir: Path, episode_id: str) -> None:
        if not _ID.fullmatch(episode_id):
            raise ValueError(f"episode id {episode_id!r} is no file name; use letters, digits, - and _ (100 at most)")
        self.partial = output_dir / f"{episode_id}.partial"
        self.whole = output_dir / episode_id
        self.truncated = output_dir / f"{episode_id}.truncated"

    def make_room(self) -> None:
        """Move aside what an earlier attempt at the same episode left behind."""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.partial, self.whole, self.truncated):
            if path.exists():
                path.rename(_free_name(path))

    def seal(self, facts: dict[str, Any], *, whole: bool) -> Path:
        """Write `episode.json` and rename the growing folder to its final name in one step."""
        text = json.dumps(facts, indent=2, allow_nan=False) + "\n"
        (self.partial / EPISODE_FILE).write_text(text, encoding="utf-8")
        final = self.whole if whole else self.truncated
        os.rename(self.partial, final)
        return final


def free_bytes(folder: Path) -> int:
    """Free space of the disk that holds `folder`, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return candidate
