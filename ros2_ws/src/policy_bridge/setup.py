"""Builds this folder as a ROS 2 package with colcon; the root's pyproject.toml builds it for pip."""

from setuptools import find_packages, setup

NAME = "policy_bridge"

setup(
    name=NAME,
    version="0.1.0",
    description="ROS 2 to policy server and back: observation sync, policy runner, episode runner",
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
            "policy_runner_node = policy_bridge.policy_runner_node:main",
            "episode_runner_node = policy_bridge.episode_runner_node:main",
        ]
    },
)
