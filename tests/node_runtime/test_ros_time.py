import time

from builtin_interfaces.msg import Time
from node_runtime.ros_time import to_monotonic_ns, to_stamp


def test_stamp_of_now_is_the_wall_clock():
    stamp = to_stamp(time.monotonic_ns())
    assert abs(stamp.sec + stamp.nanosec * 1e-9 - time.time()) < 0.05


def test_there_and_back():
    then_ns = time.monotonic_ns() - 1_234_567_890
    assert abs(to_monotonic_ns(to_stamp(then_ns)) - then_ns) < 1_000_000


def test_later_stamp_is_later():
    assert to_monotonic_ns(Time(sec=5, nanosec=1)) - to_monotonic_ns(Time(sec=4, nanosec=0)) > 900_000_000
