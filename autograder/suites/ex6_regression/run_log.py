"""What ``probes.spied_run`` saw of a run, read with care: which rows were learned from, which kept.

A student's ``run`` divides and scales the rows by itself, in a way that the judge does not know. The spy
notes what goes into the model. Each noted row is found again among the rows that were given, by its rank in
each column: any scaling of single columns keeps ranks, so standardised, min-max scaled and raw rows are all
known again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from autograder.checks import assert_finite, assert_shape, assert_type, fail

from . import reference

__all__ = ["SLIDE", "Run", "Sets", "near", "read", "squared_root"]

SLIDE = "01.10 Regression"
_NUMBER = (float, int, torch.Tensor)


@dataclass(frozen=True)
class Run:
    """One run on rows X (N, 8), y (N,). ``inputs`` (M, 8) is what models were given, or None."""

    student: Any
    called: str
    X: Any
    y: Any
    model: Any
    test_rmse: float
    baseline_rmse: float
    inputs: Any
    call: Any
    learned: Any
    own: Any

    def fail(self, summary: str, mistake: str | None = None, **parts: str) -> None:
        """Fail with what was called."""
        fail(summary, mistake, called=self.called, slide=SLIDE, **parts)

    def predict(self, *inputs: Any) -> list[Any]:
        """The model's outputs, one (n,) array for each of ``inputs`` (n, 8)."""
        given = [torch.as_tensor(np.asarray(x, dtype=np.float32)) for x in inputs]
        found = self.student.probe(
            "predicted", self.model, given, called="model(x), the model that run returned"
        )
        outputs = []
        for x, output in zip(given, found if type(found) is list else [None] * len(given), strict=False):
            name = f"model(x) of {len(x)} rows"
            assert_type(output, torch.Tensor, name=name, slide=SLIDE)
            if tuple(output.shape) not in ((len(x), 1), (len(x),)):
                assert_shape(output, (len(x), 1), name=name, slide=SLIDE)
            outputs.append(reference.plain(output).ravel())
        return outputs

    @cached_property
    def row(self) -> Any:
        """(M,) for each input the row of X that it is; None when they cannot be told."""
        return None if self.inputs is None else _rows(self.inputs, self.X)

    @cached_property
    def sets(self) -> Sets | None:
        """Which rows went where, None where the spy saw nothing that can be read."""
        if self.row is None or not self.learned.any():
            return None
        return Sets(self)

    def scaled(self, X: Any) -> list[Any]:
        """``X`` (n, 8) in each of the scales that this model may want: its own, standardised, raw."""
        mu, sigma = self.X.mean(axis=0), self.X.std(axis=0)
        found = [(X - mu) / np.where(sigma > 0, sigma, 1)]
        for part in (self.own, self.learned):
            if self.inputs is None or not (part & self.learned).any():
                continue
            seen = self.inputs[part & self.learned]
            slope = seen.std(axis=0) / np.where(sigma > 0, sigma, 1)
            found.append(slope * (X - mu) + seen.mean(axis=0))
            # Any other function of single columns, a logarithm or a clipping: quantile by quantile.
            at = np.linspace(0, 1, 501)
            columns = [
                np.interp(X[:, j], np.quantile(self.X[:, j], at), np.quantile(seen[:, j], at))
                for j in range(X.shape[1])
            ]
            found.append(np.stack(columns, axis=1))
            break
        return [*found, X]

    def outside(self, X: Any, y: Any) -> tuple[float, Any]:
        """RMSE on other rows X (n, 8), y (n,), in the scale that suits the model best; the guesses."""
        guesses = [guess for output in self.predict(*self.scaled(X)) for guess in self.units(output, self.y)]
        errors = [squared_root(guess, y) for guess in guesses]
        best = int(np.argmin([error if np.isfinite(error) else np.inf for error in errors]))
        return (errors[best] if np.isfinite(errors[best]) else float("inf")), guesses[best]

    @staticmethod
    def units(output: Any, y: Any) -> list[Any]:
        """The outputs as prices: as they are, and, for a model of standardised prices, scaled back."""
        return [output, output * y.std() + y.mean()]


