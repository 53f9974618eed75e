"""How fast this engine, stock nbgrader and Otter-Grader grade the same class (``make bench``).

    python -m benchmarks.bench                                  # all three assignments
    python -m benchmarks.bench --quick                          # a small class, one round
    python -m benchmarks.bench --assignment ex1_tensors --students 100 --rounds 5
    python -m benchmarks.bench --data-home DIR                  # scikit-learn's data home with the full MNIST

All sides take turns in each round, so that a slow minute of the machine hits them all; every round has fresh
course folders. The peers grade a sample, other students in each round, unless ``--full-stock``. Writes
docs/performance.md (its tables), docs/performance/bench.json and two pictures; an assignment that is not
measured keeps what it had.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder import datasets
from benchmarks import machine, page, report, students
from benchmarks.courses import ROOT, original
from benchmarks.measuring import Sampler
from benchmarks.peers import Peers
from benchmarks.sides import Bench
from benchmarks.students import Student

CLASSES = {"ex1_tensors": (100, 8), "ex4b_training": (30, 6), "ex5_mnist": (10, 4)}
"""Assignment → students of the class, and how many of them the peers grade in each round (Otter half of
these: it starts anew for every notebook, so that nothing is shared out)."""
VERSIONS = ("nbgrader", "otter-grader", "torch")
QUICK = {"ex1_tensors": (20, 4), "ex4b_training": (10, 4), "ex5_mnist": (4, 4)}


def main() -> None:
    """Measure, write the page, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--assignment", action="append", choices=list(CLASSES), help="only this one; repeatable"
    )
    parser.add_argument("--students", type=int, metavar="N", help="size of each class (default: 100, 30, 10)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often all sides take turns")
    parser.add_argument("--quick", action="store_true", help="a small class, one round")
    parser.add_argument(
        "--full-stock", action="store_true", help="the peers grade the whole class too: hours"
    )
    parser.add_argument("--data-home", type=Path, metavar="DIR", help="scikit-learn's data home, for MNIST")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another class")
    options = parser.parse_args()
    if options.data_home is not None:
        os.environ["SCIKIT_LEARN_DATA"] = str(options.data_home.resolve())
    peers = Peers(ROOT / ".venv-peers")
    peers.install()
    sizes = QUICK if options.quick else CLASSES
    rounds = 1 if options.quick else options.rounds
    found = page.kept("bench")
    for assignment in options.assignment or list(CLASSES):
        size, sample = sizes[assignment]
        size = options.students or size
        sample = size if options.full_stock else min(sample, size)
        with tempfile.TemporaryDirectory(prefix="autograder-bench-") as folder:
            group = list(students.make(original(), assignment, size, options.seed))
            bench = Bench(assignment, group, peers, Path(folder))
            about = {"machine": machine.describe(), "versions": peers.versions(*VERSIONS), "rounds": rounds}
            found[assignment] = about | measure(bench, sample, rounds)
        found = {name: found[name] for name in CLASSES if name in found}
        report.write(found)  # after each: what was measured is not lost
    print(report.text(found))


def measure(bench: Bench, sample: int, rounds: int) -> dict[str, Any]:
    """All sides on one assignment, ``rounds`` times; then once more with their memory sampled."""
    sides = bench.sides()
    kind = None
    if bench.assignment == "ex5_mnist":
        kind = datasets.kind_of("mnist")
        if kind != "full":  # stock nbgrader and Otter would fetch the full set from the network
            say(f"{bench.assignment}: no full MNIST here, so the peers are left out (--data-home DIR)")
            sides = {name: sides[name] for name in ("ours", "warm", "floor")}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    memory: dict[str, float | None] = {}
    say(f"{bench.assignment}: warming up")
    for name in sides:  # files into the page cache, first-run caches of matplotlib, IPython and MNIST
        if name != "stock_pair":
            sides[name](bench.students[:1], None)
    bench.unchanged_s.clear()
    for number in range(rounds):
        names = list(sides)
        for name in names if number % 2 == 0 else reversed(names):
            few = max(1, sample // 2) if name == "otter" else sample
            chosen = bench.students if name in ("ours", "warm") else _turn(bench.students, few, number)
            began = time.monotonic()
            one = sides[name](chosen, None)
            results[name].append(one.to_json())
            spent = time.monotonic() - began
            say(f"{bench.assignment}: round {number + 1}, {name}: {one.submissions} in {spent:.0f} s")
    for name in sides:
        if name not in ("stock_pair", "warm"):
            chosen = bench.students[: max(sample, 8)] if name == "ours" else bench.students[:1]
            memory[name] = sides[name](chosen, Sampler()).peak_mb
    return {
        "students": len(bench.students),
        "sample": sample,
        "mnist": kind,
        "sides": results,
        "peak_mb": memory,
        "unchanged_s": bench.unchanged_s,
        "workers": len(os.sched_getaffinity(0)),
    }


def _turn(group: Sequence[Student], count: int, number: int) -> list[Student]:
    """``count`` students, others in each round."""
    return [group[(number * count + at) % len(group)] for at in range(count)]


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
