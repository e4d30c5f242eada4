"""Builds this folder as a ROS 2 package with colcon; the root's pyproject.toml builds it for pip."""

from setuptools import find_packages, setup

NAME = "policy_api"

setup(
    name=NAME,
    version="0.1.0",
    description="The contract between policies and robots: schema, wire format, client, image path",
    maintainer="Armature maintainers",
    maintainer_email="maintainers@armature.invalid",
    packages=find_packages(),
    package_data={NAME: ["py.typed", "*.proto", "*.pyi"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    zip_safe=False,
)
