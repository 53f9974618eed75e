"""Known wrong answers: how a suite writes them down in its ``mistakes.py``.

::

    from autograder import mistake

    @mistake("affine", "b of shape (out, 1) was broadcast: b needs shape (out,).", slide="01.04")
    def column_bias(W, x, b):              # the wrong twin; its name is the id of the mistake
        return W @ x + b[:, None]

    mistake.on_error("make_tensors", "tensor_ones", error="AttributeError", match="no attribute", message="…")
    mistake.named("random_tensors", "seeds_inside", message="Two calls give the same numbers.")

A message may hold ``{placeholders}``: ``fail(…, mistake="…", ratio=3.0)`` fills those of a named mistake,
the named groups of ``match`` (and ``{error}``) those of one known by its exception, ``fields=lambda call:
{…}`` those of a twin. A literal brace is doubled. This module is light; :mod:`autograder.judge.recognise`
does the comparing.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final, TypeVar

from autograder.errors import SuiteError
from autograder.models import Explanation

__all__ = ["Mistake", "collect", "mistake"]

_Twin = TypeVar("_Twin", bound=Callable[..., Any])
_REGISTRY: Final = "__autograder_mistakes__"
_MAX_FIELD: Final = 200


@dataclass(frozen=True, slots=True)
class Mistake:
    """One known wrong answer of ``task``.

    It is recognised by a ``twin`` of the student's ``of``, by an exception (``error``: type names;
    ``match``: in its message), or, with neither, by a check that names its ``id``.
    """

    id: str
    task: str
    message: str
    hint: str = ""
    slide: str = ""
    of: str = ""
    twin: Callable[..., Any] | None = None
    error: frozenset[str] = frozenset()
    match: re.Pattern[str] | None = None
    fields: Callable[[Any], Mapping[str, Any]] | None = None
    final: bool = False
    """The placeholders of ``message`` have been filled."""

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the placeholders in ``message``. :class:`SuiteError` when it cannot be formatted."""
        if self.final:
            return frozenset()
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(self.message) if name is not None]
        except ValueError as error:
            raise SuiteError(
                f"message of mistake {self.id!r}: {error}; write a literal brace twice"
            ) from error
        wrong = [name for name in names if not name.isidentifier()]
        if wrong:
            raise SuiteError(
                f"message of mistake {self.id!r}: {{{wrong[0]}}} is no name; write a literal brace twice"
            )
        return frozenset(names)

    def fill(self, fields: Mapping[str, Any]) -> Mistake:
        """This mistake, its placeholders filled from ``fields``; :class:`SuiteError` when one is missing."""
        if self.final:
            return self
        lacking = sorted(self.placeholders - set(fields))
        if lacking:
            raise SuiteError(f"message of mistake {self.id!r}: nothing fills {{{lacking[0]}}}")
        safe = {name: _safe(fields[name]) for name in self.placeholders}
        try:
            return replace(self, message=self.message.format_map(safe), final=True)
        except (ValueError, TypeError) as error:
            raise SuiteError(f"message of mistake {self.id!r}: {error}") from error

    def lead(self, explanation: Explanation, fields: Mapping[str, Any] | None = None) -> Explanation:
        """``explanation`` led by the message of this mistake; what the check saw comes below it."""
        message = self.fill(fields or {}).message
        seen = explanation.summary
        return replace(
            explanation,
            summary=message if seen in ("", message) else f"{message}\n{seen}",
            hint=self.hint or explanation.hint,
            slide=self.slide or explanation.slide,
        )


def _safe(value: Any) -> Any:
    """Numbers as they are (a format may round them), everything else as bounded text."""
    if type(value) in (bool, int, float, complex):
        return value
    if type(value) in (tuple, list) and len(value) <= 8 and all(type(n) is int for n in value):
        return str(value)[:_MAX_FIELD]
    if type(value) is str:
        return value[:_MAX_FIELD]
    from autograder.judge.values import describe  # torch is loaded only where there are values

    return describe(value)


def _text(what: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SuiteError(f"a mistake needs a {what} that is a text and not empty, not {value!r}")
    return value


class _Words:
    """The word ``mistake``: a decorator for twins, with ``on_error`` and ``named`` for the other kinds."""

    def __call__(
        self,
        task: str,
        message: str,
        *,
        slide: str = "",
        hint: str = "",
        of: str = "",
        id: str = "",
        fields: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> Callable[[_Twin], _Twin]:
        """Register the decorated function or class as a wrong twin of the student's ``of`` (the task).

        ``id`` defaults to the twin's name; ``fields(call)`` gives what fills the placeholders of ``message``.
        """
        registry = _registry()
        if callable(message):
            raise SuiteError('@mistake(task, message) needs a task and a message: @mistake("affine", "…")')

        def register(twin: _Twin) -> _Twin:
            name = id or getattr(twin, "__name__", "")
            _add(registry, Mistake(name, task, message, hint, slide, of=of or task, twin=twin, fields=fields))
            return twin

        return register

    def on_error(
        self,
        task: str,
        id: str,
        *,
        error: str,
        message: str,
        match: str = "",
        slide: str = "",
        hint: str = "",
    ) -> None:
        """A mistake known by its exception: type name (several with ``|``), pattern found in its message."""
        names = frozenset(
            name.strip() for name in _text("type name in error=", error).split("|") if name.strip()
        )
        try:
            pattern = re.compile(match)
        except re.error as bad:
            raise SuiteError(f"mistake {id!r}: match={match!r} is no regular expression: {bad}") from bad
        _add(_registry(), Mistake(id, task, message, hint, slide, of=task, error=names, match=pattern))

    def named(self, task: str, id: str, *, message: str, slide: str = "", hint: str = "") -> None:
        """A mistake without a twin: a check names it, ``fail("…", mistake=id)``."""
        _add(_registry(), Mistake(id, task, message, hint, slide, of=task))


mistake: Final = _Words()


def _registry() -> list[Mistake]:
    """The list of the module that is calling: two frames up, past the method of :class:`_Words`."""
    registry: list[Mistake] = sys._getframe(2).f_globals.setdefault(_REGISTRY, [])
    return registry


def _add(registry: list[Mistake], new: Mistake) -> None:
    _text("task", new.task)
    _text("id", new.id)
    _text("message", new.message)
    registry.append(new)


def collect(module: ModuleType) -> tuple[Mistake, ...]:
    """The mistakes that ``module`` registered, in the order of the file.

    :raises SuiteError: an id is there twice for one task, or nothing can fill a placeholder of a message.
    """
    found: list[Mistake] = getattr(module, _REGISTRY, [])
    seen: set[tuple[str, str]] = set()
    for item in found:
        if (item.task, item.id) in seen:
            raise SuiteError(
                f"{module.__name__}: task {item.task!r} has two mistakes with the id {item.id!r}"
            )
        seen.add((item.task, item.id))
        names = item.placeholders
        if item.twin is not None and names and item.fields is None:
            raise SuiteError(
                f"mistake {item.id!r}: say with fields=lambda call: … what fills {{{sorted(names)[0]}}}"
            )
        if item.match is not None:
            unknown = sorted(names - set(item.match.groupindex) - {"error"})
            if unknown:
                raise SuiteError(f"mistake {item.id!r}: no named group of match= fills {{{unknown[0]}}}")
    return tuple(found)
