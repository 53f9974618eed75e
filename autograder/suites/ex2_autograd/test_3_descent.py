"""gd_step and fit_line: a step against the gradient, and many of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import (
    assert_close,
    assert_decreasing,
    assert_dtype,
    assert_finite,
    assert_length,
    assert_type,
    assert_unchanged,
    fail,
    observe,
)

from . import probes, reference
from .helpers import MOTIVATION, about, as_list, expect_scene, number, parts, real, simple, tensor, watched

# ---------------------------------------------------------------- gd_step

KEYS = ("values", "is_leaf", "requires_grad", "same", "grads")


def assert_moved(
    got: list[Tensor], values: list[Tensor], grads: list[Tensor | None], lr: float, **why: Any
) -> None:
    """Each parameter is where one step takes it."""
    for k, (after, value, grad) in enumerate(zip(as_list(got, len(values)), values, grads, strict=True)):
        expected = value.double() - (0 if grad is None else lr * grad.double())
        name = f"params[{k}] after the step"
        tensor(after, value.shape, name=name, slide=MOTIVATION)
        same = {"hint": "The parameter keeps its dtype: p -= lr * p.grad under torch.no_grad().", **why}
        same.pop("reveal", None)
        assert_dtype(after, value.dtype, name=name, slide=MOTIVATION, **same)
        near = {"rtol": 1e-5, "atol": 1e-6, "check_dtype": False, "slide": MOTIVATION}
        assert_close(after, expected, name=name, hint="p ← p − lr · p.grad", **near, **why)


def steps(student: Any, cases: list[tuple[list[Tensor], list[Tensor | None], float]]) -> list[Any]:
    """What the probe saw after a step in each case; twins make the same steps."""
    seen = []
    for case in cases:
        scene = watched(student, "take_step", "gd_step", *case, shown=[case[0], case[2]])
        seen.append(expect_scene(scene, KEYS))
    observe(
        "gd_step",
        [scene["values"] for scene in seen],
        by=lambda impl: [probes.take_step(impl, *case)["values"] for case in cases],
    )
    for scene in seen:
        if scene["same"] is not True:
            fail("The list holds other tensors than before.", slide=MOTIVATION, mistake="list_changed")
    return seen


def several(draw: Any) -> tuple[list[Tensor], list[Tensor | None]]:
    """Three parameters of different shapes, each with its gradient."""
    values = list(draw.tensors(a=4, b=3).of("a b", "b", "a"))
    grads = list(draw.tensors(a=4, b=3).of("a b", "b", "a"))
    return [*values, torch.tensor(1.5)], [*grads, torch.tensor(-2.0)]


@points("gd_step", 1)
def test_gd_step_moves(student, draw):
    one = ([torch.tensor([1.0, -2.0])], [torch.tensor([4.0, 0.5])], 0.25)
    cases = [one, (*several(draw), 0.1), (*several(draw), draw.number(0.2, 0.4))]
    for case, scene in zip(cases, steps(student, cases), strict=True):
        assert_moved(scene["values"], *case, reveal=case is one)
    start, goal = draw.tensors(n=3).of("start: n", "goal: n")
    path = watched(student, "descend", "gd_step", start, goal, 0.1, 5, shown=[[start], 0.1])
    expected = goal.double()
    for k, got in enumerate(as_list(path, 5), 1):
        where = expected + 0.8**k * (start.double() - expected)
        name = f"the point after step {k} on the parabola"
        assert_close(got, where, name=name, rtol=1e-4, atol=1e-5, check_dtype=False, slide=MOTIVATION)


@points("gd_step", 1)
def test_gd_step_keeps_parameters(student, draw):
    """They are still leaves that require a gradient, and their gradients are not touched."""
    cases = [(*several(draw), 0.3)]
    for case, scene in zip(cases, steps(student, cases), strict=True):
        assert_moved(scene["values"], *case)
        if scene["requires_grad"] != [True] * 4:
            fail(
                "A parameter has requires_grad=False after the step.",
                slide=MOTIVATION,
                mistake="requires_grad_lost",
            )
        if scene["is_leaf"] != [True] * 4:
            fail("A parameter has is_leaf=False after the step.", slide=MOTIVATION, mistake="not_a_leaf")
        for grad, after in zip(case[1], as_list(scene["grads"], 4), strict=True):
            # Cleared after the step is right too: the next backward() starts fresh either way.
            if after is None or (type(after) is Tensor and bool((after == 0).all())):
                continue
            if type(after) is not Tensor or not torch.equal(after, grad):
                fail(
                    "A gradient is not what it was before the step.", slide=MOTIVATION, mistake="grad_changed"
                )


@points("gd_step", 1)
def test_gd_step_special_cases(student, draw):
    """A parameter without a gradient, wherever it stands; lr = 0; float64; nothing to do."""
    values, grads = several(draw)
    double = [value.double() for value in values], [None if g is None else g.double() for g in grads]
    cases = [
        (values, [grads[0], None, *grads[2:]], 0.2),
        (values, [None, *grads[1:]], 0.2),
        (values, [*grads[:3], None], 0.2),
        (*double, 0.2),
        (values, grads, 0.0),
        (values, [None] * 4, 0.2),
    ]
    for case, scene in zip(cases, steps(student, cases), strict=True):
        assert_moved(scene["values"], *case)


# ---------------------------------------------------------------- fit_line

FIT = "fit_line(x, y, lr, steps)"


def fit(student: Any, cases: list[tuple[Tensor, Tensor, float, int]]) -> list[list[Any]]:
    """``w, b, history`` of each case, without torch.optim; twins stand for their w and b."""
    results, records = [], []
    with student.patch("torch.optim.Optimizer.__init__", raises="no optimizer in this task"):
        for case in cases:
            results.append(student.fit_line(*case))
            records.append(student.last)
    ends = [simple(result)[:2] if type(result) in (tuple, list) else None for result in results]
    observe("fit_line", ends, by=lambda impl: [simple(impl(*case))[:2] for case in cases])
    found = []
    for record, result in zip(records, results, strict=True):
        with about(record):
            w, b, history = parts(result, ("w", "b", "history"), name=FIT, slide=MOTIVATION)
        for name, value in (("w", w), ("b", b)):
            number(value, name=name, slide=MOTIVATION, hint="w.item(), b.item()")
            if type(value) is Tensor and value.requires_grad:
                fail(f"{name} requires a gradient.", slide=MOTIVATION, mistake="tensor_returned", part=name)
        assert_unchanged(record, slide=MOTIVATION, mistake="changes_arguments")
        found.append([w, b, history, record])
    return found


def points_on_a_line(draw: Any, n: int, noise: float = 0.0) -> tuple[Tensor, Tensor, float, float]:
    """``x, y, w, b`` with x in any order."""
    w, b = draw.choice((1, -1)) * draw.number(1.5, 3), draw.choice((1, -1)) * draw.number(0.5, 1.5)
    x = torch.linspace(-1, 2, n)[draw.permutation(n)]
    return x, w * x + b + noise * draw.tensors(n=n).of("noise: n"), w, b


def history_of(history: Any, steps: int) -> list[float]:
    """The losses as floats, one for each step."""
    assert_type(history, (list, tuple), name="history", slide=MOTIVATION, expected="a list of floats")
    if len(history) != steps:
        fail(
            "history has the wrong length.",
            expected=f"{steps} entries",
            got=f"{len(history)} entries",
            slide=MOTIVATION,
            mistake="history_too_long" if len(history) > steps else "history_too_short",
            got_n=len(history),
            steps=steps,
        )
    for k, loss in enumerate(history):
        name = f"history[{k}]"
        if type(loss) is Tensor and loss.requires_grad:
            fail(
                f"{name} is a tensor with a graph.",
                expected="a float",
                got=f"{name}.requires_grad is True",
                slide=MOTIVATION,
                mistake="tensors_in_history",
            )
        number(loss, name=name, slide=MOTIVATION, hint="loss.item()")
        assert_finite(
            loss, name=name, slide=MOTIVATION, hint="The steps make it worse: check the sign and lr."
        )
    return [real(loss) for loss in history]


def near(one: list[float], other: list[float]) -> bool:
    """The same two numbers, but for rounding; two diverging runs are alike too."""
    return all(abs(a - b) < 1e-5 or (a != a and b != b) or a == b for a, b in zip(one, other, strict=True))


@points("fit_line", 1)
def test_fit_line_first_steps(student, draw):
    """A few steps from w = b = 0 are arithmetic: they must agree to the last digit."""
    x, y, *_ = points_on_a_line(draw, 7, 0.3)
    lr = draw.number(0.03, 0.08)
    cases = [
        (torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0]), 0.1, 1),
        (x, y, lr, 1),
        (x, y, lr, 2),
        (x, y, lr, 5),
        (torch.tensor([1.2]), torch.tensor([-0.7]), 0.07, 3),
        (x, y, 0.0, 2),
        (x, y, 0.0, 3),
        (x, y, lr, 2),
    ]
    found = fit(student, cases)
    still, again, first, second = ([real(found[k][0]), real(found[k][1])] for k in (5, 6, 2, 7))
    if not near(first, second):
        fail("The same call gives two results.", slide=MOTIVATION, mistake="remembers")
    if (
        all(map(math.isfinite, still))
        and near(still, again)
        and not near(still, [0, 0])
        and not near(still, first)
    ):
        fail(
            "With lr = 0, w and b must be 0.",
            called="fit_line(x, y, 0.0, 2)",
            slide=MOTIVATION,
            mistake="not_from_zero",
        )
    for k, (case, (w, b, _, record)) in enumerate(zip(cases, found, strict=True)):
        right = reference.fit_line(*case)
        for name, got, expected in zip(("w", "b"), (w, b), right, strict=False):
            what = f"{name} after {case[3]} step{'s' * (case[3] > 1)}"
            how = {"rtol": 1e-4, "atol": 1e-5, "check_dtype": False, "slide": MOTIVATION}
            with about(record):
                assert_close(got, expected, name=what, reveal=k == 0, hint="Both start at 0.", **how)


@points("fit_line", 1)
def test_fit_line_finds_the_line(student, draw):
    lines = [points_on_a_line(draw, n) for n in (12, 20)]
    x = torch.linspace(-1, 2, 16)
    lines.append((x, 3 * x - 1, 3.0, -1.0))
    cases = [(x, y, 0.1, 200) for x, y, *_ in lines]
    for (*_, w, b), (got_w, got_b, *_) in zip(lines, fit(student, cases), strict=True):
        for name, got, expected in (("w", got_w, w), ("b", got_b, b)):
            assert_finite(
                got, name=name, slide=MOTIVATION, hint="The steps make it worse: check the sign and lr."
            )
            near = {"rtol": 0.0, "atol": 0.05, "check_dtype": False, "slide": MOTIVATION}
            assert_close(got, expected, name=f"{name} after 200 steps with lr = 0.1", **near)


@points("fit_line", 1)
def test_fit_line_history(student, draw):
    """One loss for each step, before or after it."""
    cases = []
    for n, steps in ((9, 12), (6, 25), (5, 1)):
        x, y, *_ = points_on_a_line(draw, n, 0.3)
        cases.append((x, y, 0.05, steps))
    cases.append((torch.tensor([1.2]), torch.tensor([-0.7]), 0.07, 4))
    # The loss is as good as 0 long before the last step, and from the first one on: no reason to stop.
    x, y, *_ = points_on_a_line(draw, 8)
    cases += [(x, y, 0.1, 160), (x, torch.zeros(8), 0.1, 3)]
    for (x, y, lr, steps), (_, _, history, record) in zip(cases, fit(student, cases), strict=True):
        with about(record):
            losses = history_of(history, steps)
            right = reference.fit_line(x, y, lr, steps + 1)[2]
            before, after = right[:steps], right[1:]
            fits = [
                all(abs(a - c) < 1e-5 + 1e-3 * c for a, c in zip(losses, side, strict=True))
                for side in (before, after)
            ]
            if any(fits):
                continue
            sums = [
                all(abs(a - len(x) * c) < 1e-5 + 1e-3 * len(x) * c for a, c in zip(losses, side, strict=True))
                for side in (before, after)
            ]
            if any(sums) and len(x) > 1:
                fail("history is too large.", slide=MOTIVATION, mistake="loss_not_mean", n=len(x))
            assert_decreasing(losses, name="history", slide=MOTIVATION, tolerance=1e-6)
            assert_length(history, steps, name="history", slide=MOTIVATION)
            fail(
                "history does not hold the losses of the steps.",
                expected="mean((w x + b − y)²), before or after each step",
                hint="history.append(loss.item()) once in each round",
                slide=MOTIVATION,
            )
