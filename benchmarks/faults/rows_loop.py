"""Faults of the policy server and of the network to it, while a run of the policy moves the arm."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import grpc
from policy_api.client import PolicyClient
from policy_api.errors import PolicyApiError

from benchmarks.faults.attempt import Attempt, since_ms, tries
from benchmarks.faults.processes import START_S, Child, TryError, free_port
from benchmarks.faults.ring import Ring

REACTION_S: Final = 5.0
RESUME_MS: Final = 2000.0
OUTAGE_S: Final = 1.0
_INFER: Final = "/policy_api.v1.PolicyService/Infer"


def _outage(ring: Ring, began_ns: int, back: Callable[[], int], from_question: bool = False) -> Attempt:
    """Waits for HOLD, lets the fault last a while, ends it, and waits until another chunk is played.

    from_question: times count from the first question that was asked after the fault began.
    """
    chunks = ring.status.chunks
    try:
        noticed_ns = ring.heard_runner(began_ns, REACTION_S, "waiting", "failed", "stopped")
        held_ns = ring.desk.mode_since(began_ns, REACTION_S, "HOLD", "FAULT")
    except TryError as error:
        return Attempt(failure=f"no reaction: {error}", breaches=ring.breaches())
    time.sleep(OUTAGE_S)
    returned_ns = back()
    since_ns = ring.asked(began_ns) if from_question else began_ns
    since_ns = since_ns if since_ns < held_ns else began_ns
    also: dict[str, float] = {}
    failure = ""
    try:
        also["resume"] = max(0.0, (ring.played(held_ns, chunks, 20.0) - returned_ns) / 1e6)
        if also["resume"] > RESUME_MS:
            failure = f"the arm moved again after {also['resume']:.0f} ms; at most {RESUME_MS:.0f} is allowed"
    except TryError as error:
        failure = f"the run did not go on: {error}"
    return Attempt(
        since_ms(since_ns, noticed_ns), since_ms(since_ns, held_ns), also, failure=failure, breaches=ring.breaches()
    )


@tries(1, rig="ring")
def server_killed(ring: Ring, number: int) -> Attempt:
    """SIGKILL, and a new server at the same address a second later; it is back when it serves."""

    def back() -> int:
        ring.start_server()
        return time.monotonic_ns()

    return _outage(ring, ring.server.kill(), back)


@tries(2, rig="ring")
def server_stopped(ring: Ring, number: int) -> Attempt:
    """SIGSTOP, and SIGCONT a second after HOLD; from the first question that is not answered."""
    began_ns = ring.server.signal(signal.SIGSTOP)
    try:
        return _outage(ring, began_ns, lambda: ring.server.signal(signal.SIGCONT), from_question=True)
    finally:
        ring.server.signal(signal.SIGCONT)


@tries(13, rig="ring")
def black_hole(ring: Ring, number: int) -> Attempt:
    """The proxy keeps the connection and passes nothing on; from the first question that is not answered."""
    began_ns = time.monotonic_ns()
    ring.proxy.set(blackhole=True)

    def back() -> int:
        ring.proxy.set()
        return time.monotonic_ns()

    return _outage(ring, began_ns, back, from_question=True)


def _degraded(ring: Ring, seconds: float, most_holds: int) -> Attempt:
    """Lets the loop run for a while under a fault that it should live with."""
    began_ns = time.monotonic_ns()
    before = ring.status.chunks
    time.sleep(seconds)
    holds = [s for s in list(ring.desk.modes) if s.time_ns >= began_ns and s.what[0] != "POLICY"]
    changes = [s for s, last in zip(holds, [None, *holds], strict=False) if last is None or s.what != last.what]
    failure = ""
    if len(changes) > most_holds:
        failure = f"{len(changes)} stops in {seconds:g} s, the first: {changes[0].what[1]}"
    elif not changes and ring.status.chunks <= before:
        failure = "no chunk was played, and the arm was not held"
    detect = since_ms(began_ns, changes[0].time_ns) if changes else None
    return Attempt(detect, None, {}, failure, ring.breaches())


@tries(3, rig="ring")
def server_slow(ring: Ring, number: int) -> Attempt:
    """Every answer comes 150 ms later."""
    ring.proxy.set(latency_s=0.075)
    return _degraded(ring, 5.0, 0)


@tries(4, rig="ring")
def latency_spike(ring: Ring, number: int) -> Attempt:
    """Answers come after their chunk's time for one second: HOLD or dropped chunks, and the run goes on or waits."""
    ring.proxy.set(latency_s=0.2, jitter_s=0.2)
    time.sleep(1.0)
    ring.proxy.set()
    return _degraded(ring, 5.0, 1)


