"""Known wrong answers of exercise 1 and what a student is told about each.

A function here is a wrong twin of the student's function of the task (or of the one that ``of`` names); its
name is the id of the mistake. ``named`` ones are recognised by a check, ``on_error`` ones by the exception.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder import mistake

CREATE = "01.04 Creating tensors"
RANDOM = "01.04 Random tensors"
AFFINE = "01.04 Tensor operations (affine transformation)"
ELEMENTWISE = "01.04 Elementwise tensor operations"
CAT = "01.04 Concatenation"
SLICES = "01.04 Slicing"
RESHAPE = "01.04 Reshaping"
DEVICE = "01.04 Devices"

# ---------------------------------------------------------------- make_tensors

mistake.on_error(
    "make_tensors",
    "tensor_ones",
    error="AttributeError",
    match="has no attribute '(ones|zeros)",
    message=(
        "torch.tensor.ones is on the slide, but it does not exist: the factories are "
        "torch.ones and torch.zeros."
    ),
    hint="torch.ones(size=arr.shape)",
    slide=CREATE,
)
mistake.named(
    "make_tensors",
    "int64_left",
    message="dtype int64: from [1, 2] torch.tensor guesses int64. Ask for dtype=torch.float32.",
    hint="torch.tensor(data, dtype=torch.float32)",
    slide=CREATE,
)
mistake.named(
    "make_tensors",
    "float64_left",
    message="dtype float64: NumPy computes in float64 and torch keeps that. Ask for dtype=torch.float32.",
    hint="torch.tensor(arr, dtype=torch.float32); ones_like copies the dtype too.",
    slide=CREATE,
)
mistake.named(
    "make_tensors",
    "uninitialised",
    message=(
        "The tensor was never filled: torch.empty and torch.Tensor(2, 3) hand out whatever lies in memory. "
        "It may look like zeros today."
    ),
    hint="torch.zeros(arr.shape), torch.ones(arr.shape)",
    slide=CREATE,
)
mistake.named(
    "make_tensors",
    "shares_memory",
    message="arr was changed and your tensor changed with it: they share memory. torch.tensor copies.",
    hint="torch.from_numpy, torch.as_tensor, torch.Tensor and .float() copy only when they must.",
    slide=CREATE,
)


def _tensors(data: list[Any], arr: np.ndarray, **other: Tensor) -> dict[str, Tensor]:
    right = {
        "list": torch.tensor(data, dtype=torch.float32),
        "numpy": torch.tensor(arr, dtype=torch.float32),
        "ones": torch.ones(arr.shape),
        "zeros": torch.zeros(arr.shape),
    }
    return right | other


@mistake(
    "make_tensors",
    "`ones` and `zeros` take their shape from arr, not from data.",
    slide=CREATE,
    hint="arr.shape",
)
def shape_of_data(data: list[Any], arr: np.ndarray) -> dict[str, Tensor]:
    shape = torch.tensor(data).shape
    return _tensors(data, arr, ones=torch.ones(shape), zeros=torch.zeros(shape))


@mistake(
    "make_tensors",
    "(2, 2) is the slide's example. Take the shape of `ones` and `zeros` from arr.",
    slide=CREATE,
    hint="arr.shape",
)
def hard_coded_shape(data: list[Any], arr: np.ndarray) -> dict[str, Tensor]:
    return _tensors(data, arr, ones=torch.ones(2, 2), zeros=torch.zeros(2, 2))


@mistake("make_tensors", "`ones` and `zeros` have changed places.", slide=CREATE)
def ones_and_zeros_swapped(data: list[Any], arr: np.ndarray) -> dict[str, Tensor]:
    return _tensors(data, arr, ones=torch.zeros(arr.shape), zeros=torch.ones(arr.shape))


@mistake("make_tensors", '"numpy" is made from data. Make it from arr.', slide=CREATE)
def numpy_from_data(data: list[Any], arr: np.ndarray) -> dict[str, Tensor]:
    return _tensors(data, arr, numpy=torch.tensor(data, dtype=torch.float32))


@mistake("make_tensors", '"list" is made from arr. Make it from data.', slide=CREATE)
def list_from_array(data: list[Any], arr: np.ndarray) -> dict[str, Tensor]:
    return _tensors(data, arr, list=torch.tensor(arr, dtype=torch.float32))


# ---------------------------------------------------------------- random_tensors

for _id, _message, _hint in (
    (
        "standard_normal",
        "`normal` has mean 0 and spread 1: mu and sigma are not used.",
        "mu + sigma * torch.randn(n, m)",
    ),
    (
        "sigma_not_used",
        "The spread is 1, whatever sigma is.",
        "mu + sigma * torch.randn(n, m)",
    ),
    ("mu_not_used", "The mean is 0, whatever mu is.", "mu + sigma * torch.randn(n, m)"),
    ("minus_mu", "The mean is about -mu: mu is added, not subtracted.", "mu + sigma * torch.randn(n, m)"),
    (
        "divided_by_sigma",
        "The spread is about 1 / sigma. Multiply by sigma; dividing is the way back, to mean 0 and spread 1.",
        "mu + sigma * torch.randn(n, m)",
    ),
    (
        "variance_for_std",
        (
            "The spread is about sigma². The second parameter of torch.normal is the "
            "standard deviation, not the variance."
        ),
        "Use sigma as it is.",
    ),
    (
        "root_of_sigma",
        "The spread is about √sigma. sigma is the standard deviation already: no square root.",
        "Use sigma as it is.",
    ),
    (
        "mu_and_sigma_swapped",
        "mu and sigma have changed places.",
        "torch.normal(mu, sigma, size=(n, m)): the mean comes first.",
    ),
    (
        "scaled_mean",
        "The mean is about sigma · mu: sigma multiplies the noise only.",
        "mu + sigma * torch.randn(n, m)",
    ),
    (
        "uninitialised",
        "The tensor was never filled: torch.empty hands out whatever lies in memory.",
        "torch.rand(n, m) draws the numbers.",
    ),
    ("uniform_first", "The two tensors have changed places.", "return normal, uniform"),
    ("not_normal", "Right mean, right spread, but not a normal distribution.", "torch.normal or torch.randn"),
    (
        "uniform_is_normal",
        "`uniform` is normally distributed: randn draws from a bell curve, rand does not.",
        "torch.rand(n, m)",
    ),
    (
        "uniform_scaled",
        "`uniform` is not on [0, 1). mu and sigma belong to `normal` only.",
        "torch.rand(n, m)",
    ),
    ("not_uniform", "In [0, 1), but not equally likely everywhere.", "torch.rand(n, m)"),
    (
        "repeated_numbers",
        "A few numbers are copied all over: each entry needs a draw of its own.",
        "size=(n, m)",
    ),
    (
        "rows_and_columns_swapped",
        "The result is (m, n). n is the number of rows and comes first.",
        "size=(n, m)",
    ),
    (
        "seeds_inside",
        "Two calls give the same numbers: the generator is seeded inside the function.",
        "Call torch.manual_seed once, at the top of the notebook.",
    ),
    (
        "other_generator",
        (
            "The numbers do not come back after torch.manual_seed: they are not drawn from "
            "torch's global generator."
        ),
        "torch.normal and torch.rand instead of numpy, random, or a torch.Generator of your own.",
    ),
):
    mistake.named("random_tensors", _id, message=_message, hint=_hint, slide=RANDOM)
mistake.on_error(
    "random_tensors",
    "normal_without_size",
    error="TypeError",
    match=r"normal\(\) received an invalid combination",
    message="torch.normal(mu, sigma) with two numbers also needs to know how many to draw.",
    hint="torch.normal(mu, sigma, size=(n, m))",
    slide=RANDOM,
)

# ---------------------------------------------------------------- affine

_COLUMN = "The result is (out, out): b of shape (out, 1) was broadcast against (out,). b needs shape (out,)."
_PRODUCT = "`*` multiplies entry by entry. The matrix product is `@` (or torch.matmul)."


@mistake(
    "affine", _COLUMN, slide=AFFINE, hint="The slide's b = torch.rand(2, 1) does just this. Leave b as it is."
)
def column_bias(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return W @ x + b[:, None]


@mistake(
    "affine", _COLUMN, slide=AFFINE, hint="W @ x.reshape(-1, 1) is (out, 1), b is (out,). Keep x a vector."
)
def column_product(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return (W @ x)[:, None] + b


@mistake(
    "affine",
    "The result is a column (out, 1). x and b are vectors, and so is the result: (out,).",
    slide=AFFINE,
    hint="W @ x + b",
)
def column_result(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return (W @ x + b)[:, None]


@mistake(
    "affine", _PRODUCT, slide=AFFINE, hint="The slide's formula y = W * x + b means W @ x + b in PyTorch."
)
def elementwise_product(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return W * x + b


@mistake(
    "affine",
    "W is transposed. With as many inputs as outputs nothing complains, the numbers are wrong all the same.",
    slide=AFFINE,
    hint="W @ x, not x @ W",
)
def transposed(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return x @ W + b


@mistake("affine", "b is missing: W @ x alone is linear, + b makes it affine.", slide=AFFINE)
def no_bias(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return W @ x


@mistake("affine", "b is subtracted. The affine map adds it.", slide=AFFINE)
def minus_bias(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return W @ x - b


@mistake("affine", "b is added to x before the product. It belongs to the result: W @ x + b.", slide=AFFINE)
def bias_before_product(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return W @ (x + b)


@mistake(
    "affine",
    "All products are summed into one number. Sum along each row: (W * x).sum(dim=1).",
    slide=AFFINE,
    hint="W @ x does it for you.",
)
def summed_everything(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return (W * x).sum() + b


@mistake(
    "affine",
    "The sum runs down the columns of W. It must run along each row: dim=1.",
    slide=AFFINE,
    hint="W @ x does it for you.",
)
def summed_columns(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return (W * x).sum(0) + b


@mistake(
    "affine",
    "With one output the result is a vector of one number, shape (1,): squeeze() has thrown that axis away.",
    slide=AFFINE,
)
def squeezed(W: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return (W @ x + b).squeeze()


@mistake(
    "affine",
    "X @ W runs only when W is square, and is wrong even then: W is (out, in), so it is X @ W.T.",
    of="affine_batch",
    slide=AFFINE,
)
def no_transpose(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return X @ W + b


@mistake(
    "affine",
    "The result is (out, N): samples go down the rows. Transpose it, or write X @ W.T + b.",
    of="affine_batch",
    slide=AFFINE,
)
def batch_in_columns(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return W @ X.T + b[:, None]


@mistake(
    "affine",
    "W @ X.T is (out, N): b meets the wrong axis. Write X @ W.T + b.",
    of="affine_batch",
    slide=AFFINE,
)
def batch_in_columns_bias(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return W @ X.T + b


@mistake(
    "affine",
    "W @ X multiplies in the wrong order: the rows of X are the samples. X @ W.T + b",
    of="affine_batch",
    slide=AFFINE,
)
def wrong_order(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return W @ X + b


@mistake(
    "affine",
    "reshape is no transpose: (out, N) reshaped to (N, out) has the right shape and the wrong order.",
    of="affine_batch",
    slide=AFFINE,
    hint="(W @ X.T).T + b",
)
def reshaped_not_transposed(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return (W @ X.T).reshape(X.shape[0], W.shape[0]) + b


@mistake(
    "affine",
    "b is added along the batch (or X and W are multiplied with `*`). Each sample gets the whole b.",
    of="affine_batch",
    slide=AFFINE,
    hint="X @ W.T + b, with b of shape (out,)",
)
def bias_along_batch(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return X @ W.T + b[:, None]


@mistake("affine", "b is missing in affine_batch.", of="affine_batch", slide=AFFINE, hint="X @ W.T + b")
def no_bias_batch(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return X @ W.T


@mistake(
    "affine", "b is subtracted in affine_batch. The affine map adds it.", of="affine_batch", slide=AFFINE
)
def minus_bias_batch(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return X @ W.T - b


@mistake(
    "affine",
    "Only the first sample is used. Each row of X has a row of results.",
    of="affine_batch",
    slide=AFFINE,
)
def first_sample_only(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return W @ X[0] + b


@mistake(
    "affine",
    "A batch of one is still a batch, (1, out): squeeze() has thrown that axis away.",
    of="affine_batch",
    slide=AFFINE,
)
def squeezed_batch(W: Tensor, X: Tensor, b: Tensor) -> Tensor:
    return (X @ W.T + b).squeeze()


mistake.named(
    "affine",
    "changes_arguments",
    message=(
        "The call changed one of its arguments: an operation in place (b += …, "
        "W.mul_(…)) writes into the caller's tensor."
    ),
    hint="Compute a new tensor: W @ x + b",
    slide=AFFINE,
)
mistake.named(
    "affine",
    "graph_cut",
    message="The numbers are right, but no gradient flows back to W, x and b. Training a network needs it.",
    hint="No .item(), .detach(), .data, .numpy() or torch.tensor(…) on the way.",
    slide=AFFINE,
)
mistake.named(
    "affine",
    "float32_forced",
    message="float64 went in and something else came out: the function forces a dtype of its own.",
    hint="No .float(); helper tensors get dtype=W.dtype.",
    slide=AFFINE,
)
mistake.on_error(
    "affine",
    "graph_cut_by_numpy",
    error="RuntimeError",
    match=r"Can't call numpy\(\) on Tensor that requires grad",
    message=(
        "NumPy knows no gradients: the function leaves torch on the way. Stay in torch: @, torch.matmul, +."
    ),
    hint="W @ x + b",
    slide=AFFINE,
)
mistake.on_error(
    "affine",
    "changes_leaf",
    error="RuntimeError",
    match="leaf Variable that requires grad",
    message="An operation in place writes into W, x or b. Compute a new tensor.",
    hint="y = W @ x + b, not b += W @ x",
    slide=AFFINE,
)
mistake.on_error(
    "affine",
    "dtypes_differ",
    error="RuntimeError",
    match="same dtype",
    message=(
        "Two dtypes meet in one product. "
        "All inputs have one dtype here: something in the function changes it."
    ),
    hint="No .float() and no .long(): keep the dtype of W.",
    slide=AFFINE,
)
mistake.on_error(
    "affine",
    "shapes_do_not_fit",
    error="RuntimeError",
    match="cannot be multiplied|size mismatch|must match the size of tensor",
    message=(
        "The shapes do not fit. Write them side by side: (o, i) @ (i,) gives (o,), and "
        "(N, i) @ (i, o) gives (N, o)."
    ),
    hint="W @ x + b, and X @ W.T + b",
    slide=AFFINE,
)

# ---------------------------------------------------------------- elementwise

mistake.on_error(
    "elementwise",
    "caret",
    match="bitwise_xor|unsupported operand type.*\\^",
    error="NotImplementedError|RuntimeError|TypeError",
    message="In Python ^ is XOR, not a power. The slide's A^2 is mathematics: write A ** 2.",
    hint="A ** 2, or torch.square(A)",
    slide=ELEMENTWISE,
)


def _three(square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    root = square.sqrt()
    return square, root, square + root


@mistake(
    "elementwise",
    "A @ A is the matrix square. Elementwise means each entry by itself: A ** 2.",
    slide=ELEMENTWISE,
)
def matrix_square(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _three(A @ A)


@mistake("elementwise", "The entries are doubled, not squared: A * 2 is not A ** 2.", slide=ELEMENTWISE)
def doubled(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _three(A * 2)


@mistake(
    "elementwise",
    "√A is nan for negative entries. The root is taken of the square: √(A²) = |A|.",
    slide=ELEMENTWISE,
)
def root_of_input(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.sqrt(), A**2 + A.sqrt()


@mistake(
    "elementwise", "√(A²) is |A|, not A: the sign is lost.", slide=ELEMENTWISE, hint="torch.sqrt(square)"
)
def root_is_input(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A, A**2 + A


@mistake("elementwise", "total adds A itself. It is square + root.", slide=ELEMENTWISE)
def total_with_input(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.abs(), A**2 + A


@mistake("elementwise", "total adds A and root. It is square + root.", slide=ELEMENTWISE)
def total_without_square(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.abs(), A + A.abs()


@mistake("elementwise", "total is a difference. It is square + root.", slide=ELEMENTWISE)
def difference(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.abs(), A**2 - A.abs()


@mistake("elementwise", "total is a product. It is square + root.", slide=ELEMENTWISE)
def product(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.abs(), A**2 * A.abs()


@mistake(
    "elementwise",
    "The root is taken of |A|, not of the square: √(A²) = |A|.",
    slide=ELEMENTWISE,
    hint="torch.sqrt(square)",
)
def root_of_absolute(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.abs().sqrt(), A**2 + A.abs().sqrt()


@mistake("elementwise", "total adds square to itself. It is square + root.", slide=ELEMENTWISE)
def square_twice(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2, A.abs(), A**2 + A**2


@mistake(
    "elementwise",
    "square holds the sum: square += root writes into square itself.",
    slide=ELEMENTWISE,
    hint="total = square + root",
)
def square_overwritten(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    total = A**2 + A.abs()
    return total, A.abs(), total


@mistake(
    "elementwise",
    "square holds the root: sqrt_() with its underscore writes into square itself.",
    slide=ELEMENTWISE,
    hint="root = square.sqrt()",
)
def square_overwritten_by_root(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A.abs(), A.abs(), A.abs() + A.abs()


@mistake("elementwise", "The entries are cubed: square is A ** 2.", slide=ELEMENTWISE)
def cubed(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _three(A**3)


@mistake(
    "elementwise",
    "total comes first. The order is square, root, total.",
    slide=ELEMENTWISE,
    hint="return square, root, total",
)
def total_first(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A**2 + A.abs(), A**2, A.abs()


@mistake(
    "elementwise",
    "square and root have changed places.",
    slide=ELEMENTWISE,
    hint="return square, root, total",
)
def root_first(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return A.abs(), A**2, A**2 + A.abs()


mistake.named(
    "elementwise",
    "total_is_one_number",
    message="total is one number. It is square + root, entry by entry, and has the shape of A.",
    hint="square + root, no .sum()",
    slide=ELEMENTWISE,
)
mistake.named(
    "elementwise",
    "in_place",
    message="The call changed A: operations with a trailing underscore, += and *= work in place.",
    hint="A.square() instead of A.square_()",
    slide=ELEMENTWISE,
)

# ---------------------------------------------------------------- cat

_STACK = (
    "torch.stack makes a new axis: two (2, 2) tensors become (2, 2, 2). "
    "torch.cat joins along an axis that is there."
)


@mistake("cat", "stack_rows joins side by side. Rows are stacked along dim=0.", of="stack_rows", slide=CAT)
def rows_side_by_side(A: Tensor, B: Tensor) -> Tensor:
    return torch.cat((A, B), dim=1)


@mistake("cat", _STACK, of="stack_rows", slide=CAT, hint="torch.cat((A, B), dim=0)")
def rows_stacked(A: Tensor, B: Tensor) -> Tensor:
    return torch.stack((A, B))


@mistake("cat", "B comes first. A is on top.", of="stack_rows", slide=CAT)
def rows_b_first(A: Tensor, B: Tensor) -> Tensor:
    return torch.cat((B, A), dim=0)


@mistake("cat", "+ adds the numbers. Concatenation keeps them all: torch.cat.", of="stack_rows", slide=CAT)
def rows_added(A: Tensor, B: Tensor) -> Tensor:
    return A + B


@mistake(
    "cat", "stack_cols joins one below the other. Columns are joined along dim=1.", of="stack_cols", slide=CAT
)
def cols_below(A: Tensor, B: Tensor) -> Tensor:
    return torch.cat((A, B), dim=0)


@mistake("cat", _STACK, of="stack_cols", slide=CAT, hint="torch.cat((A, B), dim=1)")
def cols_stacked(A: Tensor, B: Tensor) -> Tensor:
    return torch.stack((A, B), dim=1)


@mistake("cat", _STACK, of="stack_cols", slide=CAT, hint="torch.cat((A, B), dim=1)")
def cols_stacked_in_front(A: Tensor, B: Tensor) -> Tensor:
    return torch.stack((A, B))


@mistake("cat", _STACK, of="stack_cols", slide=CAT, hint="torch.cat((A, B), dim=1)")
def cols_stacked_deep(A: Tensor, B: Tensor) -> Tensor:
    return torch.stack((A, B), dim=2)


@mistake("cat", "B comes first. A is on the left.", of="stack_cols", slide=CAT)
def cols_b_first(A: Tensor, B: Tensor) -> Tensor:
    return torch.cat((B, A), dim=1)


@mistake("cat", "+ adds the numbers. Concatenation keeps them all: torch.cat.", of="stack_cols", slide=CAT)
def cols_added(A: Tensor, B: Tensor) -> Tensor:
    return A + B


@mistake(
    "cat",
    "Right shape, wrong order: reshape after cat along dim=0 does not put B beside A.",
    of="stack_cols",
    slide=CAT,
    hint="dim=1",
)
def cols_reshaped(A: Tensor, B: Tensor) -> Tensor:
    return torch.cat((A, B), dim=0).reshape(A.shape[0], -1)


mistake.on_error(
    "cat",
    "stack_needs_equal_sizes",
    error="RuntimeError",
    match="stack expects each tensor to be equal size",
    message=(
        "torch.stack makes a new axis and needs equal shapes. torch.cat joins along an axis that is there."
    ),
    hint="torch.cat((A, B), dim=…)",
    slide=CAT,
)
mistake.on_error(
    "cat",
    "cat_without_tuple",
    error="TypeError",
    match=r"(cat|concat|concatenate)\(\).*(must be tuple|takes)",
    message="torch.cat takes the tensors as one tuple or list: mind the second pair of parentheses.",
    hint="torch.cat((A, B), dim=0)",
    slide=CAT,
)
mistake.on_error(
    "cat",
    "wrong_dim",
    error="RuntimeError",
    match="Sizes of tensors must match except in dimension",
    message=(
        "The tensors are joined along the wrong axis: all other axes must agree. Rows: dim=0, columns: dim=1."
    ),
    slide=CAT,
)

# ---------------------------------------------------------------- slices


def _slices(x: Tensor, **other: Tensor) -> dict[str, Tensor]:
    return {"first5": x[:5], "middle": x[2:6], "every2": x[::2], "last3": x[-3:]} | other


@mistake(
    "slices",
    "These are the numbers of the slide's example. Slice x itself: another x has other numbers.",
    slide=SLICES,
)
def hard_coded(x: Tensor) -> dict[str, Tensor]:
    numbers = {
        "first5": [0, 1, 2, 3, 4],
        "middle": [2, 3, 4, 5],
        "every2": [0, 2, 4, 6, 8],
        "last3": [7, 8, 9],
    }
    return {key: torch.tensor(value) for key, value in numbers.items()}


@mistake(
    "slices",
    "x[-3] is one number, the third from the end. x[-3:] are the last three: mind the colon.",
    slide=SLICES,
)
def last3_is_one_number(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[-3])


@mistake("slices", "x[-3:-1] stops before the last element. Leave the end open: x[-3:].", slide=SLICES)
def last3_stops_early(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[-3:-1])


@mistake("slices", "x[:-3] is everything but the last three. x[-3:] are the last three.", slide=SLICES)
def all_but_last3(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[:-3])


@mistake("slices", "x[7:] are the last three of ten numbers only. Count from the end: x[-3:].", slide=SLICES)
def last3_from_seven(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[7:])


@mistake(
    "slices", "x[7:10] are the last three of ten numbers only. Count from the end: x[-3:].", slide=SLICES
)
def last3_seven_to_ten(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[7:10])


@mistake("slices", "The three begin one too early, and the last element is missing: x[-3:].", slide=SLICES)
def last3_one_early(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[-4:-1])


@mistake("slices", "The last three come in reverse order. x[-3:] keeps the order of x.", slide=SLICES)
def last3_reversed(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, last3=x[-3:].flip(0))


@mistake(
    "slices",
    "x[2:5] ends with element 4: the end of a slice is not part of it. Elements 2 to 5 are x[2:6].",
    slide=SLICES,
)
def middle_too_short(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, middle=x[2:5])


@mistake("slices", "x[2:7] is one too many: elements 2 to 5 are x[2:6].", slide=SLICES)
def middle_too_long(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, middle=x[2:7])


@mistake(
    "slices", "Counting starts at 0: element 2 is the third number. Elements 2 to 5 are x[2:6].", slide=SLICES
)
def middle_from_one(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, middle=x[1:5])


@mistake("slices", "x[3:6] begins one too late: elements 2 to 5 are x[2:6].", slide=SLICES)
def middle_too_late(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, middle=x[3:6])


@mistake("slices", "Elements 3 to 6: counting starts at 0. Elements 2 to 5 are x[2:6].", slide=SLICES)
def middle_one_late(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, middle=x[3:7])


@mistake(
    "slices",
    "The slice ends too early when x has another length than ten. Leave start and stop out: x[::2].",
    slide=SLICES,
)
def every2_ends_early(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, every2=x[0:10:2])


@mistake("slices", "x[1::2] begins with the second element. x[::2] begins with the first.", slide=SLICES)
def every2_from_one(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, every2=x[1::2])


@mistake("slices", "x[:2] are the first two. A step is the third number of a slice: x[::2].", slide=SLICES)
def every2_is_first_two(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, every2=x[:2])


@mistake(
    "slices", "x[2:] leaves out the first two. A step is the third number of a slice: x[::2].", slide=SLICES
)
def every2_from_two(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, every2=x[2:])


@mistake("slices", "The even numbers are picked by value. Pick every second position: x[::2].", slide=SLICES)
def every2_by_value(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, every2=x[x % 2 == 0])


@mistake(
    "slices",
    "x[:4] are four: the end of a slice is not part of it, so the first five are x[:5].",
    slide=SLICES,
)
def first5_are_four(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, first5=x[:4])


@mistake("slices", "x[:6] are six: the first five are x[:5].", slide=SLICES)
def first5_are_six(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, first5=x[:6])


@mistake("slices", "x[1:6] leaves out element 0: counting starts at 0.", slide=SLICES)
def first5_from_one(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, first5=x[1:6])


@mistake(
    "slices", "x[:-5] are the first five of ten numbers only. Count from the front: x[:5].", slide=SLICES
)
def first5_from_behind(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, first5=x[:-5])


@mistake("slices", "x[5:] is what comes after the first five. The first five are x[:5].", slide=SLICES)
def first5_left_out(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, first5=x[5:])


@mistake("slices", "x[5] is one number. The first five are a slice: x[:5].", slide=SLICES)
def first5_is_one_number(x: Tensor) -> dict[str, Tensor]:
    return _slices(x, first5=x[5])


mistake.on_error(
    "slices",
    "index_out_of_range",
    error="IndexError",
    match="out of (bounds|range)",
    message=(
        "An index lies outside x. A slice (with a colon) never complains: it is shorter where x is short."
    ),
    hint="x[:5], x[2:6], x[::2], x[-3:]",
    slide=SLICES,
)
mistake.on_error(
    "slices",
    "length_of_ten",
    error="RuntimeError",
    match="out of range|exceeds dimension|is invalid for input of size",
    message="The code relies on one length of x. A slice (with a colon) works for every length.",
    hint="x[:5], x[2:6], x[::2], x[-3:]",
    slide=SLICES,
)

# ---------------------------------------------------------------- reshape

_SAME_NUMBERS = "Same numbers, other order: "


@mistake(
    "reshape", "The shape is (c, r): r rows come first.", of="to_grid", slide=RESHAPE, hint="x.reshape(r, c)"
)
def grid_sizes_swapped(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(c, r)


@mistake(
    "reshape",
    _SAME_NUMBERS + "this fills column by column. to_grid fills row by row.",
    of="to_grid",
    slide=RESHAPE,
    hint="x.reshape(r, c)",
)
def grid_by_columns(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(c, r).T


@mistake(
    "reshape",
    "The grid is transposed: (c, r) instead of (r, c).",
    of="to_grid",
    slide=RESHAPE,
    hint="x.reshape(r, c)",
)
def grid_transposed(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(r, c).T


@mistake("reshape", "(3, 4) is the slide's example. Use r and c.", of="to_grid", slide=RESHAPE)
def grid_hard_coded(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(3, 4)


@mistake(
    "reshape",
    _SAME_NUMBERS + "reshape(r, c) fills row by row. Fill a (c, r) grid by rows and transpose it.",
    of="to_columns",
    slide=RESHAPE,
)
def columns_by_rows(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(r, c)


@mistake(
    "reshape",
    "The shape is (c, r). This is half the way: transpose it.",
    of="to_columns",
    slide=RESHAPE,
    hint=".T",
)
def columns_not_transposed(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(c, r)


@mistake(
    "reshape",
    "reshape(r, c).T has shape (c, r). To end with (r, c), begin with reshape(c, r).",
    of="to_columns",
    slide=RESHAPE,
)
def columns_transposed(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(r, c).T


@mistake(
    "reshape",
    _SAME_NUMBERS + "reshape never transposes. Begin with reshape(c, r) and end with .T.",
    of="to_columns",
    slide=RESHAPE,
)
def columns_reshaped_twice(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(r, c).T.reshape(r, c)


@mistake("reshape", "(3, 4) is the slide's example. Use r and c.", of="to_columns", slide=RESHAPE)
def columns_hard_coded(x: Tensor, r: int, c: int) -> Tensor:
    return x.reshape(4, 3).T


mistake.on_error(
    "reshape",
    "view_needs_contiguous",
    error="RuntimeError",
    match="view size is not compatible",
    message="view needs numbers that lie side by side in memory. After .T they do not: use reshape.",
    hint="x.reshape(c, r).T",
    slide=RESHAPE,
)
mistake.on_error(
    "reshape",
    "sizes_do_not_fit",
    error="RuntimeError",
    match="is invalid for input of size",
    message=(
        "The new shape does not hold as many numbers as x has. Use r and c, not the numbers of the example."
    ),
    hint="x.reshape(r, c)",
    slide=RESHAPE,
)

# ---------------------------------------------------------------- device

for _id, _message, _hint in (
    (
        "string_instead_of_device",
        "A text came back. The function returns a torch.device.",
        'torch.device("cuda")',
    ),
    (
        "built_not_available",
        (
            "On every machine without cuda the answer is mps. is_built only says that PyTorch was compiled "
            "with MPS, and is_available without () is a function, which counts as true. Ask is_available()."
        ),
        "torch.backends.mps.is_available()",
    ),
    (
        "cuda_built_not_available",
        (
            "The answer is cuda on every machine. That PyTorch was compiled with CUDA does not mean that "
            "this machine has a GPU, and is_available without () is a function, which counts as true."
        ),
        "torch.cuda.is_available()",
    ),
    (
        "always_cpu",
        "The answer is cpu on every machine. Ask which back ends are available.",
        "torch.cuda.is_available()",
    ),
    (
        "forgets_mps",
        "On a Mac the answer is cpu: without a wish, mps is never asked for.",
        "torch.backends.mps.is_available()",
    ),
    ("mps_before_cuda", "With both available, cuda comes first.", "if cuda …, elif mps …, else cpu"),
    (
        "prefer_ignored",
        "prefer makes no difference. When that device is available, it is the answer.",
        'prefer="cpu" always gives cpu.',
    ),
    (
        "prefer_not_checked",
        "prefer is returned without asking whether it is available: the first .to(device) would fail.",
        "An unavailable wish falls back to the usual order.",
    ),
    (
        "cpu_not_granted",
        'prefer="cpu" is not granted. The CPU is always available: whoever asks for it gets it.',
        'if prefer == "cpu": return torch.device("cpu")',
    ),
    (
        "falls_back_to_cpu",
        "A wish that is not available ends at cpu. It falls back to the usual order: cuda, mps, cpu.",
        'prefer="cuda" on a Mac gives mps.',
    ),
    (
        "not_reassigned",
        ".to is never in place: it returns the moved tensor and leaves the old one where it was.",
        "return t.to(d)",
    ),
    ("nothing_returned", "to_device returned None: a return is missing.", "return t.to(d)"),
):
    mistake.named("device", _id, message=_message, hint=_hint, slide=DEVICE)


mistake.on_error(
    "device",
    "cuda_hard_coded",
    error="AssertionError|RuntimeError",
    match="not compiled with CUDA|Found no NVIDIA driver|No CUDA GPUs",
    message="The code insists on cuda, and this machine has none. Use the device that was passed in.",
    hint="t.to(d)",
    slide=DEVICE,
)
