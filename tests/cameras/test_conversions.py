import time

import numpy as np
from cameras.capture_loop import Status
from cameras.conversions import to_camera_info, to_compressed_image, to_depth_image, to_diagnostics
from cameras.frames import Intrinsics
from diagnostic_msgs.msg import DiagnosticStatus
from node_runtime.ros_time import to_monotonic_ns
from policy_api.images import decode_image, depth_to_rgb
from policy_api.schema import DepthRange, EncodedImage

INTRINSICS = Intrinsics(640, 480, 600.0, 601.0, 320.5, 240.5, "rational_polynomial", (1, 2, 3, 4, 5, 6, 7, 8))
PIXELS = np.zeros((480, 640, 3), np.uint8)


def test_info_belongs_to_its_image():
    capture_ns = time.monotonic_ns() - 5_000_000
    image = to_compressed_image(b"\xff\xd8jpeg", capture_ns, "front_color_optical_frame")
    assert image.data.tobytes() == b"\xff\xd8jpeg"
    assert abs(to_monotonic_ns(image.header.stamp) - capture_ns) < 1_000_000
    info = to_camera_info(INTRINSICS, image.header, PIXELS)
    assert info.header == image.header
    assert (info.width, info.height) == (640, 480)
    np.testing.assert_array_equal(info.k.reshape(3, 3), [[600, 0, 320.5], [0, 601, 240.5], [0, 0, 1]])
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
    assert (info.distortion_model, list(info.d)) == ("rational_polynomial", [1, 2, 3, 4, 5, 6, 7, 8])


def test_a_lens_that_nobody_measured_is_not_calibrated():
    info = to_camera_info(None, to_compressed_image(b"", 0, "x").header, PIXELS)
    assert (info.width, info.height) == (640, 480)
    assert not info.k.any() and not info.p.any() and len(info.d) == 0


def test_depth_has_the_bytes_of_the_contract():
    depth_mm = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    capture_ns = time.monotonic_ns()
    image = to_depth_image(depth_mm, capture_ns, "front_depth_optical_frame")
    assert (image.encoding, image.height, image.width, image.step, image.is_bigendian) == ("16UC1", 48, 64, 128, 0)
    assert abs(to_monotonic_ns(image.header.stamp) - capture_ns) < 1_000_000
    near_far = DepthRange(0.2, 1.0)
    frame = EncodedImage("z16", image.width, image.height, bytes(image.data), capture_ns)
    np.testing.assert_array_equal(decode_image(frame, near_far), depth_to_rgb(depth_mm, near_far))


def test_levels_of_diagnostics():
    statuses = {level: Status(level, f"it is {level}", {"frames": "3"}) for level in ("ok", "degraded", "error")}
    message = to_diagnostics(statuses, "123", time.monotonic_ns())
    expected = [DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR]
    assert [status.level for status in message.status] == expected
    last = message.status[-1]
    assert (last.name, last.hardware_id, last.message) == ("cameras/error", "123", "it is error")
    assert [(v.key, v.value) for v in last.values] == [("frames", "3")]
