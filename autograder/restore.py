"""Laying the instructor's cells over a submission: which cell is which, and where the missing ones go.

:func:`restore` decides; :func:`autograder.notebook.prepare` says what the rules are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder.assignment import AssignmentCell, AssignmentNotebook
from autograder.ipynb import GENERATED_ID, unused_id

__all__ = ["Slot", "restore"]


@dataclass(eq=False, slots=True)
class Slot:
    """One cell of the notebook to run.

    ``owner`` is the instructor's cell that it stands for; None when it is the student's own.
    """

    cell_id: str
    cell_type: str
    source: str
    attachments: Mapping[str, Any] = field(default_factory=dict)
    owner: AssignmentCell | None = None


def restore(
    cells: Sequence[Mapping[str, Any]], assignment: AssignmentNotebook
) -> tuple[list[Slot], tuple[str, ...]]:
    """The cells to run, in order, and what the student should know about the repairs."""
    notices: list[str] = []
    slots = [
        Slot(cell["id"], cell["cell_type"], cell["source"], cell.get("attachments", {})) for cell in cells
    ]
    _claim(slots, cells, assignment, notices)
    _recover(slots, assignment, notices)
    found = any(slot.owner for slot in slots)
    if not found and assignment.cells:
        notices.append(
            "No cell of this assignment was found in the notebook; is it the right file? "
            "The missing cells were put back before grading."
        )
    _restore_content(slots, notices)
    _put_back(slots, assignment, notices if found else [])
    _put_tests_behind_solutions(slots, assignment, notices)
    _make_ids_unique(slots)
    return slots, tuple(notices)


def _label(cell: AssignmentCell) -> str:
    if cell.graded and cell.solution:
        kind = "Answer"
    elif cell.task:
        kind = "Task"
    elif cell.grade:
        kind = "Test"
    else:
        kind = "Solution" if cell.solution else "Read-only"
    return f"{kind} cell '{cell.id}'"


def _plain(source: str) -> str:
    """``source`` as it is compared: line ends and trailing space do not count."""
    return "\n".join(line.rstrip() for line in source.splitlines()).rstrip()


def _same_text(source: str, owner: AssignmentCell) -> bool:
    """Whether ``source`` is the text of ``owner``, with or without what students do not see of it."""
    if source in (owner.display_source, owner.source):
        return True
    return _plain(source) in (_plain(owner.display_source), _plain(owner.source))


def _claim(
    slots: Sequence[Slot],
    cells: Sequence[Mapping[str, Any]],
    assignment: AssignmentNotebook,
    notices: list[str],
) -> None:
    """Give each instructor's cell the submitted cell that carries its ``grade_id`` in the same role."""
    owners = {cell.id: cell for cell in assignment.cells}
    claims: dict[str, list[Slot]] = {}
    strangers = 0
    for slot, cell in zip(slots, cells, strict=True):
        meta = cell["metadata"].get("nbgrader", {})
        grade_id = meta.get("grade_id")
        owner = owners.get(grade_id) if isinstance(grade_id, str) else None
        # a cell that was given another cell's id keeps its text: it is not the cell it claims to be
        same_role = owner is not None and all(
            bool(meta.get(role)) == getattr(owner, role) for role in ("grade", "solution")
        )
        if owner is not None and same_role:
            claims.setdefault(owner.id, []).append(slot)
        elif grade_id:
            strangers += 1
    if strangers:
        notices.append(
            f"{strangers} cell{'s' if strangers > 1 else ''} carried nbgrader metadata that do not belong to "
            "this assignment: treated as your own."
        )
    for grade_id, claimants in claims.items():
        owner = owners[grade_id]
        if len(claimants) > 1:
            notices.append(f"{_label(owner)} exists {len(claimants)} times: only the last one counts.")
        _chosen(claimants, owner).owner = owner


def _chosen(claimants: Sequence[Slot], owner: AssignmentCell) -> Slot:
    """The last of ``claimants``; of answers graded by hand the last one that is an answer."""
    if owner.solution:
        untouched = ("", _plain(owner.source))
        answered = [slot for slot in claimants if _plain(slot.source) not in untouched]
        if answered:
            return answered[-1]
    return claimants[-1]


