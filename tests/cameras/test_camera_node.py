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
PATIENCE_S = 40.0  # a loaded machine takes ten seconds to start a node
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


def play_until(ros, writer, condition, what):
    """Write frames until the condition holds; returns capture time -> frame index."""
    written = {}
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        written |= play(ros, writer, 5, len(written))
    return written


def frame_of(written, image):
    """Index of the frame with the image's stamp; None if there is none (a stamp in ROS time is 1 us off at most)."""
    captures = np.array(list(written))
    capture_ns = to_monotonic_ns(image.header.stamp)
    nearest = int(captures[np.argmin(np.abs(captures - capture_ns))])
    return written[nearest] if abs(nearest - capture_ns) < 1_000_000 else None


def test_frames_become_jpeg_and_camera_info(ros, lab):
    viewer = Viewer(ros)
    with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
        process = start(ros, lab)
        written = play_until(ros, writer, lambda: len(viewer.images) >= 36 and len(viewer.infos) >= 36, "36 frames")
        ages_ms = []
        for arrived_ns, image in viewer.images:
            k = frame_of(written, image)
            assert k is not None
            ages_ms.append((arrived_ns - to_monotonic_ns(image.header.stamp)) / 1e6)
            assert image.format == "jpeg"
            assert image.data.tobytes() == encode_jpeg(picture(k), 90)
            assert decode_jpeg(image.data.tobytes()).shape == (48, 64, 3)
        assert min(ages_ms) < 25  # the test spins in steps of 20 ms
        stamps = {image.header.stamp.nanosec for _, image in viewer.images}
        assert len(stamps & {info.header.stamp.nanosec for info in viewer.infos}) >= 20
        info = viewer.infos[0]
        assert (info.width, info.height, info.header.frame_id) == (64, 48, "front_color_optical_frame")
        np.testing.assert_allclose(info.k, [60, 0, 32.5, 0, 61, 24.5, 0, 0, 1], rtol=1e-6)
        play_until(ros, writer, lambda: any(s.level == DiagnosticStatus.OK for s in viewer.diagnostics), "streaming")
        good = next(status for status in viewer.diagnostics if status.level == DiagnosticStatus.OK)
        assert good.message == "streaming"
        assert {"frames", "opened", "refused"} <= {value.key for value in good.values}
    began = time.monotonic()
    assert process.signal_and_wait(signal.SIGINT) == 0
    assert time.monotonic() - began < 3.0  # 0.3 s on an idle machine


def test_lost_camera_is_reported_and_comes_back(ros, lab):
    viewer = Viewer(ros)
    process = start(ros, lab)
    missing = "no frames of camera 'front'"
    ros.wait(lambda: any(missing in d.message for d in viewer.diagnostics), PATIENCE_S, what="the missing lab")
    assert viewer.diagnostics[-1].level == DiagnosticStatus.ERROR
    for _ in range(2):
        with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
            viewer.images.clear()
            play_until(ros, writer, lambda: viewer.images, "frames of the lab that came back")
        viewer.diagnostics.clear()
        ros.wait(lambda: any(missing in d.message for d in viewer.diagnostics), PATIENCE_S, what="a stale camera")
    assert process.process.poll() is None
    assert process.signal_and_wait(signal.SIGTERM) == 0


def test_frames_of_another_size_are_not_published(ros, lab):
    viewer = Viewer(ros)
    with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
        start(ros, lab, width=640, height=480)
        text = "the camera gives 64x48, parameters width and height say 640x480"
        play_until(ros, writer, lambda: any(text in d.message for d in viewer.diagnostics), text)
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
    def refused(status):
        return int({v.key: v.value for v in status.values}.get(count, "0"))

    viewer = Viewer(ros)
    with SharedFrameWriter(lab, "front", INTRINSICS) as writer:
        start(ros, lab)
        written = play_until(ros, writer, lambda: viewer.images and viewer.diagnostics, "a frame")
        viewer.diagnostics.clear()
        ros.wait(lambda: len(viewer.diagnostics) >= 2, PATIENCE_S, what="diagnostics of the last good frame")
        before = refused(viewer.diagnostics[-1])
        viewer.diagnostics.clear()
        for k in range(20):
            writer.write(*fault(k, time.monotonic_ns()))
            ros.spin_for(0.02)
        ros.wait(lambda: any(refused(d) > before for d in viewer.diagnostics), PATIENCE_S, what=text)
        flagged = next(status for status in viewer.diagnostics if refused(status) > before)
        assert flagged.level == DiagnosticStatus.ERROR and text in flagged.message
        assert refused(flagged) - before <= 3  # said by the third of them
        published = len(viewer.images)
        written |= play_until(ros, writer, lambda: len(viewer.images) > published, "a good frame")
        assert all(frame_of(written, image) is not None for _, image in viewer.images)


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
    ros.wait(lambda: len(viewer.images) > 20 and len(depths) > 10 and depth_infos, PATIENCE_S, what="a recording")
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
        assert process.process.wait(PATIENCE_S) == 2
        assert text in process.text()


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"source": "webcam"}, "source is 'webcam'"), ({"jpeg_quality": 0}, "jpeg_quality is 0; expected 1..100")],
)
def test_wrong_parameters_end_the_process_with_a_reason(ros, lab, changes, text):
    process = start(ros, lab, **changes)
    assert process.process.wait(PATIENCE_S) == 2
    assert text in process.text()
