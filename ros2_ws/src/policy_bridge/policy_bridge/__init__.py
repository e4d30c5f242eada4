"""ROS 2 to policy server and back: observation sync, policy runner, episode runner."""
