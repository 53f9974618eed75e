"""Known wrong answers are recognised, right ones and other wrong ones are not."""

from __future__ import annotations

import random
import types
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from autograder import mistake
from autograder.errors import SuiteError
from autograder.judge.failure import CheckFailed
from autograder.judge.mistakes import Mistake, collect
from autograder.judge.recognise import (
    Observation,
    forget_observations,
    observations,
    observe,
    recognise,
)
from autograder.judge.twins import CannotCopy, clone, run
from autograder.models import Explanation

NAN = float("nan")


class StudentError(AssertionError):
    def __init__(self, type_name, message):
        super().__init__(message)
        self.type_name, self.message = type_name, message


class RemoteObject:
    def __init__(self, type_name="Module"):
        self.type_name = type_name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError("a twin asked the sandbox")


@dataclass
class Call:
    name: str
    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error: Any = None
    mutated: tuple[int | str, ...] = ()


def record(function, *args, name="affine", **kwargs) -> Call:
    """What the judge keeps of a call of the student's ``function``."""
    before = clone([list(args), kwargs])
    error, result = None, None
    try:
        result = function(*args, **kwargs)
    except Exception as exception:
        error = StudentError(type(exception).__name__, str(exception))
    pairs = [*enumerate(zip(before[0], args, strict=True))]
    pairs += [(key, (before[1][key], value)) for key, value in kwargs.items()]
    mutated = tuple(
        key for key, (old, new) in pairs if isinstance(old, torch.Tensor) and not torch.equal(old, new)
    )
    return Call(name, before[0], before[1], result, error, mutated)


def suite(source: str) -> tuple[Mistake, ...]:
    """The mistakes of a ``mistakes.py`` with this source."""
    module = types.ModuleType("mistakes")
    exec("import torch\nfrom autograder import mistake\n" + source, module.__dict__)
    return collect(module)


AFFINE = suite(
    """
@mistake("affine", "b was broadcast", slide="01.04", hint="b needs shape (out,)")
def column_bias(W, x, b):
    return W @ x + b[:, None]

@mistake("affine", "b is missing")
def no_bias(W, x, b):
    return W @ x

@mistake("affine", "x @ W runs only for square W")
def transposed(W, x, b):
    return x @ W + b

@mistake("affine", "b was changed")
def in_place(W, x, b):
    b += W @ x
    return b

@mistake("affine", "batch transposed", of="affine_batch")
def batch_transposed(W, X, b):
    return (X @ W.T + b).T

mistake.on_error("affine", "int_input", error="RuntimeError|TypeError", match=r"same dtype.*?(?P<left>\\w+)",
                 message="dtypes differ: {left}")
mistake.named("affine", "cut", message="no gradient reaches {label}; it is {ratio:.1f} off")
mistake.named("other", "column", message="another task")
"""
)
reference = types.SimpleNamespace(
    affine=lambda W, x, b: W @ x + b, affine_batch=lambda W, X, b: X @ W.T + b, my_sgd=None
)


def inputs(o=5, i=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(o, i, generator=g), torch.randn(i, generator=g), torch.randn(o, generator=g)


def known(calls, seen=(), failure=None, mistakes=AFFINE, task="affine", right=reference) -> str | None:
    found = recognise(mistakes, task, calls, seen, failure, reference=right)
    return found.id if found else None


# ---------------------------------------------------------------- writing them down


def test_mistakes_are_collected_in_order_and_twins_stay_functions():
    ids = [item.id for item in AFFINE]
    assert ids == [
        "column_bias", "no_bias", "transposed", "in_place", "batch_transposed", "int_input", "cut", "column",
    ]  # fmt: skip
    first = AFFINE[0]
    assert (first.task, first.of, first.slide, first.hint) == (
        "affine",
        "affine",
        "01.04",
        "b needs shape (out,)",
    )
    assert AFFINE[4].of == "affine_batch"

    @mistake("affine", "kept")
    def twin(x):
        return x

    assert twin(3) == 3


def test_a_module_without_mistakes_has_none():
    assert collect(types.ModuleType("empty")) == ()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "mistake.named('a', 'x', message='m')\nmistake.named('a', 'x', message='n')",
            "two mistakes with the id 'x'",
        ),
        ("mistake.named('a', 'x', message='{')", "brace"),
        ("mistake.named('a', 'x', message='{0}')", "is no name"),
        ("mistake.named('a', 'x', message='{a.b}')", "is no name"),
        ("mistake.named('a', 'x', message='')", "needs a message"),
        ("mistake.named('', 'x', message='m')", "needs a task"),
        ("mistake.on_error('a', 'x', error='', message='m')", "type name"),
        ("mistake.on_error('a', 'x', error='E', match='(', message='m')", "no regular expression"),
        ("mistake.on_error('a', 'x', error='E', match='b', message='{c}')", "no named group"),
        ("@mistake('a', 'got {o}')\ndef twin(x): return x", "fields=lambda"),
        ("@mistake('a', lambda x: x)\ndef twin(x): return x", "needs a task and a message"),
    ],
)
def test_mistakes_that_make_no_sense_are_our_fault(source, message):
    with pytest.raises(SuiteError, match=message):
        suite(source)


