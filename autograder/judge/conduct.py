"""Assertions about how the student's code behaved: what it changed, drew and raised."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Unpack

from autograder.errors import SuiteError
from autograder.judge.compare import Difference
from autograder.judge.failure import CheckFailed
from autograder.judge.values import shorten
from autograder.judge.words import Words, check_words, reject

__all__ = ["Record", "assert_rng_untouched", "assert_unchanged", "raises"]


class Record(Protocol):
    """What :func:`assert_unchanged` and :func:`assert_rng_untouched` read of a recorded call."""

    @property
    def name(self) -> str:
        """The function that was called."""

    @property
    def mutated(self) -> tuple[int | str, ...]:
        """Positions, then names, of the arguments whose content changed."""

    @property
    def rng_used(self) -> tuple[str, ...]:
        """Out of "torch", "numpy", "random"."""


def assert_unchanged(record: Record, *, ignore: Iterable[int | str] = (), **words: Unpack[Words]) -> None:
    """The recorded call left its arguments (but those in ``ignore``) as they were."""
    check_words(words)
    changed = [item for item in record.mutated if item not in set(ignore)]
    if not changed:
        return
    named = ", ".join(
        f"number {item + 1}" if isinstance(item, int) else shorten(str(item), 40) for item in changed
    )
    plural = "s" if len(changed) > 1 else ""
    reject(
        Difference(
            f"{words.get('name') or record.name} changed its argument{plural} {named}",
            expected="the arguments as they were before the call",
            hint="methods that end in _ and += on a tensor work in place; work on a .clone()",
        ),
        words,
    )


_RNGS = {"torch": "torch", "numpy": "numpy", "random": "Python's random"}


def assert_rng_untouched(record: Record, **words: Unpack[Words]) -> None:
    """The recorded call neither used nor seeded a global random generator."""
    check_words(words)
    if record.rng_used:
        used = ", ".join(_RNGS.get(item, shorten(str(item), 20)) for item in record.rng_used)
        reject(
            Difference(
                f"{words.get('name') or record.name} used or seeded the global random numbers of {used}",
                expected="the global random state as it was before the call",
                hint="take a generator of your own: torch.Generator() or np.random.default_rng(seed)",
            ),
            words,
        )


class raises:
    """``with raises("ValueError", "TypeError") as caught:`` the student's code must raise one of them.

    ``caught.type_name`` and ``caught.message`` tell which; ``match`` is a regular expression that is
    searched in the message. A built-in subclass counts (``"LookupError"`` accepts a KeyError,
    ``"Exception"`` everything).
    """

    def __init__(self, *types: str | type[BaseException], match: str = "", **words: Unpack[Words]) -> None:
        check_words(words)
        self.types = tuple(item if isinstance(item, str) else item.__name__ for item in _flat(types))
        if not self.types:
            raise SuiteError("raises(…) needs the name of an exception")
        try:
            self._match = re.compile(match)
        except re.error as error:
            raise SuiteError(f"raises(match={match!r}): {error}") from error
        self.words = words
        self.type_name = ""
        self.message = ""

    def __enter__(self) -> raises:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        wanted = " or ".join(self.types)
        about = self.words.get("name") or "the call"
        if error is None:
            reject(Difference(f"{about} raised nothing; expected {wanted}", expected=wanted), self.words)
        type_name = getattr(error, "type_name", None)
        if isinstance(error, CheckFailed) or not isinstance(error, AssertionError) or type_name is None:
            return False
        self.type_name, self.message = str(type_name), str(getattr(error, "message", ""))
        got = shorten(f"{self.type_name}: {self.message}")
        kinds = (self.type_name, *(str(kind) for kind in getattr(error, "kinds", ())))
        if not any(_is_subclass(kind, item) for kind in kinds for item in self.types):
            reject(Difference(f"{about} raised {self.type_name}; expected {wanted}", wanted, got), self.words)
        if not self._match.search(self.message):
            summary = f"{about} raised {self.type_name} with a message that does not say what is wrong"
            reject(Difference(summary, f"a message with {self._match.pattern!r}", got), self.words)
        return True


def _flat(types: Iterable[Any]) -> list[Any]:
    return [item for entry in types for item in (entry if isinstance(entry, tuple) else (entry,))]


def _is_subclass(name: str, wanted: str) -> bool:
    if name == wanted or wanted in ("Exception", "BaseException"):
        return True
    mine, theirs = getattr(builtins, name, None), getattr(builtins, wanted, None)
    return isinstance(mine, type) and isinstance(theirs, type) and issubclass(mine, theirs)
