"""Six kinds of checks for each of six attacked tasks, and one for each honest task."""

from __future__ import annotations

from autograder import points
from autograder.checks import (
    assert_close,
    assert_equal,
    assert_rng_untouched,
    assert_shape,
    assert_unchanged,
)

from . import reference


@points("first", 2)
def test_first(student, draw):
    """Honest, before all attacks."""
    x = draw.tensors(n=4).of("n")
    assert_close(student.first(x), reference.double(x))


@points("last", 2)
def test_last(student, draw):
    """Honest, behind all attacks."""
    x = draw.tensors(n=4).of("n")
    assert_close(student.last_one(x), reference.double(x))


def _checks(task):
    function = f"answer{task[1:]}"

    @points(task, 1)
    def number(student, draw):
        a, b = draw.number(1.0, 2.0), draw.number(3.0, 4.0)
        assert_close(student.get(function)(a, b), reference.answer(a, b))

    @points(task, 1)
    def tensor(student, draw):
        a, b = draw.tensors(n=3, m=4).of("n m", "n m")
        got = student.get(function)(a, b)
        assert_shape(got, (3, 4))
        assert_close(got, reference.answer(a, b))

    @points(task, 1)
    def gradient(student, draw):
        a, b = draw.tensors(dtype="float64", requires_grad=True, n=3).of("n", "n")
        got = student.get(function)(a, b)
        assert_shape(got, (3,))
        got.sum().backward()
        assert_close(a.grad, b.detach() - 1.75)

    @points(task, 1)
    def held(student, draw):
        a, b = draw.tensors(n=5).of("n", "n")
        kept = student.get(function).keep(a, b)
        assert_equal(len(kept), 5)
        assert_close(kept[0], reference.answer(a, b)[0])
        assert_close(kept.mean(), reference.answer(a, b).mean())
        assert_close(list(kept), list(reference.answer(a, b)))

    @points(task, 1)
    def conduct(student, draw):
        a, b = draw.tensors(n=6).of("n", "n")
        got = student.get(function)(a, b)
        assert_close(got, reference.answer(a, b))
        assert_unchanged(student.last)
        assert_rng_untouched(student.last)

    @points(task, 1)
    def probed(student, draw):
        a, b = draw.tensors(n=2).of("n", "n")
        got = student.probe("twice", student.get(function), a, b)
        assert_close(got, [reference.answer(a, b)] * 2)

    return {
        f"test_{task}_{check.__name__}": check for check in (number, tensor, gradient, held, conduct, probed)
    }


for _task in ("t1", "t2", "t3", "t4", "t5", "t6"):
    for _name, _check in _checks(_task).items():
        _check.__name__ = _name
        globals()[_name] = _check
