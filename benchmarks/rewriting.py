"""The same answer as another student would have typed it: other names, another order, other comments.

What a cell computes stays as it is. Renamed are variables inside functions, never arguments (tests pass them
by name) nor anything that a cell leaves behind; functions of one cell that do not need each other at
definition time change places; layout and comments are new.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable

__all__ = ["code_of", "module_names", "rewritten"]

_WORDS = tuple(
    """
    acc batch block buf centre chunk cols counts cur diff dim_size ergebnis factor first flat found hits idx
    inner item keep last left length lhs local mask mine n_rows new nxt num offset order outer part pos prev
    probe q ratio rest rhs right rows run scale score seq side size slot span start state step store summe sz
    temp term tmp total unit upper val values vec w wert width work zahl zs
    """.split()  # noqa: SIM905  (a word list reads better)
)
_COMMENTS = (
    "ok this works now",
    "see slides",
    "TODO ask in the tutorial whether this is enough",
    "first attempt was wrong, see above",
    "checked with the example by hand",
    "shape!",
    "careful: dtype",
    "not sure why, but without it the test fails",
    "as in the lecture",
    "same as before",
    "hope this is right",
    "works on my laptop",
    "one line would do, but this way I can read it",
    "tested with a batch of one",
)
_OPAQUE = frozenset({"eval", "exec", "globals", "locals", "vars", "dir"})
"""A function that calls one of these can see the names of its variables."""


def code_of(sources: Iterable[str]) -> str:
    """The code of cells without comments and layout: equal for cells that differ in nothing else."""
    parts = []
    for source in sources:
        try:
            parts.append(ast.dump(ast.parse(source)))
        except SyntaxError:
            parts.append(source)
    return "\n".join(parts)


def module_names(sources: Iterable[str]) -> frozenset[str]:
    """Every name that occurs anywhere in these cells: a new variable must not take one of them."""
    found: set[str] = set()
    for source in sources:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            for field in ("id", "name", "arg", "attr", "asname"):
                value = getattr(node, field, None)
                if isinstance(value, str):
                    found.update(value.split("."))
    return frozenset(found)


def rewritten(source: str, rng: random.Random, taken: frozenset[str]) -> str:
    """``source`` in another student's words; ``taken`` are names that no new variable may have.

    A cell that is no plain Python (a magic, a syntax error) only gets a comment.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return f"{source}\n# {rng.choice(_COMMENTS)}"
    outside = _module_level(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            _rename(node, rng, taken, outside)
    _reorder(tree, rng)
    return _commented(ast.unparse(tree), rng)


def _module_level(tree: ast.Module) -> frozenset[str]:
    names = set()
    for statement in tree.body:
        inside = isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for node in [statement] if inside else ast.walk(statement):
            value = getattr(node, "name", None) or getattr(node, "id", None)
            if isinstance(value, str):
                names.add(value)
    return frozenset(names)


def _functions(node: ast.AST) -> list[ast.FunctionDef]:
    """The outermost functions in ``node``: itself, or the methods of a class."""
    if isinstance(node, ast.FunctionDef):
        return [node]
    return [found for child in ast.iter_child_nodes(node) for found in _functions(child)]


def _rename(node: ast.AST, rng: random.Random, taken: frozenset[str], outside: frozenset[str]) -> None:
    for function in _functions(node):
        names = sorted(_variables(function) - outside)
        used = set(taken) | set(names)
        new = {}
        for name in names:
            if rng.random() < 0.25:
                continue
            fresh = rng.choice(_WORDS)
            while fresh in used:
                fresh = f"{rng.choice(_WORDS)}{rng.choice(('', '_'))}{rng.randrange(1, 100)}"
            used.add(fresh)
            new[name] = fresh
        for part in ast.walk(function):
            if isinstance(part, ast.Name) and part.id in new:
                part.id = new[part.id]


def _variables(function: ast.FunctionDef) -> set[str]:
    """Names that are bound by plain assignment inside ``function`` and in no other way.

    All their occurrences can be renamed at once: no scope in it binds such a name as an argument, by an
    import, as a function, class or exception, or declares it global, and no class body makes an attribute of
    it.
    """
    stored: set[str] = set()
    other: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                stored.add(name)
            case ast.Name(id=name) if name in _OPAQUE:
                return set()
            case ast.arg(arg=name) | ast.FunctionDef(name=name):
                other.add(name)
            case ast.ClassDef() | ast.Match():
                return set()
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                other.update(names)
            case ast.ExceptHandler(name=str(name)):
                other.add(name)
            case ast.alias(name=name, asname=asname):
                other.add((asname or name).split(".")[0])
    return stored - other


def _reorder(tree: ast.Module, rng: random.Random) -> None:
    """Shuffle each run of neighbouring plain functions."""
    body, start = tree.body, 0
    while start < len(body):
        end = start
        while end < len(body) and _movable(body[end]):
            end += 1
        names = [item.name for item in body[start:end] if isinstance(item, ast.FunctionDef)]
        if len(names) > 1 and len(set(names)) == len(names):
            run = body[start:end]
            rng.shuffle(run)
            body[start:end] = run
        start = end + 1


def _movable(statement: ast.stmt) -> bool:
    """A function whose definition needs nothing that stands beside it."""
    if not isinstance(statement, ast.FunctionDef) or statement.decorator_list:
        return False
    arguments = statement.args
    return all(
        isinstance(node, ast.Constant) for node in (*arguments.defaults, *arguments.kw_defaults) if node
    )


def _commented(source: str, rng: random.Random) -> str:
    """``source`` with a few comments above statements, and here and there an empty line."""
    starts = {
        node.lineno: node.col_offset for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)
    }
    lines = []
    for number, line in enumerate(source.split("\n"), 1):
        if number in starts and line[: starts[number]].strip() == "" and rng.random() < 0.2:
            lines.append(f"{' ' * starts[number]}# {rng.choice(_COMMENTS)}")
        lines.append(line)
    return "\n".join(lines)
