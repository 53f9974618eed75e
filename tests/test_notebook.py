from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.errors import NotebookError, UsageError
from autograder.limits import Limits
from autograder.models import TaskKind
from autograder.notebook import (
    AssignmentNotebook,
    PreparedNotebook,
    load_assignment,
    parse,
    prepare,
    read,
    read_bytes,
    sha256,
)
from tests.support_nbgrader import answer, cell, code, course_cells, graded, locked, notebook, solution, write

LIMITS = Limits()


def as_bytes(content: object) -> bytes:
    return json.dumps(content).encode()


# ---------------------------------------------------------------- reading files


def test_reads_a_notebook_as_plain_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", [code("x = 1", "one"), cell("markdown", "text", "two")])
    nb = read(path, LIMITS)
    assert [item["source"] for item in nb["cells"]] == ["x = 1", "text"]
    assert type(nb) is dict and type(nb["cells"][0]) is dict
    nbformat.validate(nb)
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_is_not_an_ordinary_file_is_refused(tmp_path: Path) -> None:
    real = write(tmp_path / "real.ipynb", [code("1")])
    (tmp_path / "link.ipynb").symlink_to(real)
    (tmp_path / "dangling.ipynb").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name, words in {
        "missing": "missing from the submission",
        "link": "symbolic link",
        "dangling": "symbolic link",
        "folder": "is a folder",
        "pipe": "no ordinary file",
    }.items():
        with pytest.raises(NotebookError, match=words) as caught:
            read_bytes(tmp_path / f"{name}.ipynb", LIMITS)
        assert "ubmit" in str(caught.value)  # what to do
    with pytest.raises(NotebookError):
        read_bytes(Path("/dev/zero"), LIMITS)


def test_size_is_checked_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "big.ipynb"
    with open(path, "wb") as file:
        file.truncate(50 * 2**40 if os.name == "nt" else 40 * 2**30)  # sparse: 40 GiB
    with pytest.raises(NotebookError, match="more than the 20 MiB"):
        read_bytes(path, LIMITS)
    with pytest.raises(NotebookError, match="Clear Outputs"):
        parse(b" " * (2**20 + 1), Limits(notebook_mb=1))


GOOD = as_bytes(notebook([code("print('grüße 😀')", "a")]))

