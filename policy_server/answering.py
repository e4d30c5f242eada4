"""Errors as gRPC statuses. The peer gets a text that says what to change, never a traceback."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from policy_api.errors import (
    ContractMismatch,
    DeadlineExceeded,
    InvalidMessage,
    InvalidObservation,
    InvalidSpec,
    PermissionDenied,
    PolicyApiError,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
    StaleRequest,
    UnknownModel,
    UnknownRevision,
    UnknownSession,
)
from policy_api.refusals import ERROR_KIND

log = logging.getLogger(__name__)

_MAX_DETAILS_BYTES = 1000  # the text may quote the peer, and gRPC carries it, three times as long, in a header of 8 kB

STATUS: dict[type[PolicyApiError], grpc.StatusCode] = {
    ContractMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidSpec: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidObservation: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidMessage: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownSession: grpc.StatusCode.NOT_FOUND,
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    UnknownRevision: grpc.StatusCode.NOT_FOUND,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    StaleRequest: grpc.StatusCode.ABORTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    ServerBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ServerUnavailable: grpc.StatusCode.UNAVAILABLE,
    ServerFault: grpc.StatusCode.INTERNAL,
}
"""Class of error -> status; a class that is not named has that of the first of its bases that is."""


def status_of(error: PolicyApiError) -> grpc.StatusCode:
    """The status with which an error travels; INTERNAL for one that has none."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), grpc.StatusCode.INTERNAL)


@contextmanager
def answering(context: grpc.ServicerContext) -> Iterator[None]:
    """End the call with the error's status if one is raised inside."""
    try:
        yield
    except PolicyApiError as error:
        status = status_of(error)
        text = str(error).encode()[:_MAX_DETAILS_BYTES].decode(errors="ignore")
        log.info("%s: %s", status.name, text)
        context.set_trailing_metadata(((ERROR_KIND, type(error).__name__),))
        context.abort(status, text)
    except Exception:  # the last line of defence: a defect of ours must not show its insides
        log.exception("call failed")
        context.abort(grpc.StatusCode.INTERNAL, "the server failed; its log holds the cause")
