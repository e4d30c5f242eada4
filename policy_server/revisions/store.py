"""Which revisions are in memory, by content hash, and how much they take. Bookkeeping: its owner holds the lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policy_api.errors import UnknownRevision

from policy_server.revisions.errors import LoadInProgress, MemoryFull
from policy_server.revisions.traffic import SHORT, unknown_revision
from policy_server.served import ServedRevision


@dataclass
class Mean:
    """A running mean."""

    count: int = 0
    value: float = 0.0

    def add(self, value: float) -> None:
        """Take one more value in."""
        self.count += 1
        self.value += (value - self.value) / self.count


@dataclass(eq=False)
class Resident:
    """A revision in memory and what is known of it."""

    served: ServedRevision
    size_bytes: int
    """Of its weights."""
    draining: bool = False
    """Nobody is placed on it any more; it ends what it has begun."""
    sessions: int = 0
    successes: int = 0
    failures: int = 0
    """Episodes since it was loaded, as they were judged."""
    distance: Mean = field(default_factory=Mean)
    """How far its answers as a shadow were from those that were given, as a share of each action's range."""


class RevisionStore:
    """Revisions that are being loaded, answer, or drain; at most `max_bytes` of weights together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._loading: dict[str, int] = {}
        self._entries: dict[str, Resident] = {}

    @property
    def used_bytes(self) -> int:
        """Weights in memory, those that are on their way in or out included."""
        return sum(self._loading.values()) + sum(entry.size_bytes for entry in self._entries.values())

    def reserve(self, revision: str, size_bytes: int, disposable: Callable[[Resident], bool]) -> None:
        """Set memory aside for a revision that is about to be loaded.

        Args:
            revision: its content hash.
            size_bytes: of its weights.
            disposable: whether a revision could be unloaded at once; those are named if there is no room.

        Raises:
            MemoryFull: it would not fit beside the others.
            LoadInProgress: it is in memory, or on its way in or out.
        """
        if revision in self._loading or revision in self._entries:
            raise LoadInProgress(f"revision {revision[:SHORT]} is loaded or unloaded just now; list revisions and see")
        free = self.max_bytes - self.used_bytes
        if size_bytes > free:
            idle = ", ".join(sorted(name[:SHORT] for name, entry in self._entries.items() if disposable(entry)))
            raise MemoryFull(
                f"revision {revision[:SHORT]} needs {megabytes(size_bytes)} for its weights, but {megabytes(free)} of "
                f"{megabytes(self.max_bytes)} are free; "
                f"{f'unload one that is idle ({idle})' if idle else 'no revision in memory is idle'}, "
                "or start the server with a higher limit"
            )
        self._loading[revision] = size_bytes

    def give_back(self, revision: str) -> None:
        """A revision whose memory was reserved is not loaded after all."""
        self._loading.pop(revision, None)

    def admit(self, served: ServedRevision) -> Resident:
        """A revision whose memory was reserved can answer."""
        entry = self._entries[served.revision] = Resident(served, self._loading.pop(served.revision))
        return entry

    def drop(self, revision: str) -> None:
        """Forget a revision, and give its memory to others."""
        del self._entries[revision]

    def find(self, revision: str) -> Resident | None:
        """A revision that is in memory, even if it drains."""
        return self._entries.get(revision)

    def ready(self) -> list[Resident]:
        """Revisions that can answer, in the order in which they were loaded."""
        return [entry for entry in self._entries.values() if not entry.draining]

    def of_model(self, model: str) -> dict[str, Resident]:
        """Revisions of a model that can answer, by content hash."""
        return {entry.served.revision: entry for entry in self.ready() if entry.served.spec.model == model}

    def resident(self, revision: str, model: str) -> Resident:
        """A revision of the model that can answer; UnknownRevision names those that can."""
        found = self.of_model(model)
        if revision not in found:
            raise unknown_revision(revision, found, model)
        return found[revision]

    def any_model(self, revision: str) -> Resident:
        """A revision that can answer, of whatever model; UnknownRevision names those that can."""
        found = {entry.served.revision: entry for entry in self.ready()}
        if revision not in found:
            known = ", ".join(sorted(name[:SHORT] for name in found)) or "none"
            raise UnknownRevision(
                f"revision {revision[:64]!r} is not in memory; loaded are {known}. Name it by all of its digits"
            )
        return found[revision]


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:,.1f} MB"
