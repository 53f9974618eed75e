"""The words that every assertion takes, and how its message comes about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypedDict

import torch

from autograder.errors import SuiteError
from autograder.judge.compare import Difference, missing
from autograder.judge.failure import CheckFailed, Subject, subject
from autograder.judge.numeric import Numeric, Unusable, numeric
from autograder.judge.values import describe, is_tensor
from autograder.models import Explanation

__all__ = ["Words", "begin", "check_words", "numbers_of", "reject"]


class Words(TypedDict, total=False):
    """Keywords that every assertion takes; all are plain text."""

    hint: str
    slide: str
    expected: str
    mistake: str | None
    name: str


_WORDS = frozenset(Words.__annotations__)


def check_words(words: Mapping[str, Any]) -> None:
    """Raise :class:`SuiteError` for a keyword that no assertion has."""
    unknown = sorted(set(words) - _WORDS)
    if unknown:
        raise SuiteError(f"unknown keyword {', '.join(unknown)}; known are {', '.join(sorted(_WORDS))}")


def reject(found: Difference, words: Words, fields: Mapping[str, Any] | None = None) -> NoReturn:
    """Raise :class:`CheckFailed` for ``found``; the suite's own words win over the general ones."""
    raise CheckFailed(
        Explanation(
            summary=found.summary,
            expected=words.get("expected") or found.expected,
            got=found.got,
            hint=words.get("hint") or found.hint,
            slide=words.get("slide", ""),
        ),
        mistake=words.get("mistake"),
        fields=fields,
    )


def begin(value: Any, words: Words) -> Subject:
    """What the message calls ``value``, after the keywords were checked."""
    check_words(words)
    return subject(words.get("name", ""), value)


def numbers_of(value: Any, about: Subject, words: Words) -> Numeric:
    """``value`` as numbers, or :class:`CheckFailed`."""
    wanted = words.get("expected") or "numbers"
    found = missing(value, about, wanted)
    if found:
        reject(found, words)
    if isinstance(value, torch.Tensor) and not is_tensor(value):
        reject(Difference(about.is_(f"a {type(value).__name__}: return a plain torch.Tensor")), words)
    try:
        numbers = numeric(value, about)
    except Unusable as error:
        reject(Difference(str(error), got=describe(value)), words)
    assert numbers is not None  # only with `like` on the meta device
    return numbers