def test_one_id_may_serve_two_tasks():
    assert len(suite("for t in 'ab': mistake.named(t, 'in_place', message='m')")) == 2


# ---------------------------------------------------------------- twins


def test_the_twin_that_did_the_same_is_found():
    found = recognise(
        AFFINE, "affine", [record(lambda W, x, b: W @ x + b[:, None], *inputs())], reference=reference
    )
    assert found is not None
    explanation = found.lead(Explanation(summary="shape (5, 5)", hint="old", got="a tensor"))
    assert explanation.summary == "b was broadcast\nshape (5, 5)"
    assert (explanation.hint, explanation.slide) == ("b needs shape (out,)", "01.04")
    assert explanation.got == "a tensor"


def test_a_right_answer_and_an_unknown_wrong_one_are_not_recognised():
    assert known([record(lambda W, x, b: W @ x + b, *inputs())]) is None
    assert known([record(lambda W, x, b: W @ x + 2 * b, *inputs())]) is None
    assert known([record(lambda W, x, b: None, *inputs())]) is None
    assert known([record(lambda W, x, b: "garbage", *inputs())]) is None
    assert known([]) is None


def test_inputs_on_which_the_twin_is_right_prove_nothing():
    W, x, b = inputs()
    assert known([record(lambda W, x, b: W @ x, W, x, torch.zeros(5))]) is None
    both = [record(lambda W, x, b: W @ x, W, x, torch.zeros(5)), record(lambda W, x, b: W @ x, W, x, b)]
    assert known(both) == "no_bias"


def test_a_call_that_contradicts_rules_a_twin_out():
    W, x, b = inputs()

    def sometimes(W, x, b):
        return W @ x if W.shape[0] == 5 else W @ x + b

    assert known([record(sometimes, W, x, b)]) == "no_bias"
    assert known([record(sometimes, W, x, b), record(sometimes, *inputs(4, 2))]) is None


def test_calls_of_other_functions_are_left_alone():
    W, x, b = inputs()
    X = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    calls = [
        record(lambda W, x, b: W @ x + b, W, x, b),
        record(lambda W, X, b: (X @ W.T + b).T, W, X, b, name="affine_batch"),
    ]
    assert known(calls) == "batch_transposed"


def test_keyword_arguments_are_passed_on():
    W, x, b = inputs()
    assert known([record(lambda W, x, b: W @ x, W, x=x, b=b)]) == "no_bias"


def test_the_first_in_the_file_wins():
    twice = suite(
        "@mistake('affine','1')\ndef one(W,x,b): return W\n@mistake('affine','2')\ndef two(W,x,b): return W"
    )
    assert known([record(lambda W, x, b: W, *inputs())], mistakes=twice) == "one"


def test_without_a_reference_the_twin_alone_decides():
    assert known([record(lambda W, x, b: W @ x, *inputs())], right=None) == "no_bias"
    assert known([record(lambda W, x, b: W @ x, *inputs())], right=types.SimpleNamespace()) == "no_bias"


