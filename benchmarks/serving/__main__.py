"""How the policy server compares: `python -m benchmarks.serving [--only latency,crowd,lerobot,fuzz] [--rounds N]`.

Writes benchmarks/results/serving.json and serving.md; sections that are not measured again stay as they are.
"""

import argparse
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving import sections
from benchmarks.serving.results import Results

HERE = Path(__file__).resolve().parents[1]
SECTIONS: dict[str, Callable[[sections.Told], dict[str, Any]]] = {
    "latency": sections.latency,
    "lerobot": sections.lerobot,
    "crowd": sections.crowd,
    "fuzz": sections.fuzz,
}


def main() -> None:
    """Measure what is asked for, one section after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="of every comparison (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=60, help="of a client in a round (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=10_000, help="to fuzz every call with (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder (default: %(default)s)")
    told = parser.parse_args()
    if unknown := set(told.only.split(",")) - SECTIONS.keys():
        parser.error(f"no section is called {', '.join(sorted(unknown))}; known are {', '.join(SECTIONS)}")
    console = Console()
    results = Results(told.results)
    scratch = HERE.parent / "outputs" / "bench-serving"
    scratch.mkdir(parents=True, exist_ok=True)
    with console.status("") as status:
        asked = sections.Told(scratch, told.rounds, told.requests, told.messages, lambda text: status.update(text))
        for name in told.only.split(","):
            console.print(f"{datetime.now(timezone.utc):%H:%M:%S} {name}")
            results.keep(SECTIONS[name](asked))
    console.print(results.page(), highlight=False)


if __name__ == "__main__":
    main()
