import copy

import pytest
import yaml
from cameras.frames import Intrinsics
from cameras.rig import RigError, camera_of, load_rig_cameras

LENS = {
    "fx": 607.1,
    "fy": 606,
    "cx": 321.2,
    "cy": 243.9,
    "distortion_model": "plumb_bob",
    "coefficients": [0.1, 0, 0, 0, 0],
}
RIG = {
    "cameras": {
        "front": {"serial": "111", "width": 640, "height": 480, "fps": 30, "intrinsics": LENS},
        "wrist": {"serial": "222", "width": 640, "height": 480, "fps": 15},
    }
}


def write(tmp_path, content):
    path = tmp_path / "desk.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def changed(path, value):
    """RIG with one value changed, or taken away if it is None."""
    rig = copy.deepcopy(RIG)
    *way, last = path.split(".")
    entry = rig
    for key in way:
        entry = entry[key]
    if value is None:
        del entry[last]
    else:
        entry[last] = value
    return rig


def test_what_a_rig_says(tmp_path):
    cameras = load_rig_cameras(write(tmp_path, {**RIG, "command": {"delay_s": 0.018}}))  # the rest is not ours
    assert list(cameras) == ["front", "wrist"]
    front = cameras["front"]
    assert (front.serial, front.width, front.height, front.fps) == ("111", 640, 480, 30)
    assert front.intrinsics == Intrinsics(640, 480, 607.1, 606.0, 321.2, 243.9, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0))
    assert cameras["wrist"].intrinsics is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("cameras: [", "can't be read"),
        ({"arm": 1}, r"has no key cameras; expected cameras.<name>.\{serial, width, height, fps\}"),
        ({"cameras": [1]}, r"cameras is \[1\]; expected a mapping"),
        (changed("cameras.front.serial", 111), r"cameras.front.serial is 111; expected text: put .* quotes, \"111\""),
        (changed("cameras.front.serial", None), "cameras.front lacks serial"),
        (changed("cameras.front.colour", 3), r"cameras.front has unknown keys \['colour'\]; known are serial, width"),
        (changed("cameras.front.fps", 29.97), "cameras.front.fps is 29.97; expected a whole number above 0"),
        (changed("cameras.front.width", True), "cameras.front.width is True"),
        (changed("cameras.front.intrinsics.fx", 0), "intrinsics.fx is 0; expected a focal length"),
        (changed("cameras.front.intrinsics.fx", float("nan")), "intrinsics.fx is nan; expected a finite number"),
        (changed("cameras.front.intrinsics.cx", 900), r"intrinsics.cx is 900; expected pixels within .* 0..640"),
        (changed("cameras.front.intrinsics.fy", None), "intrinsics lacks fy"),
        (changed("cameras.front.intrinsics.distortion_model", "fisheye"), "'fisheye'; known are plumb_bob"),
        (changed("cameras.front.intrinsics.coefficients", [0.0] * 4), "plumb_bob has a list of 5"),
        (changed("cameras.front.intrinsics.coefficients", [0.0] * 4 + ["x"]), r"coefficients\[4\] is 'x'"),
        (changed("cameras.wrist.serial", "111"), "cameras front and wrist have the same serial 111"),
    ],
)
def test_errors_name_the_place_and_what_is_expected(tmp_path, content, text):
    path = write(tmp_path, content)
    with pytest.raises(RigError, match=text) as caught:
        load_rig_cameras(path)
    assert path in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(RigError, match=r"rig file /nowhere/rig\.yaml can't be read"):
        load_rig_cameras("/nowhere/rig.yaml")


def test_swapped_serials_are_refused_by_name(tmp_path):
    cameras = load_rig_cameras(write(tmp_path, RIG))
    assert camera_of(cameras, "front", "", "rig").serial == "111"
    assert camera_of(cameras, "front", "111", "rig") is cameras["front"]
    with pytest.raises(RigError, match=r"cameras are swapped: .* camera front is 222, which is camera wrist in rig"):
        camera_of(cameras, "front", "222", "rig")
    with pytest.raises(RigError, match="parameter serial of camera front is 333, but rig says 111"):
        camera_of(cameras, "front", "333", "rig")
    with pytest.raises(RigError, match="rig has no camera 'top'; it has front, wrist"):
        camera_of(cameras, "top", "", "rig")
