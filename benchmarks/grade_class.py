"""How fast this machine grades ex1_tensors: this engine, and stock nbgrader on the same notebooks.

    python benchmarks/grade_class.py                    # 60 submissions, 2 workers
    python benchmarks/grade_class.py --stock 10         # and the first 10 by stock `nbgrader autograde` too

The class are golden submissions, each with a comment of its own in every solution cell, so that no two
notebooks are alike. "Warm" counts from the first result to the last; starting the sandbox is stated apart.
Both sides write their gradebook and their autograded notebooks; this engine writes its feedback as well.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autograder import batch, config, golden
from autograder.layout import Course

ROOT = Path(__file__).resolve().parents[1]
ASSIGNMENT = "ex1_tensors"


def make_class(home: Path, size: int) -> Course:
    """A course folder with ``size`` submissions, no two alike, none of which runs into a time limit."""
    settings = config.load(ROOT)
    for name in ("source", "release"):
        shutil.copytree(ROOT / name / ASSIGNMENT, home / name / ASSIGNMENT)
    shutil.copyfile(ROOT / "gradebook.db", home / "gradebook.db")
    (home / "nbgrader_config.py").write_text("c = get_config()\n")
    course = Course(home, settings.suites)
    goldens = [
        item
        for item in golden.load_all(ROOT / "tests" / "golden" / ASSIGNMENT)
        if not item.name.startswith(("accident", "cheat"))  # stock nbgrader aborts the batch on some
    ]
    for number in range(size):
        data = json.loads(goldens[number % len(goldens)].notebook_bytes(settings.course))
        for cell in data["cells"]:
            if cell["cell_type"] == "code" and cell["metadata"].get("nbgrader", {}).get("solution"):
                cell["source"] = f"# student {number}\n" + "".join(cell["source"])
        place = course.submitted(f"student{number:04}", ASSIGNMENT)
        place.mkdir(parents=True)
        (place / f"{ASSIGNMENT}.ipynb").write_text(json.dumps(data), encoding="utf-8")
    return course


def ours(course: Course, workers: int) -> dict[str, float]:
    """Grade the class with this engine."""
    settings = config.load(ROOT)
    todo, _ = batch.jobs(course, [ASSIGNMENT])
    started = time.perf_counter()
    arrivals = [
        time.perf_counter() - started
        for _ in batch.grade(course, todo, workers=workers, limits=settings.limits, secret=b"benchmark" * 4)
    ]
    return {
        "submissions": len(arrivals),
        "wall_s": arrivals[-1],
        "first_result_s": arrivals[0],
        "warm_per_s": (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]),
    }


def stock(course: Course) -> dict[str, float]:
    """Autograde the class with stock nbgrader (its own Execute, a fresh kernel for each notebook)."""
    size = len(list((course.root / "submitted").iterdir()))
    started = time.perf_counter()
    command = [sys.executable, "-m", "nbgrader", "autograde", ASSIGNMENT]
    done = subprocess.run(
        command,
        cwd=course.root,
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    wall_s = time.perf_counter() - started
    graded = len(list(course.root.glob("autograded/*/*/*.ipynb")))
    if graded != size:
        raise SystemExit(f"stock nbgrader graded {graded} of {size}:\n{done.stderr[-2000:]}")
    return {"submissions": size, "wall_s": wall_s, "per_s": size / wall_s}


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--students", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--stock", type=int, default=0, metavar="N", help="also N submissions by stock nbgrader"
    )
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours_row = ours(make_class(Path(folder), options.students), options.workers)
        rows.append(("this engine", ours_row))
    if options.stock:
        with tempfile.TemporaryDirectory() as folder:
            stock_row = stock(make_class(Path(folder), options.stock))
            rows.append(("stock nbgrader", stock_row))
        with tempfile.TemporaryDirectory() as folder:
            rows.append(
                ("this engine, same class", ours(make_class(Path(folder), options.stock), options.workers))
            )
    for name, row in rows:
        print(f"{name:24}", "  ".join(f"{key} {value:.2f}" for key, value in row.items()))
    if options.stock:
        print(f"ratio of warm throughputs: {ours_row['warm_per_s'] / stock_row['per_s']:.1f}")


if __name__ == "__main__":
    main()
