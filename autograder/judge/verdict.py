"""What the exception of a check means: its outcome, and what the student reads about it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Protocol

from autograder.errors import SandboxDied, SandboxTimeout, WireError
from autograder.judge.draw import Draw
from autograder.judge.failure import CheckFailed
from autograder.judge.student import CallRecord, Student, StudentError
from autograder.models import CheckResult, Explanation, Outcome
from autograder.plain import plain

__all__ = ["engine_error", "explain", "not_a_function", "not_run", "outcome_of", "printable"]


class _Check(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def points(self) -> float: ...


def not_run(check: _Check, why: str) -> CheckResult:
    """The record of a check that the judge did not get to."""
    return CheckResult(
        id=check.id,
        task=check.task,
        outcome=Outcome.NOT_RUN,
        points=check.points,
        score=0.0,
        explanation=Explanation(summary=f"Not run: {why}."),
    )


def outcome_of(error: BaseException | None) -> Outcome:
    """The outcome of a check that ended with ``error``; None is a pass."""
    match error:
        case None:
            return Outcome.PASSED
        case StudentError(type_name="NotImplementedError"):
            return Outcome.FAILED  # the stub: an answer that is missing, not one that breaks
        case StudentError():
            return Outcome.ERROR
        case AssertionError():
            return Outcome.FAILED
        case SandboxTimeout():
            return Outcome.TIMEOUT
        case SandboxDied(memory=True):
            return Outcome.MEMORY
        case SandboxDied(status=int(status)) if status >= 0:
            return Outcome.HOSTILE
        case SandboxDied():
            return Outcome.ERROR
        case WireError():
            return Outcome.HOSTILE
        case _:
            return Outcome.ENGINE_ERROR


def not_a_function(name: str, type_name: str) -> CheckFailed:
    """The failure of a check that called a name of the notebook that holds something else."""
    return CheckFailed(
        Explanation(
            summary=f"{name} is no function: it is {type_name!r}.",
            expected=f"a function or class named {name}",
            hint=f"Did a later line give the name {name} to something else?",
        )
    )


def explain(error: BaseException, student: Student | None, draw: Draw) -> Explanation:
    """What the student is told about ``error``, with the call and the draws that led to it."""
    call = _call_behind(error, student.calls if student is not None else ())
    called = call.describe() if call is not None else ""
    reproduce = draw.reproduce
    match error:
        case CheckFailed():
            explanation = error.explanation
        case StudentError():
            explanation = _raised(error, call)
        case AssertionError():
            explanation = Explanation(summary=str(error) or "The answer is wrong.")
        case SandboxTimeout():
            explanation = Explanation(
                summary=f"Stopped after {error.limit_s:g} s: {called or 'the code'} did not come to an end.",
                hint="Look for a loop that never ends, or one over the elements of a large tensor.",
            )
        case SandboxDied(memory=True):
            explanation = Explanation(
                summary="Your code needed more memory than allowed and was ended.",
                hint="Look for a tensor that grows with every step, or a broadcast of two large tensors.",
            )
        case SandboxDied():
            explanation = Explanation(
                summary=f"Your code ended the whole Python process: {error}.",
                hint="A solution must not leave Python (os._exit, os.kill, …); it returns a value.",
            )
        case WireError():
            explanation = Explanation(
                summary=f"What came back from your code is no valid answer: {error}.",
                hint="Return plain tensors, arrays, numbers, lists or dicts, and leave the grader alone.",
            )
        case _:
            explanation = Explanation(
                summary="The grader failed here, not you. No points were decided: this will be graded again.",
                traceback="".join(traceback.format_exception(error))[-8000:],
            )
    return replace(
        explanation, called=explanation.called or called, reproduce=explanation.reproduce or reproduce
    )


def _call_behind(error: BaseException, calls: Sequence[CallRecord]) -> CallRecord | None:
    """The call that ``error`` is about: the one that raised or never returned, and of an assertion the last
    call of the student's own code. A probe only looks at what that did; it is named where there is no other.
    """
    if not calls:
        return None
    if not isinstance(error, AssertionError):
        return calls[-1]
    raised = (call for call in reversed(calls) if call.error is error)
    return next(raised, None) or next((call for call in reversed(calls) if call.own), calls[-1])


def _raised(error: StudentError, call: CallRecord | None) -> Explanation:
    name = call.function if call is not None else "Your code"
    stub = not error.message or error.message.startswith("Task")  # torch raises NotImplementedError as well
    if error.type_name == "NotImplementedError" and stub:
        return Explanation(
            summary=f"{name} is not answered yet.", hint="Replace the line that raises NotImplementedError."
        )
    return Explanation(
        summary=f"{name} raised {error.type_name}: {error.message}".rstrip(": "), traceback=error.traceback
    )


def printable(explanation: Explanation) -> Explanation:
    """The same without characters that steer a terminal: every part may quote the student."""
    return Explanation(**{name: plain(text) for name, text in asdict(explanation).items()})


def engine_error(spec_checks: Iterable[_Check], error: BaseException) -> tuple[CheckResult, ...]:
    """Records of a task that could not be judged because the engine failed."""
    explanation = explain(error, None, Draw(0))
    return tuple(
        CheckResult(check.id, check.task, Outcome.ENGINE_ERROR, check.points, None, explanation)
        for check in spec_checks
    )
