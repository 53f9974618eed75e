"""How an optimizer is used: default values, float32, odd shapes, a generator, a closure, another device."""

from __future__ import annotations

import re
from typing import Any

import torch

from autograder import points
from autograder.checks import StudentError, assert_close, assert_type, fail

from .helpers import SLIDE, assert_standard, compare_path, scene


def in_use(student: Any, draw: Any, task: str, *, lr: float) -> None:
    """All of it with the constructor's default values."""
    start = [
        draw.tensors(r=3, c=2).of("r c").T,  # not contiguous
        draw.tensors(n=4).of("n"),
        draw.tensors().of(""),
        draw.tensors(dtype="float64", b=1, n=3).of("b n"),
        draw.tensors(dtype="float64", n=2).of("n"),
    ]
    rows = [[*(_gradient(draw, p) for p in start[:-1]), _tiny(draw)] for _ in range(3)]
    for row in rows:
        row[1] = torch.zeros_like(start[1])
    labels = [f"p[{k}]" for k in range(len(start))]
    for given, hint in (
        (
            "list",
            "lr alone is given: the other values are the defaults of the card. p[1] has gradient 0, "
            "p[4] gradients of about 0.00001: where there is an ε, it shows there.",
        ),
        ("generator", "The parameters come as model.parameters(), a generator."),
    ):
        found = scene(student, task, "walk", start, rows, options={"lr": lr}, given=given)
        assert_standard(found, task)
        compare_path(found, labels, hint=hint)
    if task == "my_sgd":
        found = scene(student, task, "walk", start, rows, options={"lr": 0.0}, given="list")
        compare_path(found, labels, hint="With lr=0 nothing moves.")
    closure(student, draw, task, lr)
    elsewhere(student, task, lr)


def _gradient(draw: Any, p: torch.Tensor) -> torch.Tensor:
    dtype = str(p.dtype).removeprefix("torch.")
    names = [f"d{k}" for k in range(p.ndim)]
    shape = dict(zip(names, p.shape, strict=True))
    return draw.tensors(dtype=dtype, **shape).of(" ".join(names))  # type: ignore[no-any-return]


def _tiny(draw: Any) -> torch.Tensor:
    """Gradients of p[4]: so small that 1e-8 inside a root, or none, is something else on every seed."""
    signs = draw.tensors(dtype="float64", n=2).of("n").sign()
    return signs * torch.tensor([1e-5, 2e-5], dtype=torch.float64)  # type: ignore[no-any-return]


def closure(student: Any, draw: Any, task: str, lr: float) -> None:
    """step(closure) computes the gradients, takes the step and returns the loss."""
    start, target = draw.tensors(dtype="float64", n=5).of("start: n", "target: n")
    found = scene(student, task, "closure_steps", start, target, options={"lr": lr}, steps=3)
    if type(found.seen["calls"]) is int and found.seen["calls"] == 0:
        fail("closure was not called.", called="opt.step(closure)", slide=SLIDE, mistake="closure_not_called")
    order = "step(closure): first loss = closure(), then the step, then return loss."
    # Where there is an eps, a wrong one may also be off by no more than float32.
    compare_path(found, ["p"], hint=order, rough=task in ("my_sgd", "my_momentum"))
    losses = found.seen["returned"]
    assert_type(losses, list, name="step(closure)", slide=SLIDE)
    for got, wanted in zip(losses, found.right["returned"], strict=False):
        if got is None:
            fail(
                "step(closure) returned None.",
                called="loss = opt.step(closure)",
                expected="the loss that closure() returned",
                slide=SLIDE,
                mistake="loss_not_returned",
            )
        words: dict[str, Any] = {"name": "step(closure)", "slide": SLIDE}
        if found.seen["calls"] != found.right["calls"]:
            words["mistake"] = "closure_called_again"
        assert_close(got, wanted, rtol=1e-4, check_dtype=False, **words)


def elsewhere(student: Any, task: str, lr: float) -> None:
    """Parameters on another device: everything that step makes must be made there. No GPU is needed.

    The device "meta" has no numbers, so code that looks at them fails for a reason of no interest here.
    """
    try:
        found = scene(student, task, "on_meta", options={"lr": lr})
    except StudentError as error:
        if re.search(r"on the expected device|on the same device", error.message):
            fail(
                "step mixes tensors of two devices.",
                called="p on another device; opt.step()",
                expected="all tensors on the device of p",
                got=error.message[:200],
                slide=SLIDE,
                mistake="state_on_cpu",
            )
        return
    if found.seen["memory"] not in ([], ["meta"]):
        fail(
            "self.state[p] holds a tensor on another device than p.",
            called="p on another device; opt.step()",
            expected="all tensors on the device of p",
            slide=SLIDE,
            mistake="state_on_cpu",
        )


@points("my_sgd", 0.75)
def test_sgd_use(student, draw):
    in_use(student, draw, "my_sgd", lr=0.1)


@points("my_momentum", 1)
def test_momentum_use(student, draw):
    in_use(student, draw, "my_momentum", lr=0.2)


@points("my_rmsprop", 0.75)
def test_rmsprop_use(student, draw):
    in_use(student, draw, "my_rmsprop", lr=0.01)


@points("my_adam", 0.75)
def test_adam_use(student, draw):
    in_use(student, draw, "my_adam", lr=0.01)


@points("my_adamw", 0.25)
def test_adamw_use(student, draw):
    in_use(student, draw, "my_adamw", lr=0.07)
