"""The V4L2 source on OpenCV's reader of files: there is no camera here, so opening a device is not tested."""

import threading

import cv2
import numpy as np
import pytest
from camera_recordings import HEIGHT, WIDTH, scene
from cameras.source import CameraError, CameraSettings
from cameras.v4l2 import V4l2Camera, find_device

SETTINGS = CameraSettings("front", "v4l2", "SN7", WIDTH, HEIGHT, 30)
FRAMES = 8


@pytest.fixture
def pictures(tmp_path):
    for k in range(FRAMES):
        cv2.imwrite(str(tmp_path / f"frame{k:03d}.png"), cv2.cvtColor(scene(k), cv2.COLOR_RGB2BGR))
    return str(tmp_path / "frame%03d.png")


class Paced:
    """An image sequence that gives a frame whenever the test says so, stamped `stamps_ms` if there are any."""

    def __init__(self, path, stamps_ms=None):
        self.file = cv2.VideoCapture(path, cv2.CAP_IMAGES)
        assert self.file.isOpened()
        self.turns = threading.Semaphore(0)
        self.stamps_ms = stamps_ms
        self.reads = 0
        self.released = threading.Event()

    def read(self):
        self.turns.acquire()
        self.reads += 1
        return self.file.read()

    def get(self, prop):
        assert prop == cv2.CAP_PROP_POS_MSEC
        return self.stamps_ms[self.reads - 1] if self.stamps_ms else 0.0

    def release(self):
        self.released.set()


def read_all(camera, capture, count):
    frames = []
    for _ in range(count):
        capture.turns.release()
        frames.append(camera.read(5.0))
    return frames


def test_frames_are_rgb_numbered_and_the_end_of_the_device_is_an_error(pictures):
    capture = Paced(pictures)
    camera = V4l2Camera(SETTINGS, capture)
    with pytest.raises(TimeoutError, match="V4L2 camera SN7: no frame within"):
        camera.read(0.01)
    for k, frame in enumerate(read_all(camera, capture, FRAMES)):
        np.testing.assert_array_equal(frame.pixels, scene(k))
        assert (frame.stream, frame.frame_number, frame.intrinsics) == ("color", k + 1, None)
        assert frame.clock == "arrival" and frame.capture_ns == frame.arrival_ns
    capture.turns.release()
    with pytest.raises(CameraError, match="V4L2 camera SN7: the device gives no more frames"):
        camera.read(5.0)
    camera.close()
    assert capture.released.is_set()


def test_the_newest_frame_is_read(pictures):
    capture = Paced(pictures)
    camera = V4l2Camera(SETTINGS, capture)
    read_all(camera, capture, 1)
    for _ in range(4):
        capture.turns.release()
    while (frame := camera.read(5.0)).frame_number < 5:
        pass  # taken before the fifth was there
    np.testing.assert_array_equal(frame.pixels, scene(4))
    capture.turns.release()
    camera.close()


@pytest.mark.parametrize(("offset_ms", "clock"), [(-12.0, "monotonic"), (-3.6e6, "device")])
def test_stamps_of_the_kernel_are_taken_for_what_they_are(pictures, monkeypatch, offset_ms, clock):
    monkeypatch.setattr("cameras.v4l2.time.monotonic_ns", lambda: 10**13)
    stamps_ms = [1e7 + offset_ms + 33.0 * k for k in range(FRAMES)]
    capture = Paced(pictures, stamps_ms)
    camera = V4l2Camera(SETTINGS, capture)
    frames = read_all(camera, capture, 3)
    assert [(frame.clock, frame.capture_ns) for frame in frames] == [(clock, round(s * 1e6)) for s in stamps_ms[:3]]
    capture.turns.release()
    camera.close()


def sysfs(tmp_path, cameras):
    """A /sys/class/video4linux with cameras of two nodes each: pictures, and metadata. `cameras` is name -> serial."""
    nodes = tmp_path / "video4linux"
    nodes.mkdir()
    for k, (name, serial) in enumerate(cameras.items()):
        interface = tmp_path / "usb" / name / f"{name}:1.0"
        interface.mkdir(parents=True)
        if serial:
            (interface.parent / "serial").write_text(serial + "\n")
        for index in range(2):
            node = nodes / f"video{2 * k + index}"
            node.mkdir()
            (node / "index").write_text(f"{index}\n")
            (node / "device").symlink_to(interface)
    return nodes


def test_a_camera_is_found_by_its_serial_number(tmp_path):
    nodes = sysfs(tmp_path, {"1-1": "SN7", "1-2": "SN8", "1-3": "", "1-4": "SN9", "1-5": "SN9"})
    assert find_device("SN7", nodes) == "/dev/video0"
    assert find_device("SN8", nodes) == "/dev/video2"
    with pytest.raises(
        CameraError, match=r"camera SN6 is not connected; connected are: SN7, SN8, SN9. A camera without"
    ):
        find_device("SN6", nodes)
    with pytest.raises(CameraError, match="/dev/video6 and /dev/video8 have the same serial number SN9"):
        find_device("SN9", nodes)


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "usb-camera"
    path.touch()
    assert find_device(str(path)) == str(path)
    with pytest.raises(CameraError, match="gone is not connected; ls /dev/v4l/by-id"):
        find_device(str(tmp_path / "gone"))


def test_what_is_no_camera_is_refused(tmp_path):
    path = tmp_path / "no-camera"
    path.touch()
    with pytest.raises(CameraError, match="can't be opened; another process has it"):
        V4l2Camera(CameraSettings("front", "v4l2", str(path), WIDTH, HEIGHT, 30))
