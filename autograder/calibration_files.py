"""The pages of a calibration: ``docs/calibration/<assignment>.md``, and its picture."""

from __future__ import annotations

import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.calibration import rate_text, rows
from autograder.layout import CALIBRATION, Course
from autograder.predictive import transformed
from autograder.thresholds import FORMAT, Calibration, Threshold, Thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HEADINGS", "cells", "dump", "is_current", "page", "picture", "write"]

HEADINGS = ("variant", "runs", "mean", "sd", "min", "max", "single misses", "rejected", "predicted")
_RIGHT, _WRONG, _LINE = "#1f5fa8", "#c8590b", "#222222"
_WIDTH, _DPI = 9.0, 100
_SHARES = (
    0.5,
    0.9,
    0.1,
    0.99,
    0.01,
    0.95,
    0.05,
    0.7,
    0.3,
    0.98,
    0.02,
    0.8,
    0.2,
    0.97,
    0.999,
    0.001,
    0.6,
    0.4,
)


def _current(thresholds: Thresholds) -> list[tuple[Threshold, Calibration]]:
    """The stored calibrations of thresholds that are still declared, in the order of the declarations."""
    order = list(thresholds.declared)
    kept = [item for item in thresholds.calibrations if item.threshold in thresholds.declared]
    kept.sort(key=lambda item: (order.index(item.threshold), item.kind, item.device))
    return [(thresholds.get(item.threshold), item) for item in kept]


def write(course: Course, thresholds: Thresholds) -> list[Path]:
    """Store the calibrations and write their pages; gives the paths."""
    name = thresholds.assignment
    stored = course.suite_dir(name) / CALIBRATION
    described, drawn = course.calibration_dir / f"{name}.md", course.calibration_dir / f"{name}.png"
    _put(stored, dump(thresholds.calibrations).encode())
    _put(described, page(thresholds).encode())
    _put(drawn, picture(thresholds))
    return [stored, described, drawn]


def is_current(course: Course, thresholds: Thresholds) -> bool:
    """Whether the page is that of the stored values; the picture has only to be there."""
    folder, name = course.calibration_dir, thresholds.assignment
    try:
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return text == page(thresholds) and (folder / f"{name}.png").is_file()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too: no draft stays behind, and the error goes on
        Path(temporary).unlink(missing_ok=True)
        raise


def dump(calibrations: Sequence[Calibration]) -> str:
    """The text of ``calibration.json``: the same for the same measurements, whatever their order."""
    items = [
        {
            "threshold": item.threshold,
            "data": item.kind,
            "device": item.device,
            "value": item.value,
            "false_rejection": float(f"{item.false_rejection:.2g}"),
            "declaration": dict(item.declaration),
            "versions": dict(sorted(item.versions.items())),
            "variants": {
                variant.name: {
                    "right": variant.right,
                    "lost": variant.lost,
                    "seeds": [[_short(value) for value in seed] for seed in variant.seeds],
                }
                for variant in sorted(item.variants, key=lambda variant: (not variant.right, variant.name))
            },
        }
        for item in sorted(calibrations, key=lambda item: item.key)
    ]
    text = json.dumps({"format": FORMAT, "calibrations": items}, indent=1, allow_nan=False)
    lists = re.compile(r'(?<="seeds": )\[[^{}"]*\](?=\s*\})')  # a line for each variant
    return lists.sub(lambda match: re.sub(r"\s+", "", match[0]).replace(",", ", "), text) + "\n"


