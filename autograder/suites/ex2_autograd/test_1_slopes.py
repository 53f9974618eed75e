"""value_and_grad and numeric_grad: the slope by autograd and by two values."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import assert_close, assert_dtype, assert_finite, fail, observe

from . import probes, reference
from .helpers import AUTODIFF, about, number, parts, real, same_bits, simple, tensor, watched

# ---------------------------------------------------------------- value_and_grad

CURVES = ("cubic", "wave", "ratio", "root", "bend")


def value_and_slope(result: Any) -> list[Any]:
    """``y, dy``: two numbers."""
    y, dy = parts(result, ("y", "dy"), name="value_and_grad(f, x)", slide=AUTODIFF)
    if dy is None:
        fail("value_and_grad(f, x)[1] is None.", mistake="gradient_is_none", slide=AUTODIFF)
    for name, value in (("y", y), ("dy", dy)):
        number(
            value,
            name=name,
            slide=AUTODIFF,
            hint="A float, or a tensor without axes: y.item(), x.grad.item()",
        )
    return [y, dy]


def measured(student: Any, cases: list[tuple[str, float]]) -> list[Any]:
    """The student's results for functions of ``probes.py``; twins are run on the same ones."""
    found = [(student.value_and_grad(getattr(student.probes, name), x), student.last) for name, x in cases]
    observe(
        "value_and_grad",
        simple([result for result, _ in found]),
        by=lambda impl: simple([impl(getattr(probes, name), x) for name, x in cases]),
    )
    return found


def assert_pair(got: list[Any], expected: Any, x: float, what: str, reveal: bool = False) -> None:
    for name, value, wanted in zip(("y", "dy"), got, expected, strict=True):
        near = {"rtol": 1e-4, "atol": 1e-5, "check_dtype": False, "slide": AUTODIFF, "reveal": reveal}
        assert_close(value, wanted, name=f"{name} for f(x) = {what} at x = {x:.4g}", **near)


@points("value_and_grad", 1)
def test_value_and_grad_numbers(student, draw):
    words = dict(
        zip(
            CURVES,
            ("x³ + 2x + 1", "sin(x) · exp(x)", "x / (1 + x²)", "√(4 + x²)", "tanh(2x) − x²"),
            strict=True,
        )
    )
    cases = [("cubic", 2.0), ("cubic", 0.0)]
    cases += [(name, sign * draw.number(0.6, 1.9)) for name in CURVES for sign in (1, -1)]
    found = measured(student, cases)
    right = [reference.value_and_grad(getattr(probes, name), x) for name, x in cases]
    so_far = list(itertools.accumulate(dy for _, dy in right))
    slopes = [
        real(result[1]) if type(result) in (tuple, list) and len(result) == 2 else math.nan
        for result, _ in found
    ]
    if all(abs(got - total) < 1e-3 * max(1.0, abs(total)) for got, total in zip(slopes, so_far, strict=True)):
        with about(found[1][1]):
            fail("dy holds the slopes of all calls so far.", mistake="accumulates", slide=AUTODIFF)
    for count, ((name, x), (result, record), expected) in enumerate(zip(cases, found, right, strict=True)):
        with about(record):
            assert_pair(value_and_slope(result), expected, x, words[name], reveal=count < 2)


