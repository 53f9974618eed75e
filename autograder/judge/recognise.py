"""Which known mistake is this? Compares what the student's code did in a failed check with the wrong twins.

A twin matches when it did the same as the student in at least one call where the reference did something
else, and nothing clearly different in any call. The first match in the order of the file wins. Pure: no
twin leaves a trace, and no student value can make it raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from autograder.errors import SuiteError
from autograder.judge.compare import same
from autograder.judge.mistakes import Mistake
from autograder.judge.twins import CannotCopy, Ran, call, run
from autograder.judge.values import is_remote

__all__ = ["CallRecord", "Observation", "forget_observations", "observations", "observe", "recognise"]

_LOOSE = 100.0
"""Values that differ by less than this many tolerances neither match nor contradict."""
_MAX_CALLS = 200


class CallRecord(Protocol):
    """What is read of one recorded call."""

    @property
    def name(self) -> str:
        """The function that was called."""

    @property
    def args(self) -> Sequence[Any]:
        """Positional arguments as they were sent."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments as they were sent."""

    @property
    def result(self) -> Any:
        """What came back, None after an error."""

    @property
    def error(self) -> Any:
        """None, or something with ``type_name`` and ``message``, or a pair of them."""

    @property
    def mutated(self) -> tuple[int | str, ...]:
        """Positions, then names, of the arguments whose content changed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """``value`` is what ``by`` gave for the student's ``name``; twins are run through ``by`` as well."""

    name: str
    value: Any
    by: Callable[[Any], Any]


_observations: ContextVar[tuple[Observation, ...]] = ContextVar("autograder_observations", default=())


def observe(name: str, value: Any, *, by: Callable[[Any], Any]) -> Any:
    """Say what a scenario showed of the student's class: twins are run through it; gives ``value``.

    ``observe("my_sgd", scenario(student.MySGD), by=scenario)``: ``name`` is the task id or the name of the
    class, ``value`` plain data, ``by(implementation)`` the scenario for a local class.
    """
    if not isinstance(name, str) or not callable(by):
        raise SuiteError(
            "observe(name, value, by=scenario): name is a text, scenario a function of the implementation"
        )
    _observations.set((*_observations.get(), Observation(name, value, by)))
    return value


def observations() -> tuple[Observation, ...]:
    """What this check observed, oldest first."""
    return _observations.get()


def forget_observations() -> None:
    """Forget the observations: a new check begins."""
    _observations.set(())


class _Verdict(Enum):
    MATCH = "match"
    NEUTRAL = "neutral"
    CONTRADICTION = "contradiction"


def recognise(
    mistakes: Sequence[Mistake],
    task: str,
    calls: Sequence[CallRecord],
    observations: Sequence[Observation] = (),
    failure: BaseException | None = None,
    *,
    reference: Any = None,
) -> Mistake | None:
    """The mistake behind a failed check of ``task``, its message filled, or None.

    ``failure`` is what the check raised: its ``mistake`` (named by the check) wins, then exceptions and
    twins in the order of the file. ``reference`` is the suite's reference module.

    :raises SuiteError: nothing fills a placeholder of the mistake that was found.
    """
    ours = [item for item in mistakes if item.task == task]
    named = getattr(failure, "mistake", None)
    if named is not None:
        found = next((item for item in ours if item.id == named), None)
        return found.fill(getattr(failure, "fields", {})) if found else None
    scenes = _scenes(calls, observations, reference)
    errors = _errors(calls, failure)
    for item in ours:
        if item.twin is not None:
            scene = _match(item, scenes)
            if scene is not None:
                return item.fill(_fields(item, scene.record))
        elif item.match is not None:
            for type_name, message in errors:
                hit = item.match.search(message) if type_name in item.error else None
                if hit:
                    return item.fill({**hit.groupdict(""), "error": message})
    return None


def _fields(item: Mistake, record: Any) -> Mapping[str, Any]:
    try:
        return item.fields(record) if item.fields else {}
    except Exception as error:
        raise SuiteError(f"fields= of mistake {item.id!r} raised {type(error).__name__}: {error}") from error


def _errors(calls: Sequence[CallRecord], failure: BaseException | None) -> list[tuple[str, str]]:
    """Exceptions of the student's code: the one that ended the check, then those that the check caught."""
    candidates = [failure, *(record.error for record in reversed(calls))]
    found: list[tuple[str, str]] = []
    for candidate in candidates:
        pair = _error(candidate)
        if pair is not None and pair not in found:
            found.append(pair)
    return found


def _error(error: Any) -> tuple[str, str] | None:
    if type(error) is tuple and len(error) == 2:
        return str(error[0]), str(error[1])
    type_name = getattr(error, "type_name", None)
    return None if type_name is None else (str(type_name), str(getattr(error, "message", "")))


