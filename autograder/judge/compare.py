"""One comparison for everything a student can return.

The order is always: defined, type, dtype, shape, finite, values; the first difference speaks. Nothing is
ever broadcast, NaN equals NaN only where NaN is expected, and whatever the student returned,
:func:`compare` gives a :class:`Difference` or None. A bad *expected* value is a :class:`SuiteError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch

from autograder.errors import SuiteError
from autograder.judge.failure import Subject
from autograder.judge.numeric import (
    TOLERANCES,
    Numeric,
    Unusable,
    differ,
    differing_values,
    numeric,
    shape_note,
    tolerances,
)
from autograder.judge.values import (
    describe,
    dtype_name,
    is_array,
    is_number,
    is_remote,
    is_tensor,
    remote_name,
    shape_of,
    type_phrase,
)

__all__ = ["Difference", "Rules", "compare", "missing", "same"]

_EXACT = (str, bytes, torch.dtype)
_MAX_DEPTH = 32
_FEW = 1 << 20
_USUAL = frozenset({torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool})
"""Dtypes for which torch has every operation; floats of 8 bits, say, cannot be compared."""
_STANDARD = {dtype: TOLERANCES[str(dtype).removeprefix("torch.")] for dtype in (torch.float32, torch.float64)}
"""Default ``(rtol, atol)`` of the dtypes for which the short way is taken."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Why a value is not the expected one; the words of a message."""

    summary: str
    expected: str = ""
    got: str = ""
    hint: str = ""


_UNLIKE = Difference("different")
"""The difference of a quiet comparison."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to compare. None for a tolerance means: the default of the coarser dtype.

    ``exact``: no tolerance, no extra dict keys, a float is no int. ``check_dtype``: dtypes must agree
    (an expected float64 is an oracle and agrees with every float). ``reveal``: expected numbers may be shown.
    ``quiet``: nobody reads the words of the difference, so none are made where that takes time.
    """

    rtol: float | None = None
    atol: float | None = None
    exact: bool = False
    check_dtype: bool = True
    reveal: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < float("inf")):
                raise SuiteError(f"{name} must be a finite number, 0 or more, not {value!r}")


def same(a: object, b: object, rtol: float | None = None, atol: float | None = None) -> bool:
    """Whether ``a`` is what ``b`` is, values within the tolerances. Never raises for any ``a``.

    For conditions ("two calls differ"); a check of an answer wants :func:`compare` and its message.
    """
    return compare(a, b, Subject("it"), Rules(rtol=rtol, atol=atol, quiet=True)) is None


def compare(got: Any, expected: Any, subject: Subject, rules: Rules) -> Difference | None:
    """The first difference between ``got`` and ``expected``, or None."""
    return _compare(got, expected, subject, rules, 0)


def missing(got: Any, subject: Subject, expected: str) -> Difference | None:
    """The difference that ``got`` is no data at all: None, or an object that stayed in the sandbox."""
    if got is None:
        what = "None: is a return missing?" if subject.whole else "None"
        return Difference(subject.is_(what), expected=expected, got="None")
    if is_remote(got):
        name = remote_name(got)
        cure = "return a plain torch.Tensor" if "torch.Tensor" in expected else "return plain data"
        what = f"an object of class {name}; {cure}, not a class of your own"
        return Difference(subject.is_(what), expected=expected, got=f"an object of class {name}")
    return None


def _compare(got: Any, expected: Any, subject: Subject, rules: Rules, depth: int) -> Difference | None:
    if depth > _MAX_DEPTH:
        raise SuiteError(f"the expected value of {subject.noun} is nested more than {_MAX_DEPTH} deep")
    if expected is None:
        if got is None:
            return None
        return missing(got, subject, "None") or _wrong_type(got, subject, "None")
    if type(expected) is float and type(got) is float and _floats_close(got, expected, rules):
        return None
    if isinstance(expected, torch.Tensor):
        if _surely_close(got, expected, rules):
            return None
        return _compare_numeric(got, expected.detach(), subject, rules)
    if isinstance(expected, np.ndarray) or is_number(expected):
        return _compare_numeric(got, expected, subject, rules)
    if isinstance(expected, Mapping):
        return _compare_dicts(got, expected, subject, rules, depth)
    if isinstance(expected, torch.device):
        return _compare_devices(got, expected, subject)
    if isinstance(expected, _EXACT):
        return _compare_exact(got, expected, subject, rules)
    if isinstance(expected, Sequence):
        return _compare_sequences(got, expected, subject, rules, depth)
    raise SuiteError(
        f"a check cannot compare with {type(expected).__name__}: give tensors, arrays or plain data"
    )


def _floats_close(got: float, expected: float, rules: Rules) -> bool:
    """Whether two Python floats agree, as :func:`_surely_close` for tensors: histories hold hundreds."""
    if rules.exact or got == expected or not isfinite(expected):
        return got == expected
    standard = TOLERANCES["float32"]  # whose precision a bare number may have
    rtol = standard[0] if rules.rtol is None else float(rules.rtol)
    atol = standard[1] if rules.atol is None else float(rules.atol)
    return abs(got - expected) <= (atol + rtol * abs(expected)) / 2


