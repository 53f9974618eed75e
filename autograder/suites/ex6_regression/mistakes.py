"""Known wrong answers of exercise 6 and what a student is told about each.

A function here is a wrong twin of the student's function that ``of`` names (kinds.py says why it ends in
``_plain``); its name is the id of the mistake.
``named`` ones are recognised by a check, ``on_error`` ones by the exception.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograder import mistake

from . import reference

HOUSES = "01.10 Regression"
NETWORK = "01.10 Regression; 01.06 Neural networks"
BAYES = "01.01 The learning problem; 01.12 Generative models"
plain = reference.plain


def _named(task: str, slide: str, table: dict[str, tuple[str, str]]) -> None:
    for name, (message, hint) in table.items():
        mistake.named(task, name, message=message, hint=hint, slide=slide)


# ---------------------------------------------------------------- load_housing

_named(
    "load_housing",
    HOUSES,
    {
        "ignores_fetch": (
            "load_housing did not use the function that it was given, but loaded by itself.",
            "Call the argument: houses = fetch()",
        ),
        "tensors_returned": (
            "These are tensors. Until the network comes in, the data stay numpy arrays.",
            ".astype(np.float32) instead of torch.tensor(…)",
        ),
        "swapped": ("X and y have changed places.", "return X, y"),
        "flat_target": (
            "y has shape (N,). The network will return (N, 1), and (N, 1) - (N,) is (N, N) without an error: "
            "it would learn to predict the mean. Make y a column here, once and for all.",
            "y.reshape(-1, 1), or y[:, None]",
        ),
        "row_target": ("y is a row. One price per row of X: a column, (N, 1).", "y.reshape(-1, 1)"),
        "transposed": ("X has one column per house. It needs one row per house.", "No .T"),
        "float64_left": (
            "float64 is left. PyTorch's layers hold float32 and refuse the rest.",
            ".astype(np.float32), for X and for y",
        ),
        "scaled_too_early": (
            "The features are scaled already. Scaling comes after the split, in prepare: else test rows leak "
            "into the statistics.",
            "Hand on the values as they are.",
        ),
    },
)
mistake.on_error(
    "load_housing",
    "no_reshape_of_frame",
    error="AttributeError|KeyError|InvalidIndexError",
    match="'(DataFrame|Series)' object|unhashable|\\(slice",
    message="A pandas table is no array. Without as_frame=True the fetcher gives arrays at once.",
    hint="fetch().data and fetch().target, or .to_numpy()",
    slide=HOUSES,
)

# ---------------------------------------------------------------- prepare

_named(
    "prepare",
    HOUSES,
    {
        "tensors_returned": (
            "The sets are tensors. Here they stay numpy arrays.",
            "torch.from_numpy comes right before the training.",
        ),
        "flat_target": (
            "The y of a set have shape (n,). They came as (N, 1) and must stay columns: (n, 1) - (n,) "
            "is (n, n).",
            "Index rows only: y[rows]",
        ),
        "scales_y": (
            "y is standardised too. Then the error comes out in units that nobody can read. Prices stay in "
            "units of 100,000 dollars.",
            "Standardise X only.",
        ),
        "rows_lost": ("Some rows are in none of the three sets.", "The test set takes all that is left."),
        "sets_overlap": (
            "The sets overlap: a test row that is also learned from tests nothing.",
            "One permutation of the row numbers, cut into three pieces.",
        ),
        "sets_swapped": ("The sizes are right, but the sets have changed names.", "70 % belong to train."),
        "other_fractions": ("70 % train, 15 % validation, 15 % test are asked for.", ""),
        "shuffled_apart": (
            "X and y were shuffled apart: each price now belongs to another house.",
            "One permutation for both: X[rows], y[rows]",
        ),
        "changes_arguments": (
            "prepare wrote into the X or y of its caller.",
            "X = X - mu makes a new array, X -= mu does not. np.random.shuffle(X) shuffles in place.",
        ),
        "float64_left": ("The arrays are float64. The network wants float32.", ".astype(np.float32)"),
        "not_scaled": (
            "X is as it was: nothing was standardised.",
            "(X - mu) / sigma, with mu and sigma of the training rows",
        ),
        "leak": (
            "A leak: mu and sigma come from all rows, so the test rows had a say in them. In real life "
            "the test "
            "rows do not exist yet. Split first, then take the statistics of the training rows.",
            "mu = X_train.mean(axis=0)",
        ),
        "leak_from_val": (
            "mu and sigma come from train and validation together. Only the training rows count.",
            "mu = X_train.mean(axis=0), after the second split",
        ),
        "own_statistics": (
            "Validation and test are standardised by their own statistics. The same house would get other "
            "numbers in another set. Use mu and sigma of the training rows for all three.",
            "(X_test - mu) / sigma; with scikit-learn: transform, not fit_transform",
        ),
        "global_mean": (
            "One mean and one deviation for the whole table: beside a population of 1,400 the other features "
            "vanish. Each column needs its own.",
            "X_train.mean(axis=0), shape (8,)",
        ),
        "only_centred": ("Division by sigma is missing.", "(X - mu) / sigma"),
        "not_centred": ("The mean is not taken away.", "(X - mu) / sigma"),
        "variance": (
            "Division by the variance. Divide by its root, the standard deviation.",
            "X_train.std(axis=0)",
        ),
        "min_max": (
            "Scaled to [0, 1] by minimum and maximum. One block with 1,243 persons per household then "
            "squeezes "
            "all others into a corner. Standardise.",
            "(X - mu) / sigma",
        ),
        "row_wise": (
            "Each house is standardised over its own features: axis=1. Years and degrees do not mix.",
            "axis=0 runs over the houses.",
        ),
        "zero_division": (
            "A feature that is the same for all training houses has sigma = 0, and 0/0 is nan.",
            "np.where(sigma > 0, sigma, 1)",
        ),
        "seed_not_used": (
            "The same seed gives another split each time: nobody can repeat the experiment.",
            "np.random.default_rng(seed).permutation(len(X)), or random_state=seed",
        ),
        "seed_ignored": ("Every seed gives the same split: a fixed number stands where seed belongs.", ""),
        "not_shuffled": (
            "The rows are cut in their order, and the file goes through California place by place: "
            "trained in the "
            "north, tested in the south. Shuffle first.",
            "np.random.default_rng(seed).permutation(len(X))",
        ),
    },
)
mistake.on_error(
    "prepare",
    "set_of_arrays_mixed",
    error="ValueError",
    match="inconsistent numbers of samples|not enough values to unpack|too many values to unpack",
    message="train_test_split(X, y) gives X_train, X_test, y_train, y_test, in this order.",
    hint="Once for 70/30, once more to halve the 30.",
    slide=HOUSES,
)

# ---------------------------------------------------------------- rmse and r2


def _column(values: Any) -> Any:
    return plain(values).ravel()


def _gaps(y_hat: Any, y: Any) -> Any:
    return plain(y_hat) - plain(y)


@mistake(
    "rmse_r2",
    "(N, 1) met (N,): the difference became an (N, N) table of everything minus everything, without an "
    "error. "
    "Bring both into one shape first.",
    of="rmse_plain",
    hint="y_hat.reshape(-1) - y.reshape(-1)",
    slide=HOUSES,
)
def rmse_broadcast(y_hat: Any, y: Any) -> float:
    return float(np.sqrt(np.mean(_gaps(y_hat, y) ** 2)))


@mistake(
    "rmse_r2",
    "The root is missing: this is the MSE, in squared dollars.",
    of="rmse_plain",
    hint="RMSE = √MSE, in the unit of y.",
    slide=HOUSES,
)
def mse_without_root(y_hat: Any, y: Any) -> float:
    return reference.rmse(y_hat, y) ** 2


@mistake(
    "rmse_r2",
    "The root is missing, and (N, 1) met (N,): an (N, N) table.",
    of="rmse_plain",
    slide=HOUSES,
)
def mse_broadcast(y_hat: Any, y: Any) -> float:
    return float(np.mean(_gaps(y_hat, y) ** 2))


@mistake(
    "rmse_r2",
    "This is the mean absolute error: the root was taken of each square, before the mean.",
    of="rmse_plain",
    hint="First the mean, then the root.",
    slide=HOUSES,
)
def root_before_mean(y_hat: Any, y: Any) -> float:
    return float(np.mean(np.abs(_column(y_hat) - _column(y))))


@mistake("rmse_r2", "The squares are summed. Take their mean.", of="rmse_plain", hint=".mean()", slide=HOUSES)
def root_of_sum(y_hat: Any, y: Any) -> float:
    return float(np.sqrt(np.sum((_column(y_hat) - _column(y)) ** 2)))


@mistake(
    "rmse_r2",
    "The mean of the differences was squared: errors up and down cancel. Square first.",
    of="rmse_plain",
    slide=HOUSES,
)
def square_of_mean(y_hat: Any, y: Any) -> float:
    return float(abs(np.mean(_column(y_hat) - _column(y))))


@mistake(
    "rmse_r2",
    "The root of the sum is divided by N. N belongs under the root.",
    of="rmse_plain",
    slide=HOUSES,
)
def n_outside_root(y_hat: Any, y: Any) -> float:
    gaps = _column(y_hat) - _column(y)
    return float(np.sqrt(np.sum(gaps**2)) / len(gaps))


@mistake("rmse_r2", "N - 1 instead of N: for one prediction that is 0/0.", of="rmse_plain", slide=HOUSES)
def divided_by_n_minus_one(y_hat: Any, y: Any) -> float:
    gaps = _column(y_hat) - _column(y)
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.sum(gaps**2) / np.float64(len(gaps) - 1)))


@mistake("rmse_r2", "Half the squared error: the 1/2 is for derivatives.", of="rmse_plain", slide=HOUSES)
def half(y_hat: Any, y: Any) -> float:
    return reference.rmse(y_hat, y) / 2**0.5


def _r2(top: float, bottom: float) -> float:
    with np.errstate(all="ignore"):
        return float(1 - np.float64(top) / np.float64(bottom))


@mistake(
    "rmse_r2",
    "(N, 1) met (N,): the difference became an (N, N) table of everything minus everything, without an "
    "error. "
    "Bring both into one shape first.",
    of="r2_plain",
    hint="y_hat.reshape(-1), y.reshape(-1)",
    slide=HOUSES,
)
def r2_broadcast(y_hat: Any, y: Any) -> float:
    return _r2(np.sum(_gaps(y_hat, y) ** 2), np.sum((plain(y) - plain(y).mean()) ** 2))


@mistake(
    "rmse_r2",
    "(N, 1) met (N,): the difference became an (N, N) table. Bring both into one shape first.",
    of="r2_plain",
    hint="reshape(-1)",
    slide=HOUSES,
)
def r2_broadcast_means(y_hat: Any, y: Any) -> float:
    return _r2(np.mean(_gaps(y_hat, y) ** 2), np.var(plain(y)))


@mistake(
    "rmse_r2",
    "y and y_hat have changed places: the spread that is to be explained is that of y.",
    of="r2_plain",
    hint="Σ(y - mean of y)² below",
    slide=HOUSES,
)
def r2_swapped(y_hat: Any, y: Any) -> float:
    a, b = _column(y_hat), _column(y)
    return _r2(np.sum((a - b) ** 2), np.sum((a - a.mean()) ** 2))


@mistake(
    "rmse_r2",
    "This is the squared correlation. It is 1 for predictions that are all twice as large as the truth; "
    "R² is not.",
    of="r2_plain",
    hint="1 - Σ(y - y_hat)² / Σ(y - mean of y)²",
    slide=HOUSES,
)
def r2_correlation(y_hat: Any, y: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.corrcoef(_column(y_hat), _column(y))[0, 1] ** 2)


@mistake("rmse_r2", "1 - … is missing: this is the share that is not explained.", of="r2_plain", slide=HOUSES)
def r2_unexplained(y_hat: Any, y: Any) -> float:
    return 1 - reference.r2(y_hat, y)


@mistake("rmse_r2", "The roots are too much: R² compares squares.", of="r2_plain", slide=HOUSES)
def r2_of_roots(y_hat: Any, y: Any) -> float:
    return _r2(reference.rmse(y_hat, y), float(_column(y).std()))


@mistake(
    "rmse_r2",
    "The mean of y is missing below: the comparison is with the mean predictor, not with zero.",
    of="r2_plain",
    hint="Σ(y - mean of y)²",
    slide=HOUSES,
)
def r2_without_mean(y_hat: Any, y: Any) -> float:
    return _r2(np.sum((_column(y_hat) - _column(y)) ** 2), np.sum(_column(y) ** 2))


@mistake(
    "rmse_r2",
    "The spread of the predictions divided by that of y: whether they are right does not matter in it.",
    of="r2_plain",
    slide=HOUSES,
)
def r2_spread(y_hat: Any, y: Any) -> float:
    a, b = _column(y_hat), _column(y)
    return float(np.sum((a - b.mean()) ** 2) / np.sum((b - b.mean()) ** 2))


@mistake(
    "rmse_r2", "Negative values are cut off: a bad model may have R² below 0.", of="r2_plain", slide=HOUSES
)
def r2_not_negative(y_hat: Any, y: Any) -> float:
    return max(0.0, reference.r2(y_hat, y))


@mistake("rmse_r2", "A mean above and a sum below: N is missing in one of them.", of="r2_plain", slide=HOUSES)
def r2_mean_over_sum(y_hat: Any, y: Any) -> float:
    b = _column(y)
    return _r2(np.mean((_column(y_hat) - b) ** 2), np.sum((b - b.mean()) ** 2))


@mistake(
    "rmse_r2",
    "The variance divides by N - 1, the squared error by N.",
    of="r2_plain",
    hint="Sums on both sides, or y.var() with 1/N.",
    slide=HOUSES,
)
def r2_mixed_counts(y_hat: Any, y: Any) -> float:
    b = _column(y)
    return _r2(np.mean((_column(y_hat) - b) ** 2), np.var(b, ddof=1))


mistake.named(
    "rmse_r2",
    "changes_arguments",
    message="The call changed y_hat or y.",
    hint="No -= and no method that ends in _.",
    slide=HOUSES,
)

# ---------------------------------------------------------------- linear_baseline

_named(
    "linear_baseline",
    HOUSES,
    {
        "no_intercept": (
            "The intercept is missing: this plane goes through the origin, and prices do not start at "
            "0. Add a "
            "column of ones.",
            "np.column_stack((X_train, np.ones(len(X_train))))",
        ),
        "flat_weights": (
            "The weights are flat, (D+1,). They are a column, (D+1, 1).",
            "y as (N, 1) gives it.",
        ),
        "row_of_weights": ("The weights lie in a row. They are a column, (D+1, 1).", ".T"),
        "lstsq_result": (
            "lstsq gives several things: solution, residuals, rank, singular values. The first is asked for.",
            "np.linalg.lstsq(A, y, rcond=None)[0], torch.linalg.lstsq(A, y).solution",
        ),
        "predictions": ("These are predictions. The weights are asked for.", "Return w, not A @ w."),
        "changes_arguments": (
            "linear_baseline changed X_train or y_train.",
            "Make a new table with the ones.",
        ),
    },
)
mistake.on_error(
    "linear_baseline",
    "rows_do_not_fit",
    error="LinAlgError|ValueError|RuntimeError",
    match="must be square|must be batches of square",
    message="X has more rows than columns: there is no exact solution, and no inverse. Least squares "
    "has one.",
    hint="np.linalg.lstsq(A, y, rcond=None)[0]",
    slide=HOUSES,
)


def _fit(A: Any, y: Any) -> Any:
    return np.linalg.lstsq(A, y, rcond=None)[0]


@mistake(
    "linear_baseline",
    "The intercept comes first. It is asked for last: the ones are the rightmost column.",
    of="linear_baseline_plain",
    hint="np.column_stack((X_train, np.ones(len(X_train))))",
    slide=HOUSES,
)
def intercept_first(X_train: Any, y_train: Any) -> Any:
    w = reference.linear_baseline(X_train, y_train)
    return np.concatenate((w[-1:], w[:-1]))


@mistake(
    "linear_baseline",
    "The intercept is 0: the plane was fitted without a column of ones and a 0 put below.",
    of="linear_baseline_plain",
    slide=HOUSES,
)
def intercept_zero(X_train: Any, y_train: Any) -> Any:
    return np.concatenate((_fit(plain(X_train), plain(y_train)), np.zeros((1, 1))))


@mistake(
    "linear_baseline",
    "The mean of y is the intercept only if every column of X has mean 0. Let least squares find it.",
    of="linear_baseline_plain",
    hint="A column of ones",
    slide=HOUSES,
)
def mean_as_intercept(X_train: Any, y_train: Any) -> Any:
    X, y = plain(X_train), plain(y_train)
    return np.concatenate((_fit(X, y), y.mean(axis=0, keepdims=True)))


@mistake(
    "linear_baseline",
    "The mean of y is the intercept only if every column of X has mean 0.",
    of="linear_baseline_plain",
    slide=HOUSES,
)
def mean_as_intercept_centred(X_train: Any, y_train: Any) -> Any:
    X, y = plain(X_train), plain(y_train)
    return np.concatenate((_fit(X, y - y.mean()), y.mean(axis=0, keepdims=True)))


@mistake(
    "linear_baseline",
    "Ridge regression: a penalty shrinks the weights. The baseline is plain least squares.",
    of="linear_baseline_plain",
    slide=HOUSES,
)
def ridge(X_train: Any, y_train: Any) -> Any:
    A = np.column_stack((plain(X_train), np.ones(len(plain(X_train)))))
    return np.linalg.solve(A.T @ A + np.eye(A.shape[1]), A.T @ plain(y_train))


@mistake("linear_baseline", "The sign is wrong.", of="linear_baseline_plain", slide=HOUSES)
def negative(X_train: Any, y_train: Any) -> Any:
    return -reference.linear_baseline(X_train, y_train)


@mistake("linear_baseline", "XᵀX was not inverted: these are Xᵀy.", of="linear_baseline_plain", slide=HOUSES)
def not_solved(X_train: Any, y_train: Any) -> Any:
    A = np.column_stack((plain(X_train), np.ones(len(plain(X_train)))))
    return A.T @ plain(y_train)


# ---------------------------------------------------------------- regressor

_named(
    "regressor",
    NETWORK,
    {
        "no_module": (
            "Regressor must be a class that inherits from nn.Module.",
            "class Regressor(nn.Module):",
        ),
        "squeezed": (
            "The output lost its axis: squeeze makes (N,) of (N, 1), and () of one row. Against y (N, "
            "1) that is "
            "broadcast to (N, N).",
            "No squeeze, no flatten: (N, 1) is what nn.Linear(…, 1) gives.",
        ),
        "changes_hidden": (
            "The list of the caller was changed: a second model made from it has other layers.",
            "sizes = [input_dim, *hidden, 1]",
        ),
        "no_parameters": (
            "The model has no parameters: an ordinary list hides its layers.",
            "nn.ModuleList(…) or nn.Sequential(*layers)",
        ),
        "plain_list": (
            "Layers in an ordinary list are not registered: the optimizer never sees them.",
            "nn.ModuleList(layers) or nn.Sequential(*layers)",
        ),
        "extra_layers": ("There are more layers than hidden asks for.", "len(hidden) + 1 linear layers"),
        "first_hidden_only": (
            "Only the first of the hidden sizes is used.",
            "Go through the list: for a, b in zip(sizes, sizes[1:])",
        ),
        "other_sizes": (
            "The layers do not have the sizes that were asked for.",
            "sizes = [input_dim, *hidden, 1], one layer for each pair of neighbours",
        ),
        "relu_at_the_end": (
            "A ReLU stands at the end: the output is never negative, and where it is 0 so is its "
            "gradient: those "
            "outputs learn nothing any more. In regression the last layer stays bare.",
            "No activation behind the last nn.Linear.",
        ),
        "bounded_output": (
            "An activation at the end keeps the output within bounds: prices above 100,000 dollars "
            "cannot come out.",
            "No activation behind the last nn.Linear.",
        ),
        "output_activation": (
            "An activation stands behind the last layer. In regression any number must be able to come out.",
            "No activation behind the last nn.Linear.",
        ),
        "not_linear": (
            "With hidden = [] the model must be one linear layer: no activation, before or behind it, and no "
            "statistics of the batch.",
            "nn.Linear(input_dim, 1) and nothing else",
        ),
        "no_activation": (
            "A hidden layer has no activation: linear layers on top of each other are one linear layer "
            "(exercise 3).",
            "nn.ReLU() after every layer but the last",
        ),
        "layers_in_forward": (
            "Two calls, two answers: layers are made in forward, anew and at random each time.",
            "Make them in __init__.",
        ),
        "graph_cut": (
            "The gradient does not reach the parameters.",
            "No .detach(), no .data, no torch.tensor(…).",
        ),
        "unused_layers": (
            "There are layers that the output does not depend on.",
            "Call all of them in forward.",
        ),
    },
)
mistake.on_error(
    "regressor",
    "empty_hidden",
    error="IndexError",
    match="list index out of range",
    message="hidden may be the empty list: then there is one linear layer, from the inputs to the output.",
    hint="sizes = [input_dim, *hidden, 1] works for it too.",
    slide=NETWORK,
)
mistake.on_error(
    "regressor",
    "no_super",
    error="AttributeError",
    match="before Module.__init__|super\\(\\).__init__",
    message="super().__init__() is missing: nn.Module must be set up before it can hold layers.",
    hint="The first line of __init__.",
    slide=NETWORK,
)
mistake.on_error(
    "regressor",
    "shapes_do_not_fit",
    error="RuntimeError",
    match="mat1 and mat2 shapes cannot be multiplied",
    message="Two layers do not fit: each takes as many inputs as the one before has outputs.",
    hint="for a, b in zip(sizes, sizes[1:]): nn.Linear(a, b)",
    slide=NETWORK,
)
mistake.on_error(
    "regressor",
    "no_forward",
    error="NotImplementedError",
    match="missing the required .forward. function",
    message="The class has no method forward, or its name or indent is wrong.",
    hint="def forward(self, x):, indented like __init__",
    slide=NETWORK,
)

# ---------------------------------------------------------------- run

_named(
    "run",
    HOUSES,
    {
        "no_dict": (
            "run returns a dict with model, test_rmse and baseline_rmse.",
            'return {"model": model, …}',
        ),
        "no_model": ("result['model'] must be the trained network, an nn.Module.", ""),
        "changes_data": ("run wrote into the X or y of its caller.", "X = X - mu makes a new array."),
        "ignores_rows": (
            "With X and y given, these rows are to be used, not those of load_housing.",
            "if X is None: X, y = load_housing()",
        ),
        "reports_train": (
            "test_rmse is the error on the training rows. How well a network knows by heart what it has "
            "seen says "
            "nothing about new houses.",
            "rmse(model(X_test), y_test)",
        ),
        "reports_val": (
            "test_rmse is the error on rows that the network was shown during training, as validation "
            "rows are. "
            "They had a say in when to stop: that is too good to be true.",
            "Report rows that nothing has looked at before: rmse(model(X_test), y_test), once, at the end.",
        ),
        "reports_all": ("test_rmse is the error on all rows, training rows included.", "Only the test rows."),
        "batch_rmse_averaged": (
            "test_rmse is the mean of the RMSEs of batches. A root of means is no mean of roots.",
            "All predictions first, then one rmse(y_hat, y_test).",
        ),
        "mse_reported": ("The root is missing: an RMSE is asked for, in the unit of y.", "math.sqrt(mse)"),
        "half_mse_reported": ("Half the MSE. An RMSE is asked for.", ""),
        "mae_reported": ("This is the mean absolute error. An RMSE is asked for.", ""),
        "r2_reported": ("This is R². An RMSE is asked for.", ""),
        "scaled_units": (
            "The error is in units of standardised prices. Scale predictions back before you compare: "
            "the RMSE is "
            "in 100,000 dollars.",
            "Leave y alone, or y_hat * sigma_y + mu_y.",
        ),
        "broadcast_error": (
            "The error was computed from (n, 1) and (n,): an (n, n) table of everything minus everything.",
            "Both in one shape.",
        ),
        "other_number": (
            "The returned network does not have the error that is reported.",
            "Is it the same network?",
        ),
        "trains_on_test": (
            "The test rows were learned from. Then the test tests nothing.",
            "Train on X_train, y_train only.",
        ),
        "test_before_end": (
            "The test rows were looked at before training had ended. Stopping where the test error is "
            "smallest is "
            "learning from it: use the validation rows for that, and the test rows once, at the end.",
            "Early stopping on X_val, y_val.",
        ),
        "leak": (
            "A leak: the statistics for scaling come from all rows, test rows included. Split first.",
            "StandardScaler().fit(X_train)",
        ),
        "own_statistics": (
            "The test rows are scaled by their own statistics. Use those of the training rows.",
            "transform, not fit_transform",
        ),
        "baseline_on_train": (
            "The baseline's error was measured on the training rows. To compare, measure both on the "
            "test rows.",
            "rmse(baseline(X_test), y_test)",
        ),
        "baseline_on_all": (
            "The baseline was fitted and measured on all rows.",
            "Fit on train, measure on test.",
        ),
        "baseline_fit_on_test": (
            "The baseline was fitted on the test rows themselves.",
            "Fit on train, measure on test.",
        ),
        "no_intercept": ("The baseline lacks its intercept.", "A column of ones, for the test rows too."),
        "mean_predictor": (
            "This is the error of predicting the mean for everything. The baseline is the linear model.",
            "linear_baseline(X_train, y_train)",
        ),
        "same_number": ("baseline_rmse is the error of the network once more.", ""),
        "seed_not_used": (
            "The same seed divides the rows in another way each time: nobody can repeat the run.",
            "Hand seed on to the split; and torch.manual_seed(seed).",
        ),
        "seed_ignored": ("Every seed gives the same run: a fixed number stands where seed belongs.", ""),
        "epochs_ignored": ("The argument epochs is not used.", "for epoch in range(epochs):"),
        "one_epoch_more": ("The loop goes round once too often.", "for epoch in range(epochs):"),
        "one_epoch_less": ("The loop goes round once too few.", "for epoch in range(epochs):"),
        "needs_rows": (
            "run(seed) is called without rows, too: X and y are None, and run has to fetch the houses.",
            "if X is None: X, y = load_housing()",
        ),
        "predicts_the_mean": (
            "Your network predicts nearly the same price for every house. Look at the shapes of y_hat "
            "and y in the "
            "loss: (N, 1) and (N,) are broadcast to (N, N), and the best answer to that is the mean.",
            "print(y_hat.shape, y.shape) before the loss",
        ),
        "only_linear": (
            "Your network is as good as the linear model, no better. Are there activations between its "
            "layers?",
            "nn.ReLU() after every hidden layer",
        ),
        "unscaled": (
            "The network gets raw features: beside a population of 1,400 the others vanish. Standardise "
            "them.",
            "prepare, or StandardScaler",
        ),
    },
)
mistake.on_error(
    "run",
    "float64_met_float32",
    error="RuntimeError",
    match="must have the same dtype|expected scalar type|Found dtype Double",
    message="float64 met float32: what goes into the network must be float32.",
    hint=".astype(np.float32) or .float()",
    slide=HOUSES,
)
mistake.on_error(
    "run",
    "arrays_into_network",
    error="TypeError",
    match="must be Tensor, not (numpy.ndarray|ndarray)",
    message="A numpy array went into the network. It wants tensors.",
    hint="torch.from_numpy(X_train)",
    slide=HOUSES,
)
mistake.on_error(
    "run",
    "graph_to_numpy",
    error="RuntimeError",
    match="Can't call numpy\\(\\) on Tensor that requires grad",
    message="The predictions still carry their graph.",
    hint="with torch.no_grad(): y_hat = model(X_test)",
    slide=HOUSES,
)

# ---------------------------------------------------------------- generative

_named(
    "generative",
    BAYES,
    {
        "changes_arguments": ("The call changed its arguments.", "Work on copies."),
        "prior_counts": ("The priors are counts. As probabilities they sum to 1.", "n_k / N"),
        "uniform_prior": (
            "Every class gets the same prior. It is the share of the class among the rows.",
            "(y == k).mean()",
        ),
        "underflow": (
            "Far from both means every density rounds to 0, and 0/0 is nan. Work with logarithms and "
            "subtract the "
            "largest one in each row before exp, as in softmax.",
            "torch.softmax(log_joint, dim=1)",
        ),
        "seeds_inside": (
            "A seed is set inside: each call draws the same points.",
            "No manual_seed in sample.",
        ),
        "mean_missing": ("The mean is not added: the points lie around 0.", "mean + …"),
        "no_correlation": (
            "The points are spread along the axes only: the covariance between the two is lost.",
            "mean + z @ L.T with L the Cholesky factor of cov",
        ),
        "root_transposed": ("z @ L instead of z @ L.T: the covariance becomes LᵀL.", "mean + z @ L.T"),
        "cov_as_root": (
            "The covariance is used where its root belongs. L with L @ L.T = cov is the root.",
            "torch.linalg.cholesky(cov)",
        ),
        "unit_covariance": ("The covariance is not used.", "mean + z @ L.T"),
        "one_number_for_both": ("Both axes get the same deviation.", "mean + z @ L.T"),
        "variance_as_deviation": (
            "The variance is used as standard deviation.",
            "Its root, or the Cholesky factor.",
        ),
    },
)
mistake.on_error(
    "generative",
    "labels_as_index",
    error="IndexError",
    match="tensors used as indices must be|arrays used as indices must be",
    message="y holds class numbers. X[y == k] picks the rows of class k.",
    slide=BAYES,
)


def _other_cov(X: Any, y: Any, change: Any) -> Any:
    prior, mean, cov = reference.fit_gaussians(X, y)
    return prior, mean, np.stack([change(table) for table in cov])


@mistake(
    "generative",
    "Only the variances are there: the two features of a class also vary together.",
    of="fit_gaussians_plain",
    hint="(Z.T @ Z) / n with Z = X_k - mean_k, or np.cov(X_k.T)",
    slide=BAYES,
)
def diagonal_cov(X: Any, y: Any) -> Any:
    return _other_cov(X, y, lambda table: np.diag(np.diag(table)))


@mistake(
    "generative",
    "Only the variances are there: the two features of a class also vary together.",
    of="fit_gaussians_plain",
    hint="(Z.T @ Z) / n with Z = X_k - mean_k, or np.cov(X_k.T)",
    slide=BAYES,
)
def diagonal_cov_unbiased(X: Any, y: Any) -> Any:
    prior, mean, cov = diagonal_cov(X, y)
    counts = np.bincount(plain(y).astype(np.int64))[:, None, None]
    return prior, mean, cov * counts / (counts - 1)


@mistake(
    "generative",
    "The mean is not taken away before the product: these are second moments.",
    of="fit_gaussians_plain",
    slide=BAYES,
)
def second_moments(X: Any, y: Any) -> Any:
    prior, mean, cov = reference.fit_gaussians(X, y)
    return prior, mean, cov + mean[:, :, None] * mean[:, None, :]


@mistake(
    "generative",
    "All classes got the covariance of all rows. Each class has its own.",
    of="fit_gaussians_plain",
    slide=BAYES,
)
def cov_of_everything(X: Any, y: Any) -> Any:
    return _other_cov(X, y, lambda table: np.cov(plain(X).T, ddof=0))


@mistake(
    "generative",
    "All classes got the covariance of all rows. Each class has its own.",
    of="fit_gaussians_plain",
    slide=BAYES,
)
def cov_of_everything_unbiased(X: Any, y: Any) -> Any:
    return _other_cov(X, y, lambda table: np.cov(plain(X).T))


@mistake(
    "generative",
    "The products are summed, not averaged.",
    of="fit_gaussians_plain",
    hint="/ n_k",
    slide=BAYES,
)
def scatter(X: Any, y: Any) -> Any:
    prior, mean, cov = reference.fit_gaussians(X, y)
    return prior, mean, cov * (prior * len(plain(X)))[:, None, None]


def _weigh(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    logs = reference.log_joint(X, prior, mean, cov)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _log_det(cov: Any) -> Any:
    return np.log(np.linalg.det(plain(cov)))


@mistake(
    "generative",
    "The prior is forgotten: p(x|y) alone decides, and a rare class counts as much as a frequent one.",
    of="posterior_plain",
    hint="p(x, y) = p(x|y) P(y)",
    slide=BAYES,
)
def prior_forgotten(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return _weigh(X, np.ones(len(plain(prior))), mean, cov)


@mistake(
    "generative",
    "The joint p(x, y) is not divided by p(x): the rows do not sum to 1.",
    of="posterior_plain",
    hint="p(x) is the sum of p(x, y) over the classes.",
    slide=BAYES,
)
def joint_returned(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return np.exp(reference.log_joint(X, prior, mean, cov))


@mistake(
    "generative", "These are the logarithms of the joint.", of="posterior_plain", hint="exp", slide=BAYES
)
def log_joint_returned(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return reference.log_joint(X, prior, mean, cov)


@mistake(
    "generative", "These are the logarithms of the posterior.", of="posterior_plain", hint="exp", slide=BAYES
)
def log_posterior(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    logs = reference.log_joint(X, prior, mean, cov)
    top = logs.max(axis=1, keepdims=True)
    return logs - top - np.log(np.exp(logs - top).sum(axis=1, keepdims=True))


@mistake(
    "generative",
    "p(x|y) is returned: neither prior nor evidence is used.",
    of="posterior_plain",
    slide=BAYES,
)
def likelihood_returned(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return np.exp(reference.log_joint(X, np.ones(len(plain(prior))), mean, cov))


@mistake(
    "generative",
    "The determinant is missing in the density: a wide Gaussian is flatter than a narrow one.",
    of="posterior_plain",
    hint="1 / √((2π)² det Σ)",
    slide=BAYES,
)
def determinant_missing(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    logs = reference.log_joint(X, prior, mean, cov) + 0.5 * _log_det(cov)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@mistake(
    "generative",
    "det Σ stands without its root in the density.",
    of="posterior_plain",
    hint="1 / √((2π)² det Σ)",
    slide=BAYES,
)
def determinant_without_root(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    logs = reference.log_joint(X, prior, mean, cov) - 0.5 * _log_det(cov)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@mistake(
    "generative",
    "1/2 is missing in the exponent of the density.",
    of="posterior_plain",
    hint="exp(-½ (x-μ)ᵀ Σ⁻¹ (x-μ))",
    slide=BAYES,
)
def half_missing(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    rest = np.log(plain(prior)) - 0.5 * _log_det(cov) - np.log(2 * np.pi)
    logs = 2 * (reference.log_joint(X, prior, mean, cov) - rest) + rest
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@mistake(
    "generative",
    "Σ stands where its inverse belongs.",
    of="posterior_plain",
    hint="exp(-½ (x-μ)ᵀ Σ⁻¹ (x-μ))",
    slide=BAYES,
)
def cov_not_inverted(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    X, mean, cov = plain(X), plain(mean), plain(cov)
    gaps = X[:, None] - mean[None]
    distance = np.einsum("nki,kij,nkj->nk", gaps, cov, gaps)
    logs = np.log(plain(prior)) - 0.5 * distance - 0.5 * _log_det(cov)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@mistake(
    "generative",
    "The columns sum to 1: divided along the points. Each point has its own p(x).",
    of="posterior_plain",
    hint="sum over axis 1, the classes",
    slide=BAYES,
)
def columns_normalised(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    joint = np.exp(reference.log_joint(X, prior, mean, cov))
    return joint / joint.sum(axis=0, keepdims=True)


@mistake(
    "generative", "The result is (K, N): one row per point is asked for.", of="posterior_plain", slide=BAYES
)
def posterior_transposed(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return reference.posterior(X, prior, mean, cov).T


@mistake(
    "generative",
    "These are class numbers. The probabilities are asked for.",
    of="posterior_plain",
    slide=BAYES,
)
def decisions(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return reference.posterior(X, prior, mean, cov).argmax(axis=1)


@mistake(
    "generative",
    "These are decisions, 1 for the likeliest class and 0 for the others. The probabilities are asked for.",
    of="posterior_plain",
    slide=BAYES,
)
def decisions_one_hot(X: Any, prior: Any, mean: Any, cov: Any) -> Any:
    return np.eye(len(prior))[decisions(X, prior, mean, cov)]
