import pytest
from cameras.health import FIRST_FRAME_NS, REOPEN_NS, CameraHealth
from cameras.quality import Refusal

MS = 1_000_000


def streaming(hz, frames=30, age_ms=5, encode_ms=2):
    """A 30 Hz camera that gave frames at `hz`; and the time of the last one."""
    health = CameraHealth(0, 30)
    health.on_open(0)
    now = 0
    for k in range(frames):
        now = round(k * 1e9 / hz)
        health.on_frame(now, encode_ms * MS, now - age_ms * MS)
    return health, now


def test_new_camera_is_stale_until_its_first_frame():
    health = CameraHealth(0, 30)
    assert health.stale(1) and health.level(1) == "error"
    health.on_open(10 * MS)
    assert health.summary(20 * MS) == "no frame for 0.0 s: opened, no frame yet"
    health.on_frame(40 * MS, 1 * MS, 35 * MS)
    assert health.level(40 * MS) == "ok" and health.summary(40 * MS) == "streaming"


def test_silence_is_flagged_within_100_ms_and_a_frame_heals_it():
    health, last = streaming(30)
    assert not health.stale(last + 80 * MS)
    assert health.stale(last + 84 * MS) and health.stale_at_ns() < last + 84 * MS
    assert health.summary(last + 700 * MS) == "no frame for 0.7 s: the device is silent"
    health.on_frame(last + 800 * MS, MS, last + 800 * MS)
    assert health.level(last + 801 * MS) == "degraded"  # the gap is still among the last frames
    for k in range(1, 11):
        health.on_frame(last + (800 + 33 * k) * MS, MS, last + (800 + 33 * k) * MS)
    assert health.level(last + 1131 * MS) == "ok"


def test_a_lost_device_is_flagged_at_once():
    health, last = streaming(30)
    health.on_lost("RealSense 1 was unplugged")
    assert health.level(last + 1) == "error"
    assert health.summary(last + 700 * MS) == "no frame for 0.7 s: RealSense 1 was unplugged"
    health.on_open(last + 800 * MS)
    assert health.stale(last + 801 * MS)
    health.on_frame(last + 900 * MS, MS, last + 900 * MS)
    assert health.level(last + 900 * MS) == "ok"  # rates are counted from the opening


def test_a_slow_camera_is_degraded_not_dead():
    health, last = streaming(30)
    assert health.level(last) == "ok"
    for _ in range(3):
        last += 100 * MS
        health.on_frame(last, MS, last - MS)
    assert health.level(last) == "degraded"
    health, last = streaming(10)
    assert health.summary(last) == "streaming at 10.0 Hz of 30 Hz"
    assert health.level(last + 99 * MS) == "degraded"  # between two of its frames
    assert health.level(last + 251 * MS) == "error"


def test_late_frames_are_degraded():
    health, last = streaming(30, age_ms=140)
    assert (health.level(last), health.summary(last)) == ("degraded", "streaming, 140 ms late")


def test_a_refused_frame_is_an_error_until_a_good_one_comes():
    health, last = streaming(30)
    health.on_refused(last + 33 * MS, Refusal("black", "99.9% of the picture is black"))
    assert health.level(last + 33 * MS) == "error"
    assert health.summary(last + 500 * MS) == "no good frame for 0.5 s: 99.9% of the picture is black"
    assert health.values()["refused_black"] == "1" and health.values()["refused"] == "1"
    health.on_frame(last + 66 * MS, MS, last + 60 * MS)
    assert health.level(last + 66 * MS) == "ok"


@pytest.mark.parametrize(("kind", "reopen"), [("frozen", True), ("black", False)])
def test_a_frozen_device_is_opened_again_a_covered_one_is_not(kind, reopen):
    health, last = streaming(30)
    for k in range(40):
        health.on_refused(last + k * 33 * MS, Refusal(kind, ""))
    assert health.wants_reopening(last + 40 * 33 * MS) is reopen


def test_opening_gives_time_for_a_first_frame():
    health, last = streaming(30)
    assert not health.wants_reopening(last + REOPEN_NS)
    assert health.wants_reopening(last + REOPEN_NS + 1)
    health.on_open(10 * REOPEN_NS)
    assert not health.wants_reopening(10 * REOPEN_NS + FIRST_FRAME_NS)
    assert health.wants_reopening(10 * REOPEN_NS + FIRST_FRAME_NS + 1)


def test_figures():
    health = CameraHealth(0, 30)
    assert health.values() == {"frames": "0", "opened": "0", "refused": "0"}
    for k in range(100):
        now = k * 40 * MS
        health.on_frame(now, 2 * MS, now - 7 * MS)
    assert health.values() == {
        "frames": "100",
        "opened": "0",
        "refused": "0",
        "rate_hz": "25.00",
        "encode_p50_ms": "2.000",
        "age_p50_ms": "7.000",
    }
