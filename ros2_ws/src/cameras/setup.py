"""Builds this folder as a ROS 2 package with colcon; the root's pyproject.toml builds it for pip."""

from setuptools import find_packages, setup

NAME = "cameras"

setup(
    name=NAME,
    version="0.1.0",
    description="Cameras as ROS 2 topics: RealSense and V4L2 devices, recordings, software devices, shared frames",
    maintainer="Armature maintainers",
    maintainer_email="maintainers@armature.invalid",
    packages=find_packages(),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "camera_node = cameras.camera_node:main",
        ]
    },
)
