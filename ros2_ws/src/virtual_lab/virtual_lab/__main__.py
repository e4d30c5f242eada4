"""Command line of the virtual lab: `python -m virtual_lab`."""

import argparse
import os
import sys


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="virtual_lab",
        description="A Piper over a table in real time: it answers on CAN like one, and its cameras can be opened.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--can-interface", default="udp_multicast", choices=["udp_multicast", "socketcan"])
    parser.add_argument("--can-channel", default="239.74.163.2", help="multicast address, or a device such as vcan0")
    parser.add_argument("--can-port", type=int, default=43113, help="UDP port of udp_multicast")
    parser.add_argument("--control-address", default="127.0.0.1:50061", help="where the control service listens")
    parser.add_argument("--lab", default="lab", help="name by which its cameras are opened")
    parser.add_argument("--task", default="pick_cube", help="what is on the table")
    parser.add_argument("--seed", type=int, default=2_000_000, help="first episode, 2000000 to 2999999")
    return parser


def main() -> None:
    """Runs the lab until SIGINT or SIGTERM: exit 0. Exit 1, with the reason, if it cannot start or breaks."""
    args = _arguments().parse_args()
    os.environ.setdefault("MUJOCO_GL", "egl")  # read when MuJoCo is imported
    from virtual_lab.run import LabSettings, run

    try:
        run(LabSettings(**vars(args)))
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"virtual_lab: {error}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the interpreter's own ending would let a second Ctrl-C turn a clean stop into a failure


if __name__ == "__main__":
    main()
