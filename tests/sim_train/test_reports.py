"""Curves, videos."""

import io

import av
import numpy as np
import pytest
from rich.console import Console

from sim_train.reports.progress import MetricsFile, Stage
from sim_train.reports.video import write_video


def test_metrics_after_an_interruption(tmp_path):
    metrics = MetricsFile(tmp_path / "m" / "rl.jsonl")
    assert metrics.read() == []
    for i in range(4):
        metrics.write({"update": i})
    metrics.keep(2)
    metrics.write({"update": 9})
    assert [record["update"] for record in metrics.read()] == [0, 1, 9]


def test_without_a_terminal_there_are_plain_lines():
    text = io.StringIO()
    with Stage("rl", 10, Console(file=text)) as stage:
        stage.advance(1, "early")
        stage.advance(2, "too soon to repeat")
        stage.say("stays")
    assert text.getvalue() == "rl: 1/10 early\nrl: stays\n"


def test_a_video_holds_its_frames(tmp_path):
    frames = [np.full((48, 64, 3), 40 * i, dtype=np.uint8) for i in range(5)]
    write_video(tmp_path / "v.mp4", frames, 10)
    with av.open(str(tmp_path / "v.mp4")) as container:
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in back] == [(48, 64, 3)] * 5
    assert back[3].mean() == pytest.approx(120, abs=6)
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "w.mp4", [], 10)


def test_torn_lines_count_as_not_written(tmp_path):
    metrics = MetricsFile(tmp_path / "rl.jsonl")
    metrics.write({"update": 1})
    with metrics.path.open("a") as file:
        file.write('{"update": 2, "su')
    assert metrics.read() == [{"update": 1}]
    metrics.keep(2)
    metrics.write({"update": 2})
    assert metrics.path.read_text() == '{"update": 1}\n{"update": 2}\n'
