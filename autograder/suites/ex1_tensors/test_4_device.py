"""pick_device and to_device: where a tensor lives. No GPU is needed: the sandbox is told what there is."""

from __future__ import annotations

from typing import Any

import torch

from autograder import points
from autograder.checks import (
    assert_close,
    assert_device,
    assert_dtype,
    assert_true,
    assert_type,
    assert_unchanged,
    fail,
)

from . import reference
from .helpers import tensor

SLIDE = "01.04 Devices"
MACHINES = [(False, False), (True, False), (False, True), (True, True)]  # (cuda, mps)


def said(cuda: bool, mps: bool) -> str:
    there = [name for name, yes in (("cuda", cuda), ("mps", mps)) if yes]
    return f"on a machine with {' and '.join(there) or 'neither cuda nor mps'}"


def device_type(got: Any, called: str) -> str:
    text = type(got) is str
    assert_type(
        got,
        torch.device,
        name=called,
        expected="a torch.device",
        hint='Wrap the name: torch.device("cuda").',
        slide=SLIDE,
        mistake="string_instead_of_device" if text else None,
    )
    return str(got.type)


def ask(student: Any, prefers: tuple[str | None, ...]) -> dict[Any, tuple[str, str]]:
    """``(prefer, cuda, mps) -> (what was called, the type of the device)`` for every machine."""
    answers = {}
    for cuda, mps in MACHINES:
        student.probe("pretend", cuda, mps)
        for prefer in prefers:
            called = f"pick_device({'' if prefer is None else repr(prefer)}) {said(cuda, mps)}"
            # If it raises, this branch of the sandbox is thrown away.
            got = student.pick_device() if prefer is None else student.pick_device(prefer)
            answers[prefer, cuda, mps] = called, device_type(got, called)
    student.probe("restore")
    return answers


def compare(answers: dict[Any, tuple[str, str]], wrong: dict[str, Any]) -> None:
    """The first wrong answer speaks; a mistake is named when it explains all answers."""
    named = next(
        (
            name
            for name, twin in wrong.items()
            if all(twin(*case) == got for case, (_, got) in answers.items())
        ),
        None,
    )
    for case, (called, got) in answers.items():
        right = reference.device_type(*case)
        if got != right:
            fail(
                f"{called} picked the wrong device.",
                called=called,
                expected=f"a device of type {right}",
                got=f"a device of type {got}",
                hint="cuda before mps before cpu, and only what is_available() says.",
                slide=SLIDE,
                mistake=named,
            )


def usual(cuda: bool, mps: bool) -> str:
    return reference.device_type(None, cuda, mps)


ORDER_MISTAKES = {
    "built_not_available": lambda prefer, cuda, mps: "cuda" if cuda else "mps",
    "cuda_built_not_available": lambda prefer, cuda, mps: "cuda",
    "always_cpu": lambda prefer, cuda, mps: "cpu",
    "forgets_mps": lambda prefer, cuda, mps: "cuda" if cuda else "cpu",
    "mps_before_cuda": lambda prefer, cuda, mps: "mps" if mps else "cuda" if cuda else "cpu",
}
PREFER_MISTAKES = {
    "prefer_ignored": lambda prefer, cuda, mps: usual(cuda, mps),
    "prefer_not_checked": lambda prefer, cuda, mps: prefer or usual(cuda, mps),
    "cpu_not_granted": lambda prefer, cuda, mps: (
        usual(cuda, mps) if prefer == "cpu" else reference.device_type(prefer, cuda, mps)
    ),
    "falls_back_to_cpu": lambda prefer, cuda, mps: (
        prefer
        if prefer and reference.device_type(prefer, cuda, mps) == prefer
        else "cpu"
        if prefer
        else usual(cuda, mps)
    ),
}


@points("device", 0.75)
def test_pick_device_order(student):
    compare(ask(student, (None,)), ORDER_MISTAKES)


@points("device", 0.5)
def test_pick_device_prefer(student):
    compare(ask(student, ("cuda", "mps", "cpu", None)), PREFER_MISTAKES | ORDER_MISTAKES)


@points("device", 0.75)
def test_to_device(student, draw):
    name = "to_device(t, d)"
    for dtype in ("float32", "float64"):
        t = draw.tensors(dtype=dtype, r=2, c=3).of("r c")
        for place in ["cpu", "meta"]:
            moved = student.to_device(t, torch.device(place))
            if moved is None:
                fail(f"{name} returned None.", hint="return t.to(d)", slide=SLIDE, mistake="nothing_returned")
            assert_type(moved, torch.Tensor, name=name, slide=SLIDE)
            stays = ".to never works in place: it returns the moved tensor. Return that one."
            stuck = "not_reassigned" if moved.device == t.device else None
            assert_device(moved, place, name=name, slide=SLIDE, hint=stays, mistake=stuck)
            tensor(moved, t.shape, name=name, slide=SLIDE)
            assert_dtype(moved, dtype, name=name, slide=SLIDE, hint="Only the place changes, not the dtype.")
            if place == "cpu":
                assert_close(moved, t, name=name, slide=SLIDE)
            assert_true(t.device.type == "cpu", "t itself has moved.", slide=SLIDE)
            assert_unchanged(student.last, hint=stays, slide=SLIDE)
