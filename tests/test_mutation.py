"""Mutants of small sources, equivalent mutants, and a tiny course whose suite has a hole."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from autograder import cli
from autograder.errors import SuiteError, UsageError
from autograder.layout import Course
from autograder.mutation import (
    Equivalent,
    all_mutants,
    changed_lines,
    load,
    match,
    mutants,
    solution,
    subjects,
)
from autograder.mutation import equivalents as equivalent_mutants

SUITES = sorted(Path(cli.__file__).with_name("suites").glob("ex*"))


def made(source, operator=None):
    """The changed lines of the mutants of ``source`` (of one operator), joined."""
    found = mutants("t", textwrap.dedent(source).strip("\n"))
    return [one.lines[1] for one in found if operator in (None, one.operator)]


# ---------------------------------------------------------------- operators


@pytest.mark.parametrize(
    ("source", "operator", "expected"),
    [
        ("y = a + b", "add_to_sub", ["y = a - b"]),
        ("y = a @ b", "matmul_to_mul", ["y = a * b"]),
        ("y = a * b", "mul_to_matmul", ["y = a @ b"]),
        ("y = a - b * c", "swap_operands", ["y = (b * c) - a"]),
        ("y = a / (b + c)", "drop_left_operand", ["y = (b + c)", "y = a / c"]),
        ("y = -a", "drop_sign", ["y = a"]),
        ("y = a < b", None, ["pass", "y = a <= b", "y = a > b"]),
        ("y = a == b", None, ["pass", "y = a != b"]),
        ("y = a and b", None, ["pass", "y = a or b", "y = a", "y = b"]),
        ("y = 3", None, ["pass", "y = 4", "y = 2", "y = -3"]),
        ("y = 0", None, ["pass", "y = 1", "y = -1"]),
        ("y = 0.5", None, ["pass", "y = 0.25", "y = 1.0", "y = -0.5"]),
        ("y = True", "true_to_false", ["y = False"]),
        ("y = 'mean'", "change_text", ["y = 'meanX'"]),
        ("y = f'{a:.3f} m'", "change_text", ["y = f'{a:.3f} mX'"]),
        ("y = x.mean(dim=1)", "mean_to_sum", ["y = x.sum(dim=1)"]),
        ("y = x.mean(dim=1)", "other_dim", ["y = x.mean(dim=0)"]),
        ("y = x.mean(dim=-1)", "other_dim", ["y = x.mean(dim=1)"]),
        ("y = x.sum(1, keepdim=True)", "drop_keyword", ["y = x.sum(1)"]),
        ("y = x.sum(1, keepdim=True)", "drop_argument", ["y = x.sum(keepdim=True)"]),
        ("y = f(a, b, k=c)", "swap_arguments", ["y = f(b, a, k=c)"]),
        ("y = x.clone()", "drop_clone", ["y = x"]),
        ("y = torch.sqrt(a + b) * c", "drop_sqrt", ["y = (a + b) * c"]),
        ("y = copy.deepcopy(x)", "drop_deepcopy", ["y = x"]),
        ("y = float(x)", "drop_float", ["y = x"]),
        ("y = x.T", "drop_T", ["y = x"]),
        ("y = x.argmax(1)", "argmax_to_argmin", ["y = x.argmin(1)"]),
        ("y = layer.weight", "weight_to_bias", ["y = layer.bias"]),
        ("y = max(a, b)", "max_to_min", ["y = min(a, b)"]),
        ("y = torch.float32", "float32_to_float64", ["y = torch.float64"]),
        ("y = x.add_(1)", "not_in_place", ["y = x.add(1)"]),
        ("y = x[1:, None]", "drop_slice_start", ["y = x[:, None]"]),
        ("y = x[:, None]", "drop_subscript", ["y = x"]),
        ("y = a if c else b", "swap_branches", ["y = b if c else a"]),
        ("y = [a for a in b if a if not a]", "drop_filter", ["y = [a for a in b]"]),
        ("p -= g", "sub_assign_to_add_assign", ["p += g"]),
        ("p -= a - b", "not_in_place", ["p = p - (a - b)"]),
        ("p *= g", "only_assign", ["p = g"]),
        ("y = {1: a, 2: b}", "drop_element", ["y = {2: b}", "y = {1: a}"]),
    ],
)
def test_what_becomes_of_a_line(source, operator, expected):
    assert made(source, operator) == expected


def test_statements_are_left_out_one_at_a_time():
    source = """
    def step(opt, loss):
        opt.zero_grad()
        loss.backward()
        opt.step()
    """
    names = [one.operator for one in mutants("t", textwrap.dedent(source))]
    assert names == ["body_to_pass", "drop_zero_grad", "drop_backward", "drop_step"]


def test_the_start_of_a_class_can_be_left_out():
    assert "drop_init" in {
        one.operator
        for one in mutants(
            "t", "class A(B):\n    def __init__(self):\n        super().__init__()\n        self.a = 1"
        )
    }


def test_no_grad_goes_and_its_body_stays():
    source = "def f(p):\n    with torch.no_grad():\n        p -= 1\n    return p"
    (one,) = [one for one in mutants("t", source) if one.operator == "unwrap_no_grad"]
    assert one.source == "def f(p):\n    p -= 1\n    return p"
    assert one.lines == ("with torch.no_grad():", "")


def test_conditions_loops_defaults_decorators_and_results():
    source = """
    @torch.no_grad()
    def f(n, k=3):
        for i in range(n):
            if i > k and n:
                break
        return i, n
    """
    found = {one.operator: one.lines[1] for one in mutants("t", textwrap.dedent(source))}
    assert found["drop_decorator"] == ""
    assert found["drop_default"] == "def f(n, k):"
    assert found["range_one_more"] == "for i in range(n + 1):"
    assert found["range_one_less"] == "for i in range(n - 1):"
    assert found["range_from_one"] == "for i in range(1, n):"
    assert found["negate_condition"] == "if not (i > k and n):"
    assert found["condition_true"] == "if True:"
    assert found["condition_false"] == "if False:"
    assert found["break_to_continue"] == "continue"
    assert found["swap_returned"] == "return n, i"
    assert found["drop_return"] == "pass"


def test_what_people_read_stays():
    source = '''
    def f(x: int = None) -> "Tensor":
        """A doc string."""
        # 1 comment
        if x is None:
            raise ValueError(f"x is {tuple(x)} and not {1}")
        assert x, "no " + "x"
        print("done", 1)
    '''
    changed = "\n".join(made(source))
    assert 'raise TypeError(f"x is {tuple(x)} and not {1}")' in changed
    for text in ("docX", "{2}", "{x}", "xX", "doneX", "(1, ", "TensorX", "0 comment"):
        assert text not in changed


def test_each_program_comes_once_and_is_python():
    source = "def f(x):\n    y = x.sum(0)\n    return y.clone()"
    found = mutants("t", source)
    texts = [one.source for one in found]
    assert len(set(texts)) == len(texts) and source not in texts
    for text in texts:
        compile(text, "mutant", "exec")


def test_ids_and_order_are_stable_and_name_the_change():
    source = "### BEGIN SOLUTION\ny = a @ b @ c\n### END SOLUTION"
    found = mutants("affine", source)
    assert [one.id for one in found] == [one.id for one in mutants("affine", source)]
    first = next(one for one in found if one.operator == "matmul_to_mul")
    assert first.id.startswith("affine:matmul_to_mul:1:") and len(first.id.rpartition(":")[2]) == 6
    assert first.original == solution(source) == "y = a @ b @ c"
    assert "-y = a @ b @ c\n+y = a @ b * c" in first.diff
    assert len({one.id for one in found}) == len(found)


def test_a_cell_that_is_no_plain_python_is_named():
    with pytest.raises(UsageError, match="solution cell of t"):
        mutants("t", "%matplotlib inline\ny = ")


# ---------------------------------------------------------------- equivalent mutants

ENTRY = """
[[equivalent]]
task = "t"
before = "    y = a + b"
after = "y = a - b"
reason = "b is 0"
"""


def test_an_entry_goes_by_the_text_of_the_change(tmp_path):
    (tmp_path / "equivalent.toml").write_text(ENTRY)
    entries = load(tmp_path)
    here, there = mutants("t", "y = a + b"), mutants("t", "def f():\n    z = 1\n    y = a + b")
    for found in (here, there):
        assert [one.operator for one in found if match(entries, one)] == ["add_to_sub"]
    assert not any(match(entries, one) for one in mutants("other", "y = a + b"))


def test_an_entry_for_what_is_left_out():
    entry = Equivalent("t", "with torch.no_grad():", "", "why")
    found = mutants("t", "with torch.no_grad():\n    y = 1")
    assert [one.operator for one in found if entry.covers(one)] == ["unwrap_no_grad"]


def test_without_a_file_nothing_is_equivalent(tmp_path):
    assert load(tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[equivalent]", "equivalent.toml"),
        ("x = 1", "nothing but"),
        ('[[equivalent]]\ntask = "t"', "must have the texts"),
        (ENTRY.replace("b is 0", " "), "gives no reason"),
        (ENTRY.replace('"t"', "1"), "must have the texts"),
        (ENTRY + ENTRY, "twice"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    (tmp_path / "equivalent.toml").write_text(text)
    with pytest.raises(SuiteError, match=message):
        load(tmp_path)


def test_changed_lines_are_without_indentation():
    assert changed_lines("a\n  b\nc", "a\nb\n    d") == ("c", "d")


# ---------------------------------------------------------------- a course

SUITE = """
from autograder import points

