"""The one image path: encode at the camera, decode and shrink for the network.

Training, server and tests all use this file, so that a policy is shown the same pixels everywhere.
Images are RGB, uint8, shape (height, width, 3), row 0 at the top. A depth frame becomes a grey one, and goes the same
way from there.
"""

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from policy_api.errors import InvalidImage
from policy_api.schema import CameraSpec, DepthRange, EncodedImage
from policy_api.spec_rules import MAX_IMAGE_SIDE

Rgb = NDArray[np.uint8]

Depth = NDArray[np.uint16]

_LITTLE_U16 = np.dtype("<u2")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_START_OF_SCAN = b"\xff\xda"  # of JPEG; inside a scan 0xff is followed by 0x00 or a restart marker
_MAX_JPEG_SCANS = 64


def encode_jpeg(rgb: Rgb, quality: int) -> bytes:
    """Encode (H, W, 3) uint8 RGB as a baseline JPEG, chroma 4:2:0. `quality` 1..100."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InvalidImage(f"expected an (H, W, 3) uint8 image, got shape {rgb.shape} of {rgb.dtype}")
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, colorspace="RGB", colorsubsampling="420")


def decode_jpeg(data: bytes) -> Rgb:
    """Decode a JPEG to (H, W, 3) uint8 RGB.

    InvalidImage if it is damaged, a side is above 4096 pixels, or it has more than 64 scans: a camera's has one, a
    progressive one about ten, and one of 14 kB that was made for it has a thousand and takes seconds.
    """
    _jpeg_size(data)  # before any pixel is allocated
    scans = data.count(_START_OF_SCAN)
    if scans > _MAX_JPEG_SCANS:
        raise InvalidImage(f"JPEG has {scans} scans; at most {_MAX_JPEG_SCANS} are taken")
    try:
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError as error:
        raise InvalidImage(f"not a whole JPEG ({len(data)} bytes): {error}") from error


def decode_png(data: bytes) -> Rgb:
    """Decode a PNG to (H, W, 3) uint8 RGB. InvalidImage if it is damaged or a side is above 4096 pixels."""
    _png_size(data)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InvalidImage(f"damaged PNG ({len(data)} bytes): {error}") from error
    if bgr is None:
        raise InvalidImage(f"damaged PNG ({len(data)} bytes)")
    return np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8, copy=False)


def encode_z16(depth_mm: Depth) -> bytes:
    """Depth (H, W) uint16, millimetres, as a z16 frame: little-endian, row by row."""
    if depth_mm.ndim != 2 or depth_mm.dtype != np.uint16:
        raise InvalidImage(f"expected an (H, W) uint16 image in mm, got shape {depth_mm.shape} of {depth_mm.dtype}")
    return depth_mm.astype(_LITTLE_U16, copy=False).tobytes()


def depth_to_rgb(depth_mm: Depth, depth: DepthRange) -> Rgb:
    """Depth (H, W) uint16 in mm as a grey picture (H, W, 3) uint8: `near` and below 0, `far` and above 255.

    In between it is linear and rounded to the nearest. A pixel that the camera could not measure, 0 mm, is 0 like a
    near one.
    """
    share = (depth_mm.astype(np.float32) * np.float32(1e-3) - np.float32(depth.near)) / np.float32(
        depth.far - depth.near
    )
    grey = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def network_input(image: EncodedImage, camera: CameraSpec) -> Rgb:
    """A camera's frame, of any codec, as the network sees it: (S, S, 3) uint8. InvalidImage if it cannot be read."""
    return to_network_input(decode_image(image, camera.depth), camera)


def decode_image(image: EncodedImage, depth: DepthRange | None = None) -> Rgb:
    """Decode a frame of any known codec to (height, width, 3) uint8 RGB of exactly the size it declares.

    A z16 frame needs the `depth` range of its camera.
    """
    if image.codec == "z16":
        if depth is None:
            raise InvalidImage("a z16 frame needs a camera with a depth range; the contract's camera has none")
        expected = image.width * image.height * _LITTLE_U16.itemsize
        if len(image.data) != expected:
            raise InvalidImage(f"z16 of {image.width}x{image.height} is {expected} bytes, got {len(image.data)}")
        millimetres = np.frombuffer(image.data, dtype=_LITTLE_U16).reshape(image.height, image.width)
        return depth_to_rgb(millimetres, depth)
    if image.codec == "rgb8":
        expected = image.width * image.height * 3
        if len(image.data) != expected:
            raise InvalidImage(f"rgb8 of {image.width}x{image.height} is {expected} bytes, got {len(image.data)}")
        return np.frombuffer(image.data, dtype=np.uint8).reshape(image.height, image.width, 3)
    if image.codec not in ("jpeg", "png"):
        raise InvalidImage(f"codec {image.codec!r} is unknown; known are jpeg, png, rgb8, z16")
    size, decode = (_jpeg_size, decode_jpeg) if image.codec == "jpeg" else (_png_size, decode_png)
    width, height = size(image.data)
    if (width, height) != (image.width, image.height):
        raise InvalidImage(f"frame says {image.width}x{image.height}, holds {width}x{height}")
    return decode(image.data)


def to_network_input(rgb: Rgb, camera: CameraSpec) -> Rgb:
    """Centre square of (H, W, 3) uint8 as (S, S, 3) uint8, S = camera.input_size; see `shrink`."""
    if rgb.shape != (camera.height, camera.width, 3) or rgb.dtype != np.uint8:
        raise InvalidImage(
            f"camera {camera.name!r}: expected ({camera.height}, {camera.width}, 3) uint8, "
            f"got {rgb.shape} of {rgb.dtype}"
        )
    side = min(camera.width, camera.height)
    top, left = (camera.height - side) // 2, (camera.width - side) // 2
    square = rgb[top : top + side, left : left + side]
    return shrink(square, camera.input_size)


def shrink(square: Rgb, size: int) -> Rgb:
    """(L, L, 3) uint8 -> (size, size, 3): means over k x k pixels, k the whole times that `size` fits into L, and what
    is left to resize bilinearly.

    Where L is a multiple of `size` that is the exact mean; elsewhere it is within some levels of 255 of OpenCV's exact
    mean over fractions of pixels, and takes a seventh of its time (480 to 224 pixels).
    """
    whole = max(1, len(square) // size)
    if whole > 1:
        middle = len(square) // whole
        square = square[: middle * whole, : middle * whole]  # OpenCV is fast, and exact, for whole factors
        square = cv2.resize(square, (middle, middle), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if len(square) == size:
        return np.ascontiguousarray(square)
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """(Width, height) as the header says. InvalidImage if there is none, or they are out of bounds."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise InvalidImage(f"not a whole JPEG ({len(data)} bytes): {error}") from error
    return _within_bounds(width, height)


def _png_size(data: bytes) -> tuple[int, int]:
    """(Width, height) as the header says. InvalidImage if there is none, or they are out of bounds."""
    if len(data) < 24 or data[:8] != _PNG_SIGNATURE:
        raise InvalidImage(f"not a PNG ({len(data)} bytes)")
    return _within_bounds(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))


def _within_bounds(width: int, height: int) -> tuple[int, int]:
    if not (0 < width <= MAX_IMAGE_SIDE and 0 < height <= MAX_IMAGE_SIDE):
        raise InvalidImage(f"image is {width}x{height}; a side of 1..{MAX_IMAGE_SIDE} pixels is taken")
    return width, height
