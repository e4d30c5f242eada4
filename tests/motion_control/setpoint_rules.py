"""What every setpoint that leaves the motion layer keeps, checked tick by tick; for tests of limiter and controller."""

import numpy as np
from motion_control import MotionLimits, SafetyLimits, jerk_limit
from motion_control.clearance import self_clearance, tool_pose
from motion_control.safety import SELF_DISTANCE_M
from piper_description.kinematics import tcp_position

DT = 0.005


class SetpointRules:
    """Watches positions and velocities (7,) of consecutive ticks from `start`, at rest and clear of everything."""

    def __init__(self, limits: MotionLimits, safety: SafetyLimits, start):
        self.limits, self.safety = limits, safety
        self.jerk = jerk_limit(limits, DT)
        self.restart(start)

    def restart(self, position):
        self.position = np.array(position)
        self.velocity, self.acceleration = np.zeros(7), np.zeros(7)
        self.worst_here = self.breaches(self.position)

    def breaches(self, position):
        """How far beyond the faces of the workspace, the table and the distance of the links, m."""
        tool = tool_pose(position.tolist())
        lower, upper = self.safety.workspace.lower, self.safety.workspace.upper
        table = 0.0 if self.safety.table_z_m is None else self.safety.table_z_m - tool.fingers_z
        at = np.array(tool[:3])
        return np.array([*(lower - at), *(at - upper), table, SELF_DISTANCE_M - self_clearance(position.tolist())])

    def check(self, position, velocity, geometry=True):
        limits, dt = self.limits, DT
        assert np.isfinite(position).all() and np.isfinite(velocity).all()
        inside = np.maximum(limits.outside(self.position), 0.0)
        assert (limits.outside(position) <= inside).all(), "outside the position limits"
        step = position - self.position
        assert (np.abs(step) <= limits.velocity * dt + 1e-12).all(), "too far in one tick"
        assert (np.abs(velocity) <= limits.velocity + 1e-12).all(), "too fast"
        acceleration = (velocity - self.velocity) / dt
        assert (np.abs(acceleration) <= limits.acceleration * (1 + 1e-9)).all(), "accelerates too much"
        jerk = np.abs(acceleration - self.acceleration) / dt
        assert (jerk <= self.jerk * (1 + 1e-6)).all(), "jerks"
        if geometry:
            tcp = tcp_position(np.stack([self.position, position])[:, :6])
            speed = np.linalg.norm(tcp[1] - tcp[0]) / dt
            assert speed <= self.safety.tcp_speed_m_s * 1.02, f"the tool moves at {speed:.3f} m/s"
            now = self.breaches(position)
            assert (now <= np.maximum(self.worst_here, GIVE_M)).all(), f"beyond a face or near a link: {now}"
            self.worst_here = np.minimum(self.worst_here, np.maximum(now, 0.0))
        self.position, self.velocity, self.acceleration = position, velocity, acceleration


GIVE_M = 0.0035
"""The fingers' 2 mm into the table, and what smoothing, creeping and sampled ways may add."""