def _surely_close(got: Any, expected: torch.Tensor, rules: Rules) -> bool:
    """Whether two plain tensors of one kind agree so well that no closer look is needed.

    Saves right answers the way through arrays of :func:`_compare_numeric`. Half of the tolerance, as the
    difference is computed in the tensors' own precision.
    """
    if (
        not is_tensor(got)
        or got.dtype not in _USUAL
        or got.dtype != expected.dtype
        or got.shape != expected.shape
        or not (got.is_cpu and expected.is_cpu)
        or got.layout != torch.strided
        or expected.layout != torch.strided
        or not 0 < got.numel() <= _FEW
    ):
        return False
    with torch.no_grad():
        if torch.equal(got, expected):
            return True
        standard = _STANDARD.get(got.dtype)
        if rules.exact or standard is None or got.dim() == 0:
            return False
        rtol = standard[0] if rules.rtol is None else float(rules.rtol)
        atol = standard[1] if rules.atol is None else float(rules.atol)
        return torch.allclose(got, expected, rtol=rtol / 2, atol=atol / 2)


def _wrong_type(got: Any, subject: Subject, expected: str) -> Difference:
    return Difference(
        subject.is_(f"{type_phrase(got)}; expected {expected}"), expected=expected, got=describe(got)
    )


def _compare_exact(got: Any, expected: Any, subject: Subject, rules: Rules) -> Difference | None:
    article = f"a torch.{type(expected).__name__}" if isinstance(expected, torch.dtype) else None
    kind = article or ("a str" if isinstance(expected, str) else "bytes")
    found = missing(got, subject, kind)
    if found:
        return found
    if type(got) is not type(expected) and not isinstance(expected, type(got)):
        return _wrong_type(got, subject, kind)
    if got == expected:
        return None
    if rules.quiet:
        return _UNLIKE
    shown = describe(expected) if rules.reveal or isinstance(expected, torch.dtype) else ""
    return Difference(f"{subject.is_(describe(got))}, which is wrong", expected=shown, got=describe(got))


def _compare_devices(got: Any, expected: torch.device, subject: Subject) -> Difference | None:
    """By type: cuda and cuda:0 are the same device unless the suite names an index."""
    found = missing(got, subject, "a torch.device")
    if found:
        return found
    if type(got) is not torch.device:
        return _wrong_type(got, subject, "a torch.device")
    if got.type == expected.type and expected.index in (None, got.index):
        return None
    return Difference(
        f"{subject.is_(f'the device {got}')}, expected {expected}", expected=str(expected), got=str(got)
    )


def _compare_sequences(
    got: Any, expected: Sequence[Any], subject: Subject, rules: Rules, depth: int
) -> Difference | None:
    """A list and a tuple (and a torch.Size) are both right: which one is a matter of style."""
    kind = f"a {'list' if isinstance(expected, list) else 'tuple'} with {len(expected)} entries"
    found = missing(got, subject, kind)
    if found:
        return found
    if type(got) not in (list, tuple, torch.Size):
        return _wrong_type(got, subject, kind)
    if len(got) != len(expected):
        if rules.quiet:
            return _UNLIKE
        word = "entry" if len(got) == 1 else "entries"
        return Difference(
            f"{subject.owner} has {len(got)} {word}, expected {len(expected)}",
            expected=f"{len(expected)} entries",
            got=describe(got),
        )
    for index, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        part = subject if rules.quiet else subject.at(f"[{index}]")
        found = _compare(mine, theirs, part, rules, depth + 1)
        if found:
            return found
    return None


def _compare_dicts(
    got: Any, expected: Mapping[Any, Any], subject: Subject, rules: Rules, depth: int
) -> Difference | None:
    """Every expected key must be there; further keys matter only when ``rules.exact``."""
    if type(got) is not dict:
        keys = ", ".join(describe(key) for key in expected)
        wanted = f"a dict with the keys {keys}"
        return missing(got, subject, wanted) or _wrong_type(got, subject, wanted)
    absent = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected] if rules.exact else []
    for problem, which in (("lacks", absent), ("has the unexpected", extra)):
        if which:
            keys = ", ".join(describe(key) for key in expected)
            named = ", ".join(describe(key) for key in which[:8])
            return Difference(
                f"{subject.owner} {problem} key{'s' if len(which) > 1 else ''} {named}",
                expected=f"the keys {keys}",
                got=f"the keys {describe(list(got))}",
            )
    for key, theirs in expected.items():
        part = subject if rules.quiet else subject.at(f"[{describe(key)}]")
        found = _compare(got[key], theirs, part, rules, depth + 1)
        if found:
            return found
    return None


def _wanted(expected: Any) -> str:
    """ "a torch.Tensor of shape (5,), float32", "an int", "a number"."""
    if isinstance(expected, (bool, np.bool_)):
        return "a bool"
    if is_number(expected):
        return "an int" if isinstance(expected, (int, np.integer)) else "a number"
    library = "torch.Tensor" if isinstance(expected, torch.Tensor) else "numpy array"
    return f"a {library} of shape {tuple(expected.shape)}, {dtype_name(expected)}"


