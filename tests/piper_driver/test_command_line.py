"""The command line becomes parameters of ROS."""

import pytest
from piper_driver.__main__ import ros_arguments


def test_the_virtual_arm_needs_one_option():
    made = ros_arguments(["--interface", "udp_multicast"])
    assert "can_channel:=239.74.163.2" in made and "can_port:=43113" in made and "auto_enable:=false" in made


def test_an_arm_of_two_gets_namespace_and_prefix_and_more_parameters():
    made = ros_arguments(["--channel", "can1", "--arm", "left", "--ros-args", "-p", "tcp_speed_m_s:=0.1"])
    assert made[0] == "--ros-args" and made.count("--ros-args") == 1
    assert {"can_interface:=socketcan", "can_channel:=can1", "arm:=left", "__ns:=/left", "tcp_speed_m_s:=0.1"} <= set(
        made
    )


def test_a_wrong_interface_is_refused(capsys):
    with pytest.raises(SystemExit):
        ros_arguments(["--interface", "smoke"])
    assert "invalid choice: 'smoke'" in capsys.readouterr().err
