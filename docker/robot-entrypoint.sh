#!/bin/bash
# Puts ROS and the nodes on the path, then becomes the command.
set -e
source /opt/ros/jazzy/setup.bash
source /opt/armature/ros2_ws/install/setup.bash
exec "$@"
