"""From the source of a solution cell to its mutants."""

from __future__ import annotations

import ast
import difflib
import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst

from autograder.errors import UsageError
from autograder.mutation import expressions, statements

__all__ = ["Mutant", "changed_lines", "mutants", "solution"]

_MARKERS = ("BEGIN SOLUTION", "END SOLUTION")
_AS_THEY_ARE = (cst.Annotation, cst.Global, cst.Import, cst.ImportFrom, cst.Nonlocal, cst.Raise)
_OPERATORS = (*expressions.OPERATORS, *statements.OPERATORS)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed solution cell. ``id`` names task, operator, the number among those of this operator in the
    task, and the text: ``affine:matmul_to_mul:1:3fb0c2``. ``original`` is the unchanged cell."""

    id: str
    task: str
    operator: str
    original: str
    source: str

    @property
    def lines(self) -> tuple[str, str]:
        """The changed lines, before and after: see :func:`changed_lines`."""
        return changed_lines(self.original, self.source)

    @property
    def diff(self) -> str:
        """Unified diff of the cell."""
        old, new = self.original.splitlines(), self.source.splitlines()
        lines = difflib.unified_diff(old, new, f"solution-{self.task}", self.id, lineterm="", n=2)
        return "\n".join(lines)


def solution(source: str) -> str:
    """``source`` without the lines that mark its solution regions."""
    lines = source.split("\n")
    return "\n".join(line for line in lines if not any(marker in line for marker in _MARKERS))


def changed_lines(old: str, new: str) -> tuple[str, str]:
    """The lines of ``old`` that are not in ``new`` and the other way round, without indentation."""
    before = [line.strip() for line in old.split("\n")]
    after = [line.strip() for line in new.split("\n")]
    removed, added = [], []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            removed += before[start:end]
            added += after[new_start:new_end]
    return "\n".join(removed), "\n".join(added)


def mutants(task: str, source: str) -> list[Mutant]:
    """The mutants of the solution cell ``source`` of ``task``, in the order of its text.

    :raises UsageError: the cell is no plain Python.
    """
    original = solution(source)
    try:
        module = cst.parse_module(original)
    except cst.ParserSyntaxError as error:
        raise UsageError(f"the solution cell of {task} is not plain Python: {error.message}") from None
    seen, numbers = {_meaning(original)}, Counter[str]()
    found = []
    for operator, node, new in _changes(module):
        mutated = _applied(module, node, new)
        meaning = _meaning(mutated)
        if meaning is None or meaning in seen:
            continue
        seen.add(meaning)
        numbers[operator] += 1
        digest = hashlib.sha256(mutated.encode()).hexdigest()[:6]
        found.append(
            Mutant(f"{task}:{operator}:{numbers[operator]}:{digest}", task, operator, original, mutated)
        )
    return found


def _applied(module: cst.Module, node: cst.CSTNode, new: cst.CSTNode) -> str:
    """The text with ``new`` in the place of ``node``; not Python when that cannot be."""
    try:
        result: Any = new if node is module else module.deep_replace(node, new)
        return str(result.code)
    except (cst.CSTValidationError, TypeError, AttributeError):
        return "?"


def _meaning(source: str) -> str | None:
    """What tells two programs apart: not layout, comments, docstrings or ``pass``. None where there is no
    program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `1 is x` and its like
            compile(source, "<mutant>", "exec", dont_inherit=True)
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(
            node, (ast.FunctionDef, ast.ClassDef, ast.With, ast.For, ast.While, ast.If, ast.Module)
        ):
            node.body = [statement for statement in node.body if not _is_idle(statement)]
    return ast.dump(tree)


def _is_idle(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    return isinstance(statement, ast.Pass)


def _changes(node: cst.CSTNode) -> Iterator[tuple[str, cst.CSTNode, cst.CSTNode]]:
    """(operator, node, new node) for ``node`` and all below."""
    if _prints(node):
        return
    for kind, operator in _OPERATORS:
        if isinstance(node, kind):
            for name, new in operator(node):
                yield name, node, new
    for child in _below(node):
        yield from _changes(child)


def _below(node: cst.CSTNode) -> Sequence[cst.CSTNode]:
    """The children of ``node`` that may change: no annotations, imports, docstrings, and no texts that are
    there to be read."""
    if isinstance(node, _AS_THEY_ARE):
        return ()
    if isinstance(node, cst.Assert):
        return (node.test,)
    if isinstance(node, cst.FormattedStringExpression):
        return (node.expression,)
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.BaseString):
        return ()
    return node.children


def _prints(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Expr):
        node = node.value
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "print"