def _recover(slots: Sequence[Slot], assignment: AssignmentNotebook, notices: list[str]) -> None:
    """Find cells whose metadata were lost (Colab, converters): by the cell's own id, or by its text."""
    taken = {slot.owner.id for slot in slots if slot.owner}
    if all(owner.id in taken for owner in assignment.cells):
        return
    texts = [_plain(cell.display_source) for cell in assignment.cells]
    recovered = 0
    for owner, text in zip(assignment.cells, texts, strict=True):
        if owner.id in taken:
            continue
        free = [slot for slot in slots if slot.owner is None]
        named = [
            slot
            for slot in free
            if slot.cell_id == owner.cell_id and not owner.cell_id.startswith(GENERATED_ID)
        ]
        if not named and not owner.editable and text and texts.count(text) == 1:
            named = [slot for slot in free if _plain(slot.source) == text]
        if named:
            named[-1].owner = owner
            recovered += 1
    if recovered:
        notices.append(
            f"The nbgrader metadata of {recovered} cell{'s were' if recovered > 1 else ' was'} lost or "
            "changed: put back before grading."
        )


def _restore_content(slots: Sequence[Slot], notices: list[str]) -> None:
    """Types of all the instructor's cells, texts of those that students do not write."""
    for slot in slots:
        owner = slot.owner
        if owner is None:
            continue
        if owner.editable:
            if slot.cell_type != owner.cell_type:
                notices.append(
                    f"{_label(owner)} had been turned into a {slot.cell_type} cell: "
                    f"it was turned back into {owner.cell_type}."
                )
        else:
            if slot.cell_type != owner.cell_type or not _same_text(slot.source, owner):
                notices.append(f"{_label(owner)} had been changed: it was restored before grading.")
            slot.source = owner.source
            slot.attachments = owner.attachments
        slot.cell_type = owner.cell_type


def _put_back(slots: list[Slot], assignment: AssignmentNotebook, notices: list[str]) -> None:
    """Insert missing cells behind their predecessor in the instructor's order."""
    theirs = {cell["id"] for cell in assignment.nb["cells"] if not cell["id"].startswith(GENERATED_ID)}
    texts = {_plain(cell["source"]) for cell in assignment.nb["cells"]} - {""}
    present = {slot.owner.id for slot in slots if slot.owner}
    behind = 0
    for owner in assignment.cells:
        if owner.id not in present:
            is_test = owner.grade and not owner.solution
            while (
                is_test
                and behind < len(slots)
                and slots[behind].owner is None
                and slots[behind].cell_id not in theirs
                and _plain(slots[behind].source) not in texts
            ):
                behind += 1
            # an untouched answer graded by hand is known by its stub; code would only raise it
            source = "" if owner.solution and not owner.grade else owner.source
            slots.insert(behind, Slot(owner.cell_id, owner.cell_type, source, owner.attachments, owner))
            what = "an empty one was put" if owner.solution else "it was put back"
            notices.append(f"{_label(owner)} was missing: {what} in its place before grading.")
        behind = 1 + next(index for index, slot in enumerate(slots) if slot.owner is owner)


def _put_tests_behind_solutions(
    slots: list[Slot], assignment: AssignmentNotebook, notices: list[str]
) -> None:
    """Move each test cell that stands before the solution it tests."""
    solution: AssignmentCell | None = None
    previous: AssignmentCell | None = None
    by_id = {cell.id: cell for cell in assignment.cells}
    places = {slot.owner.id: slot for slot in slots if slot.owner}
    for owner in assignment.cells:
        if owner.solution and not owner.grade:
            solution = owner
        elif owner.grade and not owner.solution:
            tested = by_id.get(f"solution-{owner.id}", solution)
            slot = places[owner.id]
            if tested is not None and slots.index(slot) < slots.index(places[tested.id]):
                slots.remove(slot)
                anchors = [places[cell.id] for cell in (tested, previous) if cell is not None]
                slots.insert(1 + max(slots.index(anchor) for anchor in anchors), slot)
                notices.append(
                    f"{_label(owner)} stood before its solution cell: it was moved behind it before grading."
                )
            previous = owner
        if owner.solution:
            previous = None


def _make_ids_unique(slots: Sequence[Slot]) -> None:
    """The instructor's cells keep the instructor's ids, the others theirs where they are free."""
    taken: set[str] = set()
    for mine in (True, False):
        for slot in slots:
            if (slot.owner is not None) is mine:
                wish = slot.owner.cell_id if slot.owner else slot.cell_id
                slot.cell_id = unused_id(wish, taken)
                taken.add(slot.cell_id)
