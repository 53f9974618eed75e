"""Everything the slides name is taught and checked: docs/slides.md against notebooks and suites."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "slides.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return rows[2:]


TOPICS, ERRATA = table("Topics"), table("Errata")


@cache
def cells(assignment: str) -> list[dict]:
    path = ROOT / "source" / assignment / f"{assignment}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text(cell: dict) -> str:
    return "".join(cell["source"])


def grader(cell: dict) -> dict:
    return cell["metadata"].get("nbgrader", {})


def cells_of(assignment: str, task: str) -> str:
    """The text of the cells that belong to a task: from its card to the next one."""
    ids = [cell.get("id", "") for cell in cells(assignment)]
    marked = [number for number, cell in enumerate(cells(assignment)) if grader(cell).get("grade_id") == task]
    assert marked, f"{assignment} has no task {task}"
    cards = [n for n, name in enumerate(ids) if name.startswith("card-") and n <= marked[0]]
    end = next((n for n, name in enumerate(ids) if name.startswith("card-") and n > marked[0]), len(ids))
    return "\n".join(text(cell) for cell in cells(assignment)[cards[-1] : end])


def checks(assignment: str) -> str:
    folder = ROOT / "autograder" / "suites" / assignment
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))


def tasks(row: list[str]) -> list[str]:
    return re.findall(r"`(\w+)`", row[3])


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: f"{row[2]}-{row[1][:30]}")
def test_each_topic_is_taught_and_checked(row):
    chapter, _, assignment, _, words = row
    assert tasks(row)
    together = ""
    for task in tasks(row):
        own = cells_of(assignment, task)
        assert chapter in own or chapter == "–", f"{task}'s card does not name chapter {chapter}"
        together += own
        cell = next(cell for cell in cells(assignment) if grader(cell).get("grade_id") == task)
        if not grader(cell)["solution"]:
            assert f'@points("{task}"' in checks(assignment)
    for word in words.split(", "):
        assert word.lower() in together.lower(), f"{', '.join(tasks(row))}: nothing about {word!r}"


def test_every_task_is_on_the_page():
    listed = {(row[2], task) for row in TOPICS for task in tasks(row)}
    graded = {
        (path.stem, grader(cell)["grade_id"])
        for path in (ROOT / "source").glob("*/*.ipynb")
        for cell in cells(path.stem)
        if grader(cell).get("grade")
    }
    assert listed == graded


@pytest.mark.parametrize("row", ERRATA, ids=lambda row: f"{row[0]}-{row[1][:30]}")
def test_each_erratum_has_its_box(row):
    _, _, assignment, words = row
    boxes = [
        box
        for cell in cells(assignment)
        if cell["cell_type"] == "markdown"
        for box in re.findall(r"(?:^>.*\n?)+", text(cell), flags=re.M)
        if re.search(r"slide errat", box, flags=re.I)
    ]
    flat = [re.sub(r"\s*\n>\s*", " ", box).replace("*", "") for box in boxes]
    for word in words.split(", "):
        assert any(word.replace("*", "") in box for box in flat), (
            f"no erratum box of {assignment} says {word!r}"
        )


def test_all_twenty_five_errata_are_listed():
    assert {row[0] for row in ERRATA} - {"–"} == {str(number) for number in range(1, 26)}
