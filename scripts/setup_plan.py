"""What set-up installs, in one place: paths, extras, Pythons and system packages."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
EXTRAS = ("train", "serve", "robot", "ros", "lab", "dev")
PYTHON_VERSIONS = ((3, 10), (3, 11), (3, 12))

# Each entry: what it is for, then the names it goes by in Debian and Ubuntu releases; the first that exists is taken.
SYSTEM_PACKAGES = (
    ("EGL: MuJoCo renders without a display", ("libegl1",)),
    ("OpenGL: MuJoCo, OpenCV", ("libgl1",)),
    ("OpenGL: software renderer", ("libgl1-mesa-dri",)),
    ("GLib: OpenCV", ("libglib2.0-0", "libglib2.0-0t64")),
    ("USB: librealsense", ("libusb-1.0-0",)),
    ("Vulkan: SAPIEN", ("libvulkan1",)),
    ("Vulkan: software renderer", ("mesa-vulkan-drivers",)),
)
# Newest Ubuntu and Debian dropped OSMesa; EGL does the same work, so it is taken only where it exists.
OPTIONAL_SYSTEM_PACKAGES = (("OSMesa: MuJoCo without EGL", ("libosmesa6",)),)

SAPIEN_MIN_MESA = 24  # major version; SAPIEN 3.0.3 finds no rendering device in Debian 12's 22.3
MESA_PACKAGES = ("mesa-vulkan-drivers", "libgl1-mesa-dri", "libegl-mesa0", "libglx-mesa0")
