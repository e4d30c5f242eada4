"""`python -m policy_server [serve] --checkpoint DIR`, and the commands that go with a server."""

import argparse
import importlib
import logging
import os
import signal
import sys

from policy_api.errors import PolicyApiError
from policy_api.malloc import keep_large_blocks

from policy_server.threads import share_cores

COMMANDS = {
    "serve": ("policy_server.serve", "serve a policy (what is done if no command is named)"),
    "admin": ("policy_server.revisions.commands", "load, list, change and unload revisions of a running server"),
    "bench": ("policy_server.bench.command", "measure a running server from the outside"),
    "certs": ("policy_server.certificates", "make certificates for the server, robots and administrators"),
}
"""Command -> module with `add_arguments(parser)` and `run(arguments)`, and what it does. Loaded when it is called."""


def prepare_process() -> None:
    """Logging, signals, memory and threads of the server's process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # while loading there is nothing to drain
    keep_large_blocks()
    share_cores()


def main(argv: list[str] | None = None) -> None:
    """Run a command. Exit code 1, with the reason on stderr, if it fails."""
    argv = sys.argv[1:] if argv is None else argv
    named = bool(argv) and argv[0] in COMMANDS
    name = argv[0] if named else "serve"
    module = importlib.import_module(COMMANDS[name][0])
    texts = "\n".join(f"  {command:8} {text}" for command, (_, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=f"policy_server {name}" if named else "policy_server",
        description=COMMANDS[name][1],
        epilog=None if named else f"commands:\n{texts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    arguments = parser.parse_args(argv[named:])
    try:
        module.run(arguments)
    except (PolicyApiError, OSError, ValueError) as error:
        print(f"policy_server: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def entry() -> None:
    """What the installed command `policy_server` runs."""
    prepare_process()
    main()


if __name__ == "__main__":
    entry()
