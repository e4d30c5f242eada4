"""Pictures like a sensor's, and a librealsense recording of them."""

import time

import numpy as np
import pyrealsense2 as rs

WIDTH, HEIGHT, FPS, SERIAL = 64, 48, 30, "812112"
FRAMES = 30


def scene(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A slope from dark to bright with a sensor's noise: (height, width, 3) uint8, another one for every seed."""
    slope = np.linspace(40, 200, width)[None, :, None] + np.zeros((height, 1, 3))
    noise = np.random.default_rng(seed).normal(0, 3, (height, width, 3))
    return np.clip(slope + noise, 0, 255).astype(np.uint8)


def depth_scene(seed: int) -> np.ndarray:
    """A table at half a metre: (HEIGHT, WIDTH) uint16 in units of 1 mm."""
    return (500 + np.random.default_rng(seed).integers(0, 5, (HEIGHT, WIDTH))).astype(np.uint16)


def _stream(kind: rs.stream, form: rs.format, bytes_a_pixel: int, uid: int) -> rs.video_stream:
    model = rs.intrinsics()
    model.width, model.height, model.model = WIDTH, HEIGHT, rs.distortion.inverse_brown_conrady
    model.fx, model.fy, model.ppx, model.ppy = 60.0, 61.0, 32.5, 24.5
    model.coeffs = [0.0] * 5
    stream = rs.video_stream()
    stream.type, stream.index, stream.uid, stream.fmt = kind, 0, uid, form
    stream.width, stream.height, stream.fps, stream.bpp = WIDTH, HEIGHT, FPS, bytes_a_pixel
    stream.intrinsics = model
    return stream


def make_recording(path: str, serial: str = SERIAL) -> None:
    """Record FRAMES frames of colour (`scene`) and depth (`depth_scene`), stamped by a clock of the device."""
    device = rs.software_device()
    device.register_info(rs.camera_info.serial_number, serial)
    device.register_info(rs.camera_info.name, "a device made of software")
    color, depth = device.add_sensor("Color"), device.add_sensor("Depth")
    color_profile = color.add_video_stream(_stream(rs.stream.color, rs.format.rgb8, 3, 1)).as_video_stream_profile()
    depth_profile = depth.add_video_stream(_stream(rs.stream.depth, rs.format.z16, 2, 2)).as_video_stream_profile()
    depth.add_read_only_option(rs.option.depth_units, 0.001)
    same_place = rs.extrinsics()
    same_place.rotation, same_place.translation = [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0], [0.0, 0, 0]
    depth_profile.register_extrinsics_to(color_profile, same_place)
    recorder = rs.recorder(path, device)
    queue = rs.frame_queue(2 * FRAMES)
    sensors = recorder.query_sensors()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles())
        sensor.start(queue)
    began_s = time.monotonic()
    for k in range(FRAMES):
        for sensor, profile, pixels in ((color, color_profile, scene(k)), (depth, depth_profile, depth_scene(k))):
            frame = rs.software_video_frame()
            frame.bpp = pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
            frame.pixels, frame.stride, frame.profile = pixels, frame.bpp * WIDTH, profile
            frame.timestamp = 5_000.0 + 1000 * k / FPS
            frame.domain, frame.frame_number = rs.timestamp_domain.hardware_clock, k + 1
            if pixels.ndim == 2:
                frame.depth_units = 0.001
            sensor.on_video_frame(frame)
        time.sleep(max(0.0, began_s + (k + 1) / FPS - time.monotonic()))
    for sensor in sensors:
        sensor.stop()
        sensor.close()
