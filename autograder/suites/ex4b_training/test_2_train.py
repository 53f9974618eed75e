"""train: what happens in which order, seen by a spy model, a spy loss and a spy optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder import points
from autograder.checks import assert_close, assert_finite, assert_length, assert_shape, assert_type, fail

from . import probes, reference
from .training_log import SLIDE, Log, Word, near, probed, read, total

# (N, batch_size, epochs): a short last batch, none, one sample at a time.
PLANS = ((11, 4, 2), (9, 3, 2), (5, 1, 2))
SHOWN = [Word(name) for name in ("model", "X", "y", "loss_fn", "opt")]


@dataclass(frozen=True)
class Scene:
    """One run of ``train`` on drawn data. X: (N, 3), y: (N, 1), all entries of y different."""

    weight: Tensor
    bias: Tensor
    X: Tensor
    y: Tensor
    epochs: int
    batch_size: int
    seed: int
    training: bool = True

    @property
    def called(self) -> str:
        return (
            f"train(model, X, y, loss_fn, opt, epochs={self.epochs}, batch_size={self.batch_size}) with "
            f"{len(self.X)} samples"
        )

    @property
    def batches_per_epoch(self) -> int:
        return ceil(len(self.X) / self.batch_size)

    def fail(self, summary: str, mistake: str | None = None, **parts: Any) -> None:
        fail(summary, mistake, called=self.called, slide=SLIDE, **parts)


def scene(draw: Any, n: int, batch_size: int, epochs: int, training: bool = True) -> Scene:
    weight, bias, X = draw.tensors(n=n, d=3).of("1 d", "1", "n d")
    # Targets far from the predictions and from each other: no gradient vanishes, no two rows look alike.
    y = 2.0 + 0.25 * draw.permutation(n)[:, None].float() + draw.tensors(low=0.0, high=0.1, n=n).of("n 1")
    return Scene(weight, bias, X, y, epochs, batch_size, draw.seed % 1000, training)


def observed(student: Any, plan: Scene) -> Log:
    size = {"epochs": plan.epochs, "batch_size": plan.batch_size}
    return read(probed(student, "spied_training", "train", *arguments(plan), shown=SHOWN, **size))


def arguments(plan: Scene) -> tuple[Any, ...]:
    return (
        plan.weight,
        plan.bias,
        plan.X,
        plan.y,
        plan.epochs,
        plan.batch_size,
        plan.seed,
        0.1,
        plan.training,
    )


# ---------------------------------------------------------------- zero_grad, backward, step


@points("train", 2)
def test_train_order_of_calls(student, draw):
    for plan in PLANS:
        run = scene(draw, *plan)
        log = observed(student, run)
        check_loss_arguments(run, log)
        if not log.steps:
            run.fail("opt.step() was never called.", "no_step")
        for number in range(len(log.steps)):
            check_step(run, log, number)
        if log.left_over:
            run.fail("The last backward is not followed by a step.", "no_step")


def check_loss_arguments(run: Scene, log: Log) -> None:
    for batch in log.batches:
        got = f"loss_fn got shapes {batch.shapes[0]} and {batch.shapes[1]}"
        if batch.swapped:
            run.fail("loss_fn got the target first.", "loss_arguments_swapped", got=got)
        if batch.shapes[0] != batch.shapes[1]:
            run.fail("Prediction and target have different shapes.", "shapes_differ", got=got)


def check_step(run: Scene, log: Log, number: int) -> None:
    """The gradient at this step is that of the one batch since the last step."""
    step = log.steps[number]
    which = f"Step {number + 1}"
    if not step.batches:
        mistake = "step_before_backward" if number == 0 else "no_backward"
        run.fail(f"{which} was not preceded by a backward of its own.", mistake)
    if len(step.batches) > 1:
        run.fail(f"{which} came after {len(step.batches)} backwards.", "accumulates_batches")
    fresh = step.batches[0].fresh
    if near(step.grad, fresh):
        return
    parts = {
        "expected": "at each step .grad is the gradient of this batch's loss",
        "got": f"at step {number + 1} it is another one",
    }
    if step.empty or not bool(step.grad.any()):
        parts["got"] = f"at step {number + 1} it is {'None' if step.empty else 'zero'}"
        run.fail(f"{which} found no gradient.", "zeroed_before_step", **parts)
    if near(step.grad, -fresh):
        run.fail(f"{which} found the gradient turned around.", "loss_negated", **parts)
    for start in range(number):
        if near(step.grad, total([batch for s in log.steps[start : number + 1] for batch in s.batches])):
            parts["got"] = (
                f"at step {number + 1} it is the sum of the gradients of {number + 1 - start} batches"
            )
            always = all(piled_up(log, n) for n in range(len(log.steps)))
            run.fail(
                f"{which} uses gradients of earlier batches.",
                "no_zero_grad" if always else "zeroed_once",
                **parts,
            )
    run.fail(f"{which} found a gradient that is not the batch's.", "gradient_changed", **parts)


def piled_up(log: Log, number: int) -> bool:
    """At this step .grad is the sum of the gradients of all batches since the first."""
    batches = [batch for step in log.steps[: number + 1] for batch in step.batches]
    return bool(batches) and near(log.steps[number].grad, total(batches))


# ---------------------------------------------------------------- the batches


@points("train", 1)
def test_train_uses_every_sample_once(student, draw):
    for plan in PLANS:
        run = scene(draw, *plan)
        check_batches(run, observed(student, run))


def check_batches(run: Scene, log: Log) -> None:
    batches = log.batches
    n, per_epoch = len(run.X), run.batches_per_epoch
    sizes = [len(batch.rows) for batch in batches]
    got = f"batches of {', '.join(map(str, sizes[:12]))}{' …' if len(sizes) > 12 else ''} samples"
    if not log.data_same:
        run.fail("X or y is not what it was before.", "changes_data")
    for batch in batches:
        if -1 in batch.rows:
            run.fail("A target that loss_fn got is not a row of y.", "data_changed")
        if not 0 <= batch.off < 1e-3:
            run.fail("Predictions and targets of a batch are not of the same samples.", "shuffled_apart")
    if max(sizes) > run.batch_size:
        run.fail(f"A batch has {max(sizes)} samples.", "ignores_batch_size", got=got)
    wanted = {"expected": f"{per_epoch} batches in each of {run.epochs} epochs", "got": got}
    if len(batches) != per_epoch * run.epochs:
        shorter = n // run.batch_size * run.epochs
        if len(batches) == per_epoch:
            run.fail(f"{len(batches)} batches are one epoch, not {run.epochs}.", "one_epoch", **wanted)
        if len(batches) == run.epochs:
            run.fail("There was one batch in each epoch.", "one_batch_per_epoch", **wanted)
        if n % run.batch_size and len(batches) == shorter and min(sizes) == run.batch_size:
            run.fail(f"{n % run.batch_size} samples are left out.", "drops_last_batch", **wanted)
        run.fail(f"{len(batches)} batches were trained on.", **wanted)
    for epoch in range(run.epochs):
        part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        rows = sorted(row for batch in part for row in batch.rows)
        if rows != list(range(n)):
            missing = n - len(set(rows))
            run.fail(
                f"In epoch {epoch + 1}, {missing} of {n} samples were not used.", "samples_repeated", got=got
            )


# ---------------------------------------------------------------- the result


@points("train", 1)
def test_train_full_batch_is_exact(student, draw):
    """With one batch per epoch the order of the samples does not matter: the parameters must agree."""
    for n, batch_size, epochs in ((7, 7, 4), (6, 10, 3), (1, 2, 2)):
        run = scene(draw, n, batch_size, epochs)
        log = observed(student, run)
        expected = reference.descend(
            lambda weight, bias, run=run: probes.distance(run.X @ weight.T + bias, run.y),
            (run.weight, run.bias),
            epochs,
            lr=0.1,
        )
        if len(log.batches) != epochs:
            run.fail(
                f"There were {len(log.batches)} batches in {epochs} epochs.",
                expected="one batch per epoch, as batch_size is not below the number of samples",
            )
        assert_parameters(log.weights, expected, run.called)
    sizes = {"i": 2, "h": 5, "c": 3, "n": 8}
    layers = draw.tensors(**sizes).of("h i", "h", "c h", "c")
    X, y = draw.tensors(**sizes).of("n i"), draw.labels(8, 3)
    data = (list(layers), X, y, 6, 8)
    called = "train(…) with nn.CrossEntropyLoss(), SGD with momentum, 6 epochs, one batch each"
    seen = probed(student, "real_training", "train", *data, shown=SHOWN, epochs=6, batch_size=8)
    expected = reference.descend(
        lambda first, bias, second, shift: reference.cross_entropy(
            (X @ first.T + bias).tanh() @ second.T + shift, y
        ),
        layers,
        6,
        lr=0.2,
        momentum=0.9,
    )
    found = seen.get("weights") if type(seen) is dict else None
    assert_parameters(found, expected, called)


def assert_parameters(got: Any, expected: Tensor, called: str) -> None:
    name = "the vector of all parameters after training"
    assert_type(got, Tensor, name=name, slide=SLIDE)
    assert_close(
        got.detach().double(),
        expected.double(),
        rtol=1e-3,
        atol=1e-4,
        name=name,
        slide=SLIDE,
        hint=f"{called}: one step per epoch, each with the gradient of the whole batch and no other.",
    )


# ---------------------------------------------------------------- the history


@points("train", 1)
def test_train_history(student, draw):
    for n, batch_size, epochs in ((11, 4, 3), (9, 3, 2), (5, 8, 2)):
        run = scene(draw, n, batch_size, epochs)
        check_history(run, observed(student, run))


def check_history(run: Scene, log: Log) -> None:
    name = "the history"
    history = log.history
    if type(history) in (Tensor, np.ndarray) and history.ndim == 1:
        history = list(history)
    assert_type(history, (list, tuple), name=name, slide=SLIDE, expected="a list of floats, one per epoch")
    if len(history) == len(log.batches) != run.epochs:
        run.fail(f"The history has {len(history)} entries.", "history_per_batch")
    assert_length(
        history, run.epochs, name=name, slide=SLIDE, expected=f"{run.epochs} numbers, one per epoch"
    )
    numbers = []
    for item in history:
        if type(item) is Tensor and item.requires_grad:
            run.fail("An entry of the history carries its graph.", "keeps_graph")
        assert_shape(item, (), name="an entry of the history", slide=SLIDE, hint="loss.item()")
        assert_finite(item, name="an entry of the history", slide=SLIDE)
        numbers.append(float(item))
    if len(log.batches) % run.epochs:
        run.fail(f"{len(log.batches)} batches cannot be shared out to {run.epochs} epochs.")
    got = torch.tensor(numbers, dtype=torch.float64)
    means = histories(run, log)
    # The mean over the epoch's batches, and that after its last step: both are "the loss of the epoch".
    if any(near(got, means[right], size=1.0) for right in ("mean_of_samples", "after_epoch")):
        return
    named = next((key for key, value in means.items() if near(got, value, size=1.0)), None)
    run.fail(
        "The history is not the mean loss over the samples of each epoch.",
        named,
        expected="for each epoch the sum of loss · (samples in the batch), divided by N",
        got=f"{[round(number, 4) for number in numbers]}",
    )


def histories(run: Scene, log: Log) -> dict[str, Tensor]:
    """The history that each way of averaging gives, from the losses that loss_fn handed out."""
    per_epoch = len(log.batches) // run.epochs
    losses = torch.tensor([batch.value for batch in log.batches], dtype=torch.float64)
    sizes = torch.tensor([len(batch.rows) for batch in log.batches], dtype=torch.float64)
    losses, sizes = losses.reshape(run.epochs, per_epoch), sizes.reshape(run.epochs, per_epoch)
    weighted = (losses * sizes).sum(dim=1) / sizes.sum(dim=1)
    return {
        "mean_of_samples": weighted,
        "after_epoch": after_each_epoch(run, log, per_epoch),
        "mean_of_batches": losses.mean(dim=1),
        "sum_of_losses": losses.sum(dim=1),
        "last_batch_only": losses[:, -1],
        "never_reset": weighted.cumsum(dim=0),
        "weighted_by_batch_size": losses.sum(dim=1) * run.batch_size / len(run.X),
    }


def after_each_epoch(run: Scene, log: Log, per_epoch: int) -> Tensor:
    """The loss on all samples with the parameters at the end of each epoch."""
    states = [step.weights for step in log.steps[per_epoch::per_epoch]] + [log.weights]
    states = (states + [log.weights] * run.epochs)[: run.epochs]
    X, y = run.X.double(), run.y.double()
    return torch.stack([probes.distance(X @ w[:-1, None] + w[-1], y) for w in states])


# ---------------------------------------------------------------- manners


@points("train", 0.5)
def test_train_in_training_mode(student, draw):
    for training in (True, False):
        run = scene(draw, 7, 3, 2, training)
        for batch in observed(student, run).batches:
            if not batch.training:
                run.fail(
                    "A batch was computed in evaluation mode.",
                    "eval_mode",
                    expected="model.training is True during training, whatever it was before",
                )


@points("train", 0.5)
def test_train_leaves_the_data_alone(student, draw):
    for n, batch_size in ((7, 3), (4, 4)):
        run = scene(draw, n, batch_size, 2)
        log = observed(student, run)
        if not log.data_same:
            run.fail("X or y is not what it was before.", "changes_data")
        if near(log.weights, torch.cat([run.weight.flatten(), run.bias]).double()):
            run.fail("The parameters of the model are what they were before training.")
