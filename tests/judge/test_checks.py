"""Twins for every assertion: a value it passes, a value it rejects with the message a student reads."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import autograder.checks
import autograder.judge.compare as compare_module
from autograder.checks import (
    CheckFailed,
    as_tensor,
    assert_between,
    assert_close,
    assert_decreasing,
    assert_device,
    assert_differentiable,
    assert_dtype,
    assert_equal,
    assert_finite,
    assert_keys,
    assert_length,
    assert_mean,
    assert_probabilities,
    assert_requires_grad,
    assert_rng_untouched,
    assert_shape,
    assert_std,
    assert_true,
    assert_type,
    assert_unchanged,
    fail,
    raises,
    same,
)
from autograder.errors import SandboxDied, SuiteError
from autograder.judge.failure import forget_result, note_result
from autograder.models import Explanation

NAN = float("nan")
INF = float("inf")
F64 = torch.float64


class RemoteObject:
    """As the proxies look: every unknown attribute is a call to the sandbox."""

    def __init__(self, type_name):
        self.type_name = type_name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError("a check asked the sandbox")


class LyingTensor(torch.Tensor):
    """A local subclass whose operators lie."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("a check trusted a subclass")


class StudentError(AssertionError):
    def __init__(self, type_name, message="", kinds=()):
        super().__init__(message)
        self.type_name, self.message, self.kinds = type_name, message, kinds


class Record:
    name = "affine"

    def __init__(self, mutated=(), rng_used=()):
        self.mutated, self.rng_used = mutated, rng_used


@pytest.fixture(autouse=True)
def no_last_result():
    forget_result()
    yield
    forget_result()


def rejected(function, *args, **kwargs) -> Explanation:
    with pytest.raises(CheckFailed) as caught:
        function(*args, **kwargs)
    assert str(caught.value) == caught.value.explanation.text()
    return caught.value.explanation


def liar():
    return torch.ones(3).as_subclass(LyingTensor)


# ---------------------------------------------------------------- what a message calls the value


def test_a_message_names_the_call_that_returned_the_value():
    note_result("affine", None)
    assert rejected(assert_close, None, torch.ones(3)).summary == "affine returned None: is a return missing?"


def test_a_message_names_the_part_of_a_result():
    ones = torch.ones(2, 2)
    note_result("make_tensors", {"ones": ones})
    summary = rejected(assert_shape, ones, (2, 5)).summary
    assert summary == "make_tensors(…)['ones'] has shape (2, 2), expected (2, 5)"


def test_a_name_given_wins():
    note_result("affine", None)
    assert rejected(assert_close, None, 1.0, name="f(x)").summary == "f(x) is None: is a return missing?"


def test_a_value_that_the_last_call_did_not_return_is_the_result():
    note_result("affine", torch.ones(3))
    assert rejected(assert_shape, torch.ones(3), (4,)).summary == "the result has shape (3,), expected (4,)"


def test_a_key_of_any_kind_does_not_break_the_search_for_a_name():
    value = torch.ones(3)
    for key in (10**5000, (1, 2), None, True):
        note_result("f", {key: value})
        assert "shape" in rejected(assert_shape, value, (4,)).summary


# ---------------------------------------------------------------- the words all share


def test_the_words_of_the_suite_reach_the_explanation():
    with pytest.raises(CheckFailed) as caught:
        assert_shape(torch.ones(2), (3,), hint="h", slide="01.04", expected="three", mistake="m", name="y")
    explanation = caught.value.explanation
    assert (explanation.hint, explanation.slide, explanation.expected) == ("h", "01.04", "three")
    assert caught.value.mistake == "m"
    assert explanation.summary.startswith("y has shape (2,)")


@pytest.mark.parametrize(
    "use",
    [
        lambda: assert_close(1.0, 1.0, hnt="typo"),
        lambda: assert_close(1.0, object()),
        lambda: assert_close(1.0, 1.0, rtol=-1),
        lambda: assert_close(1.0, 1.0, atol=NAN),
        lambda: assert_close(np.ones(1), np.array([object()])),
        lambda: assert_shape(torch.ones(1), 3),
        lambda: assert_shape(torch.ones(1), ("a",)),
        lambda: assert_dtype(torch.ones(1), "float31"),
        lambda: assert_device(torch.ones(1), "abacus"),
        lambda: assert_type(1, 3),
        lambda: assert_type(1, ()),
        lambda: assert_between(1, 3, 2),
        lambda: assert_mean(np.arange(9.0), NAN),
        lambda: raises(),
        lambda: raises("ValueError", match="("),
        lambda: assert_differentiable(torch.sin, [torch.arange(3)]),
    ],
)
def test_wrong_use_by_a_suite_is_our_fault(use):
    with pytest.raises(SuiteError):
        use()


