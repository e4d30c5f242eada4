"""Monotonic time inside, ROS time at the border.

Both directions use the offset between the two clocks at the moment of the call, so a step of the wall
clock spoils at most the messages that are under way while it happens. The monotonic clock is one for
all processes of a machine.
"""

import time

from builtin_interfaces.msg import Time

NS_PER_S = 1_000_000_000


def ros_offset_ns() -> int:
    """ROS time minus monotonic time, now, in nanoseconds."""
    return time.time_ns() - time.monotonic_ns()


def to_stamp(monotonic_ns: int) -> Time:
    """Turn a monotonic time into a message stamp."""
    seconds, nanoseconds = divmod(monotonic_ns + ros_offset_ns(), NS_PER_S)
    return Time(sec=seconds, nanosec=nanoseconds)


def to_monotonic_ns(stamp: Time) -> int:
    """Turn a message stamp, made on this machine, into monotonic time."""
    return stamp.sec * NS_PER_S + stamp.nanosec - ros_offset_ns()
