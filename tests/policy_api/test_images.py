import pickle  # only to make bytes that must be refused
import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from policy_api.errors import InvalidImage
from policy_api.images import (
    decode_image,
    decode_jpeg,
    depth_to_rgb,
    encode_jpeg,
    encode_z16,
    network_input,
    shrink,
    to_network_input,
)
from policy_api.schema import CameraSpec, DepthRange, EncodedImage


def gradient(height, width):
    """Smooth picture: red grows to the right, green downwards, blue is constant."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 40)], -1).astype(np.uint8)


def test_jpeg_round_trip_keeps_channels_in_place():
    rgb = gradient(120, 160)
    again = decode_jpeg(encode_jpeg(rgb, 90))
    assert again.shape == rgb.shape
    assert again.dtype == np.uint8
    assert np.abs(again.astype(int) - rgb).max() < 16
    assert np.abs(again.astype(int) - rgb).mean() < 2


def test_quality_is_used():
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert len(encode_jpeg(rgb, 30)) < 0.6 * len(encode_jpeg(rgb, 90))


def test_encode_takes_a_view_and_refuses_other_arrays():
    rgb = gradient(64, 64)
    assert decode_jpeg(encode_jpeg(rgb[:, ::-1], 90)).shape == (64, 64, 3)
    for bad in (rgb.astype(np.float32), rgb[..., 0], np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(InvalidImage, match=r"\(H, W, 3\)"):
            encode_jpeg(bad, 90)


def test_garbage_is_refused():
    whole = encode_jpeg(gradient(120, 160), 90)
    for bad in (b"", b"\xff\xd8", b"hello" * 100, whole[:40], whole[: len(whole) // 2], pickle.dumps({"a": whole})):
        with pytest.raises(InvalidImage):
            decode_jpeg(bad)


def test_absurd_size_is_refused_before_decoding():
    whole = bytearray(encode_jpeg(gradient(64, 64), 90))
    frame = whole.index(b"\xff\xc0")
    whole[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    with pytest.raises(InvalidImage, match="60000x60000"):
        decode_jpeg(bytes(whole))

    header = struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(InvalidImage, match="50000x50000"):
        decode_image(EncodedImage("png", 50000, 50000, bomb, 0))


def test_every_codec_decodes_to_rgb():
    rgb = gradient(48, 64)
    png = cv2.imencode(".png", rgb[:, :, ::-1])[1].tobytes()
    assert np.array_equal(decode_image(EncodedImage("png", 64, 48, png, 0)), rgb)
    assert np.array_equal(decode_image(EncodedImage("rgb8", 64, 48, rgb.tobytes(), 0)), rgb)
    jpeg = decode_image(EncodedImage("jpeg", 64, 48, encode_jpeg(rgb, 95), 0))
    assert np.abs(jpeg.astype(int) - rgb).mean() < 2


@pytest.mark.parametrize(
    ("codec", "data", "text"),
    [
        ("rgb8", b"x" * 10, "is 9216 bytes, got 10"),
        ("rgb8", pickle.dumps(np.zeros((48, 64, 3), np.uint8)), "is 9216 bytes"),
        ("png", b"x" * 100, "not a PNG"),
        ("png", b"\x89PNG\r\n\x1a\n" + b"\0" * 10 + b"\1\0\0\0\1" + b"\0" * 50, "says 64x48, holds 256x256"),
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(8) + struct.pack(">II", 64, 48) + bytes(50), "damaged PNG"),
        ("webp", b"x", "'webp' is unknown"),
        ("jpeg", encode_jpeg(gradient(64, 64), 90), "says 64x48, holds 64x64"),
    ],
)
def test_bytes_that_are_not_what_they_claim(codec, data, text):
    with pytest.raises(InvalidImage, match=text):
        decode_image(EncodedImage(codec, 64, 48, data, 0))


def test_network_input_is_the_centre_square_by_area():
    camera = CameraSpec("front", 160, 120, 60, 90)
    rgb = np.zeros((120, 160, 3), np.uint8)
    rgb[:, :20] = 255  # left of the square
    rgb[:, 140:] = 255  # right of it
    rgb[0, 20] = (200, 100, 40)  # one pixel of the first 2x2 block
    small = to_network_input(rgb, camera)
    assert small.shape == (60, 60, 3)
    assert small.dtype == np.uint8
    assert small[0, 0].tolist() == [50, 25, 10]
    assert small.reshape(-1, 3)[1:].max() == 0


def test_network_input_of_an_upright_camera_crops_top_and_bottom():
    camera = CameraSpec("front", 64, 128, 64, 90)
    rgb = gradient(128, 64)
    assert np.array_equal(to_network_input(rgb, camera), rgb[32:96])


@pytest.mark.parametrize(("side", "size", "most"), [(480, 224, 8), (640, 224, 8), (320, 224, 12), (481, 240, 10)])
def test_shrinking_is_near_the_exact_mean(side, size, most):
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (side, side, 3), dtype=np.uint8), (0, 0), 3)
    exact = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    small = shrink(picture, size)
    assert small.shape == (size, size, 3)
    assert small.flags.c_contiguous
    difference = np.abs(small.astype(int) - exact)
    assert difference.max() <= most, difference.max()
    assert difference.mean() < 2


@pytest.mark.parametrize(("side", "factor"), [(128, 2), (192, 3), (64, 1)])
def test_shrinking_by_a_whole_number_is_the_exact_mean(side, factor):
    picture = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    size = side // factor
    blocks = picture.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    assert np.abs(shrink(picture, size) - blocks).max() <= 0.5


def test_network_input_refuses_another_stream_size():
    with pytest.raises(InvalidImage, match=r"'front': expected \(120, 160, 3\)"):
        to_network_input(gradient(96, 128), CameraSpec("front", 160, 120, 64, 90))


def test_depth_is_linear_between_near_and_far_and_clipped_outside():
    depth_mm = np.array([[0, 100, 200, 600, 1000, 65535]], np.uint16)
    grey = depth_to_rgb(depth_mm, DepthRange(0.2, 1.0))
    assert grey.dtype == np.uint8
    assert grey.shape == (1, 6, 3)
    np.testing.assert_array_equal(grey[0, :, 0], [0, 0, 0, 128, 255, 255])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_depth_goes_the_way_of_a_picture():
    camera = CameraSpec("deep", 64, 48, 16, 90, DepthRange(0.0, 2.55))
    depth_mm = np.tile(np.arange(64, dtype=np.uint16) * 40, (48, 1))
    frame = EncodedImage("z16", 64, 48, encode_z16(depth_mm), 0)
    seen = network_input(frame, camera)
    assert seen.shape == (16, 16, 3)
    np.testing.assert_array_equal(seen, to_network_input(depth_to_rgb(depth_mm, camera.depth), camera))
    assert seen[0, 0, 0] < seen[0, 8, 0] < seen[0, 15, 0]


def test_bad_depth_is_refused():
    with pytest.raises(InvalidImage, match=r"\(H, W\) uint16"):
        encode_z16(np.zeros((4, 4), np.float32))
    frame = EncodedImage("z16", 4, 4, bytes(31), 0)
    with pytest.raises(InvalidImage, match="32 bytes, got 31"):
        decode_image(frame, DepthRange(0, 1))
    with pytest.raises(InvalidImage, match="depth range"):
        decode_image(frame)


def progressive(repeats):
    """A progressive JPEG, 64x48, whose last scan is there so many times more."""
    rgb = np.full((48, 64, 3), 90, np.uint8)
    data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + repeats * data[last:end] + data[end:]


def test_a_progressive_picture_is_decoded():
    rgb = decode_image(EncodedImage("jpeg", 64, 48, progressive(0), 0))
    assert abs(int(rgb[20, 20, 0]) - 90) < 4


def test_a_picture_that_was_made_to_keep_the_decoder_busy_is_refused():
    with pytest.raises(InvalidImage, match=r"has 100\d scans; at most 64"):
        decode_image(EncodedImage("jpeg", 64, 48, progressive(1000 - 10), 0))


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_a_picture_of_another_size_is_not_decoded(codec, monkeypatch):
    data = cv2.imencode("." + codec.replace("jpeg", "jpg"), np.zeros((480, 640, 3), np.uint8))[1].tobytes()
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(InvalidImage, match="frame says 320x240, holds 640x480"):
        decode_image(EncodedImage(codec, 320, 240, data, 0))
