"""From a task's scene to a MuJoCo model: the project's Piper, a table, the bodies, the cameras."""

import xml.etree.ElementTree as ET
from typing import Final

import mujoco
import numpy as np
from piper_description import FirmwareZero
from piper_description.mjcf import piper_mjcf

from sim_train.worlds.scene import Camera, Task

CONTROL_DT_S: Final = 0.005
"""One control tick, seconds: the driver's 200 Hz."""

_PLAIN: Final = {"shadowsize": "0", "offsamples": "0", "numslices": "12", "numstacks": "6", "numquads": "1"}
"""Rendering without shadows or multisampling and with coarse shapes: 25-50 times faster on a CPU than the defaults."""


def _text(values: "tuple[float, ...] | np.ndarray") -> str:
    return " ".join(f"{float(v):.9g}" for v in values)


def _camera_axes(camera: Camera) -> str:
    """The camera's x and y axes (right, up) as MuJoCo's `xyaxes`; it looks along its -z."""
    forward = np.subtract(camera.look_at, camera.position)
    right = np.cross(forward, camera.up)
    up = np.cross(right, forward)
    return _text(np.concatenate([right / np.linalg.norm(right), up / np.linalg.norm(up)]))


def scene_xml(task: Task, image_size: tuple[int, int], zero: FirmwareZero = FirmwareZero.CURRENT) -> str:
    """MJCF of the whole scene. `image_size` is the largest (width, height) that will be rendered, pixels."""
    root = ET.fromstring(piper_mjcf(zero))
    option = root.find("option")
    world = root.find("worldbody")
    if option is None or world is None:
        raise RuntimeError("the Piper's MJCF has lost its option or worldbody element; see piper_description.mjcf")
    option.set("timestep", str(CONTROL_DT_S))
    option.set("cone", "elliptic")
    option.set("impratio", "10")
    visual = ET.SubElement(root, "visual")
    ET.SubElement(visual, "quality", _PLAIN)
    ET.SubElement(visual, "global", offwidth=str(image_size[0]), offheight=str(image_size[1]))
    ET.SubElement(visual, "headlight", ambient="0.45 0.45 0.45", diffuse="0.35 0.35 0.35", specular="0 0 0")
    ET.SubElement(visual, "map", znear="0.01", zfar="10")

    ET.SubElement(
        world,
        "light",
        pos="0.6 -0.6 1.5",
        dir="-0.3 0.5 -1",
        directional="true",
        castshadow="false",
        diffuse="0.4 0.4 0.4",
    )
    ET.SubElement(
        world,
        "geom",
        name="table",
        type="plane",
        size="1.2 1.2 0.1",
        rgba="0.62 0.56 0.48 1",
        contype="2",
        conaffinity="3",
    )
    for box in task.bodies:
        body = ET.SubElement(world, "body", name=box.name)
        ET.SubElement(body, "freejoint", name=box.name)
        ET.SubElement(
            body,
            "geom",
            name=box.name,
            type="box",
            size=_text(box.half_size),
            mass=str(box.mass),
            rgba=_text((*box.rgb, 1.0)),
            friction="1.0 0.02 0.001",
            condim="4",
            contype="2",
            conaffinity="3",
        )
    for camera in task.cameras:
        parent = world if not camera.mount else world.find(f".//body[@name='{camera.mount}']")
        if parent is None:
            raise ValueError(f"camera {camera.name!r} is mounted on {camera.mount!r}, which is no body of the Piper")
        ET.SubElement(
            parent,
            "camera",
            name=camera.name,
            pos=_text(camera.position),
            xyaxes=_camera_axes(camera),
            fovy=str(camera.fovy_deg),
        )
    return ET.tostring(root, encoding="unicode")


def build_model(
    task: Task, image_size: tuple[int, int] = (640, 480), zero: FirmwareZero = FirmwareZero.CURRENT
) -> mujoco.MjModel:
    """The compiled scene of `task`."""
    return mujoco.MjModel.from_xml_string(scene_xml(task, image_size, zero))
