"""The loop around a source, with sources that fail in every way a device can."""

import threading
import time

import numpy as np
import pytest
from camera_recordings import HEIGHT, WIDTH, scene
from cameras import capture_loop
from cameras.capture_loop import CaptureLoop
from cameras.frames import Frame
from cameras.source import CameraError, CameraSettings

SETTINGS = CameraSettings("front", "realsense", "111", WIDTH, HEIGHT, 30)
PERIOD_S = 1 / 30


class Rig:
    """A device that is plugged in or not, the loop that reads it, and what came out."""

    def __init__(self, picture=scene):
        self.picture = picture
        self.plugged = threading.Event()
        self.plugged.set()
        self.trouble = CameraError("it was unplugged")
        self.number = self.opened = self.closed = 0
        self.number_when_refused: int | None = None
        self.captures: list[int] = []
        self.changes: list[tuple[float, str, str]] = []
        self.loop = CaptureLoop(SETTINGS, self.deliver, self.changed, self.open)

    def open(self, settings):
        if not self.plugged.is_set():
            raise CameraError("RealSense 111 is not connected")
        self.opened += 1
        return Device(self)

    def deliver(self, frame, capture_ns):
        assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        self.captures.append(capture_ns)
        return 1

    def changed(self):
        status = self.loop.status()["color"]
        self.changes.append((time.monotonic(), status.level, status.summary))
        unfit = int(status.values["refused"]) - int(status.values.get("refused_old", 0))  # old ones: a loaded machine
        if self.number_when_refused is None and status.level == "error" and unfit > 0:
            self.number_when_refused = self.number

    def level(self):
        return self.loop.status()["color"].level

    def wait(self, condition, timeout_s=30.0):
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited in vain; changes: {self.changes}"
            time.sleep(0.002)

    def wait_frames(self, count):
        goal = len(self.captures) + count
        self.wait(lambda: len(self.captures) >= goal)

    def flagged_after_s(self, since_s, text):
        """Seconds until the loop said that the stream is in error, for this reason."""
        self.wait(lambda: any(t >= since_s and text in words for t, level, words in self.changes if level == "error"))
        return next(t for t, level, words in self.changes if t >= since_s and level == "error") - since_s


class Device:
    def __init__(self, rig):
        self.rig = rig
        self.next_s = time.monotonic()

    def read(self, timeout_s):
        end_s = time.monotonic() + timeout_s
        while True:
            if not self.rig.plugged.is_set() and self.rig.trouble is not None:
                raise self.rig.trouble
            now_s = time.monotonic()
            if self.rig.plugged.is_set() and now_s >= self.next_s:
                break
            if now_s >= end_s:
                raise TimeoutError
            time.sleep(0.002)
        self.next_s = max(self.next_s + PERIOD_S, now_s)
        self.rig.number += 1
        pixels = self.rig.picture(self.rig.number)
        arrival_ns = time.monotonic_ns()
        return Frame("color", pixels, arrival_ns - 3_000_000, "monotonic", arrival_ns, self.rig.number, None)

    def close(self):
        self.rig.closed += 1


@pytest.fixture
def start():
    rigs = []

    def start_rig(**arguments):
        rig = Rig(**arguments)
        rigs.append(rig)
        rig.loop.start()
        rig.wait_frames(12)
        return rig

    yield start_rig
    for rig in rigs:
        rig.loop.stop(5.0)
        assert rig.closed == rig.opened


@pytest.mark.parametrize("trouble", [CameraError("it was unplugged"), OSError("it was unplugged")])
def test_an_unplugged_camera_is_flagged_and_comes_back_by_itself(start, trouble):
    rig = start()
    rig.trouble = trouble
    rig.plugged.clear()
    unplugged_s = time.monotonic()
    assert rig.flagged_after_s(unplugged_s, "it was unplugged") < 2.0  # 3 ms on an idle machine
    rig.wait(lambda: "is not connected" in rig.loop.status()["color"].summary)
    time.sleep(1.5)  # long enough for the longest wait between attempts
    rig.plugged.set()
    plugged_s = time.monotonic()
    rig.wait_frames(1)
    assert time.monotonic() - plugged_s < 5.0  # 1 s at most on an idle machine
    rig.wait(lambda: rig.level() != "error")
    assert rig.opened == 2


def test_a_device_that_falls_silent_without_a_word_is_flagged_and_opened_again(start):
    rig = start()
    rig.trouble = None
    rig.plugged.clear()
    silent_s = time.monotonic()
    assert rig.flagged_after_s(silent_s, "the device is silent") < 2.0  # 0.09 s on an idle machine
    rig.wait(lambda: rig.closed == 1)
    rig.plugged.set()
    rig.wait_frames(3)
    assert rig.opened >= 2


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), "is black"),
        (np.full((HEIGHT, WIDTH, 3), 255, np.uint8), "is white"),
        (np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), "noise"),
    ],
)
def test_unfit_frames_are_flagged_not_delivered_and_not_the_end(start, bad, text):
    rig = start()
    bad_numbers: list[int] = []
    rig.picture = lambda number: bad_numbers.append(number) or bad
    rig.wait(lambda: rig.level() == "error" and text in rig.loop.status()["color"].summary)
    delivered = len(rig.captures)
    assert rig.number_when_refused in bad_numbers[:3]  # the first one, on an idle machine
    goal = rig.number + 10
    rig.wait(lambda: rig.number >= goal)
    assert len(rig.captures) == delivered
    assert rig.opened == 1
    rig.picture = scene
    rig.wait_frames(3)
    assert rig.level() != "error"


def test_a_frozen_camera_is_opened_again(start):
    rig = start()
    still = scene(0)
    numbers: list[int] = []
    rig.picture = lambda number: numbers.append(number) or still
    rig.wait(lambda: rig.number_when_refused is not None)
    assert rig.number_when_refused in numbers[2:4]  # the third one, on an idle machine
    rig.wait(lambda: rig.opened >= 2)
    rig.picture = scene
    rig.wait_frames(3)


def test_a_driver_that_hangs_in_open_is_left_behind(start, monkeypatch):
    monkeypatch.setattr(capture_loop, "OPEN_TIMEOUT_S", 0.3)
    rig = start()
    let_go = threading.Event()
    really_open = rig.open
    hanging: list[Device] = []

    def hang_once(settings):
        if not hanging:
            device = really_open(settings)
            hanging.append(device)
            let_go.wait(20)
            return device
        return really_open(settings)

    rig.loop._opener = hang_once
    rig.trouble = CameraError("it was unplugged")
    rig.plugged.clear()
    rig.flagged_after_s(time.monotonic(), "it was unplugged")
    rig.plugged.set()
    rig.wait_frames(3)
    assert rig.opened == 3 and rig.closed == 1
    let_go.set()
    rig.wait(lambda: rig.closed == 2)  # the late one gives the device back


def test_an_error_of_our_own_is_told_and_the_device_given_back(start):
    rig = start()
    error = ValueError("no such topic")

    def broken(frame, capture_ns):
        raise error

    rig.loop._deliver = broken
    rig.wait(lambda: rig.loop.broken is error and rig.closed == 1)


def test_captures_are_stamped_by_the_source(start):
    rig = start()
    steps = np.diff(rig.captures)
    assert (steps > 0).all()
    assert time.monotonic_ns() - rig.captures[-1] < 2_000_000_000
    values = rig.loop.status()["color"].values
    assert float(values["age_p50_ms"]) >= 3.0
