from cameras.health import REOPEN_NS, STALE_NS, CameraHealth

MS = 1_000_000


def test_new_camera_is_stale_until_its_first_frame():
    health = CameraHealth(0)
    assert health.stale(1)
    health.on_open(10 * MS)
    assert health.stale(11 * MS)
    assert health.summary(20 * MS) == "no frame for 0.0 s: opened, no frame yet"
    health.on_frame(40 * MS, 1 * MS, 35 * MS)
    assert not health.stale(40 * MS)
    assert health.summary(40 * MS) == "streaming"


def test_silence_makes_it_stale_and_a_frame_heals_it():
    health = CameraHealth(0)
    health.on_frame(0, 1 * MS, 0)
    assert not health.stale(STALE_NS)
    assert health.stale(STALE_NS + 1)
    assert "the device is silent" in health.summary(700 * MS)
    health.on_trouble("unplugged")
    assert health.summary(700 * MS) == "no frame for 0.7 s: unplugged"
    health.on_frame(800 * MS, 1 * MS, 800 * MS)
    assert health.summary(801 * MS) == "streaming"


def test_opening_gives_time_for_a_first_frame():
    health = CameraHealth(0)
    health.on_frame(0, 1, 0)
    health.on_open(10 * REOPEN_NS)
    assert health.silent_ns(10 * REOPEN_NS + 5) == 5


def test_figures():
    health = CameraHealth(0)
    assert health.values() == {"frames": "0", "opened": "0"}
    for k in range(100):
        now = k * 40 * MS
        health.on_frame(now, 2 * MS, now - 7 * MS)
    assert health.values() == {
        "frames": "100",
        "opened": "0",
        "rate_hz": "25.00",
        "encode_p50_ms": "2.000",
        "age_p50_ms": "7.000",
    }
