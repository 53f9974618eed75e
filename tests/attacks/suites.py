"""Hostile values against the course's own suites: ``python -m tests.attacks.suites [ASSIGNMENT…]``.

Every function and class of a solved notebook gives the same odd value. None of the tasks may end as
``ENGINE_ERROR``: a check that an odd value breaks would have to be graded again and again.
"""

from __future__ import annotations

import ast
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder import config, golden
from autograder.models import NotebookResult, Outcome
from autograder.schedule import FileJob, Pool, Setup, device_of

__all__ = ["VALUES", "notebooks", "troubles"]

_ROOT = Path(__file__).resolve().parents[2]
VALUES = {
    "true": "True",
    "none": "None",
    "text": "'x\\x1b[2J'",
    "int": "10**30",
    "empty": "[]",
    "mapping": "{'a': None, 1: float('nan')}",
    "first": "(a or (None,))[0]",
    "scalar": "__import__('torch').zeros(())",
    "nan": "__import__('torch').full((3, 4), float('nan'))",
    "meta": "__import__('torch').zeros(3, 4, device='meta')",
    "complex": "__import__('torch').ones(2, 3, dtype=__import__('torch').complex64)",
    "none_of_all": "__import__('torch').zeros(0, 5)",
    "tuple": "(None, None)",
    "liar": "_Liar()",
}
_LIAR = """
class _Liar:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
    def __call__(self, *a, **k): return self
    def __len__(self): return 3
    def __iter__(self): return iter([self, self, self])
    def __getitem__(self, key): return self
"""


def notebooks(assignment: str, values: Sequence[str] = tuple(VALUES)) -> Iterator[tuple[str, bytes]]:
    """Solved notebooks in which every answer gives one of ``values``, by the name of the value."""
    course = config.load(_ROOT).course
    for name in values:
        cells = {
            key: f"{source}\n{_overridden(source, VALUES[name])}"
            for key, source in golden.right_answers(course, assignment).items()
            if _defined(source)
        }
        made = golden.Golden(name, assignment, "", "solution", None, cells, (), golden.Expected(), {})
        yield name, made.notebook_bytes(course)


def _defined(source: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # magics, or an answer in words
        return []
    return [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


def _overridden(source: str, value: str) -> str:
    lines = [f"def {name}(*a, **k):\n    return {value}" for name in _defined(source)]
    return "\n".join([_LIAR, *lines])


def troubles(result: NotebookResult) -> list[str]:
    """Checks that ended as the engine's fault."""
    found = [
        f"{check.id}: {(check.explanation.traceback if check.explanation else '')[-700:]}"
        for task in result.tasks
        for check in task.checks
        if check.outcome is Outcome.ENGINE_ERROR
    ]
    return found + ([result.message or "no score"] if result.score is None and not found else [])


def main(arguments: Sequence[str]) -> int:
    """Grade them all; the number of troubles is the exit status."""
    settings = config.load(_ROOT)
    names = list(arguments) or sorted(path.name for path in (_ROOT / "tests" / "golden").iterdir())
    setup = Setup(settings.course, tuple(names), settings.limits, device_of("cpu"), True, b"s" * 32)
    count = 0
    with tempfile.TemporaryDirectory() as folder, Pool(setup, 2) as pool:
        jobs = []
        for assignment in names:
            for name, data in notebooks(assignment):
                path = Path(folder) / f"{assignment}-{name}.ipynb"
                path.write_bytes(data)
                jobs.append(FileJob(assignment, path, seed=0))
        for job, result in pool.map(jobs):
            found = troubles(result)
            count += len(found)
            print(
                json.dumps([job.path.stem, result.score, f"{result.wall_s:.1f} s", found])[:3000], flush=True
            )
    return min(count, 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
