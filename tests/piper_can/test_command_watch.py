"""Commands of others are told from echoes of our own, and a leader arm's targets become samples."""

import numpy as np
import pytest
from piper_can import codec
from piper_can.command_watch import CommandWatch
from piper_can.errors import BadFrameError

ENABLE = codec.encode(codec.ENABLE_COMMAND, {"Motor": 7, "Enable": 2})


def hear(watch, frame, now_ns=0):
    watch.heard(*frame, bus_ns=now_ns, now_ns=now_ns)


def test_each_echo_pays_for_one_frame_that_we_sent():
    watch = CommandWatch(hears_itself=True)
    targets = codec.encode_joint_targets([0.1] * 2 + [-0.1] + [0.1] * 3)
    for frame in (*targets, ENABLE, ENABLE):
        watch.sent(frame)
    for frame in (*targets, ENABLE, ENABLE):
        hear(watch, frame)
    assert (watch.count, watch.last, watch.joints) == (0, None, None)
    hear(watch, ENABLE, 77)
    assert watch.count == 1 and watch.last.frame_id == codec.ENABLE_COMMAND and watch.last.stamp_ns == 77


def test_an_echo_that_the_bus_lost_does_not_hide_the_next():
    watch = CommandWatch(hears_itself=True)
    targets = codec.encode_joint_targets([0.1] * 2 + [-0.1] + [0.1] * 3)
    for frame in targets:
        watch.sent(frame)
    hear(watch, targets[2])
    assert watch.count == 0
    hear(watch, targets[0])
    assert watch.count == 1


def test_a_bus_without_echoes_shows_others_only():
    watch = CommandWatch(hears_itself=False)
    watch.sent(ENABLE)
    hear(watch, ENABLE)
    assert watch.count == 1


def test_a_leader_arms_joints_and_gripper():
    watch = CommandWatch(hears_itself=False)
    q = [0.1, 0.2, -0.3, 0.4, 0.5, -0.6]
    for index, frame in enumerate(codec.encode_joint_targets(q)):
        assert watch.joints is None
        hear(watch, frame, 1000 * index)
    np.testing.assert_allclose(watch.joints.position_rad, q, atol=1e-5)
    assert (watch.joints.stamp_ns, watch.joints.skew_ns) == (2000, 2000)
    hear(watch, codec.encode(codec.GRIPPER_COMMAND, {"Stroke": 0.04, "Effort": 1.5, "Enable": 1}), 9)
    assert (watch.gripper.stroke_m, watch.gripper.effort_nm, watch.gripper.stamp_ns) == pytest.approx((0.04, 1.5, 9))
    assert watch.count == 4
    torn = codec.encode_joint_targets([0.0] * 6)
    for frame in (torn[0], torn[2], torn[1]):
        hear(watch, frame)
    np.testing.assert_allclose(watch.joints.position_rad, q, atol=1e-5)


def test_targets_that_are_cut_short_count_and_are_refused():
    watch = CommandWatch(hears_itself=False)
    with pytest.raises(BadFrameError, match="2 bytes; expected 8"):
        hear(watch, (codec.JOINT_TARGETS[0], b"ab"))
    hear(watch, (codec.STOP_COMMAND, b"\x01"))
    assert watch.count == 2 and watch.last.data == b"\x01"
