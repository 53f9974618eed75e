"""What is to be reported to a platform: the gradebook's scores, by task, and whether they are final.

Scores by hand and late penalties are in them, as formgrader shows them. A score that is not there is never 0:
a submission without one, or one that was handed in anew since it was graded, says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import fsum
from typing import Any

from autograder import ledger, nbgrader_models
from autograder.errors import GradebookError, NotebookError, UsageError
from autograder.gradebook_db import database_errors, open_gradebook, require_gradebook
from autograder.ipynb import read_bytes, sha256
from autograder.keys import notebooks_part
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import Outcome, TaskKind, worst
from autograder.notebook import load_assignment

__all__ = ["Grades", "Standing", "TaskScore", "read_grades"]


class Standing(StrEnum):
    """How far a submission is. Only a ``FINAL`` score is reported unless the instructor says otherwise."""

    FINAL = "final"
    PROVISIONAL = "provisional"
    """It has a score, and somebody must still look: points by hand are missing, or it was handed in anew."""
    NOT_GRADED = "not graded"
    """A task that the engine grades has no score, or the submission is in no gradebook."""


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One graded cell. ``score`` in points, None when there is none yet; ``manual``: points by hand.

    ``kind``: "automatic" or "manual"; ``outcome``: the worst of its checks, empty where none is stored.
    """

    notebook: str
    task: str
    kind: str
    score: float | None
    max_score: float
    manual: float | None = None
    needs_manual_grade: bool = False
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Grades:
    """One submission. ``penalties``: points taken off for lateness, by notebook. ``reason``: why not
    final."""

    student: str
    assignment: str
    tasks: tuple[TaskScore, ...]
    standing: Standing
    reason: str = ""
    penalties: Mapping[str, float] | None = None
    name: str = ""
    email: str = ""
    lms_user_id: str = ""

    @property
    def late_penalty(self) -> float:
        """Of all notebooks."""
        return fsum((self.penalties or {}).values())

    @property
    def score(self) -> float:
        """What is there, after penalties; not below 0."""
        return max(0.0, fsum(task.score or 0.0 for task in self.tasks) - self.late_penalty)

    @property
    def max_score(self) -> float:
        """Of all tasks."""
        return fsum(task.max_score for task in self.tasks)


def read_grades(course: Course, assignment: str, limits: Limits) -> list[Grades]:
    """All submissions to ``assignment``, graded or only handed in, by student.

    :raises GradebookError: there is no gradebook, or it cannot be read.
    :raises UsageError: the assignment is not in it.
    """
    specs = [
        (path.stem, spec.id, spec.kind, spec.max_score)
        for path in course.source_notebooks(assignment)
        for spec in load_assignment(path).tasks
    ]
    rows = _Rows(course, assignment)
    stored = ledger.entries(course, [assignment])
    found = []
    for student, person in rows.people.items():
        results = _results(course, student, assignment) if (student, assignment) in stored else {}
        tasks = []
        for notebook, task, kind, points in specs:
            row = rows.grades.get((student, notebook, task))
            known = results.get((notebook, task))
            tasks.append(_task(notebook, task, kind, points, row, known))
        entry = stored.get((student, assignment))
        standing, reason = _standing(tasks)
        if standing is Standing.FINAL:
            again = _since(course, assignment, student, entry, bool(stored), limits)
            standing, reason = (Standing.PROVISIONAL, again) if again else (standing, reason)
        found.append(
            Grades(student, assignment, tuple(tasks), standing, reason, rows.penalties[student], **person)
        )
    for student, _ in course.submissions(assignment):
        if student not in rows.people:
            found.append(Grades(student, assignment, (), Standing.NOT_GRADED, "handed in and not graded yet"))
    return sorted(found, key=lambda grades: grades.student)