BAD_FILES = {
    "empty": (b"", "is empty"),
    "blank": (b"\n  \n", "is empty"),
    "zeros": (b"\0" * 100, "is empty"),
    "truncated": (GOOD[: len(GOOD) // 2], "ends in the middle"),
    "truncated in a string": (GOOD[: GOOD.index(b"print") + 2], "ends in the middle"),
    "cut before the last brace": (GOOD[:-1], "ends in the middle"),
    "web page": (b"<!DOCTYPE html><html></html>", "web page"),
    "conflict": (
        GOOD.replace(b', "cells"', b'\n<<<<<<< HEAD\n, "cells"'),
        "conflict markers",
    ),
    "python": (b"import torch\n", "not valid JSON"),
    "trailing comma": (b'{"cells": [],}', "not valid JSON"),
    "extra": (GOOD + GOOD, "not valid JSON"),
    "utf-16": (GOOD.decode().encode("utf-16"), "not UTF-8"),
    "latin-1": ('{"cells": ["grüße"]}'.encode("latin-1"), "not UTF-8"),
    "image": (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8"),
    "list": (b"[]", "holds a list"),
    "number": (b"3", "holds a number"),
    "null": (b"null", "holds a null"),
    "no version": (b"{}", "nbformat"),
    "odd version": (b'{"nbformat": "4", "cells": []}', "nbformat"),
    "true version": (b'{"nbformat": true, "cells": []}', "nbformat"),
    "NaN version": (b'{"nbformat": NaN, "cells": []}', "nbformat"),
    "newer": (b'{"nbformat": 5, "cells": []}', "newer"),
    "huge version": (b'{"nbformat": 1' + b"0" * 250 + b', "cells": []}', "newer"),
    "no cells": (b'{"nbformat": 4}', "no list of cells"),
    "cells no list": (b'{"nbformat": 4, "cells": {"a": 1}}', "no list of cells"),
    "deep list": (b"[" * 100_000, "deeply"),
    "deep object": (b'{"nbformat": 4, "cells": ' + b'{"a":' * 100_000, "deeply"),
    "brackets": (b"[" + b"[]," * 3_500_000 + b"[]]", "too many lists"),
    "old and broken": (b'{"nbformat": 3, "worksheets": 7}', "old nbformat 3"),
    "old and empty": (b'{"nbformat": 2}', "old nbformat 2"),
    "many cells": (as_bytes({"nbformat": 4, "cells": [{}] * 2001}), "2001 cells"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_say_what_happened_and_what_to_do(name: str) -> None:
    data, words = BAD_FILES[name]
    with pytest.raises(NotebookError, match=words) as caught:
        parse(data, LIMITS)
    message = str(caught.value)
    assert any(word in message for word in ("submit it again", "Delete the cells", "Download"))
    assert len(message) < 400


def test_bom_is_fine() -> None:
    assert parse(b"\xef\xbb\xbf" + GOOD, LIMITS)["cells"][0]["source"] == "print('grüße 😀')"


def test_version_3_is_upgraded() -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 1, "metadata": {}, "source": "Title"},
                    {
                        "cell_type": "code",
                        "collapsed": False,
                        "input": "x = 1",
                        "language": "python",
                        "metadata": {},
                        "outputs": [],
                    },
                ]
            }
        ],
    }
    nb = parse(as_bytes(old), LIMITS)
    assert [(item["cell_type"], item["source"]) for item in nb["cells"]] == [
        ("markdown", "# Title"),
        ("code", "x = 1"),
    ]


def test_junk_in_cells_is_cleaned() -> None:
    text = r"""{"nbformat": 4, "metadata": [1], "cells": [
      3, null, [], {},
      {"cell_type": "code", "source": ["a\n", 7, null, "b"], "outputs": [{"evil": 1}], "execution_count": 9,
       "id": "same", "metadata": {"tags": ["skip-execution"], "collapsed": true, "nbgrader":
         {"grade_id": "x", "points": NaN, "grade": true, "list": [1], "big": 1e999}}},
      {"cell_type": "code", "source": {"a": 1}, "id": "same", "metadata": null},
      {"cell_type": "banana", "source": "x\ud800y", "id": "not valid!"},
      {"cell_type": ["code"], "source": 5, "id": 7, "outputs": 3},
      {"cell_type": "code", "source": "first", "source": "second", "number": %s}
    ]}""" % ("9" * 5000)
    nb = parse(text.encode(), LIMITS)
    nbformat.validate(nb)
    cells = nb["cells"]
    assert [item["cell_type"] for item in cells] == ["raw", "code", "code", "raw", "code", "code"]
    assert [item["source"] for item in cells] == ["", "a\nb", "", "x\N{REPLACEMENT CHARACTER}y", "", "second"]
    assert cells[1]["metadata"] == {"nbgrader": {"grade_id": "x", "grade": True}}
    assert cells[1]["outputs"] == [] and cells[1]["execution_count"] is None
    assert len({item["id"] for item in cells}) == len(cells)
    assert cells[1]["id"] == "same"
    assert parse(text.encode(), LIMITS) == nb  # nothing random


