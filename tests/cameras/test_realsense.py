"""The RealSense source. Recordings take the place of devices: librealsense lists, opens and unplugs them alike."""

import time

import numpy as np
import pyrealsense2 as rs
import pytest
from camera_recordings import HEIGHT, SERIAL, WIDTH, make_recording, scene
from cameras.realsense import RealSenseCamera, require_connected
from cameras.source import CameraError, CameraSettings


def settings(serial):
    return CameraSettings("front", "realsense", serial, WIDTH, HEIGHT, 30)


def test_the_device_with_that_serial_number_is_opened(recording, tmp_path):
    other = str(tmp_path / "other.db3")
    make_recording(other, serial="777000")
    context = rs.context()
    plugged = [context.load_device(path) for path in (recording, other)]  # plugged in as long as they are kept
    for serial in (SERIAL, "777000"):
        require_connected(serial, context)
    camera = RealSenseCamera(settings(SERIAL), context)
    try:
        frame = camera.read(10.0)
        np.testing.assert_array_equal(frame.pixels, scene(frame.frame_number - 1))
    finally:
        camera.close()
    with pytest.raises(CameraError, match=f"RealSense 999 is not connected; connected are: .*{SERIAL}.*") as caught:
        RealSenseCamera(settings("999"), context)
    assert "777000" in str(caught.value)
    del plugged


def test_unplugging_is_noticed_at_once_and_the_device_can_be_opened_again(recording):
    context = rs.context()
    for _ in range(2):
        plugged = context.load_device(recording)
        camera = RealSenseCamera(settings(SERIAL), context)
        assert camera.read(10.0).stream == "color"
        context.unload_device(recording)
        del plugged
        unplugged_s = time.monotonic()
        with pytest.raises(CameraError, match=f"RealSense {SERIAL} was unplugged"):
            while True:
                camera.read(0.5)
        assert time.monotonic() - unplugged_s < 3.0  # 0.03 s on an idle machine
        camera.close()
        with pytest.raises(CameraError, match="is not connected"):
            RealSenseCamera(settings(SERIAL), context)
