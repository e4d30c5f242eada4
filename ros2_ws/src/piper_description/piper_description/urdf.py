"""The Piper as URDF text and its frames as transforms, for RViz, MoveIt and whatever else speaks ROS.

Links and joints are those of `piper_mjcf`. The joint `gripper` is the opening, as in `JOINT_NAMES`; both fingers mimic
it with half of its value. `tcp` is the tool centre point.
"""

import xml.etree.ElementTree as ET
from typing import Final

import numpy as np
from numpy.typing import NDArray

from piper_description.joints import ARM_JOINT_NAMES, GRIPPER_JOINT_NAME, JOINT_LIMITS
from piper_description.kinematics import (
    _A,
    _ALPHA,
    _D,
    FINGER_ORIGIN_M,
    THETA_OFFSET,
    FirmwareZero,
    link_transforms,
    rotation_to_rpy,
)
from piper_description.mjcf import _SHAPES, _TORQUE_LIMIT, BASE_INERTIAL, GRIPPER_INERTIAL, LINK_INERTIALS, Inertial

Array = NDArray[np.float64]
Frame = tuple[str, str, Array]
"""Parent, child, and the child's pose in the parent, (4, 4), m."""

_FINGER_INERTIAL: Final = Inertial(0.025, (0.0, 0.0, -0.03), (1.09e-5, 1.42e-5, 5.4e-6, 0, 0, 0))
_NO_INERTIAL: Final = Inertial(1e-3, (0.0, 0.0, 0.0), (1e-7, 1e-7, 1e-7, 0, 0, 0))
_GRIPPER_FORCE_N: Final = 10.0


def joint_frames(q: Array, zero: FirmwareZero = FirmwareZero.CURRENT) -> list[Frame]:
    """The frames that move with the joints `q` (7,), rad and m: links 1 to 6 and both fingers."""
    links = link_transforms(q[:6], zero)
    half = float(q[6]) / 2
    return [
        ("base_link", "link1", links[0]),
        *[(f"link{i}", f"link{i + 1}", np.linalg.inv(links[i - 1]) @ links[i]) for i in range(1, 6)],
        ("gripper_base", "finger_left", _shift(0.0, half, FINGER_ORIGIN_M)),
        ("gripper_base", "finger_right", _shift(0.0, -half, FINGER_ORIGIN_M)),
    ]


def fixed_frames() -> list[Frame]:
    """The frames that do not move: the gripper on the flange, and the tool centre point."""
    return [
        ("link6", "gripper_base", np.eye(4)),
        ("gripper_base", "tcp", _shift(0.0, 0.0, FINGER_ORIGIN_M)),
    ]


def piper_urdf(zero: FirmwareZero = FirmwareZero.CURRENT, prefix: str = "") -> str:
    """The arm and gripper as a URDF document; `prefix` (as `left_`) stands in front of every link and joint."""
    robot = ET.Element("robot", name=f"{prefix}piper")
    _link(robot, prefix + "base_link", BASE_INERTIAL, (("cylinder", "0.055 0.04", {"pos": "0 0 0.04"}),))
    parent = "base_link"
    for i, name in enumerate(ARM_JOINT_NAMES):
        child = f"link{i + 1}"
        _link(robot, prefix + child, LINK_INERTIALS[i], _SHAPES[i])
        alpha, theta = _ALPHA[i], THETA_OFFSET[zero][i]
        ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
        R = np.array([[ct, -st, 0.0], [ca * st, ca * ct, -sa], [sa * st, sa * ct, ca]])  # RotX(alpha) RotZ(theta)
        joint = _joint(robot, prefix, name, "revolute", parent, child, (_A[i], -sa * _D[i], ca * _D[i]), R)
        ET.SubElement(joint, "axis", xyz="0 0 1")
        _limit(joint, i, _TORQUE_LIMIT[i])
        parent = child
    _link(robot, prefix + "gripper_base", GRIPPER_INERTIAL, (("box", "0.025 0.05 0.03", {"pos": "0 0 0.035"}),))
    _joint(robot, prefix, "gripper_mount", "fixed", "link6", "gripper_base", (0.0, 0.0, 0.0), np.eye(3))
    _add_fingers(robot, prefix)
    _link(robot, prefix + "tcp", None, ())
    _joint(robot, prefix, "tcp_mount", "fixed", "gripper_base", "tcp", (0.0, 0.0, FINGER_ORIGIN_M), np.eye(3))
    ET.indent(robot)
    return ET.tostring(robot, encoding="unicode")


