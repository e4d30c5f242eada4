"""What an operator can be refused, and with which status."""

from policy_api.errors import ContractMismatch, InvalidMessage, ServerBusy, StaleRequest, UnknownRevision


class InvalidTraffic(InvalidMessage):
    """Traffic or guardrails that contradict themselves. INVALID_ARGUMENT."""


class TrafficChanged(StaleRequest):
    """A change that is based on a state which is over. ABORTED."""


class CheckpointRefused(ContractMismatch):
    """A checkpoint that is damaged, not allowed, or not what was asked for. FAILED_PRECONDITION."""


class UnknownCheckpoint(UnknownRevision):
    """No checkpoint lies there. NOT_FOUND."""


class MemoryFull(ServerBusy):
    """The revisions in memory leave too little room for one more. RESOURCE_EXHAUSTED."""


class LoadInProgress(ServerBusy):
    """Another revision is being loaded. RESOURCE_EXHAUSTED."""


class RevisionInUse(ContractMismatch):
    """A revision that cannot be unloaded yet. FAILED_PRECONDITION."""
