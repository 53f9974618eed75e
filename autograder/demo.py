"""``make demo``: a sample class of golden submissions, graded in a copy of the course.

The copy lies in ``demo/`` of the course, which git ignores, and is made anew each time. It is a complete
course folder: nbgrader's own commands and formgrader work in it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from rich.text import Text

from autograder import batch, console
from autograder.config import Config
from autograder.errors import UsageError
from autograder.golden import Golden, load_all
from autograder.layout import Course
from autograder.limits import Limits
from autograder.schedule import Job

__all__ = ["CLASS", "ASSIGNMENT", "prepare", "run"]

ASSIGNMENT = "ex1_tensors"

CLASS = (
    "solution",
    "empty",
    "unusual_01",
    "unusual_02",
    "unusual_03",
    "make_tensors-int64_left",
    "affine-column_bias",
    "elementwise-in_place",
    "reshape-view_needs_contiguous",
    "device-not_reassigned",
    "accident-stderr",
    "accident-loop_in_cell",
    "accident-loop_in_function",
    "accident-truncated",
    "cheat-lying_eq",
    "cheat-patched_allclose",
    "cheat-exit_in_cell",
    "cheat-exit_in_function",
)
"""The golden submissions that make up the class, in the order of the table."""

_SMALL_SECRET = b"the demo draws the same inputs each time"


def run(settings: Config, *, workers: int) -> int:
    """Grade the class and print the table; 1 when a golden submission differs from what it must get."""
    folder = settings.root / "tests" / "golden" / ASSIGNMENT
    known = {golden.name: golden for golden in load_all(folder)}
    missing = [name for name in CLASS if name not in known]
    if missing:
        raise UsageError(f"{folder} lacks the golden submissions {', '.join(missing)}")
    students = {f"s{number:02}-{name.replace('_', '-')}": known[name] for number, name in enumerate(CLASS, 1)}
    course = prepare(settings, students)
    jobs = [Job(student, ASSIGNMENT, course.submitted(student, ASSIGNMENT)) for student in students]
    started = time.monotonic()
    graded: dict[str, batch.Graded] = {}
    with console.Ticker(len(jobs)) as ticker:
        limits = _limits(settings.limits, tuple(students.values()))
        for item in batch.grade(course, jobs, workers=workers, limits=limits, secret=_SMALL_SECRET):
            graded[item.result.student] = item
            ticker.tick(item.result)
    seconds = time.monotonic() - started
    return _report(course, students, graded, seconds)


def prepare(settings: Config, students: dict[str, Golden]) -> Course:
    """The copy of the course in ``demo/`` with a submission for each of ``students``."""
    home = settings.root / "demo"
    original = settings.course
    if not original.gradebook_path.is_file():
        raise UsageError(f"{original.gradebook_path} is missing; run: autograder release")
    if home.is_symlink() or (home.exists() and not (home / "submitted").is_dir()):
        raise UsageError(f"{home} is not a folder of the demo; move it away")
    if home.exists():
        shutil.rmtree(home)
    course = Course(home, settings.suites)
    home.mkdir()
    for folder in (original.source_dir, original.release_dir):
        path = folder(ASSIGNMENT)
        shutil.copytree(path, home / path.relative_to(original.root))
    shutil.copyfile(original.gradebook_path, course.gradebook_path)
    config = settings.root / "nbgrader_config.py"
    if config.is_file():
        shutil.copyfile(config, home / config.name)
    name = original.source_notebooks(ASSIGNMENT)[0].name
    for student, golden in students.items():
        place = course.submitted(student, ASSIGNMENT)
        place.mkdir(parents=True)
        (place / name).write_bytes(golden.notebook_bytes(original))
    return course


def _limits(limits: Limits, goldens: Sequence[Golden]) -> Limits:
    """One set of limits for the class: the tightest that any submission asks for, so loops end soon."""
    changes: dict[str, float] = {}
    for golden in goldens:
        for name, value in golden.limit_changes.items():
            changes[name] = min(value, changes.get(name, value))
    return limits.with_changes(changes)


def _report(
    course: Course, students: dict[str, Golden], graded: dict[str, batch.Graded], seconds: float
) -> int:
    out = console.console()
    table = console.table(
        ("student", "left"),
        ("score", "right"),
        ("expected", "right"),
        ("", "left"),
        ("what happened", "left"),
    )
    table.columns[-1].no_wrap, table.columns[-1].overflow = True, "ellipsis"
    wrong: list[str] = []
    for student, golden in students.items():
        item = graded.get(student)
        result = item.result.notebooks[0] if item is not None else None
        differences = golden.compare(result) if result is not None else ["it was not graded"]
        if item is not None and item.problem:
            differences.append(item.problem)
        wrong += [f"{student}: {difference}" for difference in differences]
        expected = golden.expected.score
        table.add_row(
            student,
            f"{console.points(result.score)}/{console.points(result.max_score)}"
            if result is not None
            else "–",
            console.points(expected),
            Text("✗", style="red") if differences else Text("✓", style="green"),
            Text((console.first_message(result) if result is not None else "") or "everything is right"),
        )
    out.print(table)
    for line in wrong:
        out.print(Text(f"✗ {line}", style="red"))
    done = len(graded)
    out.print(f"{done} submissions in {seconds:.1f} s, starting the sandbox included")
    out.print("\nLook at them:")
    for label, path in (
        ("feedback pages", course.root / "feedback"),
        ("autograded notebooks", course.root / "autograded"),
        ("gradebook", course.gradebook_path),
    ):
        out.print(f"  {label:21} {path}")
    for student in students:
        item = graded.get(student)
        for page in item.pages if item is not None else ():
            out.print(f"    {page.relative_to(course.root)}", style="dim")
    verdict = "every golden submission has its expected score" if not wrong else f"{len(wrong)} differences"
    out.print(f"\n{verdict}", style="bold green" if not wrong else "bold red")
    return 1 if wrong else 0