# ---------------------------------------------------------------- defined, type


def test_a_numpy_array_is_no_tensor_and_a_tensor_no_array():
    assert rejected(assert_close, np.ones(3), torch.ones(3)).summary == (
        "the result is a numpy array; expected a torch.Tensor"
    )
    assert rejected(assert_close, torch.ones(3), np.ones(3)).summary == (
        "the result is a torch.Tensor; expected a numpy array"
    )
    assert_close(np.ones(3), np.ones(3))


def test_a_list_where_a_tensor_is_expected_comes_with_a_cure():
    found = rejected(assert_close, [1.0, 2.0], torch.ones(2))
    assert found.summary == "the result is a list with 2 entries; expected a torch.Tensor"
    assert "torch.stack" in found.hint


def test_a_number_where_a_vector_is_expected():
    note_result("affine", 2.5)
    summary = rejected(assert_close, 2.5, torch.ones(3)).summary
    assert summary == "affine returned a Python float (2.5); expected a torch.Tensor"


def test_a_remote_object_is_named_and_never_asked():
    value = RemoteObject("Liar")
    note_result("affine", value)
    summary = rejected(assert_close, value, torch.ones(3)).summary
    assert summary == (
        "affine returned an object of class Liar; return a plain torch.Tensor, not a class of your own"
    )


def test_a_subclass_of_tensor_is_named_and_never_used():
    summary = rejected(assert_close, liar(), torch.ones(3)).summary
    assert summary == "the result is a LyingTensor, a subclass of torch.Tensor: return a plain torch.Tensor"


def test_assert_type():
    assert_type(torch.ones(1), torch.Tensor)
    assert_type(torch.nn.Parameter(torch.ones(1)), torch.Tensor)
    assert_type(np.float64(3), float)
    assert_type(None, (int, None))
    assert_type(RemoteObject("torch.nn.Linear"), "Linear")
    assert_type([1], (list, tuple))
    assert rejected(assert_type, True, int).summary == "the result is a bool (True); expected an int"
    assert rejected(assert_type, 3, (float, "Linear")).summary == (
        "the result is an int (3); expected a float or an object of class Linear"
    )
    assert rejected(assert_type, np.ones(2), torch.Tensor).summary == (
        "the result is a numpy array; expected a torch.Tensor"
    )
    assert "class Liar" in rejected(assert_type, RemoteObject("Liar"), torch.Tensor).summary
    assert "LyingTensor" in rejected(assert_type, liar(), torch.Tensor).summary


# ---------------------------------------------------------------- dtype, shape, device


def test_assert_dtype():
    assert_dtype(torch.ones(1), "float32")
    assert_dtype(torch.ones(1), torch.float32)
    assert_dtype(np.ones(1), ("float32", np.float64))
    assert rejected(assert_dtype, torch.ones(1, dtype=F64), "float32").summary == (
        "the result has dtype float64, expected float32"
    )
    assert rejected(assert_dtype, 3.0, "float32").summary == (
        "the result is a Python float (3.0); expected a torch.Tensor"
    )


def test_assert_close_compares_dtypes_and_knows_where_they_come_from():
    found = rejected(assert_close, torch.tensor([1, 2]), torch.tensor([1.0, 2.0]))
    assert found.summary == "the result has dtype int64, expected float32"
    assert "dtype=torch.float32" in found.hint
    assert_close(torch.tensor([1, 2]), torch.tensor([1.0, 2.0]), check_dtype=False)


def test_an_expected_float64_is_an_oracle_for_every_float():
    oracle = torch.tensor([1.0, 2.0], dtype=F64) / 3
    assert_close(oracle.float(), oracle)
    assert_close(oracle.half(), oracle)
    assert "dtype int64" in rejected(assert_close, torch.tensor([1, 2]), oracle).summary
    assert "dtype float64, expected float32" in rejected(assert_close, oracle, oracle.float()).summary


def test_a_bool_is_no_number():
    assert rejected(assert_close, True, 1).summary == "the result is a bool (True); expected int"
    assert rejected(assert_equal, 1, True).summary == "the result is an int (1); expected bool"
    assert (
        "dtype bool, expected int64"
        in rejected(assert_equal, torch.tensor([True]), torch.tensor([1])).summary
    )