class Sets:
    """Rows by what happened to them. ``trained``: learned from; ``kept``: the others. Row numbers, sorted."""

    def __init__(self, run: Run) -> None:
        row, learned, call = run.row, run.learned, run.call
        self.run, self.everything = run, np.arange(len(run.X))
        self.trained = np.unique(row[learned])
        self.kept = np.setdiff1d(self.everything, self.trained)
        self.times = np.bincount(row[learned], minlength=len(run.X))
        last = call[learned].max()
        self.early = np.unique(row[~learned & (call < last)])
        """Rows that a model was shown before its training had ended, without learning from them."""
        self.late = [np.unique(row[call == k]) for k in np.unique(call[call > last])]
        """The rows of each call after the training has ended."""

    @cached_property
    def known(self) -> tuple[Any, Any]:
        """Row numbers, and for each what the model was given for that row."""
        run = self.run
        use = run.own if run.own.any() else np.ones(len(run.row), dtype=bool)
        rows, at = np.unique(run.row[use], return_index=True)
        return rows, run.inputs[use][at]

    @cached_property
    def outputs(self) -> Any:
        """(N,) what the model gives for each row, scaled as in the run."""
        run = self.run
        rows, known = self.known
        table = np.empty_like(run.X)
        for j in range(table.shape[1]):
            slope, shift = np.polyfit(run.X[rows, j], known[:, j], 1)
            guess = slope * run.X[rows, j] + shift
            if np.abs(guess - known[:, j]).max() < 1e-3 * (known[:, j].std() + 1e-12):
                table[:, j] = slope * run.X[:, j] + shift
            else:
                order = np.argsort(run.X[rows, j])
                table[:, j] = np.interp(run.X[:, j], run.X[rows, j][order], known[order, j])
        table[rows] = known
        return run.predict(table)[0]

    def scaled_by(self, rows: Any, among: Any) -> bool:
        """Whether the inputs of ``among`` are standardised by mean and deviation of ``rows``, exactly."""
        numbers, known = self.known
        inside = np.isin(numbers, among)
        if inside.sum() < 10:
            return False
        raw, part = self.run.X[numbers[inside]], self.run.X[rows]
        return any(
            np.abs(known[inside] - (raw - part.mean(axis=0)) / part.std(axis=0, ddof=ddof)).max() < 1e-3
            for ddof in (0, 1)
        )

    def held_out(self) -> Iterator[Any]:
        """Sets of rows, never learned from, that may be the test set, the likeliest first."""
        if len(self.kept):
            yield from self._clean(self.late[-1:])
            yield self.kept
            yield from self._clean(self.late)
            for start in range(min(len(self.late), 30)):
                for stop in range(start + 2, min(len(self.late), 30) + 1):
                    yield from self._clean([np.unique(np.concatenate(self.late[start:stop]))])
            yield from self._clean([self.early, np.setdiff1d(self.kept, self.early)])

    def _clean(self, sets: list[Any]) -> Iterator[Any]:
        for rows in sets:
            if len(rows) and not np.isin(rows, self.trained).any():
                yield rows

    def errors(self, rows: Any) -> list[float]:
        """RMSE on these rows, for outputs in either unit."""
        y = self.run.y
        return [squared_root(guess[rows], y[rows]) for guess in Run.units(self.outputs, y[self.trained])]

    def learned_from(self) -> Iterator[Any]:
        """Sets of rows, shown at the end, that are no whole training set and yet were learned from."""
        for start in range(len(self.late)):
            for rows in (self.late[start], np.unique(np.concatenate(self.late[start:]))):
                if np.isin(rows, self.trained).all() and len(rows) < 0.8 * len(self.trained):
                    yield rows

    @cached_property
    def test(self) -> Any:
        """The rows whose RMSE is the reported one, None when there are none."""
        return next(
            (rows for rows in self.held_out() if any(near(self.run.test_rmse, e) for e in self.errors(rows))),
            None,
        )


