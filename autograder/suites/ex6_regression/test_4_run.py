"""run: an honest error on rows that were kept out, beside that of a linear model, and better than it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import pytest

from autograder import points
from autograder.checks import fail

from . import reference
from .run_log import SLIDE, Run, near, read, squared_root

N = 600


def town(draw: Any, n: int = N, seed: int | None = None) -> tuple[Any, Any]:
    """Made-up houses: X (n, 8), y (n, 1) float32. Columns of very different scale, y partly linear."""
    generator = np.random.default_rng(draw.seed if seed is None else seed)
    Z = generator.normal(size=(n, 8))
    slopes = np.array([0.6, 0.2, -0.3, 0.25, -0.1, 0.15, -0.4, -0.3])
    y = 2.5 + Z @ slopes + 0.4 * np.sin(2 * Z[:, 0]) * Z[:, 1] + 0.3 * generator.normal(size=n)
    X = Z * np.array([2.0, 12.0, 2.5, 0.5, 1100.0, 3.0, 0.02, 20.0])
    X = X + np.array([4.0, 28.0, 5.0, 1.0, 1400.0, 3.0, 0.35, -120.0])
    return X.astype(np.float32), y.astype(np.float32)[:, None]


def watched(student: Any, X: Any, y: Any, seed: int, epochs: int, state: int = 0, most: int = 60_000) -> Run:
    """One run of the student's, its result read with care. X and y must be left as they were."""
    called = f"run(seed={seed}, X {X.shape}, y {y.shape}, epochs={epochs})"
    seen = student.probe("spied_run", student.run, seed, X, y, epochs, most, state, called=called)
    run = read(student, seen, X.astype(np.float64), y.astype(np.float64), called)
    if seen.get("same") is not True:
        run.fail("X or y is not what it was before.", "changes_data")
    return run


@points("run", 0.75)
@pytest.mark.limit(wall_s=40)
def test_run_result(student, draw):
    X, y = town(draw)
    run = watched(student, X, y, draw.seed % 1000, 3)
    for rows in (5, 1):
        standard = ((X - X.mean(axis=0)) / X.std(axis=0))[:rows]
        (output,) = run.predict(standard)
        if not np.isfinite(output).all():
            run.fail("The network answers with nan or inf.")
    if run.test_rmse < 0 or run.baseline_rmse < 0:
        run.fail("An error is negative.", got=f"{run.test_rmse:.3g}, {run.baseline_rmse:.3g}")
    if run.inputs is not None and run.row is None and len(np.unique(run.inputs, axis=0)) > 2 * N:
        run.fail(
            "The network was trained on other rows than those that were given.",
            "ignores_rows",
            expected=f"these {N} rows, divided by run itself",
            got=f"{len(np.unique(run.inputs, axis=0))} different rows",
        )
    bare = f"run({draw.seed % 1000}, epochs=1)"
    alone = student.probe("without_rows", student.run, draw.seed % 1000, called=bare)
    if alone is not None:
        baseline, spread = (
            alone.get(key) if type(alone) is dict else None for key in ("baseline_rmse", "spread")
        )
        try:
            right = 0.2 * float(spread) < float(baseline) < 3 * float(spread)
        except (TypeError, ValueError, RuntimeError):  # no number, or a tensor of several
            right = False
        if not right:
            fail(
                "Without rows run gives no result for the California houses.",
                "needs_rows",
                called=bare,
                expected="X, y = load_housing() where no rows are given",
                slide=SLIDE,
            )


@points("run", 1.25)
@pytest.mark.limit(wall_s=40)
def test_run_reports_the_test_error(student, draw):
    for number, epochs in enumerate((2, 6)):
        X, y = town(draw, seed=draw.seed + number)
        run = watched(student, X, y, draw.seed % 1000 + number, epochs)
        report_is_honest(run, draw)


def closest(got: float, known: dict[str, list[float]]) -> str | None:
    """The mistake whose number is nearest, None when none is near."""
    found = [
        (abs(got - v) / (abs(v) + 1e-9), key) for key, values in known.items() for v in values if near(got, v)
    ]
    return min(found)[1] if found else None


