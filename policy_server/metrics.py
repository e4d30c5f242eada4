"""Prometheus metrics of a server: what `GET /metrics` answers.

Labels are bounded: past a limit, models, revisions and robots share the label "other".
"""

import threading
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from policy_server.observing import Call, Chunk, SessionView
from policy_server.seam import Placement

OTHER = "other"
MAX_ROBOTS = 64
MAX_REVISIONS = 32

_SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)
_ROWS = (1, 2, 4, 8, 16)
_REVISION_DIGITS = 12


class Bounded:
    """Lets the first `limit` different labels through and calls the rest "other". Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, label: str) -> str:
        """`label`, or "other" if it is one too many."""
        if label in self._known:
            return label
        with self._lock:
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(label)
            return label


class Metrics(Collector):
    """An `Observer` that counts."""

    def __init__(
        self, sessions: Callable[[], Iterable[SessionView]], revisions: Callable[[], Iterable[Placement]]
    ) -> None:
        """`sessions` and `revisions`, those in memory, are asked whenever somebody reads the metrics."""
        self.registry = CollectorRegistry()
        self._sessions, self._revisions = sessions, revisions
        self._robot, self._model = Bounded(MAX_ROBOTS), Bounded(MAX_REVISIONS)
        self._revision = Bounded(MAX_REVISIONS)
        who = ["model", "revision", "slot"]
        self._stage = Histogram(
            "policy_stage_seconds",
            "Time of an answer by stage",
            ["stage", *who],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rows = Histogram(
            "policy_batch_rows", "Observations answered together", who, buckets=_ROWS, registry=self.registry
        )
        self._calls = Counter(
            "policy_calls", "Calls that ended, by gRPC status", ["method", "status"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "policy_call_seconds", "Time of a call in the server", ["method"], buckets=_SECONDS, registry=self.registry
        )
        self._superseded = Counter(
            "policy_superseded", "Observations dropped for a newer one of the same session", registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def call(self, call: Call) -> None:
        """Count a call that ended. Watch is as long as its session, so its time is not taken."""
        self._calls.labels(call.method, call.status).inc()
        if call.error == "Superseded":
            self._superseded.inc()
        if not call.method.endswith("/Watch"):
            self._call_seconds.labels(call.method).observe(call.took_ns * 1e-9)

    def chunk(self, chunk: Chunk) -> None:
        """Count an answered observation."""
        who = (self._model(chunk.model), self._short(chunk.revision), chunk.slot)
        for stage, took_ns in chunk.stages.items():
            self._stage.labels(stage, *who).observe(took_ns * 1e-9)
        self._rows.labels(*who).observe(chunk.batch)

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: what `collect` gives depends on who is connected."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Sessions and revisions as they are now."""
        yield from self._of_sessions()
        yield from self._of_revisions()

    def _of_sessions(self) -> Iterable[GaugeMetricFamily]:
        count = GaugeMetricFamily("policy_sessions", "Open sessions", labels=["model", "slot"])
        age = GaugeMetricFamily("policy_session_age_seconds", "Since the robot's session was opened", labels=["robot"])
        silent = GaugeMetricFamily(
            "policy_session_silent_seconds", "Since the robot's session was heard of", labels=["robot"]
        )
        sessions: dict[tuple[str, str], int] = {}
        oldest: dict[str, tuple[float, float]] = {}
        for view in self._sessions():
            place = (self._model(view.model), view.slot)
            sessions[place] = sessions.get(place, 0) + 1
            robot = self._robot(view.robot_id)
            age_s, silent_s = oldest.get(robot, (0.0, 0.0))
            oldest[robot] = (max(age_s, view.age_s), max(silent_s, view.silent_s))
        for place, number in sessions.items():
            count.add_metric(place, number)
        for robot, (age_s, silent_s) in oldest.items():
            age.add_metric([robot], age_s)
            silent.add_metric([robot], silent_s)
        return count, age, silent

    def _of_revisions(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        who = ["model", "revision", "slot"]
        clipped = GaugeMetricFamily(
            "policy_revision_clipped_ratio", "Share of action numbers on the edge of their range", labels=who
        )
        answers = CounterMetricFamily("policy_revision_answers", "Good answers", labels=who)
        missed = CounterMetricFamily("policy_deadline_misses", "Requests that were not answered in time", labels=who)
        bad = CounterMetricFamily("policy_bad_answers", "Answers that broke the contract or failed", labels=who)
        busy = CounterMetricFamily("policy_revision_busy_seconds", "Time in which the policy ran", labels=who)
        seen: set[tuple[str, str, str]] = set()
        for place in self._revisions():
            labels = (self._model(place.served.spec.model), self._short(place.served.revision), place.slot)
            if labels in seen:
                continue  # past the limit they share a label, and a sum of shares would mean nothing
            seen.add(labels)
            counts = place.served.stats.snapshot()
            clipped.add_metric(labels, counts.clipped)
            answers.add_metric(labels, counts.answers)
            missed.add_metric(labels, counts.deadline_misses)
            bad.add_metric(labels, counts.bad_answers)
            busy.add_metric(labels, counts.busy_ns * 1e-9)
        return clipped, answers, missed, bad, busy

    def _short(self, revision: str) -> str:
        return self._revision(revision[:_REVISION_DIGITS])
