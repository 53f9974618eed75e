"""activate_command and add: a command that works in a shell, and the way of every exercise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from autograder import points
from autograder.checks import (
    assert_close,
    assert_dtype,
    assert_shape,
    assert_true,
    assert_type,
    assert_unchanged,
    fail,
)

from . import reference
from .helpers import function
from .shells import Problem, nt_problem, posix_problem

ACTIVATE = "01.02 Activate and deactivate"
Judge = Callable[[str, str], Problem | None]

# ---------------------------------------------------------------- activate_command


def activates(student: Any, path: str, os_name: str, problem_of: Judge) -> None:
    called = f"activate_command({path!r}, {os_name!r})"
    got = function(student, "activate_command")(path, os_name)
    assert_type(got, str, name=called, slide=ACTIVATE, expected="a str")
    long = Problem("That is no command but a very long text.")
    problem = problem_of(got, path) if len(got) <= 2000 else long
    if problem:
        fail(
            problem.summary,
            called=called,
            expected="a command that activates the environment in this folder",
            got=repr(got[:200]),
            hint="source PATH/bin/activate" if os_name == "posix" else r"PATH\Scripts\activate",
            slide=ACTIVATE,
            mistake=problem.mistake,
        )


def folder(draw: Any) -> str:
    stem = draw.choice(["torch", "course", "lecture", "neural"])
    return f"{stem}{draw.sizes(1, low=10, high=99)[0]}"


@points("activate_command", 0.25)
def test_activate_on_posix(student, draw):
    name = folder(draw)
    for path in ("env", f"/home/ada/{name}", f"projects/{name}/.venv", f"{name}/"):
        activates(student, path, "posix", posix_problem)


@points("activate_command", 0.25)
def test_activate_on_windows(student, draw):
    name = folder(draw)
    for path in ("env", rf"C:\Users\ada\{name}", rf"projects\{name}\.venv", f"C:/ada/{name}", f"{name}\\"):
        activates(student, path, "nt", nt_problem)


@points("activate_command", 0.25)
def test_activate_with_spaces_on_posix(student, draw):
    name = folder(draw)
    for path in ("my env", f"/Users/Ada Lovelace/{name}", f"new {name}/an env"):
        activates(student, path, "posix", posix_problem)


@points("activate_command", 0.25)
def test_activate_with_spaces_on_windows(student, draw):
    name = folder(draw)
    for path in ("my env", rf"C:\Users\Ada Lovelace\{name}", rf"D:\new {name}\an env"):
        activates(student, path, "nt", nt_problem)


# ---------------------------------------------------------------- add


def assert_sum(student: Any, a: Any, b: Any, *, reveal: bool = False) -> None:
    got, right = function(student, "add")(a, b), reference.add(a, b)
    if isinstance(right, torch.Tensor):
        assert_type(got, torch.Tensor, name="add(a, b)", hint="return a + b")
        assert_dtype(got, right.dtype, name="add(a, b)", hint="return a + b")
        assert_shape(got, right.shape, name="add(a, b)", hint="return a + b")
    else:
        right = float(right)  # a sum of ints may come back as a float
    name = f"add({a}, {b})" if reveal else "add(a, b)"
    assert_close(got, right, reveal=reveal, name=name, hint="return a + b", check_dtype=False)
    assert_unchanged(student.last, hint="return a + b")


@points("add", 0.5)
def test_add_numbers(student, draw):
    assert_sum(student, 2, 3, reveal=True)
    assert_sum(student, 0.5, 0.75, reveal=True)
    assert_sum(student, -4, 1, reveal=True)
    low, high = (int(n) for n in draw.integers(-500, 500, (2,)))
    assert_sum(student, low, high)
    assert_sum(student, draw.number(-9, -1), draw.number(10, 20))
    assert_sum(student, 7, draw.number(-3, 3))
    assert_sum(student, 0, 0)


@points("add", 0.5)
def test_add_tensors(student, draw):
    assert_sum(student, torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0]), reveal=True)
    n, m = draw.sizes(2)
    for dtype in ("float32", "float64"):
        a, b, row, column, one = draw.tensors(dtype, n=n, m=m).of("n m", "n m", "m", "n 1", "1 m")
        for left, right in ((a, b), (a, row), (row, a), (column, row), (one, b), (a, 2.5), (3, column)):
            assert_sum(student, left, right)
        assert_sum(student, a.T, b.T)
    whole = draw.integers(-9, 9, (n,))
    assert_sum(student, whole, whole.flip(0))
    x = draw.tensors(requires_grad=True, n=n).of("n")
    got = function(student, "add")(x, 1.0)
    assert_type(got, torch.Tensor, name="add(x, 1.0)", hint="return a + b")
    assert_close(got, x.detach() + 1.0, name="add(x, 1.0)", hint="return a + b")
    assert_true(
        got.requires_grad,
        "add cuts the result off from x: no gradient can flow back.",
        hint="Stay in torch: return a + b",
    )
