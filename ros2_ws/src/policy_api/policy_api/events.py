"""What a server tells a robot without being asked."""

from dataclasses import dataclass

from policy_api.schema import ServedModel


@dataclass(frozen=True)
class Draining:
    """The server is about to stop: finish the chunk, hold, connect again later."""

    grace_ms: int


@dataclass(frozen=True)
class NewRevision:
    """What the next reset of the session will give."""

    model: ServedModel


@dataclass(frozen=True)
class Revoked:
    """The session is over on the server's side; open another one."""

    reason: str


@dataclass(frozen=True)
class Load:
    """How busy the policy is: share of the last second, 0..1, requests that wait, 95 % of its answers take less."""

    busy: float
    waiting: int
    p95_infer_us: int


ServerEvent = Draining | NewRevision | Revoked | Load
