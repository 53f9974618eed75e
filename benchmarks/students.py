"""A class to be graded: no two notebooks have the same code, right and wrong answers in a realistic mix.

Every student starts from a golden submission (:mod:`autograder.golden`): a right answer in usual or unusual
words, with up to four of its tasks answered wrong, as another golden submission does it, or not at all. Then
everything is put into other words (:mod:`benchmarks.rewriting`). The score that each must get is known, so a
measurement can say whether what it timed was right as well. Left out are submissions that hang until a time
limit ends them, damaged files and cheats: their cost is the limit's, and stock nbgrader ends the batch on
some.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from autograder import golden, packing
from autograder.golden import Golden
from autograder.layout import Course
from autograder.models import Outcome
from benchmarks import rewriting

__all__ = ["MIX", "Student", "make"]

MIX = {0: 0.35, 1: 0.2, 2: 0.2, 3: 0.15, 4: 0.1}
"""How many tasks are wrong or open → share of the class."""
_OPEN = 0.25
"""Share of these that are open: still as released."""
_NEVER_OPEN = {("ex5_mnist", "evaluate"), ("ex5_mnist", "fit"), ("ex5_mnist", "mlp")}
"""Tasks that are judged together with others: what an open one costs is written nowhere. The accuracy of the
network, a check of ``evaluate``, needs ``mlp`` and ``fit``, and ``evaluate`` only where ``fit`` calls it."""
_WHOLE = 0.1
"""Share of the class that hands in a golden submission with several wrong tasks as it is."""


@dataclass(frozen=True)
class Student:
    """One submission: what it holds and what it must get. ``made_from`` are names of golden submissions."""

    name: str
    notebook: bytes
    tasks: dict[str, float]
    """Task → expected points, for those that are not full."""
    score: float
    """What all tasks together must get; questions are graded by hand and not in it."""
    made_from: tuple[str, ...]


@dataclass(frozen=True)
class _Pool:
    """What students of one assignment answer: :func:`_pool` says what is what."""

    release: dict[str, str]
    right: tuple[Golden, ...]
    wrong: dict[str, tuple[Golden, ...]]
    whole: tuple[Golden, ...]
    given: dict[str, str]


def make(course: Course, assignment: str, size: int, seed: int = 0) -> Iterator[Student]:
    """``size`` students, the same for the same ``seed``; a small class is the beginning of a large one."""
    pool = _pool(course, assignment)
    base = json.loads(pool.right[0].notebook_bytes(course))
    fixed = rewriting.module_names(cell["source"] for cell in base["cells"] if cell["cell_type"] == "code")
    points = {
        str(cell["metadata"]["nbgrader"]["grade_id"]): float(cell["metadata"]["nbgrader"]["points"])
        for cell in base["cells"]
        if cell["cell_type"] == "code" and cell["metadata"].get("nbgrader", {}).get("grade")
    }
    seen: set[str] = set()
    for number in range(size):
        rng = random.Random(f"{assignment} {seed} {number}")
        while True:
            item = _answers(pool, rng)
            cells = {**pool.given, **item.cells}
            taken = fixed | rewriting.module_names(cells.values())
            cells = {key: rewriting.rewritten(source, rng, taken) for key, source in cells.items()}
            code = rewriting.code_of(cells.values())
            if code not in seen:  # a page with nothing but open tasks has no names to change
                break
        seen.add(code)
        data = replace(item, cells=cells).notebook_bytes(course)
        tasks = dict(item.expected.tasks)
        score = sum(tasks.get(task, full) for task, full in points.items())
        yield Student(f"student{number:05}", data, tasks, score, tuple(item.name.split(" + ")))


@cache
def _pool(course: Course, assignment: str) -> _Pool:
    goldens = [
        item
        for item in golden.load_all(course.golden_dir(assignment))
        if item.base == "solution"
        and not item.limit_changes
        and not item.inserts
        and not item.name.startswith(("accident", "cheat"))
        and item.expected.outcome in (None, Outcome.PASSED, Outcome.FAILED)
    ]
    right = tuple(item for item in goldens if item.expected.outcome is Outcome.PASSED)
    wrong: dict[str, tuple[Golden, ...]] = {}
    for item in goldens:
        task = packing.task_of(item)
        if task is not None:
            wrong[task] = (*wrong.get(task, ()), item)
    whole = tuple(item for item in goldens if item not in right and len(item.cells) > 1)
    cells = json.loads(next(course.release_dir(assignment).glob("*.ipynb")).read_bytes())["cells"]
    given = {  # Markdown answers are graded by hand: they stay as they are
        key: source
        for key, source in golden.right_answers(course, assignment).items()
        if any(
            cell["cell_type"] == "code"
            and cell["metadata"].get("nbgrader", {}).get("grade_id") == f"solution-{key}"
            for cell in cells
        )
    }
    release = {
        cell["metadata"]["nbgrader"]["grade_id"].removeprefix("solution-"): "".join(cell["source"])
        for cell in cells
        if cell["metadata"].get("nbgrader", {}).get("solution")
    }
    return _Pool(release, right, wrong, whole, given)


def _answers(pool: _Pool, rng: random.Random) -> Golden:
    """What one student answers, as a golden submission with a combined name, before it is rewritten."""
    if pool.whole and rng.random() < _WHOLE:
        return rng.choice(pool.whole)
    base = rng.choice(pool.right)
    count = rng.choices(list(MIX), weights=list(MIX.values()))[0]
    cells = dict(base.cells)
    expected: dict[str, float] = {}
    names = [base.name]
    tasks = list(pool.wrong)
    rng.shuffle(tasks)
    for task in tasks:
        if len(expected) == count:
            break
        if rng.random() < _OPEN and (base.assignment, task) not in _NEVER_OPEN:
            cells[task], expected[task] = pool.release[task], 0.0
            names.append(f"{task}-open")
            continue
        item = rng.choice(pool.wrong[task])
        if _fits(item, task, {**pool.given, **cells}):
            cells[task] = item.cells[task]
            expected |= item.expected.tasks
            names.append(item.name)
    return replace(base, name=" + ".join(names), cells=cells, expected=golden.Expected(tasks=expected))


def _fits(item: Golden, task: str, cells: dict[str, str]) -> bool:
    """Whether the wrong cell has nothing to do with cells of other tasks (:mod:`autograder.packing`)."""
    mine, own = _names(item.cells[task]), _names(cells[task])
    if mine is None or own is None:
        return False
    others = _others(task, cells)
    return not any((mine | own).disturbs(other) or other.disturbs(mine | own) for other in others)


def _others(task: str, cells: dict[str, str]) -> Sequence[packing.Names]:
    found = (_names(source) for key, source in cells.items() if key != task)
    return [names for names in found if names is not None]


_names = cache(packing.names)
