import numpy as np
import pytest
from builtin_interfaces.msg import Time
from policy_api.images import decode_image
from policy_api.schema import DepthRange
from policy_bridge.conversions import to_depth_image, to_joint_trajectory
from policy_bridge.pace import Play
from sensor_msgs.msg import Image


def depth_message(**changes):
    millimetres = np.arange(12, dtype="<u2").reshape(3, 4) * 100
    message = Image(height=3, width=4, encoding="16UC1", step=8, data=millimetres.tobytes())
    message.header.stamp = Time(sec=5)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_a_depth_picture_keeps_its_millimetres():
    image = to_depth_image(depth_message())
    assert (image.codec, image.width, image.height) == ("z16", 4, 3)
    grey = decode_image(image, DepthRange(0.0, 1.1))
    assert grey[0, 0, 0] == 0
    assert grey[2, 3, 0] == 255


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"encoding": "32FC1"}, "expected 16UC1, little-endian, rows of 8 bytes; got 32FC1"),
        ({"is_bigendian": 1}, "big-endian"),
        ({"step": 10}, "rows of 10 bytes"),
        ({"data": b"\0" * 22}, "4x3 pixels are 24 bytes; got 22"),
    ],
)
def test_what_is_no_depth_picture_is_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        to_depth_image(depth_message(**changes))


@pytest.mark.parametrize("continues", [False, True])
def test_only_a_motion_that_goes_on_ends_with_a_velocity(continues):
    position = np.array([np.zeros(7), np.full(7, 0.02)])
    message = to_joint_trajectory(Play(10**9, np.array([1_050_000_000, 1_100_000_000]), position, continues))
    assert not message.points[0].velocities
    expected = [0.4] * 7 if continues else []
    np.testing.assert_allclose(list(message.points[1].velocities), expected)
