"""sigmoid, tanh, relu, gelu: by formula, for any shape, without nan, with a gradient."""

from __future__ import annotations

from typing import Any

import torch

from autograder import points
from autograder.checks import assert_close, assert_dtype, assert_finite, assert_unchanged, fail

from . import reference
from .helpers import gradient, left_device, look, of_student, tensor

SLIDE = "01.06 Activation functions"
READY_MADE = {
    "sigmoid",
    "tanh",
    "relu",
    "relu6",
    "gelu",
    "silu",
    "mish",
    "elu",
    "celu",
    "selu",
    "leaky_relu",
    "prelu",
    "_prelu_kernel",
    "rrelu_with_noise",
    "threshold",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "softplus",
    "log_sigmoid_forward",
    "_softmax",
    "_log_softmax",
}
READY_MADE |= {name + "_" for name in READY_MADE}
HINTS = {
    "sigmoid": "1 / (1 + e^(-z))",
    "tanh": "(e^z - e^(-z)) / (e^z + e^(-z)), written so that nothing overflows",
    "relu": "the larger one of 0 and z, entry by entry",
    "gelu": "z · Φ(z) with Φ(z) = (1 + erf(z / √2)) / 2",
}
IN_PLACE = {
    "hint": "z[z < 0] = 0, z.clamp_(…) and z *= … write into the caller's tensor. Compute a new one.",
    "slide": SLIDE,
    "mistake": "in_place",
}


def check_activation(student: Any, draw: Any, which: str, *, atol: float | None = None) -> None:
    """Everything about one activation. ``atol`` widens the tolerance, for approximations that are usual."""
    f, right, name = of_student(student, which, SLIDE), getattr(reference, which), f"{which}(z)"
    words = {"name": name, "slide": SLIDE, "hint": HINTS[which]}
    rtol = None if atol is None else atol

    z = torch.tensor([-1.0, 0.0, 1.0])
    y = f(z)
    tensor(y, (3,), name=name, slide=SLIDE, none="missing_return", hint="One number for each entry of z.")
    assert_dtype(y, "float32", name=name, slide=SLIDE)
    assert_close(y, right(z), rtol, atol, reveal=True, **words)

    r, c, k = draw.sizes(3)
    for spec in ("r c k", "1 c", "k r"):
        z = draw.tensors(low=-6, high=6, r=r, c=c, k=k).of(f"z: {spec}")
        z = z.T if spec == "k r" else z  # not contiguous in memory
        y = tensor(f(z), z.shape, name=name, slide=SLIDE, dtype="float32", hint="y has the shape of z.")
        assert_close(y, right(z.double()), rtol, atol, **words)
        assert_unchanged(student.last, **IN_PLACE)

    z = torch.tensor([[-100.0, -60.0], [60.0, 100.0]])
    y = tensor(f(z), (2, 2), name=name, slide=SLIDE)
    assert_finite(
        y,
        name=f"{which}(±100)",
        slide=SLIDE,
        hint="e^100 does not fit into a float32: it is inf, and inf / inf is nan.",
    )
    assert_close(y, right(z.double()), rtol, atol, name=f"{which}(±100)", slide=SLIDE)

    check_gradient(student, draw, which, atol)
    check_ready_made(student, which)
    check_device(student, which)


def check_gradient(student: Any, draw: Any, which: str, atol: float | None) -> None:
    """float64 stays, and the derivative arrives; never at 0, where that of relu is a matter of taste."""
    name = f"{which}(z)"
    z = draw.tensors(dtype="float64", low=-4, high=4, requires_grad=True, r=3, c=7).of("z: r c")
    y = tensor(getattr(student, which)(z), (3, 7), name=name, slide=SLIDE, dtype="float64")
    assert_close(y, getattr(reference, which)(z), atol or 1e-6, atol or 1e-6, name=name, slide=SLIDE)
    found = gradient(y, z, name=name, of="z", slide=SLIDE, mistake="graph_cut")
    wanted = gradient(getattr(reference, which)(z), z, name=name, slide=SLIDE)
    slack = 1e-5 if atol is None else 5e-3
    assert_close(
        found,
        wanted,
        slack,
        slack,
        name=f"the derivative of {which}",
        slide=SLIDE,
        hint="Is a part of the formula cut off from the graph (.detach(), .item(), .data, no_grad)?",
    )


def check_ready_made(student: Any, which: str) -> None:
    """No operation that is an activation itself, under whatever name. The tanh form of gelu may use tanh."""
    used = look(student, "operations_used", getattr(student, which), torch.tensor([[-2.0, 0.5], [1.0, 3.0]]))
    banned = READY_MADE - ({"tanh"} if which == "gelu" else set())
    found = [name for name in used if type(name) is str and name in banned] if type(used) is list else []
    if found:
        fail(
            f"{which} uses a ready-made activation: {found[0].strip('_')}.",
            called=f"{which}(z)",
            expected="the formula, with torch.exp, torch.erf, torch.maximum, torch.clamp, torch.where, abs",
            got=f"{which} calls {found[0].strip('_')}",
            hint=HINTS[which],
            slide=SLIDE,
            mistake="ready_made",
            operation=found[0].strip("_"),
        )


def check_device(student: Any, which: str) -> None:
    """Constants follow z to its device. Code that looks at the numbers of z cannot be asked: it passes."""
    seen = look(student, "on_meta", getattr(student, which), [2, 3])
    got = left_device(seen)
    if got:
        fail(
            f"{which}(z) breaks, or comes back on the CPU, when z is on another device.",
            called=f"{which}(z) with z on the meta device",
            expected="a result on the device of z",
            got=got,
            hint="Make constants with zeros_like(z), z.new_zeros(…) or plain Python numbers.",
            slide=SLIDE,
            mistake="other_device",
        )


@points("activations", 1)
def test_sigmoid(student, draw):
    check_activation(student, draw, "sigmoid")


@points("activations", 1)
def test_tanh(student, draw):
    check_activation(student, draw, "tanh")


@points("activations", 1)
def test_relu(student, draw):
    check_activation(student, draw, "relu")


@points("activations", 1)
def test_gelu(student, draw):
    check_activation(student, draw, "gelu", atol=1e-3)
