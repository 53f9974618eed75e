"""evaluate: loss, accuracy and confusion matrix; then the accuracy on digits that no sandbox ever held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autograder import points
from autograder.checks import (
    as_tensor,
    assert_close,
    assert_finite,
    assert_keys,
    assert_shape,
    assert_type,
    fail,
)
from autograder.judge.student import StudentError

from . import fit_log, reference
from .fit_log import Forward, Layer, loss_of

SLIDE = "01.09 Classification: validation and test"
KEYS = ("loss", "accuracy", "confusion")
NUMBER = (float, int, Tensor)


def scene(draw: Any, n: int, logs: bool) -> tuple[Layer, Tensor, Tensor]:
    """A model, and n samples about two thirds of which it gets right."""
    model = fit_log.layer(draw, logs)
    (X, _), _ = fit_log.data(draw, n, 1)
    guess = model.scores(X).argmax(dim=1)
    hit = draw.permutation(n) < max(1, (2 * n) // 3)
    return model, X, torch.where(hit, guess, (guess + 1 + draw.integers(0, 4, (n,))) % 10)


def measured(student: Any, model: Layer, X: Tensor, y: Tensor, training: bool) -> tuple[Any, list[Any], Any]:
    """The dict that evaluate returned, the forwards, and everything that the probe saw."""
    seen = student.probe(
        "evaluated",
        student.evaluate,
        model.arguments,
        X,
        y,
        training,
        called=f"evaluate(model, X {tuple(X.shape)}, y)",
    )
    value = seen.get("value") if type(seen) is dict else None
    name = "evaluate(model, X, y)"
    assert_type(value, dict, name=name, slide=SLIDE, expected="a dict with loss, accuracy, confusion")
    assert_keys(value, KEYS, name=name, slide=SLIDE)
    log = fit_log.read(
        {**seen, "history": None, "start": torch.zeros(7850), "weights": torch.zeros(7850), "same": True}
    )
    if not log.forwards:
        fail("evaluate never called the model.", slide=SLIDE)
    return value, log.forwards, seen


def number(value: Any, key: str) -> float:
    name = f'evaluate(model, X, y)["{key}"]'
    assert_type(value, NUMBER, name=name, slide=SLIDE, expected="one number")
    assert_shape(value, (), name=name, slide=SLIDE)
    if type(value) is Tensor and value.requires_grad:
        fail(f"{name} carries its graph.", "keeps_graph", hint=".item()", slide=SLIDE)
    assert_finite(value, name=name, slide=SLIDE)
    return float(value)


def close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-3 * abs(b) + 1e-5


CASES = ((57, True), (1, True), (300, False), (33, False))


@points("evaluate", 1)
def test_evaluate_loss_and_accuracy(student, draw):
    for n, logs in CASES:
        model, X, y = scene(draw, n, logs)
        value, forwards, _ = measured(student, model, X, y, training=False)
        called = f"evaluate(model, X, y), {n} samples"
        check_accuracy(number(value["accuracy"], "accuracy"), model, X, y, called)
        check_loss(student, number(value["loss"], "loss"), forwards, model, X, y, called)


def check_accuracy(got: float, model: Layer, X: Tensor, y: Tensor, called: str) -> None:
    hits = int((model.scores(X).argmax(dim=1) == y).sum())
    n = len(y)
    right = hits / n
    if abs(got - right) < 1e-5:
        return
    wrongs = {
        "percent": 100 * right,
        "count": float(hits),
        "error_rate": 1 - right,
        "argmax_over_samples": float((model.scores(X).argmax(dim=0)[: len(y)] == y[:10]).double().mean())
        if n >= 10
        else -1.0,
        "divided_by_classes": hits / 10,
    }
    mistake = next((name for name, wrong in wrongs.items() if abs(got - wrong) < 1e-4), None)
    fail(
        "The accuracy is not the share of samples that are right.",
        mistake,
        called=called,
        expected="a number from 0 to 1",
        got=f"{got:.4g}",
        slide=SLIDE,
    )


def check_loss(
    student: Any, got: float, forwards: list[Forward], model: Layer, X: Tensor, y: Tensor, called: str
) -> None:
    right = loss_of(model, (X, y), None)
    if close(got, right):
        return
    z, n = model.scores(X), len(y)
    batches = [[row for row in event.rows if 0 <= row < n] for event in forwards]
    means = [loss_of(model, (X[rows], y[rows]), None) for rows in batches if rows]
    wrongs = {
        "summed": right * n,
        "nll_on_logits": -float(z.gather(1, y[:, None]).mean()),
        "softmax_before_loss": float(reference.cross_entropy(torch.softmax(z, dim=1), y)),
        "sign_missing": -right,
        "mean_over_everything": right / 10,
        "mean_of_batches": sum(means) / max(1, len(means)),
        "sum_of_batches": sum(means),
        "last_batch_only": means[-1] if means else right,
    }
    mistake = next((name for name, wrong in wrongs.items() if close(got, wrong)), None)
    if mistake == "nll_on_logits" and fit_log.gives_log_probabilities(student):
        return
    fail("The loss is not the mean cross-entropy.", mistake, called=called, got=f"{got:.4g}", slide=SLIDE)


@points("evaluate", 1)
def test_evaluate_confusion(student, draw):
    for n, logs in CASES:
        model, X, y = scene(draw, n, logs)
        value, _, _ = measured(student, model, X, y, training=False)
        check_confusion(value["confusion"], model, X, y, f"evaluate(model, X, y), {n} samples")


def check_confusion(got: Any, model: Layer, X: Tensor, y: Tensor, called: str) -> None:
    name = 'evaluate(model, X, y)["confusion"]'
    guess = model.scores(X).argmax(dim=1)
    expected = reference.confusion(guess, y)
    words = {"called": called, "slide": SLIDE}
    if type(got) in (list, tuple):
        try:
            got = np.asarray(got)
        except ValueError:
            fail(f"{name} is no table.", expected="shape (10, 10)", **words)
    assert_type(got, (Tensor, np.ndarray), name=name, slide=SLIDE)
    table = as_tensor(got, name=name, slide=SLIDE)
    present = len(set(y.tolist()) | set(guess.tolist()))
    if table.shape != (10, 10):
        mistake = "only_present_classes" if tuple(table.shape) == (present, present) else None
        assert_shape(
            table, (10, 10), name=name, slide=SLIDE, mistake=mistake,
            hint="Ten digits, also where some do not occur.",
        )  # fmt: skip
    missing = table.double().isnan()
    if bool(missing.all()) or bool((table.double().abs() > 1e6).any()):
        fail(f"{name} holds numbers that nobody counted.", "memory_not_filled", **words)
    if bool(missing.any()):  # 0/0 in the rows of digits that do not occur
        fail(f"{name} has nan in {int(missing.sum())} of 100 entries.", "shares", **words)
    assert_finite(table, name=name, slide=SLIDE)
    if table.dtype.is_floating_point or table.dtype == torch.bool:
        shares = float(table.sum()) < len(y) + 0.5 and not torch.allclose(
            table.double(), expected.double(), atol=1e-6
        )
        transposed = torch.allclose(table.double(), expected.T.double(), atol=1e-6)
        fail(
            f"{name} has dtype {str(table.dtype).removeprefix('torch.')}.",
            "shares" if shares and not transposed else "not_whole_numbers",
            expected="counts, int64",
            **words,
        )
    table = table.to(torch.int64)
    if torch.equal(table, expected):
        return
    parts = {"got": f"a table with the sum {int(table.sum())} and the diagonal {table.diagonal().tolist()}"}
    if torch.equal(table, expected.T):
        fail("Rows and columns have changed places.", "columns_are_truth", **words)
    if torch.equal(table, expected.clamp(max=1)):
        fail("No entry is above 1.", "counted_once", **parts, **words)
    if torch.equal(table, expected - torch.diag(expected.diagonal())):
        fail("The diagonal is empty.", "only_errors", **parts, **words)
    if torch.equal(table, torch.diag(expected.diagonal())):
        fail("Everything off the diagonal is 0.", "only_hits", **parts, **words)
    if int(table.sum()) != len(y):
        fail(f"The entries do not sum to {len(y)}.", "not_all_counted", **parts, **words)
    assert_close(table, expected, name=name, slide=SLIDE, hint="confusion[truth, guess] += 1")


@points("evaluate", 0.5)
def test_evaluate_only_looks(student, draw):
    for n, logs in ((20, True), (3, False)):
        model, X, y = scene(draw, n, logs)
        _, forwards, seen = measured(student, model, X, y, training=True)
        words = {"called": "evaluate(model, X, y), where the model is in training mode", "slide": SLIDE}
        if any(event.training for event in forwards):
            fail("The model was called in training mode.", "training_mode", **words)
        if any(event.grad for event in forwards):
            fail("The model was called with gradients switched on.", "graph_built", **words)
        if seen.get("weights_same") is not True:
            fail("evaluate changed the model.", "changes_model", **words)
        if seen.get("data_same") is not True:
            fail("evaluate changed X or y.", "changes_data", **words)


# ---------------------------------------------------------------- real digits

EPOCHS = {"sample": 10, "full": 5}


def network(student: Any, served: Any, seed: int, epochs: int) -> Any:
    """The student's MLP, trained by the student's fit on the digits ``served``."""
    called = f"MLP() trained by fit(model, train, val, epochs={epochs}, patience={epochs}) on digits"
    try:
        return student.probe(
            "trained", student.MLP, student.fit, served, seed, epochs, called=called, keep=True
        )
    except StudentError as error:
        if error.type_name == "NotImplementedError":
            raise  # not answered yet
        fail(
            f"Training stopped with {error.type_name}.",
            "training_failed",
            called=called,
            got=f"{error.type_name}: {error.message}"[:200],
            slide=SLIDE,
        )


@points("evaluate", 1.5)
@pytest.mark.limit(wall_s=150)
def test_accuracy_on_hidden_digits(student, draw, data, calibrated):
    """The student's MLP, trained by their fit on the served digits, judged on the digits kept back."""
    mnist = data.mnist
    epochs = EPOCHS[mnist.kind]
    served = student.probe_function("digits").keep()
    X = torch.from_numpy(mnist.scaled_X)
    y = torch.from_numpy(mnist.y)

    def run(seed: int) -> float:
        model = network(student, served, seed % 100_000, epochs)
        name = "MLP()(X) after training with fit"
        with torch.no_grad():
            scores = model(X)
        assert_type(scores, Tensor, name=name, slide=SLIDE)
        assert_shape(scores, (len(X), 10), name=name, slide=SLIDE)
        assert_finite(scores, name=name, slide=SLIDE, hint="Did the loss become nan?")
        return float((scores.argmax(dim=1) == y).double().mean())

    calibrated("accuracy").check(
        run,
        name=f"the accuracy of your MLP on {len(y)} digits that your notebook never saw, after {epochs} "
        "epochs with your fit",
        called="MLP() trained by fit on nine tenths of the digits, validated on the rest",
        hint="If the other checks of mlp and fit pass, look at how fit makes its optimizer and its batches.",
        slide=SLIDE,
    )
