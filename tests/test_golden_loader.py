"""Golden submissions: the file format, the notebook it makes, and the comparison."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autograder import golden
from autograder.errors import UsageError
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import Outcome
from tests import samples

FULL = """
about = "b as a column"
base = "solution"

[cells]
affine = '''
def affine(W, x, b):
    return W @ x + b[:, None]
'''

[[insert]]
before = "affine"
source = "print('before')"

[[insert]]
after = "affine"
source = "print('after')"

[expect]
score = 1.0
outcome = "FAILED"
tasks = {affine = 1.0}
mistakes = {affine = "column_bias"}
messages = {affine = "broadcast"}

[limits]
cell_wall_s = 2
"""


@pytest.fixture
def course(tmp_path):
    """A course with one task, released by hand."""

    def make(kind, answer):
        cells = [
            samples.markdown("# Title"),
            samples.code(answer, "solution-affine", solution=True),
            samples.code("assert affine", "affine", grade=True),
        ]
        folder = tmp_path / kind / "ex"
        folder.mkdir(parents=True)
        (folder / "ex.ipynb").write_text(json.dumps(samples.notebook(cells)))

    make("source", "def affine():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION")
    make("release", "def affine():\n    raise NotImplementedError")
    return Course(tmp_path)


def write(tmp_path, text, name="ex/one.toml"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def sources(item, course):
    return [cell["source"] for cell in json.loads(item.notebook_bytes(course))["cells"]]


def test_patches_and_inserts_are_laid_over_the_solution(tmp_path, course):
    item = golden.load(write(tmp_path, FULL))
    assert (item.name, item.assignment, item.about) == ("one", "ex", "b as a column")
    assert sources(item, course) == [
        "# Title",
        "def affine(W, x, b):\n    return W @ x + b[:, None]",
        "print('before')",
        "assert affine",
        "print('after')",
    ]
    assert item.limits(Limits()).cell_wall_s == 2
    assert item.notebook_bytes(course) == item.notebook_bytes(course)


def test_base_solution_and_base_release(tmp_path, course):
    assert (
        sources(golden.load(write(tmp_path, 'base = "solution"')), course)[1] == "def affine():\n    return 1"
    )
    assert "NotImplementedError" in sources(golden.load(write(tmp_path, 'base = "release"')), course)[1]


def test_a_whole_file_is_taken_byte_by_byte(tmp_path, course):
    write(tmp_path, '{"cells": [', "ex/cut.ipynb")
    item = golden.load(write(tmp_path, 'file = "cut.ipynb"'))
    assert item.notebook_bytes(course) == b'{"cells": ['


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base = 3", "base"),
        ("", "base"),
        ('base = "solution"\nfile = "x"', "either"),
        ('file = "x"\n[cells]\na = "b"', "leave out"),
        ('base = "solution"\ncell = 1', "unknown cell"),
        ('base = "solution"\n[expect]\npoints = 1', "unknown expect.points"),
        ('base = "solution"\n[expect]\noutcome = "GREAT"', "GREAT"),
        ('base = "solution"\n[[insert]]\nsource = "x"', "before or after"),
        ("base = ", "one.toml"),
    ],
)
def test_what_the_format_does_not_know_is_refused(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        golden.load(write(tmp_path, text))


def test_a_patch_of_a_cell_that_is_not_there_is_refused(tmp_path, course):
    item = golden.load(write(tmp_path, 'base = "solution"\n[cells]\nnowhere = "x"'))
    with pytest.raises(UsageError, match="nowhere"):
        item.notebook_bytes(course)


def test_an_empty_folder_and_a_missing_release_name_the_cure(tmp_path, course):
    with pytest.raises(UsageError, match="clone of the course"):
        golden.load_all(tmp_path)
    (tmp_path / "release" / "ex" / "ex.ipynb").unlink()
    with pytest.raises(UsageError, match="autograder release ex"):
        golden.load(write(tmp_path, 'base = "release"')).notebook_bytes(course)


def expected(**more):
    base = {"score": 5.0, "outcome": Outcome.TIMEOUT}
    tasks = {"affine": 1.0, "elementwise": 0.0, "slices": 0.0}
    mistakes = {"affine": "column_bias", "elementwise": "xor_for_square"}
    return golden.Expected(**{**base, "tasks": tasks, "mistakes": mistakes, **more})


def item(expectation, base="solution"):
    return golden.Golden("g", "ex1_tensors", "", base, None, {}, (), expectation)


def test_compare_finds_no_difference_where_there_is_none():
    assert item(expected(messages={"affine": "broadcast"})).compare(samples.typical()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"score": 6.0}, "score 5 instead of 6"),
        ({"outcome": Outcome.PASSED}, "outcome TIMEOUT instead of PASSED"),
        ({"tasks": {"affine": 4.0, "elementwise": 0.0, "slices": 0.0}}, "affine: 1 points instead of 4"),
        ({"tasks": {"affine": 1.0, "slices": 0.0}}, "elementwise: 0 points instead of 2"),
        ({"tasks": {"affine": 1.0, "elementwise": 0.0, "slices": 0.0, "x": 1.0}}, "x: there is no such task"),
        ({"mistakes": {"affine": "other", "elementwise": "xor_for_square"}}, "column_bias instead of other"),
        ({"mistakes": {"affine": "column_bias"}}, "xor_for_square instead of none"),
        ({"messages": {"affine": "nonsense"}}, "affine: no message says 'nonsense'"),
        ({"message": "truncated"}, "without 'truncated'"),
    ],
)
def test_compare_names_each_difference(more, said):
    differences = item(expected(**more)).compare(samples.typical())
    assert len(differences) == 1 and said in differences[0]


def test_base_release_expects_nothing_of_the_other_tasks():
    differences = item(expected(), base="release").compare(samples.typical())
    assert any(line.startswith("make_tensors: 3 points instead of 0") for line in differences)


def test_an_engine_error_is_a_difference():
    result = replace(samples.engine_error(), outcome=Outcome.ENGINE_ERROR)
    assert any("no points instead of 1" in line for line in item(expected()).compare(result))
