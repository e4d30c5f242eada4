import numpy as np
import pytest
from cameras.clock_mapper import CaptureClock, ClockMapper

MS = 1_000_000
S = 1_000_000_000
PERIOD = S // 30
SHORTEST = 8 * MS  # delay of the fastest frame


def run(mapper, seconds, drift_ppm=0.0, device0=77 * S, host0=5_000 * S, first=0, seed=0, outliers=0.02):
    """Feed frames with random delays; returns the errors in ns against true capture time + shortest delay."""
    rng = np.random.default_rng(seed)
    errors = []
    for k in range(first, first + seconds * 30):
        true_ns = host0 + k * PERIOD
        stamp_ns = device0 + round(k * PERIOD * (1 - drift_ppm * 1e-6))
        late = rng.exponential(3 * MS) + (200 * MS if rng.random() < outliers else 0)
        arrival_ns = true_ns + SHORTEST + round(late)
        mapped = mapper.to_monotonic(stamp_ns, arrival_ns)
        assert mapped <= arrival_ns
        errors.append(mapped - true_ns - SHORTEST)
    return np.array(errors)


@pytest.mark.parametrize("drift_ppm", [0.0, 80.0, -80.0])
def test_offset_and_drift_are_found_below_the_jitter(drift_ppm):
    mapper = ClockMapper()
    errors = run(mapper, 120, drift_ppm)
    assert np.abs(errors[30:]).max() < 1.0 * MS  # jitter and outliers of the arrivals: 3 ms and 200 ms
    assert np.abs(errors[30 * 60 :]).max() < 0.4 * MS
    assert mapper.drift_ppm == pytest.approx(drift_ppm, abs=5.0)
    assert mapper.jumps == 0


@pytest.mark.parametrize("jump_s", [-3600.0, -71.6 * 60, -0.5, 0.5, 3600.0])
def test_a_device_clock_that_jumps_is_found_again_with_the_next_second(jump_s):
    mapper = ClockMapper()
    run(mapper, 20, 50.0)
    errors = run(mapper, 20, 50.0, device0=77 * S + round(jump_s * S), first=600, seed=1)
    assert mapper.jumps == 1
    assert np.abs(errors[60:]).max() < 1.0 * MS


def test_a_late_frame_keeps_its_age():
    mapper = ClockMapper()
    run(mapper, 10)
    true_ns = 5_000 * S + 300 * PERIOD
    stamp_ns = 77 * S + 300 * PERIOD
    assert mapper.to_monotonic(stamp_ns, true_ns + 900 * MS) == pytest.approx(true_ns + SHORTEST, abs=0.5 * MS)


def test_stamps_that_stand_still_do_not_pass_for_new_for_longer_than_a_second():
    mapper = ClockMapper()
    run(mapper, 10)
    stamp_ns = 77 * S + 299 * PERIOD
    ages_ms = []
    for k in range(300, 330):
        arrival_ns = 5_000 * S + k * PERIOD
        ages_ms.append((arrival_ns - mapper.to_monotonic(stamp_ns, arrival_ns)) / MS)
    assert ages_ms == sorted(ages_ms) and ages_ms[-1] > 900


def test_clocks_by_name():
    clock = CaptureClock()
    assert clock.to_monotonic(40, "monotonic", 50) == 40
    assert clock.to_monotonic(60, "monotonic", 50) == 50
    assert clock.to_monotonic(40, "arrival", 50) == 50
    assert clock.to_monotonic(10**15, "device", 50) == 50
    assert clock.to_monotonic(10**15 + 10, "device", 70) == 60
