"""Send a server what nobody should send: `python -m benchmarks.serving.fuzz [--messages 10000]`.

Every call of the protocol gets messages made up by hypothesis, damaged ones, raw bytes and pickles. Each must be
answered in time with a status that fits, the server must live on, serve a good robot as before, and not grow.
"""

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import grpc
import psutil
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.serving.fuzz_recipes import MARKER_NAME, Recipe, recipes
from benchmarks.serving.fuzz_targets import DAMAGED, TIMEOUT_S, Code, Robots, Target, admin_targets, policy_targets

_MAX_FINDINGS = 20
_MAX_TEXT = 1000
_READY = re.compile(r"ready on (\S+): .*?(?:\(admin on (\S+)\))?$")
_NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]


@dataclass
class Found:
    """What fuzzing one call, or several, has shown."""

    messages: int = 0
    hangs: int = 0
    crashes: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    """What was wrong, with the message; the first twenty."""

    def note(self, finding: str) -> None:
        """Keep a finding, if there are not many."""
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(finding)


@dataclass
class Report:
    """All calls together. `rss_growth`: of the server's memory after the first tenth, as a share."""

    messages: int
    crashes: int
    hangs: int
    rss_growth: float
    calls: dict[str, Found]

    @property
    def findings(self) -> list[str]:
        """Of all calls."""
        return [f"{call}: {finding}" for call, found in self.calls.items() for finding in found.findings]


def server_command(folder: Path) -> list[str]:
    """A real server with a policy that costs nothing, and an admin port. `folder` gets checkpoints that are none."""
    damaged = folder / DAMAGED
    damaged.mkdir()
    for name in ("manifest.json", "policy.safetensors", "policy.pt"):
        (damaged / name).write_bytes(b"\x80\x04N." * 100)
    anywhere = "127.0.0.1:0"
    options = {"--backend": "scripted:wave", "--address": anywhere, "--checkpoints": str(folder), "--admin": anywhere}
    return [sys.executable, "-m", "policy_server", *(word for option in options.items() for word in option)]


