"""One camera as ROS 2 topics: each frame is encoded once, here, and stamped with its capture time.

Parameters: `name` (in the contract, such as front), `source` (realsense or software), `serial` (RealSense
serial number, or the lab's name), `width`, `height` (pixels), `fps`, `jpeg_quality` (1..100), `frame_id`
(default <name>_color_optical_frame).
"""

import contextlib
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from node_runtime.main import ManagedNode, SetupError, end_process, run_node
from node_runtime.qos import RELIABLE
from policy_api.images import encode_jpeg
from sensor_msgs.msg import CameraInfo, CompressedImage

from cameras.conversions import to_camera_info, to_compressed_image, to_diagnostics
from cameras.health import REOPEN_NS, CameraHealth
from cameras.source import CameraError, CameraSettings, ColorCamera, ColorFrame, open_camera

READ_TIMEOUT_S = 0.2
RETRY_S = 1.0
WATCH_PERIOD_S = 0.1
DIAGNOSTICS_PERIOD_NS = 500_000_000


class CameraNode(ManagedNode):
    """Reads the camera in a thread of its own; a camera that is lost is opened again until it is back."""

    def __init__(self) -> None:
        super().__init__("camera")
        text, number = self._text, self._number
        try:
            self._settings = CameraSettings(
                text("name"),
                text("source"),
                text("serial"),
                number("width", 640),
                number("height", 480),
                number("fps", 30),
            )
        except ValueError as error:
            raise SetupError(str(error)) from error
        self._jpeg_quality = number("jpeg_quality", 90)
        if not 1 <= self._jpeg_quality <= 100:
            raise SetupError(f"parameter jpeg_quality is {self._jpeg_quality}; expected 1..100")
        name = self._settings.name
        self._frame_id = text("frame_id") or f"{name}_color_optical_frame"
        self._images = self.create_publisher(CompressedImage, f"/cameras/{name}/image/compressed", RELIABLE)
        self._infos = self.create_publisher(CameraInfo, f"/cameras/{name}/camera_info", RELIABLE)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self._health = CameraHealth(time.monotonic_ns())
        self._was_stale = True
        self._reported_ns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        self.create_timer(WATCH_PERIOD_S, self._watch)

    def close(self) -> None:
        """Stop reading and give the device back."""
        self._stop.set()
        self._thread.join(READ_TIMEOUT_S + 0.1)

    def _text(self, name: str) -> str:
        return str(self.declare_parameter(name, "").value)

    def _number(self, name: str, default: int) -> int:
        return int(self.declare_parameter(name, default).value)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                camera = open_camera(self._settings)
            except (CameraError, OSError) as error:
                self._health.on_trouble(str(error))
                self._stop.wait(RETRY_S)
                continue
            self._health.on_open(time.monotonic_ns())
            try:
                self._stream(camera)
            except (CameraError, OSError) as error:
                self._health.on_trouble(str(error))
            finally:
                with contextlib.suppress(RuntimeError, OSError):  # a lost device may refuse to be closed
                    camera.close()

    def _stream(self, camera: ColorCamera) -> None:
        """Publish frames until told to stop or until the camera has been silent for too long."""
        while not self._stop.is_set() and self._health.silent_ns(time.monotonic_ns()) < REOPEN_NS:
            try:
                frame = camera.read(READ_TIMEOUT_S)
            except TimeoutError:
                continue
            height, width = frame.rgb.shape[:2]
            if (width, height) != (self._settings.width, self._settings.height):
                self._health.on_trouble(
                    f"the camera gives {width}x{height}, parameters width and height say "
                    f"{self._settings.width}x{self._settings.height}; make them equal"
                )
                continue
            self._publish(frame)

    def _publish(self, frame: ColorFrame) -> None:
        begin_ns = time.monotonic_ns()
        jpeg = encode_jpeg(frame.rgb, self._jpeg_quality)
        encode_ns = time.monotonic_ns() - begin_ns
        image = to_compressed_image(jpeg, frame.capture_ns, self._frame_id)
        self._images.publish(image)
        self._infos.publish(to_camera_info(frame.intrinsics, image))
        self._health.on_frame(time.monotonic_ns(), encode_ns, frame.capture_ns)

    def _watch(self) -> None:
        now_ns = time.monotonic_ns()
        stale = self._health.stale(now_ns)
        if stale == self._was_stale and now_ns - self._reported_ns < DIAGNOSTICS_PERIOD_NS:
            return
        summary = f"{self._settings.name}: {self._health.summary(now_ns)}"
        if stale and not self._was_stale:
            self.get_logger().error(summary)
        elif self._was_stale and not stale:
            self.get_logger().info(summary)
        self._was_stale, self._reported_ns = stale, now_ns
        self._diagnostics.publish(to_diagnostics(self._settings.name, self._settings.serial, self._health, now_ns))


def main() -> None:
    """Entry point of `camera_node`."""
    end_process(run_node(CameraNode))