def report_is_honest(run: Run, draw: Any) -> None:
    sets, got = run.sets, run.test_rmse
    words = {
        "expected": "the RMSE, in units of y, of the returned network on the test rows",
        "got": f"test_rmse = {got:.4g}",
    }
    if sets is not None:
        y, outputs = run.y, sets.outputs
        if sets.test is not None:
            later = np.setdiff1d(sets.kept, sets.early)
            if np.isin(sets.test, sets.early).all() and len(later) >= 0.05 * len(y):
                run.fail(
                    "The reported error is that of rows which were looked at in training.",
                    "reports_val",
                    **words,
                )
            return
        known: dict[str, list[float]] = {
            "reports_train": sets.errors(sets.trained),
            "reports_all": sets.errors(sets.everything),
            "mse_reported": [],
            "half_mse_reported": [],
            "scaled_units": [],
            "mae_reported": [],
            "broadcast_error": [],
            "r2_reported": [],
            "trains_on_test": [error for rows in sets.learned_from() for error in sets.errors(rows)],
            "batch_rmse_averaged": [],
        }
        for start in range(len(sets.late) - 1):
            each = np.array([sets.errors(rows) for rows in sets.late[start:]])
            known["batch_rmse_averaged"] += list(each.mean(axis=0))
        for rows in list(sets.held_out())[:40]:
            errors = sets.errors(rows)
            spread = y[sets.trained].std()
            known["mse_reported"] += [error**2 for error in errors] + [(errors[1] / spread) ** 2]
            known["half_mse_reported"] += [error**2 / 2 for error in errors]
            known["scaled_units"] += [error / spread for error in errors] + [
                error / y.std() for error in errors
            ]
            known["mae_reported"].append(float(np.abs(outputs[rows] - y[rows]).mean()))
            known["broadcast_error"].append(
                float(np.sqrt(np.mean((outputs[rows][:, None] - y[rows][None]) ** 2)))
            )
            known["r2_reported"].append(reference.r2(outputs[rows], y[rows]))
        named = closest(got, known)
        if named == "mse_reported" and abs(got - 1) < 0.02:
            named = None
        if named:
            run.fail("test_rmse is not the error on the test rows.", named, **words)
        # Another way of measuring, on rows that the spy cannot tell: it must be near what they give.
        errors = sets.errors(sets.kept) if len(sets.kept) else sets.errors(sets.everything)
        if any(near(got, error, 0.2) for error in errors):
            return
    X, y = town(draw, 4000, seed=draw.seed + 99)
    error, _ = run.outside(X.astype(np.float64), y[:, 0].astype(np.float64))
    if not near(got, error, 0.3):
        mse = near(got, error**2, 0.3) and error > 1.5
        run.fail(
            "test_rmse is not what the returned network gives on new rows.",
            "mse_reported" if mse else "other_number",
            **words,
        )


@points("run", 0.5)
@pytest.mark.limit(wall_s=40)
def test_run_keeps_the_test_rows_out(student, draw):
    X, y = town(draw)
    run = watched(student, X, y, draw.seed % 1000, 4)
    sets = run.sets
    if sets is None:
        report_is_honest(run, draw)
        return
    kept = len(sets.kept) / N
    words = {"expected": "about 15 % of the rows for the test, seen once, after training"}
    if kept < 0.05:
        run.fail(
            "Nearly all rows were learned from.",
            "trains_on_test",
            got=f"{len(sets.trained)} of {N} rows were learned from",
            **words,
        )
    if sets.test is None and any(
        near(run.test_rmse, error) for rows in sets.learned_from() for error in sets.errors(rows)
    ):
        run.fail("The rows whose error is reported were learned from.", "trains_on_test", **words)
    if len(np.setdiff1d(sets.kept, sets.early)) < 0.05 * N:
        run.fail(
            "The network was shown all rows before its training had ended.",
            "test_before_end",
            got=f"of {len(sets.kept)} rows that it did not learn from, "
            f"{len(np.intersect1d(sets.kept, sets.early))} "
            "were looked at during training",
            **words,
        )
    everything = np.arange(N)
    if sets.scaled_by(everything, everything) and not sets.scaled_by(sets.trained, everything):
        run.fail(
            "The features are standardised by mean and deviation of all rows.",
            "leak",
            expected="mean and deviation of the training rows",
        )
    if sets.test is not None and sets.scaled_by(sets.test, sets.test):
        run.fail(
            "The test rows are standardised by their own mean and deviation.",
            "own_statistics",
            expected="mean and deviation of the training rows",
        )


