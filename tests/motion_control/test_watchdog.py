"""Watchdog: inactive until fed, expires after its timeout, counts from the future too."""

import pytest
from motion_control import Watchdog


def test_expires_only_after_the_timeout():
    dog = Watchdog(100)
    assert not dog.expired(10**12) and dog.age_ns(10**12) == 0
    dog.feed(1000)
    assert not dog.expired(1100) and dog.expired(1101) and dog.age_ns(1101) == 101
    dog.feed(2000)
    assert not dog.expired(1500) and dog.age_ns(1500) == -500
    dog.stop()
    assert not dog.expired(10**12)


def test_a_timeout_must_be_positive():
    with pytest.raises(ValueError, match="timeout"):
        Watchdog(0)
