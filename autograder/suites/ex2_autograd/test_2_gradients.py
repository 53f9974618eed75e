"""chain_rule and grads: the gradient of a layer, by hand and by backward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import assert_close, assert_finite, assert_unchanged, fail, observe

from . import probes, reference
from .helpers import BACKPROP, about, as_list, expect_scene, number, parts, tensor, watched

# ---------------------------------------------------------------- chain_rule

BY_HAND = "chain_rule_by_hand(W, b, x, y)"
HINT = "∂L/∂W = ∂L/∂ŷ · ∂ŷ/∂z · ∂z/∂W = 2 (ŷ − y) / o · ŷ (1 − ŷ) · x"
_AUTOGRAD = (
    "torch.Tensor.backward",
    "torch.autograd.backward",
    "torch.autograd.grad",
    "torch.autograd._engine_run_backward",
    "torch.autograd.forward_ad.make_dual",
)


@contextlib.contextmanager
def by_hand(student: Any) -> Iterator[None]:
    """No automatic differentiation, in either direction."""
    with contextlib.ExitStack() as stack:
        for path in _AUTOGRAD:
            stack.enter_context(student.patch(path, raises="autograd is switched off in this task"))
        yield


def inputs(draw: Any, o: int, i: int, dtype: str = "float64") -> list[Tensor]:
    """Random ``W, b, x`` and a target between 0 and 1."""
    W, b, x = draw.tensors(dtype=dtype, o=o, i=i).of("W: o i", "b: o", "x: i")
    y = draw.tensors(dtype=dtype, low=0, high=1, o=o).of("y: o")
    return [W, b, x, y]


EXAMPLE = [torch.tensor(value, dtype=torch.float64) for value in ([[2.0]], [-1.0], [0.5], [1.0])]


def ask_by_hand(student: Any, cases: list[list[Tensor]]) -> list[tuple[Any, list[Any], list[Tensor]]]:
    """All calls first: what is wrong in one may only be told apart in another."""
    with by_hand(student):
        found = []
        for case in cases:
            result = student.chain_rule_by_hand(*case)
            found.append((student.last, result, case))
    names = ("dW", "db")
    answers = []
    for last, result, case in found:
        with about(last):
            answers.append((last, parts(result, names, name=BY_HAND, slide=BACKPROP), case))
    return answers


def assert_gradient(which: str, got: Any, expected: Tensor, reveal: bool = False, hint: str = HINT) -> None:
    label = "W" if which == "dW" else "b"
    shape = tuple(expected.shape)
    tensor(
        got,
        shape,
        name=which,
        slide=BACKPROP,
        hint=f"A gradient has the shape of its parameter: {which} that of {label}.",
    )
    near = (
        {"rtol": 1e-8, "atol": 1e-11}
        if expected.dtype == got.dtype == torch.float64
        else {"rtol": 1e-4, "atol": 1e-6}
    )
    if expected.dtype == torch.float64 and got.dtype == torch.float32:
        near = {"rtol": 1e-4, "atol": 1e-6}
    assert_finite(got, name=which, slide=BACKPROP)
    assert_close(
        got, expected, name=which, slide=BACKPROP, hint=hint, reveal=reveal, check_dtype=False, **near
    )


@points("chain_rule", 1)
def test_chain_rule_one_weight(student, draw):
    """One weight, one input: the numbers of the card, and two more."""
    cases = [EXAMPLE, inputs(draw, 1, 1), inputs(draw, 1, 1), inputs(draw, 3, 3)]
    # The last case is not judged here: it only tells apart mistakes that look alike with one weight.
    for last, (dW, db), case in ask_by_hand(student, cases)[:3]:
        right = reference.chain_rule_by_hand(*case)
        example = case is EXAMPLE
        hint = "Here z = 0, ŷ = 0.5, so 2 (ŷ − y) = −1 and ŷ (1 − ŷ) = 0.25." if example else HINT
        for which, got, expected in zip(("dW", "db"), (dW, db), right, strict=True):
            with about(last):
                assert_gradient(which, got, expected, example, hint)


def shapes(draw: Any) -> list[list[Tensor]]:
    """All sizes different, in both orders, and a square W."""
    o, i, k = draw.sizes(3)
    return [inputs(draw, o, i), inputs(draw, i, o), inputs(draw, k, k)]


@points("chain_rule", 1.5)
def test_chain_rule_weights(student, draw):
    for last, (dW, _), case in ask_by_hand(student, shapes(draw)):
        with about(last):
            assert_gradient("dW", dW, reference.chain_rule_by_hand(*case)[0])


@points("chain_rule", 1.5)
def test_chain_rule_bias(student, draw):
    for last, (_, db), case in ask_by_hand(student, shapes(draw)):
        with about(last):
            assert_gradient("db", db, reference.chain_rule_by_hand(*case)[1])


@points("chain_rule", 1)
def test_chain_rule_extremes(student, draw):
    """One output, one input, a saturated sigmoid, float32, large inputs; nothing changed."""
    W, b, x, y = inputs(draw, 3, 4)
    cases = [
        inputs(draw, 1, 5),
        inputs(draw, 4, 1),
        [W, b + torch.tensor([60.0, -60.0, 0.0], dtype=torch.float64), x, y],
        [W * 1e-5, b, x * 1e5, y],
        inputs(draw, 3, 2, "float32"),
    ]
    for last, (dW, db), case in ask_by_hand(student, cases):
        why = {"hint": "Compute new tensors: z = W @ x + b.", "slide": BACKPROP}
        assert_unchanged(last, mistake="changes_arguments", **why)
        right = reference.chain_rule_by_hand(*case)
        for which, got, expected in zip(("dW", "db"), (dW, db), right, strict=True):
            with about(last):
                assert_gradient(which, got, expected)


# ---------------------------------------------------------------- grads

GRADS = "grads(W, b, X, Y, forward)"
NAMES = ("loss", "gW", "gb")


class Case:
    """One scene: forward function, inputs, what .grad holds before, how many calls."""

    def __init__(self, draw: Any, forward: str, sizes: tuple[int, int, int], fills: Any, times: int) -> None:
        n, o, i = sizes
        drawn = draw.tensors(N=n, o=o, i=i).of("W: o i", "b: o", "X: N i", "Y: N o")
        self.forward, self.inputs, self.fills, self.times = forward, list(drawn), fills, times

    def ask(self, student: Any) -> Any:
        """What the student's function did, copied after each call."""
        forward = getattr(student.probes, self.forward)
        rest = (forward, self.inputs, self.fills, self.times)
        scene = watched(student, "take_gradients", "grads", *rest, shown=[*self.inputs, forward])
        expect_scene(scene, ("results", "tracked", "inputs", "requires_grad", "is_leaf"))
        as_list(scene["results"], self.times)
        return scene

    def local(self, impl: Any) -> Any:
        forward = getattr(probes, self.forward)
        return probes.take_gradients(impl, forward, self.inputs, self.fills, self.times)["results"]

    @property
    def right(self) -> list[Tensor]:
        W, b, X, Y = (value.double() for value in self.inputs)
        leaves = W.requires_grad_(), b.requires_grad_()
        return list(reference.grads(*leaves, X, Y, getattr(probes, self.forward)))


