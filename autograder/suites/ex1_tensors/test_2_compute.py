"""affine and elementwise: the two kinds of product, and what flows through them."""

from __future__ import annotations

from typing import Any

import torch

from autograder import points
from autograder.checks import assert_close, assert_dtype, assert_requires_grad, assert_unchanged, fail

from . import reference
from .helpers import tensor, tuple_of_tensors

AFFINE = "01.04 Tensor operations (affine transformation)"
ELEMENTWISE = "01.04 Elementwise tensor operations"

W_SLIDE = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
B_SLIDE = torch.tensor([10.0, 20.0])
X_EXAMPLE = torch.tensor([[1.0, 2.0], [0.0, 2.0], [3.0, -1.0]])

# ---------------------------------------------------------------- affine

IN_PLACE = {
    "hint": "b += … and W.mul_(…) write into the caller's tensors. Compute a new one: W @ x + b.",
    "slide": AFFINE,
    "mistake": "changes_arguments",
}


def affine_sizes(draw: Any) -> list[dict[str, int]]:
    """All dimensions different; one output; one input; a batch of one among them."""
    o, i, n = draw.sizes(3)
    return [
        {"N": n, "o": o, "i": i},
        {"N": 1, "o": i, "i": n},
        {"N": 3, "o": 1, "i": 4},
        {"N": 4, "o": 3, "i": 1},
    ]


def affine_cases(draw: Any, which: str, dtype: str = "float32") -> Any:
    """Random ``W, x, b`` (or ``W, X, b``) with the shape of the result."""
    for sizes in affine_sizes(draw):
        draws = draw.tensors(dtype=dtype, requires_grad=dtype == "float64", **sizes)
        if which == "affine":
            yield draws.of("W: o i", "x: i", "b: o"), (sizes["o"],)
        else:
            yield draws.of("W: o i", "X: N i", "b: o"), (sizes["N"], sizes["o"])


@points("affine", 1.5)
def test_affine_one_vector(student, draw):
    name = "affine(W, x, b)"
    y = student.affine(W_SLIDE, X_EXAMPLE[0], B_SLIDE)
    tensor(y, (2,), name=name, slide=AFFINE, hint="b has shape (out,), so the result has shape (out,) too.")
    assert_close(
        y,
        torch.tensor([15.0, 31.0]),
        name=name,
        reveal=True,
        slide=AFFINE,
        hint="Row 1: 1·1 + 2·2 + 10 = 15.",
    )
    for (W, x, b), shape in affine_cases(draw, "affine"):
        y = student.affine(W, x, b)
        tensor(
            y,
            shape,
            name=name,
            slide=AFFINE,
            dtype="float32",
            hint="W: (o, i), x: (i,), b: (o,) give (o,), also for o = 1.",
        )
        assert_close(y, reference.affine(W, x, b), name=name, slide=AFFINE)
        assert_unchanged(student.last, **IN_PLACE)


@points("affine", 1.5)
def test_affine_batch(student, draw):
    name = "affine_batch(W, X, b)"
    y = student.affine_batch(W_SLIDE, X_EXAMPLE, B_SLIDE)
    tensor(y, (3, 2), name=name, slide=AFFINE, hint="One row of results for each row of X.")
    expected = torch.tensor([[15.0, 31.0], [14.0, 28.0], [11.0, 25.0]])
    assert_close(
        y, expected, name=name, reveal=True, slide=AFFINE, hint="Row n of the result is affine(W, X[n], b)."
    )
    for (W, X, b), shape in affine_cases(draw, "affine_batch"):
        y = student.affine_batch(W, X, b)
        tensor(
            y,
            shape,
            name=name,
            slide=AFFINE,
            dtype="float32",
            hint="W: (o, i), X: (N, i), b: (o,) give (N, o), also for N = 1.",
        )
        assert_close(y, reference.affine_batch(W, X, b), name=name, slide=AFFINE)
        assert_unchanged(student.last, **IN_PLACE)


