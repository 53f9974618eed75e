"""One notebook through the real sandbox and the real judge: who gets what, and what it costs whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder import config, golden, notebook, schedule
from autograder.grading import Grader
from autograder.judge.session import Judge
from autograder.limits import Limits
from autograder.models import Outcome
from autograder.seeds import Seeds

ROOT = Path(__file__).resolve().parents[1]
EX1 = ROOT / "tests" / "golden" / "ex1_tensors"


def code(source, **meta):
    metadata = {"nbgrader": {"schema_version": 3, **meta}} if meta else {}
    return {
        "id": meta.get("grade_id", f"c{abs(hash(source)) % 10**8}"),
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def test(grade_id, source, points=2):
    return code(source, grade_id=grade_id, grade=True, solution=False, locked=True, task=False, points=points)


test.__test__ = False  # a cell, not a test of pytest's


def solution(grade_id, source):
    return code(source, grade_id=grade_id, grade=False, solution=True, locked=False, task=False)


def written(path, *cells):
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}))
    return path


@pytest.fixture
def graded(zygote, tmp_path):
    """Grade a plain nbgrader notebook, made of these cells, against the instructor's own copy of them."""

    def run(*cells, submitted=None, **limits):
        source = notebook.load_assignment(written(tmp_path / "plain.ipynb", *cells))
        handed_in = written(tmp_path / "handed_in.ipynb", *(submitted or cells))
        grader = Grader(zygote, Judge(None, {}), Limits(cell_wall_s=3, **limits))
        return grader.grade_file("plain", source, handed_in, Seeds(b"x" * 32, "ann"))

    return run


def scores(result):
    return {task.id: task.score for task in result.tasks}


def test_plain_nbgrader_cells_score_as_in_nbgrader(graded):
    result = graded(
        code("import sys\nx = 1"),
        test("right", "assert x == 1\nprint('noise', file=sys.stderr)"),
        test("wrong", "assert x == 2"),
        test("part", "1.5"),
        test("hidden", "assert x\n### BEGIN HIDDEN TESTS\nassert x == 3, 'secret'\n### END HIDDEN TESTS"),
    )
    assert scores(result) == {"right": 2, "wrong": 0, "part": 1.5, "hidden": 0}
    assert result.outcome is Outcome.FAILED
    shown = json.dumps(result.notebook)
    assert "x == 3" not in shown


@pytest.mark.parametrize("claim", ["float('nan')", "-1", "99", "'full marks'"])
def test_a_partial_credit_that_is_no_number_of_points_gives_none(graded, claim):
    result = graded(test("claim", claim))
    assert scores(result) == {"claim": 0}
    assert "no number of points from 0 to 2" in result.tasks[0].checks[0].message


def test_a_partial_credit_may_be_a_number_of_numpy(graded):
    result = graded(code("import numpy as np"), test("part", "np.float64(1.5)"), test("all", "np.int64(2)"))
    assert scores(result) == {"part": 1.5, "all": 2}


@pytest.mark.parametrize(
    "cheat",
    [
        "type(get_ipython()).run_code = None",
        "get_ipython().run_cell_async = None",
        "get_ipython().run_ast_nodes = None",
        "get_ipython().input_transformers_post.append(lambda lines: [])",
        "get_ipython().input_transformer_manager.line_transforms.append(lambda lines: [])",
        "get_ipython().ast_node_interactivity = 'none'",
        "get_ipython().events.register('pre_run_cell', lambda info: 1 / 0)",
        "get_ipython().display_formatter = None",
        "import sys; sys.displayhook = print; get_ipython().displayhook = print",
        "import builtins; builtins.sum = lambda values: 2",
        "get_ipython().set_custom_exc((AssertionError,), lambda *args: None)",
        "import sys; sys.settrace(lambda *args: None)",
    ],
)
def test_a_plain_test_cell_runs_in_ipython_as_it_was(graded, cheat):
    result = graded(
        code(cheat),
        test("wrong", "assert 1 == 2"),
        test("part", "sum([1.0, 0.5])"),
        test("right", "assert 1"),
    )
    assert scores(result) == {"wrong": 0, "part": 1.5, "right": 2}


def test_a_figure_is_still_drawn_after_a_plain_test_cell(graded):
    result = graded(
        test("right", "assert 1"), code("import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()")
    )
    (shown,) = [output for output in result.cells[-1].outputs if output["output_type"] == "display_data"]
    assert "image/png" in shown["data"]


@pytest.mark.parametrize(
    ("killer", "outcome"),
    [
        ("import os; os._exit(0)", Outcome.HOSTILE),
        ("import os, signal; import ctypes; ctypes.string_at(0)", Outcome.ERROR),
        ("import signal; signal.signal(14, signal.SIG_IGN)\nwhile True: pass", Outcome.TIMEOUT),
        ("while True: pass", Outcome.TIMEOUT),
    ],
)
def test_a_cell_that_dies_costs_its_own_task_only(graded, killer, outcome):
    result = graded(
        code("x = 1"),
        test("before", "assert x == 1"),
        solution("solution-middle", killer + "\ny = 2"),
        test("middle", "assert y == 2"),
        code("z = x + 2"),
        test("after", "assert z == 3"),
    )
    assert scores(result) == {"before": 2, "middle": 0, "after": 2}
    assert result.outcome is outcome
    assert next(cell for cell in result.cells if cell.index == 2).message


def test_restarts_are_bounded_and_what_was_earned_stays(graded):
    cells = [code("x = 1"), test("first", "assert x == 1")]
    for number in range(6):
        cells.append(solution(f"solution-{number}", f"import os  # {number}\nos._exit(1)"))
    result = graded(*cells, test("last", "assert x"), restarts=2)
    assert scores(result) == {"first": 2, "last": 0}
    assert "too often" in result.message
    assert result.tasks[-1].checks[0].outcome is Outcome.NOT_RUN


