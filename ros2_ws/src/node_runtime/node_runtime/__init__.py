"""What every ROS 2 node here shares: start and stop, time at the border, QoS, JSON payloads."""
