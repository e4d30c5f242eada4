"""Which policy to serve, in one word: "checkpoint:DIR", "replay:PATH" or "scripted:NAME"."""

from pathlib import Path
from typing import Final

from policy_server.backends.errors import BackendError
from policy_server.backends.replay import load_replay
from policy_server.backends.scripted import load_scripted
from policy_server.policy import Policy

FORMS: Final = (
    "checkpoint:DIR (a trained policy), replay:DIR (a recorded episode), replay:DIR#N (episode N, from 0, of a set of "
    "demonstrations), scripted:hold, scripted:wave, scripted:sweep, scripted:FILE.yaml#NAME (a motion of your own)"
)


def load_backend(text: str) -> Policy:
    """The policy that `text` names.

    Raises:
        BackendError: the text has none of these forms, or what it names cannot be replayed or scripted.
        CheckpointError: the directory holds no checkpoint that can be used.
    """
    kind, colon, name = text.partition(":")
    if not colon or not name or kind not in ("checkpoint", "replay", "scripted"):
        raise BackendError(f"backend {text!r} is unknown; expected one of {FORMS}")
    if kind == "checkpoint":
        from sim_train.checkpoint import load_policy  # torch takes seconds, and only checkpoints need it

        return load_policy(Path(name))
    path, separator, part = name.rpartition("#")
    if kind == "replay":
        if not separator:
            return load_replay(Path(name))
        if not part.isdecimal():
            raise BackendError(f"backend {text!r}: {part!r} is no number of an episode; they count from 0")
        return load_replay(Path(path), int(part))
    return load_scripted(part, Path(path)) if separator else load_scripted(name)


def absolute(text: str) -> str:
    """The same backend for a process that runs in another directory."""
    kind, _, name = text.partition(":")
    is_path = kind in ("checkpoint", "replay") or (kind == "scripted" and "#" in name)
    return f"{kind}:{Path(name).absolute()}" if is_path and name else text
