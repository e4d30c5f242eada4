"""Cameras as ROS 2 topics: RealSense and V4L2 devices, recordings, software devices, shared frames."""
