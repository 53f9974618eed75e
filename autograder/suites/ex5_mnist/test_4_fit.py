"""fit: the training loop, seen by a spy model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autograder import points
from autograder.checks import fail

from . import fit_log, reference
from .fit_log import FALLING, SLIDE, Layer, Log, Pair, near, run_fit


@points("fit", 0.75)
def test_fit_trains(student, draw):
    for n, batch_size, epochs in ((22, 8, 2), (5, 8, 3), (4, 1, 2)):
        model, (train, val) = fit_log.layer(draw), fit_log.data(draw, n, 4)
        silent = "drops_last_batch" if n < batch_size else "no_forward"
        log = run_fit(
            student, model, train, val, curve=FALLING, silent=silent, steps=True, epochs=epochs, patience=20,
            batch_size=batch_size, lr=1e-2, seed=draw.seed % 1000,
        )  # fmt: skip
        words = {
            "called": f"fit(model, train, val, epochs={epochs}, patience=20, batch_size={batch_size}) "
            f"with {n} training samples",
            "slide": SLIDE,
        }
        check_training(log, model, train, n, batch_size, epochs, words)
    model, (train, val) = fit_log.layer(draw), fit_log.data(draw, 12, 4)
    moved = []
    for lr in (1e-4, 1e-2):
        log = run_fit(
            student, model, train, val, curve=FALLING, epochs=1, patience=3, lr=lr, batch_size=4, seed=1
        )
        moved.append(float((log.weights - log.start).norm()))
    if moved[1] < 3 * moved[0]:
        fail(
            "A hundred times the learning rate, and the steps are no longer.",
            "lr_ignored",
            called="fit(…, lr=1e-4) and fit(…, lr=1e-2)",
            slide=SLIDE,
        )


def check_training(
    log: Log, model: Layer, train: Pair, n: int, batch_size: int, epochs: int, words: dict[str, str]
) -> None:
    if not log.same:
        fail("The tensors in train or val are not what they were before.", "changes_data", **words)
    batches = log.batches()
    if any(row < 0 for batch, _ in batches for row in batch.rows):
        fail("A step was made with samples of the validation set.", "trains_on_val", **words)
    if not bool((log.weights != log.start).any()):
        check_gradients(log, model, train, words)
        if n < batch_size and not log.steps:
            fail("With fewer samples than batch_size nothing was trained.", "drops_last_batch", **words)
        mistake = "no_step" if not log.steps else "best_is_start" if len(log.val_calls) > 1 else None
        fail("The parameters of the model are what they were before training.", mistake, **words)
    if not log.steps:
        return  # steps by hand: what counts is that the parameters move
    check_gradients(log, model, train, words)
    sizes = [len(batch.rows) for batch, _ in batches]
    got = f"batches of {', '.join(map(str, sizes[:10]))}{' …' if len(sizes) > 10 else ''} samples"
    if max(sizes) > batch_size:
        fail(f"A batch has {max(sizes)} samples.", "ignores_batch_size", got=got, **words)
    per_epoch = -(-n // batch_size)
    if len(batches) == epochs < per_epoch * epochs and n > batch_size:
        fail("There was one batch in each epoch.", "one_batch_per_epoch", got=got, **words)
    if len(batches) == per_epoch < per_epoch * epochs:
        fail(f"{len(batches)} batches are one epoch, not {epochs}.", "one_epoch", got=got, **words)
    used = {row for batch, _ in batches for row in batch.rows}
    if len(batches) < (n // batch_size) * epochs or (per_epoch == 1 and len(used) < n):
        fail("Too few batches were trained on.", got=got, expected=f"{per_epoch} in each epoch", **words)
    for part, name in ((slice(0, 7840), "weights"), (slice(7840, 7850), "biases")):
        if not bool((log.weights[part] != log.start[part]).any()):
            fail(f"The {name} of the model do not move.", "parameters_left_out", **words)


def gradient(model: Layer, pair: Pair, flat: Tensor, training: bool, how: Callable[..., Tensor]) -> Tensor:
    """The gradient (7850,) of ``how(scores, y)`` at the parameters ``flat``."""
    leaf = flat.detach().clone().requires_grad_()
    return torch.autograd.grad(how(model.scores(pair[0], leaf, training), pair[1]), leaf)[0]


def double_softmax(scores: Tensor, y: Tensor) -> Tensor:
    return reference.cross_entropy(torch.softmax(scores, dim=1), y)


def check_gradients(log: Log, model: Layer, train: Pair, words: dict[str, str]) -> None:
    """What .grad is when a step is made, against the gradient of the batch before it."""
    total, first = torch.zeros_like(log.start), torch.zeros(())
    for number, (batch, step) in enumerate(log.batches()):
        if step.grad is None or step.weights is None or any(row >= len(train[0]) for row in batch.rows):
            return
        pair = train[0][list(batch.rows)], train[1][list(batch.rows)]
        fresh = gradient(model, pair, step.weights, batch.training, reference.cross_entropy)
        total = total + fresh
        first = fresh.norm() if number == 0 else first
        parts = {"expected": "at each step .grad is the gradient of this batch's loss", **words}
        if near(step.grad, fresh):
            continue
        if number and near(step.grad, total):
            parts["got"] = f"at step {number + 1} it is the sum of the gradients of {number + 1} batches"
            fail(f"Step {number + 1} uses gradients of earlier batches.", "no_zero_grad", **parts)
        if not bool(step.grad.any()):
            early = number == 0 and later(log)
            mistake = "step_before_backward" if early else "zeroed_before_step"
            fail(f"Step {number + 1} found no gradient.", mistake, **parts)
        if near(step.grad, -fresh):
            fail(f"Step {number + 1} found the gradient turned around.", "loss_negated", **parts)
        if near(step.grad, gradient(model, pair, step.weights, batch.training, double_softmax)):
            fail("The loss took softmax of the scores first.", "softmax_before_loss", **parts)
        alike = torch.nn.functional.cosine_similarity(step.grad, fresh, dim=0)
        # Of a loss that is almost 0 a penalty or smoothed labels turn the gradient round: no verdict there.
        if float(alike) < 0.3 and float(fresh.norm()) > 0.3 * float(first):
            fail(
                f"The gradient at step {number + 1} is not that of cross-entropy on this batch.",
                "not_the_gradient",
                **parts,
            )


def later(log: Log) -> bool:
    """Some step found a gradient."""
    return any(step.grad is not None and bool(step.grad.any()) for step in log.steps)
