"""How long a person waits for one answer (``python -m benchmarks.startup``).

Every row of :func:`probes` is a command that a person types. "Cold" means that no process of ours runs
before; the files lie in the page cache, as on a machine that is in use.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine, measuring, page, students
from benchmarks.courses import ROOT, original
from benchmarks.page import number
from benchmarks.sides import AUTOGRADER


@dataclass(frozen=True)
class Probe:
    """One command, and the seconds that it may take."""

    name: str
    command: tuple[str, ...]
    goal_s: float
    warm: bool = False
    """Whether ``autograder warm`` has been run."""


def probes(notebook: Path) -> list[Probe]:
    """What is measured. ``notebook`` is a submission to ex1_tensors."""
    check = (AUTOGRADER, "check", str(notebook), "--assignment", "ex1_tensors")
    return [
        Probe("`autograder --help`", (AUTOGRADER, "--help"), 0.3),
        Probe("`autograder check` of a light notebook, cold", check, 8.0),
        Probe("the same after `autograder warm`", check, 0.5, warm=True),
    ]


def measure(probe: Probe, rounds: int, folder: Path) -> dict[str, Any]:
    """Median and largest wall time of ``rounds`` runs, after one that does not count."""
    log = folder / "probe.log"
    if probe.warm:
        _warm(log, "ex1_tensors")
    try:
        return _measured(probe, rounds, log)
    finally:
        if probe.warm:
            _warm(log, "--stop")


def _warm(log: Path, *arguments: str) -> None:
    if measuring.run((AUTOGRADER, "warm", *arguments), cwd=ROOT, log=log).code:
        raise SystemExit(f"autograder warm failed:\n{log.read_text()[-3000:]}")


def _measured(probe: Probe, rounds: int, log: Path) -> dict[str, Any]:
    costs = [measuring.run(probe.command, cwd=ROOT, log=log) for _ in range(rounds + 1)]
    if any(cost.code for cost in costs):
        raise SystemExit(f"{' '.join(probe.command)} failed:\n{log.read_text()[-3000:]}")
    times = [cost.wall_s for cost in costs[1:]]
    return {
        "goal_s": probe.goal_s,
        "runs": rounds,
        "median_s": statistics.median(times),
        "largest_s": max(times),
        "cpu_s": statistics.median(cost.cpu_s for cost in costs[1:]),
    }


def text(found: dict[str, Any]) -> str:
    """The Markdown."""
    rows = [
        [
            name,
            *(number(one[key]) for key in ("median_s", "largest_s", "cpu_s")),
            f"< {number(one['goal_s'])}",
        ]
        for name, one in found["probes"].items()
    ]
    head = ["", "median, s", "largest, s", "CPU-s", "goal, s"]
    return f"Measured on {machine.line(found['machine'])}\n\n{page.table(head, rows)}"


def main() -> None:
    """Measure, write the page, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="runs of each command (default: 5)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autograder-startup-") as folder:
        notebook = Path(folder) / "ex1_tensors.ipynb"
        notebook.write_bytes(next(students.make(original(), "ex1_tensors", 1)).notebook)
        found = {
            "machine": machine.describe(),
            "probes": {
                probe.name: measure(probe, options.rounds, Path(folder)) for probe in probes(notebook)
            },
        }
    page.keep("startup", found)
    page.replace_section("startup", text(found))
    print(text(found))


if __name__ == "__main__":
    main()