@pytest.mark.parametrize(
    ("got", "wanted", "note"),
    [
        ((5, 5), (5,), "it looks as if (5,) was broadcast with (5, 1)"),
        ((5, 5), (5, 1), "it looks as if (5, 1) was broadcast with (5,)"),
        ((3, 5), (5, 3), "it looks transposed"),
        ((5,), (5, 1), "there is an axis of length 1 too few"),
        ((1, 5), (5,), "there is an axis of length 1 too many"),
        ((1, 5, 2), (5, 1, 2), "the axis of length 1 is in the wrong place"),
        ((4,), (), "expected one number, the mean or sum over all entries is missing"),
        ((2, 6), (4, 3), "the number of entries is right, their arrangement is not"),
    ],
)
def test_a_wrong_shape_tells_its_likely_story(got, wanted, note):
    summary = f"the result has shape {got}, expected {wanted}: {note}"
    assert rejected(assert_shape, torch.ones(got), wanted).summary == summary
    assert rejected(assert_close, torch.ones(got), torch.ones(wanted)).summary == summary


def test_assert_shape():
    assert_shape(torch.ones(2, 3), (2, None))
    assert_shape(np.ones((0, 3)), (0, 3))
    assert_shape(2.0, ())
    found = rejected(assert_shape, torch.ones(2, 3), (None, 4))
    assert found.summary == "the result has shape (2, 3), expected (any, 4)"
    assert rejected(assert_shape, [1, 2], (2,)).summary.endswith("expected a torch.Tensor")


def test_assert_device():
    assert_device(torch.ones(1), "cpu")
    assert_device(torch.device("cuda:0"), "cuda")
    assert_device(torch.ones(1, device="meta"), torch.device("meta"))
    assert rejected(assert_device, torch.ones(1, device="meta"), "cpu").summary == (
        "the result is on meta, expected cpu"
    )
    assert "numpy array; expected a torch.Tensor" in rejected(assert_device, np.ones(1), "cpu").summary
    summary = rejected(assert_equal, "cpu", torch.device("cpu")).summary
    assert summary == "the result is a str ('cpu'); expected a torch.device"
    assert_equal(torch.device("cuda:1"), torch.device("cuda"))
    assert rejected(assert_equal, torch.device("cpu"), torch.device("cuda")).summary == (
        "the result is the device cpu, expected cuda"
    )


# ---------------------------------------------------------------- finite


def test_assert_finite():
    assert_finite(torch.ones(3))
    assert_finite({"a": [1.0, np.ones(2)]})
    assert_finite(10**400)
    assert rejected(assert_finite, torch.tensor([1.0, NAN, NAN])).summary == (
        "the result has nan in 2 of 3 entries, the first at index (1,): "
        "0/0, inf - inf, the log of a negative number or torch.empty gives nan"
    )
    assert rejected(assert_finite, [1.0, -INF]).summary.startswith("the result[1] is -inf: an overflow")
    assert "a str ('x'); expected numbers" in rejected(assert_finite, "x").summary


def test_nan_fails_unless_it_is_expected_there():
    expected = torch.tensor([NAN, 1.0, INF])
    assert_close(torch.tensor([NAN, 1.0, INF]), expected)
    assert "nan in 1 of 3" in rejected(assert_close, torch.tensor([NAN, NAN, INF]), expected).summary
    assert "1 of 3 entries differ" in rejected(assert_close, torch.tensor([0.0, 1.0, INF]), expected).summary
    assert "1 of 3 entries differ" in rejected(assert_close, torch.tensor([NAN, 1.0, -INF]), expected).summary
    assert "inf in 1 of 3" in rejected(assert_close, torch.tensor([NAN, INF, INF]), expected).summary
    assert_close(NAN, NAN)


def test_a_finite_number_is_not_close_to_an_expected_infinity():
    assert "differ" in rejected(assert_close, torch.tensor([1.0, 2.0]), torch.tensor([INF, 2.0])).summary


# ---------------------------------------------------------------- values


def test_wrong_values_name_the_largest_deviation_and_hide_the_expected_numbers():
    expected = torch.tensor([1.234567, 2.0, 4.5])
    found = rejected(assert_close, torch.tensor([1.234567, 2.5, 5.25]), expected)
    assert found.summary == (
        "the result has wrong values: 2 of 3 entries differ, "
        "the largest deviation is 0.75 at index (2,) (where you have 5.25)"
    )
    assert found.expected == ""
    assert found.got == "tensor of shape (3,), float32: [1.23457, 2.5, 5.25]"
    assert "4.5" in rejected(assert_close, torch.zeros(3), expected, reveal=True).expected


