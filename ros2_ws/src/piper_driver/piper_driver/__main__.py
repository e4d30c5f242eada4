"""Command line of the driver: `python -m piper_driver --interface udp_multicast` drives the arm of `virtual_lab`."""

import argparse
import sys

from node_runtime.main import end_process


def ros_arguments(arguments: list[str]) -> list[str]:
    """Arguments of ROS for those of the command line; what stands behind `--ros-args` is kept. Exits for bad ones."""
    parser = argparse.ArgumentParser(
        prog="piper_driver",
        description="Drives one Piper over CAN and tells ROS 2 about it. Torque stays off until it is asked for.",
        epilog="Other parameters follow as  --ros-args -p NAME:=VALUE",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--interface", default="socketcan", choices=["socketcan", "udp_multicast"])
    parser.add_argument("--channel", help="can0, or the multicast address 239.74.163.2")
    parser.add_argument("--port", type=int, default=43113, help="UDP port of udp_multicast")
    parser.add_argument("--arm", default="", help="name of the arm where there are two, as left: namespace and prefix")
    parser.add_argument("--enable", action="store_true", help="turn torque on as soon as the arm is heard")
    own, ros = arguments, []
    if "--ros-args" in arguments:
        split = arguments.index("--ros-args")
        own, ros = arguments[:split], arguments[split + 1 :]
    given = parser.parse_args(own)
    channel = given.channel or ("can0" if given.interface == "socketcan" else "239.74.163.2")
    made = ["--ros-args"]
    for name, value in (
        ("can_interface", given.interface),
        ("can_channel", channel),
        ("can_port", given.port),
        ("auto_enable", str(given.enable).lower()),
    ):
        made += ["-p", f"{name}:={value}"]
    if given.arm:
        made += ["-p", f"arm:={given.arm}", "-r", f"__ns:=/{given.arm}"]
    return [*made, *ros]


def main() -> None:
    """Run the driver until SIGINT or SIGTERM."""
    arguments = ros_arguments(sys.argv[1:])
    from piper_driver.driver_node import drive

    end_process(drive(["piper_driver", *arguments]))


if __name__ == "__main__":
    main()
