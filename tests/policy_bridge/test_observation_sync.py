import numpy as np
import pytest
from policy_api.schema import EncodedImage
from policy_bridge.observation_sync import MAX_AGE_NS, MAX_SKEW_NS, JointSample, ObservationSync

MS = 1_000_000
NOW = 10_000 * MS


def image(capture_ns):
    return EncodedImage("jpeg", 64, 48, b"jpeg", capture_ns)


def joints(stamp_ns):
    return JointSample(np.arange(7.0), stamp_ns)


def sync_with(front=NOW, wrist=NOW, joint=NOW):
    sync = ObservationSync(["front", "wrist"])
    for name, stamp_ns in (("front", front), ("wrist", wrist)):
        if stamp_ns is not None:
            sync.on_image(name, image(stamp_ns))
    if joint is not None:
        sync.on_joints(joints(joint))
    return sync


def test_complete_observation():
    sync = sync_with(front=NOW - 20 * MS, wrist=NOW - 30 * MS, joint=NOW - 1 * MS)
    assert sync.missing(NOW, NOW - 50 * MS) is None
    observation = sync.collect(NOW, NOW - 50 * MS, "push the red cube", 8)
    assert observation.stamp_ns == NOW - 30 * MS
    assert observation.step == 8
    assert observation.instruction == "push the red cube"
    assert observation.state.dtype == np.float32
    np.testing.assert_array_equal(observation.state, np.arange(7))
    assert observation.images == {"front": image(NOW - 20 * MS), "wrist": image(NOW - 30 * MS)}


@pytest.mark.parametrize(
    ("sync", "not_before", "text"),
    [
        (sync_with(front=None), 0, "camera front: nothing received yet"),
        (sync_with(joint=None), 0, "joint states: nothing received yet"),
        (
            sync_with(wrist=NOW - 30 * MS),
            NOW - 10 * MS,
            "camera wrist: the newest sample is 20 ms older than the end of the last motion",
        ),
        (sync_with(joint=NOW - MAX_AGE_NS - MS), 0, "joint states: the newest sample is 201 ms old"),
        (sync_with(wrist=NOW - MAX_SKEW_NS - MS), 0, "camera wrist is 101 ms older than camera front"),
    ],
)
def test_what_is_missing_is_said_in_words(sync, not_before, text):
    assert sync.missing(NOW, not_before) == text
    assert sync.collect(NOW, not_before, "x", 0) is None


def test_limits_are_inclusive():
    sync = sync_with(front=NOW - MAX_AGE_NS, wrist=NOW - MAX_AGE_NS, joint=NOW - MAX_AGE_NS + MAX_SKEW_NS)
    assert sync.missing(NOW, NOW - MAX_AGE_NS) is None


def test_newer_sample_replaces_older():
    sync = sync_with(front=NOW - 500 * MS)
    assert sync.missing(NOW, 0) is not None
    sync.on_image("front", image(NOW - 1 * MS))
    assert sync.missing(NOW, 0) is None


def test_unknown_camera_is_ignored():
    sync = sync_with()
    sync.on_image("side", image(NOW))
    assert set(sync.collect(NOW, 0, "x", 0).images) == {"front", "wrist"}
