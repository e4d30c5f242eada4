"""Taking in an arm's feedback costs less than half of what it costs the vendor's SDK, and both get the same angles."""

import pytest

from benchmarks.control.decoding import FRAMES_A_SECOND, decode_cpu_ratio, record


def test_half_the_processor_time_of_the_sdk():
    cost = decode_cpu_ratio(seconds=0.5, rounds=3)
    assert cost.frames == FRAMES_A_SECOND // 2
    assert 0.0 < cost.ours_ms < cost.sdk_ms
    assert cost.ratio < 0.5


def test_the_stream_is_an_arms():
    ticks = record(0.025)
    assert [len(messages) for messages in ticks] == [14, 14, 14, 14, 20]
    stamps = [message.timestamp for messages in ticks for message in messages]
    assert stamps == sorted(stamps)


def test_nothing_to_measure_is_said():
    with pytest.raises(ValueError, match="at least one of 0"):
        decode_cpu_ratio(rounds=0)