@points("run", 1)
@pytest.mark.limit(wall_s=40)
def test_run_baseline(student, draw):
    runs = []
    for number in range(2):
        X, y = town(draw, seed=draw.seed + 7 * number)
        runs.append(watched(student, X, y, draw.seed % 1000 + number, 2))
    suspected = {baseline_is_honest(run) for run in runs}
    # Where nobody knows the test rows, one number alone may fit a mistake by chance.
    if len(suspected) == 1 and None not in suspected:
        runs[0].fail(
            "baseline_rmse is another number.",
            suspected.pop(),
            expected=HONEST_BASELINE,
            got=f"baseline_rmse = {runs[0].baseline_rmse:.4g}",
        )


def line(X: Any, y: Any, fit: Any, test: Any, intercept: bool = True) -> float:
    """RMSE on the rows ``test`` of least squares on the rows ``fit``."""
    mu, sigma = X[fit].mean(axis=0), X[fit].std(axis=0)
    Z = (X - mu) / np.where(sigma > 0, sigma, 1)
    Z = np.column_stack((Z, np.ones(len(X)))) if intercept else Z
    weights = np.linalg.lstsq(Z[fit], y[fit], rcond=None)[0]
    return squared_root(Z[test] @ weights, y[test])


HONEST_BASELINE = "the RMSE on the test rows of least squares (with intercept) on the training rows"


def baseline_is_honest(run: Run) -> str | None:
    """Fails where baseline_rmse is wrong for certain; else the mistake that it may be, or None."""
    X, y, sets, got = run.X, run.y, run.sets, run.baseline_rmse
    words = {"expected": HONEST_BASELINE, "got": f"baseline_rmse = {got:.4g}"}
    everything = np.arange(len(X))
    if sets is not None:
        train = sets.trained
        tests = [sets.test] if sets.test is not None else list(sets.held_out())[:6]
        rest = [np.setdiff1d(everything, rows) for rows in tests]
        right = [line(X, y, fit, t) for t, r in zip(tests, rest, strict=True) for fit in (train, r)]
        # The largest error that either fit makes: rows may be clipped, or divided a little differently.
        if any(near(got, value, 4e-3) for value in right):
            return None
        spread = y[train].std()
        known = {
            "baseline_on_train": [line(X, y, train, train)],
            "baseline_on_all": [line(X, y, everything, everything)],
            "baseline_fit_on_test": [line(X, y, t, t) for t in tests if len(t) > 9],
            "no_intercept": [line(X, y, fit, t, False) for t in tests for fit in (train, everything)],
            "mean_predictor": [
                squared_root(y[fit].mean(), y[t]) for t in tests for fit in (train, t, everything)
            ],
            "mse_reported": [value**2 for value in right],
            "scaled_units": [value / s for value in right for s in (spread, y.std())],
            "same_number": [run.test_rmse],
        }
        named = closest(got, known)
        if named and sets.test is not None:
            run.fail("baseline_rmse is another number.", named, **words)
        # Where the test rows are not known for certain, the error on others may differ by chance.
        slack = 0.06 if sets.test is not None else 0.25
        if any(near(got, value, slack) for value in right):
            return named
        run.fail("baseline_rmse is not the error of the linear model.", named, **words)
    # Without knowing the rows: the error must be about that of a line, which all rows together give.
    about = line(X, y, everything, everything)
    if near(got, about, 0.25):
        return None
    mean = squared_root(y.mean(), y)
    far = line(X, y, everything, everything, False)
    named = "mean_predictor" if near(got, mean, 0.15) else "no_intercept" if near(got, far, 0.2) else None
    run.fail("baseline_rmse is not the error of the linear model.", named, **words)


