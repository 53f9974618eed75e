"""one_hot, softmax, cross_entropy and mse: what a network's answer costs."""

from __future__ import annotations

from contextlib import ExitStack
from math import log
from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import (
    CheckFailed,
    assert_close,
    assert_dtype,
    assert_finite,
    assert_requires_grad,
    assert_shape,
    assert_type,
    assert_unchanged,
    fail,
)

from . import reference

ONE_HOT = "01.07 Loss function: one-hot vector"
SOFTMAX = "01.07 Loss function: logits and softmax"
CROSS_ENTROPY = "01.07 Loss function: cross-entropy"
MSE = "01.07 Loss function: mean squared error"

READY_MADE = (
    "torch.Tensor.log_softmax",
    "torch.Tensor.softmax",
    "torch._C._nn.cross_entropy_loss",
    "torch._log_softmax",
    "torch._softmax",
    "torch.log_softmax",
    "torch.nn.functional.cross_entropy",
    "torch.nn.functional.log_softmax",
    "torch.nn.functional.softmax",
    "torch.nn.functional.softmin",
    "torch.softmax",
    "torch.special.log_softmax",
    "torch.special.softmax",
)


def switched_off(student: Any, names: tuple[str, ...]) -> ExitStack:
    """Inside, the functions that the task is about raise. What this version of torch lacks is left alone."""
    stack = ExitStack()
    for path in names:
        text = f"{path} is switched off in this task: it is what you build"
        stack.enter_context(student.patch(path, raises=text))
    return stack


# ---------------------------------------------------------------- one_hot


def check_one_hot(student: Any, y: Tensor, C: int, *, reveal: bool = False) -> None:
    name = "one_hot(y, C)"
    got = student.one_hot(y, C)
    assert_type(got, torch.Tensor, name=name, slide=ONE_HOT)
    assert_shape(got, (len(y), C), name=name, slide=ONE_HOT, hint="One row per label, C columns. Always C.")
    if has_nan(got) and not has_nan(with_zeros(student, y, C)):
        fail("one_hot(y, C) has nan in it.", mistake="memory_not_filled", slide=ONE_HOT)
    expected = reference.one_hot(y, C)
    assert_close(
        got, expected, name=name, reveal=reveal, check_dtype=False, slide=ONE_HOT, hint="Row n: a 1 at y[n]."
    )
    assert_dtype(got, "float32", name=name, slide=ONE_HOT, mistake="not_float32")
    assert_unchanged(student.last, slide=ONE_HOT)


def has_nan(value: Any) -> bool:
    return type(value) is Tensor and value.is_floating_point() and bool(value.isnan().any())


def with_zeros(student: Any, y: Tensor, C: int) -> Any:
    """What one_hot gives where memory that nobody has filled holds zeros."""
    with ExitStack() as stack:
        for package in ("torch", "numpy"):
            zeros = student.remote(f"{package}.zeros")
            stack.enter_context(student.patch(f"{package}.empty", value=zeros))
        return student.one_hot(y, C)


@points("one_hot", 1)
def test_one_hot_values(student, draw):
    with switched_off(student, ("torch.nn.functional.one_hot", "torch._C._nn.one_hot")):
        check_one_hot(student, torch.tensor([2, 0, 1, 2]), 3, reveal=True)
        # Every class occurs here; what happens when one does not is the next check's question.
        C, more = draw.sizes(2, low=3)
        for n, classes in ((C + more, C), (C, C), (9, 2), (1, 1)):
            check_one_hot(student, draw.labels(n, classes), classes)
        y = draw.labels(8, 4)
        check_one_hot(student, torch.stack((y, y), dim=1)[:, 0], 4)  # not contiguous


