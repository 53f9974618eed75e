"""fit: early stopping, the best weights and the history, with validation losses from a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from autograder import points
from autograder.checks import assert_length, fail

from . import fit_log, reference
from .fit_log import FALLING, SLIDE, Log, loss_of, run_fit, series

# ---------------------------------------------------------------- scripts
# (validation losses, patience, epochs)
SCRIPTS: tuple[tuple[tuple[float, ...], int, int], ...] = (
    ((1.0, 0.8, 0.7, 0.75, 0.76, 0.77, 0.6, 0.5), 2, 8),
    ((1.0, 0.5, 0.8, 0.7, 0.6, 0.55, 0.45, 0.4), 2, 8),
    ((1.0, 0.9, 0.95, 0.85, 0.9, 0.91, 0.92, 0.93), 2, 8),
    ((0.9, 0.8, 0.7, 0.6), 2, 4),
    ((1.0, 0.5, 0.6), 5, 3),
    ((1.0, 0.8, 0.9, 0.7, 0.6), 1, 5),
    ((0.9, 0.95, 1.0, 1.05, 0.99, 0.98), 3, 6),
)


def scripted(student: Any, draw: Any, script: tuple[tuple[float, ...], int, int], lr: float = 1e-2) -> Log:
    curve, patience, epochs = script
    model, (train, val) = fit_log.layer(draw), fit_log.data(draw, 6, 3)
    log = run_fit(
        student, model, train, val, curve=curve, epochs=epochs, patience=patience, lr=lr, batch_size=4,
        seed=draw.seed % 1000,
    )  # fmt: skip
    check_called(log, script)
    return log


def describe(script: tuple[tuple[float, ...], int, int]) -> str:
    curve, patience, epochs = script
    losses = ", ".join(map(str, curve))
    return f"fit(…, epochs={epochs}, patience={patience}, evaluate) with validation losses {losses}"


def check_called(log: Log, script: tuple[tuple[float, ...], int, int]) -> None:
    words = {"called": describe(script), "slide": SLIDE}
    if log.val_calls or any(call.what == "early" for call in log.calls):
        return
    if any(call.what in ("other", "train") for call in log.calls):
        fail("evaluate was called, but not with the model, X_val and y_val.", "evaluate_other_data", **words)
    fail("evaluate was never called.", "evaluate_ignored", **words)


# ---------------------------------------------------------------- evaluate, once an epoch
@points("fit", 0.25)
def test_fit_evaluates_once_an_epoch(student, draw):
    for script in SCRIPTS[3], SCRIPTS[0]:
        log = scripted(student, draw, script)
        words = {
            "called": describe(script),
            "expected": "evaluate(model, X_val, y_val) once an epoch",
            "slide": SLIDE,
        }
        trained = fit_log.epochs_of(log, 6, 4) if log.steps else len(log.val_calls)
        calls, early = len(log.val_calls), sum(call.what == "early" for call in log.calls)
        words["got"] = f"{calls + early} calls in {trained} epochs"
        if any(call.what == "other" for call in log.calls):
            fail(
                "evaluate was called on something else than the validation set.",
                "evaluate_other_data",
                **words,
            )
        if early == 1 and calls == trained - 1:
            fail("evaluate is called before each epoch, not after it.", "evaluates_before_training", **words)
        if calls > trained or early > 1:
            fail("evaluate was called too often.", "evaluated_too_often", **words)
        if calls < trained:
            fail("evaluate was not called in each epoch.", **words)


# ---------------------------------------------------------------- stopping
def never(curve: Sequence[float], patience: int, epochs: int) -> int:
    return epochs


def against_previous(curve: Sequence[float], patience: int, epochs: int) -> int:
    bad = 0
    for epoch in range(2, epochs + 1):
        bad = bad + 1 if curve[epoch - 1] >= curve[epoch - 2] else 0
        if bad >= patience:
            return epoch
    return epochs


def not_reset(curve: Sequence[float], patience: int, epochs: int) -> int:
    best, bad = curve[0], 0
    for epoch in range(2, epochs + 1):
        if curve[epoch - 1] < best:
            best = curve[epoch - 1]
        else:
            bad += 1
            if bad >= patience:
                return epoch
    return epochs


def shifted(by: int) -> Callable[[Sequence[float], int, int], int]:
    return lambda curve, patience, epochs: reference.stops_after(curve, patience + by, epochs)[0]


def larger(curve: Sequence[float], patience: int, epochs: int) -> int:
    return reference.stops_after([-loss for loss in curve], patience, epochs)[0]


def at_first_rise(curve: Sequence[float], patience: int, epochs: int) -> int:
    return reference.stops_after(curve, 1, epochs)[0]


def constant(curve: Sequence[float], patience: int, epochs: int) -> int:
    return min(epochs, 1 + patience)


def counted(by: int) -> Callable[[Sequence[float], int, int], int]:
    """Right, but for the number of epochs; a script gives its last loss again when it has ended."""
    return lambda curve, patience, epochs: reference.stops_after([*curve, curve[-1]], patience, epochs + by)[
        0
    ]


WRONG_RULES = (
    ("no_early_stopping", never),
    ("against_previous", against_previous),
    ("patience_not_reset", not_reset),
    ("epochs_one_more", counted(1)),
    ("epochs_one_less", counted(-1)),
    ("one_epoch_late", shifted(1)),
    ("one_epoch_early", shifted(-1)),
    ("patience_ignored", at_first_rise),
    ("larger_is_better", larger),
    ("monitors_accuracy", constant),
)


@points("fit", 0.75)
@pytest.mark.limit(wall_s=40)
def test_fit_stops(student, draw):
    logs = [scripted(student, draw, script) for script in SCRIPTS]
    stops = [stopped(log) for log in logs]
    still = stopped(scripted(student, draw, (FALLING, 1, 6), lr=0.0))
    rights = [reference.stops_after(*script)[0] for script in SCRIPTS]
    wrong = [k for k, (stop, right) in enumerate(zip(stops, rights, strict=True)) if stop != right]
    if not wrong:
        if still < 6:
            fail(
                "It stops although the validation loss falls in every epoch.",
                "monitors_train_loss",
                called="fit(…, epochs=6, patience=1, lr=0.0, evaluate) with falling validation losses",
                expected="6 epochs",
                got=f"{still} epochs",
                slide=SLIDE,
            )
        return
    mistake = next(
        (
            name
            for name, rule in WRONG_RULES
            if all(stop == rule(*script) for stop, script in zip(stops, SCRIPTS, strict=True))
        ),
        None,
    )
    if mistake in (None, "no_early_stopping") and still < 6:
        mistake = "monitors_train_loss"
    k = wrong[0]
    fail(
        f"It stopped after {stops[k]} epochs.",
        mistake,
        called=describe(SCRIPTS[k]),
        expected=f"{rights[k]} epochs: the loss was best in epoch {reference.stops_after(*SCRIPTS[k])[1]}",
        got=f"{stops[k]} epochs",
        slide=SLIDE,
    )


def stopped(log: Log) -> int:
    """Epochs that were trained: by the calls of ``evaluate``, each of which followed an epoch."""
    calls = len(log.val_calls)
    trained = fit_log.epochs_of(log, 6, 4)
    return trained if log.steps and trained > calls else calls


@points("fit", 0.75)
@pytest.mark.limit(wall_s=40)
def test_fit_keeps_best(student, draw):
    for script in SCRIPTS:
        log = scripted(student, draw, script)
        calls = log.val_calls
        words = {"called": describe(script), "slide": SLIDE}
        if not calls:
            fail("evaluate was not called after an epoch.", **words)
        if not bool((log.weights != log.start).any()) and not bool((calls[-1].weights != log.start).any()):
            fail("The parameters of the model are what they were before training.", **words)
        best = min(range(len(calls)), key=lambda k: calls[k].loss)
        if torch.allclose(log.weights, calls[best].weights, rtol=1e-5, atol=1e-7):
            continue
        parts = {"expected": f"the weights after epoch {best + 1}, where the loss was {calls[best].loss}"}
        if torch.allclose(log.weights, calls[-1].weights, rtol=1e-5, atol=1e-7):
            mistake = "state_dict_alias" if log.loaded else "best_not_restored"
            if not log.loaded and script is not SCRIPTS[0] and stopped(log) == script[2]:
                mistake = "restored_only_on_stop"
            fail(
                "At the end the model has the weights of the last epoch.",
                mistake,
                got=f"those after epoch {len(calls)}",
                **parts,
                **words,
            )
        for k, call in enumerate(calls):
            if torch.allclose(log.weights, call.weights, rtol=1e-5, atol=1e-7):
                fail(
                    "At the end the model has the weights of another epoch.",
                    "other_epoch_restored",
                    got=f"those after epoch {k + 1}",
                    **parts,
                    **words,
                )
        fail("At the end the model has not the weights of the best epoch.", **parts, **words)


# ---------------------------------------------------------------- history
@points("fit", 0.5)
def test_fit_history(student, draw):
    for script in SCRIPTS[0], SCRIPTS[3], SCRIPTS[4]:
        log = scripted(student, draw, script)
        called = describe(script)
        found = series(log.history, "train_loss", called), series(log.history, "val_loss", called)
        losses = [call.loss for call in log.calls if call.what in ("val", "early")]
        given = [losses, [call.loss for call in log.val_calls]]
        if not any(len(found[1]) == len(one) and np.allclose(found[1], one) for one in given):
            mistake = None
            if len(found[1]) == len(given[1]) and np.allclose(found[1], 0.5):
                mistake = "accuracy_in_history"
            elif given[1] and np.allclose(found[1], min(given[1])):
                mistake = "best_loss_only"
            elif len(found[1]) < len(given[1]) and np.allclose(found[1], given[1][: len(found[1])]):
                mistake = "last_epoch_missing"
            fail(
                'history["val_loss"] is not what evaluate gave.',
                mistake,
                called=called,
                expected="one number for each epoch that was trained",
                got=f"{found[1]}"[:160],
                slide=SLIDE,
            )
        n_epochs = len(log.val_calls)
        if len(found[0]) > n_epochs + 1 and log.steps and len(found[0]) == len(log.steps):
            fail(
                "train_loss has one entry for each batch.", "train_loss_per_batch", called=called, slide=SLIDE
            )
        if len(found[0]) not in (n_epochs, len(found[1])):
            mistake = "last_epoch_missing" if len(found[0]) == n_epochs - 1 else None
            fail(
                f'history["train_loss"] has {len(found[0])} entries, "val_loss" has {len(found[1])}.',
                mistake,
                called=called,
                slide=SLIDE,
            )
    check_train_loss(student, draw)


def check_train_loss(student: Any, draw: Any) -> None:
    """The training loss of an epoch lies where the losses of its batches lie."""
    model, (train, val) = fit_log.layer(draw), fit_log.data(draw, 20, 4)
    log = run_fit(
        student,
        model,
        train,
        val,
        curve=FALLING,
        steps=True,
        epochs=3,
        patience=9,
        batch_size=8,
        lr=1e-3,
        seed=2,
    )
    batches = log.batches()
    called = "fit(…, epochs=3, batch_size=8) with 20 training samples"
    got = series(log.history, "train_loss", called)
    assert_length(got, 3, name='history["train_loss"]', slide=SLIDE)
    if len(batches) % 3 or not batches or any(step.weights is None for _, step in batches):
        return
    if any(call.what == "train" for call in log.calls):
        return  # it holds what evaluate gave for the training set
    per = len(batches) // 3
    for epoch in range(3):
        losses, sizes = [], []
        for batch, step in batches[epoch * per : (epoch + 1) * per]:
            if any(not 0 <= row < 20 for row in batch.rows):
                return
            pair = train[0][list(batch.rows)], train[1][list(batch.rows)]
            losses.append(loss_of(model, pair, step.weights, batch.training))
            sizes.append(len(batch.rows))
        weighted = sum(a * b for a, b in zip(losses, sizes, strict=True))
        if 0.6 * min(losses) <= got[epoch] <= 1.5 * max(losses):
            continue
        # The loss on the whole training set after the epoch is as good a "loss of the epoch".
        ends = [call.weights for call in log.val_calls[epoch : epoch + 1]]
        after = [loss_of(model, train, flat, mode) for flat in ends for mode in (False, True)]
        if any(abs(got[epoch] - value) <= 1e-2 * value for value in after):
            continue
        sums = {"sum_of_losses": sum(losses), "sum_of_samples": weighted}
        mistake = next(
            ("sum_of_losses" for value in sums.values() if abs(got[epoch] - value) < 1e-2 * value), None
        )
        fail(
            f"train_loss of epoch {epoch + 1} is not the mean over its batches.",
            mistake,
            called=called,
            got=f"{got[epoch]:.4g}; its batches lie between {min(losses):.4g} and {max(losses):.4g}",
            slide=SLIDE,
        )
