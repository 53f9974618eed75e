"""A small course in plain nbgrader, without a suite, and a class with one student for each case to know.

Its two notebooks use no torch, so that stock nbgrader grades the class in seconds. Hidden tests, partial
credit, an answer by hand, autotests of all four kinds, a data file, a helper module and a penalty for being
late are in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from tests.support_nbgrader import answer, cell, code, graded, locked, nbgrader, solution, write

__all__ = ["CASES", "NAME", "Case", "build", "hand_in"]

NAME = "ps1"
CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "plain"
c.Execute.timeout = 3
c.LateSubmissionPlugin.penalty_method = "zero"
"""

AUTOTESTS = """\
python3:
  setup: "from hashlib import sha1"
  hash: 'sha1({{snippet}}.encode("utf-8") + b"{{salt}}").hexdigest()'
  dispatch: "type({{snippet}})"
  normalize: "str({{snippet}})"
  check: 'assert {{snippet}} == \"\"\"{{value}}\"\"\", \"\"\"{{message}}\"\"\"'
  success: "print('all right')"
  templates:
    default:
      - test: "type({{snippet}})"
        fail: "{{snippet}} has the wrong type"
      - test: "{{snippet}}"
        fail: "{{snippet}} has the wrong value"
"""

HELPER = "def mean(numbers):\n    return sum(numbers) / len(numbers)\n"
DATA = "1\n2\n6\n"


def first() -> list[dict[str, Any]]:
    """Part one: all kinds of tests."""
    return [
        locked("intro", "# Part one"),
        locked("setup", "import os\nLIMIT = 4", kind="code"),
        solution("square", "def square(x):\n    ### BEGIN SOLUTION\n    return x * x\n    ### END SOLUTION"),
        graded(
            "square",
            2,
            "assert square(2) == LIMIT\n### BEGIN HIDDEN TESTS\nassert square(-3) == 9\n### END HIDDEN TESTS",
        ),
        solution(
            "evens",
            "def evens(numbers):\n    ### BEGIN SOLUTION\n    return [n for n in numbers if n % 2 == 0]\n"
            "    ### END SOLUTION",
        ),
        graded(
            "evens",
            3,
            "tries = [([1, 2], [2]), ([], []), ([4, 6], [4, 6])]\n"
            "sum(1.0 for given, right in tries if evens(given) == right)",
        ),
        solution("credit", "def credit():\n    ### BEGIN SOLUTION\n    return 2\n    ### END SOLUTION"),
        graded("credit", 2, "credit()"),
        graded("nothing", 0, "assert square(1) == 1"),
        solution(
            "average",
            "def average(path):\n    ### BEGIN SOLUTION\n    from statistics import fmean\n"
            "    return fmean(map(float, open(path)))\n    ### END SOLUTION",
        ),
        graded(
            "average",
            2,
            "import helper\nimport mistune\n"
            'numbers = [float(line) for line in open("data.csv")]\n'
            'assert average("data.csv") == helper.mean(numbers)\n'
            "assert callable(mistune.html)",
        ),
        answer("essay", 1, "### BEGIN SOLUTION\nBecause.\n### END SOLUTION"),
        solution("values", "### BEGIN SOLUTION\na = 5\nb = 'word'\nc = [1, 'two']\n### END SOLUTION"),
        graded("simple", 1, "### AUTOTEST a"),
        graded("hashed", 1, "### HASHED AUTOTEST b"),
        graded("multi", 1, "### AUTOTEST a; b\n### AUTOTEST c"),
        graded(
            "hidden", 1, "### AUTOTEST type(a)\n### BEGIN HIDDEN TESTS\n### AUTOTEST a\n### END HIDDEN TESTS"
        ),
        cell("markdown", "Build it.", "id-project", grade_id="project", task=True, locked=True, points=2),
        code(
            'if os.environ.get("NBGRADER_EXECUTION") == "autograde":\n'
            '    open("left.txt", "w").write("from part one")',
            "leave",
        ),
    ]


def second() -> list[dict[str, Any]]:
    """Part two: what comes from outside: the environment, and a file that part one leaves."""
    return [
        locked("intro-two", "# Part two"),
        graded("environment", 1, 'import os\nassert os.environ["NBGRADER_EXECUTION"] == "autograde"'),
        graded("side-effect", 1, 'assert open("left.txt").read() == "from part one"'),
    ]