@points("affine", 1)
def test_affine_gradients(student, draw):
    for which, right in (("affine", reference.affine), ("affine_batch", reference.affine_batch)):
        function, name = getattr(student, which), f"{which}(W, {'x' if which == 'affine' else 'X'}, b)"
        square = (
            W_SLIDE.double(),
            (X_EXAMPLE[0] if which == "affine" else X_EXAMPLE).double(),
            B_SLIDE.double(),
        )
        for inputs, shape in [
            (square, (*square[1].shape[:-1], 2)),
            *affine_cases(draw, which, dtype="float64"),
        ]:
            inputs = [value.requires_grad_() for value in inputs]
            y = function(*inputs)
            tensor(y, shape, name=name, slide=AFFINE)
            double = (
                "Keep the dtype of the inputs: no .float(), and torch.zeros(…, dtype=W.dtype) for helpers."
            )
            assert_dtype(y, "float64", name=name, slide=AFFINE, hint=double, mistake="float32_forced")
            expected = right(*inputs)
            assert_close(y.detach(), expected.detach(), name=name, slide=AFFINE)
            uncut = ".item(), .detach(), .numpy() and torch.tensor(…) cut the result off from W, x and b."
            assert_requires_grad(y, name=name, slide=AFFINE, hint=uncut, mistake="graph_cut")
            along = draw.tensors(dtype="float64", n=expected.numel()).of("n").reshape(shape)
            got = torch.autograd.grad(y, inputs, along, allow_unused=True)
            for label, mine, theirs in zip(
                "Wxb", torch.autograd.grad(expected, inputs, along), got, strict=True
            ):
                if theirs is None:
                    fail(
                        f"No gradient of {name} reaches {label}.",
                        hint=uncut,
                        slide=AFFINE,
                        mistake="graph_cut",
                    )
                assert_close(
                    theirs, mine, name=f"the gradient with respect to {label}", hint=uncut, slide=AFFINE
                )
        small = draw.tensors(dtype="float64", requires_grad=True, o=2, i=3, N=2)
        inputs = small.of("o i", "i", "o") if which == "affine" else small.of("o i", "N i", "o")
        if not torch.autograd.gradcheck(function, inputs, raise_exception=False, fast_mode=True):
            fail(
                f"The gradient of {name} is not its slope (torch.autograd.gradcheck).",
                hint=uncut,
                slide=AFFINE,
            )


# ---------------------------------------------------------------- elementwise

NAMES = ("square", "root", "total")


def three_tensors(student: Any, A: torch.Tensor) -> list[torch.Tensor]:
    """``square, root, total`` of one call, each a tensor of A's shape."""
    result = student.elementwise(A)
    found = tuple_of_tensors(result, NAMES, tuple(A.shape), name="elementwise(A)", slide=ELEMENTWISE)
    for name, value in zip(NAMES, found, strict=True):
        one_number = name == "total" and A.ndim > 0 and getattr(value, "shape", None) == ()
        hint = "Elementwise means: one result for each entry of A."
        tensor(
            value,
            A.shape,
            name=name,
            slide=ELEMENTWISE,
            hint=hint,
            mistake="total_is_one_number" if one_number else None,
        )
    return found


def compare_three(found: list[torch.Tensor], expected: Any, reveal: bool = False) -> None:
    hints = ("square = A², entry by entry", "root = √square, which is |A|, not A", "total = square + root")
    for name, got, wanted, hint in zip(NAMES, found, expected, hints, strict=True):
        assert_close(got, wanted, name=name, hint=hint, reveal=reveal, slide=ELEMENTWISE)


@points("elementwise", 1.5)
def test_elementwise_values(student, draw):
    A = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    expected = ([[1.0, 4.0], [0.0, 9.0]], [[1.0, 2.0], [0.0, 3.0]], [[2.0, 6.0], [0.0, 12.0]])
    compare_three(three_tensors(student, A), [torch.tensor(rows) for rows in expected], reveal=True)
    r, c, k = draw.sizes(3)
    for shape in ("r c", "r", "r c k", "c c"):
        A = draw.tensors(r=r, c=c, k=k).of(f"A: {shape}")
        compare_three(three_tensors(student, A), reference.elementwise(A))


@points("elementwise", 0.5)
def test_elementwise_is_careful(student, draw):
    in_place = {
        "hint": (
            "A.square_(), A.sqrt_(), A *= A and A **= 2 write into A. "
            "Without the underscore you get a new tensor."
        ),
        "slide": ELEMENTWISE,
        "mistake": "in_place",
    }
    for A in (draw.tensors(r=3, c=4).of("r c"), torch.zeros(0, 3), torch.tensor(-3.0)):
        found = three_tensors(student, A)
        compare_three(found, reference.elementwise(A))
        assert_unchanged(student.last, **in_place)
    A = draw.tensors(dtype="float64", r=2, c=3).of("r c")
    found = three_tensors(student, A)
    for name, value in zip(NAMES, found, strict=True):
        assert_dtype(
            value, "float64", name=name, hint="A is float64 here: keep its dtype.", slide=ELEMENTWISE
        )
    compare_three(found, reference.elementwise(A))
