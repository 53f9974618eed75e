"""From measured values to the threshold in use, and how far it can be trusted.

Pure: :mod:`autograder.calibrate` measures, :mod:`autograder.thresholds` stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import isfinite, isnan, nan
from statistics import fmean, stdev

from autograder.errors import SuiteError
from autograder.predictive import Fit, fit, single_miss_rate, verdict_miss_rate
from autograder.thresholds import Calibration, Threshold, Thresholds, Variant

__all__ = [
    "DEVICE",
    "GOAL",
    "MIN_SEEDS",
    "Row",
    "calibrated",
    "choose",
    "problems",
    "rate_text",
    "row",
    "rows",
]

GOAL = 1e-3
"""A verdict may reject at most this share of right submissions."""
MIN_SEEDS = 20
"""Verdicts of each right variant that a stored calibration must rest on."""
MIN_SEEDS_FULL = 10
"""The same for a full data set beside a shipped sample."""
DEVICE = "cpu"
"""The device that every threshold must be calibrated for."""
_MIN_VALUES = 3
_MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One variant beside a threshold: of its ``n`` single runs ``missed`` did not reach it, of its
    ``verdicts`` ``rejected`` were against it (``lost`` of them as the check ended otherwise). ``single`` and
    ``verdict`` are the predicted rates of a miss and of a rejection; None with too few values."""

    name: str
    right: bool
    n: int
    mean: float
    sd: float
    low: float
    high: float
    missed: int
    single: float | None
    verdict: float | None
    verdicts: int
    rejected: int
    lost: int


def _fit(threshold: Threshold, variant: Variant) -> Fit | None:
    if sum(map(isfinite, variant.values)) < _MIN_VALUES:
        return None
    return fit(variant.values, threshold.scale)


def _verdict_rate(threshold: Threshold, kind: str | None, found: Fit, limit: float) -> float:
    return verdict_miss_rate(
        found,
        limit,
        higher=threshold.higher,
        runs=threshold.runs,
        need=threshold.need,
        sure=threshold.sure_for(kind),
    )


def row(threshold: Threshold, kind: str | None, variant: Variant, limit: float) -> Row:
    """What ``variant``, measured with data of ``kind``, says about ``limit``."""
    values, found = variant.values, _fit(threshold, variant)
    finite = [value for value in values if isfinite(value)]
    sure = threshold.sure_for(kind)
    rejected = sum(not threshold.verdict(seed, limit, sure) for seed in variant.seeds)
    return Row(
        name=variant.name,
        right=variant.right,
        n=len(values),
        mean=fmean(finite) if finite else nan,
        sd=stdev(finite) if len(finite) > 1 else nan,
        low=min(finite, default=nan),
        high=max(finite, default=nan),
        missed=sum(not threshold.passes(value, limit) for value in values),
        single=single_miss_rate(found, limit, higher=threshold.higher) if found else None,
        verdict=_verdict_rate(threshold, kind, found, limit) if found else None,
        verdicts=len(variant.seeds),
        rejected=rejected,
        lost=variant.lost,
    )


def rows(threshold: Threshold, kind: str | None, variants: Iterable[Variant], limit: float) -> list[Row]:
    """A row for each variant: the right ones first, the solution before the others."""
    ordered = sorted(variants, key=lambda one: (not one.right, one.name != "solution", one.name))
    return [row(threshold, kind, variant, limit) for variant in ordered]


def choose(threshold: Threshold, kind: str | None, variants: Sequence[Variant]) -> tuple[float, float]:
    """The value in use and its predicted false-rejection rate, that of the worst right variant.

    It is ``start``, or the strictest rounded value that meets :data:`GOAL` where ``start`` does not.

    :raises SuiteError: no value meets it, or there is nothing to choose from.
    """
    fits = []
    for variant in variants:
        if variant.right:
            found = _fit(threshold, variant)
            if found is None:
                raise SuiteError(
                    f"threshold {threshold.name!r}: right variant {variant.name!r} gave fewer than "
                    f"{_MIN_VALUES} finite values ({variant.lost} of its checks ended otherwise): it cannot "
                    "calibrate"
                )
            fits.append(found)
    if not fits:
        raise SuiteError(f"threshold {threshold.name!r} has no right variant to be calibrated with")
    start = threshold.start_for(kind)
    for steps in count(-1):
        limit = start if steps < 0 else threshold.loosened(start, steps)
        rate = max(_verdict_rate(threshold, kind, found, limit) for found in fits)
        if rate <= GOAL:
            return limit, rate
        if steps >= _MAX_STEPS or (threshold.higher and threshold.scale != "real" and limit <= 0):
            break
    raise SuiteError(
        f"threshold {threshold.name!r}: no value rejects at most 1 of {1 / GOAL:g} right submissions: their "
        "values spread too far, or some are not finite"
    )