def ask_grads(student: Any, cases: list[Case]) -> list[Any]:
    """What the probe saw in each scene; twins are run through the same scenes."""
    seen = [case.ask(student) for case in cases]
    found = [scene["results"] for scene in seen]
    observe("grads", found, by=lambda impl: [case.local(impl) for case in cases])
    return seen


def three_parts(result: Any, case: Case) -> list[Any]:
    W, b = case.inputs[:2]
    found = parts(result, NAMES, name=GRADS, slide=BACKPROP)
    for name, value in zip(NAMES, found, strict=True):
        if value is None:
            fail(f"{name} is None.", mistake="gradient_is_none", part=name, slide=BACKPROP)
    number(found[0], name="loss", slide=BACKPROP, hint="The mean is one number.")
    tensor(found[1], W.shape, name="gW", slide=BACKPROP, hint="A gradient has the shape of its parameter.")
    tensor(found[2], b.shape, name="gb", slide=BACKPROP, hint="A gradient has the shape of its parameter.")
    return found


def assert_grads(result: Any, case: Case, hint: str = "") -> None:
    for name, got, expected in zip(NAMES, three_parts(result, case), case.right, strict=True):
        near = {"rtol": 1e-4, "atol": 1e-5, "check_dtype": False}
        assert_close(got, expected, name=name, hint=hint, slide=BACKPROP, **near)


@points("grads", 1)
def test_grads_numbers(student, draw):
    n, o, i = draw.sizes(3)
    none = [None, None]
    cases = [
        Case(draw, "layer", (n, o, i), none, 1),
        Case(draw, "hidden", (1, i, n), none, 1),
        Case(draw, "chain", (o, n, i), none, 1),
        Case(draw, "hidden", (4, 1, 3), none, 1),
    ]
    for case, scene in zip(cases, ask_grads(student, cases), strict=True):
        assert_grads(scene["results"][0], case, "loss = ((forward(W, b, X) - Y) ** 2).mean()")


@points("grads", 1)
def test_grads_leaves_nothing_behind(student, draw):
    cases = [
        Case(draw, "hidden", (5, 2, 3), [None, None], 1),
        Case(draw, "layer", (1, 3, 2), [None, None], 1),
    ]
    for case, scene in zip(cases, ask_grads(student, cases), strict=True):
        assert_grads(scene["results"][0], case)
        for name, tracked in zip(NAMES, as_list(as_list(scene["tracked"], 1)[0], 3), strict=True):
            if tracked is not False:
                fail(
                    f"{name} still carries its graph.",
                    expected=f"{name}.requires_grad is False",
                    got="True",
                    slide=BACKPROP,
                    mistake="graph_kept",
                    part=name,
                )
        for name, before, after in zip(
            ("W", "b", "X", "Y"), case.inputs, as_list(scene["inputs"], 4), strict=True
        ):
            if type(after) is not Tensor or not torch.equal(after, before):
                fail(f"{name} has changed.", slide=BACKPROP, mistake="changes_values", part=name)
        if scene["requires_grad"] != [True, True] or scene["is_leaf"] != [True, True]:
            fail(
                "W.requires_grad and b.requires_grad must still be True after the call.",
                slide=BACKPROP,
                mistake="requires_grad_lost",
            )


@points("grads", 1)
def test_grads_fresh(student, draw):
    """Whatever .grad holds before, the result is this call's gradient."""
    cases = [
        Case(draw, "hidden", (5, 2, 3), [None, None], 3),
        Case(draw, "layer", (4, 3, 2), [7.0, -5.0], 2),
        Case(draw, "layer", (3, 2, 4), [None, 6.0], 2),
        Case(draw, "layer", (3, 4, 2), [-8.0, None], 2),
    ]
    for case, scene in zip(cases, ask_grads(student, cases), strict=True):
        for result in scene["results"]:
            assert_grads(result, case, "Clear W.grad and b.grad before backward().")
