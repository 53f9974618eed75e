"""Assertions about random numbers, ranges, probabilities, histories and gradients."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import torch

from autograder.errors import AutograderError, SuiteError
from autograder.judge.compare import Difference, missing, same
from autograder.judge.failure import Subject
from autograder.judge.numeric import Numeric, not_finite
from autograder.judge.values import describe, is_tensor, number_text, shorten, type_phrase
from autograder.judge.words import Words, begin, check_words, numbers_of, reject

__all__ = [
    "assert_between",
    "assert_decreasing",
    "assert_differentiable",
    "assert_mean",
    "assert_probabilities",
    "assert_std",
]


def _real(value: Any, about: Subject, words: Words) -> np.ndarray[Any, Any]:
    """Finite real numbers as a float64 array, or :class:`CheckFailed`."""
    side: Numeric = numbers_of(value, about, words)
    if side.kind == "c" or side.array.dtype == object:
        what = "complex numbers" if side.kind == "c" else "a number too large for a float"
        reject(Difference(about.is_(f"{what}; expected real numbers"), got=describe(value)), words)
    sentence = not_finite(side, about)
    if sentence:
        reject(Difference(sentence, got=describe(value)), words)
    array: np.ndarray[Any, Any] = side.array.astype(np.float64)
    return array


def assert_between(
    value: Any,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
    **words: Unpack[Words],
) -> None:
    """Every number is in ``[low, high]``; ``open_low`` and ``open_high`` leave the ends out."""
    about = begin(value, words)
    if not low <= high:
        raise SuiteError(f"assert_between: low {low!r} is not below high {high!r}")
    _between(_real(value, about, words), low, high, open_low, open_high, about, words)


def _between(
    array: np.ndarray[Any, Any],
    low: float,
    high: float,
    open_low: bool,
    open_high: bool,
    about: Subject,
    words: Words,
) -> None:
    below = array <= low if open_low else array < low
    above = array >= high if open_high else array > high
    bad = np.asarray(below | above)
    if not bad.any():
        return
    worst = number_text(float(array[np.unravel_index(int(np.argmax(bad)), bad.shape)]))
    interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
    summary = f"{about.is_(worst)}, which is outside {interval}"
    if array.ndim:
        summary = (
            f"{about.owner} has {int(bad.sum())} of {bad.size} entries outside {interval}, {worst} for one"
        )
    reject(Difference(summary, expected=f"numbers in {interval}", got=describe(array)), words)


def assert_probabilities(value: Any, dim: int = -1, *, atol: float = 1e-5, **words: Unpack[Words]) -> None:
    """Floats in ``[0, 1]`` that sum to 1 along ``dim``."""
    about = begin(value, words)
    array = _real(value, about, words)
    if array.ndim == 0:
        reject(
            Difference(about.is_(f"{type_phrase(value)}; expected probabilities with an axis {dim}")), words
        )
    if not -array.ndim <= dim < array.ndim:
        summary = f"{about.owner} has shape {array.shape}; expected an axis {dim} along which it sums to 1"
        reject(Difference(summary, got=describe(value)), words)
    _between(array, 0.0 - atol, 1.0 + atol, False, False, about, words)
    if np.allclose(array.sum(axis=dim), 1.0, rtol=0.0, atol=atol):
        return
    other = [d for d in range(array.ndim) if np.allclose(array.sum(axis=d), 1.0, rtol=0.0, atol=atol)]
    note = f"; it does along dim={other[0]}" if other else ""
    worst = (
        float(array.sum(axis=dim).flat[int(np.argmax(np.abs(array.sum(axis=dim) - 1.0)))])
        if array.size
        else 0.0
    )
    summary = f"{about.owner} does not sum to 1 along dim={dim} ({number_text(worst)} for one sum){note}"
    reject(Difference(summary, expected=f"sums of 1 along dim={dim}", got=describe(value)), words)


def assert_mean(
    samples: Any, mu: float, standard_error: float | None = None, n_sigma: float = 6.0, **words: Unpack[Words]
) -> None:
    """The mean of all ``samples`` is ``mu`` within ``n_sigma`` standard errors.

    Without ``standard_error`` it is estimated as std / sqrt(n). 6 standard errors reject a right answer in
    2 of 10^9 runs.
    """
    about = begin(samples, words)
    array = _real(samples, about, words)
    _need_samples(array, about, words)
    error = float(array.std(ddof=1)) / math.sqrt(array.size) if standard_error is None else standard_error
    _assert_statistic("mean", float(array.mean()), mu, error * n_sigma, about, array.size, words)


def assert_std(
    samples: Any,
    sigma: float,
    standard_error: float | None = None,
    n_sigma: float = 6.0,
    **words: Unpack[Words],
) -> None:
    """The standard deviation of all ``samples`` is ``sigma`` within ``n_sigma`` standard errors.

    Without ``standard_error`` it is that of normal samples, sigma / sqrt(2 (n - 1)); uniform ones have less.
    """
    about = begin(samples, words)
    array = _real(samples, about, words)
    _need_samples(array, about, words)
    error = sigma / math.sqrt(2 * (array.size - 1)) if standard_error is None else standard_error
    _assert_statistic(
        "standard deviation", float(array.std(ddof=1)), sigma, error * n_sigma, about, array.size, words
    )


def _need_samples(array: np.ndarray[Any, Any], about: Subject, words: Words) -> None:
    if array.size < 2:
        reject(Difference(f"{about.owner} has {array.size} samples, too few for a mean"), words)


def _assert_statistic(
    what: str, got: float, wanted: float, allowed: float, about: Subject, n: int, words: Words
) -> None:
    if not (math.isfinite(wanted) and math.isfinite(allowed) and allowed >= 0):
        raise SuiteError(f"the {what} {wanted!r} or its allowed deviation {allowed!r} is not a finite number")
    if abs(got - wanted) <= allowed:
        return
    reject(
        Difference(
            f"{about.owner} has the {what} {got:.4g} over {n} samples, expected {wanted:.4g} ± {allowed:.2g}",
            expected=f"{what} {wanted:.4g} ± {allowed:.2g}",
            got=f"{what} {got:.4g}",
        ),
        words,
    )


def assert_decreasing(values: Any, *, tolerance: float = 0.0, **words: Unpack[Words]) -> None:
    """A history falls: no number is more than ``tolerance`` above the one before it."""
    about = begin(values, words)
    found = missing(values, about, "a list of numbers")
    if found:
        reject(found, words)
    if type(values) in (list, tuple):
        array = np.array(
            [_one(item, about.at(f"[{i}]"), words) for i, item in enumerate(values)], dtype=np.float64
        )
    else:
        array = _real(values, about, words)
    if array.ndim != 1:
        reject(
            Difference(about.is_(f"{type_phrase(values)}; expected a list of numbers"), got=describe(values)),
            words,
        )
    rises = np.flatnonzero(np.diff(array) > tolerance)
    if rises.size:
        i = int(rises[0])
        summary = (
            f"{about.owner} rises from {number_text(float(array[i]))} at [{i}] "
            f"to {number_text(float(array[i + 1]))} at [{i + 1}]; it should fall"
        )
        reject(Difference(summary, expected="numbers that fall", got=describe(values)), words)


def _one(value: Any, about: Subject, words: Words) -> float:
    array = _real(value, about, words)
    if array.ndim:
        reject(
            Difference(about.is_(f"{type_phrase(value)}; expected one number"), got=describe(value)), words
        )
    return float(array)


def assert_differentiable(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    names: Sequence[str] = (),
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    **words: Unpack[Words],
) -> None:
    """Gradients of ``fn(*inputs)`` agree with finite differences (torch.autograd.gradcheck in float64).

    Floating tensors of ``inputs`` are copied as float64 leaves that require grad; the rest is passed on.
    ``names`` name the arguments in the message. An exception of the student's code passes through as it is.
    """
    check_words(words)
    about = Subject(words.get("name") or _function_name(fn))
    leaves = tuple(
        item.detach().to(torch.float64).clone().requires_grad_()
        if isinstance(item, torch.Tensor) and item.is_floating_point()
        else item
        for item in inputs
    )
    wanted = [i for i, item in enumerate(leaves) if isinstance(item, torch.Tensor) and item.requires_grad]
    if not wanted:
        raise SuiteError("assert_differentiable needs a floating point tensor among its inputs")
    result = Subject(about.noun, returned=True)
    output = fn(*leaves)
    for part in output if type(output) in (tuple, list) else (output,):
        _assert_has_graph(part, result, words)
    if not same(fn(*leaves), output, rtol=1e-8, atol=1e-8):
        reject(
            Difference(f"{about.noun} gives other numbers when it is called again with the same inputs"),
            words,
        )
    try:
        torch.autograd.gradcheck(fn, leaves, eps=eps, atol=atol, rtol=rtol, check_undefined_grad=False)
    except (AssertionError, AutograderError):
        raise
    except Exception as error:
        reject(_gradient_difference(str(error), about.noun, names), words)


def _function_name(fn: Any) -> str:
    """The name of a student's function (a proxy keeps it as its label), "the function" if there is none."""
    for attribute in ("_label", "__name__"):
        try:
            name = object.__getattribute__(fn, attribute)
        except AttributeError:
            continue
        if type(name) is str and name.isidentifier():
            return name
    return "the function"


