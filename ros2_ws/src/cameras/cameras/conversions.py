"""Frames and their intrinsics as ROS 2 messages."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_runtime.ros_time import to_stamp
from numpy.typing import NDArray
from policy_api.images import encode_z16
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from cameras.capture_loop import Status
from cameras.frames import Intrinsics

_LEVELS = {"ok": DiagnosticStatus.OK, "degraded": DiagnosticStatus.WARN, "error": DiagnosticStatus.ERROR}


def to_compressed_image(jpeg: bytes, capture_ns: int, frame_id: str) -> CompressedImage:
    """JPEG message stamped with the capture time."""
    message = CompressedImage(format="jpeg")
    message.header.stamp = to_stamp(capture_ns)
    message.header.frame_id = frame_id
    message.data = jpeg
    return message


def to_depth_image(depth_mm: NDArray[np.uint16], capture_ns: int, frame_id: str) -> Image:
    """Depth (H, W) uint16 mm as 16UC1, whose bytes are the contract's z16; stamped with the capture time."""
    height, width = depth_mm.shape
    message = Image(height=height, width=width, encoding="16UC1", step=2 * width)
    message.header.stamp = to_stamp(capture_ns)
    message.header.frame_id = frame_id
    message.data = encode_z16(depth_mm)
    return message


def to_camera_info(intrinsics: Intrinsics | None, header: Header, pixels: NDArray[Any]) -> CameraInfo:
    """CameraInfo that belongs to an image with this header. All zeros, ROS's "not calibrated", without intrinsics."""
    if intrinsics is None:
        height, width = pixels.shape[:2]
        return CameraInfo(header=header, width=width, height=height)
    fx, fy, cx, cy = (float(v) for v in (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy))
    return CameraInfo(
        header=header,
        width=intrinsics.width,
        height=intrinsics.height,
        distortion_model=intrinsics.distortion_model,
        d=[float(c) for c in intrinsics.coefficients],
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def to_diagnostics(statuses: Mapping[str, Status], hardware_id: str, now_ns: int) -> DiagnosticArray:
    """OK while good frames come, WARN while they come too seldom or too late, ERROR when there is none to act on.

    `statuses` is by the name under `/cameras`.
    """
    message = DiagnosticArray(
        status=[
            DiagnosticStatus(
                level=_LEVELS[status.level],
                name=f"cameras/{name}",
                message=status.summary,
                hardware_id=hardware_id,
                values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
            )
            for name, status in statuses.items()
        ]
    )
    message.header.stamp = to_stamp(now_ns)
    return message