@tries(14, rig="ring")
def loss_and_jitter(ring: Ring, number: int) -> Attempt:
    """Jitter of 200 ms and a reset of the connection with every twentieth piece, for ten seconds."""
    ring.proxy.set(jitter_s=0.2, loss=0.05)
    return _degraded(ring, 10.0, 1)


@tries(15, rig="ring")
def reset_every_second(ring: Ring, number: int) -> Attempt:
    """The connection is reset, and the time until the policy moves the arm again is measured."""
    began_ns = time.monotonic_ns()
    chunks = ring.status.chunks
    ring.proxy.reset()
    end = time.monotonic() + REACTION_S
    while time.monotonic() < end:
        later = [s for s in list(ring.desk.runner) if s.time_ns > began_ns and s.what.chunks > chunks]
        if later and ring.desk.mode == "POLICY":
            return Attempt(None, since_ms(began_ns, later[0].time_ns), breaches=ring.breaches())
        time.sleep(0.005)
    return Attempt(failure=f"no chunk within {REACTION_S:g} s: {ring.status.reason}", breaches=ring.breaches())


@tries(16, rig="ring")
def one_megabit(ring: Ring, number: int) -> Attempt:
    """1 Mbit/s in each direction, for five seconds."""
    ring.proxy.set(bytes_per_s=125_000, slice_bytes=1400)
    return _degraded(ring, 5.0, 1)


@tries(17, rig="ring")
def second_client(ring: Ring, number: int) -> Attempt:
    """Another robot takes the first one's name, and one asks without a session, while a run is in progress."""
    began_ns = time.monotonic_ns()
    before = ring.status.chunks
    with PolicyClient(ring.server_address, "other") as client:
        try:
            client.open_session(timeout_s=3.0)
            client.close()
        except PolicyApiError:
            pass  # a server that has no room for it may refuse
    time.sleep(2.0)
    stopped = [s for s in list(ring.desk.modes) if s.time_ns >= began_ns and s.what[0] != "POLICY"]
    failure = ""
    if stopped:
        failure = f"the first robot was stopped: {stopped[0].what[1]}"
    elif ring.status.chunks <= before:
        failure = "the first robot got no more chunks"
    return Attempt(failure=failure, breaches=ring.breaches())


_JUNK: Final = (
    (b"cos\nsystem\n(S'touch {0}'\ntR.", "a pickle"),
    (b"\xff" * 4096, "garbage"),
    (b"\0" * (16 * 1024 * 1024), "16 MiB"),
)
_REFUSALS: Final = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL)


@tries(18, rig="ring")
def junk(ring: Ring, number: int) -> Attempt:
    """A pickle that would make a file, garbage, or 16 MiB as a request to Infer."""
    body, what = _JUNK[number % len(_JUNK)]
    mark = ring.log_dir / "executed"
    body = body.replace(b"{0}", str(mark).encode())
    with grpc.insecure_channel(ring.server_address) as channel:
        call = channel.unary_unary(_INFER)
        began_ns = time.monotonic_ns()
        try:
            call(body, timeout=3.0)
            failure = f"{what} was answered"
        except grpc.RpcError as error:
            failure = "" if error.code() in _REFUSALS else f"{what} was refused with {error.code().name}"
        answered_ns = time.monotonic_ns()
    if mark.exists():
        failure = "a pickle was executed"
    if not ring.server.alive:
        failure = f"{what} ended the server"
    return Attempt(since_ms(began_ns, answered_ns), None, failure=failure, breaches=ring.breaches())


def _refused_start(log_dir: Path, *arguments: str) -> Attempt:
    """A server that must say why it cannot start, and does not show a traceback."""
    command = ["policy_server", *arguments, "--address", f"127.0.0.1:{free_port()}"]
    server = Child.module("refused_server", command, log_dir)
    try:
        status = server.wait(START_S)
    finally:
        server.end()
    text = server.text()
    if status == 0 or "Traceback" in text:
        return Attempt(failure=f"the server ended with {status}: {text[-300:]}")
    return Attempt()


@tries(11, rig="none")
def bad_checkpoint(log_dir: Path, number: int) -> Attempt:
    """A checkpoint that is missing, empty, or holds a pickle for weights: refused, no traceback, not executed."""
    folder = log_dir / f"checkpoint{number}"
    if number % 3:
        folder.mkdir(parents=True, exist_ok=True)
    mark = log_dir / "checkpoint_executed"
    if number % 3 == 2:
        (folder / "manifest.json").write_text("{}", encoding="utf-8")
        (folder / "policy.pt").write_bytes(f"cos\nsystem\n(S'touch {mark}'\ntR.".encode())
    attempt = _refused_start(log_dir, "--checkpoint", str(folder))
    return Attempt(failure="a pickle was executed") if mark.exists() else attempt