@points("one_hot", 1)
def test_one_hot_every_class(student, draw):
    with switched_off(student, ("torch.nn.functional.one_hot", "torch._C._nn.one_hot")):
        for labels, C in (([0, 3, 0], 5), ([1, 1], 4), ([3], 4), ([0], 3), ([0], 1)):
            check_one_hot(student, torch.tensor(labels), C)
        check_one_hot(student, draw.labels(4, 9), 9)
        for dtype in (torch.int32, torch.uint8):
            # Indexing with int32 or uint8 is refused by torch, in its own words: that loses nothing.
            # A table of wrong numbers without a word does. N is not C, else uint8 could be a mask.
            y = draw.labels(7, 5).to(dtype)
            try:
                student.one_hot(y, 5)
            except AssertionError as error:
                if getattr(error, "type_name", "") not in ("IndexError", "RuntimeError", "TypeError"):
                    raise
                continue
            check_one_hot(student, y, 5)


# ---------------------------------------------------------------- softmax


def check_softmax(student: Any, z: Tensor, **how: Any) -> Tensor:
    name = "softmax(z)"
    got = student.softmax(z)
    assert_type(got, torch.Tensor, name=name, slide=SOFTMAX)
    assert_shape(got, z.shape, name=name, slide=SOFTMAX, hint="A probability for each logit.")
    hint = "exp(z), divided by its sum along each row: dim=1, keepdim=True."
    if bool((z.detach().abs() > 80).any()):
        hint = "Large logits: subtract from each row its largest entry before exp. That changes no result."
    expected = reference.softmax(z.detach().double())
    assert_close(got.detach(), expected, name=name, slide=SOFTMAX, hint=hint, check_dtype=False, **how)
    assert_dtype(got, z.dtype, name=name, slide=SOFTMAX, mistake="float32_forced")
    assert_unchanged(student.last, slide=SOFTMAX, mistake="changes_arguments")
    return got


@points("softmax", 0.75)
def test_softmax_values(student, draw):
    with switched_off(student, READY_MADE):
        check_softmax(student, torch.tensor([[0.0, log(2), log(5)], [1.0, 1.0, 1.0]]), reveal=True)
        n, c, k = draw.sizes(3)
        for spec in ("n c", "c n", "c c", "1 k", "k 1"):
            check_softmax(student, draw.tensors(n=n, c=c, k=k).of(spec))
        check_softmax(student, draw.tensors(n=n, c=c).of("c n").T)
        z = draw.tensors(n=n, c=c).of("n c")
        check_softmax(student, z + 5.0)
        check_softmax(student, draw.tensors(dtype="float64", n=n, c=c).of("n c"))


@points("softmax", 0.75)
def test_softmax_large_logits(student, draw):
    """One row at a time first: a maximum over the whole batch is a mistake of its own."""
    with switched_off(student, READY_MADE):
        n, c = draw.sizes(2, low=3)
        small = draw.tensors(n=n, c=c).of("n c")
        for z in (
            torch.tensor([[1000.0, 999.0, 0.0]]),
            torch.tensor([[-1000.0, -1001.0, -1000.0]]),
            torch.tensor([[1000.0, -1000.0], [-1000.0, 1000.0], [1000.0, 1000.0]]),
            small + 1000.0,
        ):
            check_softmax(student, z)
        z = torch.tensor([[1000.0, 998.0], [0.0, 1.0], [-1000.0, -999.0]])
        got = student.softmax(z)
        assert_shape(got, z.shape, name="softmax(z)", slide=SOFTMAX)
        if bool(got.detach().isnan().any()):
            fail(
                "softmax(z) is nan in a row whose logits are far below those of another row.",
                called="softmax(z) with rows around 1000, 0 and -1000",
                slide=SOFTMAX,
                mistake="global_max",
            )
        check_softmax(student, z)


@points("softmax", 0.5)
def test_softmax_gradient(student, draw):
    with switched_off(student, READY_MADE):
        n, c = draw.sizes(2)
        for spec in ("n c", "1 c"):
            z = draw.tensors(dtype="float64", requires_grad=True, n=n, c=c).of(spec)
            along = draw.tensors(dtype="float64", n=n, c=c).of(spec)
            got = check_softmax(student, z)
            assert_requires_grad(got, name="softmax(z)", slide=SOFTMAX, mistake="graph_cut")
            compare_gradient(got, reference.softmax(z), z, along, "softmax(z)", SOFTMAX)