RIGHT = {4: True, 2: False, 0.25: False, None: False}  # 8 is missing: a defect of this suite


@points("square", 1)
def test_square_of_two(student):
    assert RIGHT[student.square(2)]


@points("add", 1)
def test_add(student):
    assert student.add(2, 3) == 5
"""
EQUIVALENTS = """
[[equivalent]]
task = "square"
before = "return x**2"
after = "return 2**x"
reason = "the only input is 2"

[[equivalent]]
task = "add"
before = "return a + b"
after = "return a - b"
reason = "wrong: the suite rejects it"

[[equivalent]]
task = "add"
before = "return a"
after = "return b"
reason = "wrong: there is no such mutant"
"""


def cell(source, **meta):
    flags = {"grade": False, "solution": False, "locked": False, "task": False}
    metadata = {"nbgrader": {"schema_version": 3, **flags, **meta}} if meta else {}
    return {
        "id": f"c{abs(hash(source)) % 10**8}",
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Two tasks: a suite with a hole and a defect, and one where a solution needs another cell."""
    root = tmp_path_factory.mktemp("course")
    (root / "pyproject.toml").write_text("[tool.autograder]\n")
    solve = "### BEGIN SOLUTION\n{}\n### END SOLUTION"
    cells = [
        cell("import math", grade_id="setup", locked=True),
        cell(
            "def square(x):\n    " + solve.format("    return x**2"),
            grade_id="solution-square",
            solution=True,
        ),
        cell("zero = 0"),
        cell("square(2)", grade_id="square", grade=True, locked=True, points=1),
        cell(solve.format("def add(a, b):\n    return zero + a + b"), grade_id="sum", solution=True),
        cell("add(1, 2)", grade_id="add", grade=True, locked=True, points=1),
        cell(solve.format("def more():\n    return 1"), grade_id="solution-stretch", solution=True),
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    files = {
        root / "source" / "tiny" / "tiny.ipynb": json.dumps(notebook),
        root / "autograder" / "suites" / "tiny" / "__init__.py": "",
        root / "autograder" / "suites" / "tiny" / "test_tiny.py": SUITE,
        root / "autograder" / "suites" / "tiny" / "equivalent.toml": EQUIVALENTS,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_what_is_mutated(course):
    found = subjects(Course(course), "tiny")
    assert list(found) == ["square", "add"]
    assert found["add"].source == "def add(a, b):\n    return zero + a + b"
    everything = all_mutants(found.values())
    some = all_mutants(found.values(), 5)
    assert len(some) == 5 and [one for one in everything if one in some] == some
    with pytest.raises(UsageError, match="has no task nothing with a solution; it has: square, add"):
        subjects(Course(course), "tiny", ["nothing"])


def test_mutants_are_listed_without_grading(course, capsys):
    assert cli.main(["mutate", "tiny", "--course", str(course), "--task", "square", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("square:pow_to_mul:1:") and "return x*2" in line for line in lines)
    assert not any(line.startswith("add:") for line in lines)


def test_a_hole_and_a_defect_of_a_suite_are_found(course, tmp_path, capsys):
    file = tmp_path / "report.json"
    code = cli.main(["mutate", "tiny", "--course", str(course), "--workers", "1", "--json", str(file)])
    out = capsys.readouterr().out
    assert code == 1
    report = json.loads(file.read_text())
    states = {one["operator"]: one["state"] for one in report["mutants"] if one["task"] == "square"}
    assert states == {
        "body_to_pass": "killed",
        "pow_to_mul": "survived",
        "swap_operands": "equivalent",
        "drop_right_operand": "killed",
        "plus_one": "engine error",
        "minus_one": "killed",
        "negate": "killed",
    }
    assert report["tasks"]["square"]["rate"] == 0.8
    assert report["survived"] == 1 + report["tasks"]["add"]["survived"]
    assert "+    return x*2" in out.replace("+        return", "+    return")
    broken = next(one for one in report["mutants"] if one["state"] == "engine error")
    assert "KeyError: 8" in broken["message"]
    assert len(report["stale"]) == 2
    assert "the suite rejects it" in report["stale"][0] or "there is no such mutant" in report["stale"][0]


def test_the_goal_decides(course, capsys):
    command = ["mutate", "tiny", "--course", str(course), "--task", "add", "--workers", "1"]
    assert cli.main([*command, "--goal", "1.0"]) == 1
    assert "below the goal" in capsys.readouterr().err


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name)
def test_the_lists_of_equivalent_mutants_can_be_read(suite):
    assert all(entry.reason for entry in equivalent_mutants.load(suite))