@pytest.mark.parametrize(
    ("change", "story"),
    [
        (lambda t: -t, "The sign is wrong"),
        (lambda t: 3 * t, "They are the expected values times 3"),
        (lambda t: 0 * t, "They are all 0"),
        (lambda t: t.T, "They are the expected values transposed"),
        (lambda t: t.flip(0), "They are the expected values in another order"),
    ],
)
def test_wrong_values_tell_their_pattern(change, story):
    expected = torch.tensor([[1.0, 2.0], [-3.0, 5.0]])
    assert story in rejected(assert_close, change(expected), expected).summary


def test_integers_are_exact_and_name_the_first_wrong_entry():
    summary = rejected(assert_close, torch.tensor([1, 2, 4]), torch.tensor([1, 2, 3])).summary
    assert summary == "the result has wrong values: 1 of 3 entries differ, the first at index (2,)"
    assert (
        rejected(assert_equal, 10**30, 10**30 + 1).summary
        == "the result is an int of 100 bits, which is wrong"
    )
    assert_equal(2**64, 2**64)


def test_a_scalar_says_how_far_off_it_is():
    assert rejected(assert_close, 3.0, 13.0).summary == "the result is 3.0, which is wrong: off by about 10"
    assert rejected(assert_equal, 3, 4).summary == "the result is 3, which is wrong"


@pytest.mark.parametrize("got", [13.0, 13, np.float32(13), torch.tensor(13.0), np.array(13.0), np.int64(13)])
@pytest.mark.parametrize("expected", [13, 13.0])
def test_a_number_is_accepted_in_any_coat(got, expected):
    assert_close(got, expected)


def test_a_python_number_and_a_0d_tensor_are_alike():
    assert_close(2.5, torch.tensor(2.5))
    assert_close(torch.tensor(2.5, requires_grad=True), 2.5)
    assert_close(torch.tensor(2.5, dtype=F64), torch.tensor(2.5, dtype=F64))
    assert "shape (1,), expected ()" in rejected(assert_close, torch.ones(1), 1.0).summary
    assert "expected int" in rejected(assert_equal, 3.0, 3).summary


@pytest.mark.parametrize(
    ("dtype", "within", "beyond"),
    [
        (torch.float64, 5e-9, 1e-6),
        (torch.float32, 5e-5, 1e-3),
        (torch.float16, 4e-3, 5e-2),
        (torch.bfloat16, 2e-2, 2e-1),
        (torch.complex64, 5e-5, 1e-3),
    ],
)
def test_default_tolerances_follow_the_dtype(dtype, within, beyond):
    expected = torch.ones(4, dtype=dtype)
    assert_close((expected * (1 + within)).to(dtype), expected)
    assert "entries differ" in rejected(assert_close, (expected * (1 + beyond)).to(dtype), expected).summary


def test_tolerances_can_be_given():
    assert_close(1.05, 1.0, atol=0.1)
    rejected(assert_close, 1.05, 1.0, rtol=0.01)


def test_nothing_is_broadcast():
    rejected(assert_close, torch.ones(1), torch.ones(3))
    rejected(assert_close, torch.ones(3, 1), torch.ones(3))
    rejected(assert_equal, np.ones(()), np.ones(3))


def test_empty_and_0d_tensors():
    assert_close(torch.zeros(0, 3), torch.zeros(0, 3))
    rejected(assert_close, torch.zeros(0, 3), torch.zeros(3, 0))
    assert_close(torch.tensor(1.0), torch.tensor(1.0))


def test_unusual_tensors_have_sentences_of_their_own():
    ones = torch.ones(3)
    assert "device meta" in rejected(assert_close, torch.ones(3, device="meta"), ones).summary
    assert "sparse tensor (sparse_coo)" in rejected(assert_close, ones.to_sparse(), ones).summary
    assert_close(ones.to_sparse(), ones.to_sparse())
    assert_close(torch.ones(3, device="meta"), torch.ones(3, device="meta"))
    assert (
        "shape (3,)"
        in rejected(assert_close, torch.ones(3, device="meta"), torch.ones(4, device="meta")).summary
    )
    assert_close(torch.ones(3, requires_grad=True), ones)
    assert_close(torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j]))


def test_arrays_of_strings_and_objects_are_named():
    assert "array of strings" in rejected(assert_close, np.array(["5"]), np.array([5])).summary
    assert "array of Python objects" in rejected(assert_close, np.array([None]), np.array([5])).summary