@points("run", 0.5)
@pytest.mark.limit(wall_s=40)
def test_run_uses_seed_and_epochs(student, draw):
    X, y = town(draw, 200)
    seed = draw.seed % 1000
    first = watched(student, X, y, seed, 1, state=1)
    again = watched(student, X, y, seed, 1, state=2)
    if not near(first.baseline_rmse, again.baseline_rmse, 1e-4):
        first.fail(
            "Two runs with the same seed divide the rows in two ways.",
            "seed_not_used",
            expected="the same division, and so the same baseline_rmse",
            got=f"baseline_rmse = {first.baseline_rmse:.5g} and {again.baseline_rmse:.5g}",
        )
    other = watched(student, X, y, seed + 1, 1, state=1)
    if near(first.baseline_rmse, other.baseline_rmse, 1e-6) and near(first.test_rmse, other.test_rmse, 1e-6):
        first.fail(
            f"seed={seed} and seed={seed + 1} give the same result.",
            "seed_ignored",
            expected="another seed, another division and other initial weights",
        )
    longer = watched(student, X, y, seed, 4, state=1)
    if first.sets is not None and longer.sets is not None:
        once, more = int(first.sets.times.sum()), int(longer.sets.times.sum())
        if once == more:
            longer.fail(
                "The number of epochs makes no difference.",
                "epochs_ignored",
                expected="4 epochs: every training row is learned from four times (or fewer, if "
                "training stops early)",
                got=f"with epochs=1 and epochs=4 {once} rows were learned from, counted with repeats",
            )
    if longer.sets is not None:
        # Only what is off by one in both: an optimizer may look at a row several times in an epoch.
        times = [
            0.0 if run.sets is None else run.sets.times[run.sets.trained].mean() for run in (first, longer)
        ]
        for off, named in ((1, "one_epoch_more"), (-1, "one_epoch_less")):
            if np.allclose(times, (1 + off, 4 + off), atol=0.2):
                longer.fail(
                    f"The training takes one epoch {'more' if off > 0 else 'less'} than epochs says.",
                    named,
                    expected="with epochs=4 every training row is learned from four times",
                    got=f"{times[1]:.3g} times on average",
                )


# ---------------------------------------------------------------- real houses

EPOCHS = 20


def ordinary(data: Any) -> tuple[Any, Any, Any, Any]:
    """Real rows without the one in a thousand at either end of each column: X, y to run on, X, y kept back.

    Blocks with 1,243 persons per household make mean and deviation depend on the division. Without them
    every division standardises alike, and the judge can ask a model about rows that it never saw.
    """
    california = data.california
    X = california.as_fetched(california.all_X[california.served_rows])
    y = california.as_fetched(california.all_y[california.served_rows])
    low, high = np.quantile(X, [0.001, 0.999], axis=0)

    def usual(rows: Any) -> Any:
        return np.all((rows >= low) & (rows <= high), axis=1)

    ours, kept = usual(X), usual(california.X)
    given = X[ours].astype(np.float32), y[ours].astype(np.float32)[:, None]
    return *given, california.X[kept], california.y[kept]


@points("run", 1)
@pytest.mark.limit(wall_s=150)
def test_run_beats_the_baseline(student, draw, data, calibrated):
    X, y, X_new, y_new = ordinary(data)
    linear = reference.rmse(
        np.column_stack((X_new, np.ones(len(X_new)))) @ reference.linear_baseline(X, y), y_new
    )
    errors: dict[int, float] = {}
    flat: list[bool] = []
    raw: list[bool] = []

    def error(seed: int) -> float:
        if seed not in errors:
            run = watched(student, X, y, seed % 10_000, EPOCHS, most=25_000)
            errors[seed], guess = run.outside(X_new, y_new)
            flat.append(bool(guess.std() < 0.15 * y_new.std()))
            deviations = np.ones(1) if run.inputs is None else run.inputs.std(axis=0)
            raw.append(bool(deviations.max() > 100 * deviations.min()))
        return errors[seed]

    def named(_: Sequence[float]) -> str | None:
        middle = median(errors.values())
        if median(raw):
            return "unscaled"
        if median(flat) and 0.85 < middle / y_new.std() < 1.2:
            return "predicts_the_mean"
        return "only_linear" if 0.97 < middle / linear < 1.06 else None

    words = {
        "called": f"run(seed, X, y, epochs={EPOCHS}) on {len(X):,} real houses, then the network on "
        f"{len(X_new):,} "
        "others that no notebook ever saw",
        "slide": SLIDE,
        "mistake": named,
    }
    calibrated("rmse").check(error, name="RMSE on houses that your notebook never saw", **words)
    calibrated("gain").check(
        lambda seed: error(seed) / linear,
        name="RMSE on new houses, as a share of the linear model's",
        hint=f"On these houses the linear model has an RMSE of {linear:.3f}.",
        **words,
    )