def test_the_whole_submission_has_a_deadline(graded):
    started = time.monotonic()
    result = graded(
        *(code(f"import time  # {n}\ntime.sleep(2)") for n in range(5)),
        test("late", "1"),
        submission_wall_s=3,
    )
    assert time.monotonic() - started < 8
    assert scores(result) == {"late": 0}
    assert "may take 3 s" in result.message


def test_a_retyped_or_edited_test_cell_is_restored(graded):
    own = [code("x = 1"), test("t", "assert x == 2")]
    result = graded(*own, submitted=[code("x = 1"), test("t", "pass")])
    assert scores(result) == {"t": 0}
    assert any("restored" in notice for notice in result.notices)


def settings():
    return config.load(ROOT)


def checked(tmp_path, *names, **options):
    known = {item.name: item for item in golden.load_all(EX1)}
    paths = []
    for name in names:
        path = tmp_path / f"{name}.ipynb"
        path.write_bytes(known[name].notebook_bytes(settings().course))
        paths.append(path)
    course = settings().course
    return list(schedule.check_files(course, "ex1_tensors", paths, limits=settings().limits, **options))


def test_the_release_scores_nothing_and_the_solution_everything(checker):
    course = settings().course
    paths = [course.release_dir("ex1_tensors") / "ex1_tensors.ipynb", *course.source_notebooks("ex1_tensors")]
    release, full = (checker("ex1_tensors", path) for path in paths)
    assert {task.score for task in release.tasks} == {0}
    assert all(check.score == 0 for task in release.tasks for check in task.checks)
    assert [task.score for task in full.tasks] == [task.max_score for task in full.tasks]


def test_a_name_that_holds_no_function_fails_by_name(tmp_path, checker):
    known = {item.name: item for item in golden.load_all(EX1)}
    data = json.loads(known["solution"].notebook_bytes(settings().course))
    for cell in data["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "solution-affine":
            cell["source"] = "affine = affine_batch = None"
    path = tmp_path / "none.ipynb"
    path.write_text(json.dumps(data))
    result = checker("ex1_tensors", path)
    (task,) = [task for task in result.tasks if task.id == "affine"]
    assert {check.outcome for check in task.checks} == {Outcome.FAILED}
    assert "affine is no function: it is 'NoneType'." in task.checks[0].message


def test_the_same_notebook_gets_the_same_messages_with_one_worker_and_with_two(tmp_path, checker):
    names = ("affine-column_bias", "solution", "cheat-lying_eq")
    first = {result.name: result.to_json()["tasks"] for result in checked(tmp_path, *names, workers=1)}
    jobs = [schedule.FileJob("ex1_tensors", tmp_path / f"{name}.ipynb") for name in names]
    again = {result.name: result.to_json()["tasks"] for _, result in checker.map(jobs)}
    assert list(first) == list(names) and first == again


def test_without_a_sandbox_it_still_grades_and_says_so(tmp_path):
    (result,) = checked(tmp_path, "solution", sandbox=False)
    assert result.score == 20 and result.sandboxed is False


SEES = """
import os, socket
hidden = ({root!r} + "/gradebook.db", {root!r} + "/autograder/suites", {elsewhere!r})
found = [p for p in hidden if os.path.exists(p)]
if os.path.exists({root!r}):
    found += [p for p in os.listdir({root!r}) if p != ".venv"]  # which may be Python itself
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=1)
    found.append("network")
except OSError:
    pass
found += [name for name in os.environ if name.startswith("JUDGE")]
found += [p for p in os.listdir("/proc") if p.isdigit() and int(p) > 50]
found
"""


def test_a_sandbox_sees_neither_course_nor_network_nor_judge(tmp_path, monkeypatch):
    import socket

    from autograder.sandbox.launch import Zygote

    monkeypatch.setenv("JUDGE_SECRET", "x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = SEES.format(root=str(ROOT), elsewhere=str(tmp_path), port=server.getsockname()[1])
        with Zygote.start(hide=[ROOT]) as zygote, zygote.spawn(Limits(), seed=1) as sandbox:
            reply = sandbox.run_cell(source, wall_s=10, output_bytes=10_000)
    assert reply["error"] is None, reply
    shown = reply["outputs"][-1]["data"]["text/plain"]
    assert shown == "[]"


GRADER = """
import sys
from pathlib import Path
from autograder import config, schedule
if __name__ == "__main__":
    settings = config.load(Path({root!r}))
    paths = [Path(p) for p in sys.argv[1:]]
    limits = settings.limits
    for result in schedule.check_files(settings.course, "ex1_tensors", paths, limits=limits, workers=2):
        print(result.score, flush=True)
"""


def test_killing_the_grader_leaves_no_process(tmp_path):
    script = tmp_path / "grader.py"
    script.write_text(GRADER.format(root=str(ROOT)))
    known = {item.name: item for item in golden.load_all(EX1)}
    paths = []
    for number in range(30):
        path = tmp_path / f"s{number}.ipynb"
        path.write_bytes(known["solution"].notebook_bytes(settings().course))
        paths.append(str(path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    grader = subprocess.Popen([sys.executable, str(script), *paths], stdout=subprocess.PIPE, env=environment)
    assert grader.stdout is not None
    assert grader.stdout.readline().strip() == b"20.0"
    family = descendants(grader.pid)
    assert len(family) > 3, "judge workers, the zygote and a sandbox"
    os.kill(grader.pid, signal.SIGKILL)
    grader.wait()
    grader.stdout.close()
    deadline = time.monotonic() + 10
    while (left := [pid for pid in family if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def descendants(pid):
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