def _short(value: float) -> float | None:
    """Six significant digits, and null for what is not finite: it missed the threshold, however."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def title(threshold: Threshold, item: Calibration) -> str:
    """ "moons_accuracy ≥ 93 % (sample, cpu)"."""
    where = ", ".join(filter(None, (item.kind and f"data {item.kind}", item.device)))
    return f"{threshold.name} {_sign(threshold)} {threshold.text(item.value)} ({where})"


def _sign(threshold: Threshold) -> str:
    return "≥" if threshold.higher else "≤"


def cells(threshold: Threshold, item: Calibration) -> list[tuple[str, ...]]:
    """The lines below :data:`HEADINGS`."""
    made = []
    for row in rows(threshold, item.kind, item.variants, item.value):
        lost = f", {row.lost} ended otherwise" if row.lost else ""
        made.append(
            (
                row.name if row.right else f"{row.name} (wrong)",
                str(row.n),
                *(_number(threshold, value) for value in (row.mean, row.sd, row.low, row.high)),
                f"{row.missed} of {row.n}",
                f"{row.rejected} of {row.verdicts}{lost}",
                rate_text(row.verdict),
            )
        )
    return made


def _number(threshold: Threshold, value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.{threshold.digits + 1}f}"


def page(thresholds: Thresholds) -> str:
    """The generated Markdown page."""
    name = thresholds.assignment
    parts = [
        f"# Thresholds of {name}",
        f"Generated by `autograder calibrate {name}`; [what the columns mean](../calibration.md#the-table).",
        f"![Values of single runs and thresholds](./{name}.png)",
    ]
    for threshold, item in _current(thresholds):
        rule, sign = "A verdict is one run.", _sign(threshold)
        if threshold.runs > 1:
            rule = f"A verdict takes {threshold.need} of {threshold.runs} runs"
            sure = threshold.sure_for(item.kind)
            rule += "." if sure is None else f", or one with {sign} {threshold.text(sure)}."
        wish = threshold.start_for(item.kind)
        asked = "as wished" if item.value == wish else f"loosened from {threshold.text(wish)}"
        versions = ", ".join(f"{library} {version}" for library, version in sorted(item.versions.items()))
        parts += [
            f"## {title(threshold, item)}",
            f"{threshold.about or threshold.name}. Check `{threshold.check}` of task `{threshold.task}`. "
            f"{rule} The threshold is {asked}. Predicted false rejections of the worst right variant: "
            f"{rate_text(item.false_rejection)}. Measured with {versions}.",
            "\n".join(_table(HEADINGS, cells(threshold, item))),
        ]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    made = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return made + ["| " + " | ".join(line) + " |" for line in lines]


# -- the picture


def picture(thresholds: Thresholds) -> bytes:
    """A PNG, 900 pixels wide: a panel for each calibration, a strip for each variant."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    items = _current(thresholds)
    heights = [0.3 * len(item.variants) + 1.0 for _, item in items] or [1.0]
    figure = Figure(figsize=(_WIDTH, sum(heights)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (threshold, item) in zip(panels, items, strict=bool(items)):
        _panel(axes, threshold, item)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, threshold: Threshold, item: Calibration) -> None:
    shown = rows(threshold, item.kind, item.variants, item.value)
    values = {variant.name: variant.values for variant in item.variants}
    places = [transformed(item.value, threshold.scale)]
    for line, row in enumerate(reversed(shown)):
        xs = [transformed(value, threshold.scale) for value in values[row.name] if math.isfinite(value)]
        ys = [line + 0.22 * math.sin(2.4 * number) for number in range(len(xs))]  # apart, the same each time
        axes.scatter(xs, ys, s=11, alpha=0.55, linewidths=0, color=_RIGHT if row.right else _WRONG)
        places += xs
    axes.axvline(places[0], color=_LINE, linewidth=1.2, linestyle="--")
    axes.set_yticks(range(len(shown)), [row.name for row in reversed(shown)], fontsize=8)
    for label, row in zip(axes.get_yticklabels(), reversed(shown), strict=True):
        label.set_color(_RIGHT if row.right else _WRONG)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_title(title(threshold, item), fontsize=10, loc="left")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    low, high = min(places), max(places)
    room = 0.04 * (high - low) or 0.1
    axes.set_xlim(low - room, high + room)
    if threshold.scale != "real":
        marks = _marks(threshold, item.value, low - room, high + room)
        axes.set_xticks([transformed(mark, threshold.scale) for mark in marks])
        axes.set_xticklabels([_mark_text(threshold, mark, item.value) for mark in marks], fontsize=8)
        axes.minorticks_off()


def _marks(threshold: Threshold, limit: float, low: float, high: float) -> list[float]:
    """Round values along the axis, the threshold first of all, none close to another."""
    rounds: tuple[float, ...] = _SHARES
    if threshold.scale == "positive":
        rounds = tuple(digit * 10.0**power for digit in (1, 2, 5, 3, 7, 1.5) for power in range(-9, 10))
    kept: list[float] = []
    for mark in (limit, *rounds):
        place = transformed(mark, threshold.scale)
        near = (abs(place - transformed(other, threshold.scale)) < 0.07 * (high - low) for other in kept)
        if low <= place <= high and not any(near):
            kept.append(mark)
    return kept


def _mark_text(threshold: Threshold, mark: float, limit: float) -> str:
    if mark == limit:
        return threshold.text(mark)
    return f"{100 * mark:g} %" if threshold.scale == "share" else f"{mark:g}"
