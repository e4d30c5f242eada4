"""What a load test found, as a table and as JSON."""

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from policy_server.bench.load import Load

_STAGES = ("decode", "preprocess", "queue", "infer", "postprocess")


@dataclass(frozen=True)
class Quantiles:
    """Of one quantity, milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Report:
    """rtt: sending to answer. Stages: as the server says. network: what is left of rtt; client and wire."""

    target: str
    clients: int
    seconds: float
    answers: int
    answers_per_s: float
    times: dict[str, Quantiles]
    batches: dict[int, int]
    """Rows answered together -> answers of that kind."""
    errors: dict[str, int]
    first_error: str

    @classmethod
    def of(cls, target: str, load: Load) -> "Report":
        """Quantiles over all answers of all robots; no `times` if there is none."""
        times: dict[str, Quantiles] = {}
        if load.samples:
            rtt_ms = np.array([sample.rtt_ns for sample in load.samples]) / 1e6
            stages_ms = {
                stage: np.array([getattr(sample.timing, f"{stage}_us") for sample in load.samples]) / 1e3
                for stage in _STAGES
            }
            times = {"rtt": _quantiles(rtt_ms), "network": _quantiles(rtt_ms - sum(stages_ms.values()))}
            times |= {stage: _quantiles(values) for stage, values in stages_ms.items()}
        return cls(
            target=target,
            clients=load.clients,
            seconds=round(load.seconds, 3),
            answers=len(load.samples),
            answers_per_s=round(len(load.samples) / load.seconds, 3) if load.seconds else 0.0,
            times=times,
            batches=dict(sorted(Counter(sample.timing.batch for sample in load.samples).items())),
            errors=dict(load.errors),
            first_error=load.first_error,
        )

    def to_plain(self) -> dict[str, object]:
        """As JSON can hold it."""
        return asdict(self)

    def show(self, console: Console) -> None:
        """For people."""
        clients = "1 client" if self.clients == 1 else f"{self.clients} clients"
        rate = f"{self.answers} answers, {self.answers_per_s:.1f} a second"
        console.print(f"{self.target}: {clients}, {self.seconds:.1f} s, {rate}", soft_wrap=True)
        table = Table("stage")
        for column in ("p50 ms", "p99 ms", "max ms"):
            table.add_column(column, justify="right")
        for name, times in self.times.items():
            table.add_row(name, f"{times.p50_ms:.2f}", f"{times.p99_ms:.2f}", f"{times.max_ms:.2f}")
            if name == "rtt":
                table.add_section()
        console.print(table)
        for rows, count in self.batches.items():
            console.print(f"{100 * count / self.answers:.0f} % of the answers in batches of {rows}", soft_wrap=True)
        for name, count in self.errors.items():
            console.print(f"{count} x {name}", soft_wrap=True)
        if self.first_error:
            console.print(f"the first error: {self.first_error}", soft_wrap=True, markup=False)


def _quantiles(values_ms: NDArray[np.float64]) -> Quantiles:
    p50, p99 = np.quantile(values_ms, (0.5, 0.99))
    return Quantiles(round(float(p50), 4), round(float(p99), 4), round(float(values_ms.max()), 4))
