"""The class that benchmarks grade: no two notebooks alike, and every score is the one that was promised."""

from __future__ import annotations

import json
import random
import zipfile

import pytest

from autograder import golden
from autograder.schedule import FileJob
from benchmarks import courses, growth, memory, page, peers, report, rewriting, startup, students

COURSE = courses.original()


def code(notebook: bytes) -> str:
    cells = [cell for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code"]
    answers = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution")]
    return rewriting.code_of("".join(cell["source"]) for cell in answers)


@pytest.mark.parametrize("assignment", ["ex1_tensors", "ex4b_training", "ex5_mnist"])
def test_no_two_notebooks_of_a_class_have_the_same_code(assignment):
    group = list(students.make(COURSE, assignment, 40))
    assert len({code(item.notebook) for item in group}) == 40
    assert len({item.name for item in group}) == 40
    assert sum(not item.tasks for item in group) in range(5, 25)  # neither all right nor all wrong


def test_a_class_depends_on_its_seed_only():
    group = list(students.make(COURSE, "ex1_tensors", 5))
    assert list(students.make(COURSE, "ex1_tensors", 3)) == group[:3]
    assert next(students.make(COURSE, "ex1_tensors", 3, seed=1)).notebook != group[0].notebook


def test_students_get_the_score_that_they_must_get(checker, tmp_path):
    group = list(students.make(COURSE, "ex1_tensors", 12))
    assert {bool(item.tasks) for item in group} == {False, True}
    for item in group:
        (tmp_path / f"{item.name}.ipynb").write_bytes(item.notebook)
    jobs = [FileJob("ex1_tensors", tmp_path / f"{item.name}.ipynb", seed=0) for item in group]
    got = {job.path.stem: result.score for job, result in checker.map(jobs)}
    assert got == {item.name: item.score for item in group}


def test_every_right_answer_can_be_put_into_other_words():
    for path in sorted(COURSE.golden_dir("ex1_tensors").glob("unusual_*.toml")):
        cells = golden.load(path).cells
        taken = rewriting.module_names(cells.values())
        for source in cells.values():
            for seed in range(3):
                compile(rewriting.rewritten(source, random.Random(seed), taken), path.name, "exec")


SOURCE = '''
import math

FACTOR = 3


def helper(a, b=2):
    """Two things."""
    rows = [a * k for k in range(b)]
    total = sum(rows)

    def inner(rows_of):
        return total + rows_of

    try:
        half = total / 0
    except ZeroDivisionError as total_error:
        half = str(total_error)
    return rows, inner(1), half


def other(x):
    global FACTOR
    FACTOR = FACTOR + x
    y = x
    y += math.floor(2.5)
    return y * FACTOR
'''


def test_what_a_cell_computes_stays_as_it_is():
    def results(source: str):
        names: dict = {}
        exec(compile(source, "cell", "exec"), names)
        return names["helper"](5, b=3), names["other"](x=4), names["FACTOR"]

    taken = rewriting.module_names([SOURCE])
    made = {rewriting.rewritten(SOURCE, random.Random(seed), taken) for seed in range(30)}
    assert len(made) == 30
    assert {results(source) == results(SOURCE) for source in made} == {True}
    renamed = [source for source in made if "total = " not in source]
    moved = [source for source in made if source.index("def other") < source.index("def helper")]
    assert renamed and moved and any("# " in source for source in made)


def test_a_cell_that_is_no_python_only_gets_a_comment():
    made = rewriting.rewritten("def f(:", random.Random(0), frozenset())
    assert made.startswith("def f(:\n# ")


def test_otter_grades_the_same_cells(tmp_path):
    peers.otter_zip(COURSE, "ex1_tensors", tmp_path / "tests.zip")
    with zipfile.ZipFile(tmp_path / "tests.zip") as archive:
        tests = {name.removeprefix("tests/")[:-3] for name in archive.namelist() if name.startswith("tests/")}
        for name in tests:
            compile(archive.read(f"tests/{name}.py"), name, "exec")
    student = next(students.make(COURSE, "ex1_tensors", 1))
    made = json.loads(peers.otter_notebook(student.notebook))["cells"]
    asked = {cell["source"] for cell in made if str(cell["source"]).startswith("grader.check")}
    assert asked == {f'grader.check("{name}")' for name in tests} and len(tests) == 8
    assert made[0]["source"].startswith("import otter")


@pytest.mark.parametrize("module", [report, startup, memory, growth], ids=lambda module: module.__name__)
def test_the_page_says_what_was_measured(module):
    name = {report: "bench"}.get(module, module.__name__.rpartition(".")[2])
    measured = page.kept(name)
    assert not measured or module.text(measured) in page.PAGE.read_text(encoding="utf-8")


def test_a_section_of_the_page_is_replaced_and_the_words_around_stay(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- a -->\n<!-- /a -->\nafter <!-- b -->old<!-- /b -->")
    page.replace_section("a", "new", path)
    page.replace_section("a", "newer", path)
    assert path.read_text() == "before\n<!-- a -->\n\nnewer\n\n<!-- /a -->\nafter <!-- b -->old<!-- /b -->"
    with pytest.raises(SystemExit, match="no section c"):
        page.replace_section("c", "x", path)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0123, "0.0123"), (0.5, "0.5"), (1.234, "1.23"), (12.34, "12.3"), (99.96, "100"), (1234.5, "1,234")],
)
def test_figures_have_three_digits(value, shown):
    assert page.number(value) == shown
