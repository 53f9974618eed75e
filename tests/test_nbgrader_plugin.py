"""One class, graded by stock nbgrader, by nbgrader with our settings, and by ``autograder grade``.

Every difference from stock is one that is wanted and stands in ``docs/nbgrader.md``; the two ways of ours
leave the same rows and files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autograder import cli, setup_course
from tests.plain_course import CASES, NAME, Case, build
from tests.support_nbgrader import REPOSITORY, graded, nbgrader, notebook, solution
from tests.test_gradebook import TABLES

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own add_submission

PAGE = REPOSITORY / "docs" / "nbgrader.md"
SCORES = """
select c.name, g.auto_score, b.id, coalesce(b.late_submission_penalty, 0) from grade g
join base_cell c on c.id = g.cell_id join submitted_notebook b on b.id = g.notebook_id
join submitted_assignment s on s.id = b.assignment_id where s.student_id = ?"""


@dataclass(frozen=True)
class Run:
    """One graded copy of the course, and what the command said."""

    root: Path
    code: int
    said: str

    def score(self, student: str) -> str:
        """The student's points without what is graded by hand, as the page says them."""
        if not (self.root / "autograded" / student / NAME / "part1.ipynb").is_file():
            return "fails"
        with closing(sqlite3.connect(self.root / "gradebook.db")) as database:
            rows = database.execute(SCORES, (student,)).fetchall()
        waiting = [name for name, auto, _, _ in rows if auto is None and name not in ("essay", "project")]
        penalty = sum(dict((notebook, penalty) for _, _, notebook, penalty in rows).values())
        points = f"{sum(auto or 0.0 for _, auto, _, _ in rows) - penalty:g}"
        return f"{points}, {', '.join(waiting)} by hand" if waiting else points

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        with closing(sqlite3.connect(self.root / "gradebook.db")) as database:
            return {table: sorted(database.execute(query), key=repr) for table, query in TABLES.items()}

    def lines(self, student: str) -> list[str]:
        """What the command said of this student's notebooks."""
        return re.findall(rf"(?:WARNING|ERROR)\] ({student}/part.*)", self.said)


