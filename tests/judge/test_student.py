"""The student's objects across the boundary, in a real sandbox."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
import torch

from autograder.checks import assert_close
from autograder.errors import SandboxDied, SandboxTimeout, SuiteError
from autograder.judge.draw import Draw
from autograder.judge.failure import CheckFailed
from autograder.judge.student import RemoteObject, Student, StudentError
from autograder.judge.verdict import explain

NOTEBOOK = """
import torch, random
import numpy as np
from torch import nn

answer = 42

def affine(W, x, b):
    return W @ x + b

def fails(x):
    y = x + 1
    return y / "a"

def mutates(a):
    a.add_(1)
    torch.rand(1)
    print("seen")

def draws():
    yield torch.rand(1)

class Liar(torch.Tensor):
    def __eq__(self, other): return True

def lies():
    return torch.ones(2).as_subclass(Liar)

def endless():
    while True: pass

def leaves():
    import os
    os._exit(3)

def hides():
    import os
    os.closerange(3, 256)
    while True: pass

def kills_itself():
    import os
    os.kill(os.getpid(), 9)

def detaches(x):
    return x.detach() * 2

def pair(x):
    return {"double": x * 2, "rest": [x.sum(), 3]}

class Net(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.layer = nn.Linear(i, o)
    def forward(self, x):
        return self.layer(x)
"""
PROBES = ("probes", "def cubic(x):\n    return x ** 3\n\ndef apply(f, x):\n    return f(x)\n")


@pytest.fixture(scope="module")
def notebook(zygote):
    from autograder.limits import Limits

    with zygote.spawn(Limits(), seed=3) as sandbox:
        assert sandbox.run_cell(NOTEBOOK, wall_s=10, output_bytes=1000)["error"] is None
        yield sandbox


@pytest.fixture
def student(notebook):
    with notebook.branch() as branch:
        yield Student(branch, wall_s=10, probes=PROBES)


def inputs(**options):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, **options) for shape in ((5, 3), (3,), (5,))]


def test_a_call_gives_plain_tensors(student):
    W, x, b = inputs()
    y = student.affine(W, x, b)
    assert type(y) is torch.Tensor and torch.allclose(y, W @ x + b)
    numbers = ", ".join(f"{value:.4g}" for value in x.tolist())
    assert (
        student.last.describe()
        == f"affine(tensor(5, 3) float32, tensor([{numbers}]) float32, tensor(5,) float32)"
    )


def test_gradients_cross_the_boundary(student):
    tensors = [t.requires_grad_() for t in inputs(dtype=torch.float64)]
    assert torch.autograd.gradcheck(student.affine, tensors)
    y = student.affine(*tensors)
    (y**2).sum().backward()
    W, x, b = tensors
    got = [t.grad.clone() for t in tensors]
    for t in tensors:
        t.grad = None
    ((W @ x + b) ** 2).sum().backward()
    assert all(torch.allclose(t.grad, g) for t, g in zip(tensors, got, strict=True))


def test_a_detached_result_has_no_gradient(student):
    assert not student.detaches(torch.ones(2, requires_grad=True)).requires_grad
    with torch.no_grad():
        assert not student.affine(*[t.requires_grad_() for t in inputs()]).requires_grad


def test_gradients_reach_tensors_inside_containers(student):
    x = torch.ones(3, requires_grad=True)
    result = student.pair(x)
    (result["double"].sum() + result["rest"][0]).backward()
    assert torch.equal(x.grad, torch.full((3,), 3.0)) and result["rest"][1] == 3


def test_modules_train_across_the_boundary(student):
    model = student.Net(3, 2)
    assert isinstance(model, RemoteObject) and model.training is True and model.layer.in_features == 3
    optimizer = student.remote("torch.optim.SGD")(model.parameters(), lr=0.5)
    before = student.named_parameters(model)
    model(torch.ones(4, 3)).sum().backward()
    graded = student.named_parameters(model)
    assert torch.equal(graded["layer.bias"].grad, torch.full((2,), 4.0))
    optimizer.step()
    assert torch.allclose(student.named_parameters(model)["layer.bias"], before["layer.bias"] - 2.0)
    assert getattr(model, "not_there", None) is None and hasattr(model, "layer")
    assert len(list(model.parameters())) == 2 and len(model.state_dict()) == 2


def test_an_exception_of_the_student_arrives_with_its_line(student):
    with pytest.raises(StudentError) as caught:
        student.fails(torch.ones(1))
    assert caught.value.type_name == "TypeError"
    assert 'return y / "a"' in caught.value.traceback


def test_side_effects_are_recorded(student):
    a = torch.zeros(2)
    assert student.mutates(a) is None
    last = student.last
    assert last.mutated == (0,) and torch.equal(last.args_after[0], torch.ones(2))
    assert torch.equal(a, torch.zeros(2)), "the judge's own tensor is untouched"
    assert last.rng_used == ("torch",) and last.stdout == "seen\n"


def test_random_numbers_are_those_of_the_call_that_drew_them(student):
    def used(call, *args):
        call(*args)
        return student.last.rng_used

    a = torch.zeros(2)
    assert used(student.mutates, a) == ("torch",)
    assert used(student.affine, *inputs()) == ()
    assert used(student.mutates, a) == used(student.mutates, a) == ("torch",)
    student.seed(5)
    assert used(student.affine, *inputs()) == ()
    later = student.draws()
    assert student.last.rng_used == ()
    assert len(list(later)) == 1  # draws now
    assert used(student.affine, *inputs()) == ()
    for module in ("numpy.random", "random"):
        assert used(student.remote(f"{module}.random")) == (module.partition(".")[0],)
        assert used(student.affine, *inputs()) == ()


def test_a_lying_subclass_stays_on_the_other_side(student):
    assert isinstance(student.lies(), RemoteObject)
    assert student.lies().type_name == "Liar"


def test_missing_names_are_failed_with_a_guess(student):
    with pytest.raises(CheckFailed, match="affin is not defined") as caught:
        student.get("affin")
    assert "'affine'" in caught.value.explanation.hint
    assert student.answer == 42


def test_probes_and_patches(student):
    assert student.probe("apply", student.probes.cubic, torch.tensor(2.0)) == 8
    assert student.probe("apply", student.detaches, torch.tensor(2.0)) == 4
    with student.patch("torch.cuda.is_available", returns=True):
        assert student.remote("torch.cuda.is_available")() is True
    assert student.remote("torch.cuda.is_available")() is torch.cuda.is_available()
    with student.patch("torch.exp", raises="no"), pytest.raises(StudentError, match="no"):
        student.remote("torch.exp")(torch.ones(1))
    with student.patch("torch.not_there.at_all", returns=1):
        pass


def test_time_is_bounded_and_death_is_known(notebook):
    with notebook.branch() as branch, pytest.raises(SandboxTimeout):
        Student(branch, wall_s=0.4).endless()
    with notebook.branch() as branch, pytest.raises(SandboxDied) as caught:
        Student(branch, wall_s=5).leaves()
    assert caught.value.status == 3
    with notebook.branch() as branch, pytest.raises(SandboxDied) as caught:
        Student(branch, wall_s=5).kills_itself()
    assert caught.value.status == -9 and not caught.value.memory
    started = time.monotonic()
    with notebook.branch() as branch, pytest.raises(SandboxDied):
        Student(branch, wall_s=5).hides()
    assert time.monotonic() - started < 3, "a copy that closed the wire does not hold up the judge"
    with notebook.branch() as branch:
        assert Student(branch, wall_s=5).answer == 42


def outcome(check, student):
    """The explanation that the student gets of a check that fails."""
    try:
        check(student)
    except Exception as error:
        return explain(error, student, Draw(0))
    raise AssertionError("the check passed")


def test_a_failed_assertion_names_the_students_call_and_not_the_probe_after_it(student):
    def check(student):
        student.detaches(torch.ones(2))
        student.remote("torch.ones")(3)
        student.probe("cubic", 2.0)
        raise CheckFailed("wrong")

    assert outcome(check, student).called == "detaches(tensor([1, 1]) float32)"
    assert [call.own for call in student.calls] == [True, False, False]


def test_a_failed_assertion_names_the_probe_where_there_is_no_other_call(student):
    def check(student):
        student.probe("apply", student.detaches, torch.ones(2))
        raise AssertionError("wrong")

    assert outcome(check, student).called == "probe apply(detaches, tensor([1, 1]) float32)"
    student.last.name = "detaches"  # how a suite says whose call it was
    student.probe("cubic", 2.0)
    assert outcome(lambda student: assert_close(1.0, 2.0), student).called.startswith("detaches(")


def test_a_probe_that_says_what_it_calls_is_that_call(student):
    def check(student):
        student.probe("apply", student.fails, torch.ones(2), called="fails(x) of two numbers")

    found = outcome(check, student)
    assert found.called == "fails(x) of two numbers" and found.summary.startswith("fails raised TypeError")
    student.probe("cubic", 2.0)
    assert outcome(lambda student: assert_close(1.0, 2.0), student).called == "fails(x) of two numbers"


def test_an_exception_names_the_call_that_raised_even_a_probe(student):
    def check(student):
        student.detaches(torch.ones(2))
        with contextlib.suppress(StudentError):
            student.fails(torch.ones(1))
        student.probe("apply", student.fails, torch.ones(2))

    found = outcome(check, student)
    assert found.called == "probe apply(fails, tensor([1, 1]) float32)"
    assert found.summary.startswith("probe apply raised TypeError")

    def caught(student):
        student.fails(torch.ones(1))

    assert outcome(caught, student).summary.startswith("fails raised TypeError")


def test_a_call_that_never_returns_or_ends_python_is_the_one_that_is_named(notebook):
    for name, kind in (("endless", SandboxTimeout), ("leaves", SandboxDied)):
        with notebook.branch() as branch:
            student = Student(branch, wall_s=0.4)
            student.detaches(torch.ones(2))
            with pytest.raises(kind) as caught:
                student.get(name)()
            assert explain(caught.value, student, Draw(0)).called == f"{name}()"


def test_what_cannot_be_sent_is_the_suites_fault(student):
    with pytest.raises(SuiteError, match=r"probes\.py"):
        student.affine(lambda x: x)
    assert student.remote("builtins.isinstance")(np.float32(1), np.floating) is True


def test_seeding(student):
    student.seed(5)
    first = student.remote("torch.rand")(3)
    student.seed(5)
    assert torch.equal(first, student.remote("torch.rand")(3))


def test_memory_that_nobody_filled_is_never_right_in_a_check(student):
    for _ in range(2):  # checks that pass share a sandbox
        student.begin_check(5)
    for made in (student.remote("torch.empty")(2, 3), student.remote("torch.Tensor")(2, 3)):
        assert made.shape == (2, 3) and bool(made.isnan().all())
    largest = np.iinfo(np.int64).max
    assert student.remote("torch.empty")(4, dtype=torch.int64).tolist() == [largest] * 4
    assert np.isnan(student.remote("numpy.empty")((2, 3))).all()
    assert student.remote("numpy.empty_like")(np.zeros(2, dtype=np.int64)).tolist() == [largest] * 2
    assert student.remote("numpy.empty")(2, dtype="bool").tolist() == [True, True]
    assert torch.equal(student.remote("torch.zeros")(3), torch.zeros(3))
