"""What a failed check raises, and how its message calls the value it speaks about."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from autograder.models import Explanation

__all__ = ["CheckFailed", "Subject", "forget_result", "note_result", "subject"]


class CheckFailed(AssertionError):
    """The student's answer is wrong.

    ``explanation`` is what the student reads, ``mistake`` the id of a known mistake that the check
    itself has recognised, ``fields`` fill the placeholders of that mistake's message.
    """

    def __init__(
        self,
        explanation: Explanation | str,
        *,
        mistake: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(explanation, str):
            explanation = Explanation(summary=explanation)
        super().__init__(explanation.text())
        self.explanation = explanation
        self.mistake = mistake
        self.fields: Mapping[str, Any] = dict(fields or {})

    def __str__(self) -> str:
        return self.explanation.text()


@dataclass(frozen=True, slots=True)
class Subject:
    """The value a message speaks about: "affine", "result['ones']", "the result".

    ``returned`` is true when ``noun`` is a function and the value is what it returned, ``whole`` when the
    value is all that the last call gave.
    """

    noun: str
    returned: bool = False
    whole: bool = False

    def at(self, step: str) -> Subject:
        """The part of the value that ``step`` ("[0]", "['ones']") leads to."""
        if self.returned:
            return Subject(f"{self.noun}(…){step}")
        return Subject(f"{self.noun}{step}")

    def is_(self, what: str) -> str:
        """ "affine returned None", "result[0] is None"."""
        return f"{self.noun} {'returned' if self.returned else 'is'} {what}"

    @property
    def owner(self) -> str:
        """ "the result of affine", "result[0]"."""
        return f"the result of {self.noun}" if self.returned else self.noun


_last: ContextVar[tuple[str, object] | None] = ContextVar("autograder_last_result", default=None)
_MAX_LOOKUPS = 64


def note_result(name: str, result: object) -> None:
    """Remember that the student's function ``name`` has just returned ``result``.

    The proxies call this after each call; a check without ``name=`` then speaks of "affine" and
    not of "the result". The value is only compared by identity.
    """
    _last.set((name, result))


def forget_result() -> None:
    """Forget the last result: a new check begins."""
    _last.set(None)


def subject(name: str, value: object) -> Subject:
    """How a message calls ``value``: by ``name``, else by the call that returned it."""
    last = _last.get()
    if name or last is None:
        return Subject(name or "the result", whole=last is not None and value is last[1])
    function, result = last
    whole = Subject(function, returned=True, whole=True)
    if value is result:
        return whole
    step = _find(value, result)
    return whole.at(step) if step else Subject("the result")


def _find(value: object, container: object) -> str | None:
    if type(container) in (list, tuple):
        items: Any = enumerate(container)  # type: ignore[arg-type]
    elif type(container) is dict:
        items = container.items()
    else:
        return None
    for count, (key, item) in enumerate(items):
        if count == _MAX_LOOKUPS:
            return None
        if item is value and item is not None and type(key) in (str, int):
            return f"[{key[:40]!r}]" if isinstance(key, str) else f"[{key % 10**9}]"
    return None
