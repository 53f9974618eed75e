"""What students get has no solution, no hidden test and no gradebook in it, and says how to begin."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from autograder import cli, config
from autograder.errors import SuiteError, UsageError
from autograder.handout import REQUIREMENTS, files_of
from autograder.layout import Course
from tests.support_nbgrader import course_cells, write

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    course = config.load(ROOT).course
    return files_of(course, course.assignments())


def test_it_holds_the_release_and_two_pages(made):
    released = {
        path.relative_to(ROOT / "release").as_posix(): path.read_bytes()
        for path in (ROOT / "release").rglob("*")
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    }
    assert made.keys() - released.keys() == {"README.md", "requirements.txt"}
    assert all(made[name] == data for name, data in released.items())


def telling(lines):
    return {line.strip() for line in lines if len(line.strip()) > 20}


def test_no_solution_and_no_hidden_test_is_in_it(made):
    hidden: set[str] = set()
    public: set[str] = set()
    for path in (ROOT / "source").rglob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            secret = False
            for line in "".join(cell["source"]).splitlines():
                if "### BEGIN " in line:
                    secret = True
                (hidden if secret else public).update(telling([line]))
                if "### END " in line:
                    secret = False
    for path in (ROOT / "autograder" / "suites").rglob("*.py"):
        hidden |= telling(path.read_text(encoding="utf-8").splitlines())
    assert len(hidden) > 500
    for name, data in made.items():
        text = data.decode()
        assert not any(
            mark in text for mark in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "SQLite format")
        )
        cells = json.loads(text)["cells"] if name.endswith(".ipynb") else [{"source": [text]}]
        shown = telling(line for cell in cells for line in "".join(cell["source"]).splitlines())
        assert not (shown & hidden) - public, name
        assert not name.endswith((".db", ".py", "mistakes.py", "reference.py"))


def test_the_packages_are_the_engines_own_bounds(made):
    import tomllib

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in REQUIREMENTS:
        assert requirement in wanted or requirement.startswith("jupyter"), requirement
    assert made["requirements.txt"].decode().splitlines()[1:] == list(REQUIREMENTS)


def test_the_page_names_every_assignment_and_every_system(made):
    page = made["README.md"].decode()
    for name in config.load(ROOT).course.assignments():
        assert f"- `{name}/`: " in page
    assert all(word in page for word in ("Linux", "macOS", "Windows", "Colab", "Hand in", "requirements.txt"))


def test_a_zip_and_a_folder_hold_the_same(tmp_path, capsys):
    head = ["student", "--course", str(ROOT)]
    assert cli.main([*head, str(tmp_path / "class.zip"), "ex1_tensors"]) == 0
    assert cli.main([*head, str(tmp_path / "class"), "ex1_tensors"]) == 0
    assert cli.main([*head, str(tmp_path / "class"), "ex1_tensors"]) == 0  # again, into what it made itself
    with zipfile.ZipFile(tmp_path / "class.zip") as archive:
        packed = {name.removeprefix("class/"): archive.read(name) for name in archive.namelist()}
    files = {
        path.relative_to(tmp_path / "class").as_posix(): path.read_bytes()
        for path in (tmp_path / "class").rglob("*")
        if path.is_file()
    }
    assert packed == files and "ex1_tensors/ex1_tensors.ipynb" in files
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    assert cli.main([*head, str(tmp_path / "other")]) == 2
    assert cli.main([*head, str(tmp_path / "x.zip"), "ex9"]) == 2
    assert "holds other files" in capsys.readouterr().err


def test_a_release_that_leaks_is_refused(tmp_path):
    course = Course(tmp_path)
    write(tmp_path / "source" / "ex" / "ex.ipynb", course_cells())
    with pytest.raises(UsageError, match="run: autograder release ex"):
        files_of(course, ["ex"])
    write(tmp_path / "release" / "ex" / "ex.ipynb", course_cells())
    with pytest.raises(SuiteError, match="must not see"):
        files_of(course, ["ex"])
