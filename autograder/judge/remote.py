"""Things of the student's that stay in the sandbox, and the record of a call."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import torch

from autograder.judge.failure import CheckFailed
from autograder.judge.values import shorten
from autograder.models import Explanation
from autograder.wire import Handle, Reference

if TYPE_CHECKING:
    from autograder.judge.student import Student

__all__ = ["CallRecord", "MissingAttribute", "NoLength", "RemoteObject", "StudentError", "module"]

_MAX_LENGTH: Final = 100_000_000


class StudentError(AssertionError):
    """The student's code raised. ``type_name`` and ``kinds`` (it and its base classes), ``message``,
    ``traceback`` (notebook frames)."""

    def __init__(self, type_name: str, kinds: Sequence[str], message: str, traceback: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name, self.kinds, self.message, self.traceback = type_name, tuple(kinds), message, traceback


class NoLength(StudentError, TypeError):
    """A remote object has no length: ``list`` goes on without."""


class MissingAttribute(StudentError, AttributeError):
    """A remote object lacks an attribute: ``hasattr`` and ``getattr`` with a default work on it."""


@dataclass
class CallRecord:
    """One call of a student's function in this check, as data.

    ``mutated`` lists the arguments (positions, then keyword names) whose content the call changed,
    ``args_after`` and
    ``kwargs_after`` hold their content then; ``rng_used`` names the global generators it advanced.
    ``package`` is true when something of an installed package was called. ``called`` is the student's call
    that a probe made, in words.
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    result: Any = None
    error: StudentError | None = None
    args_after: list[Any] = field(default_factory=list)
    kwargs_after: dict[str, Any] = field(default_factory=dict)
    mutated: tuple[int | str, ...] = ()
    rng_used: tuple[str, ...] = ()
    stdout: str = ""
    wall_s: float = 0.0
    package: bool = False
    called: str = ""

    @property
    def own(self) -> bool:
        """Whether this is the student's code: neither something of a package nor a probe that does not say
        what it called of theirs."""
        return bool(self.called) or not (self.package or self.name.startswith("probe "))

    @property
    def function(self) -> str:
        """The name of what was called."""
        return self.called.partition("(")[0] or self.name

    def describe(self) -> str:
        """The call in one bounded line: ``affine(W (5, 3) float32, …)``."""
        if self.called:
            return self.called
        parts = [_brief(value) for value in self.args]
        parts += [f"{name}={_brief(value)}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(parts)})"


class RemoteObject:
    """An object in the sandbox that is no data. Attributes, items, calls and iteration go over the wire.

    ``type_name`` is what the sandbox says its type is. :meth:`fetch` gives it as data where that is possible.
    """

    def __init__(self, student: Student, node: Handle | Reference, type_name: str, label: str) -> None:
        self._student, self._node, self._label = student, node, label
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<{self.type_name} in the sandbox>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python's own protocols must not reach into the sandbox
        try:
            return self._student.call_node(
                module("builtins.getattr"), [self, name], label=f"{self._label}.{name}", record=False
            )
        except StudentError as error:
            if error.type_name != "AttributeError":
                raise
            raise MissingAttribute(error.type_name, error.kinds, error.message, error.traceback) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_student", "_node", "_label", "type_name"):
            object.__setattr__(self, name, value)
        else:
            self._student.call_node(
                module("builtins.setattr"),
                [self, name, value],
                label=f"{self._label}.{name} = …",
                record=False,
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - the class docstring says it
        return self._student.call_node(self._node, list(args), kwargs, label=self._label)

    def keep(self, *args: Any, **kwargs: Any) -> RemoteObject:
        """Call it, and leave the result in the sandbox, whatever it is."""
        kept: RemoteObject = self._student.call_node(
            self._node, list(args), kwargs, label=self._label, keep=True
        )
        return kept

    def __getitem__(self, key: Any) -> Any:
        return self._student.call_node(
            module("operator.getitem"), [self, key], label=f"{self._label}[{key!r}]", record=False
        )

    def __len__(self) -> int:
        try:
            size = self._student.call_node(
                module("builtins.len"), [self], label=f"len({self._label})", record=False
            )
        except StudentError as error:
            raise NoLength(error.type_name, error.kinds, error.message, error.traceback) from None
        if type(size) is not int or not 0 <= size <= _MAX_LENGTH:  # list() makes room for that many
            raise NoLength("ValueError", (), f"the length of {self._label} is none", "")
        return size

    def __bool__(self) -> bool:
        truth = self._student.call_node(
            module("builtins.bool"), [self], label=f"bool({self._label})", record=False
        )
        return truth is True

    def __iter__(self) -> Iterator[Any]:
        items = self._student.ask("items", target=self._node)
        return iter(items if type(items) is list else [])

    def fetch(self) -> Any:
        """The object as data; itself again when it is none."""
        return self._student.call_node(module("copy.copy"), [self], label=self._label, record=False)

    def _refuse(self, *_: Any) -> NoReturn:
        """Whatever a number, tensor or array does: a check that expects one of these goes no further."""
        raise CheckFailed(
            Explanation(
                summary=f"{self._label} is an object of class {shorten(self.type_name, 80)}, which is no "
                "plain number, tensor or array.",
                hint="Return a plain tensor, array or number, not an object of a class that stands for one.",
            )
        )

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:
        _first_of(args)._refuse()


_REFUSED: Final = (
    "abs add and array complex float floordiv ge gt index int invert le lt matmul mod mul neg or pos pow "
    "radd rand rfloordiv rmatmul rmod rmul ror round rpow rsub rtruediv rxor sub truediv xor"
)
for _name in _REFUSED.split():
    setattr(RemoteObject, f"__{_name}__", RemoteObject._refuse)


def _first_of(args: Any) -> RemoteObject:
    """The remote object among the arguments of a torch function, in a list perhaps."""
    flat = [part for item in args for part in (item if isinstance(item, (list, tuple)) else [item])]
    return next(item for item in flat if isinstance(item, RemoteObject))


def module(path: str) -> Reference:
    """A reference to something of an installed package."""
    return Reference("module", path)


def _rounded(item: Any) -> str:
    if isinstance(item, list):
        return f"[{', '.join(map(_rounded, item))}]"
    return f"{item:.4g}" if isinstance(item, float) else str(item)


def _brief(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        small = value.numel() <= 4 and not value.is_meta
        return f"tensor({_rounded(value.tolist())}) {kind}" if small else f"tensor{tuple(value.shape)} {kind}"
    if isinstance(value, RemoteObject):  # before any hasattr, which would ask the sandbox
        return value._label
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"array{tuple(value.shape)} {value.dtype}"
    return reprlib.repr(value)
