"""Which requests form the next batch, and when it starts. Pure decisions: the time comes in as an argument."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy_server.seam import Request

WINDOW_NS = 2_000_000
"""How long a batch waits at most for others that are likely to come."""

_CROWD_NS = 20_000_000  # a crowd that is silent for longer is gone


@dataclass(frozen=True)
class Decision:
    """What the worker does now."""

    batch: list[Request]
    """Start these together; empty: start nothing yet."""
    late: list[Request]
    """These can no longer be answered in time."""
    wake_ns: int | None
    """Ask again at that time, or when a request comes; None: when a request comes."""


class Batcher:
    """The requests that wait for a policy.

    Order: priority, then deadline, then arrival. A request of a lower rank rides along only if that makes nobody of
    those before it late: evaluation fills the rows that robots leave free, and never costs them their deadline.

    A batch starts at once unless more requests are likely: when the last batch ended, so many were answered and so
    many were waiting; as long as fewer than that wait now, the batch is held back for at most `window_ns` after the
    policy became free, and never beyond what the earliest deadline allows. A robot alone never waits.
    """

    def __init__(self, max_rows: int, expected_ns: Callable[[int], int], window_ns: int = WINDOW_NS) -> None:
        """`expected_ns(rows)`: how long a batch of so many rows will take."""
        self._max_rows = max_rows
        self._expected_ns = expected_ns
        self._window_ns = window_ns
        self._waiting: list[Request] = []
        self._waiting_since_ns = 0
        self._free_ns = 0
        self._crowd = 1

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request, now_ns: int) -> None:
        """A request has come."""
        if not self._waiting:
            self._waiting_since_ns = now_ns
        self._waiting.append(request)

    def before(self, request: Request) -> int:
        """How many of those that wait would be served before that request."""
        return sum(rank(other) <= rank(request) for other in self._waiting if not other.answer.cancelled())

    def finished(self, rows: int, now_ns: int) -> None:
        """A batch of so many rows has ended; its answers have not been sent yet."""
        self._free_ns = now_ns
        self._crowd = min(rows + len(self._waiting), self._max_rows)

    def next(self, now_ns: int) -> Decision:
        """What to do now that the policy is free. What is returned as batch or late no longer waits."""
        self._waiting = sorted((r for r in self._waiting if not r.answer.cancelled()), key=rank)
        late = [r for r in self._waiting if now_ns + self._expected_ns(1) > r.deadline_ns]
        self._keep_all_but(late)
        chosen = self._chosen(now_ns)
        start_ns = self._start_ns(chosen, now_ns)
        if not chosen or now_ns < start_ns:
            return Decision([], late, start_ns if chosen else None)
        self._keep_all_but(chosen)
        self._waiting_since_ns = now_ns
        return Decision(chosen, late, None)

    def clear(self) -> list[Request]:
        """Take all requests out."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _chosen(self, now_ns: int) -> list[Request]:
        chosen: list[Request] = []
        for request in self._waiting:
            end_ns = now_ns + self._expected_ns(len(chosen) + 1)
            if all(end_ns <= other.deadline_ns for other in (*chosen, request)):
                chosen.append(request)
            if len(chosen) == self._max_rows:
                break
        return chosen

    def _start_ns(self, chosen: Sequence[Request], now_ns: int) -> int:
        """When a batch of the chosen ones should start."""
        idle_since_ns = max(self._free_ns, self._waiting_since_ns)
        if not chosen or len(chosen) >= self._crowd or idle_since_ns - self._free_ns > _CROWD_NS:
            return now_ns
        infer_ns = self._expected_ns(self._crowd)
        return min(idle_since_ns + self._window_ns, *(r.deadline_ns - infer_ns for r in chosen))

    def _keep_all_but(self, gone: Sequence[Request]) -> None:
        taken = {id(request) for request in gone}
        self._waiting = [request for request in self._waiting if id(request) not in taken]


def rank(request: Request) -> tuple[int, int, int]:
    """What requests are ordered by, lowest first."""
    return request.priority, request.deadline_ns, request.arrived_ns
