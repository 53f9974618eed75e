"""How often a verdict rejects, predicted from a few measured values.

A threshold is to reject at most one right submission in a thousand, and a calibration has some sixty values
of each right answer: the rate lies beyond counting. So single values are taken as normal on a scale
where they have no ends (the logit of a share, the logarithm of a positive number), with unknown mean and
standard deviation. The next value then follows Student's t distribution around the mean, wider than the
fitted normal distribution by what few values leave open; :func:`single_miss_rate` is its tail.

The runs of one verdict share that unknown mean and deviation, so their misses are not independent when both
are uncertain: :func:`verdict_miss_rate` averages the binomial tail of the k-of-n rule over all means and
deviations that the measured values allow (the usual posterior, without a prior opinion).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autograder.errors import SuiteError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Fit", "binomial_tail", "fit", "single_miss_rate", "verdict_miss_rate"]

_SHARE_END = 1e-4
"""Shares are moved in from 0 and 1 by this: half a sample of 5,000, where the logit has no end."""
_SMALLEST = 1e-12
_NORMAL_NODES, _DEVIATION_NODES = 128, 2000


@dataclass(frozen=True, slots=True)
class Fit:
    """Normal on ``scale``: ``n`` finite values with their mean and standard deviation (n - 1) there, and the
    share of all values that are not finite, which miss every threshold."""

    scale: str
    n: int
    mean: float
    sd: float
    not_finite: float

    def distance(self, limit: float, higher: bool) -> float:
        """How far ``limit`` lies beyond the mean, in standard deviations: positive if the mean misses it."""
        away = transformed(limit, self.scale) - self.mean
        away = away if higher else -away
        if self.sd > 0:
            return away / self.sd
        return math.inf if away > 0 else -math.inf  # all values are equal: a value at the limit reaches it


def transformed(value: float, scale: str) -> float:
    """``value`` on a scale without ends."""
    if scale == "share":
        inside = min(max(value, _SHARE_END), 1 - _SHARE_END)
        return math.log(inside / (1 - inside))
    if scale == "positive":
        return math.log(max(value, _SMALLEST))
    if scale == "real":
        return value
    raise SuiteError(f"there is no scale {scale!r}")


def fit(values: Sequence[float], scale: str) -> Fit:
    """The fit of ``values``, of which at least three must be finite.

    :raises SuiteError: there are too few.
    """
    finite = [transformed(value, scale) for value in values if math.isfinite(value)]
    n = len(finite)
    if n < 3:
        raise SuiteError(f"{n} finite values are too few to predict from; at least 3 are needed")
    mean = math.fsum(finite) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    if sd <= 1e-12 * max(1.0, abs(mean)):
        sd = 0.0
    return Fit(scale, n, mean, sd, 1 - n / len(values))


def single_miss_rate(found: Fit, limit: float, *, higher: bool) -> float:
    """Probability that the next single value misses ``limit``: the tail of Student's t."""
    from scipy.special import stdtr

    t = found.distance(limit, higher) / math.sqrt(1 + 1 / found.n)
    return found.not_finite + (1 - found.not_finite) * float(stdtr(found.n - 1, t))


def verdict_miss_rate(
    found: Fit, limit: float, *, higher: bool, runs: int, need: int, sure: float | None = None
) -> float:
    """Probability that fewer than ``need`` of the next ``runs`` values reach ``limit``, and none before that
    is certain reaches ``sure``."""
    import numpy as np
    from scipy.special import gammaln, ndtr

    distance, degrees = found.distance(limit, higher), found.n - 1
    beyond = math.inf if sure is None else found.distance(sure, higher)
    if math.isinf(distance):  # then all values are equal
        miss = found.not_finite if distance < 0 else 1.0
        settled = 1 - miss if sure is not None and beyond < 0 else 0.0
        return float(binomial_tail(np.asarray(miss), runs, need, np.asarray(settled)))
    # u = sd / true deviation is chi over sqrt(degrees) distributed; given it, the true mean is normal around
    # the measured one. Both are integrated: trapezoids over u, Gauss and Hermite over the mean.
    width = 12 / math.sqrt(2 * degrees)
    u = np.linspace(max(1e-6, 1 - width), 1 + width, _DEVIATION_NODES)
    log_density = (degrees - 1) * np.log(u) - degrees * u**2 / 2
    log_density += math.log(2) + degrees / 2 * math.log(degrees / 2) - gammaln(degrees / 2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NORMAL_NODES)
    of_mean = nodes[None, :] / math.sqrt(found.n)

    def missed(away: float) -> np.ndarray[Any, Any]:
        tail: np.ndarray[Any, Any] = ndtr(away * u[:, None] + of_mean)
        return found.not_finite + (1 - found.not_finite) * tail

    settled_rate = 1 - missed(beyond) if sure is not None else 0.0
    rates = binomial_tail(missed(distance), runs, need, settled_rate) @ weights / math.sqrt(2 * math.pi)
    return float(min(1.0, np.trapezoid(rates * np.exp(log_density), u)))


def binomial_tail(
    miss: np.ndarray[Any, Any], runs: int, need: int, settled: np.ndarray[Any, Any] | float = 0.0
) -> np.ndarray[Any, Any]:
    """Probability that fewer than ``need`` of ``runs`` hit, where each misses with probability ``miss``. With
    probability ``settled`` a run is a hit that is enough by itself, if it is made at all: none is made after
    so many misses that the rest does not matter.
    """
    last = runs - need + 1  # the miss after which ``need`` hits cannot be reached any more
    total = 0.0 * miss
    for hits in range(need):
        total = total + math.comb(last - 1 + hits, hits) * (1 - miss - settled) ** hits * miss**last
    return total
