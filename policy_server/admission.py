"""How long an inference takes, as far as is known, and whether a request can still be answered in time."""

import statistics
from collections import deque
from collections.abc import Sequence

from policy_api.errors import DeadlineExceeded

_REMEMBERED = 15
_FORGET_AFTER_NS = 1_000_000_000


class InferTimes:
    """Expected time of one inference by bucket: the median of the latest ones, which a single stall does not move.

    Whoever refuses requests because of it says so with `refused`: if nothing was measured for a second of refusals,
    what is known is forgotten, so that a policy that was slow for a while is tried again.
    """

    def __init__(self, buckets: Sequence[int]) -> None:
        """`buckets`: sizes of batch, rising."""
        self.buckets = tuple(buckets)
        self._times_ns: dict[int, deque[int]] = {bucket: deque(maxlen=_REMEMBERED) for bucket in buckets}
        self._refusing_since_ns: int | None = None

    def bucket_of(self, rows: int) -> int:
        """The smallest bucket that holds so many rows, at most the largest one."""
        return next((bucket for bucket in self.buckets if bucket >= rows), self.buckets[-1])

    def measured(self, rows: int, infer_ns: int) -> None:
        """Note how long a batch of so many rows took."""
        self._times_ns[self.bucket_of(rows)].append(infer_ns)
        self._refusing_since_ns = None

    def refused(self, now_ns: int) -> None:
        """Note that a request was refused for what is known here."""
        if self._refusing_since_ns is None:
            self._refusing_since_ns = now_ns
        elif now_ns - self._refusing_since_ns >= _FORGET_AFTER_NS:
            self._refusing_since_ns = None
            for times in self._times_ns.values():
                times.clear()

    def expected_ns(self, rows: int) -> int:
        """Expected time of a batch of so many rows, never less than of a smaller one; 0 if nothing was measured."""
        bucket = self.bucket_of(rows)
        return max((statistics.median_low(t) for size, t in self._times_ns.items() if size <= bucket and t), default=0)


def check_in_time(times: InferTimes, ahead: int, free_ns: int, deadline_ns: int, now_ns: int) -> None:
    """Raise DeadlineExceeded if a request cannot be answered in time, saying by how much.

    Args:
        times: how long the policy takes.
        ahead: requests that will be served before it.
        free_ns: when the policy will be done with what it does now; in the past if it is idle.
        deadline_ns: until when the answer is of use.
        now_ns: all three are of the same clock.
    """
    largest = times.buckets[-1]
    full_batches, others = divmod(ahead, largest)
    start_ns = max(now_ns, free_ns) + full_batches * times.expected_ns(largest)
    infer_ns = times.expected_ns(others + 1)
    late_ns = start_ns + infer_ns - deadline_ns
    if late_ns <= 0:
        return
    times.refused(now_ns)
    raise DeadlineExceeded(
        f"the answer would come {late_ns / 1e6:.1f} ms after the deadline: {(start_ns - now_ns) / 1e6:.1f} ms until "
        f"the policy is free, {infer_ns / 1e6:.1f} ms to infer, {max(0, deadline_ns - now_ns) / 1e6:.1f} ms left; "
        "ask earlier, give more time or use fewer clients"
    )