def squared_root(guess: Any, y: Any) -> float:
    """The RMSE of two (n,) arrays."""
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean((guess - y) ** 2)))


def near(a: float, b: float, rtol: float = 5e-4) -> bool:
    """Equal but for rounding in float32 and another way of summing."""
    return bool(abs(a - b) <= rtol * abs(b) + 1e-7)


def _rows(inputs: Any, X: Any) -> Any:
    """For each input its row of X, by ranks; None when they do not fit."""
    different = np.unique(inputs, axis=0)
    if not len(X) * 0.3 <= len(different) <= len(X) or not np.isfinite(different).all():
        return None
    distance = torch.cdist(torch.as_tensor(_ranks(inputs, different)), torch.as_tensor(_ranks(X, X)))
    best = distance.min(dim=1)
    first = torch.as_tensor(_ranks(different, different))
    unique = torch.cdist(first, torch.as_tensor(_ranks(X, X))).argmin(dim=1)
    clear = float((best.values > 0.25).double().mean()) < 0.01 and len(unique.unique()) >= 0.98 * len(unique)
    return best.indices.numpy() if clear else None


def _ranks(values: Any, among: Any) -> Any:
    """Ranks of each column's values among those of ``among``, from 0 to 1."""
    columns = []
    for j in range(values.shape[1]):
        order = np.sort(among[:, j])
        middle = np.searchsorted(order, values[:, j], "left") + np.searchsorted(order, values[:, j], "right")
        columns.append(middle / (2 * len(order)))
    return np.stack(columns, axis=1)


def read(student: Any, seen: Any, X: Any, y: Any, called: str) -> Run:
    """What came back, checked: a dict with a network and two finite numbers."""
    words = {"called": called, "slide": SLIDE}
    if type(seen) is not dict:
        fail("run disturbed what watches it.", **words)
    kind = str(seen.get("kind"))[:60]
    if kind != "dict":
        missing = "None: is a return missing?" if kind == "NoneType" else f"a {kind}"
        fail(f"run returned {missing}", "no_dict", expected="a dict", got=missing, **words)
    keys = seen.get("keys") if type(seen.get("keys")) is list else []
    for key in ("model", "test_rmse", "baseline_rmse"):
        if key not in keys:
            fail(f"The result of run has no key {key!r}.", got=f"the keys {keys}"[:200], **words)
    if seen.get("model_kind") != "Module":
        got = f"a {str(seen.get('model_kind'))[:60]}"
        fail("result['model'] is no network.", "no_model", expected="an nn.Module", got=got, **words)
    numbers = []
    for key in ("test_rmse", "baseline_rmse"):
        name = f"result[{key!r}]"
        value = seen.get(key)
        assert_type(value, _NUMBER, name=name, slide=SLIDE, hint="A plain float, the error in units of y.")
        assert_shape(value, (), name=name, slide=SLIDE, hint="One number.")
        assert_finite(value, name=name, slide=SLIDE, hint="nan: did the training diverge?")
        if type(value) is int and abs(value) > 10**9:  # float() of the largest ones raises
            fail(f"{name} is far too large.", **words)
        numbers.append(float(value))
    arrays: list[Any] = [None] * 4
    if seen.get("inputs") is not None:
        arrays = [_array(seen.get(key)) for key in ("inputs", "call", "learned", "own")]
        sizes = {None if a is None else len(a) for a in arrays}
        if None in sizes or len(sizes) > 1 or arrays[0].shape[1:] != X.shape[1:]:
            fail("run disturbed what watches it.", **words)
        arrays[2:] = [a.astype(bool) for a in arrays[2:]]
    return Run(student, called, X, np.asarray(y).ravel(), seen["model"], *numbers, *arrays)


def _array(value: Any) -> Any:
    return value.detach().numpy() if type(value) is torch.Tensor and value.ndim else None
