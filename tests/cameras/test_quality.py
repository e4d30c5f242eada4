import cv2
import numpy as np
import pytest
from camera_recordings import depth_scene, scene
from cameras.frames import Frame
from cameras.quality import MAX_AGE_NS, QualityGate

SIZE = (640, 480)


def judge_all(pictures, noisy=True, size=SIZE, stream="color", stamp=lambda k: (k, k)):
    """Kind of refusal of every picture, None for a good one."""
    gate = QualityGate(*size, noisy=noisy)
    kinds = []
    for k, pixels in enumerate(pictures):
        capture_ns, number = stamp(k)
        refusal = gate.judge(Frame(stream, pixels, capture_ns, "device", 0, number, None), 0, 10)
        kinds.append(refusal and refusal.kind)
    return kinds


def fine_texture():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)  # grains of four pixels
    return cv2.resize(small, SIZE, interpolation=cv2.INTER_LINEAR)


def grainy(level):
    return np.clip(np.random.default_rng(1).normal(level, 4, (480, 640, 3)), 0, 255).astype(np.uint8)


def bright_window():
    rgb = scene(3, *SIZE)
    rgb[:240] = 255  # blown out over the whole width
    return rgb


def half(fill):
    rgb = scene(4, *SIZE)
    rgb[240:] = fill
    return rgb


@pytest.mark.parametrize(
    "picture",
    [scene(0, *SIZE), fine_texture(), grainy(40), grainy(128), bright_window(), scene(5, *SIZE)[::-1]],
    ids=["slope", "texture", "dim", "wall", "window", "bottom-up"],
)
def test_pictures_of_a_sensor_pass(picture):
    assert judge_all([picture]) == [None]


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (np.zeros((480, 640, 3), np.uint8), "black"),
        (grainy(3), "black"),
        (grainy(255), "saturated"),
        (np.full((480, 640, 3), 255, np.uint8), "saturated"),
        (np.full((480, 640, 3), (0, 135, 0), np.uint8), "garbage"),  # a YUYV buffer of zeros
        (np.full((480, 640, 3), 128, np.uint8), "garbage"),
        (np.random.default_rng(2).integers(0, 256, (480, 640, 3), dtype=np.uint8), "garbage"),
        (half((0, 135, 0)), "garbage"),
        (half((128, 128, 128)), "garbage"),
        (scene(0, 320, 240), "size"),
    ],
)
def test_unfit_pictures_are_refused_with_their_first_frame(picture, kind):
    good = scene(9, *SIZE)
    assert judge_all([good, picture, scene(10, *SIZE)]) == [None, kind, None]


def test_rows_out_of_step_are_garbage():
    rgb = np.array([np.roll(row, shift, axis=0) for row, shift in
                    zip(fine_texture(), np.random.default_rng(3).integers(0, 640, 480), strict=True)])  # fmt: skip
    assert judge_all([rgb]) == ["garbage"]


def test_a_frozen_picture_is_refused_with_its_third_frame_and_passes_again_when_it_moves():
    still = scene(0, *SIZE)
    assert judge_all([still, still, still, still, scene(1, *SIZE), still]) == [
        None,
        None,
        "frozen",
        "frozen",
        None,
        None,
    ]


def test_a_rendered_picture_may_stand_still_and_be_flat():
    flat = np.full((480, 640, 3), 128, np.uint8)
    assert judge_all([flat] * 5, noisy=False) == [None] * 5
    assert judge_all([np.zeros_like(flat)], noisy=False) == ["black"]


@pytest.mark.parametrize("stamp", [lambda k: (7, k), lambda k: (k, 7)], ids=["time stamp", "number"])
def test_a_repeated_stamp_is_frozen_whatever_the_picture(stamp):
    pictures = [scene(k, *SIZE) for k in range(3)]
    assert judge_all(pictures, stamp=stamp) == [None, "frozen", "frozen"]
    assert judge_all(pictures, stamp=stamp, noisy=False) == [None, "frozen", "frozen"]


def test_old_frames_are_refused():
    gate = QualityGate(64, 48, noisy=True)
    captured_ns = 10**12

    def refusal(number, age_ns):
        frame = Frame("color", scene(number), number, "device", 0, number, None)
        return gate.judge(frame, captured_ns, captured_ns + age_ns)

    assert refusal(1, MAX_AGE_NS) is None
    assert refusal(2, MAX_AGE_NS + 1_000_000).text == "the frame is 201 ms old, at most 200 ms are taken"


def test_depth():
    empty = np.zeros((48, 64), np.uint16)
    pictures = [depth_scene(0), empty, depth_scene(1), depth_scene(2), depth_scene(2), depth_scene(2)]
    assert judge_all(pictures, size=(64, 48), stream="depth") == [None, "empty", None, None, None, "frozen"]
