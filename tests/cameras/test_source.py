import pytest
from cameras.source import CameraError, CameraSettings, open_source, require_present


def settings(**changes):
    return CameraSettings(
        **{"name": "front", "source": "realsense", "serial": "000", "width": 640, "height": 480, "fps": 30, **changes}
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"source": "webcam"}, "parameter source is 'webcam'; known are realsense, v4l2, playback, software"),
        ({"name": ""}, "parameter name is empty"),
        ({"serial": ""}, "needs the RealSense serial number"),
        ({"serial": "", "source": "software"}, "needs the lab's name"),
        ({"serial": "", "source": "v4l2"}, "needs the camera's USB serial number, or its path"),
        ({"width": 0}, "parameter width is 0"),
        ({"fps": -1}, "parameter fps is -1"),
        ({"depth": "on"}, "parameter depth is 'on'; known are off, raw, aligned"),
        ({"depth": "raw", "source": "v4l2"}, "source v4l2 has no depth; realsense and playback have"),
    ],
)
def test_wrong_settings_are_named(changes, text):
    with pytest.raises(ValueError, match=text):
        settings(**changes)


@pytest.mark.parametrize("act", [open_source, require_present])
def test_devices_that_are_not_there_are_named(act):
    with pytest.raises(CameraError, match="RealSense 000 is not connected; connected are: "):
        act(settings())
    with pytest.raises(CameraError, match="V4L2 camera no-such-camera is not connected; connected are: "):
        act(settings(source="v4l2", serial="no-such-camera"))


def test_a_lab_may_come_later():
    require_present(settings(source="software", serial="no_such_lab"))
    with pytest.raises(CameraError, match="start the lab"):
        open_source(settings(source="software", serial="no_such_lab"))
