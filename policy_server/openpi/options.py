"""`--openpi` on the command line."""

import argparse

from policy_server.observing import Observer
from policy_server.openpi.mapping import ObservationKeys
from policy_server.openpi.server import OpenPiServer
from policy_server.seam import Hub


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    group = parser.add_argument_group("openpi", "a WebSocket door for robots that speak openpi's protocol")
    group.add_argument("--openpi", metavar="HOST:PORT", help="where to listen, for example 127.0.0.1:8000")
    group.add_argument(
        "--openpi-key",
        action="append",
        default=[],
        metavar="NAME=KEY",
        help="where observations have a camera, the state or the prompt, if not under the usual names",
    )


def open_door(arguments: argparse.Namespace, hub: Hub, observer: Observer) -> OpenPiServer | None:
    """The endpoint that was asked for, listening; None if none was. Raises ValueError, OSError."""
    keys = ObservationKeys.parse(arguments.openpi_key)
    if arguments.openpi is None:
        if keys.chosen:
            raise ValueError("--openpi-key is for the door that --openpi HOST:PORT opens; give that, too")
        return None
    for spec, _, _ in hub.contracts():
        keys.check(spec)
    door = OpenPiServer(hub, arguments.openpi, keys, observer=observer, insecure_bind=arguments.insecure_bind)
    print(f"openpi ready on ws://{door.address}", flush=True)
    return door