@dataclass(slots=True)
class _Scene:
    """Something the student's code did, and how to have a twin do it. ``references`` is a cache."""

    names: tuple[str, ...]
    student: Ran
    perform: Callable[[Any], Ran]
    record: Any
    mutated: frozenset[int | str] | None
    module: Any
    references: dict[str, Ran | None]


def _scenes(calls: Sequence[CallRecord], seen: Sequence[Observation], module: Any) -> list[_Scene]:
    scenes = []
    for record in list(calls)[:_MAX_CALLS]:
        args, kwargs = list(record.args), dict(record.kwargs)
        student = Ran(
            record.result,
            _error(record.error),
            getattr(record, "args_after", None) or (),
            getattr(record, "kwargs_after", None) or {},
        )
        mutated = frozenset(record.mutated) if record.mutated is not None else None
        scenes.append(_Scene((record.name,), student, _performer(args, kwargs), record, mutated, module, {}))
    for item in seen:
        # A twin is the scenario's argument, not copied; the scenario makes its own inputs.
        scenes.append(_Scene((item.name,), Ran(item.value), _observer(item.by), item, None, module, {}))
    return scenes


def _performer(args: list[Any], kwargs: dict[str, Any]) -> Callable[[Any], Ran]:
    return lambda function: run(function, args, kwargs)


def _observer(by: Callable[[Any], Any]) -> Callable[[Any], Ran]:
    return lambda implementation: call(by, [implementation], {})


def _match(item: Mistake, scenes: Sequence[_Scene]) -> _Scene | None:
    """The first scene that shows the mistake, None when there is none or one contradicts it."""
    first = None
    for scene in scenes:
        observed = isinstance(scene.record, Observation)
        if item.of not in scene.names and not (observed and item.task in scene.names):
            continue
        verdict = _judge(item, scene)
        if verdict is _Verdict.CONTRADICTION:
            return None
        if verdict is _Verdict.MATCH and first is None:
            first = scene
    return first


def _judge(item: Mistake, scene: _Scene) -> _Verdict:
    try:
        if _holds_remote(scene.student.result):
            return _Verdict.NEUTRAL
        twin = scene.perform(item.twin)
        verdict = _alike(scene, twin)
        if verdict is not _Verdict.MATCH:
            return verdict
        reference = _reference(item, scene)
        if reference is not None and _alike(scene, reference) is _Verdict.MATCH:
            return _Verdict.NEUTRAL  # the student is right here, and so is the twin
        return _Verdict.MATCH
    except (CannotCopy, SuiteError, RecursionError, MemoryError):
        return _Verdict.NEUTRAL


def _reference(item: Mistake, scene: _Scene) -> Ran | None:
    if item.of not in scene.references:
        right = getattr(scene.module, item.of, None) if scene.module is not None else None
        scene.references[item.of] = scene.perform(right) if callable(right) else None
    return scene.references[item.of]


def _alike(scene: _Scene, other: Ran) -> _Verdict:
    """Whether ``other`` did what the student did: exception, result, and what became of the arguments."""
    mine, theirs = scene.student.error, other.error
    if mine is not None or theirs is not None:
        if mine is None or theirs is None or mine[0] != theirs[0]:
            return _Verdict.CONTRADICTION
        # One type stands for many faults; torch's messages carry the shapes and tell them apart.
        return _Verdict.MATCH if mine[1] == theirs[1] else _Verdict.NEUTRAL
    if not same(scene.student.result, other.result):
        near = same(scene.student.result, other.result, rtol=1e-4 * _LOOSE, atol=1e-5 * _LOOSE)
        return _Verdict.NEUTRAL if near else _Verdict.CONTRADICTION
    return _Verdict.MATCH if _same_mutation(scene, other) else _Verdict.CONTRADICTION


def _same_mutation(scene: _Scene, other: Ran) -> bool:
    if scene.mutated is None or isinstance(scene.record, Observation):
        return True
    if len(other.args_after) != len(scene.record.args):
        return True
    changed: set[int | str] = set()
    pairs: list[tuple[int | str, Any, Any]] = [
        (i, before, after)
        for i, (before, after) in enumerate(zip(scene.record.args, other.args_after, strict=True))
    ]
    pairs += [
        (key, before, (other.kwargs_after or {}).get(key)) for key, before in scene.record.kwargs.items()
    ]
    for key, before, after in pairs:
        if not callable(before) and not same(after, before, rtol=0.0, atol=0.0):
            changed.add(key)
    return changed == set(scene.mutated)


def _holds_remote(value: Any, depth: int = 0) -> bool:
    if type(value) in (list, tuple) and depth < 4:
        return any(_holds_remote(item, depth + 1) for item in value[:64])
    if type(value) is dict and depth < 4:
        return any(_holds_remote(item, depth + 1) for item in list(value.values())[:64])
    return is_remote(value)