def test_pictures_in_answers_stay_and_only_pictures() -> None:
    content = notebook([cell("markdown", "![](attachment:a.png)", "a")])
    content["cells"][0]["attachments"] = {
        "a.png": {"image/png": "aGk=", "text/html": "<script>"},
        "b.svg": {"image/svg+xml": "<svg onload=''>"},
        "c.png": {"image/png": '"><script>'},
        "d": 4,
    }
    nb = parse(as_bytes(content), LIMITS)
    assert nb["cells"][0]["attachments"] == {"a.png": {"image/png": "aGk="}}
    nbformat.validate(nb)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["cell_type", "source", "metadata", "nbgrader", "grade_id", "id", "attachments", "x"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
TRICKY_CELL = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", "x"]) | JSON,
        "source": st.text(max_size=10) | JSON,
        "id": st.text(max_size=3) | JSON,
        "attachments": JSON,
        "outputs": JSON,
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "tags": JSON,
                "nbgrader": st.fixed_dictionaries(
                    {},
                    optional={
                        "grade_id": st.sampled_from(
                            ["double", "solution-double", "why", "card-double", "zzz"]
                        )
                        | JSON,
                        "grade": st.booleans() | JSON,
                        "solution": st.booleans() | JSON,
                        "locked": st.booleans() | JSON,
                        "points": JSON,
                    },
                )
                | JSON,
            },
        )
        | JSON,
    },
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | JSON.map(as_bytes))
def test_any_file_parses_or_is_refused(data: bytes) -> None:
    try:
        nb = parse(data, LIMITS)
    except NotebookError:
        return
    nbformat.validate(nb)


# ---------------------------------------------------------------- the instructor's notebook


@pytest.fixture
def assignment(tmp_path: Path) -> AssignmentNotebook:
    return load_assignment(write(tmp_path / "ex.ipynb", course_cells()), frozenset({"half"}))


def test_tasks_of_the_source(assignment: AssignmentNotebook) -> None:
    assert [(task.id, task.max_score, task.kind) for task in assignment.tasks] == [
        ("double", 2.0, TaskKind.IN_KERNEL),
        ("half", 3.0, TaskKind.SUITE),
        ("why", 1.0, TaskKind.MANUAL),
    ]
    assert assignment.name == "ex"
    by_id = {item.id: item for item in assignment.cells}
    assert list(by_id) == ["card-double", "solution-double", "double", "solution-half", "half", "why"]
    assert by_id["solution-double"].source == 'def double(x):\n    raise NotImplementedError("Task double")'
    assert by_id["why"].source == "YOUR ANSWER HERE"
    assert "double(7)" in by_id["double"].source and "double(7)" not in by_id["double"].display_source


def test_students_see_no_solution_and_no_hidden_test(assignment: AssignmentNotebook) -> None:
    nbformat.validate(assignment.nb)
    shown = json.dumps(assignment.nb)
    assert "2 * x" not in shown and "double(7)" not in shown and "Because" not in shown


def test_checksums_are_nbgraders(assignment: AssignmentNotebook) -> None:
    from nbgrader.utils import compute_checksum

    for item in assignment.cells:
        node = nbformat.from_dict(
            {"cell_type": item.cell_type, "source": item.source, "metadata": item.metadata()}
        )
        assert item.metadata()["nbgrader"]["checksum"] == compute_checksum(node)


def test_metadata_are_nbgraders(assignment: AssignmentNotebook) -> None:
    from nbgrader.nbgraderformat import MetadataValidator

    MetadataValidator().validate_nb(nbformat.from_dict(dict(assignment.nb)))


def test_task_cells_of_nbgrader_are_graded_by_hand(tmp_path: Path) -> None:
    task = cell("markdown", "Do it.", "t", grade_id="project", task=True, locked=True, points=4)
    loaded = load_assignment(write(tmp_path / "ex.ipynb", [task]))
    assert [(item.id, item.max_score, item.kind) for item in loaded.tasks] == [
        ("project", 4.0, TaskKind.MANUAL)
    ]


