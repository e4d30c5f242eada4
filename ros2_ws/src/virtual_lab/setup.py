"""Builds this folder as a ROS 2 package with colcon; the root's pyproject.toml builds it for pip."""

from setuptools import find_packages, setup

NAME = "virtual_lab"

setup(
    name=NAME,
    version="0.1.0",
    description="A Piper and its cameras in a box: a CAN arm, a MuJoCo world, software cameras",
    maintainer="Armature maintainers",
    maintainer_email="maintainers@armature.invalid",
    packages=find_packages(),
    package_data={NAME: ["py.typed", "*.proto", "*.pyi"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "virtual_lab = virtual_lab.__main__:main",
        ]
    },
)
