"""Regressor: hidden layers as asked for, one free number at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import assert_close, assert_device, assert_finite, assert_shape, assert_type, fail

SLIDE = "01.10 Regression; 01.06 Neural networks"


def build(student: Any, inputs: int, hidden: list[int], X: Tensor) -> dict[str, Any]:
    """What the probe saw; outputs (N, 1) in both modes are certain afterwards."""
    name = f"Regressor({inputs}, {hidden})"
    seen = student.probe("built", student.Regressor, inputs, hidden, X, called=name)
    kind = seen.get("kind") if type(seen) is dict else None
    if kind != "Module":
        fail(f"{name} is no nn.Module.", "no_module", got=str(kind)[:60], slide=SLIDE)
    outputs = [("training mode", "training"), ("evaluation mode", "first")]
    for mode, key in outputs[1:] if len(X) == 1 else outputs:
        got = seen.get(key)
        about = f"{name}(x {tuple(X.shape)}) in {mode}"
        assert_type(got, Tensor, name=about, slide=SLIDE, hint="Is a return missing in forward?")
        wanted = {"expected": f"shape ({len(X)}, 1)", "got": f"shape {tuple(got.shape)}", "called": about}
        if tuple(got.shape) in ((len(X),), ()):
            fail("The output has lost its second axis.", "squeezed", slide=SLIDE, **wanted)
        assert_shape(got, (len(X), 1), name=about, slide=SLIDE)
        assert_finite(got, name=about, slide=SLIDE)
    return seen  # type: ignore[no-any-return]


@points("regressor", 1)
def test_regressor_shapes(student, draw):
    for hidden in ([64, 32], [], [7], [9, 4, 6], [5, 8, 3, 11]):
        d = draw.sizes(1, low=12, high=20)[0]
        for n in (6, 1):
            X = draw.tensors(n=n, d=d).of("n d")
            seen = build(student, d, hidden, X)
            if seen.get("kept") is not True:
                fail(
                    "Regressor changed the list of its caller.",
                    "changes_hidden",
                    called=f"Regressor({d}, hidden) with hidden = {hidden}",
                    slide=SLIDE,
                )
            if seen.get("same") is not True:
                fail("The model changed its input.", called=f"Regressor({d}, {hidden})(x)", slide=SLIDE)
            check_layers(seen, d, hidden)


def check_layers(seen: dict[str, Any], d: int, hidden: list[int]) -> None:
    shapes = seen.get("shapes") if type(seen.get("shapes")) is list else []
    tables = [tuple(shape) for shape in shapes if type(shape) is list and len(shape) == 2]
    widths = [d, *hidden, 1]
    wanted = list(zip(widths[1:], widths[:-1], strict=True))
    words = {
        "called": f"Regressor({d}, {hidden})",
        "expected": f"weights of shape {', '.join(map(str, wanted))}",
        "got": f"weights of shape {', '.join(map(str, tables)) or 'none at all'}",
        "slide": SLIDE,
    }
    missing = [pair for pair in wanted if pair not in tables and pair[::-1] not in tables]
    if not missing and len(tables) == len(wanted):
        return
    if not shapes:
        fail("The model has no parameters.", "no_parameters", **words)
    if len(tables) > len(wanted):
        fail("The model has more layers than it was asked for.", "extra_layers", **words)
    if tables and len(tables) < len(wanted):
        one = len(hidden) > 1 and all(size > 0 for size in hidden)
        fail(
            "Layers are missing among the parameters.",
            "first_hidden_only" if one and (hidden[0], d) in tables else "plain_list",
            **words,
        )
    fail("The layers have other sizes.", "other_sizes", **words)


@points("regressor", 1)
def test_regressor_no_activation_at_the_end(student, draw):
    """The last layer is linear: multiplying its weights moves the output along a straight line."""
    for hidden in ([16], [12, 7], []):
        d = draw.sizes(1, low=3, high=6)[0]
        X = 3 * draw.tensors(d=d).of("64 d")
        seen = build(student, d, hidden, X)
        called = f"Regressor({d}, {hidden})"
        again = "a second call of the same model"
        assert_close(seen.get("second"), seen["first"], name=again, slide=SLIDE, mistake="layers_in_forward")
        three = straight(seen.get("last"))
        if three is False:
            low = min(float(part.min()) for part in seen["last"])
            bounded = max(float(part.abs().max()) for part in seen["last"]) <= 1
            known = "bounded_output" if bounded else "relu_at_the_end" if low == 0 else "output_activation"
            fail(
                "An activation stands behind the last layer.",
                known,
                called=called,
                expected="any number can come out",
                got=f"outputs between {low:.3g} and {max(float(p.max()) for p in seen['last']):.3g}",
                slide=SLIDE,
            )
        if three is None and hidden:
            check_signs(student, draw, d, hidden)


def straight(outputs: Any) -> bool | None:
    """Whether outputs at the factors -1, 1 and 3 lie on a line; None when they cannot be told."""
    if type(outputs) is not list or len(outputs) != 3:
        return None
    if any(type(part) is not Tensor or part.shape != outputs[0].shape for part in outputs):
        return None
    minus, one, three = (part.double() for part in outputs)
    size = max(float(part.abs().max()) for part in (minus, one, three))
    return bool((three - 2 * one + minus).abs().max() <= 1e-3 * size + 1e-6)


def check_signs(student: Any, draw: Any, d: int, hidden: list[int]) -> None:
    """For models whose last layer is not found: negative outputs must be possible."""
    X = 10 * draw.tensors(d=d).of("200 d")
    lows = [float(build(student, d, hidden, X)["first"].min()) for _ in range(8)]
    if min(lows) >= 0:
        fail("No output is negative.", "relu_at_the_end", called=f"Regressor({d}, {hidden})", slide=SLIDE)


@points("regressor", 1)
def test_regressor_activations_and_gradients(student, draw):
    for hidden in ([10], [9, 6], [8, 5, 7]):
        d = draw.sizes(1, low=3, high=4)[0] + 8
        X = 2 * draw.tensors(d=d).of("80 d")
        seen = build(student, d, hidden, X)
        called = f"Regressor({d}, {hidden})"
        layers = seen.get("layers") if type(seen.get("layers")) is list else []
        for number, outputs in enumerate(layers):
            if straight(outputs) is True:
                fail(
                    f"Hidden layer {number + 1} has no activation behind it.",
                    "no_activation",
                    called=called,
                    expected="an activation after every hidden layer",
                    slide=SLIDE,
                )
        grads = seen.get("grads")
        if type(grads) is not list or not all(item is True for item in grads):
            fail(
                "Some parameters get no gradient.",
                "graph_cut" if not grads else "unused_layers",
                called=f"{called}, then backward",
                slide=SLIDE,
            )
    check_linear(student, draw)
    check_device(student, draw)


def check_linear(student: Any, draw: Any) -> None:
    """Without hidden layers the model is linear regression."""
    a, b = draw.tensors().of("5 4", "5 4")
    model = student.Regressor.keep(4, [])
    model.eval()
    parts = [model(x).detach() for x in (a, b, (a + b) / 2)]
    for part in parts:
        assert_shape(part, (5, 1), name="Regressor(4, [])(x)", slide=SLIDE)
    middle = (parts[0] + parts[1]) / 2
    if not torch.allclose(parts[2], middle, rtol=1e-3, atol=1e-4):
        fail(
            "Regressor(4, []) is not linear.",
            "not_linear",
            expected="without hidden layers: one linear layer and nothing else",
            slide=SLIDE,
        )


def check_device(student: Any, draw: Any) -> None:
    """On the device "meta" nothing is computed, but every tensor must have moved there."""
    model = student.Regressor.keep(6, [5, 3])
    model.to("meta")
    got = model(torch.empty(4, 6, device="meta"))
    assert_device(got, "meta", name="a model that was moved to another device", slide=SLIDE)
