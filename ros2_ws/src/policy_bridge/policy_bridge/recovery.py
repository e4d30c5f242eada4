"""What has to happen, in order, until a run that lost its policy server can go on.

The arm comes to HOLD; a session is opened as soon as the server is back; authority is asked for; the policy looks
again.
Knows neither ROS nor a clock. All times are monotonic nanoseconds.
"""

from typing import Literal

RETRY_NS = 250_000_000
"""Between two attempts to open a session."""

Todo = Literal["wait", "open", "ask", "resume", "give up"]


class Recovery:
    """One outage. Ask `todo` often; it says each thing once, except "wait".

    "open": open a session, then tell `on_session` or `on_refusal`. "ask": ask the driver to give the policy authority.
    "resume": the run goes on. "give up": the server did not come back in time.
    """

    def __init__(self, reason: str, now_ns: int, wait_ns: int) -> None:
        self.reason = reason
        self._until_ns = now_ns + wait_ns
        self._wait_s = wait_ns / 1e9
        self._not_before_ns = now_ns
        self._stage: Literal["hold", "closed", "opening", "open", "asked"] = "hold"
        self._mode = "POLICY"

    def on_mode(self, mode: str) -> None:
        """The arm's mode is HOLD or POLICY; any other one ends the run elsewhere."""
        self._mode = mode
        if self._stage == "hold" and mode == "HOLD":
            self._stage = "closed"

    def on_session(self) -> None:
        """A session is open."""
        self._stage = "open"

    def on_refusal(self, now_ns: int) -> None:
        """The server is not there yet."""
        self._stage = "closed"
        self._not_before_ns = now_ns + RETRY_NS

    def todo(self, now_ns: int) -> Todo:
        """What to do now."""
        if self._stage == "asked" and self._mode == "POLICY":
            return "resume"
        if now_ns >= self._until_ns:
            return "give up"
        if self._stage == "closed" and now_ns >= self._not_before_ns:
            self._stage = "opening"
            return "open"
        if self._stage == "open" and self._mode == "HOLD":
            self._stage = "asked"
            return "ask"
        return "wait"

    def verdict(self) -> str:
        """Why it was given up, in words."""
        missing = {
            "hold": "the arm did not come to HOLD",
            "closed": "the server did not come back",
            "opening": "the server did not come back",
            "open": "the arm did not stay in HOLD",
            "asked": "the driver did not give the policy authority again",
        }[self._stage]
        return f"{self.reason}; {missing} within {self._wait_s:g} s"
