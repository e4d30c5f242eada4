"""Builds this folder as a ROS 2 package with colcon; the root's pyproject.toml builds it for pip."""

from setuptools import find_packages, setup

NAME = "piper_driver"

setup(
    name=NAME,
    version="0.1.0",
    description="The node that owns one arm's CAN bus",
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
            "piper_driver_node = piper_driver.driver_node:main",
        ]
    },
)
