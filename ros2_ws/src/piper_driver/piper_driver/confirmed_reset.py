"""The two calls that it takes to reset an arm, which cuts its torque: the first warns, the second one acts."""

WINDOW_NS = 10_000_000_000
PAUSE_NS = 1_000_000_000
"""A second call that comes sooner is a client that tries again, not a person who read the warning."""

WARNING = (
    "THE ARM WILL DROP: a reset clears its errors and cuts the torque at once. Support the arm, then call this again "
    "after 1 s and within 10 s. Nothing was sent yet"
)


class ConfirmedReset:
    """Remembers the first call."""

    def __init__(self) -> None:
        self._asked_ns: int | None = None

    def confirmed(self, now_ns: int) -> bool:
        """Whether this call confirms an earlier one; if not, it is the first one, and `WARNING` its answer."""
        asked_ns, self._asked_ns = self._asked_ns, now_ns
        if asked_ns is not None and PAUSE_NS <= now_ns - asked_ns <= WINDOW_NS:
            self._asked_ns = None
            return True
        return False
