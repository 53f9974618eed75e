"""Wrong golden submissions in one notebook: who may share one, and a difference that finds its golden."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autograder import golden, packing
from autograder.layout import Course
from autograder.models import CheckResult, NotebookResult, Outcome, TaskKind, TaskResult
from autograder.packing import differences, names, pack, task_of
from tests import samples

RIGHT = {
    "one": "import torch\n\ndef one(x):\n    return torch.abs(x)",
    "two": "def two(x):\n    return x + 1",
    "three": "def three(x):\n    return two(x) + 1",
}
WORTH = {"one": 3.0, "two": 2.0, "three": 1.0}


def wrong(name, *, score=0.0, mistake="known", source=None, **more):
    """A wrong answer to the task before the dash of its name."""
    task = name.partition("-")[0]
    expected = golden.Expected(
        score=sum(WORTH.values()) - WORTH[task] + score, tasks={task: score}, mistakes={task: mistake}
    )
    source = source or f"def {task}(x):\n    return None  # {name}"
    item = golden.Golden(name, "ex", "", "solution", None, {task: source}, (), expected)
    return replace(item, **more)


class Grading:
    """Grades without a sandbox: ``wrongs`` says what each answer really earns, and which mistake is named.

    ``spoils`` maps the name of a submission to a task of another that it takes down too; ``together`` are
    names whose tasks go wrong when they are in one notebook.
    """

    def __init__(self, wrongs, spoils=(), together=()):
        self.wrongs, self.spoils, self.together = wrongs, dict(spoils), set(together)
        self.graded = []

    def __call__(self, items):
        self.graded.append([item.name for item in items])
        return {item.name: self.result(item) for item in items}

    def result(self, item):
        members = list(item.members.values()) if isinstance(item, packing.Pack) else [item]
        lost = {}
        for member in members:
            ((task, _),) = member.cells.items()
            lost[task] = self.wrongs[member.name]
        for member in members:
            if member.name in self.spoils:
                lost[self.spoils[member.name]] = (0.0, None)
        if self.together and self.together <= {member.name for member in members}:
            lost |= dict.fromkeys(WORTH, (0.0, None))
        tasks = tuple(task_result(task, *lost.get(task, (worth, None))) for task, worth in WORTH.items())
        return result_of(tasks, item.name)


def task_result(task, score, mistake):
    outcome = Outcome.PASSED if score == WORTH[task] else Outcome.FAILED
    check = CheckResult(f"test_{task}", task, outcome, WORTH[task], score, mistake=mistake)
    return TaskResult(task, TaskKind.SUITE, score, WORTH[task], (check,))


def result_of(tasks, name="x"):
    score = sum(task.score for task in tasks)
    return NotebookResult("ex", name, score, sum(WORTH.values()), False, Outcome.FAILED, tasks)


NAMES = ("one-a", "one-b", "two-a")
TRUTH = dict.fromkeys((*NAMES, "three-a"), (0.0, "known"))


def wrongs(**changes):
    return [replace(wrong(name), **changes.get(name.replace("-", "_"), {})) for name in NAMES]


# -- who shares a notebook


def test_different_tasks_share_a_notebook_and_the_same_task_does_not():
    packs, alone = pack(wrongs(), RIGHT)
    assert [sorted(item.members) for item in packs] == [["one", "two"]]
    assert [member.name for member in packs[0].members.values()] == ["one-a", "two-a"]
    assert [item.name for item in alone] == ["one-b"]


def test_an_answer_that_uses_the_name_of_another_tasks_answer_is_not_beside_it():
    packs, alone = pack([wrong("two-a"), wrong("three-a"), wrong("one-a")], RIGHT)
    assert [list(item.members) for item in packs] == [["two", "one"]]
    assert [item.name for item in alone] == ["three-a"]
    itself = [wrong("two-a"), wrong("three-a", source="two = 3\ndef three(x):\n    return two")]
    assert pack(itself, RIGHT)[0] == [], "what it would overwrite is another task's answer"
    reads = wrong("one-a", source="def one(x):\n    return two(x)")
    assert pack([reads, wrong("two-a")], RIGHT)[0] == [], "the wrong answer alone reads it"


EXPECTED = wrong("one-a").expected


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "release"},
        {"inserts": (golden.Insert("one", "x = 1", before=True),)},
        {"limit_changes": {"cell_wall_s": 2}},
        {"cells": {"one": RIGHT["one"], "two": RIGHT["two"]}},
        {"cells": {}},
        {"cells": {"one": "def one(x:"}},
        {"cells": {"one": "import os\nos._exit(0)"}},
        {"cells": {"one": "import torch\ntorch.abs = len"}},
        {"cells": {"one": "%time 3"}},
        {"expected": replace(EXPECTED, outcome=Outcome.FAILED)},
        {"expected": replace(EXPECTED, message="stopped")},
        {"expected": replace(EXPECTED, tasks={})},
        {"expected": replace(EXPECTED, tasks={"one": 0.0, "two": 0.0})},
        {"expected": replace(EXPECTED, mistakes={"one": "a", "two": "b"})},
        {"expected": replace(EXPECTED, messages={"two": "b"})},
    ],
)
def test_anything_but_a_plain_wrong_answer_is_graded_alone(changes):
    assert task_of(wrong("one-a")) == "one"
    item = wrong("one-a", **changes)
    assert task_of(item) is None
    assert pack([item, wrong("two-a")], RIGHT) == ([], [item, wrong("two-a")])


def test_an_answer_to_no_task_of_the_solution_is_graded_alone():
    assert pack([wrong("one-a"), wrong("two-a")], {"one": RIGHT["one"]})[0] == []


def test_nobody_gets_lost():
    goldens = [wrong(f"{task}-{number}") for task in WORTH for number in range(7)]
    packs, alone = pack(goldens, RIGHT)
    placed = [member.name for item in packs for member in item.members.values()] + [i.name for i in alone]
    assert sorted(placed) == sorted(item.name for item in goldens)
    assert len({item.name for item in packs}) == len(packs) == 7
    assert pack(goldens, RIGHT) == (packs, alone)


def test_the_names_of_a_cell():
    source = """
