"""Faults of the recorder and of training. The recorder is fed by this process, over real topics."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from episode_recorder.recovery import salvage
from node_runtime.payloads import EpisodeState, RecorderStatus

from benchmarks.faults.attempt import Attempt, SkipRowError, since_ms, tries
from benchmarks.faults.desk import PICTURES, Desk
from benchmarks.faults.machine_faults import small_disk
from benchmarks.faults.processes import ROOT, START_S, Child, TryError, wait_for

ENTRY: Final = "episode_recorder.recorder_node:main"
FRAME_BYTES: Final = 60_000
RATE_HZ: Final = 60.0
DISK_KB: Final = 6_000
LOSS_MS: Final = 100.0
STALL_S: Final = 6.0


@contextmanager
def _recorder(log_dir: Path, output_dir: Path) -> Iterator[tuple[Desk, Child]]:
    """A recorder that has begun an episode, and the desk that can feed it."""
    desk = Desk()
    options = {"output_dir": output_dir, "min_free_mb": 1}
    recorder = Child.node("recorder", ENTRY, options, log_dir)
    try:
        wait_for(lambda: desk.recorder, START_S, "the recorder")
        desk.wait_for_picture_reader()
        desk.announce(EpisodeState("ep0001", 2_000_001, "push", "record"))
        _phase(desk, "recording", START_S)
        yield desk, recorder
    finally:
        recorder.end()
        desk.close()


def _phase(desk: Desk, phase: str, timeout_s: float) -> RecorderStatus:
    """What the recorder said when it first was in this phase."""

    def said() -> list[RecorderStatus]:
        return [s.what for s in list(desk.recorder) if s.what.phase == phase]

    wait_for(said, timeout_s, f"a recorder that is {phase}; it is {desk.recorder[-1].what}")
    return said()[0]


def _feed(desk: Desk, seconds: float, until: str = "") -> list[int]:
    """Publish pictures at 60 Hz; the monotonic ns of each. Stops early when the recorder says this phase."""
    sent: list[int] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sent.append(desk.publish_picture(os.urandom(FRAME_BYTES)))
        if until and desk.recorder[-1].what.phase == until:
            break
        time.sleep(1.0 / RATE_HZ)
    return sent


@tries(48, rig="none")
def disk_full(log_dir: Path, number: int) -> Attempt:
    """A disk of 6 MB under the recorder: from the refusal of the disk, told by its free space, to the alarm."""
    with small_disk(log_dir / f"disk{number}", DISK_KB) as disk, _recorder(log_dir, disk / "ep") as (desk, recorder):
        full_ns: int | None = None
        end = time.monotonic() + 20.0
        while desk.recorder[-1].what.phase == "recording" and time.monotonic() < end:
            desk.publish_picture(os.urandom(FRAME_BYTES))
            if full_ns is None and os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 2 * FRAME_BYTES:
                full_ns = time.monotonic_ns()
            time.sleep(1.0 / RATE_HZ)
        heard = [s for s in list(desk.recorder) if s.what.phase == "truncated"]
        if not heard or full_ns is None:
            return Attempt(failure=f"no alarm: {desk.recorder[-1].what}")
        facts = json.loads((Path(heard[0].what.path) / "episode.json").read_text(encoding="utf-8"))
        marked = bool(facts["truncated"]) and recorder.alive
        failure = "" if marked else "the episode is not marked as truncated, or the recorder ended"
        took_ms = max(0.0, since_ms(full_ns, heard[0].time_ns) or 0.0)
        return Attempt(took_ms, took_ms, failure=failure)


@tries(49, rig="none")
def recorder_killed(log_dir: Path, number: int) -> Attempt:
    """SIGKILL in mid-episode: how much of what was published before is missing from the file."""
    folder = log_dir / f"killed{number}"
    with _recorder(log_dir, folder) as (desk, recorder):
        sent = _feed(desk, 2.0)
        killed_ns = recorder.kill()
        second = Child.node("recorder", ENTRY, {"output_dir": folder, "min_free_mb": 1}, log_dir)
        try:
            desk.recorder.clear()
            wait_for(lambda: desk.recorder, START_S, "the next recorder")
            desk.announce(EpisodeState("ep0002", 2_000_002, "push", "record"))
            _phase(desk, "recording", START_S)
        finally:
            second.end()
    files = [
        file for episode in folder.iterdir() if episode.name.startswith("ep0001") for file in episode.glob("*.mcap")
    ]
    if not files:
        return Attempt(failure="nothing is left of the episode")
    kept = sum(1 for message in salvage(files[0]) if message.topic == PICTURES)
    lost = [t for t in sent[kept:] if t < killed_ns]
    lost_ms = since_ms(lost[0], killed_ns) if lost else 0.0
    failure = "" if kept else "no message can be read"
    return Attempt(None, lost_ms, failure=failure)


@tries(51, rig="none")
def nothing_to_write(log_dir: Path, number: int) -> Attempt:
    """The topics fall silent in mid-episode: from the last message to the alarm."""
    with _recorder(log_dir, log_dir / f"silent{number}") as (desk, _):
        last_ns = _feed(desk, 1.0)[-1]

        def alarms() -> list[int]:
            return [s.time_ns for s in list(desk.recorder) if s.time_ns > last_ns and s.what.error]

        try:
            wait_for(alarms, STALL_S, "an alarm")
        except TryError as error:
            return Attempt(failure=str(error))
        return Attempt(since_ms(last_ns, alarms()[0]), since_ms(last_ns, alarms()[0]))


@tries(54, rig="none")
def training_killed(log_dir: Path, number: int) -> Attempt:
    """The tests of training: runs that are killed at chosen moments end the same to the bit, and damage is refused."""
    chosen = ["tests/sim_train/test_resume.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen]
    if not (ROOT / chosen[0]).exists():
        raise SkipRowError("the tests are not here: this needs the repository")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    return Attempt(failure="" if ended.returncode == 0 else ended.stdout[-500:])
