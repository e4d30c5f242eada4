"""What travels between the gRPC server and a replica: serialised messages and, instead of exceptions, their text.

An exception that crosses Ray carries a traceback; none of it may reach a robot.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policy_api import errors
from policy_api.errors import PolicyApiError, ServerFault

from policy_server.front import Caller

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteCaller:
    """A caller as another machine knows it: clocks differ, so time is what is left (ns)."""

    identity: str | None
    left_ns: int
    trace: Mapping[str, str]

    @classmethod
    def of(cls, caller: Caller, now_ns: int) -> "RemoteCaller":
        """The caller at this moment."""
        return cls(caller.identity, max(0, caller.deadline_ns - now_ns), dict(caller.trace))

    def here(self, wanted: Callable[[], bool]) -> Caller:
        """The caller by the clock of this machine."""
        now_ns = time.monotonic_ns()
        return Caller(self.identity, now_ns, now_ns + self.left_ns, wanted, self.trace)


@dataclass(frozen=True)
class Reply:
    """A serialised message; or the class of an error and its text."""

    data: bytes = b""
    error: str = ""
    text: str = ""

    @classmethod
    def to(cls, answer: Callable[[], bytes]) -> "Reply":
        """Whatever `answer` gives or raises."""
        try:
            return cls(answer())
        except PolicyApiError as error:
            return cls(error=type(error).__name__, text=str(error))
        except Exception:  # a defect of ours must not show its insides
            log.exception("a call failed")
            return cls(error=ServerFault.__name__, text="the server failed; its log holds the cause")

    def value(self) -> bytes:
        """The message; raises the error."""
        if not self.error:
            return self.data
        kind = getattr(errors, self.error, ServerFault)
        raise kind(self.text)
