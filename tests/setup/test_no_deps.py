"""Packages that are installed without their dependencies: pinned by hash, and all there."""

import re
from importlib.metadata import version
from pathlib import Path

LINES = (Path(__file__).parents[2] / "constraints" / "no-deps.txt").read_text().splitlines()
PINS = [line for line in LINES if not line.startswith("#")]


def test_every_package_is_pinned_by_hash_and_installed():
    assert PINS
    for pin in PINS:
        name, number = re.fullmatch(r"([a-z-]+)==([\d.]+) --hash=sha256:[0-9a-f]{64}", pin).groups()
        assert version(name) == number


def test_what_they_need_is_there():
    import openpi_client.action_chunk_broker
    import openpi_client.websocket_client_policy

    assert openpi_client.action_chunk_broker.ActionChunkBroker
    assert openpi_client.websocket_client_policy.WebsocketClientPolicy
