"""What was measured: every try in a file of its own, so that a run can go on; a summary in JSON; a page of tables."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.attempt import MAKERS, Attempt
from benchmarks.faults.catalogue import ROWS, Row
from benchmarks.writing import machine, table, versions, write

NAME: Final = "faults.json"


@dataclasses.dataclass(frozen=True)
class Figures:
    """One row's tries, summed up. Times in ms, None where there are none; `passed` is None before the first try."""

    row: Row
    tries: int
    detect_p50_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    also_ms: dict[str, float]
    passed: bool | None
    failures: tuple[str, ...]
    breaches: int
    skipped: str


def figures(row: Row, attempts: Sequence[Attempt], skipped: str = "") -> Figures:
    """Sum up the tries of a row: it has passed if none failed, none broke the invariant and the p99 keeps the bound.

    A row with a bound and a try without a time has not passed.
    """
    times = sorted(a.react_ms for a in attempts if a.react_ms is not None)
    failures = tuple(dict.fromkeys(a.failure for a in attempts if a.failure))
    broken = sum(len(a.breaches) for a in attempts)
    also = {name: [a.also_ms[name] for a in attempts if name in a.also_ms] for a in attempts for name in a.also_ms}
    p99 = quantile(times, 0.99)
    passed: bool | None = None
    if attempts:
        in_time = row.bound_ms is None or (len(times) > 0 and p99 is not None and p99 <= row.bound_ms)
        passed = not failures and not broken and in_time
    return Figures(
        row=row,
        tries=len(attempts),
        detect_p50_ms=quantile(sorted(a.detect_ms for a in attempts if a.detect_ms is not None), 0.5),
        p50_ms=quantile(times, 0.5),
        p99_ms=p99,
        max_ms=times[-1] if times else None,
        also_ms={name: max(values) for name, values in also.items()},
        passed=passed,
        failures=failures,
        breaches=broken,
        skipped=skipped,
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The least of these ordered values that `share` of them do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -(-round(share * 1e6) * len(ordered) // 1_000_000) - 1))]


class Results:
    """The tries of all rows in `faults.json` of a directory, and the page that shows them."""

    def __init__(self, directory: Path, page: Path) -> None:
        """Takes up what the file holds; raises ValueError if it is no file of this benchmark."""
        self._path = directory / NAME
        self._page = page
        self._attempts: dict[int, list[Attempt]] = {}
        self._skipped: dict[int, str] = {}
        self.counts: dict[str, Any] = {
            "property_cases": 0,
            "property_breaches": [],
            "chaos_runs": 0,
            "chaos_seeds": [],
            "chaos_breaches": [],
            "chaos_failures": [],
        }
        if self._path.exists():
            self._read(json.loads(self._path.read_text(encoding="utf-8")))

    def _read(self, old: Mapping[str, Any]) -> None:
        try:
            for row in old["rows"]:
                attempts = [Attempt(**{**a, "breaches": tuple(a["breaches"])}) for a in row["attempts"]]
                self._attempts[int(row["id"])] = attempts
                self._skipped[int(row["id"])] = row["skipped"]
            self.counts |= {name: old[name] for name in self.counts if name in old}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is no result of this benchmark ({error}); move it away") from error

    def tried(self, row: int) -> int:
        """How many tries of a row there are."""
        return len(self._attempts.get(row, []))

    def forget(self, row: int) -> None:
        """Drop the tries of a row."""
        self._attempts.pop(row, None)
        self._skipped.pop(row, None)

    def add(self, row: int, attempt: Attempt) -> None:
        """Keep one try, at once."""
        self._attempts.setdefault(row, []).append(attempt)
        self._skipped.pop(row, None)
        self.save()

    def skip(self, row: int, why: str) -> None:
        """The row cannot be tried here."""
        self._skipped[row] = why
        self.save()

    def rows(self) -> list[Figures]:
        """All rows, summed up."""
        return [figures(row, self._attempts.get(row.id, []), self._skipped.get(row.id, "")) for row in ROWS]

    def save(self) -> None:
        """Write both files."""
        rows = self.rows()
        values = {
            "machine": machine(),
            "versions": versions(),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "rows": [self._row(each) for each in rows],
            "invariant_breaches": sum(each.breaches for each in rows)
            + sum(len(self.counts[name]) for name in ("chaos_breaches", "property_breaches")),
            **self.counts,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write(self._path, json.dumps(values, indent=1) + "\n")
        self._page.parent.mkdir(parents=True, exist_ok=True)
        write(self._page, page(rows, values))

    def _row(self, each: Figures) -> dict[str, Any]:
        return {
            "id": each.row.id,
            "fault": each.row.fault,
            "bound_ms": each.row.bound_ms,
            "p50_ms": each.p50_ms,
            "p99_ms": each.p99_ms,
            "tries": each.tries,
            "passed": each.passed,
            "seam": each.row.seam,
            "built": each.row.id in MAKERS,
            "failures": list(each.failures),
            "skipped": each.skipped,
            "attempts": [dataclasses.asdict(a) for a in self._attempts.get(each.row.id, [])],
        }


def page(rows: Sequence[Figures], values: Mapping[str, Any]) -> str:
    """The figures as tables in Markdown."""
    built = sum(each.row.id in MAKERS for each in rows)
    passed = sum(each.passed is True for each in rows)
    parts = [
        "# What goes wrong, and what happens then\n\n"
        f"`make faults`, {values['date']}, on {values['machine']['cores']} cores of {values['machine']['cpu']}. "
        f"{len(rows)} faults, {built} of them with a test, {passed} within their bound.\n\n"
        "Faults are put into real processes: the driver, the virtual arm on its CAN bus, the policy server behind a\n"
        "TCP proxy, the recorder. *Noticed* is the time to the first word about the fault on a topic (median),\n"
        "*reaction* the time to what the bound is about. A bound of - means that the outcome counts, not a time. In a\n"
        "row that passed, all setpoints that went out over CAN were finite, continuous and within the limits.\n"
    ]
    for group in dict.fromkeys(each.row.group for each in rows):
        chosen = [each for each in rows if each.row.group == group]
        parts.append(f"## {group.capitalize()}\n\n" + table(_HEAD, [_line(each) for each in chosen]))
    if why := [line for each in rows for line in _why(each)]:
        parts.append("## What did not pass, and what was not tried\n\n" + "".join(f"- {line}\n" for line in why))
    runs, breaches = values["chaos_runs"], values["chaos_breaches"]
    parts.append(
        "## Random kills, stops and delays of the whole loop\n\n"
        f"{runs} runs, {len(values['chaos_failures'])} of which did not come back by themselves, "
        f"{len(breaches)} breaches of the invariant. Beside them {values['property_cases']} random situations of the\n"
        f"limiter alone, {len(values['property_breaches'])} breaches.\n"
        + "".join(f"- {text}\n" for text in [*breaches, *values["chaos_failures"]])
    )
    return "\n".join(parts)


_HEAD: Final = (
    "",
    "fault",
    "what must happen",
    "bound, ms",
    "noticed",
    "reaction p50",
    "p99",
    "worst",
    "tries",
    "passed",
)


def _line(each: Figures) -> tuple[str, ...]:
    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"

    verdict = {True: "yes", False: "**no**", None: "not tried" if each.row.id in MAKERS else "not yet"}[each.passed]
    also = "".join(f"; {name} {ms(value)} ms at worst" for name, value in each.also_ms.items())
    fault = each.row.fault if each.row.seam == "processes" else f"{each.row.fault} ({each.row.seam})"
    bound = "-" if each.row.bound_ms is None else f"{each.row.bound_ms:g}"
    times = (ms(each.detect_p50_ms), ms(each.p50_ms), ms(each.p99_ms), ms(each.max_ms))
    return (str(each.row.id), fault, each.row.expected + also, bound, *times, str(each.tries), verdict)


def _why(each: Figures) -> list[str]:
    if each.skipped and not each.tries:
        return [f"{each.row.id}, {each.row.fault}: not tried: {each.skipped}"]
    if each.passed is not False:
        return []
    texts = [failure.splitlines()[0] for failure in each.failures]
    texts += [f"{each.breaches} setpoints broke the invariant"] if each.breaches else []
    if each.row.bound_ms is not None and each.p99_ms is not None and each.p99_ms > each.row.bound_ms:
        texts.append(f"it took {each.p99_ms:.0f} ms, at most {each.row.bound_ms:g} ms is allowed")
    return [f"{each.row.id}, {each.row.fault}: {'; '.join(texts) or 'no reaction was seen'}"]
