"""Pictures for docs/performance.md: light, labelled, readable in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt

from benchmarks.page import FOLDER, number

__all__ = ["bars", "lines"]

INK, SOFT = "#30343b", "#d5d9de"
COLORS = ("#3b78c2", "#9aa0a8", "#c3c8ce", "#e08a2e", "#2a8a4a")

plt.rcParams.update(
    {
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "white",
        "font.size": 10,
        "svg.hashsalt": "performance",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


def bars(
    name: str, title: str, label: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]]
) -> None:
    """Bars side by side on a logarithmic axis, each with its value; a group that lacks one has no bar."""
    figure, ax = plt.subplots(figsize=(8, 3.6))
    width = 0.84 / len(series)
    for at, ((what, values), color) in enumerate(zip(series.items(), COLORS, strict=False)):
        places = [group - 0.42 + (at + 0.5) * width for group in range(len(groups))]
        shown = [(place, value) for place, value in zip(places, values, strict=True) if value]
        ax.bar(
            [place for place, _ in shown],
            [value for _, value in shown],
            0.94 * width,
            color=color,
            label=what,
        )
        for place, value in shown:
            ax.annotate(
                number(value), (place, value), (0, 2), textcoords="offset points", ha="center", fontsize=8
            )
    ax.set(yscale="log", ylabel=label, xticks=range(len(groups)), xticklabels=groups)
    ax.set_title(title, loc="left", fontsize=11)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.margins(y=0.15)
    ax.grid(axis="y", color=SOFT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", length=0)
    ax.legend(frameon=False, ncols=len(series), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    _save(figure, name)


def lines(name: str, xlabel: str, panels: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> None:
    """Panels above each other with one line each: (label of the y axis, x, y). All begin at zero."""
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 2.1 * len(panels)), sharex=True, squeeze=False)
    for (ax,), (label, x, y) in zip(axes, panels, strict=True):
        ax.plot(x, y, color=COLORS[0], linewidth=1.4)
        ax.set(ylabel=label)
        ax.set_ylim(bottom=0, top=1.2 * max(y, default=1))
        ax.grid(axis="y", color=SOFT, linewidth=0.6)
    axes[-1][0].set(xlabel=xlabel)
    _save(figure, name)


def _save(figure: Any, name: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