class _Rows:
    """nbgrader's rows of one assignment, in three queries."""

    def __init__(self, course: Course, assignment: str) -> None:
        path = course.gradebook_path
        require_gradebook(path)
        self.people: dict[str, dict[str, str]] = {}
        self.grades: dict[tuple[str, str, str], Any] = {}
        self.penalties: defaultdict[str, dict[str, float]] = defaultdict(dict)
        api = nbgrader_models.api()
        with database_errors(path):
            gradebook = open_gradebook(path, 30.0)
            try:
                try:
                    identity = gradebook.find_assignment(assignment).id
                except api.MissingEntry:
                    raise UsageError(
                        f"assignment {assignment} is not in {path}; run: autograder release {assignment}"
                    ) from None
                self._read(api, gradebook.db, identity)
            finally:
                gradebook.close()

    def _read(self, api: Any, db: Any, identity: str) -> None:
        student, submission = api.Student, api.SubmittedAssignment
        people = (
            db.query(student.id, student.first_name, student.last_name, student.email, student.lms_user_id)
            .join(submission, submission.student_id == student.id)
            .filter(submission.assignment_id == identity)
        )
        for key, first, last, email, number in people:
            name = " ".join(part for part in (first, last) if part)
            self.people[key] = {"name": name, "email": email or "", "lms_user_id": number or ""}
        notebook, submitted, grade = api.Notebook, api.SubmittedNotebook, api.Grade
        joined = (
            db.query(submission.student_id, notebook.name, submitted.late_submission_penalty)
            .join(submitted, submitted.assignment_id == submission.id)
            .join(notebook, notebook.id == submitted.notebook_id)
            .filter(submission.assignment_id == identity)
        )
        for key, name, penalty in joined:
            self.penalties[key][name] = penalty or 0.0
        cell = api.BaseCell
        joined = (
            db.query(
                *(submission.student_id, notebook.name, cell.name),
                *(grade.auto_score, grade.manual_score, grade.extra_credit, grade.needs_manual_grade),
            )
            .join(submitted, submitted.assignment_id == submission.id)
            .join(notebook, notebook.id == submitted.notebook_id)
            .join(grade, grade.notebook_id == submitted.id)
            .join(cell, cell.id == grade.cell_id)
            .filter(submission.assignment_id == identity)
        )
        for key, name, task, auto, manual, extra, needs in joined:
            self.grades[key, name, task] = (auto, manual, extra, bool(needs))


def _task(
    notebook: str,
    task: str,
    kind: TaskKind,
    points: float,
    row: tuple[float | None, float | None, float | None, bool] | None,
    known: Mapping[str, Any] | None,
) -> TaskScore:
    """nbgrader's arithmetic: points by hand stand for the automatic ones, and extra credit comes on top."""
    auto, manual, extra, needs = row if row is not None else (None, None, None, False)
    base = manual if manual is not None else auto
    by_hand = kind is TaskKind.MANUAL
    outcomes = [Outcome(check["outcome"]) for check in known["checks"]] if known else []
    return TaskScore(
        notebook=notebook,
        task=task,
        kind="manual" if by_hand else "automatic",
        score=None if base is None else base + (extra or 0.0),
        max_score=points,
        manual=manual,
        # nbgrader's default for a new row is True: of a task that a person does not grade it says nothing yet
        needs_manual_grade=needs and (by_hand or base is not None),
        outcome=worst(outcomes).value if outcomes else "",
    )


def _standing(tasks: list[TaskScore]) -> tuple[Standing, str]:
    missing = [task.task for task in tasks if task.score is None and not task.needs_manual_grade]
    if missing or not tasks:
        return Standing.NOT_GRADED, f"without a score: {', '.join(missing[:4])}" if missing else "no tasks"
    by_hand = [task.task for task in tasks if task.needs_manual_grade]
    if by_hand:
        return Standing.PROVISIONAL, f"to grade by hand: {', '.join(by_hand[:4])}"
    return Standing.FINAL, ""


def _since(
    course: Course,
    assignment: str,
    student: str,
    entry: ledger.Entry | None,
    others: bool,
    limits: Limits,
) -> str:
    """Why a complete score may not be that of what lies in ``submitted/`` now; empty when it is."""
    if entry is None:
        return "its last grading failed, or was done by nbgrader: autograder grade again" if others else ""
    folder = course.submitted(student, assignment)
    if not folder.is_dir():
        return ""  # an archive of an earlier year: nothing to compare with
    digests = {}
    for path in course.source_notebooks(assignment):
        try:
            digests[path.stem] = sha256(read_bytes(folder / path.name, limits))
        except NotebookError as error:
            digests[path.stem] = f"unreadable: {error}"
    if entry.key.get("notebook") != notebooks_part(digests):
        return "handed in anew since it was graded: autograder grade"
    return ""


def _results(course: Course, student: str, assignment: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The stored results of tasks, by notebook and task."""
    return dict(_stored_tasks(course, student, assignment))


def _stored_tasks(
    course: Course, student: str, assignment: str
) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    for notebook in ledger.result_of(course, student, assignment) or ():
        try:
            for task in notebook["tasks"]:
                yield (notebook["notebook"], task["id"]), task
        except (KeyError, TypeError) as error:
            raise GradebookError(
                f"the stored result of {student}, {assignment} is damaged ({error!r}); grade it again"
            ) from error
