"""25 steps of training in float64, two parameter groups, a frozen layer: the same path as PyTorch's own."""

from __future__ import annotations

from typing import Any

from autograder import points

from .helpers import assert_gradients_kept, compare_path, scene, training_net

GROUP_1 = ["frozen.weight", "a.weight", "a.bias", "c.weight", "c.bias"]
GROUP_2 = ["d.weight", "d.bias", "b.weight", "b.bias", "frozen.bias"]
STEPS = 25

# The options of the constructor, and what group 2 has of its own.
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "my_sgd": ({"lr": 0.1}, {"lr": 0.03}),
    "my_momentum": ({"lr": 0.05, "momentum": 0.8}, {"lr": 0.02, "momentum": 0.5}),
    "my_rmsprop": ({"lr": 0.02, "alpha": 0.9, "eps": 1e-2}, {"lr": 0.005, "alpha": 0.6, "eps": 1e-1}),
    "my_adam": (
        {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-2},
        {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-1},
    ),
    "my_adamw": (
        {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-2, "weight_decay": 0.2},
        {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-1, "weight_decay": 0.3},
    ),
}


def training(
    student: Any, draw: Any, task: str, *, options: Any, own: Any, steps: int = STEPS, in_place: bool = False
) -> None:
    """The parameters follow PyTorch's; with ``in_place`` the gradients stay where they are as well."""
    weights, X, Y = training_net(draw)
    groups = [(GROUP_1, {}), (GROUP_2, own)]
    found = scene(
        student,
        task,
        "train",
        weights,
        X,
        Y,
        options=options,
        groups=groups,
        steps=steps,
        in_place=in_place,
    )
    hint = f"Group 2 holds {', '.join(GROUP_2[:4])} with values of its own: {own}" if own else ""
    compare_path(found, list(weights), sizes=[w.numel() for w in weights.values()], hint=hint, rough=True)
    if in_place:
        assert_gradients_kept(found, found.seen["before"], found.seen["after"])


@points("my_sgd", 1.5)
def test_sgd_training(student, draw):
    options, own = OPTIONS["my_sgd"]
    training(student, draw, "my_sgd", options=options, own=own)


@points("my_momentum", 1.75)
def test_momentum_training(student, draw):
    options, own = OPTIONS["my_momentum"]
    training(student, draw, "my_momentum", options=options, own=own)


@points("my_rmsprop", 1.5)
def test_rmsprop_training(student, draw):
    options, own = OPTIONS["my_rmsprop"]
    training(student, draw, "my_rmsprop", options=options, own=own)
    training(student, draw, "my_rmsprop", options={"lr": 0.01}, own={})


@points("my_adam", 1.25)
def test_adam_training(student, draw):
    options, own = OPTIONS["my_adam"]
    training(student, draw, "my_adam", options=options, own=own)
    training(student, draw, "my_adam", options={"lr": 0.01}, own={})


@points("my_adamw", 0.75)
def test_adamw_training(student, draw):
    options, own = OPTIONS["my_adamw"]
    training(student, draw, "my_adamw", options=options, own=own)
    training(student, draw, "my_adamw", options={"lr": 0.01}, own={})


# ---------------------------------------------------------------- every parameter on its own


def on_its_own(student: Any, draw: Any, task: str) -> None:
    """Parameters of one shape, one that joins late and pauses; gradients that live on, and are left alone."""
    g, no = draw.tensors(dtype="float64", k=14, r=2, c=3).of("g: k r c"), None
    rows = [
        [g[0], no, g[1]],
        [g[2], no, g[3]],
        [g[4], g[5], g[6]],
        [g[7], g[8], no],
        [g[9], no, g[10]],
        [g[11], g[12], g[13]],
    ]
    start = list(draw.tensors(dtype="float64", k=3, r=2, c=3).of("start: k r c"))
    options = OPTIONS[task][0]
    found = scene(student, task, "walk", start, rows, options=options, given="list")
    hint = (
        "p[1] has no gradient (None) in steps 1, 2 and 5, p[2] none in step 4: "
        "without a gradient nothing of a parameter changes, its own t and memory included."
    )
    compare_path(found, ["p[0]", "p[1]", "p[2]"], hint=hint, rough=True)
    assert_gradients_kept(found, rows, found.seen["after"])
    training(student, draw, task, options=options, own={}, steps=6, in_place=True)


@points("my_sgd", 0.75)
def test_sgd_each_parameter(student, draw):
    on_its_own(student, draw, "my_sgd")


@points("my_momentum", 1)
def test_momentum_each_parameter(student, draw):
    on_its_own(student, draw, "my_momentum")


@points("my_rmsprop", 0.75)
def test_rmsprop_each_parameter(student, draw):
    on_its_own(student, draw, "my_rmsprop")


@points("my_adam", 1)
def test_adam_each_parameter(student, draw):
    on_its_own(student, draw, "my_adam")


@points("my_adamw", 0.5)
def test_adamw_each_parameter(student, draw):
    on_its_own(student, draw, "my_adamw")
