"""Faults of the wire, by frame id: what gets through, and when."""

import pytest
from piper_can import codec
from virtual_lab.can_faults import CanFault, CanFaults, FaultKind

JOINTS = 0x2A5


def joints(value):
    return codec.encode(JOINTS, {"Joint1": value, "Joint2": 1.0})


def other(value=0):
    return codec.encode(codec.ARM_STATUS, {"CtrlMode": 1, "ArmStatus": value})


def run(fault, ticks):
    """What gets through of a frame that changes and of one that has no fault, tick by tick."""
    faults = CanFaults()
    faults.set([fault])
    return [faults.through([joints(0.001 * i), other()]) for i in range(ticks)]


def test_without_faults_everything_gets_through():
    assert CanFaults().through([joints(0.1), other()]) == [joints(0.1), other()]


def test_off_loses_its_frames_and_no_other():
    assert run(CanFault(FaultKind.OFF, (JOINTS,)), 3) == [[other()]] * 3


def test_no_ids_means_every_frame():
    assert run(CanFault(FaultKind.OFF), 2) == [[], []]


def test_stuck_repeats_the_first_frame():
    assert run(CanFault(FaultKind.STUCK, (JOINTS,)), 3) == [[joints(0.0), other()]] * 3


def test_garbage_is_other_bytes_every_time():
    seen = {frames[0].data for frames in run(CanFault(FaultKind.GARBAGE, (JOINTS,)), 20)}
    assert len(seen) == 20 and all(len(data) == 8 for data in seen)


def test_wrong_changes_the_signals_that_are_named():
    frames = run(CanFault(FaultKind.WRONG, (JOINTS,), {"Joint1": 5.2}), 2)
    values = codec.decode(*frames[1][0])
    assert values["Joint1"] == pytest.approx(5.2, abs=2e-5) and values["Joint2"] == pytest.approx(1.0, abs=2e-5)
    assert frames[1][1] == other()


def test_slow_lets_one_of_n_through():
    counts = [len(frames) for frames in run(CanFault(FaultKind.SLOW, (JOINTS,), every=4), 8)]
    assert counts == [1, 1, 1, 2, 1, 1, 1, 2]


def test_delayed_comes_later_in_order_and_the_last_ones_still_come():
    faults = CanFaults()
    faults.set([CanFault(FaultKind.DELAYED, (JOINTS,), delay_ticks=2)])
    seen = [faults.through([joints(0.01 * i)]) for i in range(4)]
    assert seen == [[], [], [joints(0.0)], [joints(0.01)]]
    faults.set([])
    assert faults.through([joints(0.9)]) == [joints(0.02), joints(0.9)]
    assert faults.through([]) == [joints(0.03)]


def test_intermittent_loses_a_share_and_the_seed_decides_which():
    fault = CanFault(FaultKind.INTERMITTENT, (JOINTS,), share=0.3)
    frames = run(fault, 1000)
    assert 250 < sum(len(each) == 1 for each in frames) < 350
    assert frames == run(fault, 1000)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": FaultKind.OFF, "frame_ids": (0x800,)}, "0x800"),
        ({"kind": FaultKind.OFF, "values": {"Joint1": 1.0}}, "for 'wrong' frames"),
        ({"kind": FaultKind.WRONG}, "needs the ids"),
        ({"kind": FaultKind.WRONG, "frame_ids": (JOINTS,), "values": {"Elbow": 1.0}}, "no signal 'Elbow'"),
        ({"kind": FaultKind.WRONG, "frame_ids": (JOINTS,), "values": {"Joint1": 1e9}}, "Joint1"),
        ({"kind": FaultKind.SLOW, "every": 1}, "expected 2 to"),
        ({"kind": FaultKind.DELAYED}, "expected 1 to"),
        ({"kind": FaultKind.INTERMITTENT, "share": 1.0}, "below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        CanFault(**arguments)