def _assert_has_graph(part: Any, about: Subject, words: Words) -> None:
    found = missing(part, about, "a torch.Tensor")
    if found is None and not is_tensor(part):
        found = Difference(
            about.is_(f"{type_phrase(part)}; expected a torch.Tensor"), "a torch.Tensor", describe(part)
        )
    if found is None and not part.requires_grad:
        found = Difference(
            f"{about.owner} is cut off from the graph: no gradient can flow back to the inputs",
            hint=".item(), .detach(), .numpy(), torch.tensor(…) and no_grad cut the graph",
        )
    if found:
        reject(found, words)
    sentence = not_finite(numbers_of(part, about, words), about)
    if sentence:
        reject(Difference(sentence, got=describe(part)), words)


def _gradient_difference(message: str, noun: str, names: Sequence[str]) -> Difference:
    where = re.search(r"with respect to input (\d+)", message)
    which = ""
    if where:
        i = int(where.group(1))
        which = (
            f" with respect to {names[i]}" if i < len(names) else f" with respect to argument number {i + 1}"
        )
    if "not reentrant" in message or "determinis" in message:
        return Difference(
            f"{noun} gives another gradient when it is called again with the same inputs{which}"
        )
    if "Jacobian mismatch" in message:
        return Difference(
            f"the gradient of {noun}{which} is wrong: it differs from the finite difference",
            hint="is a part of the formula cut off from the graph (.detach(), .item(), .data)?",
        )
    return Difference(
        f"the gradient of {noun}{which} cannot be computed", got=shorten(message.split("\n")[0], 200)
    )
