import pytest
from cameras.source import CameraError, CameraSettings, open_camera


def settings(**changes):
    return CameraSettings(
        **{"name": "front", "source": "realsense", "serial": "000", "width": 640, "height": 480, "fps": 30, **changes}
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"source": "webcam"}, "parameter source is 'webcam'; known are realsense, software"),
        ({"name": ""}, "parameter name is empty"),
        ({"serial": ""}, "needs the RealSense serial number"),
        ({"serial": "", "source": "software"}, "needs the lab's name"),
        ({"width": 0}, "parameter width is 0"),
        ({"fps": -1}, "parameter fps is -1"),
    ],
)
def test_wrong_settings_are_named(changes, text):
    with pytest.raises(ValueError, match=text):
        settings(**changes)


def test_realsense_that_is_not_there_is_named():
    with pytest.raises(CameraError, match="RealSense 000 is not connected; connected are: "):
        open_camera(settings())
