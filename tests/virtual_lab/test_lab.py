"""A lab in this process: the world behind the wire, ticked by hand over a virtual bus."""

import threading
import uuid

import numpy as np
import pytest
from piper_can import PiperHost, open_bus
from piper_description import HOME_POSITION
from virtual_lab.can_faults import CanFault, FaultKind
from virtual_lab.lab import REST_POSITION, Lab, NotAtHomeError

from sim_train.worlds import make_world, seeds

SEED = seeds.LAB.start + 1


class Bench:
    def __init__(self, host_bus, arm_bus):
        self.world = make_world("pick_cube")
        self.lab = Lab(self.world, arm_bus, SEED)
        self.host = PiperHost(host_bus)
        self.now_ns = 0

    def run(self, seconds):
        for _ in range(round(seconds / 0.005)):
            self.lab.tick()
            self.now_ns += 5_000_000
            self.host.poll(self.now_ns)

    def enable(self):
        self.host.send_enable()
        self.run(0.03)
        assert self.host.state.all_enabled
        self.host.send_motion_mode(100)

    def go_home(self):
        self.enable()
        self.host.send_joints(HOME_POSITION[:6])
        self.host.send_gripper(HOME_POSITION[6], 1.0)
        self.run(2.0)


@pytest.fixture
def bench():
    channel = uuid.uuid4().hex
    with open_bus("virtual", channel) as host_bus, open_bus("virtual", channel) as arm_bus:
        yield Bench(host_bus, arm_bus)


def test_the_arm_lies_at_rest_until_it_is_enabled(bench):
    bench.run(1.0)
    np.testing.assert_allclose(bench.host.state.joints.position_rad, REST_POSITION[:6], atol=0.02)
    assert not bench.host.state.enabled.any() and not bench.lab.truth().torque_on


def test_enabled_it_goes_where_it_is_told_and_can_reports_the_truth(bench):
    bench.go_home()
    state, truth = bench.host.state, bench.lab.truth()
    np.testing.assert_allclose(truth.joint_position, HOME_POSITION, atol=2e-3)
    np.testing.assert_allclose(state.joints.position_rad, truth.joint_position[:6], atol=2e-5)
    assert state.gripper.stroke_m == pytest.approx(truth.joint_position[6], abs=1e-6)
    assert state.status.target_reached and truth.torque_on
    assert np.abs(state.motors.velocity_rad_s).max() < 0.01


def test_stop_sinks_slowly_and_reset_drops(bench):
    bench.go_home()
    bench.host.send_stop()
    bench.run(0.2)
    sunk = np.abs(bench.lab.truth().joint_position[:6] - HOME_POSITION[:6]).max()
    assert 0.0 < sunk < 0.2 and not bench.lab.truth().torque_on
    bench.host.send_reset_drops_arm()
    bench.run(0.2)
    dropped = np.abs(bench.lab.truth().joint_position[:6] - HOME_POSITION[:6]).max()
    assert dropped > 2 * sunk


def test_reset_needs_the_arm_at_home_and_a_seed_of_the_lab(bench):
    with pytest.raises(NotAtHomeError, match=r"joint2 by 1\.\d+ rad.*piper_driver/home"):
        bench.lab.reset(SEED + 1, "", force_arm_home=False)
    for seed in (0, 1_000_000, 3_000_000):
        with pytest.raises(ValueError, match=r"not for a virtual lab, whose seeds are 2000000\.\.2999999"):
            bench.lab.reset(seed, "", force_arm_home=False)
    with pytest.raises(ValueError, match="runs task 'pick_cube', not 'fold_laundry'"):
        bench.lab.reset(SEED + 1, "fold_laundry", force_arm_home=False)
    assert bench.lab.truth().seed == SEED

    bench.go_home()
    instruction = bench.lab.reset(SEED + 1, "pick_cube", force_arm_home=False)
    layout = bench.world.task.sample(SEED + 1)
    assert instruction == layout.instruction
    truth = bench.lab.truth()
    assert truth.seed == SEED + 1
    for body, pose in layout.poses.items():
        np.testing.assert_allclose(truth.object_poses[body], pose, atol=1e-9)
    np.testing.assert_allclose(truth.joint_position, HOME_POSITION, atol=2e-3)  # the arm was not touched


def test_arm_forced_home_stays_there_if_it_has_torque(bench):
    bench.enable()
    bench.lab.reset(SEED + 2, "", force_arm_home=True)
    bench.run(0.5)
    np.testing.assert_allclose(bench.lab.truth().joint_position[:6], HOME_POSITION[:6], atol=2e-3)


def test_success_is_kept_until_the_next_episode(bench):
    bench.go_home()
    bench.lab.reset(SEED, "", force_arm_home=False)
    bench.run(0.1)
    assert not bench.lab.truth().success
    target = bench.world.layout.target
    cube = bench.world.data.joint(target)
    for tick in range(24):  # held up, as a gripper would
        assert tick > 19 or not bench.lab.truth().success, "a moment in the gripper is not enough"
        cube.qpos[:3], cube.qvel[:] = bench.world.states().tcp[0, 0, 0] - np.array([0.0, 0.0, 0.018]), 0.0
        bench.run(0.005)
    assert bench.lab.truth().success
    bench.run(1.0)  # it has fallen back
    assert bench.lab.truth().object_poses[target][2] < 0.03
    assert bench.lab.truth().success
    bench.lab.reset(SEED, "", force_arm_home=False)
    assert not bench.lab.truth().success


def test_requests_run_in_the_ticking_thread(bench):
    future = bench.lab.submit(lambda _: threading.current_thread())
    failing = bench.lab.submit(lambda lab: lab.reset(0, "", force_arm_home=False))
    assert not future.done()
    bench.run(0.005)
    assert future.result(0) is threading.current_thread()
    with pytest.raises(ValueError, match="seed 0"):
        failing.result(0)


def test_faults_of_the_wire_begin_and_end_while_the_lab_runs(bench):
    bench.go_home()
    bench.lab.set_can_faults([CanFault(FaultKind.OFF, (0x2A5, 0x2A6, 0x2A7)), CanFault(FaultKind.OFF, (0x155,))])
    target = HOME_POSITION[:6] + np.array([0.2, 0.0, 0.2, 0.0, 0.0, 0.0])
    before = bench.host.state.joints.stamp_ns
    bench.host.send_joints(target)
    bench.run(1.0)
    assert bench.host.state.joints.stamp_ns == before
    moved = bench.lab.truth().joint_position - HOME_POSITION
    assert abs(moved[0]) < 0.01 and moved[2] == pytest.approx(0.2, abs=0.01)
    bench.lab.set_can_faults([])
    bench.host.send_joints(target)
    bench.run(1.0)
    np.testing.assert_allclose(bench.host.state.joints.position_rad, target, atol=0.01)
