"""Damaged notebooks and frames: a result or a named error for each, and soon. ``benchmarks/fuzz.py`` is the
long run."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.notebook import load_assignment
from tests import fuzzing
from tests.support_nbgrader import course_cells, notebook, write

FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOTEBOOK = json.dumps(notebook(course_cells())).encode()
FRAMES = fuzzing.frames()
numbers = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    return load_assignment(write(tmp_path_factory.mktemp("source") / "ex.ipynb", course_cells()))


@FEW
@given(number=numbers)
def test_a_damaged_notebook_gives_a_result_or_says_why_not(assignment, number):
    data = fuzzing.mutated_notebook(random.Random(number), [NOTEBOOK])
    with fuzzing.limited(10):
        assert fuzzing.judge_notebook(data, assignment)


@FEW
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_result_or_say_why_not(assignment, data):
    with fuzzing.limited(10):
        assert fuzzing.judge_notebook(data, assignment)


@MANY
@given(number=numbers)
def test_a_damaged_frame_gives_a_value_or_a_named_error(number):
    rng = random.Random(number)
    data = fuzzing.frame(rng, FRAMES)
    with fuzzing.limited(10):
        assert fuzzing.judge_frame(data, rng) in ("value", "WireError", "SandboxDied", "RemoteFailure")


def test_undamaged_ones_are_read(assignment):
    assert fuzzing.judge_notebook(NOTEBOOK, assignment) == "read"
    assert {fuzzing.judge_frame(data, random.Random(1)) for data in FRAMES} == {"value"}


def test_a_hang_would_be_seen():
    with pytest.raises(fuzzing.Hang), fuzzing.limited(0.05):
        while True:
            pass
