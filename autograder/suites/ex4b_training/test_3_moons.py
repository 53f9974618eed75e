"""accuracy, and a network on the two moons."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import pytest
import torch
from sklearn.datasets import make_moons
from torch import Tensor

from autograder import points
from autograder.checks import assert_close, assert_finite, assert_shape, assert_type, fail, observe

from . import probes, reference
from .training_log import Word, probed

MOONS = "01.07/01.08 Loss function and optimizer"

# ---------------------------------------------------------------- accuracy

NUMBER = (float, int, Tensor)


def cases(draw: Any) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Weights, X and y with a known number of hits. N and C different, one sample, N = C last."""
    found = []
    for n, c in ((7, 3), (12, 4), (1, 5), (5, 5), (8, 2)):
        weight, X = draw.tensors(n=n, c=c).of("c 6", "n 6")
        right = (X @ weight.T).argmax(dim=1)
        hits = draw.permutation(n) < max(1, (2 * n) // 3)
        found.append((weight, X, torch.where(hits, right, (right + 1) % c)))
    return found


def measured(student: Any, weight: Tensor, X: Tensor, y: Tensor, training: bool) -> dict[str, Any]:
    """What the probe saw; the number is compared with the twins too."""
    shown = [Word("model"), X, y]
    seen = probed(student, "measure", "accuracy", weight, X, y, training, shown=shown)
    observe(
        "accuracy",
        seen.get("value") if type(seen) is dict else None,
        by=lambda impl: probes.measure(impl, weight, X, y, training)["value"],
    )
    calls = seen.get("calls") if type(seen) is dict else None
    if type(calls) is not list or not calls:
        fail("accuracy never called the model.", slide=MOONS)
    return seen  # type: ignore[no-any-return]


@points("accuracy", 0.5)
def test_accuracy_values(student, draw):
    """The model is in evaluation mode already: only the number counts."""
    given = cases(draw)
    # All of them before the first verdict: one number alone may fit a mistake by chance.
    found = [measured(student, *case, training=False)["value"] for case in given]
    for (weight, X, y), got in zip(given, found, strict=True):
        name = f"accuracy(model, X, y) of {len(y)} samples, {len(weight)} classes"
        assert_type(got, NUMBER, name=name, slide=MOONS, hint="One number from 0 to 1.")
        assert_shape(got, (), name=name, slide=MOONS, hint="One number from 0 to 1.")
        if type(got) is Tensor and got.requires_grad:
            fail("The result carries a graph.", hint=".item()", slide=MOONS)
        expected = probes.measure(reference.accuracy, weight, X, y, False)["value"]
        hint = "model(X).argmax(dim=1) is the class of each sample; compare it with y."
        assert_close(got, expected, name=name, slide=MOONS, check_dtype=False, hint=hint)


@points("accuracy", 0.5)
def test_accuracy_only_looks(student, draw):
    for weight, X, y in cases(draw)[:3]:
        seen = measured(student, weight, X, y, training=True)
        calls = seen["calls"]
        if any(call[0] is not False for call in calls):
            fail("The model was called in training mode.", slide=MOONS, mistake="training_mode")
        if any(call[1] is not False for call in calls):
            fail("The model was called with gradients switched on.", slide=MOONS, mistake="graph_built")
        got = seen["value"]
        assert_type(got, NUMBER, name="accuracy(model, X, y)", slide=MOONS)
        assert_shape(got, (), name="accuracy(model, X, y)", slide=MOONS)
        expected = probes.measure(reference.accuracy, weight, X, y, True)["value"]
        assert_close(got, expected, name="accuracy(model, X, y)", slide=MOONS, check_dtype=False)
        if seen.get("same") is not True or seen.get("weight_same") is not True:
            fail("accuracy changed the data or the model.", slide=MOONS)


# ---------------------------------------------------------------- moons

TRAIN, TEST = 500, 1000


def moons(n: int, seed: int, noise: float = 0.2) -> tuple[Tensor, Tensor]:
    """X (n, 2) float32, y (n,) int64."""
    X, y = make_moons(n_samples=n, noise=noise, random_state=seed % 2**32)
    return torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.int64)


def scores_of(student: Any, X: Tensor, y: Tensor, seed: int | None, X_test: Tensor) -> Tensor:
    """Two finite scores for each row of ``X_test``, (N, 2)."""
    shown = [X, y] if seed is None else [X, y, seed]
    seen = probed(student, "fit_and_predict", "train_moons", X, y, seed, X_test, shown=shown)
    kind = seen.get("kind") if type(seen) is dict else None
    if kind != "Module":
        fail(
            "train_moons did not return a network.",
            expected="an nn.Module",
            got=f"a {str(kind)[:60]}",
            slide=MOONS,
            mistake="no_model",
        )
    scores = seen.get("scores")
    name = "train_moons(X, y)(X_test)"
    assert_type(scores, Tensor, name=name, slide=MOONS)
    if tuple(scores.shape) in ((len(X_test),), (len(X_test), 1)):
        fail(
            "The network has one output.",
            got=f"shape {tuple(scores.shape)}",
            mistake="one_logit",
            slide=MOONS,
        )
    assert_shape(scores, (len(X_test), 2), name=name, slide=MOONS, hint="Two logits for each sample.")
    assert_finite(scores, name=name, slide=MOONS, hint="Is the learning rate too large?")
    if seen.get("same") is not True:
        fail("X or y is not what it was before.", slide=MOONS, mistake="changes_data")
    return scores.detach()


def moons_mistake(values: Sequence[float]) -> str:
    middle = median(values)
    return "labels_swapped" if middle < 0.3 else "chance" if middle < 0.7 else "straight_boundary"


@points("moons", 1.5)
@pytest.mark.limit(wall_s=70)
def test_moons_accuracy(student, draw, calibrated):
    def accuracy_of_one(seed: int) -> float:
        (X, y), (X_test, y_test) = moons(TRAIN, seed), moons(TEST, seed + 1)
        scores = scores_of(student, X, y, seed % 1000, X_test)
        return float((scores.argmax(dim=1) == y_test).double().mean())

    calibrated("moons_accuracy").check(
        accuracy_of_one,
        name=f"accuracy on {TEST} new points of make_moons(noise=0.2)",
        called=f"train_moons(X, y, seed) on {TRAIN} points, each time on another data set",
        mistake=moons_mistake,
        slide=MOONS,
    )


@points("moons", 0.5)
@pytest.mark.limit(wall_s=30)
def test_moons_overfits_twenty_points(student, draw):
    """A network that cannot learn 20 points by heart has a bug (Karpathy, cs231n)."""
    seed = draw.seeds(1)[0]
    X, y = moons(20, seed, noise=0.0)
    # Twenty points without noise, again and again: as many steps as with an ordinary data set.
    # Without a seed, which has a default.
    scores = scores_of(student, X.repeat(TRAIN // 20, 1), y.repeat(TRAIN // 20), None, X)
    hits = int((scores.argmax(dim=1) == y).sum())
    if hits < 20:
        fail(
            f"The network has not learned 20 points by heart: {hits} of 20 are right.",
            called="train_moons(X, y) on 20 points of make_moons(noise=0), each there 25 times",
            expected="20 of 20",
            got=f"{hits} of 20",
            mistake="labels_swapped" if hits < 4 else "chance" if hits < 15 else "straight_boundary",
            slide=MOONS,
        )