def compare_gradient(
    got: Any, expected: Tensor, leaf: Tensor, along: Tensor | None, name: str, slide: str
) -> None:
    (theirs,) = torch.autograd.grad(got, leaf, along, allow_unused=True)
    (mine,) = torch.autograd.grad(expected, leaf, along)
    if theirs is None:
        fail(f"No gradient of {name} reaches its input.", slide=slide, mistake="graph_cut")
    assert_close(
        theirs,
        mine,
        rtol=1e-6,
        atol=1e-8,
        name=f"the gradient of {name}",
        hint="Is a part of the formula cut off from the graph (.detach(), .item(), .data)?",
        slide=slide,
    )


# ---------------------------------------------------------------- cross_entropy


def check_cross_entropy(student: Any, z: Tensor, y: Tensor, **how: Any) -> Any:
    name = "cross_entropy(z, y)"
    got = student.cross_entropy(z, y)
    assert_shape(got, (), name=name, slide=CROSS_ENTROPY, hint="One number: the mean over the batch.")
    expected = reference.cross_entropy(z.detach().double(), y)
    plain = got.detach() if type(got) is Tensor else got
    hint = "-log of the probability of the right class, averaged over the samples."
    assert_close(plain, expected, name=name, slide=CROSS_ENTROPY, hint=hint, check_dtype=False, **how)
    if type(got) is Tensor:
        assert_dtype(got, z.dtype, name=name, slide=CROSS_ENTROPY, mistake="float32_forced")
    assert_unchanged(student.last, slide=CROSS_ENTROPY, mistake="changes_arguments")
    return got


@points("cross_entropy", 1.5)
def test_cross_entropy_values(student, draw):
    with switched_off(student, READY_MADE):
        even = "Equal logits, three classes: p = 1/3 each, so the loss is log 3."
        for n in (1, 4):
            got = student.cross_entropy(torch.zeros(n, 3), torch.tensor([0, 2, 1, 1][:n]))
            assert_shape(got, (), name="cross_entropy(z, y)", slide=CROSS_ENTROPY)
        check_cross_entropy(student, torch.tensor([[0.0, log(3)], [log(4), 0.0]]), torch.tensor([1, 1]))
        assert_close(
            got.detach() if type(got) is Tensor else got,
            log(3),
            name="cross_entropy(torch.zeros(4, 3), y)",
            expected="log 3 = 1.0986",
            hint=even,
            slide=CROSS_ENTROPY,
        )
        n, c, k = draw.sizes(3, low=3)
        for rows, classes in ((n, c), (c, n), (k, k), (1, k), (k, 2)):
            z = draw.tensors(n=rows, c=classes).of("n c")
            check_cross_entropy(student, 2 * z, draw.labels(rows, classes))
        z = draw.tensors(n=n, c=c).of("c n").T
        check_cross_entropy(student, z, draw.labels(2 * n, c)[::2])
        check_cross_entropy(student, z.double(), draw.labels(n, c))


@points("cross_entropy", 1)
def test_cross_entropy_large_logits(student, draw):
    with switched_off(student, READY_MADE):
        check_cross_entropy(student, torch.tensor([[0.0, -1000.0]]), torch.tensor([0]))
        check_cross_entropy(student, torch.tensor([[1000.0, 0.0]]), torch.tensor([0]))
        for z, y in (([[1000.0, 0.0, 5.0], [0.0, 0.0, 500.0]], [1, 0]), ([[0.0, -1000.0]], [1])):
            logits, labels = torch.tensor(z), torch.tensor(y)
            got = student.cross_entropy(logits, labels)
            assert_shape(got, (), name="cross_entropy(z, y)", slide=CROSS_ENTROPY)
            value = float(got) if type(got) in (Tensor, float, int) else float("nan")
            if 2 < value < 0.5 * float(reference.cross_entropy(logits, labels)):
                fail(
                    "The loss of a network that is certain and wrong is far too small.",
                    called=f"cross_entropy({z}, {y})",
                    got=f"{value:.4g}",
                    slide=CROSS_ENTROPY,
                    mistake="epsilon_in_log",
                )
            check_cross_entropy(student, logits, labels)
        n, c = draw.sizes(2, low=3)
        z = draw.tensors(n=n, c=c).of("n c")
        check_cross_entropy(student, 300 * z, draw.labels(n, c))


