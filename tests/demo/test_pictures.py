"""Videos: what is written can be read again."""

import numpy as np

from demo.pictures import read_video, side_by_side
from sim_train.reports.video import write_video


def frames(count, level):
    return [np.full((48, 64, 3), level + 10 * i, np.uint8) for i in range(count)]


def test_a_video_comes_back_frame_by_frame(tmp_path):
    write_video(tmp_path / "a.mp4", frames(5, 60), 10)
    back = read_video(tmp_path / "a.mp4")
    assert len(back) == 5
    for number, frame in enumerate(back):
        assert frame.shape == (48, 64, 3)
        assert abs(float(frame.mean()) - (60 + 10 * number)) < 4


def test_the_shorter_of_two_videos_holds_its_last_frame():
    both = side_by_side(frames(2, 0), frames(4, 100))
    assert len(both) == 4
    assert both[3].shape == (48, 128, 3)
    assert both[3][0, 0, 0] == 10
    assert both[3][0, 100, 0] == 130
