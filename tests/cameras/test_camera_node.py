"""The camera's process, fed through librealsense by a lab's shared frames or by a recording."""

import os
import signal
import time

import numpy as np
import pytest
from camera_recordings import HEIGHT, SERIAL, WIDTH, depth_scene, scene
from cameras.shared_frames import Intrinsics, SharedFrameWriter
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_runtime.qos import RELIABLE
from node_runtime.ros_time import to_monotonic_ns
from policy_api.images import decode_jpeg, encode_jpeg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

ENTRY = "cameras.camera_node:main"
INTRINSICS = Intrinsics(64, 48, fx=60.0, fy=61.0, cx=32.5, cy=24.5)


def picture(k: int) -> np.ndarray:
    rgb = np.zeros((48, 64, 3), dtype=np.uint8)
    rgb[:, : 2 * (k % 30) + 2] = (200, 40, 40)
    return rgb


class Viewer:
    def __init__(self, ros):
        self.images: list[tuple[int, CompressedImage]] = []
        self.infos: list[CameraInfo] = []
        self.diagnostics: list[DiagnosticStatus] = []
        create = ros.node.create_subscription
        create(CompressedImage, "/cameras/front/image/compressed", self.on_image, RELIABLE)
        create(CameraInfo, "/cameras/front/camera_info", self.infos.append, RELIABLE)
        create(DiagnosticArray, "/diagnostics", lambda m: self.diagnostics.extend(m.status), RELIABLE)

    def on_image(self, message):
        self.images.append((time.monotonic_ns(), message))


def start(ros, lab, **changes):
    parameters = {"name": "front", "source": "software", "serial": lab, "width": 64, "height": 48, **changes}
    return ros.start(ENTRY, **parameters)


@pytest.fixture
def lab():
    return f"test{os.getpid()}"


def play(ros, writer, frames, first=0):
    """Write frames at 50 Hz; returns capture time -> frame index."""
    written = {}
    for k in range(first, first + frames):
        capture_ns = time.monotonic_ns()
        writer.write(picture(k), capture_ns)
        written[capture_ns] = k
        ros.spin_for(0.02)
    return written


def test_frames_become_jpeg_and_camera_info(ros, lab):
    viewer = Viewer(ros)
    with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
        process = start(ros, lab)
        deadline = time.monotonic() + 8
        while not viewer.images and time.monotonic() < deadline:
            play(ros, writer, 5)
        viewer.images.clear()
        viewer.infos.clear()
        written = play(ros, writer, 40)
        ros.spin_for(0.3)
        received = list(viewer.images)
        assert len(received) >= 36
        captures = np.array(list(written))
        ages_ms = []
        for arrived_ns, image in received:
            capture_ns = to_monotonic_ns(image.header.stamp)
            nearest = int(captures[np.argmin(np.abs(captures - capture_ns))])
            if abs(nearest - capture_ns) > 1_000_000:
                continue  # a frame from before the list was cleared
            ages_ms.append((arrived_ns - capture_ns) / 1e6)
            assert image.format == "jpeg"
            assert image.data.tobytes() == encode_jpeg(picture(written[nearest]), 90)
            assert decode_jpeg(image.data.tobytes()).shape == (48, 64, 3)
        assert len(ages_ms) >= 36
        assert np.median(ages_ms) < 25  # the test spins in steps of 20 ms
        assert {i.header.stamp.nanosec for i in viewer.infos} >= {m.header.stamp.nanosec for _, m in received[1:-1]}
        info = viewer.infos[0]
        assert (info.width, info.height, info.header.frame_id) == (64, 48, "front_color_optical_frame")
        np.testing.assert_allclose(info.k, [60, 0, 32.5, 0, 61, 24.5, 0, 0, 1], rtol=1e-6)
        streaming = [status for status in viewer.diagnostics if status.message == "streaming"]
        assert streaming and streaming[-1].level == DiagnosticStatus.OK
        assert float({v.key: v.value for v in streaming[-1].values}["rate_hz"]) > 20
    began = time.monotonic()
    assert process.signal_and_wait(signal.SIGINT) == 0
    assert time.monotonic() - began < 1.0


def test_lost_camera_is_reported_and_comes_back(ros, lab):
    viewer = Viewer(ros)
    process = start(ros, lab)
    ros.wait(
        lambda: any("no frames of camera 'front'" in d.message for d in viewer.diagnostics), what="the missing lab"
    )
    assert viewer.diagnostics[-1].level == DiagnosticStatus.ERROR
    for _ in range(2):
        with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
            viewer.images.clear()
            deadline = time.monotonic() + 6
            while not viewer.images and time.monotonic() < deadline:
                play(ros, writer, 5)
            assert viewer.images
        viewer.diagnostics.clear()
        ros.wait(lambda: any(d.level == DiagnosticStatus.ERROR for d in viewer.diagnostics), 3.0, what="a stale camera")
    assert process.process.poll() is None
    assert process.signal_and_wait(signal.SIGTERM) == 0


