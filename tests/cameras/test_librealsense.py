import numpy as np
import pyrealsense2 as rs
import pytest
from cameras.librealsense import to_intrinsics, to_millimetres


def test_depth_units_become_millimetres():
    raw = np.array([[0, 1, 5000, 65535]], np.uint16)
    np.testing.assert_array_equal(to_millimetres(raw, 0.001), raw)
    assert to_millimetres(raw, 0.001) is not raw
    np.testing.assert_array_equal(to_millimetres(raw, 0.0001), [[0, 0, 500, 6554]])  # a D405's units
    np.testing.assert_array_equal(to_millimetres(raw, 0.01), [[0, 10, 50000, 0]])  # 655 m do not fit


@pytest.mark.parametrize(
    ("model", "name", "count"),
    [
        (rs.distortion.none, "plumb_bob", 5),
        (rs.distortion.inverse_brown_conrady, "plumb_bob", 5),
        (rs.distortion.kannala_brandt4, "equidistant", 4),
    ],
)
def test_lens_models_get_their_names_in_ros(model, name, count):
    lens = rs.intrinsics()
    lens.width, lens.height, lens.fx, lens.fy, lens.ppx, lens.ppy = 64, 48, 1.0, 2.0, 3.0, 4.0
    lens.model, lens.coeffs = model, [0.5, 0.25, 0.125, 0.0625, 0.0]
    got = to_intrinsics(lens)
    assert (got.distortion_model, got.coefficients) == (name, (0.5, 0.25, 0.125, 0.0625, 0.0)[:count])
    assert (got.width, got.height, got.fx, got.fy, got.cx, got.cy) == (64, 48, 1, 2, 3, 4)