def test_a_huge_claim_costs_nothing():
    huge = torch.ones(1).expand(10**6, 10**6)
    assert "shape (1000000, 1000000)" in rejected(assert_finite, huge).summary
    assert len(str(rejected(assert_close, huge, torch.ones(3)))) < 2000
    assert len(rejected(assert_close, "x" * 10**7, "y").got) <= 240


def test_nested_values_are_named_by_their_path():
    expected = {"ones": torch.ones(2), "pair": (1, [2.0, 3.0])}
    assert_close({"ones": torch.ones(2), "pair": [1, (2.0, 3.0)], "more": 7}, expected)
    found = rejected(assert_close, {"ones": torch.ones(2), "pair": (1, [2.0, 4.0])}, expected, name="result")
    assert found.summary == "result['pair'][1][1] is 4.0, which is wrong: off by about 1"
    assert (
        rejected(assert_equal, {"a": 1, "b": 2}, {"a": 1}).summary == "the result has the unexpected key 'b'"
    )
    assert (
        rejected(assert_close, {"a": 1}, {"a": 1, "b": 2, "c": 3}).summary == "the result lacks keys 'b', 'c'"
    )
    assert rejected(assert_close, (1, 2), (1, 2, 3)).summary == "the result has 2 entries, expected 3"
    assert_equal(torch.Size([2, 3]), (2, 3))


def test_exact_kinds():
    assert_equal("a", "a")
    assert rejected(assert_equal, "a", "b").summary == "the result is 'a', which is wrong"
    assert_equal(None, None)
    assert rejected(assert_equal, 3, None).summary == "the result is an int (3); expected None"
    assert_equal(torch.float32, torch.float32)
    assert rejected(assert_equal, "float32", torch.float32).summary == (
        "the result is a str ('float32'); expected a torch.dtype"
    )


def test_as_tensor():
    for value in (torch.ones(2), np.ones(2), torch.ones(2, requires_grad=True)):
        assert torch.equal(as_tensor(value, torch.float32), torch.ones(2))
    assert as_tensor(2.5).item() == 2.5
    assert "a list with 1 entry; expected numbers" in rejected(as_tensor, [1]).summary
    assert "64 bits" in rejected(as_tensor, 2**70).summary


def test_same_never_raises():
    assert same(torch.ones(2), torch.ones(2))
    assert not same(torch.ones(2), torch.ones(3))
    assert not same(RemoteObject("X"), torch.ones(3))
    assert not same(liar(), torch.ones(3))


# ---------------------------------------------------------------- graph, side effects, keys, truth


def test_assert_requires_grad():
    leaf = torch.ones(2, requires_grad=True)
    assert_requires_grad(leaf)
    assert_requires_grad(3.0, False)
    assert_requires_grad(leaf.detach(), False)
    assert "cut off from the graph" in rejected(assert_requires_grad, leaf.detach()).summary
    assert rejected(assert_requires_grad, leaf, False).summary == "the result still carries its graph"
    assert "Python float" in rejected(assert_requires_grad, 3.0).summary
    assert "numpy array" in rejected(assert_requires_grad, np.ones(2)).summary


def test_assert_unchanged():
    assert_unchanged(Record())
    assert_unchanged(Record(mutated=(0,)), ignore=[0])
    found = rejected(assert_unchanged, Record(mutated=(1, "b")))
    assert found.summary == "affine changed its arguments number 2, b"
    assert ".clone()" in found.hint


def test_assert_rng_untouched():
    assert_rng_untouched(Record())
    assert rejected(assert_rng_untouched, Record(rng_used=("torch", "random"))).summary == (
        "affine used or seeded the global random numbers of torch, Python's random"
    )


def test_assert_keys_and_length():
    assert_keys({"a": 1, "b": 2}, ["a"])
    assert_keys({"a": 1}, ["a"], exact=True)
    assert rejected(assert_keys, {"a": 1}, ["a", "b"]).summary == "the result lacks key 'b'"
    assert "unexpected key 'b'" in rejected(assert_keys, {"a": 1, "b": 2}, ["a"], exact=True).summary
    assert rejected(assert_keys, [1], ["a"]).summary == "the result is a list with 1 entry; expected a dict"
    assert_length([1, 2], 2)
    assert_length(torch.ones(2, 5), 2)
    assert rejected(assert_length, [1], 2).summary == "the result has 1 entry, expected 2"
    assert rejected(assert_length, 3.0, 2).summary.endswith("expected a list with 2 entries")


def test_assert_true():
    assert_true(True, "no")
    assert_true(np.bool_(True), "no")
    assert_true(torch.tensor(True), "no")
    assert rejected(assert_true, False, "rows overlap").summary == "rows overlap"
    for odd in (1, "yes", torch.ones(3, dtype=torch.bool), RemoteObject("X"), None):
        assert rejected(assert_true, odd, "no").expected == "True"


