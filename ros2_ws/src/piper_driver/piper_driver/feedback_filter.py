"""From the arm's reports to the controller's `Feedback`; joint angles that cannot be true are left out."""

import numpy as np
from motion_control import Feedback
from piper_can import ArmState, JointSample
from piper_description import JOINT_LIMITS

_JUMP_RAD = 0.15
"""More than a joint turns in the time by which frames may be late on the bus."""
_SPEED_RAD_S = 2.0 * float(JOINT_LIMITS.velocity[:6].max())


class FeedbackFilter:
    """Keeps the newest plausible sample. One that is left out does not count as heard: the arm falls silent."""

    def __init__(self) -> None:
        self.rejected = 0
        """Samples that were left out."""
        self.last_rejection = ""
        self.last_rejection_ns = 0
        self.joints: JointSample | None = None
        """The newest sample that can be true."""
        self.samples_since_torque = 0
        """Samples since all six motor drivers reported their torque last."""
        self._seen_ns = 0
        self._torque_ns = 0

    def take(self, state: ArmState, fault: str | None) -> Feedback | None:
        """The controller's view of the arm, with `fault` as what it reports.

        None until joints, gripper, status and all six motors were heard.
        """
        gripper, status = state.gripper, state.status
        if state.joints is not None and state.joints.stamp_ns != self._seen_ns:
            self._seen_ns = state.joints.stamp_ns
            self._take_joints(state.joints)
            torque_ns = state.now_ns - (state.enabled_age_ns or 0)  # of the oldest of the six reports
            self.samples_since_torque = self.samples_since_torque + 1 if torque_ns == self._torque_ns else 0
            self._torque_ns = torque_ns
        joints = self.joints
        if joints is None or gripper is None or status is None or state.enabled_age_ns is None:
            return None
        stamp_ns = min(joints.stamp_ns, gripper.stamp_ns, status.stamp_ns)
        return Feedback(np.append(joints.position_rad, gripper.stroke_m), stamp_ns, state.all_enabled, fault)

    def _take_joints(self, sample: JointSample) -> None:
        if self.joints is not None:
            step = np.abs(sample.position_rad - self.joints.position_rad)
            passed_s = max(sample.stamp_ns - self.joints.stamp_ns, 0) / 1e9
            joint = int(step.argmax())
            if step[joint] > _JUMP_RAD + _SPEED_RAD_S * passed_s:
                self.rejected += 1
                self.last_rejection_ns = sample.stamp_ns
                self.last_rejection = (
                    f"joint{joint + 1} reports a jump of {step[joint]:.2f} rad in {passed_s * 1e3:.0f} ms"
                )
                return
        self.joints = sample
