"""What a launch file says about one process, after all substitutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessSpec:
    """One process to run."""

    name: str
    """Unique in a launch; names its log file and its lines on the console."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    on_console: bool = False
    """`output: screen`: show its lines on the console as well as in its log."""
    respawn: bool = False
    """Start it again whenever it ends, whatever its exit status, until the launch stops."""
    respawn_delay_s: float = 0.0
    ends_launch: bool = False
    """`on_exit: shutdown`: when it ends everything ends, with its exit status."""
    sigterm_timeout_s: float = 5.0
    """How long it may take over SIGINT before it receives SIGTERM."""
    sigkill_timeout_s: float = 5.0
    """How long it may take over SIGTERM before it is killed."""
