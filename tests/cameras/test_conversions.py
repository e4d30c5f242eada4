import time
from types import SimpleNamespace

import numpy as np
from cameras.conversions import to_camera_info, to_compressed_image, to_diagnostics
from cameras.health import CameraHealth
from diagnostic_msgs.msg import DiagnosticStatus
from node_runtime.ros_time import to_monotonic_ns

INTRINSICS = SimpleNamespace(
    width=640, height=480, fx=600.0, fy=601.0, ppx=320.5, ppy=240.5, coeffs=[0.1, 0.2, 0.3, 0.4, 0.5]
)


def test_info_belongs_to_its_image():
    capture_ns = time.monotonic_ns() - 5_000_000
    image = to_compressed_image(b"\xff\xd8jpeg", capture_ns, "front_color_optical_frame")
    assert image.data.tobytes() == b"\xff\xd8jpeg"
    assert abs(to_monotonic_ns(image.header.stamp) - capture_ns) < 1_000_000
    info = to_camera_info(INTRINSICS, image)
    assert info.header == image.header
    assert (info.width, info.height) == (640, 480)
    np.testing.assert_array_equal(info.k.reshape(3, 3), [[600, 0, 320.5], [0, 601, 240.5], [0, 0, 1]])
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
    assert list(info.d) == INTRINSICS.coeffs


def test_stale_camera_is_an_error():
    now_ns = time.monotonic_ns()
    health = CameraHealth(now_ns)
    health.on_trouble("no such device")
    status = to_diagnostics("front", "123", health, now_ns).status[0]
    assert (status.level, status.name, status.hardware_id) == (DiagnosticStatus.ERROR, "cameras/front", "123")
    assert "no such device" in status.message
    health.on_frame(now_ns, 1, now_ns)
    assert to_diagnostics("front", "123", health, now_ns).status[0].level == DiagnosticStatus.OK
