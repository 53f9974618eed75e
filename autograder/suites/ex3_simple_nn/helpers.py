"""What the checks of exercise 3 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.checks import (
    assert_close,
    assert_device,
    assert_dtype,
    assert_shape,
    assert_type,
    fail,
    is_remote,
    type_phrase,
)

__all__ = [
    "alike",
    "gradient",
    "has_shape",
    "left_device",
    "look",
    "of_student",
    "tensor",
    "unchanged_parameters",
    "wanted_module",
    "whole_number",
]


def look(student: Any, probe: str, *args: Any) -> Any:
    """What a probe saw. It does not count as a call: messages name the student's last one."""
    found = student.probe(probe, *args)
    if student.calls and student.calls[-1].name.startswith("probe "):
        student.calls.pop()
    return found


def left_device(seen: Any) -> str:
    """What ``on_meta`` saw when something stayed on the CPU, else "".

    Code that looks at the numbers themselves cannot be asked on a device without numbers: it passes.
    """
    state, what, text = (
        (str(part) for part in seen) if type(seen) is list and len(seen) == 3 else ("", "", "")
    )
    if state == "error" and "device" in text and "item()" not in text and "nonzero" not in text:
        return f"{what}: {text}"[:200]
    return "a tensor on the CPU" if state == "ok" and what == "cpu" else ""


def of_student(student: Any, name: str, slide: str) -> Any:
    """The student's function or class of this name; fails when it is something that cannot be called."""
    found = student.get(name)
    if not is_remote(found):
        fail(
            f"{name} is {type_phrase(found)}: it cannot be called.",
            called=name,
            expected=f"a class {name}" if name[0].isupper() else f"a function {name}",
            got=str(type_phrase(found)),
            hint=f"Is there a line {name} = … below the definition?",
            slide=slide,
        )
    return found


def alike(one: Tensor, two: Tensor) -> bool:
    """Whether both hold the same numbers; False when dtype or shape differ."""
    if one.dtype != two.dtype or one.shape != two.shape or one.is_meta or two.is_meta:
        return False
    return torch.allclose(one.detach(), two.detach(), rtol=1e-4, atol=1e-5, equal_nan=True)


def has_shape(value: Any, shape: Sequence[int]) -> bool:
    """Whether it is a tensor of this shape. Never asks the sandbox."""
    return type(value) is Tensor and tuple(value.shape) == tuple(shape)


def tensor(
    value: Any,
    shape: Sequence[int],
    *,
    name: str,
    slide: str,
    dtype: str = "",
    none: str | None = None,
    **why: Any,
) -> Tensor:
    """``value`` if it is a plain tensor of this shape (and dtype); fails by name otherwise.

    ``none`` is the mistake that a None means.
    """
    assert_type(value, torch.Tensor, name=name, slide=slide, mistake=none if value is None else None)
    if dtype:
        assert_dtype(value, dtype, name=name, slide=slide, hint="Keep the dtype of what comes in.")
    assert_shape(value, tuple(shape), name=name, slide=slide, **why)
    assert_device(value, "cpu", name=name, slide=slide)
    return value  # type: ignore[no-any-return]


def wanted_module(student: Any, value: Any, *, name: str, slide: str, label: str = "model") -> Any:
    """``value`` if it is an nn.Module in the sandbox; later messages call it ``label``."""
    if not is_remote(value) or look(student, "is_module", value) is not True:
        got = getattr(value, "type_name", "") or type_phrase(value)
        fail(
            f"{name} gives {got}, not an nn.Module.",
            called=name,
            expected="an nn.Module",
            got=str(got),
            hint="class …(nn.Module): with __init__ and forward",
            slide=slide,
        )
    value._label = label
    return value


def gradient(
    y: Tensor, x: Tensor, *, name: str, slide: str, of: str = "x", mistake: str | None = None
) -> Tensor:
    """The gradient of ``(weights * y).sum()`` with respect to ``x``; fails when none arrives.

    Parameters in the sandbox get their ``.grad`` as well.
    """
    weights = torch.linspace(0.5, 1.5, max(y.numel(), 1), dtype=y.dtype)[: y.numel()].reshape(y.shape)
    found = None
    if y.requires_grad:
        (found,) = torch.autograd.grad((weights * y).sum(), [x], allow_unused=True)
    if found is None:
        fail(
            f"No gradient flows from {name} back to {of}.",
            expected=f"{name} is computed from {of} by torch operations alone",
            hint=".item(), .detach(), .data, .numpy(), torch.tensor(…) and no_grad cut the graph.",
            slide=slide,
            mistake=mistake,
        )
    return found


def unchanged_parameters(
    before: Any, after: Any, *, name: str, slide: str, mistake: str | None = None
) -> None:
    """Two results of named_parameters are alike: names, values, what requires a gradient."""
    same = (
        list(before) == list(after)
        and all(before[key].shape == after[key].shape for key in before)
        and all(before[key].requires_grad == after[key].requires_grad for key in before)
    )
    if not same:
        fail(
            f"{name} was changed by the call.",
            expected="the parameters as they were",
            slide=slide,
            mistake=mistake,
        )
    for key in before:
        assert_close(
            after[key].detach(),
            before[key].detach(),
            rtol=0,
            atol=0,
            name=f"{name}.{key} after the call",
            hint="Compute new tensors; do not write into the layers that came in.",
            slide=slide,
            mistake=mistake,
        )


def whole_number(value: Any, *, name: str, slide: str, none: str | None = None) -> int:
    """``value`` as an int where a task asks for one: int, numpy integer, 0-d tensor, a float like 12.0.

    ``none`` is the mistake that a None means.
    """
    if type(value) is Tensor and value.ndim == 0 and not value.is_meta and not value.is_complex():
        value = value.detach().item()
    assert_type(
        value,
        (int, float),
        name=name,
        slide=slide,
        expected="an int",
        mistake=none if value is None else None,
    )
    if value != value or value in (float("inf"), float("-inf")) or int(value) != value:
        fail(f"{name} is {value}, expected a whole number.", expected="an int", got=str(value), slide=slide)
    return int(value)
