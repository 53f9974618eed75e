"""The fixture ``calibrated``: stochastic checks whose thresholds are measured, not guessed.

::

    @points("evaluate", 2)
    def test_accuracy_on_hidden_digits(student, draw, data, calibrated):
        def run(k: int) -> float: ...        # one training with seed k; its accuracy, computed here
        calibrated("accuracy").check(run, name="accuracy on digits that your notebook never saw", hint="…")

:mod:`autograder.thresholds` says where the value comes from.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autograder.datasets import DataSets
from autograder.errors import SuiteError
from autograder.judge.draw import Draw
from autograder.judge.failure import CheckFailed
from autograder.models import Explanation
from autograder.thresholds import InUse, Threshold, Thresholds

__all__ = ["Calibrated", "Calibrator"]

_log = logging.getLogger(__name__)
_noted: set[str] = set()
_GOAL = 1000


@dataclass
class Calibrator:
    """What one check sees of its suite's thresholds: ``calibrated("accuracy")``.

    ``check`` is the name of the running check, ``measured`` collects (threshold, value) of each single run.
    With ``measuring`` every run of a verdict is made and no value fails the check.
    """

    thresholds: Thresholds
    check: str
    draw: Draw
    data: DataSets
    device: str
    measuring: bool = False
    measured: list[tuple[str, float]] = field(default_factory=list)
    _seeds: list[int] = field(default_factory=list)

    def __call__(self, name: str) -> Calibrated:
        """The threshold ``name`` of this check, as declared in ``thresholds.toml``."""
        threshold = self.thresholds.get(name)
        if threshold.check != self.check:
            raise SuiteError(
                f"threshold {name!r} belongs to {threshold.check}, not to {self.check}: declare one for it"
            )
        in_use = self.thresholds.in_use(name, self._kind(threshold), self.device)
        if in_use.note and in_use.note not in _noted and not self.measuring:
            _noted.add(in_use.note)
            _log.warning("%s", in_use.note)
        return Calibrated(threshold, in_use, self)

    def _kind(self, threshold: Threshold) -> str | None:
        if threshold.data is None:
            return None
        found = self.data.sets.get(threshold.data)
        return found.kind if found is not None else "sample"

    def seeds(self, count: int) -> Sequence[int]:
        """Seeds of this check's runs, drawn once: all its thresholds see the same ones."""
        if len(self._seeds) < count:
            self._seeds += self.draw.seeds(count - len(self._seeds))
        return self._seeds[:count]

    def record(self, name: str, value: float) -> None:
        """Keep a measured value for the check's record."""
        self.measured.append((name, value))


@dataclass(frozen=True)
class Calibrated:
    """One threshold in a check."""

    threshold: Threshold
    in_use: InUse
    calibrator: Calibrator

    @property
    def value(self) -> float:
        """The threshold."""
        return self.in_use.value

    @property
    def better(self) -> str:
        """Which values are better: "higher" or "lower"."""
        return self.threshold.better

    def passes(self, value: float) -> bool:
        """Whether a single value reaches the threshold; one that is not finite never does. It is recorded.

        For a check with a rule of its own; :meth:`check` has the rule that is calibrated.
        """
        number = _number(value, self.threshold.name)
        self.calibrator.record(self.threshold.name, number)
        return self.threshold.passes(number, self.value)

    def check(
        self,
        run: Callable[[int], float],
        *,
        name: str = "",
        hint: str = "",
        slide: str = "",
        called: str = "",
        mistake: str | Callable[[Sequence[float]], str | None] | None = None,
    ) -> None:
        """Make single runs until ``need`` of ``runs`` is decided, or one is so good that it settles it, and
        fail if too few reach the threshold.

        :param run: one training with the seed it is given (0 to 2**31 - 1; another one for each run, drawn
            for this student); gives the measured value, a float computed in the judge from plain data.
        :param name: what is measured, for the message ("accuracy on digits that your notebook never saw").
        :param called: what was run, in words, where the last call does not say it.
        :param mistake: id of a known mistake that the message leads with, or a function of the values.
        """
        threshold, values, decided = self.threshold, list[float](), None
        for seed in self.calibrator.seeds(threshold.runs):
            values.append(_number(run(seed), threshold.name))
            self.calibrator.record(threshold.name, values[-1])
            decided = threshold.verdict(values, self.value, self.in_use.sure)
            if decided is not None and not self.calibrator.measuring:
                break
        if self.calibrator.measuring or decided:
            return
        explanation = self._explanation(values, name or threshold.about or threshold.name)
        found = mistake(values) if callable(mistake) else mistake
        raise CheckFailed(
            Explanation(**explanation, hint=hint, slide=slide, called=called),
            mistake=found,
            fields=explanation,
        )

    def _explanation(self, values: Sequence[float], name: str) -> dict[str, str]:
        threshold, limit = self.threshold, self.value
        name = name[:1].upper() + name[1:]
        bound = f"at {'least' if threshold.higher else 'most'} {threshold.text(limit)}"
        got = ", ".join(threshold.text(value, limit) for value in values)
        if threshold.runs == 1:
            summary, rule = f"{name}: {got} is not enough.", ""
        else:
            hits = sum(threshold.passes(value, limit) for value in values)
            rule = f" in {threshold.need} of {threshold.runs} runs"
            summary = f"{name}: {hits or 'none'} of {len(values)} runs reached {threshold.text(limit)}."
        return {"summary": summary, "expected": f"{bound}{rule}{self._rate()}", "got": got}

    def _rate(self) -> str:
        rate = self.in_use.false_rejection
        if rate is None or rate > 1 / _GOAL:
            return ""
        return f" (right answers miss that in fewer than 1 of {_GOAL:,} cases)"


def _number(value: Any, name: str) -> float:
    """``value`` as a float; what is no plain number is the suite's fault: it must measure by itself."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise SuiteError(
            f"threshold {name!r}: a run must give a number that the check computed, as with float(…), "
            f"not a {type(value).__name__}"
        )
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
