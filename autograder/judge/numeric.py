"""Numbers of all kinds as numpy arrays on the CPU, and what is wrong with them in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from autograder.judge.failure import Subject
from autograder.judge.values import dtype_name, is_array, is_number, number_text, type_phrase

__all__ = [
    "TOLERANCES",
    "Numeric",
    "Unusable",
    "differ",
    "differing_values",
    "not_finite",
    "numeric",
    "shape_note",
    "tolerances",
]

MAX_ELEMENTS = 100_000_000
"""More numbers than this are not looked at (an expanded tensor can claim any size for free)."""
_MAX_PATTERN = 1_000_000

TOLERANCES = {
    "float64": (1e-8, 1e-8),
    "float32": (1e-4, 1e-5),
    "bfloat16": (3e-2, 1e-2),
    "float16": (5e-3, 2e-3),
}
"""Default ``(rtol, atol)`` by dtype."""
_COARSE = (0.2, 0.1)  # 8-bit floats
_COMPLEX = {"complex128": "float64", "complex64": "float32", "complex32": "float16"}


class Unusable(Exception):
    """The value holds no numbers; ``str(error)`` is the sentence for the student."""


@dataclass(frozen=True, slots=True)
class Numeric:
    """``array``: bool, integer, float64 or complex128 on the CPU; ``kind`` is one of "bifc".

    ``dtype`` is the value's own; ``python`` is true for a bare number, whose precision is unknown.
    """

    array: np.ndarray[Any, Any]
    kind: str
    dtype: str
    python: bool = False


def numeric(value: Any, subject: Subject, like: Any = None) -> Numeric | None:
    """``value`` (tensor, array or number) as :class:`Numeric`; :class:`Unusable` when it is none.

    None is returned only for a meta tensor where ``like`` is one too: there is nothing to look at.
    A sparse tensor counts as numbers only where ``like`` is sparse.
    """
    if isinstance(value, torch.Tensor):
        return _from_tensor(value.detach(), subject, like)
    if is_array(value):
        return _from_array(value, subject)
    if is_number(value):
        return _from_number(value, subject)
    raise Unusable(subject.is_(f"{type_phrase(value)}; expected numbers"))


def _too_large(shape: tuple[int, ...], subject: Subject) -> None:
    if math.prod(shape) > MAX_ELEMENTS:
        raise Unusable(f"{subject.owner} has shape {tuple(shape)}: far more numbers than there should be")


def _from_tensor(value: torch.Tensor, subject: Subject, like: Any) -> Numeric | None:
    twin = like if isinstance(like, torch.Tensor) else None
    if value.is_meta:
        if twin is not None and twin.is_meta:
            return None
        raise Unusable(f"{subject.owner} is on the device meta: it has a shape but no values")
    if value.layout != torch.strided:
        if twin is None or twin.layout == torch.strided:
            layout = str(value.layout).removeprefix("torch.")
            raise Unusable(f"{subject.owner} is a sparse tensor ({layout}): return a dense one, .to_dense()")
        _too_large(tuple(value.shape), subject)
        value = value.to_dense()
    if value.is_quantized:
        raise Unusable(f"{subject.owner} is a quantized tensor: return plain numbers, .dequantize()")
    _too_large(tuple(value.shape), subject)
    name = dtype_name(value)
    try:
        plain = value.resolve_conj().resolve_neg().cpu()
        if plain.is_complex():
            return Numeric(plain.to(torch.complex128).numpy(), "c", name)
        if plain.is_floating_point():
            return Numeric(plain.to(torch.float64).numpy(), "f", name)
        return Numeric(plain.numpy(), "b" if plain.dtype == torch.bool else "i", name)
    except (RuntimeError, TypeError, MemoryError) as error:
        raise Unusable(f"{subject.owner} has dtype {name}, whose values cannot be compared") from error


def _from_array(value: np.ndarray[Any, Any], subject: Subject) -> Numeric:
    _too_large(value.shape, subject)
    kinds = {"b": "b", "u": "i", "i": "i", "f": "f", "c": "c"}
    kind = kinds.get(value.dtype.kind)
    if kind is None:
        entries = {"O": "Python objects", "U": "strings", "S": "bytes"}.get(
            value.dtype.kind, str(value.dtype.name)
        )
        raise Unusable(f"{subject.owner} is a numpy array of {entries}; expected numbers")
    with np.errstate(all="ignore"):
        array = value.astype(np.float64) if kind == "f" else value
        array = value.astype(np.complex128) if kind == "c" else array
    return Numeric(array, kind, dtype_name(value))


def _from_number(value: Any, subject: Subject) -> Numeric:
    python = type(value) in (bool, int, float, complex)
    item = value.item() if isinstance(value, np.generic) else value
    if isinstance(item, np.generic):  # a longdouble stays one
        item = complex(item) if np.iscomplexobj(item) else float(item)
    kind = {bool: "b", int: "i", float: "f", complex: "c"}[type(item)]
    if kind == "i" and abs(item) >= 2**63:
        # Exact for ints of any size, so that 2**70 + 1 is not 2**70.
        return Numeric(np.array(item, dtype=object), "i", dtype_name(value), python)
    return Numeric(np.array(item), kind, dtype_name(value), python)


def tolerances(left: Numeric, right: Numeric) -> tuple[float, float]:
    """``(rtol, atol)`` of the coarser of two values; ints and bools are exact.

    A bare number may come from float32 (``loss.item()``), so it is taken as float32.
    """
    pairs = [_tolerance(side) for side in (left, right) if side.kind in "fc"]
    if not pairs:
        return 0.0, 0.0
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


def _tolerance(side: Numeric) -> tuple[float, float]:
    if side.python or (side.array.ndim == 0 and side.dtype == "float64"):
        return TOLERANCES["float32"] if side.python else TOLERANCES["float64"]
    name = _COMPLEX.get(side.dtype, side.dtype)
    return TOLERANCES.get(name, TOLERANCES["float64"] if name.startswith("float1") else _COARSE)


def shape_note(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """The likely story behind a wrong shape, or ""."""
    if len(wanted) == 1 and got == wanted * 2 and wanted[0] > 1:
        n = wanted[0]
        return f"it looks as if ({n},) was broadcast with ({n}, 1)"
    if len(got) == len(wanted) > 1 and got == wanted[::-1]:
        return "it looks transposed"
    if (
        len(wanted) == 2
        and len(got) == 2
        and wanted[1] == 1
        and got == (wanted[0], wanted[0])
        and wanted[0] > 1
    ):
        return f"it looks as if ({wanted[0]}, 1) was broadcast with ({wanted[0]},)"
    if [n for n in got if n != 1] == [n for n in wanted if n != 1]:
        if len(got) == len(wanted):
            return "the axis of length 1 is in the wrong place"
        return f"there is an axis of length 1 too {'many' if len(got) > len(wanted) else 'few'}"
    if wanted == ():
        return "expected one number, the mean or sum over all entries is missing"
    if math.prod(got) == math.prod(wanted):
        return "the number of entries is right, their arrangement is not"
    return ""


def not_finite(side: Numeric, subject: Subject, allowed: Numeric | None = None) -> str | None:
    """A sentence when ``side`` has NaN or infinite entries (where ``allowed`` has none), else None."""
    if side.kind not in "fc":
        return None
    for word, test, story in (
        ("nan", np.isnan, "0/0, inf - inf, the log of a negative number or torch.empty gives nan"),
        ("inf", np.isinf, "an overflow, a division by 0 or log(0) gives inf"),
    ):
        bad = test(side.array)
        if allowed is not None and allowed.kind in "fc":
            bad = bad & ~test(allowed.array)
        count = int(np.count_nonzero(bad))
        if count and side.array.ndim == 0:
            return f"{subject.is_(number_text(side.array.item()))}: {story}"
        if count:
            return (
                f"{subject.owner} has {word} in {count} of {side.array.size} entries, "
                f"the first at index {_index(bad)}: {story}"
            )
    return None


def differing_values(left: Numeric, right: Numeric, subject: Subject, rtol: float, atol: float) -> str | None:
    """A sentence when values of equal shape differ beyond the tolerances, else None."""
    if left.array.dtype == object or right.array.dtype == object:
        return _differing_big(left, right, subject, rtol, atol)
    found = not_finite(left, subject, right)
    if found:
        return found
    bad = _differing(left, right, rtol, atol)
    count = int(np.count_nonzero(bad))
    if count == 0:
        return None
    note = _pattern(left, right)
    exact = left.kind in "bi" and right.kind in "bi"
    if bad.ndim == 0:
        off = "" if exact else _off_by(left, right)
        return f"{subject.is_(number_text(left.array.item()))}, which is wrong{off}{note}"
    where = f"{subject.owner} has wrong values: {count} of {bad.size} entries differ"
    if exact:
        return f"{where}, the first at index {_index(bad)}{note}"
    with np.errstate(all="ignore"):
        deviation = np.where(bad, np.abs(left.array - right.array), -1.0)
    deviation = np.where(np.isnan(deviation), np.inf, deviation)
    worst = np.unravel_index(int(np.argmax(deviation)), deviation.shape)
    at = _tuple(worst)
    return (
        f"{where}, the largest deviation is {deviation[worst]:.2g} at index {at} "
        f"(where you have {number_text(left.array[worst])}){note}"
    )


def differ(left: Numeric, right: Numeric, rtol: float, atol: float) -> bool:
    """Whether values of equal shape differ beyond the tolerances."""
    return bool(_differing(left, right, rtol, atol).any())


def _differing(left: Numeric, right: Numeric, rtol: float, atol: float) -> np.ndarray[Any, Any]:
    a, b = left.array, right.array
    with np.errstate(all="ignore"):
        equal = np.asarray(a == b)
        if left.kind in "fc" or right.kind in "fc":
            near = np.abs(a - b) <= atol + rtol * np.abs(b)
            equal = equal | (near & np.isfinite(b) & np.isfinite(a)) | (np.isnan(a) & np.isnan(b))
    return np.asarray(~equal)


def _differing_big(left: Numeric, right: Numeric, subject: Subject, rtol: float, atol: float) -> str | None:
    """Python ints beyond 64 bits: exact, or as floats where the other side is one."""
    a, b = left.array.item(), right.array.item()
    try:
        near = left.kind + right.kind != "ii" and abs(float(a) - float(b)) <= atol + rtol * abs(float(b))
        equal = a == b or near
    except (OverflowError, TypeError, ValueError):
        equal = False
    return None if equal else f"{subject.is_(number_text(a))}, which is wrong"


def _off_by(left: Numeric, right: Numeric) -> str:
    with np.errstate(all="ignore"):
        gap = float(np.abs(left.array - right.array))
    return f": off by about {gap:.2g}" if math.isfinite(gap) else ""


def _tuple(index: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in index)


def _index(mask: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return _tuple(np.unravel_index(int(np.argmax(mask)), mask.shape))


def _pattern(left: Numeric, right: Numeric) -> str:
    """What the wrong values are instead: negated, scaled, transposed, in another order; or ""."""
    a, b = left.array, right.array
    if a.size > _MAX_PATTERN or left.kind not in "if" or right.kind not in "if":
        return ""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return ""
    with np.errstate(all="ignore"):
        scale = float(np.abs(b).max())
        if scale == 0.0:
            return ""
        tiny = 1e-4 * scale
        if np.allclose(a, -b, rtol=1e-4, atol=tiny):
            return (
                ". The sign is wrong: they are the expected values times -1"
                if a.ndim
                else ": the sign is wrong"
            )
        if a.size < 2:
            return ""
        if not a.any():
            return ". They are all 0"
        if np.ptp(b) > tiny:
            factor = float((a * b).sum() / (b * b).sum())
            if abs(factor) > 1e-6 and np.allclose(a, factor * b, rtol=1e-4, atol=abs(factor) * tiny):
                return f". They are the expected values times {factor:.4g}"
            if a.ndim == 2 and a.shape[0] == a.shape[1] and np.allclose(a.T, b, rtol=1e-4, atol=tiny):
                return ". They are the expected values transposed"
            if np.allclose(np.sort(a, axis=None), np.sort(b, axis=None), rtol=1e-4, atol=tiny):
                return ". They are the expected values in another order"
    return ""
