"""`python -m policy_server admin`: what operators do, from a shell.

    python -m policy_server admin load runs/pusher-2
    python -m policy_server admin list
    python -m policy_server admin traffic --canary 3f9a --canary-fraction 0.2
    python -m policy_server admin traffic --stable canary
    python -m policy_server admin rollback
    python -m policy_server admin unload 3f9a

A revision is named by the first digits of its hash, or by what it is for: stable, canary, shadow, previous.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

import grpc
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.channel import TlsFiles, open_channel
from policy_api.refusals import refusal
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn

from policy_server.revisions.tables import guardrails_text, revision_table, traffic_text

DEFAULT_ADDRESS = "127.0.0.1:50052"
_TIMEOUT_S = 10.0
_GUARDRAILS = {
    "min_answers": (int, "requests of the canary before rates count"),
    "max_deadline_misses": (float, "share of the requests"),
    "max_bad_answers": (int, "so many answers that cannot be sent end the canary"),
    "max_clipped": (float, "share of the numbers on the edge of their range"),
    "min_episodes": (int, "judged episodes before success counts"),
    "max_success_drop": (float, "below the stable revision's"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m policy_server admin`."""
    parser.add_argument(
        "--address", default=DEFAULT_ADDRESS, help="host:port of the server's admin port (default: %(default)s)"
    )
    parser.add_argument("--tls", type=Path, metavar="DIR", help="folder with an administrator's certificate")
    commands = parser.add_subparsers(dest="action", required=True)
    load = commands.add_parser("load", help="load a checkpoint beside those that serve")
    load.add_argument("checkpoint", help="its directory, relative to the server's folder of checkpoints")
    load.add_argument("--revision", default="", help="SHA-256 that its weights must have")
    listing = commands.add_parser("list", help="what is in memory, what it did, and who answers")
    listing.add_argument("--model", default="", help="of one model (default: all)")
    traffic = commands.add_parser("traffic", help="change who answers; what is not named stays as it is")
    traffic.add_argument("--model", default="", help="name of the model, if there are several")
    traffic.add_argument("--stable", metavar="REVISION", help="answers all other episodes")
    for slot, share in (("canary", "episodes"), ("shadow", "observations")):
        traffic.add_argument(f"--{slot}", metavar="REVISION", help=f"'none' for no {slot}")
        traffic.add_argument(f"--{slot}-fraction", type=float, metavar="SHARE", help=f"of the {share}, 0..1")
    traffic.add_argument("--reason", default="", help="for whoever looks at it later")
    for name, (kind, text) in _GUARDRAILS.items():
        option = f"--{name.replace('_', '-')}"
        off = "; 0: not watched" if name.startswith("max_") else ""
        traffic.add_argument(option, type=kind, metavar="N" if kind is int else "SHARE", help=text + off)
    rollback = commands.add_parser("rollback", help="back to the stable revision before, at once")
    rollback.add_argument("--model", default="", help="name of the model, if there are several")
    unload = commands.add_parser("unload", help="take a revision out of memory")
    unload.add_argument("revision")
    unload.add_argument("--force", action="store_true", help="even if sessions hold it; they are ended")


def run(arguments: argparse.Namespace) -> None:
    """Do it and print what became of it. PolicyApiError, ValueError and OSError say why that was not possible."""
    credentials = TlsFiles.of(arguments.tls) if arguments.tls is not None else None
    console = Console(markup=False)
    with open_channel(arguments.address, credentials) as channel:
        operator = _Operator(policy_pb2_grpc.PolicyAdminStub(channel), console)
        try:
            getattr(operator, arguments.action)(arguments)
        except grpc.RpcError as error:
            raise refusal(error, arguments.address, _TIMEOUT_S) from error