def test_fail_carries_mistake_and_fields():
    with pytest.raises(CheckFailed) as caught:
        fail("two calls agree", mistake="seeds_inside", got="same", called="f()", ratio=2.0)
    assert caught.value.mistake == "seeds_inside"
    assert caught.value.fields["ratio"] == 2.0
    assert str(caught.value) == "two calls agree\ncalled: f()\ngot: same"


# ---------------------------------------------------------------- raises


def test_raises_accepts_the_exception_and_tells_it():
    with raises("ValueError", "TypeError", match="shape") as caught:
        raise StudentError("ValueError", "wrong shape")
    assert (caught.type_name, caught.message) == ("ValueError", "wrong shape")
    with raises("LookupError"):
        raise StudentError("KeyError")
    with raises(("IndexError", ValueError)):
        raise StudentError("MyError", kinds=("MyError", "ValueError"))


def body(error=None, *types, **words):
    with raises(*types, **words):
        if error:
            raise error


def test_raises_rejects():
    assert rejected(body, None, "ValueError", name="mse").summary == "mse raised nothing; expected ValueError"
    found = rejected(body, StudentError("TypeError", "no"), "ValueError")
    assert found.summary == "the call raised TypeError; expected ValueError"
    assert found.got == "TypeError: no"
    assert (
        "does not say" in rejected(body, StudentError("ValueError", "x"), "ValueError", match="shape").summary
    )


def test_raises_lets_other_faults_pass():
    with pytest.raises(SandboxDied):
        body(SandboxDied("gone"), "Exception")
    with pytest.raises(CheckFailed, match="wrong"):
        body(CheckFailed("wrong"), "Exception")
    with pytest.raises(ZeroDivisionError):
        body(ZeroDivisionError(), "Exception")


# ---------------------------------------------------------------- statistics and gradients


def test_assert_between():
    assert_between(torch.rand(10, generator=torch.Generator().manual_seed(0)), 0, 1, open_high=True)
    assert_between(3, 3, 3)
    assert (
        rejected(assert_between, 1.0, 0, 1, open_high=True).summary
        == "the result is 1.0, which is outside [0, 1)"
    )
    assert (
        "has 1 of 2 entries outside [0, 1], 2.0 for one"
        in rejected(assert_between, torch.tensor([0.0, 2.0]), 0, 1).summary
    )
    assert "nan" in rejected(assert_between, NAN, 0, 1).summary


def test_assert_probabilities():
    z = torch.tensor([[1.0, 2.0, 3.0], [2.0, 0.0, 1.0]])
    assert_probabilities(z.softmax(1), 1)
    found = rejected(assert_probabilities, z.softmax(0), 1)
    assert "does not sum to 1 along dim=1" in found.summary
    assert found.summary.endswith("it does along dim=0")
    assert "outside" in rejected(assert_probabilities, z, 1).summary
    assert "expected an axis 2" in rejected(assert_probabilities, z, 2).summary
    assert "expected probabilities" in rejected(assert_probabilities, 0.5).summary


def test_assert_mean_and_std():
    samples = 5 + 2 * torch.randn(20000, generator=torch.Generator().manual_seed(1))
    assert_mean(samples, 5.0)
    assert_mean(samples, 5.0, standard_error=2 / math.sqrt(20000))
    assert_std(samples, 2.0)
    assert "expected 4 ±" in rejected(assert_mean, samples, 4.0).summary
    assert "expected 1.414 ±" in rejected(assert_std, samples, math.sqrt(2)).summary
    assert "too few" in rejected(assert_mean, torch.ones(1), 1.0).summary


def test_assert_decreasing():
    assert_decreasing([3.0, 2, torch.tensor(1.0)])
    assert_decreasing(np.array([3.0, 3.0]))
    assert_decreasing([1.0, 1.05], tolerance=0.1)
    assert rejected(assert_decreasing, [3.0, 1.0, 2.0]).summary == (
        "the result rises from 1.0 at [1] to 2.0 at [2]; it should fall"
    )
    assert "expected one number" in rejected(assert_decreasing, [torch.ones(2)]).summary
    assert "expected a list" in rejected(assert_decreasing, 3.0).summary