def _add_fingers(robot: ET.Element, prefix: str) -> None:
    at = (0.0, 0.0, FINGER_ORIGIN_M)
    _link(robot, prefix + "gripper_opening", _NO_INERTIAL, ())
    opening = _joint(robot, prefix, GRIPPER_JOINT_NAME, "prismatic", "gripper_base", "gripper_opening", at, np.eye(3))
    ET.SubElement(opening, "axis", xyz="0 1 0")
    _limit(opening, 6, _GRIPPER_FORCE_N)
    for name, sign in (("finger_left", 1.0), ("finger_right", -1.0)):
        pad = ("box", "0.011 0.006 0.033", {"pos": _numbers(0.0, sign * 0.006, -0.028)})
        _link(robot, prefix + name, _FINGER_INERTIAL, (pad,))
        finger = _joint(robot, prefix, name, "prismatic", "gripper_base", name, at, np.eye(3))
        ET.SubElement(finger, "axis", xyz=_numbers(0.0, sign, 0.0))
        _limit(finger, 6, _GRIPPER_FORCE_N, share=0.5)
        ET.SubElement(finger, "mimic", joint=prefix + GRIPPER_JOINT_NAME, multiplier="0.5", offset="0")


def _joint(
    robot: ET.Element,
    prefix: str,
    name: str,
    kind: str,
    parent: str,
    child: str,
    xyz: tuple[float, float, float],
    R: Array,
) -> ET.Element:
    joint = ET.SubElement(robot, "joint", name=prefix + name, type=kind)
    ET.SubElement(joint, "parent", link=prefix + parent)
    ET.SubElement(joint, "child", link=prefix + child)
    ET.SubElement(joint, "origin", xyz=_numbers(*xyz), rpy=_numbers(*rotation_to_rpy(R)))
    return joint


def _limit(joint: ET.Element, index: int, effort: float, share: float = 1.0) -> None:
    lower, upper = JOINT_LIMITS.lower[index] * share, JOINT_LIMITS.upper[index] * share
    ET.SubElement(
        joint,
        "limit",
        lower=_numbers(lower),
        upper=_numbers(upper),
        effort=_numbers(effort),
        velocity=_numbers(JOINT_LIMITS.velocity[index] * share),
    )


def _link(
    robot: ET.Element,
    name: str,
    inertial: Inertial | None,
    shapes: tuple[tuple[str, str, dict[str, str]], ...],
) -> None:
    link = ET.SubElement(robot, "link", name=name)
    if inertial is not None:
        element = ET.SubElement(link, "inertial")
        ET.SubElement(element, "origin", xyz=_numbers(*inertial.com), rpy="0 0 0")
        ET.SubElement(element, "mass", value=_numbers(inertial.mass))
        names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
        ET.SubElement(element, "inertia", {n: _numbers(v) for n, v in zip(names, inertial.inertia, strict=True)})
    for kind, size, extra in shapes:
        for role in ("visual", "collision"):
            for origin, rpy, shape, attributes in _solids(kind, size, extra):
                element = ET.SubElement(link, role)
                ET.SubElement(element, "origin", xyz=_numbers(*origin), rpy=_numbers(*rpy))
                ET.SubElement(ET.SubElement(element, "geometry"), shape, attributes)


def _solids(
    kind: str, size: str, extra: dict[str, str]
) -> list[tuple[tuple[float, ...], tuple[float, ...], str, dict[str, str]]]:
    """A shape of the MJCF as shapes of URDF, which knows no capsules: origin, rpy, name and attributes of each."""
    sizes = [float(v) for v in size.split()]
    at = tuple(float(v) for v in extra.get("pos", "0 0 0").split())
    upright = (0.0, 0.0, 0.0)
    if kind == "box":
        return [(at, upright, "box", {"size": _numbers(*(2 * s for s in sizes))})]
    if kind == "cylinder":
        return [(at, upright, "cylinder", {"radius": _numbers(sizes[0]), "length": _numbers(2 * sizes[1])})]
    ends = np.array(extra["fromto"].split(), dtype=float).reshape(2, 3)
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    rpy = (0.0, float(np.arccos(along[2] / length)), float(np.arctan2(along[1], along[0])))
    ball = {"radius": _numbers(sizes[0])}
    return [
        (tuple(ends.mean(axis=0)), rpy, "cylinder", {**ball, "length": _numbers(length)}),
        *[(tuple(end), upright, "sphere", ball) for end in ends],
    ]


def _shift(x: float, y: float, z: float) -> Array:
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def _numbers(*values: float) -> str:
    return " ".join(f"{float(v):.9g}" for v in values)