class _Operator:
    """One method an action."""

    def __init__(self, stub: policy_pb2_grpc.PolicyAdminStub, console: Console) -> None:
        self._stub = stub
        self._console = console

    def load(self, arguments: argparse.Namespace) -> None:
        request = pb.LoadRevisionRequest(checkpoint=arguments.checkpoint, revision=arguments.revision)
        latest = pb.LoadProgress()
        with Progress("{task.description}", BarColumn(), TaskProgressColumn(), console=self._console) as bars:
            phases: dict[int, TaskID] = {}
            for latest in self._stub.LoadRevision(request):
                if latest.phase not in phases:
                    phases[latest.phase] = bars.add_task(pb.Phase.Name(latest.phase).lower().replace("_", " "), total=1)
                bars.update(phases[latest.phase], completed=latest.fraction)
        if latest.phase != pb.ADMITTED:
            raise ValueError("the server ended the stream before the revision was admitted; see its log, and list")
        checked = (
            f"; golden answers are at most {latest.golden_error:.2%} of their range off" if len(phases) > 2 else ""
        )
        self._console.print(
            f"revision {latest.spec.revision} of model {latest.spec.model} is in memory{checked}", soft_wrap=True
        )

    def list(self, arguments: argparse.Namespace) -> None:
        self._show(self._stub.ListRevisions(pb.ListRevisionsRequest(model=arguments.model), timeout=_TIMEOUT_S))

    def traffic(self, arguments: argparse.Namespace) -> None:
        found = self._stub.ListRevisions(pb.ListRevisionsRequest(model=arguments.model), timeout=_TIMEOUT_S)
        request = pb.SetTrafficRequest(traffic=wanted_traffic(arguments, found))
        limits = {name: getattr(arguments, name) for name in _GUARDRAILS if getattr(arguments, name) is not None}
        if limits:
            request.guardrails.CopyFrom(found.guardrails[0])
            for name, limit in limits.items():
                setattr(request.guardrails, name, limit)
        self._console.print(traffic_text(self._stub.SetTraffic(request, timeout=_TIMEOUT_S)), soft_wrap=True)

    def rollback(self, arguments: argparse.Namespace) -> None:
        after = self._stub.Rollback(pb.RollbackRequest(model=arguments.model), timeout=_TIMEOUT_S)
        self._console.print(traffic_text(after), soft_wrap=True)

    def unload(self, arguments: argparse.Namespace) -> None:
        found = self._stub.ListRevisions(pb.ListRevisionsRequest(), timeout=_TIMEOUT_S)
        revision = named_revision(arguments.revision, found.revisions)
        request = pb.UnloadRevisionRequest(revision=revision, force=arguments.force)
        self._stub.UnloadRevision(request, timeout=_TIMEOUT_S)
        self._console.print(f"revision {revision} is not in memory any more", soft_wrap=True)

    def _show(self, found: pb.ListRevisionsResponse) -> None:
        for traffic, guardrails in zip(found.traffic, found.guardrails, strict=True):
            self._console.print(
                revision_table(traffic.model, [r for r in found.revisions if r.spec.model == traffic.model])
            )
            self._console.print(traffic_text(traffic), guardrails_text(guardrails), sep="\n", soft_wrap=True)


def wanted_traffic(arguments: argparse.Namespace, found: pb.ListRevisionsResponse) -> pb.Traffic:
    """The traffic that holds, changed as the options say; ValueError if there are several models and none is named."""
    if len(found.traffic) != 1:
        names = ", ".join(traffic.model for traffic in found.traffic) or "none"
        raise ValueError(f"name one model with --model; there are: {names}")
    wanted = pb.Traffic()
    wanted.CopyFrom(found.traffic[0])
    wanted.reason = arguments.reason
    revisions = [status for status in found.revisions if status.spec.model == wanted.model]
    if arguments.stable is not None:
        wanted.stable = named_revision(arguments.stable, revisions)
    for slot in ("canary", "shadow"):
        named, share = getattr(arguments, slot), getattr(arguments, f"{slot}_fraction")
        if named is not None:
            setattr(wanted, slot, "" if named == "none" else named_revision(named, revisions))
        if share is not None:
            setattr(wanted, f"{slot}_fraction", share)
        if not getattr(wanted, slot) or (named is None and getattr(wanted, slot) == wanted.stable):
            setattr(wanted, slot, "")  # ended, or it has become the stable one
            setattr(wanted, f"{slot}_fraction", share or 0.0)
        elif math.isclose(getattr(wanted, f"{slot}_fraction"), 0.0) and share is None:
            raise ValueError(f"say how much the {slot} gets, with --{slot}-fraction")
    return wanted


def named_revision(name: str, revisions: Iterable[pb.RevisionStatus]) -> str:
    """The whole hash of the one revision that is named by its first digits or by its slot; ValueError."""
    known = list(revisions)
    found = sorted({r.spec.revision for r in known if r.slot == name or (name and r.spec.revision.startswith(name))})
    if len(found) == 1:
        return found[0]
    listed = ", ".join(sorted(f"{r.spec.revision[:12]} ({r.slot})" for r in known)) or "none"
    raise ValueError(f"{name!r} names {'several revisions' if found else 'no revision in memory'}; there are: {listed}")
