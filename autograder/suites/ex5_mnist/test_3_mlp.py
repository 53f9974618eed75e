"""MLP: the layers 784-128-64-10, and what comes out of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import assert_dtype, assert_finite, assert_shape, assert_type, fail
from autograder.judge.student import RemoteObject

from . import reference

SLIDE = "01.09 Classification: multi-layer perceptron"
COUNT = 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10


def network(student: Any) -> Any:
    """A fresh network in evaluation mode: dropout is allowed."""
    if not isinstance(student.MLP, RemoteObject):
        fail("MLP is no class.", expected="class MLP(nn.Module): …", slide=SLIDE)
    model = student.MLP.keep()
    if model.type_name.rpartition(".")[2] in ("Tensor", "NoneType", "dict", "list", "int", "str"):
        fail(f"MLP() is a {model.type_name}, not a network.", slide=SLIDE)
    model.eval()
    return model


def scores(model: Any, X: Tensor) -> Tensor:
    got = model(X)
    name = f"MLP()(X) with X {tuple(X.shape)}"
    if got is None:
        fail(f"{name} is None.", "missing_return", slide=SLIDE)
    assert_type(got, Tensor, name=name, slide=SLIDE)
    assert_shape(got, (len(X), 10), name=name, slide=SLIDE, hint="One score for each of the ten digits.")
    assert_dtype(got, "float32", name=name, slide=SLIDE)
    assert_finite(got, name=name, slide=SLIDE)
    return got  # type: ignore[no-any-return]


@points("mlp", 0.5)
def test_mlp_shapes(student, draw):
    model = network(student)
    for n in (7, 1, 32):
        X = draw.tensors(n=n).of("n 784")
        first, again = scores(model, X), scores(model, X)
        if not torch.allclose(first, again, rtol=1e-4, atol=1e-5):
            fail(
                "Two calls with the same images gave different scores in evaluation mode.",
                "other_scores_each_time",
                slide=SLIDE,
            )


@points("mlp", 0.5)
def test_mlp_layers(student):
    parameters = student.named_parameters(network(student))
    shapes = [tuple(p.shape) for p in parameters.values()]
    words = {"called": "MLP()", "expected": f"784-128-64-10, {COUNT} parameters", "slide": SLIDE}
    if not parameters:
        fail("MLP() has no parameters.", "no_parameters", **words)
    count = sum(p.numel() for p in parameters.values())
    if reference.layers(list(parameters.values())) is None or count != COUNT:
        mistake = None
        if count == COUNT - 202:
            mistake = "no_bias"
        elif count in (784 * 10 + 10, 784 * 128 + 128 + 128 * 10 + 10, 784 * 64 + 64 + 64 * 10 + 10):
            mistake = "layer_missing"
        elif count > COUNT and count % 64 == COUNT % 64 and len(shapes) > 6:
            mistake = "too_many_layers"
        fail(
            f"MLP() has {count} parameters.",
            mistake,
            got=f"{count} parameters in {', '.join(map(str, shapes[:8]))}",
            **words,
        )
    frozen = [name for name, p in parameters.items() if not p.requires_grad]
    if frozen:
        fail(f"{frozen[0][:60]} cannot be trained: requires_grad is False.", "frozen", **words)


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def same(x: Tensor) -> Tensor:
    return x


WRONG_ACTS = (
    ("no_activation", (same, same)),
    ("one_activation", (relu, same)),
    ("one_activation", (same, relu)),
    ("other_activation", (torch.sigmoid, torch.sigmoid)),
    ("other_activation", (torch.tanh, torch.tanh)),
    ("other_activation", (torch.nn.functional.gelu, torch.nn.functional.gelu)),
    ("other_activation", (torch.nn.functional.leaky_relu, torch.nn.functional.leaky_relu)),
    ("other_activation", (torch.nn.functional.elu, torch.nn.functional.elu)),
)
ENDS = (
    ("softmax_at_the_end", lambda z: torch.softmax(z, dim=1)),
    ("softmax_over_batch", lambda z: torch.softmax(z, dim=0)),
    ("softmax_over_batch", lambda z: torch.log_softmax(z, dim=0)),
    ("softmax_at_the_end", torch.sigmoid),
    ("activation_at_the_end", relu),
    ("activation_at_the_end", torch.tanh),
)


@points("mlp", 1)
def test_mlp_returns_logits(student, draw):
    model = network(student)
    X = 3 * draw.tensors(n=19).of("n 784")
    got = scores(model, X)
    words = {"called": "MLP()(X)", "slide": SLIDE}
    sums = got.detach().sum(dim=1)
    if float(got.detach().min()) >= 0 and torch.allclose(sums, torch.ones(19), atol=1e-4):
        fail(
            "Every row of scores is positive and sums to 1: these are probabilities.",
            "softmax_at_the_end",
            **words,
        )
    weights = reference.layers(list(student.named_parameters(model).values()))
    if weights is None:
        if float(got.detach().min()) >= 0:
            fail("No score is ever negative.", "activation_at_the_end", **words)
        fail("The layers are not 784-128-64-10.", **words)
    z = reference.mlp(weights, X, (relu, relu))
    if not (near(got, z) or near(got, torch.log_softmax(z, dim=1))):
        for mistake, end in ENDS:
            if near(got, end(z)):
                fail("Something comes after the last layer.", mistake, **words)
        for mistake, acts in WRONG_ACTS:
            other = reference.mlp(weights, X, acts)
            if near(got, other) or near(got, torch.log_softmax(other, dim=1)):
                fail("The layers are not joined by ReLU.", mistake, **words)
        fail("The scores are not those of Linear, ReLU, Linear, ReLU, Linear.", **words)
    if not got.requires_grad:
        fail("The scores are cut off from the parameters: no gradient can flow back.", "graph_cut", **words)
    got.square().sum().backward()
    for name, p in student.named_parameters(model).items():
        if p.grad is None:
            fail(f"No gradient reaches {name[:60]}.", "graph_cut", **words)


def near(got: Tensor, expected: Tensor) -> bool:
    return bool(torch.allclose(got.detach().double(), expected, rtol=1e-3, atol=1e-4))
