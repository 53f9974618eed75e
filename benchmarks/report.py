"""The table and the pictures of ``make bench``."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks import machine, page
from benchmarks.page import number

__all__ = ["NAMES", "summary", "text", "write"]

NAMES = {
    "ours": "this engine",
    "warm": "this engine after `autograder warm`",
    "stock": "stock nbgrader",
    "stock_pair": "two stock nbgrader side by side",
    "otter": "Otter-Grader",
    "floor": "floor (one core)",
}

PEERS = ("stock", "stock_pair", "otter")


def summary(measured: dict[str, Any], name: str) -> dict[str, Any]:
    """Medians over the rounds of one side, for the class that ``measured`` is about.

    ``class_s``: seconds for the whole class, starting included; of a side that graded a sample this is its
    start plus as many submissions as the class has. ``class_per_s``: that as submissions a second.
    """
    size, rounds = measured["students"], measured["sides"][name]

    def median(value: Any) -> float:
        return float(statistics.median(map(value, rounds)))

    whole = rounds[0]["submissions"] == size
    class_s = median(lambda one: one["wall_s"] if whole else one["start_s"] + size * one["each_s"])
    return {
        "class_s": class_s,
        "class_per_s": size / class_s,
        "warm_per_s": 1 / median(lambda one: one["each_s"]),
        "start_s": median(lambda one: one["start_s"]),
        "cpu_s": median(lambda one: one["cpu_s"] / one["submissions"]),
        "peak_mb": measured["peak_mb"].get(name),
        "wrong": sum(one["wrong"] for one in rounds),
        "judged": sum(one["judged"] for one in rounds),
    }


def text(found: dict[str, Any]) -> str:
    """The Markdown of all assignments."""
    parts = [_assignment(name, measured) for name, measured in found.items()]
    if any("stock" in measured["sides"] for measured in found.values()):
        parts.append("![Submissions a second, by assignment and grader](performance/throughput.svg)")
        parts.append("![Processor seconds a submission, by assignment and grader](performance/cpu.svg)")
    return "\n\n".join(parts)


def _assignment(name: str, measured: dict[str, Any]) -> str:
    size = measured["students"]
    sums = {side: summary(measured, side) for side in measured["sides"]}
    ours = sums["ours"]
    rows = []
    for side, one in sums.items():
        ratio = ours["class_per_s"] / one["class_per_s"]
        cpu = one["cpu_s"] / ours["cpu_s"]
        rows.append(
            [
                NAMES[side],
                number(one["class_s"]),
                number(one["class_per_s"]),
                number(one["warm_per_s"]),
                number(one["start_s"]),
                number(one["cpu_s"]),
                number(one["peak_mb"]),
                f"{number(ratio)} ×" if side in PEERS else "",
                f"{number(cpu)} ×" if side in PEERS else "",
            ]
        )
    head = ["", f"{size} submissions, s", "submissions/s", "once warm, /s", "start, s", "CPU-s each"]
    head += ["peak memory, MB", "this engine is faster", "and needs less CPU"]
    return f"### {name}\n\n{page.table(head, rows)}\n\n{_notes(measured, sums)}"


def _notes(measured: dict[str, Any], sums: dict[str, dict[str, Any]]) -> str:
    size, ours, versions = measured["students"], sums["ours"], measured["versions"]
    notes = [
        f"Measured on {machine.line(measured['machine'])} nbgrader {versions['nbgrader']}, Otter-Grader "
        f"{versions['otter-grader']}. Medians of {measured['rounds']} "
        f"{'rounds' if measured['rounds'] > 1 else 'round'}.",
        f"This engine graded all {size} in each round with {measured['workers']} judge processes; "
        f"{ours['wrong']} of {ours['judged']} scores were not the expected ones.",
    ]
    if measured["sample"] < size and "stock" in sums:
        few = measured["sides"]["otter"][0]["submissions"]
        notes.append(
            f"Stock nbgrader graded {measured['sample']} of them in each round, Otter-Grader {few}, others "
            "each time: the first column is their start plus as many submissions as the class has."
        )
    given = [
        f"{NAMES[side]} gave full points to {one['judged'] - one['wrong']} of {one['judged']}"
        for side, one in sums.items()
        if side in ("stock", "otter")
    ]
    if given:
        notes.append(f"Students with right answers only: {', '.join(given)}.")
    if measured["mnist"] == "sample":
        notes.append("**The shipped sample of MNIST, not the full set**; the peers would have no data.")
    elif measured["mnist"]:
        notes.append("The full MNIST; the peers fetch it from scikit-learn's data home.")
    if measured["unchanged_s"]:
        again = statistics.median(measured["unchanged_s"])
        notes.append(f"Graded again with nothing changed, the class of {size} takes {number(again)} s.")
    if floor := sums.get("floor"):
        times = ours["cpu_s"] / floor["cpu_s"]
        notes.append(f"This engine needs {number(times)} times the processor seconds of the floor.")
    return " ".join(notes)


def write(found: dict[str, Any]) -> None:
    """Data, pictures and the section of the page."""
    from benchmarks import plots

    page.keep("bench", found)
    groups = list(found)
    sides = [side for side in NAMES if any(side in one["sides"] for one in found.values())]
    for name, title, label, key in (
        ("throughput", "Submissions a second, starting included", "submissions a second", "class_per_s"),
        ("cpu", "Processor seconds a submission", "CPU-s a submission", "cpu_s"),
    ):
        series = {
            NAMES[side]: [
                summary(found[group], side)[key] if side in found[group]["sides"] else None
                for group in groups
            ]
            for side in sides
        }
        plots.bars(name, title, label, groups, series)
    page.replace_section("bench", text(found))
