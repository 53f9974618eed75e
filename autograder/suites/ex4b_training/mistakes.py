"""Known wrong answers of exercise 4b and what a student is told about each.

A function here is a wrong twin of the student's function of the task; its name is the id of the mistake.
``named`` ones are recognised by a check, ``on_error`` ones by the exception.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder import mistake

from .probes import Moody

ONE_HOT = "01.07 Loss function: one-hot vector"
SOFTMAX = "01.07 Loss function: logits and softmax"
CROSS_ENTROPY = "01.07 Loss function: cross-entropy"
MSE = "01.07 Loss function: mean squared error"
TRAIN = "01.08 Optimizer: the training loop"
MOONS = "01.07/01.08 Loss function and optimizer"

# ---------------------------------------------------------------- one_hot

mistake.on_error(
    "one_hot",
    "ready_made",
    error="RuntimeError",
    match="switched off in this task",
    message="F.one_hot is the thing to build here, so it is switched off.",
    hint="Compare: y[:, None] == torch.arange(C). Or start with zeros and set one entry in each row.",
    slide=ONE_HOT,
)
mistake.named(
    "one_hot",
    "memory_not_filled",
    message="torch.empty makes a tensor of whatever the memory holds: often 0, and one day not.",
    hint="Start with torch.zeros(len(y), C).",
    slide=ONE_HOT,
)
mistake.named(
    "one_hot",
    "not_float32",
    message="The vectors are multiplied with logarithms later on: they need dtype float32.",
    hint=".float() at the end, or torch.zeros(…), which is float32 to begin with.",
    slide=ONE_HOT,
)


def _at(y: Tensor, columns: int, shift: int = 0) -> Tensor:
    return ((y.long() + shift)[:, None] == torch.arange(columns)).float()


@mistake(
    "one_hot",
    "A class that is missing in this batch has lost its column: y.max() + 1 is not C. Make C columns.",
    slide=ONE_HOT,
    hint="C is an argument: the number of classes does not depend on the batch.",
)
def classes_from_batch(y: Tensor, C: int) -> Tensor:
    return _at(y, int(y.max()) + 1)


@mistake(
    "one_hot",
    "A class that is missing in this batch has lost its column: the different labels are counted, not C.",
    slide=ONE_HOT,
    hint="C is an argument: the number of classes does not depend on the batch.",
)
def classes_counted(y: Tensor, C: int) -> Tensor:
    return _at(y, len(set(y.tolist())))


_FROM_ONE = "The 1 sits one column too far left: the labels are 0 … C-1, not 1 … C as in the slides' table."


@mistake("one_hot", _FROM_ONE, slide=ONE_HOT, hint="Class 0 is column 0.")
def labels_from_one(y: Tensor, C: int) -> Tensor:
    return _at(y, C, -1)


@mistake("one_hot", _FROM_ONE, slide=ONE_HOT, hint="Class 0 is column 0.")
def labels_from_one_wrapped(y: Tensor, C: int) -> Tensor:
    return _at((y.long() - 1) % C, C)


@mistake(
    "one_hot",
    "There is one column too many: the classes 0 … C-1 are C classes.",
    slide=ONE_HOT,
    hint="torch.zeros(len(y), C)",
)
def extra_column(y: Tensor, C: int) -> Tensor:
    return _at(y, C + 1)


@mistake(
    "one_hot",
    "The result is (C, N): each label is one row, (N, C).",
    slide=ONE_HOT,
    hint="y[:, None] == torch.arange(C) is (N, C); y == torch.arange(C)[:, None] is (C, N).",
)
def transposed(y: Tensor, C: int) -> Tensor:
    return _at(y, C).T


@mistake(
    "one_hot",
    "out[:, y] = 1 sets these columns in every row. Set one entry in each: out[torch.arange(N), y] = 1.",
    slide=ONE_HOT,
)
def whole_columns(y: Tensor, C: int) -> Tensor:
    return _at(y, C).amax(dim=0).expand(len(y), C).clone()


@mistake("one_hot", "Zeros and ones have changed places.", slide=ONE_HOT)
def inverted(y: Tensor, C: int) -> Tensor:
    return 1 - _at(y, C)


@mistake("one_hot", "The entry is the label itself. It is 1, whichever class it is.", slide=ONE_HOT)
def label_as_value(y: Tensor, C: int) -> Tensor:
    return _at(y, C) * y[:, None]


# ---------------------------------------------------------------- softmax and cross_entropy

for _task, _slide in (("softmax", SOFTMAX), ("cross_entropy", CROSS_ENTROPY)):
    mistake.on_error(
        _task,
        "ready_made",
        error="RuntimeError",
        match="switched off in this task",
        message=(
            "torch's softmax, log_softmax and cross-entropy are what you build here, so they are "
            "switched off. Use exp, log, sum, max, logsumexp, gather."
        ),
        slide=_slide,
    )
    mistake.on_error(
        _task,
        "max_gives_two",
        error="TypeError|AttributeError",
        match="return_types.max",
        message="z.max(dim=1) gives two things, the values and where they are. Take .values, or use z.amax.",
        hint="z.amax(dim=1, keepdim=True)",
        slide=_slide,
    )
    mistake.on_error(
        _task,
        "keepdim",
        error="RuntimeError",
        match="must match the size of tensor",
        message=(
            "(N, C) meets (N,): without keepdim=True the axis that was reduced is gone, and "
            "broadcasting lines up the wrong axes."
        ),
        hint="sum(dim=1, keepdim=True), amax(dim=1, keepdim=True)",
        slide=_slide,
    )
    mistake.named(
        _task,
        "graph_cut",
        message="The numbers are right, but no gradient flows back to z. Training needs it.",
        hint="No .item(), .detach(), .numpy(), float(…) or torch.tensor(…) on the way to the result.",
        slide=_slide,
    )
    mistake.named(
        _task,
        "float32_forced",
        message="float64 went in and something else came out: the function forces a dtype of its own.",
        hint="No .float(); helper tensors get dtype=z.dtype.",
        slide=_slide,
    )
    mistake.named(
        _task,
        "changes_arguments",
        message="The call changed z or y: z -= … and z.exp_() write into the caller's tensor.",
        hint="z = z - z.amax(dim=1, keepdim=True) makes a new one.",
        slide=_slide,
    )

mistake.named(
    "softmax",
    "global_max",
    message=(
        "One large row ruins the others: the maximum of the whole batch was subtracted. "
        "Subtract from each row its own maximum."
    ),
    hint="z - z.amax(dim=1, keepdim=True)",
    slide=SOFTMAX,
)


@mistake(
    "softmax",
    "exp of a large logit is inf, and inf / inf is nan. Subtract the largest logit of each row first.",
    slide=SOFTMAX,
    hint="softmax(z) = softmax(z - max(z)): the factor cancels.",
)
def naive_exp(z: Tensor) -> Tensor:
    return z.exp() / z.exp().sum(dim=1, keepdim=True)


@mistake(
    "softmax",
    "The columns sum to 1, not the rows: dim=0 runs over the samples, dim=1 over the classes.",
    slide=SOFTMAX,
    hint="With as many samples as classes nothing complains. Sum along dim=1.",
)
def columns_sum_to_one(z: Tensor) -> Tensor:
    return torch.softmax(z, dim=0)


@mistake(
    "softmax",
    "The whole batch sums to 1. Each row is a distribution of its own: sum along dim=1.",
    slide=SOFTMAX,
    hint="powers.sum(dim=1, keepdim=True)",
)
def batch_sums_to_one(z: Tensor) -> Tensor:
    return z.exp() / z.exp().sum()


@mistake("softmax", "exp is missing: the logits themselves were divided by their sum.", slide=SOFTMAX)
def no_exp(z: Tensor) -> Tensor:
    return z / z.sum(dim=1, keepdim=True)


@mistake("softmax", "That is log-softmax: no logarithm here.", slide=SOFTMAX)
def logarithm(z: Tensor) -> Tensor:
    return torch.log_softmax(z, dim=1)


@mistake("softmax", "The sign is wrong: the largest logit got the smallest probability.", slide=SOFTMAX)
def minus(z: Tensor) -> Tensor:
    return torch.softmax(-z, dim=1)


@mistake(
    "softmax", "That is the sigmoid of each logit. Softmax divides by the sum over the row.", slide=SOFTMAX
)
def sigmoid(z: Tensor) -> Tensor:
    return torch.sigmoid(z)


@mistake("softmax", "The powers are there, the division by their sum is missing.", slide=SOFTMAX)
def not_normalised(z: Tensor) -> Tensor:
    return z.exp()


@mistake("softmax", "2 ** z instead of e ** z.", slide=SOFTMAX, hint="torch.exp")
def base_two(z: Tensor) -> Tensor:
    return torch.softmax(z * 0.6931471805599453, dim=1)


mistake.named(
    "cross_entropy",
    "epsilon_in_log",
    message=(
        "log(p + ε) caps the loss: a network that is certain and wrong must pay more than that, and "
        "its gradient is 0. Do not repair log(0), avoid it."
    ),
    hint="-log p = logsumexp(z) - z[y] never takes the logarithm of 0.",
    slide=CROSS_ENTROPY,
)
mistake.on_error(
    "cross_entropy",
    "wants_one_hot",
    error="IndexError|RuntimeError",
    match="Dimension out of range|Dimension specified as",
    message="y holds class numbers, shape (N,). There is no second axis in it.",
    hint="z.gather(1, y[:, None]), or z[torch.arange(N), y]",
    slide=CROSS_ENTROPY,
)


def _log_p(z: Tensor) -> Tensor:
    return torch.log_softmax(z, dim=1)


def _pick(values: Tensor, y: Tensor) -> Tensor:
    return values[torch.arange(len(y)), y.long()]


_DOUBLE = "You apply softmax to probabilities: softmax twice. z are logits, one softmax is in the formula."


@mistake("cross_entropy", _DOUBLE, slide=CROSS_ENTROPY, hint="p = softmax(z), then -log(p[y]).")
def double_softmax(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(_log_p(torch.softmax(z, dim=1)), y).mean()


@mistake(
    "cross_entropy",
    "The losses of the batch are summed. Take their mean, so that the step does not depend on N.",
    slide=CROSS_ENTROPY,
    hint=".mean()",
)
def summed(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(_log_p(z), y).sum()


@mistake(
    "cross_entropy",
    "The mean runs over all N·C entries, of which only N count. Divide by N.",
    slide=CROSS_ENTROPY,
    hint="Sum along the classes first, then the mean over the samples.",
)
def mean_over_everything(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(_log_p(z), y).sum() / z.numel()


@mistake(
    "cross_entropy",
    "This is a loss for each sample, (N,). Take the mean: one number for the batch.",
    slide=CROSS_ENTROPY,
    hint=".mean()",
)
def loss_per_sample(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(_log_p(z), y)


@mistake(
    "cross_entropy",
    "The sign is missing: log p is negative, the loss is -log p.",
    slide=CROSS_ENTROPY,
)
def sign_missing(z: Tensor, y: Tensor) -> Tensor:
    return _pick(_log_p(z), y).mean()


@mistake("cross_entropy", "log2 instead of the natural logarithm.", slide=CROSS_ENTROPY, hint="torch.log")
def log_base_2(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(_log_p(z), y).mean() / 0.6931471805599453


@mistake("cross_entropy", "log10 instead of the natural logarithm.", slide=CROSS_ENTROPY, hint="torch.log")
def log_base_10(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(_log_p(z), y).mean() / 2.302585092994046


@mistake(
    "cross_entropy",
    "z[:, y] takes the columns y of every row, an (N, N) table. Take one entry of each row.",
    slide=CROSS_ENTROPY,
    hint="z.gather(1, y[:, None]), or z[torch.arange(N), y]",
)
def whole_columns_of_z(z: Tensor, y: Tensor) -> Tensor:
    return -_log_p(z)[:, y].mean()


@mistake(
    "cross_entropy",
    "The softmax runs over the samples (dim=0). It belongs over the classes, dim=1.",
    slide=CROSS_ENTROPY,
)
def softmax_over_samples(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(torch.log_softmax(z, dim=0), y).mean()


@mistake(
    "cross_entropy",
    "The softmax is missing: z are logits, no logarithms of probabilities.",
    slide=CROSS_ENTROPY,
    hint="-log p = logsumexp(z) - z[y]",
)
def no_softmax(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(z, y).mean()


@mistake(
    "cross_entropy",
    "The logarithm is missing: 1 - p is no cross-entropy.",
    slide=CROSS_ENTROPY,
)
def one_minus_p(z: Tensor, y: Tensor) -> Tensor:
    return (1 - _pick(torch.softmax(z, dim=1), y)).mean()


@mistake("cross_entropy", "The logarithm is missing: -p is no cross-entropy.", slide=CROSS_ENTROPY)
def minus_p(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(torch.softmax(z, dim=1), y).mean()


@mistake(
    "cross_entropy",
    "A probability rounds to 0, log(0) = -inf, and 0 * -inf is nan. -log p = logsumexp(z) - z[y] does not.",
    slide=CROSS_ENTROPY,
    hint="Simplify log(exp(z_j) / Σ exp(z_k)) on paper first.",
)
def zero_times_infinity(z: Tensor, y: Tensor) -> Tensor:
    hot = _at(y, z.shape[1]).to(z.dtype)
    return -(hot * torch.softmax(z, dim=1).log()).sum(dim=1).mean()


@mistake(
    "cross_entropy",
    "exp of a large logit is inf, and inf / inf is nan. -log p = logsumexp(z) - z[y] avoids it.",
    slide=CROSS_ENTROPY,
    hint="Simplify log(exp(z_j) / Σ exp(z_k)) on paper first, then use torch.logsumexp.",
)
def naive_powers(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(z.exp() / z.exp().sum(dim=1, keepdim=True), y).log().mean()


@mistake(
    "cross_entropy",
    "exp of a large logit is inf, and the loss with it. -log p = logsumexp(z) - z[y] avoids it.",
    slide=CROSS_ENTROPY,
    hint="torch.logsumexp(z, dim=1), or subtract the maximum of each row first.",
)
def naive_logsumexp(z: Tensor, y: Tensor) -> Tensor:
    return (z.exp().sum(dim=1).log() - _pick(z, y)).mean()


@mistake(
    "cross_entropy",
    "A probability rounds to 0, and log(0) = -inf makes the loss inf. Do not take the logarithm of it.",
    slide=CROSS_ENTROPY,
    hint="-log p = logsumexp(z) - z[y]",
)
def log_of_zero(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(torch.softmax(z, dim=1), y).log().mean()


@mistake(
    "cross_entropy",
    "The mean is taken of the probabilities and the logarithm afterwards. First -log p, then the mean.",
    slide=CROSS_ENTROPY,
)
def log_of_mean(z: Tensor, y: Tensor) -> Tensor:
    return -_pick(torch.softmax(z, dim=1), y).mean().log()


# ---------------------------------------------------------------- mse

mistake.named(
    "mse",
    "graph_cut",
    message="The number is right, but no gradient flows back to y_hat. Training needs it.",
    hint="No .item(), .detach(), .numpy(), float(…) or torch.tensor(…) on the way to the result.",
    slide=MSE,
)
mistake.named(
    "mse",
    "changes_arguments",
    message="The call changed y_hat or y: y_hat -= y writes into the caller's tensor.",
    hint="(y_hat - y) makes a new one.",
    slide=MSE,
)


@mistake(
    "mse",
    (
        "(N, 1) minus (N,) is an (N, N) table: every prediction was compared with every target, and nothing "
        "complained. Raise a ValueError when the shapes differ, or reshape one to the other."
    ),
    slide=MSE,
    hint="y = y.reshape(y_hat.shape)",
)
def broadcasting(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).square().mean()


@mistake(
    "mse",
    (
        "y.squeeze() makes (N,) of (N, 1), and (N, 1) minus (N,) is an (N, N) table: every prediction was "
        "compared with every target. Bring y into the shape of y_hat."
    ),
    slide=MSE,
    hint="y = y.reshape(y_hat.shape)",
)
def target_squeezed(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y.squeeze()).square().mean()


@mistake(
    "mse",
    "The sum is divided by the number of rows. The mean runs over all entries: .mean() divides by numel().",
    slide=MSE,
)
def divided_by_rows(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).square().sum() / len(y)


@mistake("mse", "That is the root, RMSE. MSE stops at the mean of the squares.", slide=MSE)
def root(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).square().mean().sqrt()


@mistake("mse", "It is half of it: some books write ½(ŷ - y)², the slide does not.", slide=MSE)
def half(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).square().mean() / 2


@mistake("mse", "The squares are summed. MSE is their mean.", slide=MSE)
def sum_of_squares(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).square().sum()


@mistake("mse", "The absolute differences were averaged. Square them.", slide=MSE)
def absolute(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).abs().mean()


@mistake(
    "mse",
    "The mean comes before the square: positive and negative differences cancel. Square first.",
    slide=MSE,
)
def square_of_mean(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).mean().square()


@mistake("mse", "The square is missing: positive and negative differences cancel.", slide=MSE)
def no_square(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).mean()


@mistake("mse", "The square is missing, and the sign is turned around.", slide=MSE)
def no_square_turned(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y - y_hat).mean()


@mistake("mse", "A difference of squares is no square of a difference.", slide=MSE, hint="(y_hat - y) ** 2")
def difference_of_squares(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat**2 - y**2).mean()


@mistake("mse", "This is one number for each sample. Take the mean: one number for the batch.", slide=MSE)
def squares(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y).square()


# ---------------------------------------------------------------- train

mistake.on_error(
    "train",
    "loss_fn_capital",
    error="NameError",
    match="name 'Loss_fn' is not defined",
    message="The slide defines Loss_fn and calls loss_fn: Python tells them apart. Here it is loss_fn.",
    slide=TRAIN,
)
mistake.on_error(
    "train",
    "slide_names",
    error="NameError",
    match="name '(?P<name>optimizer|criterion|x|loss_function|dataloader|train_loader)' is not defined",
    message="{name} is not defined here: use the arguments model, X, y, loss_fn, opt.",
    slide=TRAIN,
)
mistake.on_error(
    "train",
    "grad_is_none",
    error="AttributeError",
    match="'NoneType' object has no attribute '(zero_|detach_|data|mul_)'",
    message="Before the first backward .grad is None, and None has no zero_().",
    hint="opt.zero_grad() knows that; by hand: if p.grad is not None.",
    slide=TRAIN,
)
mistake.on_error(
    "train",
    "no_graph",
    error="RuntimeError",
    match="does not require grad",
    message="The loss is cut off from the parameters: backward has nothing to go back through.",
    hint="No .item(), .detach(), torch.tensor(…) or torch.no_grad() between the model and backward.",
    slide=TRAIN,
)
mistake.on_error(
    "train",
    "graph_kept",
    error="RuntimeError",
    match="backward through the graph a second time",
    message="backward ran twice through one graph: compute model(…) and the loss anew for each batch.",
    hint="Forward and loss belong inside the loop over the batches.",
    slide=TRAIN,
)
mistake.on_error(
    "train",
    "targets_cast",
    error="RuntimeError",
    match="scalar type Long|target dtype to be Long|expected target size|not implemented for 'Float'",
    message="Cross-entropy wants class numbers, int64: hand y to loss_fn as it is.",
    hint="No y.float() and no reshape.",
    slide=TRAIN,
)
mistake.on_error(
    "train",
    "zero_division",
    error="ZeroDivisionError",
    message="There was no batch to average over: with N < batch_size there is one batch, with all samples.",
    hint="range(0, N, batch_size) includes the last, short batch; N // batch_size does not count it.",
    slide=TRAIN,
)
for _id, _message, _hint in (
    (
        "no_zero_grad",
        (
            "The gradients are never cleared: each step uses the sum of the gradients of all batches so "
            "far, because .grad is added to."
        ),
        "opt.zero_grad(), once for every step.",
    ),
    (
        "zeroed_once",
        "The gradients are cleared once, but not between the steps: they pile up from batch to batch.",
        "opt.zero_grad() belongs inside the loop over the batches.",
    ),
    (
        "zeroed_before_step",
        (
            "The gradients are cleared after backward and before step: the step finds nothing and the "
            "parameters stay as they are."
        ),
        "zero_grad, forward, loss, backward, step",
    ),
    (
        "step_before_backward",
        "step comes before backward: it moves along the old gradients, or none at all.",
        "zero_grad, forward, loss, backward, step",
    ),
    ("no_backward", "loss.backward() is never called: there are no gradients.", "loss.backward()"),
    ("no_step", "opt.step() is never called on the optimizer that was passed in.", "opt.step()"),
    ("no_forward", "The model that was passed in is never called.", "model(X_batch)"),
    ("no_loss", "loss_fn is never called: use the loss that was passed in.", "loss_fn(y_hat, y_batch)"),
    (
        "accumulates_batches",
        "Several backwards share one step: step belongs inside the loop over the batches.",
        "One step for every batch.",
    ),
    (
        "gradient_changed",
        "At the step the gradient is not that of the batch's loss: something changed it on the way.",
        "loss.backward() and opt.step(), nothing in between.",
    ),
    ("loss_negated", "The loss is made larger: backward ran on -loss.", "loss.backward()"),
    (
        "loss_arguments_swapped",
        "The arguments of loss_fn have changed places: prediction first, target second.",
        "loss_fn(model(X_batch), y_batch)",
    ),
    (
        "shapes_differ",
        "Prediction and target have different shapes inside loss_fn: they are broadcast.",
        "Hand over model(X_batch) and y_batch as they are.",
    ),
    (
        "shuffled_apart",
        (
            "X and y no longer belong together: predictions of some samples are compared with the targets of "
            "others. Use the same row numbers for both."
        ),
        "rows = torch.randperm(N); X[rows], y[rows]",
    ),
    (
        "drops_last_batch",
        "The last, shorter batch is left out: some samples are never trained on.",
        "range(0, N, batch_size), and slices may be shorter at the end. DataLoader: drop_last=False.",
    ),
    (
        "one_batch_per_epoch",
        "One batch per epoch: an epoch goes through all samples.",
        "A loop over the batches inside the loop over the epochs.",
    ),
    (
        "ignores_batch_size",
        "A batch is larger than batch_size.",
        "X[start : start + batch_size]",
    ),
    ("one_epoch", "Only one epoch was trained.", "for epoch in range(epochs):"),
    (
        "samples_repeated",
        "Some samples come twice in an epoch and others not at all. Cut a permutation into pieces.",
        "torch.randperm(N).split(batch_size)",
    ),
    (
        "keeps_graph",
        "The history holds losses with their graph: memory grows with every epoch.",
        "loss.item() gives the plain number.",
    ),
    (
        "history_per_batch",
        "The history has an entry for each batch. One number per epoch: the mean over its samples.",
        "Sum up loss.item() * len(batch) and divide by N at the end of the epoch.",
    ),
    (
        "mean_of_batches",
        (
            "The batch losses are averaged as if all batches were equal. The last is smaller: weight each "
            "loss with the number of its samples."
        ),
        "total += loss.item() * len(batch), and total / N at the end.",
    ),
    (
        "weighted_by_batch_size",
        "Each batch is weighted with batch_size, but the last one has fewer samples.",
        "total += loss.item() * len(batch)",
    ),
    (
        "sum_of_losses",
        "The losses of an epoch are summed. Take their mean over the samples.",
        "total += loss.item() * len(batch), and total / N at the end.",
    ),
    (
        "last_batch_only",
        "The history holds the loss of the last batch. It is the mean over all samples of the epoch.",
        "Collect the losses of all batches of the epoch.",
    ),
    (
        "never_reset",
        "The total is not reset: each epoch carries the losses of the earlier ones along.",
        "total = 0.0 belongs inside the loop over the epochs.",
    ),
    (
        "eval_mode",
        "The model is in evaluation mode while it is trained: dropout and batch norm would not work.",
        "model.train() at the beginning.",
    ),
    (
        "changes_data",
        "X or y has been changed. They belong to the caller.",
        "X[rows] makes a copy; X -= … and X.copy_(…) write into the caller's tensor.",
    ),
    (
        "data_changed",
        "The samples in a batch are not rows of X and y as they were passed in.",
        "X[rows], y[rows], nothing else.",
    ),
):
    mistake.named("train", _id, message=_message, hint=_hint, slide=TRAIN)

# ---------------------------------------------------------------- accuracy

mistake.on_error(
    "accuracy",
    "argmax_over_samples",
    error="RuntimeError",
    match="must match the size of tensor",
    message=(
        "argmax over the wrong axis: scores are (N, C), the class of a sample is the largest entry in "
        "its row, dim=1."
    ),
    hint="model(X).argmax(dim=1)",
    slide=MOONS,
)
mistake.named(
    "accuracy",
    "training_mode",
    message="The model is measured in training mode: with dropout, accuracy becomes a matter of luck.",
    hint="model.eval() before model(X).",
    slide=MOONS,
)
mistake.named(
    "accuracy",
    "graph_built",
    message="The forward pass records a graph that nobody needs: it costs time and memory.",
    hint="with torch.no_grad(): …",
    slide=MOONS,
)


def _hits(model: Any, X: Tensor, y: Tensor, dim: int = 1) -> Tensor:
    model.eval()
    with torch.no_grad():
        found: Tensor = model(X).argmax(dim=dim) == y
    return found


@mistake("accuracy", "That is a percentage. Return the share, from 0 to 1.", slide=MOONS)
def percent(model: Moody, X: Tensor, y: Tensor) -> float:
    return 100 * _hits(model, X, y).float().mean().item()


@mistake("accuracy", "That is the number of hits. Divide by the number of samples.", slide=MOONS)
def count(model: Moody, X: Tensor, y: Tensor) -> float:
    return float(_hits(model, X, y).sum())


@mistake("accuracy", "That is the share of errors: 1 - accuracy.", slide=MOONS)
def error_rate(model: Moody, X: Tensor, y: Tensor) -> float:
    return 1 - _hits(model, X, y).float().mean().item()


@mistake("accuracy", "The hits are divided by the number of classes, not of samples.", slide=MOONS)
def divided_by_classes(model: Moody, X: Tensor, y: Tensor) -> float:
    return float(_hits(model, X, y).sum()) / model.weight.shape[0]


# ---------------------------------------------------------------- moons

for _id, _message, _hint in (
    (
        "straight_boundary",
        (
            "This is about what a straight line reaches. Without a nonlinear hidden layer, or after too few "
            "steps, the boundary cannot bend."
        ),
        "nn.Linear, nn.ReLU (or tanh), nn.Linear; more epochs; gradients cleared before each backward.",
    ),
    (
        "chance",
        "The network guesses: it was not trained, or not on these labels.",
        "Is it this model's parameters that the optimizer got? Does the loss fall?",
    ),
    (
        "labels_swapped",
        "The network says 0 for 1 and 1 for 0.",
        "Column c of the scores belongs to class c.",
    ),
    (
        "no_model",
        "train_moons returns the trained network, and nothing else.",
        "return model",
    ),
    (
        "one_logit",
        "The network needs two outputs, one logit for each class.",
        "nn.Linear(hidden, 2) and cross-entropy",
    ),
    ("changes_data", "train_moons changed X or y. They belong to the caller.", "Work on copies."),
):
    mistake.named("moons", _id, message=_message, hint=_hint, slide=MOONS)
mistake.on_error(
    "moons",
    "targets_cast",
    error="RuntimeError",
    match="expected scalar type Long|target dtype to be Long|must have the same shape|Target size",
    message="Two logits go with cross-entropy, and cross-entropy wants int64 class numbers, as they are.",
    slide=MOONS,
)
