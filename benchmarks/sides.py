"""The sides of the comparison: each grades a number of students and says what that cost."""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autograder import resident
from autograder.gradebook import scores
from autograder.layout import Course
from benchmarks import measuring
from benchmarks.courses import ROOT, hand_in, original
from benchmarks.measuring import Cost, Sampler
from benchmarks.peers import Peers, graded, otter_notebook, otter_zip
from benchmarks.students import Student

__all__ = ["AUTOGRADER", "Bench", "Side"]

_LEAVE_S = 2.0
"""What a warm judge needs to notice that its workers have ended: their seconds are then its own."""
AUTOGRADER = str(Path(sys.executable).with_name("autograder"))


@dataclass(frozen=True)
class Side:
    """What one side spent on ``submissions``.

    ``start_s`` is what it spends before and after the submissions themselves; ``each_s`` is the time between
    one finished submission and the next; both from when the files were put in place. ``wrong`` counts, among
    the ``judged``, submissions without the score that they must get; of the peers, which run visible tests
    only, right answers are looked at.
    """

    submissions: int
    wall_s: float
    cpu_s: float
    start_s: float
    each_s: float
    peak_mb: float | None = None
    wrong: int = 0
    judged: int = 0

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


class Bench:
    """Measures the sides on one ``assignment`` in a temporary ``folder``."""

    def __init__(self, assignment: str, students: Sequence[Student], peers: Peers, folder: Path) -> None:
        self.assignment, self.students, self._peers, self._folder = assignment, students, peers, folder
        self._name = original().source_notebooks(assignment)[0].name
        self._count = 0
        self._tests = folder / "otter" / "autograder.zip"
        self._tests.parent.mkdir(parents=True)
        otter_zip(original(), assignment, self._tests)
        self.unchanged_s: list[float] = []
        """Wall times of grading the class a second time, with nothing changed."""

    def _new(self) -> Path:
        self._count += 1
        return self._folder / f"{self._count:03}"

    def ours(self, students: Sequence[Student], sampler: Sampler | None = None) -> Side:
        """``autograder grade`` as a person types it, starting it included; and once more, unchanged."""
        course = hand_in(self._new(), self.assignment, students)
        log = course.root / "grade.log"
        command = [AUTOGRADER, "grade", self.assignment, "--course", str(course.root)]
        cost = measuring.run([*command, "--force"], cwd=course.root, log=log, sampler=sampler)
        if cost.code != 0:
            raise SystemExit(f"autograder grade failed:\n{log.read_text()[-3000:]}")
        if sampler is None:
            self.unchanged_s.append(measuring.run(command, cwd=course.root, log=log).wall_s)
        side = self._side(course, [cost], len(students))
        return replace(side, wrong=_wrong(students, self._scores(course)), judged=len(students))

    def warm(self, students: Sequence[Student], sampler: Sampler | None = None) -> Side:
        """The same command while the judge of ``autograder warm`` is there, whose start is not counted.
        Its memory is not sampled: it is that of :meth:`ours`."""
        course = hand_in(self._new(), self.assignment, students)
        log = course.root / "grade.log"
        command = [AUTOGRADER, "warm", self.assignment, "--course", str(course.root)]
        started = measuring.run(command, cwd=course.root, log=log)
        judge = resident.running(course)
        if started.code != 0 or judge is None:
            raise SystemExit(f"autograder warm failed:\n{log.read_text()[-3000:]}")
        try:
            before = measuring.cpu_s(judge["pid"])
            command = [AUTOGRADER, "grade", self.assignment, "--course", str(course.root), "--force"]
            cost = measuring.run(command, cwd=course.root, log=log)
            time.sleep(_LEAVE_S)
            spent = measuring.cpu_s(judge["pid"]) - before
        finally:
            resident.stop(course)
        if cost.code != 0:
            raise SystemExit(f"autograder grade failed:\n{log.read_text()[-3000:]}")
        side = self._side(course, [replace(cost, cpu_s=cost.cpu_s + spent)], len(students))
        return replace(side, wrong=_wrong(students, self._scores(course)), judged=len(students))

    def stock(self, students: Sequence[Student], sampler: Sampler | None = None) -> Side:
        """Stock nbgrader: autograde, then the feedback."""
        course = hand_in(self._new(), self.assignment, students)
        costs = self._peers.stock(course, self.assignment, sampler)
        side = self._side(course, list(costs.values()), len(students))
        right = [student for student in students if not student.tasks]
        return replace(side, wrong=_wrong(right, self._scores(course)), judged=len(right))

    def stock_pair(self, students: Sequence[Student], sampler: Sampler | None = None) -> Side:
        """Two stock processes side by side, each with half the students in a course folder of its own."""
        half = len(students) // 2
        parts = (students[:half], students[half:])
        courses = [hand_in(self._new(), self.assignment, part) for part in parts]
        sides: list[list[Cost]] = [[], []]

        def work(number: int) -> None:
            sides[number] += self._peers.stock(courses[number], self.assignment, sampler).values()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [self._side(*item) for item in zip(courses, sides, map(len, parts), strict=True)]
        return Side(
            submissions=len(students),
            wall_s=max(side.wall_s for side in found),
            cpu_s=sum(side.cpu_s for side in found),
            start_s=statistics.mean(side.start_s for side in found),
            each_s=statistics.mean(side.each_s for side in found) / 2,
            peak_mb=sum(side.peak_mb or 0 for side in found) or None,
        )

    def otter(self, students: Sequence[Student], sampler: Sampler | None = None) -> Side:
        """``otter run`` for one after the other: it has no command for a class but with containers."""
        costs, got, folder = [], {}, self._new()
        for student in students:
            notebook = otter_notebook(student.notebook)
            cost, score = self._peers.otter(folder / student.name, notebook, self._name, self._tests, sampler)
            if score is None:
                raise SystemExit(
                    f"otter run failed:\n{(folder / student.name / 'otter.log').read_text()[-3000:]}"
                )
            costs.append(cost)
            got[student.name] = score
        wall_s, cpu_s = sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs)
        right = [student for student in students if not student.tasks]
        side = Side(len(students), wall_s, cpu_s, 0.0, wall_s / len(students), _peak(costs))
        return replace(side, wrong=_wrong(right, got), judged=len(right))

    def floor(self, students: Sequence[Student], sampler: Sampler | None = None) -> Side:
        """The same cells by plain exec in one warm process: see :mod:`benchmarks.floor`."""
        course = hand_in(self._new(), self.assignment, students)
        paths = [str(course.submitted(item.name, self.assignment) / self._name) for item in students]
        output = course.root / "floor.json"
        command = [sys.executable, "-m", "benchmarks.floor", *paths]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        log = course.root / "floor.log"
        cost = measuring.run(command, cwd=course.root, log=log, output=output, env=env, sampler=sampler)
        if cost.code != 0:
            raise SystemExit(f"the floor failed:\n{log.read_text()[-3000:]}")
        times = json.loads(output.read_text())
        wall_s, cpu_s = (sum(item[key] for item in times) for key in ("wall_s", "cpu_s"))
        return Side(len(times), wall_s, cpu_s, 0.0, wall_s / len(times), cost.peak_mb)

    def sides(self) -> dict[str, Callable[[Sequence[Student], Sampler | None], Side]]:
        """All of them by name."""
        names = ("ours", "warm", "stock", "stock_pair", "otter", "floor")
        return {name: getattr(self, name) for name in names}

    def _scores(self, course: Course) -> dict[str, float]:
        return {item.student: item.score for item in scores(course, self.assignment)}

    def _side(self, course: Course, costs: Sequence[Cost], size: int) -> Side:
        """The first cost made ``autograded/``, the last one ``feedback/``; for ours it is the same one."""
        wall_s, each_s = sum(cost.wall_s for cost in costs), 0.0
        for cost, kind in zip(costs, ("autograded", "feedback"), strict=False):
            times = measuring.completions(iter(graded(course, self.assignment, kind)), cost.started)
            if len(times) != size:
                log = next(iter(course.root.glob("*.log"))).read_text()[-3000:]
                raise SystemExit(f"{course.root.name}: {len(times)} of {size} {kind}\n{log}")
            each_s += (times[-1] - times[0]) / (size - 1) if size > 1 else cost.wall_s
        cpu_s = sum(cost.cpu_s for cost in costs)
        return Side(size, wall_s, cpu_s, wall_s - size * each_s, each_s, _peak(costs))


def _wrong(students: Sequence[Student], got: Mapping[str, float]) -> int:
    """How many do not have the score that they must get."""
    return sum(abs(got[student.name] - student.score) > 1e-9 for student in students)


def _peak(costs: Sequence[Cost]) -> float | None:
    peaks = [cost.peak_mb for cost in costs if cost.peak_mb is not None]
    return max(peaks) if peaks else None
