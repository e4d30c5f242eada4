"""Episodes on disk: ROS 2 topics into MCAP."""
