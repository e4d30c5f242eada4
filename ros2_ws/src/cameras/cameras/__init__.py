"""Cameras as ROS 2 topics: RealSense devices, software devices, shared frames."""
