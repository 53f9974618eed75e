"""cat, slices and reshape: the same numbers in another arrangement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from autograder import points
from autograder.checks import assert_close, assert_dtype, assert_keys, assert_type, assert_unchanged

from . import reference
from .helpers import tensor

CAT = "01.04 Concatenation"
SLICES = "01.04 Slicing"
RESHAPE = "01.04 Reshaping"
DTYPES = ("float32", "float64", "int64")


def numbers(draw: Any, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """Random numbers of this dtype, hardly two alike: a tensor in the wrong order is seen."""
    if dtype == "int64":
        return draw.integers(-10_000, 10_000, shape)  # type: ignore[no-any-return]
    names = [f"d{k}" for k in range(len(shape))]
    return draw.tensors(dtype=dtype, **dict(zip(names, shape, strict=True))).of(" ".join(names))  # type: ignore[no-any-return]


# ---------------------------------------------------------------- cat


def check_cat(student: Any, which: str, cases: Iterable[Any], hidden: bool = False) -> None:
    """``which(A, B)`` for each case; the answer may be shown unless it is ``hidden``."""
    name = f"{which}(A, B)"
    for A, B in cases:
        right = getattr(reference, which)(A, B)
        got = getattr(student, which)(A, B)
        dtype = str(A.dtype).removeprefix("torch.")
        sizes = f"A is {tuple(A.shape)}, B is {tuple(B.shape)}. dim=0 puts B below A, dim=1 beside it."
        assert_type(got, torch.Tensor, name=name, slide=CAT)
        joined = "torch.cat keeps the dtype; a tensor built anew, from lists or with torch.zeros, may not."
        assert_dtype(got, dtype, name=name, slide=CAT, hint=joined)
        tensor(got, right.shape, name=name, slide=CAT, hint=sizes)
        assert_close(got, right, name=name, reveal=not hidden, hint=sizes, slide=CAT)
        assert_unchanged(student.last, hint="Leave A and B as they came.", slide=CAT)


A_SLIDE = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
B_EXAMPLE = torch.tensor([[5.0, 6.0], [7.0, 8.0]])


@points("cat", 1)
def test_stack_rows(student, draw):
    sizes = [(3, 2, 5), draw.sizes(3), (1, 4, 1)]
    check_cat(student, "stack_rows", [(A_SLIDE, B_EXAMPLE)])
    for dtype, (n, k, m) in zip(DTYPES, sizes, strict=True):
        check_cat(
            student, "stack_rows", [(numbers(draw, (n, m), dtype), numbers(draw, (k, m), dtype))], hidden=True
        )


@points("cat", 1)
def test_stack_cols(student, draw):
    sizes = [(3, 5, 1), draw.sizes(3), (1, 1, 4)]
    check_cat(student, "stack_cols", [(A_SLIDE, B_EXAMPLE)])
    for dtype, (n, m, k) in zip(DTYPES, sizes, strict=True):
        check_cat(
            student, "stack_cols", [(numbers(draw, (n, m), dtype), numbers(draw, (n, k), dtype))], hidden=True
        )


# ---------------------------------------------------------------- slices

HINTS = {
    "first5": "The first five elements: everything before index 5.",
    "middle": "Elements 2 to 5: the end of a slice is not part of it.",
    "every2": "Every second element, from the first one on: the third number of a slice is the step.",
    "last3": "The last three elements: negative indices count from the end, and a colon keeps it a slice.",
}


def check_slices(student: Any, keys: tuple[str, ...], x: torch.Tensor, reveal: bool = False) -> None:
    result, right = student.slices(x), reference.slices(x)
    assert_type(result, dict, name="slices(x)", expected="a dict of four tensors", slide=SLICES)
    assert_keys(result, keys, name="slices(x)", slide=SLICES)
    dtype = str(x.dtype).removeprefix("torch.")
    for key in keys:
        name, hint = f'result["{key}"]', HINTS[key]
        tensor(result[key], right[key].shape, name=name, slide=SLICES, dtype=dtype, hint=hint)
        assert_close(result[key], right[key], name=name, reveal=reveal, hint=hint, slide=SLICES)
    assert_unchanged(student.last, hint="Slicing reads x; nothing should write to it.", slide=SLICES)


def check_lengths(student: Any, draw: Any, *keys: str) -> None:
    """The slide's ten numbers, longer ones, shorter than the slices, and a tensor that is not contiguous."""
    check_slices(student, keys, torch.arange(10), reveal=True)
    lengths = (
        (11, "int64"),
        (11, "float32"),
        (draw.choice(range(12, 20)), "float64"),
        (3, "float32"),
        (4, "int64"),
    )
    for n, dtype in lengths:
        check_slices(student, keys, numbers(draw, (n,), dtype))
    check_slices(student, keys, numbers(draw, (26,), "float32")[::2])


@points("slices", 1)
def test_slices_by_position(student, draw):
    check_lengths(student, draw, "first5", "middle")


@points("slices", 1)
def test_slices_by_step_and_from_the_end(student, draw):
    check_lengths(student, draw, "every2", "last3")


# ---------------------------------------------------------------- reshape


def check_reshape(
    student: Any, which: str, x: torch.Tensor, r: int, c: int, hint: str, reveal: bool = False
) -> None:
    name = f"{which}(x, {r}, {c})"
    got, right = getattr(student, which)(x, r, c), getattr(reference, which)(x, r, c)
    tensor(got, (r, c), name=name, slide=RESHAPE, dtype=str(x.dtype).removeprefix("torch."), hint=hint)
    assert_close(got, right, name=name, reveal=reveal, hint=hint, slide=RESHAPE)
    assert_unchanged(student.last, hint="x.resize_ and friends change the caller's x.", slide=RESHAPE)


def reshape_sizes(draw: Any) -> list[tuple[int, int]]:
    r, c = draw.sizes(2)
    return [(r, c), (1, 5), (4, 1), (3, 3)]


ROWS = "Fill row by row: the first c numbers of x are the first row."
COLUMNS = "Fill column by column: the first r numbers of x are the first column."


@points("reshape", 1)
def test_to_grid(student, draw):
    check_reshape(student, "to_grid", torch.arange(12), 3, 4, ROWS, reveal=True)
    for k, (r, c) in enumerate(reshape_sizes(draw)):
        check_reshape(student, "to_grid", numbers(draw, (r * c,), DTYPES[k % 3]), r, c, ROWS)


@points("reshape", 1.5)
def test_to_columns(student, draw):
    check_reshape(student, "to_columns", torch.arange(12), 3, 4, COLUMNS, reveal=True)
    for k, (r, c) in enumerate(reshape_sizes(draw)):
        check_reshape(student, "to_columns", numbers(draw, (r * c,), DTYPES[k % 3]), r, c, COLUMNS)


@points("reshape", 0.5)
def test_reshape_strided_input(student, draw):
    r, c = draw.sizes(2)
    strided = (
        "x = y[::2] is not contiguous: its numbers do not lie side by side in memory. reshape does not mind."
    )
    for which in ("to_grid", "to_columns"):
        check_reshape(student, which, torch.arange(24)[::2], 3, 4, strided)
        check_reshape(student, which, numbers(draw, (2 * r * c,), "float32")[1::2], r, c, strided)
        check_reshape(student, which, numbers(draw, (r * c, 3), "float64")[:, 1], r, c, strided)