def test_assert_differentiable_passes_right_gradients():
    x = torch.tensor([0.5, -1.0, 2.0])
    assert_differentiable(lambda w, x: (w @ x).tanh(), [torch.eye(3) * 2, x], names=("W", "x"))
    assert_differentiable(torch.sin, [x])


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda x: (x * 2).detach(), "the result of f is cut off from the graph"),
        (lambda x: x * x.detach(), "the gradient of f with respect to x is wrong"),
        (lambda x: None, "f returned None"),
        (lambda x: 3.0, "f returned a Python float (3.0); expected a torch.Tensor"),
        (lambda x: x / 0, "has inf in"),
        (lambda x: RemoteObject("Liar"), "class Liar"),
        (lambda x: x * torch.rand(()), "f gives other numbers when it is called again with the same inputs"),
    ],
)
def test_assert_differentiable_rejects(fn, message):
    x = torch.tensor([0.5, -1.0, 2.0])
    assert message in rejected(assert_differentiable, fn, [x], names="x", name="f").summary


def test_assert_differentiable_lets_the_students_error_pass():
    def broken(x):
        raise StudentError("RuntimeError", "no")

    with pytest.raises(StudentError):
        assert_differentiable(broken, [torch.ones(2)])


# ---------------------------------------------------------------- whatever the student returned

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
DTYPES += [torch.complex64, torch.uint16, torch.uint64, torch.float8_e4m3fn]
NUMPY = [
    "float64",
    "float32",
    "float16",
    "int64",
    "uint64",
    "bool",
    "complex64",
    "object",
    "U3",
    "S2",
    "M8[s]",
    "longdouble",
]
SHAPES = [(), (0,), (1,), (3,), (2, 3), (3, 2), (3, 1), (0, 3)]


@st.composite
def tensors(draw):
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(SHAPES))
    tensor = torch.full(shape, draw(st.sampled_from([0.0, 1.0, 2.0]))).to(dtype)
    if tensor.is_floating_point() and draw(st.booleans()) and tensor.numel() and dtype.itemsize > 1:
        tensor.view(-1)[0] = draw(st.sampled_from([NAN, INF, -INF]))
    return draw(
        st.sampled_from(
            [
                lambda t: t,
                lambda t: t.to("meta"),
                lambda t: t.requires_grad_() if t.is_floating_point() or t.is_complex() else t,
                lambda t: t.to_sparse() if t.dtype == torch.float32 and t.dim() else t,
                lambda t: t.as_subclass(LyingTensor),
                lambda t: t.expand(1000, *t.shape) if t.dim() < 2 else t,
            ]
        )
    )(tensor)


@st.composite
def arrays(draw):
    dtype, shape = draw(st.sampled_from(NUMPY)), draw(st.sampled_from(SHAPES))
    array = np.zeros(shape, dtype=dtype)
    return array.view(np.ma.MaskedArray) if draw(st.booleans()) and dtype == "float64" else array


class Evil:
    def __eq__(self, other):
        raise RuntimeError("compared")

    __hash__ = None

    def __bool__(self):
        raise RuntimeError("truth")

    def __repr__(self):
        raise RuntimeError("printed")


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 2**63, 2**64]),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.sampled_from(
        [torch.float32, torch.device("cpu"), torch.Size([2]), np.float64(2), np.int64(3), np.bool_(True)]
    ),
    st.sampled_from([np.longdouble(1.5), np.datetime64("2020-01-01"), np.str_("x"), float, print]),
    st.builds(RemoteObject, st.text(max_size=3)),
    st.builds(Evil),
    tensors(),
    arrays(),
)
GARBAGE = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers(0, 2)), inner, max_size=3),
    ),
    max_leaves=6,
)
EXPECTED = [
    *(None, True, 3, 2.5, 1j, 10**400, "x", b"x", [1, 2.0], [], {}),
    *(torch.float32, torch.device("cpu"), torch.Size([2]), {"a": torch.ones(3), 0: [1]}),
    *(torch.ones(3), torch.ones(2, 3, dtype=F64), torch.tensor(1), torch.tensor(1.0), torch.zeros(0)),
    *(torch.ones(3).bool(), torch.ones(3, dtype=torch.complex64), (torch.ones(3), None)),
    *(torch.ones(3, device="meta"), torch.ones(2, 3).to_sparse()),
    *(np.ones(3), np.float64(1), np.array(2), np.zeros((3, 1), "int64")),
]
CHECKS = [
    lambda got: assert_type(got, torch.Tensor),
    lambda got: assert_type(got, (float, "Linear")),
    lambda got: assert_dtype(got, "float32"),
    lambda got: assert_shape(got, (3, None)),
    lambda got: assert_shape(got, ()),
    lambda got: assert_device(got, "cpu"),
    assert_finite,
    assert_requires_grad,
    lambda got: assert_requires_grad(got, False),
    lambda got: assert_keys(got, ["a"], exact=True),
    lambda got: assert_length(got, 2),
    lambda got: assert_true(got, "no"),
    lambda got: assert_between(got, 0, 1),
    assert_probabilities,
    lambda got: assert_mean(got, 1.0),
    lambda got: assert_std(got, 1.0),
    assert_decreasing,
    as_tensor,
    lambda got: assert_differentiable(lambda x: got, [torch.ones(2)]),
]