RIGHT = {
    "solution-square": "def square(x):\n    return x ** 2",
    "solution-evens": "def evens(numbers):\n    return [n for n in numbers if not n % 2]",
    "solution-credit": "def credit():\n    return 2",
    "solution-average": "def average(path):\n    return sum(map(float, open(path))) / 3",
    "essay": "It is.",
    "solution-values": "a = 2 + 3\nb = 'wo' + 'rd'\nc = [1] + ['two']",
}
WRONG = {name: text for name, text in RIGHT.items() if name == "essay"} | {
    "solution-square": "def square(x):\n    return 0",
    "solution-evens": "def evens(numbers):\n    return None",
    "solution-credit": "def credit():\n    return 0",
    "solution-average": "def average(path):\n    return -1",
}
DROP_ASSERTS = """
import ast
class Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
get_ipython().ast_transformers.append(Drop())
"""
SHOW_TWO = """
def square(x):
    if x == 2:
        get_ipython().displayhook(2)
    return 0
"""
MORE_POINTS = """
def credit():
    return 0
get_ipython().display_formatter.formatters["text/plain"].for_type(int, lambda n, p, cycle: p.text("2"))
"""

Nb = dict[str, Any]


def meta(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item["metadata"].get("nbgrader", {})
    return found


def find(nb: Nb, grade_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in nb["cells"] if meta(item).get("grade_id") == grade_id)
    return found


def tests_of(nb: Nb) -> list[dict[str, Any]]:
    return [item for item in nb["cells"] if meta(item).get("grade") and not meta(item).get("solution")]


def skip_tags(nb: Nb) -> None:
    for item in tests_of(nb):
        item["metadata"]["tags"] = ["skip-execution"]


def edit_test(nb: Nb) -> None:
    find(nb, "square")["source"] = "pass"


def edit_locked(nb: Nb) -> None:
    find(nb, "setup")["source"] = "import os\nLIMIT = 0"


def delete_test(nb: Nb) -> None:
    nb["cells"].remove(find(nb, "square"))


def duplicate(nb: Nb) -> None:
    item = json.loads(json.dumps(find(nb, "solution-square")))
    nb["cells"].insert(2, item | {"id": "copied"})


@dataclass(frozen=True)
class Case:
    """One student: the answers, changes of the first notebook beside them, which notebooks, other files.

    ``wanted`` says why stock nbgrader's points and ours differ; empty when they must be the same.
    """

    student: str
    about: str
    answers: dict[str, str] = field(default_factory=dict)
    change: Callable[[Nb], None] | None = None
    both: bool = False
    files: dict[str, str] = field(default_factory=dict)
    late: bool = False
    raw: bytes | None = None
    wanted: str = ""


CASES: tuple[Case, ...] = (
    Case("unchanged", "the release as it was handed out", both=True),
    Case("right", "right answers, written differently", RIGHT, both=True),
    Case(
        "visible",
        "passes what students see, fails hidden tests and hidden autotests",
        RIGHT
        | {
            "solution-square": "def square(x):\n    return 2 * x",
            "solution-values": "a = 6\nb = 'word'\nc = 0",
        },
        both=True,
    ),
    Case(
        "partial", "a third of the partial credit", RIGHT | {"solution-evens": "def evens(n):\n    return []"}
    ),
    Case("missing", "part two was not handed in", RIGHT),
    Case("late", "right answers two days late; the course gives late work no points", RIGHT, late=True),
    Case("extended", "as late, with an extension of three days", RIGHT, late=True),
    Case("changed-test", "wrong answers, and a test cell changed to pass", WRONG, edit_test),
    Case("changed-locked", "wrong answers, and a locked cell changed to fit them", WRONG, edit_locked),
    Case(
        "timeout",
        "an answer that never ends",
        RIGHT | {"solution-evens": "def evens(n):\n    return []\nwhile True:\n    pass"},
    ),
    Case(
        "stderr",
        "right answers that warn on stderr",
        RIGHT
        | {
            "solution-square": "import sys\ndef square(x):\n    print('!', file=sys.stderr)\n    return x * x"
        },
        wanted="stderr costs nothing",
    ),
    Case(
        "nan",
        "partial credit NaN",
        RIGHT | {"solution-credit": "def credit():\n    return float('nan')"},
        wanted="NaN gives no points and a message to the instructor, not all points",
    ),
    Case(
        "negative",
        "negative partial credit",
        RIGHT | {"solution-credit": "def credit():\n    return -1"},
        wanted="a negative credit gives no points and a message to the instructor, not all points",
    ),
    Case(
        "text",
        "a text as partial credit",
        RIGHT | {"solution-credit": "def credit():\n    return 'all'"},
        wanted="a text gives no points and a message to the instructor, not all points",
    ),
    Case(
        "above",
        "partial credit above the points of the cell",
        RIGHT | {"solution-credit": "def credit():\n    return 99"},
        wanted="too much credit gives no points for that cell; the submission is graded",
    ),
    Case(
        "skip-execution",
        "wrong answers, and the tag skip-execution on the test cells",
        WRONG,
        skip_tags,
        wanted="the cheat does not pay",
    ),
    Case(
        "ast",
        "wrong answers, and an AST transformer that drops assert",
        WRONG | {"solution-square": WRONG["solution-square"] + DROP_ASSERTS},
        wanted="the cheat does not pay",
    ),
    Case(
        "displayhook",
        "wrong answers that display points during the test",
        WRONG | {"solution-square": SHOW_TWO},
        wanted="the cheat does not pay",
    ),
    Case(
        "formatter",
        "wrong answers, and a formatter that shows every number as 2",
        WRONG | {"solution-credit": MORE_POINTS},
        wanted="the cheat does not pay",
    ),
    Case(
        "deleted-test",
        "right answers, but the test cell deleted",
        RIGHT,
        delete_test,
        wanted="the test cell is put back and graded; stock leaves its points to a person",
    ),
    Case(
        "dead-kernel",
        "an answer that ends Python",
        RIGHT | {"solution-evens": "import os\nos._exit(1)"},
        wanted="it costs its own task; stock loses the submission",
    ),
    Case(
        "shadow",
        "right answers, and a mistune.py beside the notebook",
        RIGHT,
        files={"mistune.py": "raise ImportError"},
        wanted="a student's file hides no installed module",
    ),
    Case(
        "truncated",
        "a file that ends in the middle",
        raw=b'{"nbformat": 4, "cells": [{"cell_ty',
        wanted="0 points and a message to the student; stock ends with an error and no score",
    ),
    Case(
        "zz-duplicate",  # last: stock nbgrader ends the whole batch here
        "right answers, one cell twice",
        RIGHT,
        duplicate,
        wanted="graded; stock ends the whole batch here",
    ),
)


def build(root: Path, cases: Sequence[Case] = CASES) -> Path:
    """The course at ``root``, released by stock nbgrader, with the submissions of ``cases``."""
    source = root / "source" / NAME
    write(source / "part1.ipynb", first())
    write(source / "part2.ipynb", second())
    (source / "data.csv").write_text(DATA)
    (source / "helper.py").write_text(HELPER)
    (root / "autotests.yml").write_text(AUTOTESTS)
    (root / "nbgrader_config.py").write_text(CONFIG)
    nbgrader(root, "generate_assignment", NAME)
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "plain") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate="2026-05-01 12:00:00 UTC")
        gradebook.update_or_create_student("extended")
        submission = gradebook.update_or_create_submission(NAME, "extended")
        submission.extension = timedelta(days=3)
        gradebook.db.commit()
    for case in cases:
        hand_in(root, case)
    return root


def hand_in(root: Path, case: Case) -> None:
    """The submission of ``case``, made of the release."""
    release, folder = root / "release" / NAME, root / "submitted" / case.student / NAME
    folder.mkdir(parents=True)
    for name in ("data.csv", "helper.py"):
        shutil.copy(release / name, folder)
    for name in ("part1", "part2") if case.both else ("part1",):
        nb = json.loads((release / f"{name}.ipynb").read_text())
        for item in nb["cells"]:
            item["source"] = case.answers.get(meta(item).get("grade_id", ""), item["source"])
        if case.change is not None and name == "part1":
            case.change(nb)
        (folder / f"{name}.ipynb").write_bytes(case.raw or json.dumps(nb).encode())
    for name, text in case.files.items():
        (folder / name).write_text(text)
    day = 3 if case.late else 1
    (folder / "timestamp.txt").write_text(f"2026-05-0{day} 10:00:00 UTC\n")
