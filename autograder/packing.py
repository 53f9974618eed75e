"""Many wrong golden submissions graded for the price of few: one of each task, laid over one solution.

A wrong golden submission patches one solution cell and demands two things: exactly these points and this
mistake in its own task, and full marks everywhere else. Alone it costs a whole notebook, of which all but
one task is the right answer once more. :func:`pack` lays wrong answers to different tasks together. From
a graded :class:`Pack` follows what its members demand:

- *Its own task*: :meth:`Pack.compare` demands of it what the member states, with the comparison of the
  member itself.
- *Full marks elsewhere*: a wrong answer reaches another task only through what its cell and its test cell
  leave behind in the sandbox, since checks run in copies that are thrown away. A task without a member in
  the pack must have full marks, as before. A task with one must get exactly the points and the mistake of
  that member: what another member left behind stays unseen only if it breaks no check but those that fail
  anyway. Names, the ordinary way to break anything, are ruled out beforehand: a member's cell does nothing
  but define names, and none that the right or the wrong answer to another member's task defines or reads.

A difference convicts nobody: :func:`differences` grades the members of that pack alone, and these verdicts
count. The other way round a pack is too kind only to an answer that changes the process (a seed, a default
of torch) so that exactly the failing checks of its neighbours fail; ``pytest --unpacked`` grades every golden
submission alone.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autograder.golden import Golden
from autograder.layout import Course
from autograder.models import NotebookResult
from autograder.scoring import notebook_totals

__all__ = ["Names", "Pack", "differences", "names", "pack", "task_of"]


@dataclass(frozen=True, slots=True)
class Names:
    """What a cell has to do with others: the names that it ``binds`` and those that it ``reads`` and does
    not bind itself."""

    binds: frozenset[str]
    reads: frozenset[str]

    def disturbs(self, other: Names) -> bool:
        """Whether ``other`` reads or binds a name that this cell binds."""
        return bool(self.binds & (other.binds | other.reads))

    def __or__(self, other: Names) -> Names:
        return Names(self.binds | other.binds, (self.reads | other.reads) - self.binds - other.binds)


@dataclass(frozen=True, slots=True)
class Pack:
    """Wrong answers to different tasks in one notebook; ``members`` by task."""

    name: str
    members: Mapping[str, Golden]

    def notebook_bytes(self, course: Course) -> bytes:
        """The notebook file with the cells of all members."""
        cells = {key: source for member in self.members.values() for key, source in member.cells.items()}
        some = next(iter(self.members.values()))
        return replace(some, name=self.name, cells=cells).notebook_bytes(course)

    def compare(self, result: NotebookResult) -> dict[str, list[str]]:
        """How ``result`` differs from what each member expects: lines by the member's name, none where it
        does not. A task of nobody's that lost points is a difference of every member."""
        found = {
            member.name: member.compare(self._alone(task, result)) for task, member in self.members.items()
        }
        return {name: lines for name, lines in found.items() if lines}

    def _alone(self, task: str, result: NotebookResult) -> NotebookResult:
        """``result`` as it would be if the other members had not lost anything in their tasks."""
        others = self.members.keys() - {task}
        tasks = tuple(
            replace(other, score=other.max_score, checks=()) if other.id in others else other
            for other in result.tasks
        )
        score, max_score = notebook_totals(tasks)
        return replace(result, tasks=tasks, score=score, max_score=max_score)


def task_of(item: Golden) -> str | None:
    """The task that ``item`` is a plain wrong answer to, one that may share a notebook; None for any other.

    Such a one patches the solution cell of one task of the solution, states points of this task and nothing
    about others, nor about the submission as a whole but its score, and needs no limits of its own.
    """
    expected = item.expected
    if item.base != "solution" or len(item.cells) != 1 or item.inserts or item.limit_changes:
        return None
    ((task, source),) = item.cells.items()
    about_others = {*expected.mistakes, *expected.messages} - {task}
    if set(expected.tasks) != {task} or about_others or expected.outcome is not None or expected.message:
        return None
    return task if names(source) is not None else None


def names(source: str) -> Names | None:
    """The names of a cell that does nothing but define some; None for any other cell."""
    try:
        tree = ast.parse(source)
        table = symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError):  # ValueError: a null byte
        return None
    if not all(map(_defines, tree.body)):
        return None
    binds, reads = set(), set()
    for scope, symbol in _symbols(table):
        outside = scope is table or symbol.is_global()
        if outside and symbol.is_referenced():
            reads.add(symbol.get_name())
        if outside and (symbol.is_assigned() or symbol.is_imported()):
            binds.add(symbol.get_name())
    return Names(frozenset(binds), frozenset(reads - binds))


def _defines(statement: ast.stmt) -> bool:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=targets):
            return all(isinstance(target, ast.Name) for target in targets)
        case ast.AnnAssign(target=target):
            return isinstance(target, ast.Name)
        case ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def _symbols(table: symtable.SymbolTable) -> Iterable[tuple[symtable.SymbolTable, symtable.Symbol]]:
    for symbol in table.get_symbols():
        yield table, symbol
    for child in table.get_children():
        yield from _symbols(child)


def pack(goldens: Sequence[Golden], right: Mapping[str, str]) -> tuple[list[Pack], list[Golden]]:
    """Packs of ``goldens``, and those that are graded alone, both in a fixed order.

    ``right`` is the source of each solution cell by the name that ``[cells]`` gives it. Of an assignment
    whose largest task has n wrong answers there are about n packs.
    """
    known = {key: found for key, source in right.items() if (found := names(source)) is not None}
    groups: list[dict[str, Golden]] = []
    alone: list[Golden] = []
    used: list[dict[str, Names]] = []
    for item in goldens:
        task = task_of(item)
        if task is None or task not in known:
            alone.append(item)
            continue
        mine = names(item.cells[task])
        assert mine is not None
        both = mine | known[task]
        for group, cells in zip(groups, used, strict=True):
            if task not in group and not any(both.disturbs(c) or c.disturbs(both) for c in cells.values()):
                break
        else:
            group, cells = {}, {}
            groups.append(group)
            used.append(cells)
        group[task], cells[task] = item, both
    alone += [item for group in groups if len(group) == 1 for item in group.values()]
    shared = [group for group in groups if len(group) > 1]
    return [Pack(f"pack-{number:03}", group) for number, group in enumerate(shared, 1)], alone


Grade = Callable[[Sequence[Golden | Pack]], Mapping[str, NotebookResult]]
"""Results by name."""


def differences(
    goldens: Sequence[Golden], right: Mapping[str, str], grade: Grade, *, packed: bool = True
) -> dict[str, list[str]]:
    """How the results of ``goldens`` differ from what they expect: lines by name, none where they do not.

    When a pack differs, all its members are graded alone, and these verdicts count: the one that is wrong
    need not be the one that it shows at. ``packed=False`` grades all alone.
    """
    packs, alone = pack(goldens, right) if packed else ([], list(goldens))
    results = grade([*packs, *alone])
    suspects = {
        member.name for item in packs if item.compare(results[item.name]) for member in item.members.values()
    }
    again = [item for item in goldens if item.name in suspects]
    results = {**results, **(grade(again) if again else {})}
    found = {item.name: item.compare(results[item.name]) for item in [*alone, *again]}
    return {name: lines for name, lines in found.items() if lines}