import numpy as np
from math import exp as e

limit: float = 3

@decorated
class Net(Base):
    size = width
    def forward(self, x):
        global state
        state = self.size
        y = np.abs(x)
        return [z + limit for z in helper(y)]
"""
    found = names(source)
    assert found is not None
    assert found.binds == {"np", "e", "limit", "Net", "state"}
    assert found.reads == {"float", "decorated", "Base", "width", "helper"}


def test_the_notebook_of_a_pack_holds_every_members_cell(tmp_path):
    for kind in ("source", "release"):
        cells = [samples.code(source, f"solution-{task}", solution=True) for task, source in RIGHT.items()]
        (tmp_path / kind / "ex").mkdir(parents=True)
        (tmp_path / kind / "ex" / "ex.ipynb").write_text(json.dumps(samples.notebook(cells)))
    course = Course(tmp_path)
    assert golden.right_answers(course, "ex") == RIGHT
    ((only,), _) = pack([wrong("one-a"), wrong("two-a")], golden.right_answers(course, "ex"))
    sources = [cell["source"] for cell in json.loads(only.notebook_bytes(course))["cells"]]
    assert sources == [wrong("one-a").cells["one"], wrong("two-a").cells["two"], RIGHT["three"]]


# -- what a pack must get


def test_a_pack_whose_members_all_get_what_they_expect_is_graded_once():
    grade = Grading(TRUTH)
    assert differences(wrongs(), RIGHT, grade) == {}
    assert grade.graded == [["pack-001", "one-b"]]


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ((0.0, "other"), ["two: the mistake named is other instead of known"]),
        ((0.0, None), ["two: the mistake named is none instead of known"]),
        ((1.0, "known"), ["two: 1 points instead of 0", "score 5 instead of 4"]),
        ((2.0, None), ["two: 2 points instead of 0", "score 6 instead of 4"]),
    ],
)
def test_a_member_that_differs_is_named_and_nobody_else(truth, said):
    grade = Grading({**TRUTH, "two-a": truth})
    found = differences(wrongs(), RIGHT, grade)
    assert list(found) == ["two-a"]
    assert all(any(part in line for line in found["two-a"]) for part in said)
    again = ["one-a", "two-a"]
    assert grade.graded == [["pack-001", "one-b"], again], "the verdicts are those of runs alone"
    assert found == differences(wrongs(), RIGHT, Grading({**TRUTH, "two-a": truth}), packed=False)


def test_a_stated_score_of_the_whole_and_messages_are_demanded_in_a_pack():
    off = replace(EXPECTED, score=99.0)
    assert differences(wrongs(one_a={"expected": off}), RIGHT, Grading(TRUTH)) == {
        "one-a": ["score 3 instead of 99"]
    }
    silent = replace(EXPECTED, messages={"one": "shape"})
    found = differences(wrongs(one_a={"expected": silent}), RIGHT, Grading(TRUTH))
    assert found == {"one-a": ["one: no message says 'shape'"]}


def test_a_wrong_answer_that_costs_a_task_of_nobody_is_named():
    found = differences(wrongs(), RIGHT, Grading(TRUTH, spoils={"one-a": "three"}))
    assert list(found) == ["one-a"] and found["one-a"][0] == "three: 0 points instead of 1"


def test_a_wrong_answer_that_changes_what_another_member_gets_is_named_and_not_that_member():
    grade = Grading(TRUTH, spoils={"one-a": "two"})
    packs, _ = pack(wrongs(), RIGHT)
    assert list(packs[0].compare(grade.result(packs[0]))) == ["two-a"], "another mistake than its own"
    assert list(differences(wrongs(), RIGHT, grade)) == ["one-a"]


def test_what_goes_wrong_only_together_is_no_ones_difference():
    grade = Grading(TRUTH, together=("one-a", "two-a"))
    assert differences(wrongs(), RIGHT, grade) == {}
    assert grade.graded == [["pack-001", "one-b"], ["one-a", "two-a"]]
