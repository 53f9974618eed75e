"""A very large class in one run: does it slow down, does it need more and more memory, can it be stopped?

    python -m benchmarks.growth                      # 10,000 submissions to ex1_tensors
    python -m benchmarks.growth --students 1000      # a short run

While ``autograder grade`` runs, the memory of its first process (the coordinator: it hands out the work and
writes the gradebook) is sampled, and queries are timed that an instructor's tool would make: one student's
scores, and all scores. Throughput comes from the times at which the graded notebooks were put in place. Then
another class is stopped by Ctrl-C at a random moment, and a second run must grade exactly what is missing.
Exit code 1 when a check fails.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from autograder.layout import Course
from benchmarks import machine, measuring, page, students
from benchmarks.courses import hand_in, original
from benchmarks.measuring import Sampler
from benchmarks.page import number
from benchmarks.peers import graded
from benchmarks.sides import AUTOGRADER

ASSIGNMENT = "ex1_tensors"
_WINDOW = 100
_LOOK_S = 1.0
_ALLOWED = 0.10
"""How much slower than the first window, and how much larger than at 100 submissions, it may become."""
_ONE = (
    "select g.auto_score from grade g join submitted_notebook n on n.id = g.notebook_id"
    " join submitted_assignment s on s.id = n.assignment_id where s.student_id = ?"
)
_ALL = (
    "select s.student_id, sum(g.auto_score) from grade g join submitted_notebook n on n.id = g.notebook_id"
    " join submitted_assignment s on s.id = n.assignment_id group by s.student_id"
)


@dataclass
class Coordinator(Sampler):
    """Samples the first process of the run, once a second."""

    database: Path
    memory: list[tuple[float, float]] = field(default_factory=list)
    """(time, MB resident)"""
    queries: list[tuple[float, float, float]] = field(default_factory=list)
    """(time, ms for one student, ms for all)"""
    peak_mb: float = 0.0
    _next: float = 0.0

    def sample(self, pid: int) -> None:
        """One look, when it is time for one."""
        now = time.time()
        if now < self._next:
            return
        self._next = now + _LOOK_S
        with contextlib.suppress(psutil.NoSuchProcess):
            self.memory.append((now, psutil.Process(pid).memory_info().rss / 1e6))
        if len(self.memory) % 10 == 1:
            with contextlib.suppress(sqlite3.OperationalError):  # locked by a transaction: next time
                self.queries.append((now, *self._ask()))

    def _ask(self) -> tuple[float, float]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=0.2)) as database:
            took = []
            for query, values in ((_ONE, ["student00000"]), (_ALL, [])):
                began = time.perf_counter()
                database.execute(query, values).fetchall()
                took.append((time.perf_counter() - began) * 1000)
        return took[0], took[1]


def command(course: Course) -> list[str]:
    """What a person types."""
    return [AUTOGRADER, "grade", ASSIGNMENT, "--course", str(course.root)]


def grow(folder: Path, size: int, seed: int) -> dict[str, Any]:
    """Grade a class of ``size`` in one run."""
    say(f"making {size} notebooks …")
    course = hand_in(folder / "course", ASSIGNMENT, students.make(original(), ASSIGNMENT, size, seed))
    sampler = Coordinator(course.gradebook_path)
    log = folder / "grade.log"
    say("grading …")
    cost = measuring.run(command(course), cwd=folder, log=log, sampler=sampler)
    done = measuring.completions(iter(graded(course, ASSIGNMENT, "autograded")), cost.started)
    if cost.code != 0 or len(done) != size:
        raise SystemExit(f"{len(done)} of {size} graded, exit code {cost.code}:\n{log.read_text()[-3000:]}")
    return {
        "students": size,
        "wall_s": cost.wall_s,
        "cpu_s": cost.cpu_s,
        "windows": windows(done),
        "memory": [(at - cost.started, count(done, at - cost.started), mb) for at, mb in sampler.memory],
        "queries": [(count(done, at - cost.started), one, every) for at, one, every in sampler.queries],
        "gradebook_mb": course.gradebook_path.stat().st_size / 1e6,
    }


def windows(done: list[float]) -> list[float]:
    """Submissions a second in each window of 100 (of a tenth of the class, if that is less)."""
    size = max(2, min(_WINDOW, len(done) // 10))
    ends = range(size, len(done) + 1, size)
    return [(size - 1) / (done[end - 1] - done[end - size]) for end in ends]


def count(done: list[float], at: float) -> int:
    """How many were graded ``at`` seconds after the start."""
    return sum(1 for time_s in done if time_s <= at)


def interrupt(folder: Path, size: int, seed: int) -> dict[str, Any]:
    """Ctrl-C at a random moment, then a second run: what was graded and when."""
    course = hand_in(folder / "stopped", ASSIGNMENT, students.make(original(), ASSIGNMENT, size, seed + 1))
    files = course.root / "autograded"
    draw = random.Random(seed)
    stop_at = draw.randrange(1, 1 + size * 4 // 5)  # so that there is something left to stop
    with (folder / "stopped.log").open("wb") as log:
        process = subprocess.Popen(command(course), stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None and len(list(files.glob("*/*/*.ipynb"))) < stop_at:
            time.sleep(0.01)
        time.sleep(draw.random() / 5)
        os.killpg(process.pid, signal.SIGINT)  # the terminal sends it to the whole group
        code = process.wait()
    first = {path: path.stat().st_mtime_ns for path in graded(course, ASSIGNMENT, "autograded")}
    cost = measuring.run(command(course), cwd=folder, log=folder / "again.log")
    second = {path: path.stat().st_mtime_ns for path in graded(course, ASSIGNMENT, "autograded")}
    told = f"{len(first)} graded already" in (folder / "again.log").read_text(encoding="utf-8")
    return {
        "students": size,
        "stopped_after": len(first),
        "code": code,
        "second_code": cost.code,
        "again": sum(1 for path, when in first.items() if second.get(path) != when),
        "complete": len(second) == size,
        "told": told,
    }


def checks(found: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """What must hold: (does it, with which figures)."""
    run, stopped = found["run"], found["stopped"]
    first, last = run["windows"][0], statistics.median(run["windows"][-5:])
    warm = min(100, run["students"] // 3)
    at_100 = [mb for _, graded_so_far, mb in run["memory"] if graded_so_far >= warm]
    begin, end = at_100[0], at_100[-1]
    return {
        "throughput of the last windows within 10 % of the first": (
            last >= (1 - _ALLOWED) * first,
            f"{number(first)} and {number(last)} submissions/s",
        ),
        f"memory of the coordinator at the end within 10 % of that after {warm}": (
            end <= (1 + _ALLOWED) * begin,
            f"{number(begin)} and {number(end)} MB",
        ),
        "stopped by Ctrl-C it ends with exit code 130": (
            stopped["code"] == 130,
            f"after {stopped['stopped_after']} of {stopped['students']} submissions",
        ),
        "the second run grades exactly what is missing": (
            stopped["complete"] and stopped["told"] and stopped["again"] == 0 and stopped["second_code"] == 0,
            f"{stopped['students'] - stopped['stopped_after']} graded, {stopped['again']} graded twice",
        ),
    }


def text(found: dict[str, Any]) -> str:
    """The Markdown."""
    run = found["run"]
    size, queries = run["students"], run["queries"]
    parts = [
        f"Measured on {machine.line(found['machine'])} {size:,} submissions to {ASSIGNMENT}, no two alike, "
        f"in one run of {number(run['wall_s'])} s ({number(size / run['wall_s'])} submissions/s, "
        f"{number(run['cpu_s'] / size)} CPU-s each); the gradebook has "
        f"{number(run['gradebook_mb'])} MB afterwards.",
        page.table(
            ["check", "", "figures"],
            [[name, "yes" if good else "**no**", figures] for name, (good, figures) in checks(found).items()],
        ),
        "![Throughput, memory and duration of a query over the run](performance/growth.svg)",
    ]
    if queries:
        parts.insert(
            2,
            f"All scores are read from the gradebook in {number(queries[0][2])} ms at the beginning and "
            f"{number(queries[-1][2])} ms at the end, one student's in {number(queries[0][1])} and "
            f"{number(queries[-1][1])} ms, while it is written to.",
        )
    return "\n\n".join(parts)


def draw(found: dict[str, Any]) -> None:
    """The picture."""
    from benchmarks import plots

    run = found["run"]
    each = run["students"] / len(run["windows"])
    panels = [
        ("submissions/s", [each * (at + 1) for at in range(len(run["windows"]))], run["windows"]),
        ("coordinator, MB", [at for _, at, _ in run["memory"]], [mb for _, _, mb in run["memory"]]),
    ]
    if run["queries"]:
        panels.append(
            ("all scores, ms", [at for at, _, _ in run["queries"]], [ms for _, _, ms in run["queries"]])
        )
    plots.lines("growth", "submissions graded", panels)


def say(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, write the page, print the table; 1 when a check fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--students", type=int, default=10_000, metavar="N", help="default: 10,000")
    parser.add_argument(
        "--stopped", type=int, default=100, metavar="N", help="class that is stopped (default: 100)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another class, another moment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autograder-growth-") as folder:
        found = {
            "machine": machine.describe(),
            "run": grow(Path(folder), options.students, options.seed),
            "stopped": interrupt(Path(folder), options.stopped, options.seed),
        }
    page.keep("growth", found)
    draw(found)
    page.replace_section("growth", text(found))
    print(text(found))
    return 0 if all(good for good, _ in checks(found).values()) else 1


if __name__ == "__main__":
    sys.exit(main())
