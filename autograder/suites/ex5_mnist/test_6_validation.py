"""fit: training and evaluation mode, and the validation that it does without ``evaluate``."""

from __future__ import annotations

from typing import Any

import torch

from autograder import points
from autograder.checks import fail

from . import fit_log, reference
from .fit_log import FALLING, SLIDE, Forward, Layer, Log, Pair, Step, loss_of, run_fit, series


# ---------------------------------------------------------------- training and evaluation mode
@points("fit", 0.5)
def test_fit_modes(student, draw):
    for curve in (FALLING, None):
        model, (train, val) = fit_log.layer(draw), fit_log.data(draw, 10, 7)
        log = run_fit(
            student, model, train, val, curve=curve, epochs=3, patience=9, batch_size=4, lr=1e-3, seed=3
        )
        words = {
            "called": "fit(…, evaluate=None)"
            if curve is None
            else "fit(…, evaluate), which calls model.eval()",
            "slide": SLIDE,
        }
        used = [event for event in log.forwards if event.grad and not event.of_val]
        if not used:
            fail("The model was never called on training samples.", **words)
        if not all(event.training for event in used):
            always = not any(event.training for event in used)
            mistake = "eval_mode" if always else "stays_in_eval_mode"
            fail("A training batch was computed in evaluation mode.", mistake, **words)
        if curve is not None:
            continue
        seen = [event for event in log.forwards if event.of_val]
        if not seen:
            fail("Without evaluate the validation set was never looked at.", "no_own_validation", **words)
        if any(event.training for event in seen):
            fail("The validation loss was computed in training mode.", "val_in_training_mode", **words)
        if any(event.grad for event in seen):
            fail("The validation loss was computed with gradients switched on.", "val_with_graph", **words)


# ---------------------------------------------------------------- validation without evaluate
@points("fit", 0.5)
def test_fit_validates_by_itself(student, draw):
    for logs, n, m in ((True, 10, 7), (False, 9, 1), (False, 12, 150)):
        model, (train, val) = fit_log.layer(draw, logs), fit_log.data(draw, n, m)
        log = run_fit(
            student, model, train, val, curve=None, epochs=3, patience=9, batch_size=4, lr=1e-3, seed=4
        )
        called = f"fit(model, train, val, epochs=3, patience=9), {m} validation samples, evaluate=None"
        groups = validations(log)
        if not groups:
            fail("The validation set was never looked at.", "no_own_validation", called=called, slide=SLIDE)
        got = series(log.history, "val_loss", called)
        check_losses(student, model, val, groups, got, called)
    check_own_stop(student, draw)


def validations(log: Log) -> list[list[Forward]]:
    """Forwards on the validation set, grouped by epoch."""
    groups: list[list[Forward]] = []
    fresh = True
    for event in log.events:
        if isinstance(event, Step) or (isinstance(event, Forward) and not event.of_val):
            fresh = True
        elif isinstance(event, Forward):
            if fresh:
                groups.append([])
            groups[-1].append(event)
            fresh = False
    return groups


def check_losses(
    student: Any, model: Layer, val: Pair, groups: list[list[Forward]], got: list[float], called: str
) -> None:
    if len(got) not in (3, 4) or len(groups) not in (3, 4):
        fail(
            f'history["val_loss"] has {len(got)} entries for 3 epochs.', called=called, slide=SLIDE,
            got=f"the validation set was looked at {len(groups)} times",
        )  # fmt: skip
    for value, group in zip(reversed(got), reversed(groups), strict=False):
        flat = group[-1].weights
        plain = loss_of(model, val, flat)
        parts = [part_of(val, event) for event in group]
        means = [loss_of(model, part, flat) for part in parts]
        rights = [plain, sum(means) / len(means)]
        if any(abs(value - right) <= 2e-3 * abs(right) + 1e-4 for right in rights):
            continue
        z = model.scores(val[0], flat)
        wrongs = {
            "nll_on_logits": -float(z.gather(1, val[1][:, None]).mean()),
            "softmax_before_loss": float(reference.cross_entropy(torch.softmax(z, dim=1), val[1])),
            "val_in_training_mode": loss_of(model, val, flat, training=True),
            "sum_of_losses": sum(means),
        }
        named = [name for name, wrong in wrongs.items() if abs(value - wrong) <= 2e-3 * abs(wrong) + 1e-4]
        if named[:1] == ["nll_on_logits"] and gives_logs(student):
            continue
        if not named and abs(value - plain * len(val[0])) <= 2e-3 * plain * len(val[0]):
            named = ["sum_of_losses"]
        fail(
            "val_loss is not the mean cross-entropy on the validation set.",
            named[0] if named else None,
            called=called,
            slide=SLIDE,
        )


def part_of(val: Pair, event: Forward) -> Pair:
    rows = [min(-row - 1, len(val[0]) - 1) for row in event.rows]
    return val[0][rows], val[1][rows]


def gives_logs(student: Any) -> bool:
    return fit_log.gives_log_probabilities(student)


def check_own_stop(student: Any, draw: Any) -> None:
    """Validation labels that contradict training: the first epoch is the best, and 2 more are trained."""
    model, (train, _) = fit_log.layer(draw, zero=True), fit_log.data(draw, 20, 1)
    X_val = train[0].clone()
    X_val[:, 0] = -(1 + torch.arange(20)) / 100
    val = X_val, (train[1] + 1) % 10
    log = run_fit(
        student, model, train, val, curve=None, epochs=12, patience=2, batch_size=8, lr=1e-2, seed=5
    )
    words = {
        "called": "fit(…, epochs=12, patience=2, evaluate=None), where the validation loss rises",
        "slide": SLIDE,
    }
    groups = validations(log)
    states = [group[-1].weights for group in groups if group[-1].weights is not None]
    losses = [loss_of(model, val, state) for state in states]
    if not losses:
        fail("The validation set was never looked at.", "no_own_validation", **words)
    # Where training has nothing left to learn the losses of epochs are the same but for rounding.
    smallest = min(losses)
    bests = [k for k, loss in enumerate(losses) if loss <= smallest * (1 + 1e-5)]
    best = next((k for k in bests if len(losses) == min(12, k + 3)), bests[-1])
    if len(losses) > best + 3:
        fail(
            f"It went on for {len(losses) - best - 1} epochs after the best one.",
            "one_epoch_late" if len(losses) == best + 4 else "no_early_stopping",
            **words,
        )
    if len(losses) < min(12, best + 3):  # it may also have got to the end, getting better to the last
        fail(f"It stopped {len(losses) - best - 1} epochs after the best one.", **words)
    if not any(torch.allclose(log.weights, states[k], rtol=1e-5, atol=1e-7) for k in bests):
        mistake = "other_epoch_restored"
        if torch.allclose(log.weights, states[-1], rtol=1e-5, atol=1e-7):
            mistake = "state_dict_alias" if log.loaded else "best_not_restored"
        fail("At the end the model has not the weights of the best epoch.", mistake, **words)