@points("value_and_grad", 1)
def test_value_and_grad_by_autograd(student, draw):
    x = draw.number(0.6, 1.9)
    shielded = value_and_slope(student.value_and_grad(student.probes.shielded, x))
    if abs(real(shielded[1]) - (2 * x + 3)) < 1e-1:
        fail(
            "A part of f is hidden from autograd, and dy has it all the same.",
            called="value_and_grad(f, x) with f(x) = x² + 3 · x.detach()",
            slide=AUTODIFF,
            mistake="no_autograd",
        )
    cases = [("wave", x), ("wave", x), ("wave", x)]
    first, *later = [value_and_slope(result) for result, _ in measured(student, cases)]
    expected = reference.value_and_grad(probes.wave, x)
    dys = [real(dy) for _, dy in (first, *later)]
    if all(abs(b - a - expected[1]) < 1e-3 * abs(expected[1]) for a, b in itertools.pairwise(dys)):
        fail(
            "dy grows when the same call is made again.",
            called="value_and_grad(f, x), twice in a row",
            hint="Does x live outside the function?",
            slide=AUTODIFF,
            mistake="accumulates",
        )
    assert_pair(first, expected, x, "sin(x) · exp(x)")
    for result in later:
        assert_pair(result, expected, x, "sin(x) · exp(x), asked again,")
    seen = watched(student, "count_calls", "value_and_grad", x, shown=[x])
    result, times = seen if type(seen) in (tuple, list) and len(seen) == 2 else (seen, 0)
    assert_pair(value_and_slope(result), (x**3 - x, 3 * x**2 - 1), x, "x³ − x")
    if type(times) is not int or times != 1:
        fail(
            "f is called more than once.",
            expected="1 call of f",
            got=f"{times} calls",
            slide=AUTODIFF,
            mistake="f_called_twice",
            times=times,
        )
    assert_pair(shielded, (x**2 + 3 * x, 2 * x), x, "x² + 3 · x.detach()")
    for name, value in zip(("y", "dy"), first, strict=True):
        if type(value) is Tensor and value.requires_grad:
            fail(
                f"{name} still carries its graph.",
                expected="a number, or a tensor without a graph",
                got=f"{name}.requires_grad is True",
                slide=AUTODIFF,
                mistake="graph_kept",
            )


# ---------------------------------------------------------------- numeric_grad

NAME = "numeric_grad(f, x, eps)"


def slopes(student: Any, cases: list[tuple[Any, ...]]) -> list[Any]:
    """The student's results, ``(name of f, x, eps or nothing)``; twins are run on the same ones."""
    found = []
    for name, *rest in cases:
        found.append((student.numeric_grad(getattr(student.probes, name), *rest), student.last))

    def scenario(impl: Any) -> list[Any]:
        return [impl(getattr(probes, name), rest[0].clone(), *rest[1:]) for name, *rest in cases]

    observe("numeric_grad", [g for g, _ in found], by=scenario)
    return found


def slope_of(name: str, x: Tensor) -> Tensor:
    """The exact gradient, by autograd."""
    leaf = x.detach().clone().requires_grad_()
    (g,) = torch.autograd.grad(getattr(probes, name)(leaf), leaf)
    return g


def vectors(draw: Any, *sizes: int) -> list[Tensor]:
    """float64, no entry near zero, where the second derivative could hide a wrong difference."""
    found = []
    for n in sizes:
        size = draw.tensors(dtype="float64", low=0.5, high=1.5, n=n).of("x: n")
        found.append(size * (1 - 2 * (torch.arange(n) % 2)))
    return found


def vector(value: Any, x: Tensor) -> Tensor:
    name = NAME
    tensor(
        value, x.shape, name=name, slide=AUTODIFF, hint="(n,) in, (n,) out: one slope for each entry of x."
    )
    assert_finite(value, name=name, slide=AUTODIFF)
    return value


@points("numeric_grad", 1)
def test_numeric_grad_slopes(student, draw):
    example = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    one, seven, wide = vectors(draw, 1, 7, 10)
    cases = [("bowl", example), ("bowl", one), ("cubes", seven), ("twisted", seven), ("twisted", wide[::2])]
    cases.append(("bowl", seven, 0.01))
    found = slopes(student, cases)
    for (name, x, *_), (g, record) in zip(cases, found, strict=True):
        near = {"rtol": 1e-3, "atol": 1e-3, "check_dtype": False, "slide": AUTODIFF, "name": NAME}
        with about(record):
            assert_close(vector(g, x), slope_of(name, x), reveal=x is example, **near)


