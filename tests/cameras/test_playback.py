"""A recording through librealsense's real pipeline."""

from itertools import pairwise

import numpy as np
import pytest
from camera_recordings import FRAMES, HEIGHT, WIDTH, depth_scene, scene
from cameras.clock_mapper import CaptureClock
from cameras.playback import Playback
from cameras.source import CameraError, CameraSettings, open_source, require_present


def settings(path, **changes):
    return CameraSettings(**{"name": "front", "source": "playback", "serial": path, "width": WIDTH, "height": HEIGHT,
                             "fps": 30, **changes})  # fmt: skip


def read(source, count):
    return [source.read(10.0) for _ in range(count)]


def test_colour_comes_bit_exact_stamped_by_the_device_and_over_again(recording):
    source = open_source(settings(recording))
    try:
        frames = read(source, 2 * FRAMES)
    finally:
        source.close()
    for frame in frames:
        assert (frame.stream, frame.clock) == ("color", "device")
        np.testing.assert_array_equal(frame.pixels, scene(frame.frame_number - 1))
        assert frame.capture_ns == pytest.approx(5e9 + (frame.frame_number - 1) * 1e9 / 30, abs=2)
    numbers = [frame.frame_number for frame in frames]
    assert all(a != b for a, b in pairwise(numbers))
    assert any(b < a for a, b in pairwise(numbers))  # it began anew
    lens = frames[0].intrinsics
    assert (lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy) == (WIDTH, HEIGHT, 60, 61, 32.5, 24.5)
    assert (lens.distortion_model, lens.coefficients) == ("plumb_bob", (0.0,) * 5)
    clock = CaptureClock()
    ages = [f.arrival_ns - clock.to_monotonic(f.capture_ns, f.clock, f.arrival_ns) for f in frames]
    assert min(ages) == 0 and clock.mapper.jumps >= 1


@pytest.mark.parametrize("depth", ["raw", "aligned"])
def test_depth_comes_in_millimetres(recording, depth):
    source = Playback(settings(recording, depth=depth))
    try:
        frames = read(source, 40)
    finally:
        source.close()
    depths = [frame for frame in frames if frame.stream == "depth"]
    assert 5 <= len(depths) <= 35
    for frame in depths:
        assert frame.pixels.dtype == np.uint16 and frame.pixels.shape == (HEIGHT, WIDTH)
        if depth == "raw":
            np.testing.assert_array_equal(frame.pixels, depth_scene(frame.frame_number - 1))
        else:
            measured = frame.pixels[frame.pixels > 0]
            assert measured.size > 0.9 * frame.pixels.size and 500 <= measured.min() <= measured.max() < 505
    for stream in ("color", "depth"):
        numbers = [frame.frame_number for frame in frames if frame.stream == stream]
        assert all(a != b for a, b in pairwise(numbers)), "a frame came twice"


def test_what_can_not_be_played_is_named(recording, tmp_path):
    with pytest.raises(CameraError, match=r"there is no recording /nowhere/desk\.db3"):
        require_present(settings("/nowhere/desk.db3"))
    with pytest.raises(CameraError, match=r"expected the path of a \.db3 file"):
        Playback(settings("/nowhere/desk.bag"))
    with pytest.raises(CameraError, match="can't stream 640x480 at 30 Hz"):
        Playback(settings(recording, width=640, height=480))
    damaged = tmp_path / "damaged.db3"
    damaged.write_bytes(b"no database")
    with pytest.raises(CameraError, match=r"damaged\.db3 can't"):
        Playback(settings(str(damaged)))
