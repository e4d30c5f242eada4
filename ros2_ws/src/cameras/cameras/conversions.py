"""Frames and their intrinsics as ROS 2 messages."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_runtime.ros_time import to_stamp
from sensor_msgs.msg import CameraInfo, CompressedImage

from cameras.health import CameraHealth
from cameras.source import Intrinsics


def to_compressed_image(jpeg: bytes, capture_ns: int, frame_id: str) -> CompressedImage:
    """JPEG message stamped with the capture time."""
    message = CompressedImage(format="jpeg")
    message.header.stamp = to_stamp(capture_ns)
    message.header.frame_id = frame_id
    message.data = jpeg
    return message


def to_camera_info(intrinsics: Intrinsics, image: CompressedImage) -> CameraInfo:
    """CameraInfo that belongs to `image`: same stamp and frame. Distortion is Brown-Conrady, k1 k2 p1 p2 k3."""
    fx, fy, cx, cy = (float(v) for v in (intrinsics.fx, intrinsics.fy, intrinsics.ppx, intrinsics.ppy))
    return CameraInfo(
        header=image.header,
        width=intrinsics.width,
        height=intrinsics.height,
        distortion_model="plumb_bob",
        d=[float(c) for c in intrinsics.coeffs],
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def to_diagnostics(name: str, hardware_id: str, health: CameraHealth, now_ns: int) -> DiagnosticArray:
    """OK while frames come, ERROR when the camera is stale."""
    status = DiagnosticStatus(
        level=DiagnosticStatus.ERROR if health.stale(now_ns) else DiagnosticStatus.OK,
        name=f"cameras/{name}",
        message=health.summary(now_ns),
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in health.values().items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = to_stamp(now_ns)
    return message
