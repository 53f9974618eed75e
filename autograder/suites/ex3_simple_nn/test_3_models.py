"""count_parameters, collapse and predict: functions that take whole models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import (
    assert_close,
    assert_device,
    assert_dtype,
    assert_equal,
    assert_shape,
    assert_true,
    assert_unchanged,
    fail,
    is_remote,
    observe,
)

from . import probes, reference
from .helpers import (
    alike,
    has_shape,
    look,
    of_student,
    tensor,
    unchanged_parameters,
    wanted_module,
    whole_number,
)

MODULE = "01.06 Module class"
LINEAR = "01.06 Activation functions (nesting linear layers)"
OUTPUT = "01.06 Which activation for which problem?"

# ---------------------------------------------------------------- count_parameters

WHAT = {
    "mlp": "Sequential(Linear, GELU, Linear)",
    "linear": "a Linear",
    "no bias": "a Linear without bias",
    "nested": "a model with parameters of its own and layers inside layers",
    "empty": "a model without parameters",
    "frozen layer": "an MLP whose first layer is frozen",
    "frozen weight": "a Linear whose weight is frozen",
    "all frozen": "a frozen Linear",
    "same layer twice": "a model that uses one layer twice",
    "tied": "a model whose two layers share one weight",
    "batch norm": "a model with BatchNorm, which has buffers besides its parameters",
}


def count_everything(count: Any, cases: list[tuple[Any, ...]], sizes: tuple[int, int, int]) -> list[Any]:
    """The counts of a local implementation."""
    return [count(probes.model_named(kind, *sizes), *flags) for kind, *flags in cases]


def ask_counts(student: Any, cases: list[tuple[Any, ...]], sizes: tuple[int, int, int]) -> list[Any]:
    """What the student counts; the models stay as they are."""
    got = []
    for kind, *flags in cases:
        model = student.probe_function("model_named").keep(kind, *sizes)
        model._label = WHAT[kind]
        before = student.named_parameters(model)
        got.append(of_student(student, "count_parameters", MODULE)(model, *flags))
        unchanged_parameters(
            before, student.named_parameters(model), name="the model", slide=MODULE, mistake="changes_model"
        )
    plain = [v.detach().item() if type(v) is Tensor and v.numel() == 1 and not v.is_meta else v for v in got]
    observe("count_parameters", plain, by=lambda impl: count_everything(impl, cases, sizes))
    return got


def check_counts(student: Any, cases: list[tuple[Any, ...]], sizes: tuple[int, int, int]) -> None:
    """The student counts as the reference does."""
    got = ask_counts(student, cases, sizes)
    for value, (kind, *flags) in zip(got, cases, strict=True):
        flag = "" if not flags else f", trainable_only={flags[0]}"
        name = f"count_parameters(model{flag}) for {WHAT[kind]}"
        number = whole_number(value, name=name, slide=MODULE, none="missing_return")
        wanted = reference.count_parameters(probes.model_named(kind, *sizes), *flags)
        if number != wanted:
            fail(
                f"{name} is {number}: that is {'more' if number > wanted else 'less'} than there are.",
                called=name,
                expected="the number of numbers in all parameters that count",
                got=str(number)[:40],
                hint="p.numel() for each p in model.parameters(); trainable_only leaves out frozen ones.",
                slide=MODULE,
            )


@points("count_parameters", 1)
def test_count_all(student, draw):
    cases = [(kind,) for kind in ("mlp", "linear", "no bias", "nested", "empty")]
    sizes = draw.sizes(3)
    (got,) = ask_counts(student, cases[:1], (128, 256, 10))
    name = "count_parameters(Sequential(Linear(128, 256), GELU, Linear(256, 10)))"
    got = whole_number(got, name=name, slide=MODULE, none="missing_return")
    if got != 35594:
        ask_counts(student, cases, sizes)  # together they tell which mistake it is
    hint = "128 · 256 + 256 + 256 · 10 + 10"
    assert_equal(got, 35594, name=name, reveal=True, hint=hint, slide=MODULE)
    check_counts(student, cases, sizes)


@points("count_parameters", 0.5)
def test_count_trainable(student, draw):
    kinds = ("frozen layer", "frozen weight", "all frozen", "mlp")
    cases: list[tuple[Any, ...]] = [(kind, flag) for kind in kinds for flag in (True, False)]
    check_counts(student, cases + [(kind,) for kind in kinds], draw.sizes(3))


@points("count_parameters", 0.5)
def test_count_once(student, draw):
    kinds = ("same layer twice", "tied", "batch norm")
    check_counts(student, [(kind, flag) for kind in kinds for flag in (True, False)], draw.sizes(3))


# ---------------------------------------------------------------- collapse


def local_collapse(impl: Any, numbers: list[Any], x: Tensor) -> Any:
    """The output of what a local implementation makes of two local layers."""
    W_A, b_A, W_B, b_B = numbers
    torch.manual_seed(0)
    y = impl(probes.linear(W_A, b_A), probes.linear(W_B, b_B))(x)
    return y.detach() if isinstance(y, Tensor) else y


def run_collapse(student: Any, cases: list[tuple[list[Any], Tensor]], reveal: bool = False) -> None:
    """collapse of two layers with these numbers is one layer, does the same, and leaves the two alone."""
    results = []
    for numbers, x in cases:  # all of them first: together they tell the mistakes apart
        W_A, b_A, W_B, b_B = numbers
        make = student.probe_function("linear")
        layers = make.keep(W_A, b_A), make.keep(W_B, b_B)
        for label, layer in zip("AB", layers, strict=True):
            layer._label = label
        before = [student.named_parameters(layer) for layer in layers]
        C = of_student(student, "collapse", LINEAR)(*layers)
        weight = check_layer(student, C, i=W_A.shape[1], o=W_B.shape[0])
        if reveal:
            for label, layer, old in zip("AB", layers, before, strict=True):
                after = student.named_parameters(layer)
                unchanged_parameters(old, after, name=label, slide=LINEAR, mistake="changes_layers")
            again = check_layer(student, student.collapse(*layers), i=W_A.shape[1], o=W_B.shape[0])
            if not alike(weight, again):
                fail(
                    "Two calls with the same layers give different weights.",
                    called="collapse(A, B), twice",
                    expected="weight = W_B W_A, both times",
                    got="other numbers the second time",
                    slide=LINEAR,
                    mistake="nothing_copied",
                )
        y = C(x)
        observe("collapse", y, by=lambda impl, numbers=numbers, x=x: local_collapse(impl, numbers, x))
        results.append((y, layers, before))
    for (numbers, x), (y, layers, before) in zip(cases, results, strict=True):
        W_A, b_A, W_B, b_B = numbers
        biases = [n for n, b in (("A", b_A), ("B", b_B)) if b is not None]
        which = ("neither layer has", f"{biases[0] if biases else ''} has", "A and B have")[len(biases)]
        name = f"C(x), where {which} a bias,"
        tensor(y, (len(x), W_B.shape[0]), name=name, slide=LINEAR, dtype="float32")
        right = x.double() @ W_A.double().T + (0 if b_A is None else b_A.double())
        right = right @ W_B.double().T + (0 if b_B is None else b_B.double())
        assert_close(
            y,
            right,
            atol=1e-4,
            name=name,
            reveal=reveal,
            hint="Put A(x) = W_A x + b_A into B(z) = W_B z + b_B and multiply out.",
            slide=LINEAR,
        )
        for label, layer, old in zip("AB", layers, before, strict=True):
            after = student.named_parameters(layer)
            unchanged_parameters(old, after, name=label, slide=LINEAR, mistake="changes_layers")


def check_layer(student: Any, C: Any, i: int, o: int) -> Tensor:
    """The weight of C, which is one layer with a weight (o, i)."""
    if C is None:
        fail(
            "collapse(A, B) returned None.",
            hint="return the new layer",
            slide=LINEAR,
            mistake="missing_return",
        )
    if type(C) is Tensor or (type(C) in (tuple, list) and any(type(part) is Tensor for part in C)):
        fail(
            "collapse(A, B) returned numbers, not a layer.",
            expected="an nn.Linear",
            got=type(C).__name__,
            hint="Make nn.Linear(A.in_features, B.out_features) and write the numbers into it.",
            slide=LINEAR,
            mistake="numbers_not_layer",
        )
    wanted_module(student, C, name="collapse(A, B)", slide=LINEAR, label="C")
    about = look(student, "describe", C)
    parts = about.get("parts") if type(about) is dict else None
    found = student.named_parameters(C)
    if parts != 1 or "weight" not in found:
        fail(
            "collapse(A, B) is not one layer.",
            expected="one nn.Linear, with one weight",
            got=f"{C.type_name} with the parameters {', '.join(found) or 'none'}"[:200],
            hint="Calling two layers one after the other is right, but they are still two.",
            slide=LINEAR,
            mistake="two_layers",
        )
    assert_shape(
        found["weight"],
        (o, i),
        name="C.weight",
        hint="C goes from the inputs of A to the outputs of B: nn.Linear(A.in_features, B.out_features).",
        slide=LINEAR,
        mistake="sizes_turned" if tuple(found["weight"].shape) == (i, o) else None,
    )
    assert_device(found["weight"], "cpu", name="C.weight", slide=LINEAR)
    return found["weight"].detach()


def numbers_for(draw: Any, i: int, h: int, o: int, bias_A: bool = True, bias_B: bool = True) -> list[Any]:
    W_A, b_A, W_B, b_B = draw.tensors(i=i, h=h, o=o).of("W_A: h i", "b_A: h", "W_B: o h", "b_B: o")
    return [W_A, b_A if bias_A else None, W_B, b_B if bias_B else None]


@points("collapse", 1.5)
def test_collapse_with_biases(student, draw):
    numbers = [[[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]], [1.0, -1.0, 2.0], [[1.0, 0.0, 2.0]], [10.0]]
    shown = [torch.tensor(part) for part in numbers]
    run_collapse(student, [(shown, torch.tensor([[1.0, 1.0]]))], reveal=True)
    sizes = ((5, 7, 2), draw.sizes(3), (4, 1, 3), (3, 3, 3))
    run_collapse(student, [(numbers_for(draw, *s), draw.tensors(i=s[0]).of("x: 6 i")) for s in sizes])


@points("collapse", 1.5)
def test_collapse_without_biases(student, draw):
    cases = []
    for bias_A, bias_B in ((True, False), (False, True), (False, False), (True, True)):
        i, h, o = draw.sizes(3)
        numbers = numbers_for(draw, i, h, o, bias_A, bias_B)
        cases.append((numbers, draw.tensors(i=i).of("x: 4 i")))
    run_collapse(student, cases)


# ---------------------------------------------------------------- predict


def predict_all(predict: Any, cases: list[tuple[Tensor, Tensor]], training: bool) -> list[Any]:
    """The classes of a local implementation."""
    return [predict(probes.recorder(weight, training), X) for weight, X in cases]


def ask(student: Any, weight: Tensor, X: Tensor, training: bool) -> tuple[Any, Any]:
    """The model and the prediction."""
    model = student.probe_function("recorder").keep(weight, training)
    model._label = "model"
    return model, of_student(student, "predict", OUTPUT)(model, X)


def check_classes(got: Any, weight: Tensor, X: Tensor, expected: list[int] | None = None) -> None:
    """``got`` names, for each row of X, a class with the highest score: any of them in a tie."""
    name, scores = f"predict(model, X) with X of shape {tuple(X.shape)}", (X.double() @ weight.double().T)
    turned = has_shape(got, (scores.shape[1],))
    pair = type(got) in (tuple, list) and len(got) == 2 and all(type(part) is Tensor for part in got)
    if pair or (is_remote(got) and "return_types" in got.type_name):
        fail(
            f"{name} returned two tensors.",
            expected="one tensor (N,)",
            got="two tensors",
            slide=OUTPUT,
            mistake="values_and_indices",
        )
    got = tensor(
        got,
        (len(X),),
        name=name,
        slide=OUTPUT,
        none="missing_return",
        hint="One class for each row of X: argmax over the classes, which are dim=1.",
        mistake="argmax_over_samples" if turned and scores.shape[1] != len(X) else None,
    )
    assert_dtype(got, "int64", name=name, hint="argmax gives int64 by itself.", slide=OUTPUT)
    if expected is not None:
        assert_equal(
            got, torch.tensor(expected), name=name, reveal=True, slide=OUTPUT, hint="Classes count from 0."
        )
    inside = bool(((got >= 0) & (got < scores.shape[1])).all())
    best = inside and bool((scores.gather(1, got[:, None])[:, 0] >= scores.max(dim=1).values - 1e-4).all())
    if not best:
        fail(
            f"{name} names a class that has not the highest score.",
            expected=f"for each row the class, 0 to {scores.shape[1] - 1}, with the highest score",
            got="another class" if inside else "a class that does not exist",
            hint="model(X) is (N, C): one score for each class. argmax(dim=1).",
            slide=OUTPUT,
        )


@points("predict", 1)
def test_predict_classes(student, draw):
    eye = torch.eye(3)
    shown = torch.tensor([[0.1, 2.0, -1.0], [3.0, 0.0, 1.0], [-5.0, -4.0, -3.0], [0.0, 1.0, 0.5]])
    n, c, d = draw.sizes(3)
    ties = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [-1.0, -1.0, -1.0]])
    W1, X1, W2, X2, W3, X3 = draw.tensors(n=n, c=c, d=d).of("c d", "n d", "c d", "1 d", "n d", "n d")
    cases = [(eye, shown), (W1, X1), (W2, X2), (W3, X3), (eye, ties)]
    got = []
    for weight, X in cases:
        got.append(ask(student, weight, X, True)[1])
        assert_unchanged(student.last, ignore=[0], hint="Leave X as it came.", slide=OUTPUT)
    observe("predict", got, by=lambda impl: predict_all(impl, cases, True))
    check_classes(got[0], eye, shown, [1, 0, 2, 1])
    for value, (weight, X) in zip(got[1:], cases[1:], strict=True):
        check_classes(value, weight, X)


@points("predict", 1)
def test_predict_conduct(student, draw):
    weight, X = draw.tensors(n=5, c=3, d=4).of("weight: c d", "X: n d")
    for training in (True, False):
        model, got = ask(student, weight, X, training)
        check_classes(got, weight, X)
        notes = look(student, "seen")
        rows = [row for row in notes if type(row) is list and len(row) == 3] if type(notes) is list else []
        assert_true(bool(rows), "predict did not call the model it was given.", slide=OUTPUT)
        told = {
            "called": f"predict(model, X) with a model in {'training' if training else 'eval'} mode",
            "slide": OUTPUT,
        }
        if any(row[0] is not False or row[1] is not False for row in rows):
            only = all(row[0] is False for row in rows)
            fail(
                "The model was in training mode when it predicted.",
                expected="model.training is False during the forward pass, in all parts of the model",
                got="model.training was set, its layers were not told" if only else "training mode",
                hint="model.eval() before model(X): Dropout and BatchNorm behave differently in training.",
                mistake="training_flag_only" if only else "not_eval",
                **told,
            )
        if any(row[2] is not False for row in rows):
            fail(
                "The forward pass built a graph, which nobody needs here.",
                expected="scores that do not require a gradient",
                got="scores with a graph",
                hint="with torch.no_grad(): (detach comes too late, the graph has been built by then.)",
                mistake="graph_built",
                **told,
            )
        modes = look(student, "training_modes", model)
        if modes != [training, training]:
            fail(
                f"The model came in {'training' if training else 'eval'} mode and left in another.",
                expected=f"model.training is {training} before and after, for all parts of the model",
                got=f"model.training is {modes[0] if type(modes) is list and modes else '?'} afterwards",
                hint="was = model.training … model.train(was)",
                mistake="mode_not_restored" if training else "always_training",
                **told,
            )