def test_the_same_exception_matches_and_another_does_not():
    wrong = record(lambda W, x, b: x @ W + b, *inputs())
    assert wrong.error.type_name == "RuntimeError"
    assert known([wrong], failure=wrong.error) == "transposed"
    wrong.error = StudentError("RuntimeError", "something else")
    assert known([wrong]) is None
    wrong.error = ("TypeError", "no")
    assert known([wrong]) is None
    square = record(lambda W, x, b: x @ W + b, *inputs(3, 3))
    wrong.error = StudentError("RuntimeError", "mat1 and mat2, worded otherwise")
    assert known([square, wrong]) == "transposed"


def test_a_change_of_the_arguments_is_part_of_what_a_twin_does():
    def in_place(W, x, b):
        b += W @ x
        return b

    assert known([record(in_place, *inputs())]) == "in_place"
    assert known([record(lambda W, x, b: W @ x + b, *inputs())]) is None


def test_nan_matches_nan():
    nan = suite("@mistake('affine','m')\ndef nan(W,x,b): return W.sqrt()")
    assert known([record(lambda W, x, b: W.sqrt(), *inputs())], mistakes=nan) == "nan"


def test_what_lives_in_the_sandbox_is_skipped():
    W, x, b = inputs()
    assert known([Call("affine", [RemoteObject(), x, b], {}, W)]) is None
    assert known([Call("affine", [W, x, b], {}, RemoteObject())]) is None
    assert (
        known([Call("affine", [W, x, b], {}, [RemoteObject()]), record(lambda W, x, b: W @ x, W, x, b)])
        == "no_bias"
    )


def test_fields_fill_the_message_of_a_twin():
    scaled = suite(
        "fields = lambda call: {'o': len(call.args[2]), 'shape': (1, 2)}\n"
        "@mistake('affine', 'off by the factor {o} of {shape}', fields=fields)\n"
        "def scaled(W, x, b): return (W @ x + b) * 7"
    )
    found = recognise(
        scaled, "affine", [record(lambda W, x, b: (W @ x + b) * 7, *inputs())], reference=reference
    )
    assert found is not None and found.message == "off by the factor 5 of (1, 2)"


# ---------------------------------------------------------------- exceptions and names


def test_an_exception_is_recognised_by_type_and_message():
    failure = StudentError("RuntimeError", "both must have the same dtype: float != long")
    found = recognise(AFFINE, "affine", [], (), failure)
    assert found is not None and (found.id, found.message) == ("int_input", "dtypes differ: float")
    assert known([], failure=StudentError("ValueError", "same dtype: a != b")) is None
    assert known([], failure=StudentError("TypeError", "something")) is None


def test_an_exception_that_the_check_caught_is_recognised_in_its_call():
    error = StudentError("TypeError", "same dtype: int != float")
    assert (
        known([Call("affine", [RemoteObject()], {}, error=error)], failure=CheckFailed("no")) == "int_input"
    )


def test_a_mistake_named_by_the_check_wins():
    failure = CheckFailed("bad", mistake="cut", fields={"label": torch.ones(2), "ratio": 2.0, "more": 1})
    found = recognise(AFFINE, "affine", [record(lambda W, x, b: W @ x, *inputs())], (), failure)
    assert found is not None and found.id == "cut"
    assert found.message == "no gradient reaches tensor of shape (2,), float32: [1.0, 1.0]; it is 2.0 off"
    assert found.lead(Explanation(summary="bad")).summary.endswith("\nbad")


def test_an_unknown_name_and_one_of_another_task_give_none():
    assert known([], failure=CheckFailed("bad", mistake="column")) is None
    assert known([], failure=CheckFailed("bad", mistake="typo")) is None


def test_an_unfilled_placeholder_is_our_fault():
    with pytest.raises(SuiteError, match=r"nothing fills \{label\}"):
        known([], failure=CheckFailed("bad", mistake="cut"))
    with pytest.raises(SuiteError, match="format"):
        known([], failure=CheckFailed("bad", mistake="cut", fields={"label": 1, "ratio": "x"}))


