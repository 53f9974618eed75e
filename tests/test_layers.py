"""Imports only go down: from a module to its own layer or a lower one, and never in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "autograder"

LAYERS: dict[int, tuple[str, ...]] = {
    0: ("errors", "models", "plain", "stages"),
    1: (
        "limits",
        "datasets",
        "samples",
        "layout",
        "config",
        "ipynb",
        "regions",
        "assignment",
        "restore",
        "notebook",
        "seeds",
    ),
    2: (
        "wire",
        "scoring",
        "thresholds",
        "predictive",
        "calibration",
        "submitted_files",
        "keys",
        "mutation",
        "devices",
        "affinity",
        "beside",
        "released",
        "credit",
    ),
    3: ("sandbox",),
    4: ("judge", "checks"),
    5: ("grading", "records", "outputs", "direct"),
    6: (
        *("display", "feedback_cells", "given", "feedback", "golden", "packing"),
        *(
            "nbgrader_models",
            "gradebook",
            "gradebook_db",
            "gradebook_files",
            "gradebook_rows",
            "gradebook_update",
        ),
        *("staging", "writing", "ledger", "exchanged", "lateness"),
        *("release", "release_files", "nbgrader_settings", "nbgrader_exchange"),
        *("calibration_files", "timeouts"),
        "lms",
    ),
    7: ("jobs", "workers", "resident", "schedule"),
    8: (
        *("batch", "commands", "checking", "upkeep", "differences", "regrade", "replay"),
        *("nbgrader_engine", "nbgrader_plugin", "setup_course"),
        *(
            "console",
            "profile",
            "tally",
            "demo",
            "fetching",
            "calibrate",
            "mutate",
            "cli",
            "__main__",
            "warming",
        ),
        *("platform_commands", "collecting", "exporting", "handout"),
    ),
}
"""Layer → modules and subpackages of ``autograder/`` (docs/architecture.md says what each is for).

``autograder`` itself has no layer: it only re-exports names lazily. Suites are outside: they import
``autograder``, ``autograder.checks`` and the judge.
"""

LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}


def modules() -> list[Path]:
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if "suites" not in path.parts and path != PACKAGE / "__init__.py"
    ]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in modules()}


def imported(path: Path, *, lazy: bool = True) -> set[str]:
    """Modules of this package that ``path`` imports; with ``lazy=False`` only those at import time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = (
        list(ast.walk(tree)) if lazy else [node for statement in tree.body for node in at_import(statement)]
    )
    found: set[str] = set()
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{anchor}.{base}".rstrip(".")
            found |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in NAMES else base for alias in node.names
            }
    return {name for name in found if name.split(".")[0] == "autograder" and name != "autograder"}


def at_import(statement: ast.stmt) -> list[ast.AST]:
    """The nodes of ``statement`` that run when the module is imported."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
        return []
    return list(ast.walk(statement))


def layer(name: str) -> int:
    return LAYER_OF[name.split(".")[1]]


def test_every_module_has_a_layer():
    present = {name.split(".")[1] for name in NAMES}
    assert present - set(LAYER_OF) == set()
    assert set(LAYER_OF) - present == set(), "the table names modules that are gone"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_only_go_down(path):
    mine = name_of(path)
    up = {other for other in imported(path) if layer(other) > layer(mine)}
    assert not up, f"{mine} (layer {layer(mine)}) imports {', '.join(sorted(up))}"


def test_no_imports_in_a_circle():
    graph = {name_of(path): imported(path, lazy=False) - {name_of(path)} for path in modules()}
    tuple(TopologicalSorter(graph).static_order())


def test_suites_know_the_judge_and_nothing_else_of_the_engine():
    for path in sorted((PACKAGE / "suites").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                top = (node.module or "").split(".")
                known = top[0] != "autograder" or top[1:2] in ([], ["checks"], ["judge"])
                assert known, f"{path.name} imports {node.module}"


def test_what_runs_beside_student_code_knows_nothing_of_the_judge():
    for path in sorted((PACKAGE / "sandbox").rglob("*.py")):
        assert all(layer(name) <= 3 for name in imported(path)), path.name
