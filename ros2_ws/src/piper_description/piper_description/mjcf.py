"""The Piper as a MuJoCo model: our own primitive shapes on the arm's kinematics and inertials.

Masses, centres of mass and inertias are those of the vendor's 2026 URDF with its tensors moved from the link origin to
the centre of mass (as shipped they are about the link origin, and link 6's is impossible for 7 g). Servo gains follow
the stiff set of the vendor's Isaac Lab configuration; gravity compensation stands for the firmware's integral action.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Final

import numpy as np

from piper_description.joints import ARM_JOINT_NAMES, GRIPPER_JOINT_NAME, JOINT_LIMITS
from piper_description.kinematics import _A, _ALPHA, _D, FINGER_ORIGIN_M, THETA_OFFSET, FirmwareZero


@dataclass(frozen=True)
class Inertial:
    """Mass (kg), centre of mass (m, link frame) and inertia about it (kg m^2): xx yy zz xy xz yz, link axes."""

    mass: float
    com: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]


BASE_INERTIAL: Final = Inertial(1.02, (-0.00474, 0.00003, 0.04145), (9.22e-4, 1.051e-3, 8.73e-4, 0, 0, 0))
LINK_INERTIALS: Final = (
    Inertial(0.71, (0.00032, -0.00041, -0.00348), (4.916e-4, 4.001e-4, 4.578e-4, 0, 0, 0)),
    Inertial(1.16, (0.21852, -0.00861, 0.00126), (1.031e-3, 1.224e-2, 1.208e-2, -3.5e-4, 5.1e-4, -4.9e-6)),
    Inertial(0.50, (-0.01999, -0.14808, -0.00053), (2.512e-3, 2.638e-4, 2.470e-3, -1.3e-4, 4.6e-6, 3.8e-5)),
    Inertial(0.38, (0.00013, -0.00076, -0.00394), (1.723e-4, 1.832e-4, 1.459e-4, 0, 0, 0)),
    Inertial(0.383, (0.00018, -0.06104, -0.00227), (2.942e-4, 1.774e-4, 2.847e-4, 0, 0, 0)),
    Inertial(0.007, (0.0, 0.0, -0.002), (5.73e-7, 5.73e-7, 1.067e-6, 0, 0, 0)),
)
GRIPPER_INERTIAL: Final = Inertial(0.45, (-0.00018, 0.00008, 0.03214), (4.644e-4, 2.495e-4, 3.944e-4, 0, 0, 0))
FINGER_MASS: Final = 0.025

SERVO_KP: Final = (400.0, 400.0, 400.0, 200.0, 200.0, 200.0)
"""Position gains of the six servos, N m/rad."""
SERVO_KV: Final = (25.0, 25.0, 25.0, 10.0, 10.0, 6.0)
"""Damping of the six servos, N m s/rad."""
_TORQUE_LIMIT: Final = (30.0, 30.0, 30.0, 10.0, 10.0, 10.0)
_GRIPPER_KP, _GRIPPER_KV, _GRIPPER_FORCE_N = 600.0, 15.0, 10.0
_SHELL, _JOINT_COVER, _FINGER = "0.78 0.79 0.82 1", "0.16 0.17 0.2 1", "0.1 0.1 0.11 1"

# Shapes per link, in the link frame: (type, size, extra attributes). Sizes and positions in metres.
_SHAPES: Final[tuple[tuple[tuple[str, str, dict[str, str]], ...], ...]] = (
    (("cylinder", "0.045 0.05", {"pos": "0 0 -0.02"}),),
    (("capsule", "0.034", {"fromto": "0 0 0 0.285 0 0"}), ("cylinder", "0.042 0.045", {})),
    (("capsule", "0.03", {"fromto": "-0.015 -0.03 0 -0.022 -0.18 0"}), ("cylinder", "0.038 0.042", {})),
    (("cylinder", "0.032 0.045", {"pos": "0 0 -0.02"}),),
    (("capsule", "0.028", {"fromto": "0 0 0 0 -0.065 0"}),),
    (("cylinder", "0.03 0.006", {"pos": "0 0 -0.006"}),),
)


def _numbers(values: "list[float] | tuple[float, ...]") -> str:
    return " ".join(f"{float(v):.9g}" for v in values)


def _quaternion(alpha: float, theta: float) -> str:
    """Quaternion (w x y z) of RotX(alpha) RotZ(theta)."""
    ca, sa, ct, st = np.cos(alpha / 2), np.sin(alpha / 2), np.cos(theta / 2), np.sin(theta / 2)
    return _numbers((ca * ct, sa * ct, -sa * st, ca * st))


def _add_inertial(body: ET.Element, inertial: Inertial) -> None:
    ET.SubElement(
        body,
        "inertial",
        mass=str(inertial.mass),
        pos=_numbers(inertial.com),
        fullinertia=_numbers(inertial.inertia),
    )


def _add_gripper(flange: ET.Element) -> None:
    gripper = ET.SubElement(flange, "body", name="gripper_base", gravcomp="1")
    _add_inertial(gripper, GRIPPER_INERTIAL)
    ET.SubElement(gripper, "geom", {"class": "shell", "type": "box", "size": "0.025 0.05 0.03", "pos": "0 0 0.035"})
    ET.SubElement(gripper, "site", name="tcp", pos=_numbers((0, 0, FINGER_ORIGIN_M)), size="0.003", group="4")
    for side, sign in (("left", 1.0), ("right", -1.0)):
        finger = ET.SubElement(
            gripper, "body", name=f"finger_{side}", pos=_numbers((0, 0, FINGER_ORIGIN_M)), gravcomp="1"
        )
        ET.SubElement(
            finger,
            "joint",
            name=f"finger_{side}",
            type="slide",
            axis=_numbers((0, sign, 0)),
            range=_numbers((0, JOINT_LIMITS.upper[6] / 2)),
            armature="0.1",
            damping="2",
        )
        ET.SubElement(
            finger,
            "inertial",
            mass=str(FINGER_MASS),
            pos=_numbers((0, sign * 0.006, -0.03)),
            diaginertia="1.09e-5 1.42e-5 5.4e-6",
        )
        ET.SubElement(
            finger,
            "geom",
            {
                "class": "finger",
                "name": f"pad_{side}",
                "type": "box",
                "size": "0.011 0.006 0.033",
                "pos": _numbers((0, sign * 0.006, -0.028)),
            },
        )


def piper_mjcf(zero: FirmwareZero = FirmwareZero.CURRENT) -> str:
    """The arm and gripper as an MJCF document: bodies `base_link`, `link1`..`link6`, `gripper_base`, `finger_*`.

    Joints `joint1`..`joint6` (rad) and `finger_left`, `finger_right` (m each). Seven position servos in the order of
    `JOINT_NAMES`; the last takes the gripper opening in metres. Sites: `flange` (link 6 frame) and `tcp`.
    Robot shapes have contype 1 and conaffinity 2: they meet the world's shapes, never each other.
    """
    root = ET.Element("mujoco", model="piper")
    ET.SubElement(root, "compiler", angle="radian", autolimits="true")
    ET.SubElement(root, "option", timestep="0.005", integrator="implicitfast")  # servo damping needs the implicit one
    defaults = ET.SubElement(root, "default")
    shell = ET.SubElement(defaults, "default", {"class": "shell"})
    ET.SubElement(shell, "geom", contype="1", conaffinity="2", rgba=_SHELL, friction="0.6 0.01 0.001", group="1")
    cover = ET.SubElement(defaults, "default", {"class": "cover"})
    ET.SubElement(cover, "geom", contype="0", conaffinity="0", rgba=_JOINT_COVER, group="1")
    finger = ET.SubElement(defaults, "default", {"class": "finger"})
    ET.SubElement(
        finger,
        "geom",
        contype="1",
        conaffinity="2",
        rgba=_FINGER,
        condim="4",
        friction="1.2 0.05 0.001",
        priority="1",
        group="1",
    )

    body = ET.SubElement(ET.SubElement(root, "worldbody"), "body", name="base_link")
    _add_inertial(body, BASE_INERTIAL)
    ET.SubElement(body, "geom", {"class": "cover", "type": "cylinder", "size": "0.055 0.04", "pos": "0 0 0.04"})
    for i, name in enumerate(ARM_JOINT_NAMES):
        pos = (_A[i], -np.sin(_ALPHA[i]) * _D[i], np.cos(_ALPHA[i]) * _D[i])
        quat = _quaternion(_ALPHA[i], THETA_OFFSET[zero][i])
        body = ET.SubElement(body, "body", name=f"link{i + 1}", pos=_numbers(pos), quat=quat, gravcomp="1")
        ET.SubElement(
            body,
            "joint",
            name=name,
            axis="0 0 1",
            range=_numbers((JOINT_LIMITS.lower[i], JOINT_LIMITS.upper[i])),
            armature="0.01",
            damping="0.5",
        )
        _add_inertial(body, LINK_INERTIALS[i])
        for number, (kind, size, extra) in enumerate(_SHAPES[i]):
            ET.SubElement(
                body,
                "geom",
                {"class": "shell" if number == 0 else "cover", "type": kind, "size": size, **extra},
            )
    ET.SubElement(body, "site", name="flange", size="0.003", group="4")
    _add_gripper(body)

    tendon = ET.SubElement(ET.SubElement(root, "tendon"), "fixed", name="gripper_opening")
    equality = ET.SubElement(ET.SubElement(root, "equality"), "joint", joint1="finger_left", joint2="finger_right")
    equality.set("polycoef", "0 1 0 0 0")
    actuator = ET.SubElement(root, "actuator")
    for i, name in enumerate(ARM_JOINT_NAMES):
        ET.SubElement(
            actuator,
            "position",
            name=name,
            joint=name,
            kp=str(SERVO_KP[i]),
            kv=str(SERVO_KV[i]),
            forcerange=_numbers((-_TORQUE_LIMIT[i], _TORQUE_LIMIT[i])),
            ctrlrange=_numbers((JOINT_LIMITS.lower[i], JOINT_LIMITS.upper[i])),
        )
    ET.SubElement(tendon, "joint", joint="finger_left", coef="2")  # the other finger is its mirror
    ET.SubElement(
        actuator,
        "position",
        name=GRIPPER_JOINT_NAME,
        tendon="gripper_opening",
        kp=str(_GRIPPER_KP),
        kv=str(_GRIPPER_KV),
        forcerange=_numbers((-_GRIPPER_FORCE_N, _GRIPPER_FORCE_N)),
        ctrlrange=_numbers((JOINT_LIMITS.lower[6], JOINT_LIMITS.upper[6])),
    )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")
