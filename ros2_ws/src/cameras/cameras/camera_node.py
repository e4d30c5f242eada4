"""One camera as ROS 2 topics: each frame is encoded once, here, and stamped with its capture time.

Parameters: `name` (in the contract, such as front), `source` (realsense, v4l2, playback or software), `serial` (which
device: see `cameras.source.SOURCES`), `width`, `height` (pixels), `fps`, `depth` (off, raw or aligned), `jpeg_quality`
(1..100), `frame_id` (default <name>_color_optical_frame), `rig` (path of a rig file, see `cameras.rig`: it gives
serial, width, height and fps where the parameters do not, and the intrinsics).

Colour goes out on `/cameras/<name>/image/compressed`, depth on `/cameras/<name>_depth/image` (16UC1, millimetres), each
with a `camera_info` beside it. A frame that the quality gate refuses is not published at all: whoever acts on images
sees them age, and `/diagnostics` says why.
"""

import time
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray
from node_runtime.main import ManagedNode, SetupError, end_process, run_node
from node_runtime.qos import RELIABLE
from policy_api.images import encode_jpeg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cameras.capture_loop import CaptureLoop
from cameras.conversions import to_camera_info, to_compressed_image, to_depth_image, to_diagnostics
from cameras.frames import Frame, Intrinsics
from cameras.rig import RigCamera, RigError, camera_of, load_rig_cameras
from cameras.source import CameraError, CameraSettings, require_present

EXIT_BROKEN: Final = 1
STOP_TIMEOUT_S: Final = 0.25
DIAGNOSTICS_PERIOD_S: Final = 0.5
LOG_PERIOD_NS: Final = 2_000_000_000
"""A stream that comes and goes is logged at most this often; diagnostics have every change."""

_OF_A_DEVICE: Final = ("realsense", "v4l2")


class CameraNode(ManagedNode):
    """Reads the camera in a thread of its own; a camera that is lost is opened again until it is back."""

    def __init__(self) -> None:
        super().__init__("camera")
        try:
            self._settings, rig = self._read_parameters()
            require_present(self._settings)
        except (ValueError, CameraError) as error:
            raise SetupError(f"camera {self._text('name') or '(no name)'}: {error}") from error
        self._measured = rig.intrinsics if rig else None
        self._jpeg_quality = self._number("jpeg_quality", 90)
        if not 1 <= self._jpeg_quality <= 100:
            raise SetupError(f"parameter jpeg_quality is {self._jpeg_quality}; expected 1..100")
        name = self._settings.name
        self._names = {"color": name, "depth": f"{name}_depth"}
        self._frame_id = self._text("frame_id") or f"{name}_color_optical_frame"
        self._depth_frame_id = self._frame_id if self._settings.depth == "aligned" else f"{name}_depth_optical_frame"
        self._images = self.create_publisher(CompressedImage, f"/cameras/{name}/image/compressed", RELIABLE)
        self._infos = self.create_publisher(CameraInfo, f"/cameras/{name}/camera_info", RELIABLE)
        if self._settings.depth != "off":
            self._depths = self.create_publisher(Image, f"/cameras/{name}_depth/image", RELIABLE)
            self._depth_infos = self.create_publisher(CameraInfo, f"/cameras/{name}_depth/camera_info", RELIABLE)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self._logged: dict[str, str] = {}
        self._logged_ns = -LOG_PERIOD_NS
        self._loop = CaptureLoop(self._settings, self._publish, self._report)
        self._loop.start()
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report)

    def close(self) -> None:
        """Stop reading and give the device back."""
        self._loop.stop(STOP_TIMEOUT_S)

    def _text(self, name: str, default: str = "") -> str:
        if not self.has_parameter(name):
            self.declare_parameter(name, default)
        return str(self.get_parameter(name).value)

    def _number(self, name: str, default: int) -> int:
        return int(self.declare_parameter(name, default).value)

    def _read_parameters(self) -> tuple[CameraSettings, RigCamera | None]:
        """Settings, from the rig file where there is one; ValueError if they do not fit together."""
        name, source, path = self._text("name"), self._text("source"), self._text("rig")
        serial = self._text("serial")
        rig = None
        if path:
            of_device = source in _OF_A_DEVICE
            rig = camera_of(load_rig_cameras(path), name, serial if of_device else "", path)
            serial = rig.serial if of_device else serial
        mode = (rig.width, rig.height, rig.fps) if rig else (640, 480, 30)
        width, height = self._number("width", mode[0]), self._number("height", mode[1])
        fps = self._number("fps", mode[2])
        if rig and (width, height) != mode[:2]:
            raise RigError(
                f"parameters width and height say {width}x{height}, {path} says {mode[0]}x{mode[1]} for camera {name}, "
                "which its intrinsics are for; leave the parameters out"
            )
        return CameraSettings(name, source, serial, width, height, fps, self._text("depth", "off")), rig

    def _publish(self, frame: Frame, capture_ns: int) -> int:
        """Encode and publish one frame; nanoseconds that encoding took."""
        begin_ns = time.monotonic_ns()
        if frame.stream == "depth":
            image = to_depth_image(frame.pixels, capture_ns, self._depth_frame_id)
            encode_ns = time.monotonic_ns() - begin_ns
            self._depths.publish(image)
            self._depth_infos.publish(to_camera_info(self._intrinsics(frame), image.header, frame.pixels))
            return encode_ns
        jpeg = encode_jpeg(frame.pixels, self._jpeg_quality)
        encode_ns = time.monotonic_ns() - begin_ns
        message = to_compressed_image(jpeg, capture_ns, self._frame_id)
        self._images.publish(message)
        self._infos.publish(to_camera_info(self._intrinsics(frame), message.header, frame.pixels))
        return encode_ns

    def _intrinsics(self, frame: Frame) -> Intrinsics | None:
        """The rig's, where they were measured for this picture; else the device's."""
        through_color = frame.stream == "color" or self._settings.depth == "aligned"
        return self._measured if self._measured is not None and through_color else frame.intrinsics

    def _report(self) -> None:
        """Publish diagnostics; called on every change, from the camera's thread, and by the timer."""
        if self._loop.broken is not None:
            self.get_logger().fatal(f"ends, to be started anew: {self._loop.broken!r}")
            self.exit_code = EXIT_BROKEN
        now_ns = time.monotonic_ns()
        statuses = {self._names[stream]: status for stream, status in self._loop.status().items()}
        self._diagnostics.publish(to_diagnostics(statuses, self._settings.serial, now_ns))
        levels = {name: status.level for name, status in statuses.items()}
        if levels == self._logged or now_ns - self._logged_ns < LOG_PERIOD_NS:
            return
        for name, status in statuses.items():
            if status.level == self._logged.get(name):
                continue
            text = f"{name}: {status.summary}"
            if status.level == "ok":  # rclpy wants one line of code for each severity
                self.get_logger().info(text)
            elif status.level == "degraded":
                self.get_logger().warning(text)
            else:
                self.get_logger().error(text)
        self._logged, self._logged_ns = dict(levels), now_ns


def main() -> None:
    """Entry point of `camera_node`."""
    end_process(run_node(CameraNode))