def test_frames_of_another_size_are_not_published(ros, lab):
    viewer = Viewer(ros)
    with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
        start(ros, lab, width=640, height=480)
        text = "the camera gives 64x48, parameters width and height say 640x480"
        deadline = time.monotonic() + 8
        while not any(text in d.message for d in viewer.diagnostics) and time.monotonic() < deadline:
            play(ros, writer, 5)
        assert any(text in d.message for d in viewer.diagnostics)
        assert viewer.images == []


@pytest.mark.parametrize(
    ("fault", "text", "count"),
    [
        (lambda k, now_ns: (np.zeros((48, 64, 3), np.uint8), now_ns), "is black", "refused_black"),
        (lambda k, now_ns: (picture(k), 7_000_000), "the frame is", "refused_old"),
    ],
    ids=["black", "a clock that stands still"],
)
def test_unfit_frames_are_flagged_and_not_published(ros, lab, fault, text, count):
    viewer = Viewer(ros)
    with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
        start(ros, lab)
        deadline = time.monotonic() + 8
        while not (viewer.images and viewer.diagnostics) and time.monotonic() < deadline:
            play(ros, writer, 5)
        ros.spin_for(0.3)
        published = len(viewer.images)
        viewer.diagnostics.clear()
        for k in range(20):
            writer.write(*fault(k, time.monotonic_ns()))
            ros.spin_for(0.02)
        ros.spin_for(0.3)
        assert len(viewer.images) == published
        flagged = [status for status in viewer.diagnostics if text in status.message]
        assert flagged and flagged[0].level == DiagnosticStatus.ERROR
        first = {v.key: v.value for v in flagged[0].values}
        assert int(first[count]) <= 3  # said on diagnostics by the third of them
        play(ros, writer, 10)
        ros.wait(lambda: len(viewer.images) > published, what="good frames")


def test_a_recording_gives_colour_and_depth(ros, recording, tmp_path):
    rig = tmp_path / "desk.yaml"
    lens = "{fx: 59, fy: 58, cx: 31, cy: 23, distortion_model: plumb_bob, coefficients: [0.5, 0, 0, 0, 0]}"
    rig.write_text(
        f'cameras:\n  front: {{serial: "{SERIAL}", width: {WIDTH}, height: {HEIGHT}, fps: 30, intrinsics: {lens}}}\n'
    )
    viewer = Viewer(ros)
    depths: list[Image] = []
    depth_infos: list[CameraInfo] = []
    ros.node.create_subscription(Image, "/cameras/front_depth/image", depths.append, RELIABLE)
    ros.node.create_subscription(CameraInfo, "/cameras/front_depth/camera_info", depth_infos.append, RELIABLE)
    ros.start(ENTRY, name="front", source="playback", serial=recording, rig=rig, depth="raw")
    ros.wait(lambda: len(viewer.images) > 20 and len(depths) > 10 and depth_infos, 20.0, what="a recording")
    known = {encode_jpeg(scene(k), 90) for k in range(30)}
    assert all(image.data.tobytes() in known for _, image in viewer.images)
    known = {depth_scene(k).tobytes() for k in range(30)}
    assert all(bytes(image.data) in known for image in depths)
    assert (depths[0].encoding, depths[0].header.frame_id) == ("16UC1", "front_depth_optical_frame")
    assert list(viewer.infos[0].k) == [59, 0, 31, 0, 58, 23, 0, 0, 1]
    assert list(viewer.infos[0].d) == [0.5, 0, 0, 0, 0]
    assert list(depth_infos[0].k) == [60, 0, 32.5, 0, 61, 24.5, 0, 0, 1]  # the device's own
    names = {status.name for status in viewer.diagnostics}
    assert names == {"cameras/front", "cameras/front_depth"}


def test_swapped_and_missing_cameras_end_the_process_by_name(ros, tmp_path):
    rig = tmp_path / "desk.yaml"
    entry = "width: 640, height: 480, fps: 30"
    rig.write_text(f'cameras:\n  front: {{serial: "111", {entry}}}\n  wrist: {{serial: "222", {entry}}}\n')
    swapped = ros.start(ENTRY, name="front", source="realsense", serial="'222'", rig=rig)
    missing = ros.start(ENTRY, name="wrist", source="realsense", rig=rig)
    absent = ros.start(ENTRY, name="front", source="playback", serial="/nowhere/desk.db3")
    for process, text in (
        (swapped, "cannot start: camera front: cameras are swapped: parameter serial of camera front is 222"),
        (missing, "cannot start: camera wrist: RealSense 222 is not connected; connected are: "),
        (absent, "cannot start: camera front: there is no recording /nowhere/desk.db3"),
    ):
        assert process.process.wait(15) == 2
        assert text in process.text()


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"source": "webcam"}, "source is 'webcam'"), ({"jpeg_quality": 0}, "jpeg_quality is 0; expected 1..100")],
)
def test_wrong_parameters_end_the_process_with_a_reason(ros, lab, changes, text):
    process = start(ros, lab, **changes)
    assert process.process.wait(10) == 2
    assert text in process.text()