def test_a_student_text_cannot_format_or_flood_the_message():
    found = AFFINE[-2].fill({"label": "{ratio.__class__} " * 1000, "ratio": 1.0})
    assert "{ratio.__class__}" in found.message and len(found.message) < 400


# ---------------------------------------------------------------- observations

SGD = suite(
    """
@mistake("my_sgd", "the sign is wrong", of="MySGD")
class Plus:
    def step(self, p, g):
        return p + g

@mistake("my_sgd", "breaks", of="MySGD")
class Broken:
    def step(self, p, g):
        raise ValueError
"""
)


def scenario(implementation):
    return [implementation().step(1.0, 0.5), torch.tensor([implementation().step(2.0, 0.25)])]


class Minus:
    def step(self, p, g):
        return p - g


@pytest.mark.parametrize("name", ["my_sgd", "MySGD"])
def test_twins_of_classes_are_run_through_the_scenario(name):
    right = types.SimpleNamespace(MySGD=Minus)
    plus = Observation(name, scenario(SGD[0].twin), scenario)
    assert known([], [plus], mistakes=SGD, task="my_sgd", right=right) == "Plus"
    minus = Observation(name, scenario(Minus), scenario)
    assert known([], [minus], mistakes=SGD, task="my_sgd", right=right) is None
    assert (
        known([], [Observation("MyAdam", scenario(SGD[0].twin), scenario)], mistakes=SGD, task="my_sgd")
        is None
    )


def test_observations_last_for_one_check():
    forget_observations()
    assert observe("my_sgd", 3, by=scenario) == 3
    assert [(item.name, item.value) for item in observations()] == [("my_sgd", 3)]
    forget_observations()
    assert observations() == ()
    with pytest.raises(SuiteError):
        observe("my_sgd", 3, by=3)


# ---------------------------------------------------------------- running a twin leaves no trace


def test_a_twin_leaves_no_trace():
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()

    def messy(x):
        torch.manual_seed(5), np.random.rand(3), random.random()
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        import warnings

        warnings.warn("noise", stacklevel=1)
        x.zero_()
        raise LookupError("no")

    x = torch.ones(3)
    ran = run(messy, [x])
    assert ran.error == ("LookupError", "no")
    assert torch.equal(x, torch.ones(3))
    assert torch.equal(ran.args_after[0], torch.zeros(3))
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_copies_keep_strides_aliases_and_leaves():
    base = torch.arange(24.0)
    view, grad = base[::2], torch.ones(2, requires_grad=True)
    copies = clone([base, view, grad * 2, grad, base[:4].expand(3, 4), view])
    assert copies[1].stride() == view.stride() and torch.equal(copies[1], view)
    copies[0][0] = 99
    assert copies[1][0] == 99 and view[0] == 0, "the copy of a view is a view of the copy"
    assert copies[2].requires_grad and copies[2].is_leaf and copies[3].requires_grad
    assert copies[4].stride() == (0, 1)
    assert copies[1] is copies[5]
    transposed = clone(base.view(4, 6).T)
    assert not transposed.is_contiguous()
    with pytest.raises(RuntimeError, match="view"):
        transposed.view(-1)


def test_copies_of_arrays_and_others():
    base = np.arange(24.0).reshape(4, 6)
    for array in (
        base,
        base.T,
        base[::2, 1::3],
        base[::-1],
        np.broadcast_to(base[0], (3, 6)),
        base[:0],
        np.array(["5"]),
    ):
        copy = clone(array)
        assert np.array_equal(copy, array) and not np.shares_memory(copy, array)
        assert array.size == 0 or copy.strides == array.strides
    value = {"a": (1, [2.0, None, "x"]), "d": torch.float32, "f": max}
    assert clone(value) == value and clone(value)["a"][1] is not value["a"][1]
    assert clone(torch.ones(2, device="meta")).is_meta
    assert torch.equal(clone(torch.ones(2).to_sparse()).to_dense(), torch.ones(2))
    assert torch.equal(clone(torch.tensor([1 + 2j]).conj()), torch.tensor([1 - 2j]))
    for alien in (RemoteObject(), [object()], np.array([object()])):
        with pytest.raises(CannotCopy):
            clone(alien)