def _compare_numeric(got: Any, expected: Any, subject: Subject, rules: Rules) -> Difference | None:
    wanted = _wanted(expected)
    found = missing(got, subject, wanted) or _type_difference(got, expected, subject, wanted)
    if found:
        return found
    try:
        right = numeric(expected, subject, like=expected)
    except Unusable as error:
        raise SuiteError(f"the expected value cannot be compared: {error}") from error
    try:
        left = numeric(got, subject, like=expected)
    except Unusable as error:
        return Difference(str(error), expected=wanted, got=describe(got))
    if left is None or right is None:  # meta tensors: nothing but dtype and shape to compare
        return _dtype_or_shape(got, expected, subject, rules)
    return (
        _kind_difference(left, right, subject, rules, wanted, got)
        or _dtype_or_shape(got, expected, subject, rules)
        or _value_difference(left, right, subject, rules, got, expected)
    )


def _type_difference(got: Any, expected: Any, subject: Subject, wanted: str) -> Difference | None:
    """Tensor for tensor, array for array; for a number or a 0-d expected value any number in any coat."""
    scalar = shape_of(expected) == () or is_number(expected)
    if isinstance(expected, torch.Tensor) and is_tensor(got):
        return None
    if isinstance(expected, np.ndarray) and is_array(got):
        return None
    if scalar and (is_number(got) or is_tensor(got) or is_array(got)):
        return None
    library = "a number" if is_number(expected) else wanted.split(" of shape")[0]
    if isinstance(got, torch.Tensor) and not is_tensor(got):
        return Difference(
            subject.is_(f"a {type(got).__name__}, a subclass of torch.Tensor: return a plain torch.Tensor"),
            expected=wanted,
            got=f"an object of class {type(got).__name__}",
        )
    hint = ""
    if isinstance(expected, torch.Tensor) and type(got) in (list, tuple):
        hint = "torch.tensor(…) turns numbers into a tensor, torch.stack(…) turns tensors into one"
    found = _wrong_type(got, subject, library)
    return Difference(found.summary, expected=wanted, got=found.got, hint=hint)


def _kind_difference(
    left: Numeric, right: Numeric, subject: Subject, rules: Rules, wanted: str, got: Any
) -> Difference | None:
    """bool, int, float and complex are different kinds; a Python int expected agrees with a float."""
    if left.kind == right.kind or not rules.check_dtype:
        return None
    loose = not rules.exact and right.python and left.kind in "if" and right.kind in "if"
    if loose or (left.python and left.kind == "i" and right.kind == "f"):
        return None
    words = {"b": "bool", "i": "int", "f": "float", "c": "complex"}
    if left.python or right.python:
        summary = f"{subject.is_(type_phrase(got))}; expected {words[right.kind]}"
        return Difference(summary, expected=wanted, got=describe(got))
    return None  # two dtypes: _dtype_or_shape says it better


_DTYPE_HINTS = {
    ("int64", "float32"): "whole numbers give int64; say dtype=torch.float32",
    ("float64", "float32"): "float64 is numpy's default; PyTorch computes in float32",
    ("float32", "int64"): "class labels and counts are whole numbers: int64",
}


def _dtype_or_shape(got: Any, expected: Any, subject: Subject, rules: Rules) -> Difference | None:
    bare = is_number(got) or is_number(expected)
    mine, theirs = dtype_name(got), dtype_name(expected)
    if rules.check_dtype and not bare and mine != theirs:
        oracle = (theirs == "float64" and "float" in mine) or (theirs == "complex128" and "complex" in mine)
        if not oracle:
            if rules.quiet:
                return _UNLIKE
            return Difference(
                f"{subject.owner} has dtype {mine}, expected {theirs}",
                expected=f"dtype {theirs}",
                got=describe(got),
                hint=_DTYPE_HINTS.get((mine, theirs), ""),
            )
    shape, wanted = (
        shape_of(got),
        shape_of(expected if not isinstance(expected, torch.Tensor) else expected.data),
    )
    if shape != wanted and shape is not None and wanted is not None:
        if rules.quiet:
            return _UNLIKE
        note = shape_note(shape, wanted)
        return Difference(
            f"{subject.owner} has shape {shape}, expected {wanted}{': ' + note if note else ''}",
            expected=f"shape {wanted}",
            got=describe(got),
        )
    return None


def _value_difference(
    left: Numeric, right: Numeric, subject: Subject, rules: Rules, got: Any, expected: Any
) -> Difference | None:
    rtol, atol = (0.0, 0.0) if rules.exact else tolerances(left, right)
    if not rules.exact:
        rtol = rtol if rules.rtol is None else float(rules.rtol)
        atol = atol if rules.atol is None else float(rules.atol)
    if rules.quiet and left.array.dtype != object and right.array.dtype != object:
        return _UNLIKE if differ(left, right, rtol, atol) else None
    summary = differing_values(left, right, subject, rtol, atol)
    if summary is None:
        return None
    return Difference(summary, expected=describe(expected) if rules.reveal else "", got=describe(got))
