"""A server's refusal as an exception of `policy_api.errors`.

The status says what kind of thing went wrong; a server of this project names the exact class in the trailing metadata.
"""

import grpc

from policy_api import errors
from policy_api.errors import PolicyApiError

ERROR_KIND = "policy-error"
"""Key of the trailing metadata that names the class of the error, which is finer than the status."""

_BY_STATUS: dict[grpc.StatusCode, type[PolicyApiError]] = {
    grpc.StatusCode.UNAVAILABLE: errors.ServerUnavailable,
    grpc.StatusCode.CANCELLED: errors.ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.FAILED_PRECONDITION: errors.ContractMismatch,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidObservation,
    grpc.StatusCode.NOT_FOUND: errors.UnknownSession,
    grpc.StatusCode.ABORTED: errors.StaleRequest,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ServerBusy,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: errors.PermissionDenied,
}
_BY_NAME: dict[str, type[PolicyApiError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PolicyApiError)
}


def refusal(error: grpc.RpcError, address: str, timeout_s: float | None) -> PolicyApiError:
    """What a failed call to `address` means; its text says what to do."""
    code, details = error.code(), error.details()
    metadata = error.trailing_metadata() or ()
    named = next((_BY_NAME.get(str(value)) for key, value in metadata if key == ERROR_KIND), None)
    kind = named or _BY_STATUS.get(code, errors.ServerFault)
    if kind is errors.DeadlineExceeded and timeout_s is not None:
        return kind(f"no answer from {address} within {timeout_s:g} s ({details})")
    if kind is errors.ServerUnavailable and named is None:
        return kind(f"no policy server at {address} ({details}); start one: python -m policy_server")
    return kind(details or f"{address} answered {code.name}")
