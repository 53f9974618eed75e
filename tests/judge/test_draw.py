"""Draws are reproducible, independent, and their reproducer is the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.errors import SuiteError
from autograder.judge.draw import Draw
from autograder.seeds import seed_for


def replay(draw: Draw) -> dict:
    """Run the reproducer as a student would: nothing but torch and numpy."""
    namespace: dict = {}
    exec(draw.reproduce, namespace)
    return namespace


def test_one_spec_gives_the_tensor_and_several_give_a_tuple():
    draws = Draw(1).tensors(o=5, i=3)
    W, x, b = draws.of("o i", "i", "o")
    assert (W.shape, x.shape, b.shape) == ((5, 3), (3,), (5,))
    assert draws.of("o").shape == (5,)
    assert draws.of("").shape == ()
    assert draws.of("1 i").shape == (1, 3)
    assert draws.of("0 i").shape == (0, 3)


def test_the_same_seed_gives_the_same_draws_and_another_gives_others():
    first, second, other = (Draw(seed).tensors(n=8).of("n") for seed in (7, 7, 8))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_draws_leave_the_global_generators_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    draw = Draw(3)
    draw.tensors(n=3).of("n")
    draw.arrays(n=3).of("n")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_floating_dtypes_can_require_grad_as_leaves(dtype):
    x = Draw(1).tensors(dtype=dtype, requires_grad=True, n=4).of("n")
    assert x.dtype == getattr(torch, dtype)
    assert x.is_leaf and x.requires_grad


def test_limits_give_uniform_draws():
    draw = Draw(5)
    x = draw.tensors(low=-2, high=3, requires_grad=True, n=1000).of("n")
    assert x.is_leaf and x.requires_grad
    x = x.detach()
    assert -2 <= float(x.min()) < -1.8 and 2.8 < float(x.max()) <= 3
    k = draw.tensors(dtype="int64", low=0, high=4, n=200).of("n")
    assert k.dtype == torch.int64 and set(k.tolist()) == {0, 1, 2, 3}
    assert draw.tensors(dtype="bool", n=50).of("n").dtype == torch.bool
    a = draw.arrays(low=10, high=20, n=100).of("n")
    assert a.dtype == np.float64 and a.min() >= 10 and a.max() < 20
    assert draw.arrays(dtype="uint8", low=0, high=256, n=9).of("n").dtype == np.uint8
    assert draw.arrays(dtype="float32", n=9).of("n n").dtype == np.float32
    assert type(draw.arrays().of("")) is np.ndarray


def test_sizes_are_distinct():
    for seed in range(50):
        sizes = Draw(seed).sizes(3)
        assert len(set(sizes)) == 3 and all(2 <= n <= 9 for n in sizes)
    assert sorted(Draw(1).sizes(3, low=4, high=6)) == [4, 5, 6]


def test_integers_numbers_choices_seeds_and_permutations():
    draw = Draw(11)
    assert set(draw.integers(1, 4, (100,)).tolist()) == {1, 2, 3}
    assert draw.integers(0, 9).shape == ()
    assert all(2.5 <= draw.number(2.5, 4) < 4 for _ in range(50))
    assert {draw.choice("abc") for _ in range(50)} == set("abc")
    assert len(set(draw.seeds(5))) == 5
    assert sorted(draw.permutation(6).tolist()) == list(range(6))


@given(n=st.integers(0, 30), classes=st.integers(1, 12), seed=st.integers(0, 2**31 - 1))
def test_every_class_is_present_when_there_is_room(n, classes, seed):
    y = Draw(seed).labels(n, classes)
    assert y.shape == (n,) and y.dtype == torch.int64
    present = set(y.tolist())
    assert present <= set(range(classes))
    assert len(present) == min(n, classes)


def test_the_reproducer_draws_everything_again():
    draw = Draw(123)
    drawn = {
        "W": draw.tensors(o=5, i=3).of("W: o i"),
        "t1": draw.tensors(dtype="float64", requires_grad=True, n=4).of("n"),
        "t2": draw.tensors(dtype="bfloat16", low=-1.5, high=2, n=40).of("n"),
        "n1": draw.sizes(3),
        "t3": draw.labels(7, 3),
        "n2": draw.number(-1, 1),
        "a1": draw.arrays(n=3, m=2).of("n m"),
        "a2": draw.arrays(dtype="int64", low=0, high=9, n=4).of("n"),
        "t4": draw.integers(0, 5, (2, 2)),
        "a3": draw.arrays(dtype="float32", low=0, high=1).of(""),
    }
    index = "abc".index(draw.choice("abc"))
    found = replay(draw)
    for name, value in drawn.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value), name
            assert found[name].dtype == value.dtype and found[name].requires_grad == value.requires_grad
        elif isinstance(value, np.ndarray):
            assert np.array_equal(found[name], value) and found[name].dtype == value.dtype, name
        else:
            assert found[name] == value
    assert found["n3"] == index
    assert "autograder" not in draw.reproduce


def test_the_reproducer_of_nothing_is_empty_and_a_long_one_is_cut():
    draw = Draw(1)
    assert draw.reproduce == ""
    for _ in range(500):
        draw.number(0, 1)
    assert "more draws" in draw.reproduce
    assert len(draw.reproduce.splitlines()) < 250
    replay(draw)


def test_a_name_given_twice_or_taken_is_no_trouble():
    draw = Draw(1)
    draw.tensors(n=2).of("t1: n")
    second = draw.tensors(n=2).of("n")
    assert torch.equal(replay(draw)["t2"], second)


@pytest.mark.parametrize(
    "use",
    [
        lambda d: d.tensors(n=3).of("m"),
        lambda d: d.tensors(n=3).of(),
        lambda d: d.tensors(n=3).of(3),
        lambda d: d.tensors(n=3).of("gen: n"),
        lambda d: d.tensors(n=3).of("import os; x: n"),
        lambda d: d.tensors(n=-1),
        lambda d: d.tensors(n=2.5),
        lambda d: d.tensors(n=True),
        lambda d: d.tensors(dtype="float31"),
        lambda d: d.tensors(dtype="int64", n=3),
        lambda d: d.tensors(dtype="int64", requires_grad=True, low=0, high=3),
        lambda d: d.tensors(low=1, n=3),
        lambda d: d.tensors(low=1, high=1),
        lambda d: d.tensors(dtype="complex64", low=0, high=1),
        lambda d: d.arrays(dtype="object"),
        lambda d: d.number(0, float("inf")),
        lambda d: d.sizes(9),
        lambda d: d.labels(3, 0),
        lambda d: d.choice([]),
        lambda d: Draw(-1),
        lambda d: Draw("1"),
    ],
)
def test_wrong_use_is_our_fault(use):
    with pytest.raises(SuiteError):
        use(Draw(1))


NAMES = st.text(max_size=6)


@given(parts=st.tuples(NAMES, NAMES, NAMES, NAMES), others=st.tuples(NAMES, NAMES, NAMES, NAMES))
def test_seeds_depend_on_every_part_and_its_place(parts, others):
    seed = seed_for(b"secret", *parts)
    assert 0 <= seed < 2**31
    assert seed == seed_for(b"secret", *parts)
    if parts != others:
        assert seed != seed_for(b"secret", *others)
    assert seed != seed_for(b"another", *parts)


def test_seeds_are_kept_over_versions():
    assert seed_for(b"k", "ada", "ex1_tensors", "affine", "test_affine") == 18490912