@given(got=GARBAGE)
@settings(max_examples=150, deadline=None)
def test_whatever_came_back_only_check_failed_comes_out(got):
    note_result("f", got)
    for check in CHECKS:
        try:
            check(got)
        except CheckFailed as error:
            assert error.explanation.summary
            assert len(str(error)) < 3000


@given(got=GARBAGE, data=st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_came_back_a_comparison_only_passes_or_fails(got, data):
    for expected in data.draw(st.lists(st.sampled_from(EXPECTED), min_size=4, max_size=8)):
        for check in (assert_close, assert_equal):
            for check_dtype in (True, False):
                try:
                    check(got, expected, check_dtype=check_dtype, reveal=True)
                except CheckFailed as error:
                    assert len(str(error)) < 3000
        assert same(got, expected) in (True, False)


@pytest.mark.parametrize("expected", EXPECTED, ids=range(len(EXPECTED)))
def test_every_value_equals_itself(expected):
    assert_equal(expected, expected)
    assert_close(expected, expected)


def test_ten_million_numbers_are_compared():
    big = torch.zeros(10_000_000)
    other = big.clone()
    other[-1] = 1
    assert "1 of 10000000 entries differ" in rejected(assert_close, other, big).summary


def test_the_facade_is_sorted_and_complete():
    names = autograder.checks.__all__
    assert names == sorted(names)
    assert all(hasattr(autograder.checks, name) for name in names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.bool])
def test_the_short_way_of_comparing_tensors_gives_the_verdict_of_the_long_one(dtype, monkeypatch):
    generator = torch.Generator().manual_seed(3)
    expected = (torch.rand(4, 5, generator=generator) * 10).to(dtype)
    rtol, atol = compare_module.TOLERANCES.get(str(dtype).removeprefix("torch."), (0.0, 0.0))
    cases = [expected.clone(), expected.t(), expected[:3], torch.full_like(expected, 1)]
    if dtype.is_floating_point:
        for share in (0.2, 0.6, 0.9, 1.5, 40.0):
            off = expected.double().clone()
            off[1, 2] += share * (atol + rtol * off[1, 2].abs())
            cases.append(off.to(dtype))
        for odd in (float("nan"), float("inf")):
            cases.append(expected.clone().index_fill_(0, torch.tensor([2]), odd))
    rules = [compare_module.Rules(), compare_module.Rules(exact=True), compare_module.Rules(rtol=0.3, atol=0)]
    about = compare_module.Subject("it")
    quick = [compare_module.compare(case, expected, about, rule) for case in cases for rule in rules]
    quiet = [
        compare_module.compare(case, expected, about, replace(rule, quiet=True))
        for case in cases
        for rule in rules
    ]
    assert [found is None for found in quiet] == [found is None for found in quick]
    monkeypatch.setattr(compare_module, "_surely_close", lambda *_: False)
    assert quick == [compare_module.compare(case, expected, about, rule) for case in cases for rule in rules]
    assert quick[0] is None
    assert quick[3 * 2] is not None


@given(st.floats(), st.floats(), st.sampled_from([None, 0.0, 0.2]), st.booleans())
def test_the_short_way_of_comparing_floats_too(got, near, rtol, exact):
    for expected in (near, got, got * 1.00004, got * 1.00007, got + 4e-6, -got):
        rules = compare_module.Rules(rtol=rtol, exact=exact)
        about = compare_module.Subject("it")
        found = compare_module.compare(got, expected, about, rules)
        assert found == compare_module._compare_numeric(got, expected, about, rules)
        quiet = compare_module.compare(got, expected, about, replace(rules, quiet=True))
        assert (quiet is None) is (found is None)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.uint16, torch.complex64])
def test_dtypes_that_torch_itself_cannot_compare_are_compared(dtype):
    value = torch.tensor([0.0, 1.0]).to(dtype)
    about = compare_module.Subject("it")
    assert compare_module.compare(value, value.clone(), about, compare_module.Rules()) is None
    assert compare_module.compare(value, torch.tensor([0.0, 2.0]).to(dtype), about, compare_module.Rules())