def started(root: Path, *command: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    with (root / "said.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=root, env=environment, stdout=log, stderr=log, text=True
        )


def ended(root: Path, process: subprocess.Popen[str]) -> Run:
    code = process.wait(300)
    return Run(root, code, (root / "said.txt").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Stock, plugin and bulk; the first beside the others, since it mostly waits for its kernels."""
    course = build(tmp_path_factory.mktemp("plain"))
    roots = {name: tmp_path_factory.mktemp(name) for name in ("stock", "plugin", "bulk")}
    for root in roots.values():
        shutil.copytree(course, root, dirs_exist_ok=True)
    assert setup_course.run(roots["plugin"]) == 0
    stock = started(roots["stock"], "nbgrader", "autograde", NAME)
    plugin = ended(roots["plugin"], started(roots["plugin"], "nbgrader", "autograde", NAME))
    bulk = ended(roots["bulk"], started(roots["bulk"], "autograder", "grade", NAME))
    return {"stock": ended(roots["stock"], stock), "plugin": plugin, "bulk": bulk}


def rows() -> dict[str, list[str]]:
    """The table of the page, by the student's name."""
    section = PAGE.read_text(encoding="utf-8").split("## The same class, graded by both")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_page_has_every_case_and_no_other() -> None:
    assert list(rows()) == [case.student for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.student)
def test_points_are_those_on_the_page_and_differ_only_where_that_is_wanted(
    case: Case, runs: dict[str, Run]
) -> None:
    stock, plugin, bulk = (runs[name].score(case.student) for name in ("stock", "plugin", "bulk"))
    assert plugin == bulk
    assert rows()[case.student] == [case.about, stock, bulk, case.wanted]
    assert (stock != bulk) is bool(case.wanted), runs["plugin"].said[-3000:]


def test_both_ways_leave_the_same_rows(runs: dict[str, Run]) -> None:
    plugin, bulk = runs["plugin"].tables(), runs["bulk"].tables()
    for table, expected in bulk.items():
        assert len(expected) >= len(CASES)
        assert plugin[table] == expected, table


def test_both_ways_leave_the_same_files(runs: dict[str, Run]) -> None:
    def files(root: Path) -> dict[str, Any]:
        found = {}
        for path in sorted((root / "autograded").rglob("*")):
            if path.is_file():
                content: Any = path.read_bytes()
                if path.suffix == ".ipynb":
                    content = (oct(path.stat().st_mode), json.loads(content))
                found[str(path.relative_to(root))] = content
        return found

    plugin, bulk = files(runs["plugin"].root), files(runs["bulk"].root)
    assert list(plugin) == list(bulk)
    for name, content in bulk.items():
        assert plugin[name] == content, name


def test_nobody_is_lost_and_each_trouble_is_said_once(runs: dict[str, Run]) -> None:
    """One broken submission of each kind in one class: the others are graded as if it were not there."""
    plugin = runs["plugin"]
    assert plugin.code == 0 and runs["bulk"].code == 0
    assert plugin.said.count("Traceback") == 0
    expected = {
        "right": "",
        "stderr": "",
        "shadow": "",
        "skip-execution": "",
        "ast": "",
        "changed-test": "Test cell 'square' had been changed: it was restored",
        "changed-locked": "Read-only cell 'setup' had been changed: it was restored",
        "deleted-test": "Test cell 'square' was missing: it was put back",
        "zz-duplicate": "'solution-square' exists 2 times: only the last one counts",
        "dead-kernel": "was left out: the Python process ended itself",
        "truncated": "the file ends in the middle",
        "nan": "gave 'nan', which is no number of points from 0 to 2",
        "negative": "gave '-1', which is no number of points from 0 to 2",
        "text": "gave \"'all'\", which is no number of points from 0 to 2",
        "above": "gave '99', which is no number of points from 0 to 2",
    }
    for student, text in expected.items():
        lines = plugin.lines(student)
        assert len(lines) == bool(text), lines
        assert text in "".join(lines)


def test_a_broken_credit_is_told_to_the_instructor_by_the_bulk_way_too(runs: dict[str, Run]) -> None:
    for student in ("nan", "negative", "text", "above"):
        assert (
            len(re.findall(rf"{student}/part1, test cell credit: .* For instructors: ", runs["bulk"].said))
            == 1
        )


def test_an_engine_that_fails_keeps_the_scores_and_says_why(runs: dict[str, Run]) -> None:
    root = runs["plugin"].root
    before = runs["plugin"].tables()
    secret = root / ".autograder" / "secret"
    good = secret.read_bytes()
    secret.write_bytes(b"short")
    try:
        failed = ended(root, started(root, "nbgrader", "autograde", NAME, "--student", "right", "--force"))
    finally:
        secret.write_bytes(good)
    assert failed.code == 1
    (line,) = failed.lines("right")
    assert "was not graded, its scores stay as they were" in line and "delete it to get a new one" in line
    assert Run(root, 0, "").tables() == before


def test_hidden_tests_are_in_no_autograded_notebook(runs: dict[str, Run]) -> None:
    for path in (runs["plugin"].root / "autograded").rglob("*.ipynb"):
        assert "square(-3)" not in path.read_text()


SCRIPT = """
from multiprocessing import active_children
from pathlib import Path
from nbgrader.apps import NbGraderAPI
from autograder.nbgrader_settings import load

config = load(Path.cwd())
config.CourseDirectory.root = str(Path.cwd())
api = NbGraderAPI(config=config)
for student in ("right", "nan"):
    done = api.autograde("ps1", student)
    assert done["success"], done
    print("judges", [child.pid for child in active_children()])
"""


def test_a_script_with_nbgrader_s_api_has_one_judge_that_ends_with_it(runs: dict[str, Run]) -> None:
    root = runs["plugin"].root
    before = runs["plugin"].tables()
    (root / "run_all.py").write_text(SCRIPT)  # without a guard around its main part, as one writes it
    done = ended(root, started(root, "run_all"))
    assert done.code == 0, done.said
    judges = re.findall(r"judges \[(\d+)\]", done.said)
    assert len(judges) == 2 and len(set(judges)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(judges[0]), 0)
    assert Run(root, 0, "").tables() == before


def test_a_notebook_in_another_language_is_run_by_nbgrader_itself_with_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {"name": "octave", "display_name": "Octave", "language": "octave"}
    kernel = tmp_path / "jupyter" / "kernels" / "octave" / "kernel.json"
    kernel.parent.mkdir(parents=True)  # Python behind it: what counts is what nbgrader is told
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({**spec, "argv": argv}))
    known = [str(tmp_path / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
    monkeypatch.setenv("JUPYTER_PATH", os.pathsep.join(filter(None, known)))
    cells = [
        solution("a", "### BEGIN SOLUTION\na = 1\n### END SOLUTION"),
        graded("a", 2, "assert a == 1\nprint(__import__('os').environ['HOME'])"),
    ]
    for folder in ("source/ps2", "submitted/ada/ps2"):
        place = tmp_path / folder / "p.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({**notebook(cells), "metadata": {"kernelspec": spec}}))
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    nbgrader(tmp_path, "generate_assignment", "ps2")
    assert setup_course.run(tmp_path) == 0
    said = nbgrader(tmp_path, "autograde", "ps2")
    assert "p is a notebook in octave: run by nbgrader itself, without a sandbox" in said
    with closing(sqlite3.connect(tmp_path / "gradebook.db")) as database:
        assert database.execute("select auto_score from grade").fetchall() == [(2.0,)]
    assert cli.main(["grade", "ps2", "--course", str(tmp_path)]) != 0
    assert "only Python can be graded" in capsys.readouterr().err
