"""Points: pure arithmetic from outcomes to scores. ``0 <= score <= max_score``, always finite.

Our fault is never the student's: one ``ENGINE_ERROR`` makes the score of its task, and of the
notebook, None ("run it again"), never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum, isclose, isfinite

from autograder.errors import SuiteError
from autograder.models import CheckResult, Outcome, TaskKind, TaskResult, TaskSpec

__all__ = ["check_score", "notebook_totals", "task_result", "validate_points"]

_EPSILON = 1e-9
"""Points closer than this are the same: 0.1 + 0.2 is 0.3."""


def check_score(outcome: Outcome, points: float) -> float | None:
    """What an all-or-nothing check worth ``points`` earns: everything, nothing, or None after our error."""
    if outcome is Outcome.ENGINE_ERROR:
        return None
    return float(points) if outcome is Outcome.PASSED else 0.0


def task_result(spec: TaskSpec, checks: Iterable[CheckResult]) -> TaskResult:
    """The result of one task from its checks, whose order is kept and does not matter for the score.

    A check may carry a part of its points (a plain nbgrader cell does); a claim outside
    ``[0, points]`` is cut off, a NaN earns nothing. The score is None for a task that a person
    grades, after any ``ENGINE_ERROR``, and when nothing was judged at all.
    """
    kept = tuple(checks)
    for check in kept:
        if check.task != spec.id:
            raise SuiteError(f"check {check.id!r} belongs to task {check.task!r}, not to {spec.id!r}")
    return TaskResult(
        id=spec.id,
        kind=spec.kind,
        score=_task_score(spec, kept),
        max_score=spec.max_score,
        checks=kept,
    )


def _task_score(spec: TaskSpec, checks: tuple[CheckResult, ...]) -> float | None:
    if spec.kind is TaskKind.MANUAL:
        return None
    if not checks:
        return None if spec.max_score > 0 else 0.0
    earned = [_earned(check) for check in checks]
    known = [score for score in earned if score is not None]
    if len(known) < len(earned):
        return None
    return _within(fsum(known), spec.max_score)


def _earned(check: CheckResult) -> float | None:
    if check.outcome is Outcome.ENGINE_ERROR:
        return None
    if check.score is None:
        return check_score(check.outcome, check.points)
    return _within(check.score, check.points)


def _within(score: float, maximum: float) -> float:
    """``score`` cut to ``[0, maximum]``; a hair below the maximum is the maximum."""
    if not maximum > 0 or not isfinite(maximum) or not score > 0:  # a NaN is not > 0
        return 0.0
    if score >= maximum or isclose(score, maximum, rel_tol=_EPSILON, abs_tol=0.0):
        return float(maximum)
    return float(score)


def notebook_totals(tasks: Iterable[TaskResult]) -> tuple[float | None, float]:
    """``(score, max_score)`` of a notebook.

    The score sums the tasks graded automatically (those graded by hand come later) and is None when
    one of them has none; the maximum counts all tasks.
    """
    kept = tuple(tasks)
    maximum = fsum(task.max_score for task in kept)
    scores = [task.score for task in kept if task.kind is not TaskKind.MANUAL]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return None, maximum
    return _within(fsum(known), maximum), maximum


def validate_points(tasks: Iterable[TaskSpec], check_points: Mapping[str, Iterable[float]]) -> None:
    """Raise :class:`SuiteError` unless suite and notebook agree on the points.

    ``check_points`` maps a task id to the points of its checks. The points of each suite task add up
    to those of its cell; a suite has no checks for a task that the notebook lacks or that it grades
    in another way.
    """
    specs = {spec.id: spec for spec in tasks}
    problems = []
    for task, points in check_points.items():
        given = list(points)
        spec = specs.get(task)
        if spec is None:
            problems.append(f"task {task!r} has checks but no cell in the notebook")
        elif spec.kind is not TaskKind.SUITE:
            problems.append(f"task {task!r} has checks but is graded as {spec.kind}")
        elif not all(isfinite(n) and n >= 0 for n in given):
            problems.append(f"task {task!r} has a check whose points are negative or not finite")
        elif abs(fsum(given) - spec.max_score) > _EPSILON * max(1.0, spec.max_score):
            problems.append(
                f"the checks of task {task!r} are worth {fsum(given):g} points, its cell {spec.max_score:g}"
            )
    problems += [
        f"task {spec.id!r} is worth {spec.max_score:g} points but has no checks"
        for spec in specs.values()
        if spec.kind is TaskKind.SUITE and spec.id not in check_points and spec.max_score > 0
    ]
    if problems:
        raise SuiteError("; ".join(problems))