class Server:
    """A server in a process of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = _READY.search(line.strip())
        if match is None:
            self.process.kill()
            raise RuntimeError(f"the server did not start; it said {line!r}")
        self.address, self.admin_address = match[1], match[2]

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def rss_bytes(self) -> int:
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def fuzz_call(target: Target, channel: grpc.Channel, server: Server, marker: Path, messages: int, number: int) -> Found:
    """Send so many messages to one call. `number` chooses which."""
    found = Found()
    call = (channel.unary_stream if target.streams else channel.unary_unary)(target.method)

    def ask(recipe: Recipe) -> None:
        if not server.is_running:
            return
        data = recipe(target.valid())
        code, text = _status(call, data, target)
        found.messages += 1
        found.statuses[code.name] += 1
        expected = target.right if _is_message(target, data) else {Code.INVALID_ARGUMENT}
        shown = f"{len(data)} bytes {data[:80].hex()}: {code.name} {text[:200]!r}"
        if not server.is_running:
            found.crashes += 1
            found.note(f"crash after {shown}")
        elif code is Code.DEADLINE_EXCEEDED:
            found.hangs += 1
            found.note(f"no answer to {shown}")
        elif code not in expected:
            found.note(f"expected {sorted(c.name for c in expected)}, {shown}")
        elif code is not Code.OK and (not text or len(text) > _MAX_TEXT or "Traceback" in text or 'File "' in text):
            found.note(f"a text that helps nobody, {shown}")

    run = given(recipes(target.kind, marker))(ask)
    settings(
        max_examples=messages,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(seed(number)(run))()
    if marker.exists():
        found.note("a pickle was run")
    return found


def _status(call: Callable[..., Any], data: bytes, target: Target) -> tuple[grpc.StatusCode, str]:
    try:
        answer = call(data, timeout=TIMEOUT_S)
        if target.meanwhile is not None:
            target.meanwhile()
        if target.streams:
            for _ in answer:
                pass
        elif target.settle is not None:
            target.settle(answer)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return Code.OK, ""


def _is_message(target: Target, data: bytes) -> bool:
    try:
        target.kind.FromString(data)
    except DecodeError:
        return False
    return True


def garbage_connections(address: str, connections: int) -> None:
    """Open so many connections and send what is no HTTP/2: random bytes, HTTP/1, a pickle, nothing."""
    host, _, port = address.rpartition(":")
    chance = random.Random(connections)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for number in range(connections):
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as connection:
            noise = chance.randbytes(chance.randrange(1, 3000))
            kinds = (noise, b"GET /metrics HTTP/1.1\r\n\r\n", b"\x80\x04N.", b"", preface + noise)
            try:
                connection.sendall(kinds[number % len(kinds)])
            except ConnectionError:
                continue  # hung up on, as it should be


@contextmanager
def _targets(server: Server) -> Iterator[tuple[Robots, list[tuple[Target, grpc.Channel]]]]:
    with grpc.insecure_channel(server.address, _NO_LIMIT) as channel:
        robots = Robots(channel)
        targets = [(target, channel) for target in policy_targets(robots)]
        if not server.admin_address:
            yield robots, targets
            return
        with grpc.insecure_channel(server.admin_address, _NO_LIMIT) as admin:
            yield robots, targets + [(target, admin) for target in admin_targets(robots)]


Tell: TypeAlias = Callable[[str], None]


def fuzz(server: Server, messages: int, tell: Tell = lambda line: None) -> Report:
    """Fuzz every call of a running server, `messages` times each after a tenth as many to warm it up."""
    calls: dict[str, Found] = {}
    with TemporaryDirectory() as folder, _targets(server) as (robots, targets):
        marker = Path(folder) / MARKER_NAME
        before = 0
        for number, count in enumerate((max(1, messages // 10), messages)):
            before = server.rss_bytes() if number else 0
            for target, channel in targets:
                name, started = target.method.rpartition(".")[2], time.monotonic()
                found = fuzz_call(target, channel, server, marker, count, number)
                robots.close()
                if server.is_running and not robots.is_served():
                    found.note("a good robot is not served any more")
                took_s = time.monotonic() - started
                statuses = dict(found.statuses)
                tell(f"{name}: {found.messages} messages, {took_s:.1f} s, {statuses}, {len(found.findings)} findings")
                calls[name] = _added(calls.get(name, Found()), found)
            garbage_connections(server.address, 50)
        if not robots.is_served():
            calls["connections"] = Found(crashes=1, findings=["after garbage on connections no robot is served"])
        robots.close()
        after = server.rss_bytes()
    return Report(
        messages=sum(found.messages for found in calls.values()),
        crashes=sum(found.crashes for found in calls.values()),
        hangs=sum(found.hangs for found in calls.values()),
        rss_growth=after / before - 1.0,
        calls=calls,
    )


def fuzz_own_server(messages: int, tell: Tell) -> Report:
    """Fuzz a server that is started for it."""
    with TemporaryDirectory() as folder:
        server = Server(server_command(Path(folder)))
        try:
            return fuzz(server, messages, tell)
        finally:
            server.stop()


def _added(a: Found, b: Found) -> Found:
    return Found(
        a.messages + b.messages,
        a.hangs + b.hangs,
        a.crashes + b.crashes,
        a.statuses + b.statuses,
        (a.findings + b.findings)[:_MAX_FINDINGS],
    )


def main(argv: list[str] | None = None) -> None:
    """Fuzz a server of our own, print and write what was found; exit code 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="for each call (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the report")
    arguments = parser.parse_args(argv)
    report = fuzz_own_server(arguments.messages, lambda line: print(line, flush=True))
    print(
        f"{report.messages} messages: {report.crashes} crashes, {report.hangs} hangs, memory {report.rss_growth:+.1%}"
    )
    for finding in report.findings:
        print(f"  {finding}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    if report.findings or report.crashes or report.hangs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
