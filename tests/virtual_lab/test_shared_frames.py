"""The frame ring: nothing torn, nothing stale, one writer, and the way through librealsense."""

import os
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import pytest
from cameras.shared_frames import (
    SLOTS,
    Intrinsics,
    SharedFrameReader,
    SharedFramesError,
    SharedFrameWriter,
    remove_stale_rings,
    ring_path,
)
from cameras.software_device import SoftwareColorCamera
from cameras.source import CameraError, Source

SIZE = Intrinsics(64, 48, 61.0, 62.0, 31.5, 23.5)

WRITE_FOREVER = """
import sys, time, numpy as np
from cameras.shared_frames import Intrinsics, SharedFrameWriter
width, height = 640, 480
writer = SharedFrameWriter(sys.argv[1], "front", Intrinsics(width, height, 600.0, 600.0, 319.5, 239.5))
frames = [np.full((height, width, 3), value, np.uint8) for value in range(251)]
end = time.monotonic() + float(sys.argv[2])
number = 0
while time.monotonic() < end:
    number = writer.write(frames[(number + 1) % 251], number + 1)
"""


@pytest.fixture
def lab():
    name = f"test_{uuid.uuid4().hex}"
    yield name
    for camera in ("front", "wrist"):
        if os.path.exists(ring_path(name, camera)):
            os.unlink(ring_path(name, camera))


def wait_for(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.005)


def picture(value):
    return np.full((48, 64, 3), value, np.uint8)


def test_frames_arrive_with_their_number_stamp_and_intrinsics(lab):
    with SharedFrameWriter(lab, "front", SIZE) as writer, SharedFrameReader(lab, "front") as reader:
        assert reader.read() is None
        rng = np.random.default_rng(0)
        for number in range(1, 3 * SLOTS):
            rgb = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            assert writer.write(rgb, capture_ns=1_000_000_007 * number) == number
            frame = reader.read(after=number - 1)
            np.testing.assert_array_equal(frame.rgb, rgb)
            assert (frame.frame_number, frame.capture_ns, frame.intrinsics) == (number, 1_000_000_007 * number, SIZE)
            assert reader.read(after=number) is None


def test_a_frame_is_a_copy(lab):
    with SharedFrameWriter(lab, "front", SIZE) as writer, SharedFrameReader(lab, "front") as reader:
        writer.write(picture(7), 1)
        frame = reader.read()
        for _ in range(2 * SLOTS):
            writer.write(picture(9), 2)
        assert (frame.rgb == 7).all()


def test_no_frame_is_torn_by_a_writer_that_never_pauses(lab):
    """The writer laps the ring while the reader copies; each picture has one value, which its number tells."""
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, lab, "1.5"])
    try:
        wait_for(lambda: os.path.exists(ring_path(lab, "front")))
        seen = last = 0
        with SharedFrameReader(lab, "front") as reader:
            while writer.poll() is None:
                frame = reader.read(last)
                if frame is None:
                    continue
                assert frame.frame_number > last
                last = frame.frame_number
                assert (frame.rgb == last % 251).all(), f"frame {last} is torn"
                assert frame.capture_ns == last
                seen += 1
        assert seen > 100 and last > seen  # the writer did run ahead of the reader
    finally:
        writer.kill()
        writer.wait()


def test_a_slot_overwritten_during_the_copy_is_read_again(lab, monkeypatch):
    with SharedFrameWriter(lab, "front", SIZE) as writer, SharedFrameReader(lab, "front") as reader:
        writer.write(picture(1), 1)
        real, lapped = np.frombuffer, []

        def lap_during_copy(*args):
            view = real(*args)
            if not lapped:
                lapped.append(True)
                for value in range(2, 2 + SLOTS):
                    writer.write(picture(value), value)
            return view

        monkeypatch.setattr("cameras.shared_frames.np.frombuffer", lap_during_copy)
        frame = reader.read()
        assert frame.frame_number == 1 + SLOTS and (frame.rgb == 1 + SLOTS).all()


def test_one_writer_a_ring(lab):
    with SharedFrameWriter(lab, "front", SIZE):
        with pytest.raises(SharedFramesError, match="already has a writer"):
            SharedFrameWriter(lab, "front", SIZE)
        assert ring_path(lab, "front") not in remove_stale_rings()
        SharedFrameReader(lab, "front").close()


def test_rings_of_killed_writers_are_removed(lab):
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, lab, "30"])
    wait_for(lambda: os.path.exists(ring_path(lab, "front")))
    reader = SharedFrameReader(lab, "front")
    wait_for(lambda: reader.read() is not None)
    assert reader.is_current()
    writer.kill()
    writer.wait()
    assert not reader.is_current()
    assert os.path.exists(ring_path(lab, "front"))
    with SharedFrameWriter(lab, "front", SIZE) as new:
        assert not reader.is_current()
        new.write(picture(3), 5)
        with SharedFrameReader(lab, "front") as fresh:
            assert (fresh.read().rgb == 3).all() and fresh.is_current()
    reader.close()
    assert not os.path.exists(ring_path(lab, "front"))


def test_errors_say_what_to_do(lab):
    with pytest.raises(SharedFramesError, match=f"start the lab: virtual_lab --lab {lab}"):
        SharedFrameReader(lab, "front")
    with pytest.raises(SharedFramesError, match="letters, digits"):
        ring_path("../etc", "front")
    with (
        SharedFrameWriter(lab, "front", SIZE) as writer,
        pytest.raises(SharedFramesError, match=r"this ring takes \(48, 64, 3\) uint8"),
    ):
        writer.write(np.zeros((48, 64), np.uint8), 0)


def test_frames_come_through_librealsense_bit_exact(lab):
    with SharedFrameWriter(lab, "front", SIZE) as writer:
        camera: Source = SoftwareColorCamera(lab, "front")
        rng = np.random.default_rng(1)
        for number in range(1, 20):
            rgb = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            capture_ns = 987_654_321_012_345 + 33_333_333 * number
            writer.write(rgb, capture_ns)
            frame = camera.read(1.0)
            np.testing.assert_array_equal(frame.pixels, rgb)
            assert frame.frame_number == number and abs(frame.capture_ns - capture_ns) <= 100
        intrinsics = frame.intrinsics
        assert (intrinsics.width, intrinsics.height) == (64, 48)
        assert (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy) == (61.0, 62.0, 31.5, 23.5)
        assert intrinsics.coefficients == (0.0,) * 5
        with pytest.raises(TimeoutError, match="rendered no frame within"):
            camera.read(0.05)
        late = threading.Timer(0.1, writer.write, (rgb, 42_000_000))
        late.start()
        assert camera.read(2.0).capture_ns == 42_000_000
        late.join()
    with pytest.raises(CameraError, match="has stopped"):
        camera.read(0.05)
    camera.close()
    with pytest.raises(CameraError, match="start the lab"):
        SoftwareColorCamera(lab, "front")
