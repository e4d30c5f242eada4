"""The JSON payloads of our std_msgs/String topics, typed.

`/episode` carries EpisodeState, `/episode_recorder/status` RecorderStatus, `/policy_runner/status`
RunnerStatus. Unknown and missing keys are refused by name.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

EpisodePhase = Literal["setup", "record", "run", "end"]
RecorderPhase = Literal["idle", "recording", "closed", "truncated", "refused"]
RunnerState = Literal["idle", "running", "waiting", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class EpisodeState:
    """One episode of an evaluation, as announced on `/episode`.

    `record` asks the recorder to open, `end` to close. `success` is None until the referee has spoken; an
    episode that ends without a verdict was aborted.
    """

    id: str
    seed: int
    instruction: str
    phase: EpisodePhase
    success: bool | None = None
    reason: str = ""


@dataclass(frozen=True)
class RecorderStatus:
    """What the recorder does. `id` is the episode it answers; `error` is empty unless something went wrong."""

    phase: RecorderPhase
    id: str = ""
    path: str = ""
    error: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunnerStatus:
    """One run of the policy, from `/policy_runner/run` true to its end.

    A run that is `waiting` has lost its server: the arm holds, and the run goes on when the server is back.
    `run` counts runs of this process, `instruction` is what the policy is told from now on. `infer_ms` is the round
    trip to the server, `image_age_ms` the age of the oldest image when its observation left for the server; one entry
    a chunk. `contract` is the policy's spec (JSON form) once a session is open, `revision` the hash of its weights,
    `late` counts answers that came too late to be played.
    """

    state: RunnerState
    run: int = 0
    reason: str = ""
    instruction: str = ""
    chunks: int = 0
    infer_ms: list[float] = field(default_factory=list)
    infer_p50_ms: float | None = None
    image_age_ms: list[float] = field(default_factory=list)
    contract: dict[str, Any] | None = None
    revision: str = ""
    late: int = 0


Payload = TypeVar("Payload", EpisodeState, RecorderStatus, RunnerStatus)


def to_json(payload: EpisodeState | RecorderStatus | RunnerStatus) -> str:
    """Write a payload as one line of JSON."""
    return json.dumps(dataclasses.asdict(payload), allow_nan=False)


def from_json(kind: type[Payload], text: str) -> Payload:
    """Read a payload; ValueError names what is missing, unknown or no JSON at all."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{kind.__name__}: not JSON ({error}): {text[:80]!r}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{kind.__name__}: expected a JSON object, got {text[:80]!r}")
    known = {f.name for f in dataclasses.fields(kind)}
    required = {
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if unknown := set(content) - known:
        raise ValueError(f"{kind.__name__}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    if missing := required - set(content):
        raise ValueError(f"{kind.__name__}: missing keys {sorted(missing)}")
    return kind(**content)
