"""The parts of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.serving import processes
from benchmarks.serving.contest import Rounds, compete
from benchmarks.serving.environment import LEROBOT, lerobot_python
from policy_server.certificates import make

ROBOTS = 8
EVERY_S = 0.1
"""Between a robot's questions, where they come at the pace of robots."""
HEALTH, HEALTH_IDLE = "health probe", "health probe of an idle server on the same machine"


@dataclass(frozen=True)
class Told:
    """What the command line asks for."""

    scratch: Path
    rounds: int
    requests: int
    messages: int
    say: Callable[[str], None]


def latency(told: Told) -> dict[str, Any]:
    """One robot: the server, plain and with mutual TLS, against a bare call with the same bytes."""
    tls_server, tls_robot = _certificates(told.scratch / "certs")
    with ExitStack() as stack:
        bare = stack.enter_context(processes.server("bare"))
        ours = stack.enter_context(processes.server("ours"))
        ours_tls = stack.enter_context(processes.server("ours", tls_server))
        clients = {
            "bare": stack.enter_context(processes.client("bare", bare.first_line)),
            "ours": stack.enter_context(processes.client("ours", ours.first_line)),
            "ours, mutual TLS": stack.enter_context(processes.client("ours", ours_tls.first_line, tls_robot)),
        }
        found = compete(clients, told.rounds, told.requests, told.say)
    return {
        "ratio_vs_bare": found.ratio("ours", "bare"),
        "ratio_vs_bare_mtls": found.ratio("ours, mutual TLS", "bare"),
        "latency": _rows(found),
    }


def lerobot(told: Told) -> dict[str, Any]:
    """One robot: the server against LeRobot's asynchronous inference, which sends raw pictures."""
    told.say("LeRobot's environment")
    python = lerobot_python(told.scratch / "lerobot")
    with ExitStack() as stack:
        ours = stack.enter_context(processes.server("ours"))
        theirs = stack.enter_context(processes.lerobot_server(python))
        clients = {
            "ours": stack.enter_context(processes.client("ours", ours.first_line)),
            f"LeRobot {LEROBOT}": stack.enter_context(processes.lerobot_client(python, theirs.first_line)),
        }
        found = compete(clients, told.rounds, told.requests, told.say)
    return {"speedup_vs_lerobot": found.ratio(f"LeRobot {LEROBOT}", "ours"), "lerobot": _rows(found)}


def crowd(told: Told) -> dict[str, Any]:
    """Eight robots and a policy of 15 ms and half a millisecond an item: batches against one by one.

    Meanwhile health is asked for at the server, and at one that has nothing to do: what is left there is the machine's.
    That is when robots ask without a pause, which keeps the cores busy; and again when each asks ten times a second.
    """
    with ExitStack() as stack:
        idle = stack.enter_context(processes.server("ours-slow"))
        ours = stack.enter_context(processes.server("ours-slow"))
        serial = stack.enter_context(processes.server("serial"))
        clients = {
            "ours": stack.enter_context(processes.client("ours", ours.first_line, robots=ROBOTS)),
            "one by one": stack.enter_context(processes.client("bare", serial.first_line, robots=ROBOTS)),
        }
        probes = {
            HEALTH: stack.enter_context(processes.client("health", ours.first_line)),
            HEALTH_IDLE: stack.enter_context(processes.client("health", idle.first_line)),
        }
        found = compete(clients, told.rounds, told.requests, told.say, {"ours": probes})
        robots = {
            "ours": stack.enter_context(processes.client("ours", ours.first_line, robots=ROBOTS, every_s=EVERY_S))
        }
        paced = compete(robots, told.rounds, told.requests, told.say, {"ours": probes})
    return {
        "batch8_ratio": found.ratio("ours", "one by one"),
        "health_p99_ms": found.quantile_ms(HEALTH, 0.99),
        "health_idle_p99_ms": found.quantile_ms(HEALTH_IDLE, 0.99),
        "health_p99_at_10_hz_ms": paced.quantile_ms(HEALTH, 0.99),
        "crowd": _rows(found),
        "crowd_at_10_hz": _rows(paced),
    }


def fuzz(told: Told) -> dict[str, Any]:
    """Messages that nobody should send, to every call."""
    from benchmarks.serving.fuzz import fuzz_own_server

    report = fuzz_own_server(told.messages, told.say)
    return {
        "fuzz": {
            "messages": report.messages,
            "crashes": report.crashes,
            "hangs": report.hangs,
            "rss_growth": report.rss_growth,
            "wrong_statuses": len(report.findings),
            "calls": {name: call.messages for name, call in report.calls.items()},
        }
    }


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Folders of the server's and the robot's certificate."""
    issued = make(folder, ["robot-0"], [], [], datetime.now(timezone.utc))
    return issued[0].folder, next(each.folder for each in issued if each.folder.name == "robot-0")


def _rows(found: Rounds) -> dict[str, dict[str, float]]:
    return {
        name: {"p50_ms": found.quantile_ms(name, 0.5), "p99_ms": found.quantile_ms(name, 0.99)} for name in found.took
    }
