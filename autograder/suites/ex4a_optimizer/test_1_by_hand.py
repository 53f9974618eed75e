"""One to three steps that can be followed with pencil and paper; the numbers are shown."""

from __future__ import annotations

from typing import Any

import torch

from autograder import points
from autograder.checks import assert_true

from .helpers import SLIDE, assert_zeroed, compare_path, scene


def by_hand(
    student: Any, task: str, start: list[float], rows: list[list[float]], hint: str, **options: Any
) -> None:
    """The path of one parameter whose gradients are given."""
    found = scene(
        student,
        task,
        "walk",
        [torch.tensor(start)],
        [[torch.tensor(row)] for row in rows],
        options=options,
        given="list",
    )
    compare_path(found, ["p"], reveal=True, hint=hint)
    assert_true(
        found.seen["inherits"] is True,
        "The optimizer is no torch.optim.Optimizer.",
        slide=SLIDE,
        mistake="not_a_subclass",
    )
    assert_zeroed(found)


@points("my_sgd", 1)
def test_sgd_by_hand(student):
    by_hand(student, "my_sgd", [1.0, -2.0], [[0.5, -1.0], [4.0, 0.0]], "θ ← θ − η·g", lr=0.25)


@points("my_momentum", 1.25)
def test_momentum_by_hand(student):
    rows = [[1.0, -2.0], [1.0, 4.0], [0.0, 1.0]]
    hint = "b ← μ·b + g, then θ ← θ − η·b; b is 0 before the first step."
    by_hand(student, "my_momentum", [1.0, -2.0], rows, hint, lr=0.1, momentum=0.75)


@points("my_rmsprop", 1)
def test_rmsprop_by_hand(student):
    rows = [[3.0, -0.5, 0.0, 0.01], [1.0, 2.0, 0.0, 0.005]]
    hint = "v ← α·v + (1 − α)·g², then θ ← θ − η·g / (√v + ε); v is 0 before the first step."
    by_hand(student, "my_rmsprop", [1.0, -2.0, 3.0, 4.0], rows, hint, lr=0.1, alpha=0.75, eps=0.01)


@points("my_adam", 1)
def test_adam_by_hand(student):
    rows = [[3.0, -0.05, 0.0, 0.005], [1.0, 0.02, 0.0, 0.01], [-2.0, 0.02, 0.0, 0.005]]
    hint = "t is 1 in the first step: m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), θ ← θ − η·m̂ / (√v̂ + ε)."
    by_hand(student, "my_adam", [1.0, -2.0, 3.0, 4.0], rows, hint, lr=0.1, betas=(0.8, 0.9), eps=0.01)


@points("my_adamw", 0.5)
def test_adamw_by_hand(student):
    hint = "θ ← θ·(1 − η·λ) comes first, then Adam's step. With gradient 0 only the decay is left."
    for rows in ([[3.0, -0.05], [1.0, 0.02]], [[0.0, 0.0], [0.0, 0.0]]):
        by_hand(student, "my_adamw", [1.0, -2.0], rows, hint, lr=0.1, weight_decay=0.2)