BAD_SOURCES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "twice": ([graded("a", 1, "x"), graded("a", 1, "x")], "cell 2: the grade_id 'a' is used twice"),
    "no points": ([cell("code", "x", "i", grade_id="a", grade=True)], "no valid points"),
    "negative": ([graded("a", -1, "x")], "no valid points"),
    "bad id": ([graded("a b", 1, "x")], "not made of letters"),
    "no id": ([cell("code", "x", "i", grade=True, points=1)], "not made of letters"),
    "markdown test": ([cell("markdown", "x", "i", grade_id="a", grade=True, points=1)], "both graded"),
    "raw": ([cell("raw", "x", "i", grade_id="a", locked=True)], "raw cell"),
    "old schema": ([cell("code", "x", "i", grade_id="a", grade=True, points=1, schema_version=1)], "update"),
    "flag": ([cell("code", "x", "i", grade_id="a", grade=1)], "neither true nor false"),
    "unclosed": ([solution("a", "### BEGIN SOLUTION\nx")], "has no END SOLUTION"),
    "nested": ([solution("a", "### BEGIN SOLUTION\n### BEGIN SOLUTION")], "second BEGIN"),
    "hidden unclosed": ([graded("a", 1, "### BEGIN HIDDEN TESTS")], "no END HIDDEN TESTS"),
    "stray solution": ([code("### BEGIN SOLUTION\n### END SOLUTION")], "no solution cell"),
    "solution in test": ([graded("a", 1, "### BEGIN SOLUTION\n### END SOLUTION")], "no solution cell"),
    "stray hidden": ([solution("a", "### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS")], "no test cell"),
    "autotest": ([graded("a", 1, "### AUTOTEST f(1)")], "AUTOTEST"),
    "task in code": ([cell("code", "x", "i", grade_id="a", task=True, points=1)], "must be markdown"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_bad_sources_are_usage_errors(tmp_path: Path, name: str) -> None:
    cells, words = BAD_SOURCES[name]
    with pytest.raises(UsageError, match=words):
        load_assignment(write(tmp_path / "ex.ipynb", cells))


def test_other_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing"):
        load_assignment(tmp_path / "none.ipynb")
    path = write(tmp_path / "r.ipynb", [])
    path.write_text(path.read_text().replace('"python"', '"R"'))
    with pytest.raises(UsageError, match="only Python"):
        load_assignment(path)
    with pytest.raises(UsageError, match="why, which a person grades"):
        load_assignment(write(tmp_path / "ex.ipynb", course_cells()), frozenset({"why"}))


# ---------------------------------------------------------------- preparing a submission


def submission(assignment: AssignmentNotebook) -> dict[str, Any]:
    """The released notebook, solved."""
    nb: dict[str, Any] = copy.deepcopy(dict(assignment.nb))
    find(nb, "solution-double")["source"] = "def double(x):\n    return x + x"
    find(nb, "solution-half")["source"] = "def half(x):\n    return x * 0.5"
    find(nb, "why")["source"] = "I think so."
    return nb


def find(nb: dict[str, Any], grade_id: str) -> dict[str, Any]:
    return next(c for c in nb["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def run(nb: dict[str, Any], assignment: AssignmentNotebook) -> PreparedNotebook:
    """Prepared the whole way from bytes, with what must hold for every submission."""
    prepared = prepare(parse(as_bytes(nb), LIMITS), assignment)
    check_invariants(prepared, assignment)
    return prepared


def check_invariants(prepared: PreparedNotebook, assignment: AssignmentNotebook) -> None:
    from nbgrader.nbgraderformat import MetadataValidator

    nbformat.validate(prepared.nb)
    MetadataValidator().validate_nb(nbformat.from_dict(prepared.nb))
    assert prepared.nb["metadata"]["kernelspec"]["name"] == "python3"
    assert [item.index for item in prepared.cells] == list(range(len(prepared.cells)))
    assert len(prepared.cells) == len(prepared.nb["cells"])
    ids = [item.grade_id for item in prepared.cells if item.grade_id]
    assert sorted(ids) == sorted(item.id for item in assignment.cells)
    graded = [item.task_id for item in prepared.cells if item.task_id]
    assert sorted(graded) == sorted(task.id for task in assignment.tasks)
    by_id = {item.id: item for item in assignment.cells}
    for item, shown in zip(prepared.cells, prepared.nb["cells"], strict=True):
        assert (item.cell_type, item.display_source) == (shown["cell_type"], shown["source"])
        meta = shown["metadata"].get("nbgrader", {})
        assert meta.get("grade_id") == item.grade_id
        assert "tags" not in shown["metadata"]
        if item.grade_id:
            mine = by_id[item.grade_id]
            assert item.cell_type == mine.cell_type
            assert shown["metadata"] == mine.metadata()
            if not mine.solution:
                assert item.source == mine.source
    assert "double(7)" not in json.dumps(prepared.nb)


def order(prepared: PreparedNotebook) -> list[str]:
    return [item.grade_id or item.source for item in prepared.cells]


NAMES = ["card-double", "solution-double", "double", "print('a plot, say')", "solution-half", "half", "why"]


def test_an_honest_submission_needs_no_repair(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    nb["cells"].insert(2, code("mine = 1", "mine"))
    prepared = run(nb, assignment)
    assert prepared.notices == ()
    assert order(prepared) == [*NAMES[:2], "mine = 1", *NAMES[2:]]
    by_id = {item.grade_id: item for item in prepared.cells if item.grade_id}
    assert by_id["solution-double"].source == "def double(x):\n    return x + x"
    assert by_id["solution-double"].is_solution and by_id["solution-double"].task_id is None
    assert "assert double(7) == 14" in by_id["double"].source
    assert by_id["double"].task_id == "double"
    assert by_id["why"].source == "I think so." and by_id["why"].is_solution


def test_trailing_space_and_line_ends_are_no_change(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    test = find(nb, "half")
    test["source"] = test["source"].replace("\n", "\r\n") + "  \n\n"
    assert run(nb, assignment).notices == ()


def test_changed_test_cell_is_restored(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    find(nb, "double")["source"] = "pass"
    find(nb, "double")["metadata"]["tags"] = ["skip-execution", "raises-exception"]
    find(nb, "half")["metadata"]["nbgrader"]["points"] = 3000
    find(nb, "card-double")["source"] = "# Read me instead"
    prepared = run(nb, assignment)
    assert prepared.notices == (
        "Read-only cell 'card-double' had been changed: it was restored before grading.",
        "Test cell 'double' had been changed: it was restored before grading.",
    )


@pytest.mark.parametrize("kind", ["markdown", "raw"])
@pytest.mark.parametrize("name", ["double", "solution-double"])
def test_retyped_cells_are_turned_back(assignment: AssignmentNotebook, name: str, kind: str) -> None:
    nb = submission(assignment)
    item = find(nb, name)
    item["cell_type"] = kind
    del item["outputs"], item["execution_count"]
    prepared = run(nb, assignment)
    assert len(prepared.notices) == 1 and f"'{name}'" in prepared.notices[0]
    assert order(prepared) == NAMES
    if name == "solution-double":
        assert prepared.cells[1].source == "def double(x):\n    return x + x"


def test_answer_turned_into_code_is_turned_back(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    find(nb, "why").update(cell_type="code", outputs=[], execution_count=None)
    prepared = run(nb, assignment)
    assert prepared.cells[-1].source == "I think so." and prepared.cells[-1].cell_type == "markdown"
    assert "Answer cell 'why' had been turned into a code cell" in prepared.notices[0]


@pytest.mark.parametrize("name", [name for name in NAMES if "print" not in name])
def test_deleted_cells_come_back_in_their_place(assignment: AssignmentNotebook, name: str) -> None:
    nb = submission(assignment)
    nb["cells"].remove(find(nb, name))
    prepared = run(nb, assignment)
    expected = [item for item in NAMES if item != name]
    assert [item for item in order(prepared) if item != name] == expected
    assert [item for item in order(prepared) if "print" not in item] == [n for n in NAMES if "print" not in n]
    assert len(prepared.notices) == 1 and f"'{name}' was missing" in prepared.notices[0]
    if name.startswith("solution-"):
        assert next(item for item in prepared.cells if item.grade_id == name).source == ""
    if name == "why":
        assert prepared.cells[-1].source == "YOUR ANSWER HERE"


def test_deleted_test_cell_comes_behind_the_moved_solution(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    nb["cells"].remove(find(nb, "double"))
    source = find(nb, "solution-double")["source"]
    nb["cells"].remove(find(nb, "solution-double"))
    nb["cells"].insert(1, code(source, "moved"))
    prepared = run(nb, assignment)
    assert order(prepared)[:5] == ["card-double", "solution-double", source, "double", "print('a plot, say')"]


def test_empty_notebook_gets_everything_back(assignment: AssignmentNotebook) -> None:
    prepared = run(notebook([]), assignment)
    assert order(prepared) == [name for name in NAMES if "print" not in name]
    assert prepared.notices == (
        "No cell of this assignment was found in the notebook; is it the right file? "
        "The missing cells were put back before grading.",
    )


def test_wrong_file_keeps_the_student_s_cells(assignment: AssignmentNotebook) -> None:
    nb = notebook([solution("other", "def other(): pass"), graded("other", 9, "1")])
    prepared = run(nb, assignment)
    assert "def other(): pass" in order(prepared)
    assert "do not belong to this assignment" in prepared.notices[0]
    assert "is it the right file" in prepared.notices[1]
    assert sum(task.max_score for task in prepared.tasks) == 6


def test_copied_cells_last_one_counts(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    for name in ("solution-double", "double"):
        nb["cells"].append(copy.deepcopy(find(nb, name)))
    nb["cells"][-2]["source"] = "def double(x):\n    return 3 * x"
    prepared = run(nb, assignment)
    assert len(prepared.cells) == 9
    assert order(prepared)[-2:] == ["solution-double", "double"]
    assert (
        prepared.cells[1].source == "def double(x):\n    return x + x" and not prepared.cells[1].is_solution
    )
    assert "Solution cell 'solution-double' exists 2 times: only the last one counts." in prepared.notices


def test_untouched_copy_of_an_answer_does_not_count(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    nb["cells"].append(copy.deepcopy(find(nb, "why")))
    nb["cells"][-1]["source"] = "YOUR ANSWER HERE"
    prepared = run(nb, assignment)
    assert next(item for item in prepared.cells if item.grade_id == "why").source == "I think so."


def test_test_cell_moved_before_its_solution_moves_back(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    for name in ("half", "double"):
        test = find(nb, name)
        nb["cells"].remove(test)
        nb["cells"].insert(0, test)
    prepared = run(nb, assignment)
    assert order(prepared)[:3] == ["card-double", "solution-double", "double"]
    assert [item for item in order(prepared) if "print" not in item] == [n for n in NAMES if "print" not in n]
    assert len(prepared.notices) == 2 and "stood before its solution cell" in prepared.notices[0]


def test_moved_solution_cell_keeps_the_student_s_order(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    moved = find(nb, "solution-half")
    nb["cells"].remove(moved)
    nb["cells"].insert(0, moved)
    prepared = run(nb, assignment)
    assert order(prepared)[0] == "solution-half" and prepared.notices == ()


def test_repointed_cells_do_not_pass_for_others(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    mine = find(nb, "solution-half")
    mine["metadata"]["nbgrader"]["grade_id"] = "half"  # claims to be the test, still flagged a solution
    prepared = run(nb, assignment)
    # found again by the id of the cell itself
    assert prepared.cells[4].source == "def half(x):\n    return x * 0.5" and prepared.cells[4].is_solution
    mine["id"] = "other"
    prepared = run(nb, assignment)
    assert "def half(x):\n    return x * 0.5" in order(prepared)


def test_locked_test_cell_claimed_twice(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    evil = code("print('full marks')", "evil")
    evil["metadata"] = copy.deepcopy(find(nb, "half")["metadata"])
    nb["cells"].append(evil)
    prepared = run(nb, assignment)
    assert order(prepared)[-1] == "half"
    assert prepared.cells[-1].source == "assert half(4) == 2"
    assert order(prepared)[5] == "assert half(4) == 2"  # the former copy is the student's own now


@pytest.mark.parametrize("keep_ids", [True, False])
def test_lost_metadata_are_found_again(assignment: AssignmentNotebook, keep_ids: bool) -> None:
    nb = submission(assignment)
    for number, item in enumerate(nb["cells"]):
        item["metadata"] = {}
        if not keep_ids:
            item["id"] = f"new-{number}"
    prepared = run(nb, assignment)
    assert "lost or changed" in prepared.notices[0]
    found = order(prepared)
    if keep_ids:
        assert found == NAMES
    else:
        # solution cells cannot be told: the student's code runs as an ordinary cell before its test
        assert found.index("def double(x):\n    return x + x") < found.index("double")
        assert found.index("def half(x):\n    return x * 0.5") < found.index("half")


def test_generated_cell_ids_prove_nothing(tmp_path: Path) -> None:
    nb = notebook([graded("a", 1, "assert a"), code("x = 1")])
    for item in nb["cells"]:
        del item["id"]
    path = tmp_path / "ex.ipynb"
    path.write_bytes(as_bytes(nb))
    assignment = load_assignment(path)
    prepared = run({"nbformat": 4, "cells": [{"cell_type": "code", "source": "mine"}]}, assignment)
    assert sorted(order(prepared)) == ["a", "mine"]


def test_magic_cells_stay(assignment: AssignmentNotebook) -> None:
    nb = submission(assignment)
    find(nb, "solution-half")["source"] = "%%time\ndef half(x):\n    return x / 2\n!ls"
    assert run(nb, assignment).cells[4].source == "%%time\ndef half(x):\n    return x / 2\n!ls"


def test_a_read_only_setup_cell_is_restored(tmp_path: Path) -> None:
    cells = [locked("setup", "import math", "code"), solution("a", "pass"), graded("a", 1, "math")]
    assignment = load_assignment(write(tmp_path / "ex.ipynb", cells))
    nb: dict[str, Any] = copy.deepcopy(dict(assignment.nb))
    nb["cells"][0]["source"] = "math = 3"
    prepared = prepare(parse(as_bytes(nb), LIMITS), assignment)
    assert prepared.cells[0].source == "import math"
    assert prepared.notices == ("Read-only cell 'setup' had been changed: it was restored before grading.",)


def test_code_answer_is_a_stub_that_does_not_raise(tmp_path: Path) -> None:
    loaded = load_assignment(write(tmp_path / "ex.ipynb", [answer("a", 1, "secret()", "code")]))
    assert loaded.cells[0].source == "# YOUR ANSWER HERE"


@settings(max_examples=150, deadline=None)
@given(st.lists(TRICKY_CELL, max_size=8))
def test_any_cells_give_a_valid_notebook(
    tmp_path_factory: pytest.TempPathFactory, cells: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any" / "ex.ipynb"
    if not path.exists():
        write(path, course_cells())
    assignment = load_assignment(path)
    prepared = prepare(parse(as_bytes({"nbformat": 4, "cells": cells}), LIMITS), assignment)
    check_invariants(prepared, assignment)


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(7)), st.sets(st.integers(0, 6)))
def test_any_order_and_any_loss_keeps_every_line_of_the_student(
    tmp_path_factory: pytest.TempPathFactory, shuffled: list[int], lost: set[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "order" / "ex.ipynb"
    if not path.exists():
        write(path, course_cells())
    assignment = load_assignment(path)
    nb = submission(assignment)
    nb["cells"] = [nb["cells"][index] for index in shuffled if index not in lost]
    prepared = run(nb, assignment)
    places = {item.grade_id: item.index for item in prepared.cells if item.grade_id}
    assert places["solution-double"] < places["double"] and places["solution-half"] < places["half"]
    sources = [item.source for item in prepared.cells]
    for item in nb["cells"]:
        if item["metadata"].get("nbgrader", {}).get("solution", True):
            assert item["source"] in sources