def calibrated(
    threshold: Threshold,
    kind: str | None,
    device: str,
    variants: Sequence[Variant],
    versions: Mapping[str, str],
) -> Calibration:
    """What is stored of these measurements: values with six significant digits, and what follows of these."""
    kept = tuple(
        replace(
            variant, seeds=tuple(tuple(float(f"{value:.6g}") for value in seed) for seed in variant.seeds)
        )
        for variant in variants
    )
    value, rate = choose(threshold, kind, kept)
    return Calibration(
        threshold=threshold.name,
        kind=kind or "",
        device=device,
        value=value,
        false_rejection=float(f"{rate:.2g}"),
        declaration=threshold.declaration,
        versions=dict(versions),
        variants=kept,
    )


def problems(thresholds: Thresholds) -> list[str]:
    """How the stored calibrations differ from the declarations or miss the goal, a line each."""
    found = []
    for name, threshold in thresholds.declared.items():
        for kind in threshold.kinds:
            where = f"{thresholds.assignment}: {name}" + (f" ({kind})" if kind else "")
            stored = thresholds.stored(name, kind, DEVICE)
            if stored is None:
                found.append(f"{where} is not calibrated on {DEVICE}")
    for stored in thresholds.calibrations:
        where = f"{thresholds.assignment}: {stored.threshold}"
        where += f" ({', '.join(filter(None, (stored.kind, stored.device)))})"
        if stored.threshold not in thresholds.declared:
            found.append(f"{where} is stored and not declared any more")
        else:
            found += [f"{where} {why}" for why in _doubts(thresholds.get(stored.threshold), stored)]
    return found


def _doubts(threshold: Threshold, stored: Calibration) -> Iterable[str]:
    if stored.declaration != threshold.declaration:
        yield "was calibrated for another declaration: calibrate again"
        return
    known = {variant.name: variant for variant in stored.variants}
    listed = [(name, True) for name in threshold.right or ()] + [(name, False) for name in threshold.wrong]
    for name, right in listed:
        if name not in known or known[name].right is not right:
            yield f"has no values of {name}: calibrate again"
    try:
        value, rate = choose(threshold, stored.kind, stored.variants)
    except SuiteError as error:
        yield str(error)
        return
    if value != stored.value:
        yield f"stores {stored.value:g}, but its values give {value:g}: calibrate again"
    if abs(rate - stored.false_rejection) > 0.06 * rate + 1e-12:
        yield f"stores the rate {stored.false_rejection:.2g}, but its values give {rate:.2g}: calibrate again"
    sure = threshold.sure_for(stored.kind)
    for variant in stored.variants:
        if sure is not None and not variant.right and any(threshold.passes(v, sure) for v in variant.values):
            yield f"has sure = {sure:g}, which {variant.name} has reached and is wrong: take a stricter one"
    # Where there is a sample, it is what most courses grade with; runs on the full set take minutes.
    needed = MIN_SEEDS_FULL if stored.kind == "full" and "sample" in threshold.kinds else MIN_SEEDS
    for variant in stored.variants:
        if variant.right and len(variant.seeds) < needed:
            yield f"rests on {len(variant.seeds)} seeds of {variant.name}; {needed} are needed"
        if variant.right and variant.lost:
            yield f"{variant.lost} checks of {variant.name} ended otherwise: mend it, or the check"


def rate_text(rate: float | None) -> str:
    """A rate for people: "1 in 2,300", "< 1 in 1,000,000", "12 %", "–" where it is not known."""
    if rate is None or isnan(rate):
        return "–"
    if rate < 1e-6:
        return "< 1 in 1,000,000"
    if rate > 0.05:
        return f"{100 * rate:.3g} %"
    digits = float(f"{1 / rate:.2g}")
    return f"1 in {digits:,.0f}"