@points("numeric_grad", 1)
def test_numeric_grad_central(student, draw):
    """The error of the central difference is about ε²; the size of ε is the caller's."""
    (x,) = vectors(draw, 6)
    cases = [("cubes", x, 1e-3), ("twisted", x, 1e-3), ("cubes", x), ("fifth", x, 0.5)]
    *found, (coarse, _) = slopes(student, cases)
    hint = "(f(x + ε) − f(x − ε)) / 2ε, with a step in one entry at a time."
    for (name, _, *eps), (g, record) in zip(cases, found, strict=False):
        near = {"rtol": 1e-5, "atol": 3e-5} if eps else {"rtol": 1e-6, "atol": 1e-6}
        what = f"numeric_grad(f, x, eps={eps[0] if eps else '1e-5'})"
        near |= {"check_dtype": False, "slide": AUTODIFF}
        with about(record):
            assert_close(vector(g, x), slope_of(name, x), name=what, hint=hint, **near)
    off = (vector(coarse, x).detach().double() - slope_of("fifth", x)).abs()
    if bool((off < 1e-12 * slope_of("fifth", x).abs()).all()):
        fail(
            "With eps=0.5 the slope of x⁵ cannot be exact, as no difference is.",
            called="numeric_grad(f, x, eps=0.5) with f(x) = Σ x⁵",
            hint=hint,
            slide=AUTODIFF,
            mistake="autograd_inside",
        )
    for scale in (x.abs(), x.abs().clamp(min=1.0)):
        h = 0.5 * scale
        if torch.allclose(off, 10 * x**2 * h**2 + h**4, rtol=1e-6):
            fail(
                "With eps=0.5 the error of the slope of x⁵ is that of another step.",
                called="numeric_grad(f, x, eps=0.5) with f(x) = Σ x⁵",
                hint=hint,
                slide=AUTODIFF,
                mistake="step_times_x",
            )
    if bool((off < 0.05).any()):
        fail(
            "With eps=0.5 the slope of x⁵ cannot be this good: the step is not eps.",
            called="numeric_grad(f, x, eps=0.5) with f(x) = Σ x⁵",
            hint=hint,
            slide=AUTODIFF,
            mistake="eps_ignored",
        )
    if bool((off > 12 * x.abs() ** 2).any()):
        fail("With eps=0.5 the slope of x⁵ is too far off.", hint=hint, slide=AUTODIFF)


@points("numeric_grad", 1)
def test_numeric_grad_is_careful(student, draw):
    near = {"rtol": 1e-3, "atol": 1e-3, "check_dtype": False, "slide": AUTODIFF}
    for x in vectors(draw, 5, 1):
        g = student.numeric_grad(student.probes.twisted, x)
        last = student.last
        if last.mutated and not same_bits(last.args_after[1], x):
            fail("numeric_grad changed x.", called=NAME, slide=AUTODIFF, mistake="changes_x")
        if vector(g, x).dtype == torch.float32:
            fail(
                "The result is float32.",
                expected="dtype float64, as x",
                got="dtype float32",
                slide=AUTODIFF,
                mistake="float32_forced",
            )
        assert_dtype(g, "float64", name=NAME, hint="Keep the dtype of x.", slide=AUTODIFF)
        if g.requires_grad:
            fail("The result carries a graph.", slide=AUTODIFF, mistake="still_tracked")
        assert_close(g, slope_of("twisted", x), name=NAME, **near)
        hidden = student.numeric_grad(student.probes.untracked, x)
        if type(hidden) is Tensor and bool((hidden == 0).all()):
            fail(
                "All slopes are 0 for an f that works under torch.no_grad().",
                called="numeric_grad(f, x) with `with torch.no_grad():` in f",
                slide=AUTODIFF,
                mistake="autograd_inside",
            )
        assert_close(vector(hidden, x), slope_of("twisted", x), name=NAME, **near)
