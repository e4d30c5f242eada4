"""Runs ROS 2 YAML launch files where ROS is installed from pip only."""
