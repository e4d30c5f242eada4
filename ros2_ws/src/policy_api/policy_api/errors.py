"""Everything that the contract, the wire and the client can refuse, as one tree of exceptions."""
# ruff: noqa: N818 - each name says what happened, and all derive from PolicyApiError


class PolicyApiError(Exception):
    """Root of the tree: the text says what was wrong, what was expected and what to do."""


class InvalidSpec(PolicyApiError, ValueError):
    """A contract that is not well formed; the text names the field with its dotted path."""


class InvalidObservation(PolicyApiError, ValueError):
    """An observation that does not fit the contract."""


class InvalidImage(InvalidObservation):
    """Image bytes that are damaged, too large, or not of the size or codec they claim."""


class InvalidActions(PolicyApiError, ValueError):
    """Actions that do not fit the contract: wrong shape, not finite, or outside the declared range."""


class InvalidMessage(PolicyApiError, ValueError):
    """A message on the wire that cannot be read."""


class ContractMismatch(PolicyApiError):
    """The two ends do not hold the same contract."""


class ServerUnavailable(PolicyApiError):
    """Nobody answers at the address, or the connection broke."""


class DeadlineExceeded(PolicyApiError):
    """The answer did not arrive in time."""


class UnknownSession(PolicyApiError):
    """The server does not know the session (never opened, expired, or the server was restarted)."""


class UnknownModel(PolicyApiError):
    """The server has no model of that name; the text holds those that it has."""


class UnknownRevision(PolicyApiError):
    """The server does not hold that revision in memory; the text holds those that it does."""


class PermissionDenied(PolicyApiError):
    """The caller is known, and may not do that."""


class StaleRequest(PolicyApiError):
    """The request or its answer belongs to an earlier epoch, or arrived out of order."""


class Superseded(StaleRequest):
    """A newer observation of the same session came before this one was answered."""


class ServerBusy(PolicyApiError):
    """The server holds as many sessions or requests as it takes, or the message is too large."""


class ServerFault(PolicyApiError):
    """The policy or the server failed; the server's log holds the cause."""


class SharedFramesUnavailable(PolicyApiError, OSError):
    """Shared memory for frames cannot be had on this host."""