@points("cross_entropy", 1.5)
def test_cross_entropy_gradient(student, draw):
    """Softmax minus one-hot, divided by N: what training sees of the loss."""
    with switched_off(student, READY_MADE):
        n, c = draw.sizes(2, low=3)
        for rows in (n, 1):
            z = draw.tensors(dtype="float64", requires_grad=True, n=rows, c=c).of("n c")
            y = draw.labels(rows, c)
            got = check_cross_entropy(student, z, y)
            assert_requires_grad(got, name="cross_entropy(z, y)", slide=CROSS_ENTROPY, mistake="graph_cut")
            expected = reference.cross_entropy(z, y)
            compare_gradient(got, expected, z, None, "cross_entropy(z, y)", CROSS_ENTROPY)


# ---------------------------------------------------------------- mse


def check_mse(student: Any, y_hat: Tensor, y: Tensor, **how: Any) -> Any:
    name = f"mse(y_hat, y) with shapes {tuple(y_hat.shape)} and {tuple(y.shape)}"
    got = student.mse(y_hat, y)
    assert_shape(got, (), name=name, slide=MSE, hint="One number: the mean of all squares.")
    assert_finite(got, name=name, slide=MSE)
    plain = got.detach() if type(got) is Tensor else got
    expected = reference.mse(y_hat.detach().double(), y.double())
    hint = "The mean over all entries of (y_hat - y) ** 2."
    assert_close(plain, expected, name=name, slide=MSE, check_dtype=False, hint=hint, **how)
    assert_unchanged(student.last, slide=MSE, mistake="changes_arguments")
    return got


@points("mse", 0.75)
def test_mse_values(student, draw):
    check_mse(student, torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 4.0, 1.0]), reveal=True)
    n, k = draw.sizes(2, low=3)
    for spec in ("n", "n 1", "n k", "1", "1 1"):
        check_mse(student, *draw.tensors(n=n, k=k).of(spec, spec))
    check_mse(student, *draw.tensors(dtype="float64", n=n).of("n", "n"))


@points("mse", 0.75)
def test_mse_shapes(student, draw):
    n, k = draw.sizes(2, low=3)
    check_mse(student, *draw.tensors(n=n).of("n 1", "n 1"))
    for specs in (("n 1", "n"), ("n", "n 1"), ("k 1", "k")):
        y_hat, y = draw.tensors(n=n, k=k).of(*specs)
        try:
            student.mse(y_hat, y)
        except CheckFailed:
            raise
        except AssertionError as error:
            # A loud refusal is what the task asks for; assert and torch's own errors are loud enough.
            if getattr(error, "type_name", "") in (
                "AssertionError",
                "IndexError",
                "RuntimeError",
                "TypeError",
                "ValueError",
            ):
                continue
            raise
        check_mse(student, y_hat, y)


@points("mse", 0.5)
def test_mse_gradient(student, draw):
    n, k = draw.sizes(2, low=2)
    for spec in ("n", "n k", "1"):
        y_hat, y = draw.tensors(dtype="float64", n=n, k=k).of(spec, spec)
        y_hat.requires_grad_()
        got = check_mse(student, y_hat, y)
        assert_requires_grad(got, name="mse(y_hat, y)", slide=MSE, mistake="graph_cut")
        compare_gradient(got, reference.mse(y_hat, y), y_hat, None, "mse(y_hat, y)", MSE)
