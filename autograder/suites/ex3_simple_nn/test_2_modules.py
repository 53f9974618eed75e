"""MyLinear and SimpleMLP: modules with parameters, whatever their attributes are called."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder import points
from autograder.checks import (
    assert_close,
    assert_device,
    assert_equal,
    assert_finite,
    assert_shape,
    assert_true,
    assert_unchanged,
    fail,
    observe,
)

from . import probes, reference
from .helpers import (
    alike,
    gradient,
    has_shape,
    left_device,
    look,
    of_student,
    tensor,
    wanted_module,
    whole_number,
)

LINEAR = "01.06 Linear layers in PyTorch"
MODULE = "01.06 Module class"


def moves(student: Any, model: Any, shape: list[int], *, name: str, slide: str) -> None:
    """The model runs on another device once it was moved there. It is of no use afterwards."""
    seen = look(student, "on_meta", model, shape)
    got = left_device(seen)
    if got:
        fail(
            f"After {name}.to(device), {name}(x) does not run on that device.",
            called=f'{name}.to("meta"); {name}(x) with x on the meta device',
            expected="all tensors of the module follow .to(device)",
            got=got,
            hint="Only parameters, buffers and submodules move. A tensor in a plain attribute stays behind.",
            slide=slide,
            mistake="stays_behind",
        )


# ---------------------------------------------------------------- my_linear


def new_linear(student: Any, *args: Any, **kwargs: Any) -> Any:
    model = of_student(student, "MyLinear", LINEAR)(*args, **kwargs)
    return wanted_module(student, model, name="MyLinear(…)", slide=LINEAR, label="layer")


def linear_parameters(student: Any, layer: Any, i: int, o: int, bias: bool = True) -> dict[str, Tensor]:
    """The parameters, after their names, shapes and requires_grad."""
    called = f"MyLinear({i}, {o}{'' if bias else ', bias=False'})"
    about = look(student, "describe", layer)
    about = about if type(about) is dict else {}
    found = student.named_parameters(layer)
    if about.get("linear") is True:
        fail(
            "MyLinear is or holds an nn.Linear.",
            called=called,
            expected="a module with parameters `weight` and `bias` of its own",
            got=f"the parameters {', '.join(found) or 'none'}",
            hint="self.weight = nn.Parameter(…), self.bias = nn.Parameter(…)",
            slide=LINEAR,
            mistake="wraps_linear",
        )
    if not found:
        fail(
            f"{called} has no parameters: parameters() is empty.",
            expected="the parameters weight and bias",
            got="no parameters",
            hint="A plain tensor is no parameter: nn.Parameter(torch.…)",
            slide=LINEAR,
            mistake="plain_tensor",
        )
    wanted = {"weight": (o, i), "bias": (o,)} if bias else {"weight": (o, i)}
    if not bias and "bias" in found:
        fail(
            f"{called} has a bias.",
            expected="one parameter, weight; the attribute bias is None",
            got=f"the parameters {', '.join(found)}",
            hint="if not bias: self.bias = None",
            slide=LINEAR,
            mistake="bias_ignored",
        )
    if set(found) != set(wanted):
        plain = "weight" in found and bias and about.get("bias") in ("Tensor", "Parameter")
        fail(
            f"{called} has the parameters {', '.join(found)}; expected {' and '.join(wanted)}.",
            expected=f"the parameters {' and '.join(wanted)}",
            got=f"the parameters {', '.join(found)}",
            hint="self.weight = nn.Parameter(…), self.bias = nn.Parameter(…): these names, like nn.Linear",
            slide=LINEAR,
            mistake="plain_bias" if plain else None,
        )
    for key, shape in wanted.items():
        assert_device(found[key], "cpu", name=f"layer.{key}", slide=LINEAR)
        turned = key == "weight" and tuple(found[key].shape) == (i, o)
        assert_shape(
            found[key],
            shape,
            name=f"layer.{key}",
            hint="weight is (out, in), one row for each neuron; bias is (out,).",
            slide=LINEAR,
            mistake="weight_in_out" if turned else None,
        )
        assert_true(
            found[key].requires_grad,
            f"layer.{key} has requires_grad=False: it cannot learn.",
            hint="nn.Parameter requires a gradient by itself.",
            slide=LINEAR,
        )
    if not bias:
        assert_equal(
            about.get("bias"),
            "None",
            name="the type of layer.bias",
            expected="layer.bias is None",
            hint="self.bias = None",
            slide=LINEAR,
            reveal=True,
            mistake="bias_not_none",
        )
    return found


def local_linear(impl: Any, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """What a local class gives with these numbers."""
    layer = impl(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.to(weight.dtype)
    probes.set_weights(layer, {"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    result: Tensor = layer(x).detach()
    return result


def run_linear(
    student: Any, weight: Tensor, bias: Tensor | None, *inputs: Tensor, reveal: bool = False
) -> None:
    """A layer with these numbers gives x W^T + b for each x."""
    o, i = weight.shape
    layer = new_linear(student, i, o) if bias is not None else new_linear(student, i, o, bias=False)
    linear_parameters(student, layer, i, o, bias is not None)
    values = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    look(student, "set_weights", layer, values)
    for x in inputs:
        y = layer(x)
        observe("my_linear", y, by=lambda impl, x=x: local_linear(impl, weight, bias, x))
        name = f"layer(x) with x of shape {tuple(x.shape)}"
        tensor(
            y,
            (*x.shape[:-1], o),
            name=name,
            slide=LINEAR,
            dtype="float32",
            none="missing_return",
            hint="The last axis goes from in to out, all others stay: (*, in) gives (*, out).",
        )
        wanted = x.double() @ weight.double().T + (0 if bias is None else bias.double())
        assert_close(y, wanted, name=name, reveal=reveal, hint="x @ W.T + b", slide=LINEAR)
        assert_unchanged(student.last, hint="Leave x as it came.", slide=LINEAR)


@points("my_linear", 1)
def test_my_linear_parameters(student, draw):
    i, o = draw.sizes(2)
    for n, m in ((3, 2), (i, o), (o, 1)):
        linear_parameters(student, new_linear(student, n, m), n, m)
        linear_parameters(student, new_linear(student, n, m, bias=True), n, m)
    linear_parameters(student, new_linear(student, i, o, bias=False), i, o, bias=False)


@points("my_linear", 1.5)
def test_my_linear_forward(student, draw):
    W, b = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([10.0, 20.0])
    run_linear(student, W, b, torch.tensor([[1.0, 0.0, -1.0]]), reveal=True)
    n, i, o, k = draw.sizes(4)
    T = draw.tensors(n=n, i=i, o=o, k=k)
    W, b = T.of("W: o i", "b: o")
    run_linear(student, W, b, *T.of("n i", "1 i", "i", "k n i"), T.of("i n").T)
    run_linear(student, W, None, *T.of("n i", "i"))
    W, b = T.of("1 i", "1")
    run_linear(student, W, b, *T.of("n i", "1 i"))
    W, b, x = T.of("o o", "o", "n o")  # square: a transposed weight is seen by its numbers only
    run_linear(student, W, b, x)


@points("my_linear", 0.75)
def test_my_linear_gradients(student, draw):
    n, i, o = draw.sizes(3)
    W, b = draw.tensors(dtype="float64", n=n, i=i, o=o).of("W: o i", "b: o")
    x = draw.tensors(dtype="float64", requires_grad=True, n=n, i=i).of("x: n i")
    layer = new_linear(student, i, o)
    linear_parameters(student, layer, i, o)
    layer = wanted_module(student, layer.double(), name="layer.double()", slide=LINEAR, label="layer")
    look(student, "set_weights", layer, {"weight": W, "bias": b})
    y = layer(x)
    tensor(y, (n, o), name="layer(x)", slide=LINEAR, dtype="float64", none="missing_return")
    assert_close(y, x @ W.T + b, name="layer(x)", slide=LINEAR)
    found = gradient(y, x, name="layer(x)", slide=LINEAR, mistake="graph_cut")
    W.requires_grad_(), b.requires_grad_()
    right = x @ W.T + b
    assert_close(found, gradient(right, x, name="y", slide=LINEAR), name="the gradient of x", slide=LINEAR)
    parameters = student.named_parameters(layer)
    for key, leaf in (("weight", W), ("bias", b)):
        grad = parameters[key].grad if key in parameters else None
        if grad is None:
            fail(
                f"layer.{key} gets no gradient.",
                expected=f"layer.{key}.grad is a tensor after y.sum().backward()",
                got="None",
                hint=f"forward must use self.{key} itself, without .data, .detach() or no_grad.",
                called="y = layer(x); y.sum().backward()",
                slide=LINEAR,
                mistake="graph_cut",
            )
        wanted = gradient(x @ W.T + b, leaf, name="y", slide=LINEAR)
        assert_close(grad, wanted, name=f"the gradient of layer.{key}", slide=LINEAR)


@points("my_linear", 0.75)
def test_my_linear_starts_well(student, draw):
    first, second = new_linear(student, 7, 5), new_linear(student, 7, 5)
    fresh = linear_parameters(student, first, 7, 5)
    one, two = fresh["weight"].detach(), linear_parameters(student, second, 7, 5)["weight"].detach()
    for name, value in fresh.items():
        name = f"layer.{name}"
        # In a check, memory that nobody has written to holds NaN.
        if bool(value.isnan().any()):
            fail(f"{name} of a fresh layer is nan.", mistake="uninitialised", parameter=name, slide=LINEAR)
        assert_finite(value, name=name, slide=LINEAR)
        if float(value.detach().abs().max()) > 1000:
            fail(
                f"{name} of a fresh layer holds {float(value.detach().abs().max()):.3g}.",
                expected="small random numbers",
                slide=LINEAR,
                mistake="too_large",
            )
    if all(bool((row == one[0]).all()) for row in one):
        fail(
            "All neurons of a fresh layer have the same weights.",
            expected="small random weights",
            got="five equal rows",
            hint="nn.Parameter(torch.randn(out, in) / math.sqrt(in))",
            slide=LINEAR,
            mistake="zero_init",
        )
    if alike(one, two):
        fail(
            "Two layers start with the same weights.",
            called="MyLinear(7, 5), twice",
            expected="new random numbers for each layer",
            got="the same numbers twice",
            hint="Seed once, at the top of the notebook, never inside a class.",
            slide=LINEAR,
            mistake="seeded_inside",
        )
    x = draw.tensors(n=4).of("x: n 7")
    y, again = first(x), first(x)
    tensor(y, (4, 5), name="layer(x)", slide=LINEAR, none="missing_return")
    assert_close(again, y.detach(), name="layer(x), called a second time,", slide=LINEAR)
    moves(student, first, [4, 7], name="layer", slide=LINEAR)


# ---------------------------------------------------------------- simple_mlp


def new_mlp(student: Any, *sizes: int, **kwargs: Any) -> Any:
    model = of_student(student, "SimpleMLP", MODULE)(*sizes, **kwargs)
    return wanted_module(student, model, name="SimpleMLP(…)", slide=MODULE)


def mlp_sizes(draw: Any) -> list[tuple[int, int, int]]:
    """``input, hidden, output``: all different, wide and narrow in the middle, one output."""
    i, h, o = draw.sizes(3)
    return [(i, h, o), (4, 11, 2), (9, 3, 6), (5, 7, 1)]


def without_bias(i: int, h: int, o: int) -> tuple[int, ...]:
    """How many numbers two layers hold when one bias or both are missing."""
    return i * h + h * o, i * h + h + h * o, i * h + h * o + o


def check_count(student: Any, model: Any, i: int, h: int, o: int, reveal: bool = False) -> dict[str, Tensor]:
    """The parameters, if there are as many as two layers with biases have."""
    called = f"SimpleMLP({i}, {h}, {o})"
    found: dict[str, Tensor] = student.named_parameters(model)
    got, wanted = sum(p.numel() for p in found.values()), i * h + h + h * o + o
    if got != wanted:
        first, second = i * h + h, h * o + o
        hidden = whole_number(look(student, "layer_count", model), name="layers", slide=MODULE)
        registered = len({name.rpartition(".")[0] for name in found})
        if hidden > registered and got in (0, first, second):
            mistake = "plain_list"
        elif got == 0:
            mistake = "layers_in_forward"
        elif got in without_bias(i, h, o):
            mistake = "no_bias"
        elif got == (i + 1) * o + (o + 1) * h:
            mistake = "hidden_and_output_swapped"
        elif got in (first, second, i * o + o):
            mistake = "one_layer"
        elif got > wanted:
            mistake = "too_many_layers"
        else:
            mistake = "sizes_hard_coded" if got == 35594 else None
        if got == 35594:
            mistake = "sizes_hard_coded"
        fail(
            f"{called} has {got} parameters.",
            called=f"sum(p.numel() for p in {called}.parameters())",
            expected=f"{wanted} parameters" if reveal else "two weights and two biases: i·h + h + h·o + o",
            got=f"{got} parameters ({', '.join(found) or 'none'})"[:200],
            hint="Make both layers in __init__ and keep them as attributes: self.fc1 = nn.Linear(…).",
            slide=MODULE,
            mistake=mistake,
        )
    for name, p in found.items():
        assert_true(p.requires_grad, f"{name} has requires_grad=False: it cannot learn.", slide=MODULE)
        assert_device(p, "cpu", name=name, slide=MODULE)
    return found


def draw_weights(draw: Any, i: int, h: int, o: int, dtype: str = "float32") -> list[Tensor]:
    weights: tuple[Tensor, ...] = draw.tensors(dtype=dtype, i=i, h=h, o=o).of(
        "W1: h i", "b1: h", "W2: o h", "b2: o"
    )
    return list(weights)


def mlp(weights: list[Tensor], x: Tensor, act: Any) -> Tensor:
    W1, b1, W2, b2 = weights
    y: Tensor = act(x @ W1.T + b1) @ W2.T + b2
    return y


def local_mlp(impl: Any, weights: list[Tensor], x: Tensor, kwargs: dict[str, Any]) -> Any:
    """What a local class gives with these numbers."""
    W1, _, W2, _ = weights
    model = impl(W1.shape[1], W1.shape[0], W2.shape[0], **kwargs)
    probes.set_by_shape(model, weights)
    torch.manual_seed(0)
    y = model(x)
    return y.detach() if isinstance(y, Tensor) else y


def output(y: Any, x: Tensor, h: int, o: int, *, swapped: bool = False) -> Tensor:
    hidden = has_shape(y, (*x.shape[:-1], h))
    return tensor(
        y,
        (*x.shape[:-1], o),
        name=f"model(x) with x of shape {tuple(x.shape)}",
        slide=MODULE,
        dtype="float32",
        none="missing_return",
        hint="(*, input_dim) gives (*, output_dim).",
        mistake=None if not hidden else "hidden_and_output_swapped" if swapped else "second_layer_missing",
    )


def run_mlp(
    student: Any, draw: Any, sizes: tuple[int, int, int], act: Any = None, atol: float | None = None
) -> None:
    """A model with known numbers gives W2 act(W1 x + b1) + b2 for a batch, a batch of one and one vector."""
    i, h, o = sizes
    kwargs = {} if act is None else {"act": act}
    model = new_mlp(student, i, h, o, **kwargs)
    weights = draw_weights(draw, i, h, o)
    known = look(student, "set_by_shape", model, weights) is True
    swapped = sum(p.numel() for p in student.named_parameters(model).values()) == (i + 1) * o + (o + 1) * h
    function = act() if act is not None else reference.gelu
    for x in draw.tensors(n=draw.sizes(1)[0], i=i).of("n i", "1 i", "i"):
        y = model(x)
        if known:
            observe("simple_mlp", y, by=lambda impl, x=x: local_mlp(impl, weights, x, kwargs))
        output(y, x, h, o, swapped=swapped)
        assert_unchanged(student.last, hint="Leave x as it came.", slide=MODULE)
        assert_finite(y, name="model(x)", slide=MODULE)
        again = output(model(x), x, h, o)
        if not alike(again, y):
            fail(
                "The same model gives two results for the same x.",
                called="model(x), twice in a row",
                expected="the same numbers twice",
                got="different numbers",
                hint="Is there a Dropout? The card asks for layer, activation, layer and nothing else.",
                slide=MODULE,
                mistake="random_inside" if student.named_parameters(model) else "layers_in_forward",
            )
        if known:
            wanted = mlp([w.double() for w in weights], x.double(), function)
            assert_close(
                y,
                wanted,
                atol and atol,
                atol,
                name="model(x)",
                hint="Layer, activation, layer; nothing after the last one: W2 · act(W1 · x + b1) + b2.",
                slide=MODULE,
            )
    if not known:
        found = student.named_parameters(model).values()
        registered = sum(p.numel() for p in found)
        if registered in without_bias(i, h, o) and sum(p.ndim == 2 for p in found) == 2:
            check_count(student, model, i, h, o)  # fails, and says what is missing
        assert_behaves(student, draw, model, sizes, all_weights=registered >= i * h + h + h * o + o)


def assert_behaves(
    student: Any, draw: Any, model: Any, sizes: tuple[int, int, int], all_weights: bool
) -> None:
    """For a model whose weights cannot be told by their shapes: curved, and unbounded on both sides.

    Weights that are not registered cannot be scaled: how far the outputs go is then no evidence.
    """
    i, h, o = sizes
    x = 3 * draw.tensors(n=50, i=i).of("n i")
    other = x.roll(1, dims=0)  # not -x: tanh without biases is odd, and straight through 0
    inputs = x, other, (x + other) / 2, 1e4 * x, -1e4 * x
    up, down, middle, *rest = (output(model(v), v, h, o).detach().double() for v in inputs)
    straight = bool(((up + down - 2 * middle).abs() < 1e-4).all())
    # Small or positive by chance is no activation: the same weights, ten times as large and turned round.
    look(student, "scale", model, -10.0)
    far = torch.cat([*rest, *(output(model(v), v, h, o).detach().double() for v in inputs)])
    if straight:
        fail("The model is a straight line: no activation is used.", slide=MODULE, mistake="no_activation")
    if all_weights and (bool((far >= 0).all()) or float(far.abs().max()) <= 1.001):
        fail(
            "The outputs of the model are bounded: there is an activation after the last layer.",
            slide=MODULE,
            mistake="final_activation",
        )


@points("simple_mlp", 1)
def test_simple_mlp_parameters(student, draw):
    check_count(student, new_mlp(student, 128, 256, 10), 128, 256, 10, reveal=True)
    for i, h, o in mlp_sizes(draw):
        check_count(student, new_mlp(student, i, h, o), i, h, o)


@points("simple_mlp", 1.5)
def test_simple_mlp_forward(student, draw):
    for sizes in mlp_sizes(draw):
        run_mlp(student, draw, sizes, atol=2e-3)


@points("simple_mlp", 0.5)
def test_simple_mlp_activation(student, draw):
    for act in (torch.nn.Tanh, torch.nn.ReLU, torch.nn.Sigmoid):
        run_mlp(student, draw, draw.sizes(3), act)


@points("simple_mlp", 1)
def test_simple_mlp_learns(student, draw):
    i, h, o = draw.sizes(3)
    model, other = new_mlp(student, i, h, o, act=torch.nn.Tanh), new_mlp(student, i, h, o, act=torch.nn.Tanh)
    start, start_of_other = (list(check_count(student, m, i, h, o).values()) for m in (model, other))
    if all(alike(p, q) for p, q in zip(start, start_of_other, strict=False)):
        fail(
            "Two models start with the same weights.",
            called="SimpleMLP(…), twice",
            expected="new random weights for each model",
            got="the same numbers twice",
            hint="Seed once, at the top of the notebook, never inside a class.",
            slide=MODULE,
            mistake="seeded_inside",
        )
    model = wanted_module(student, model.double(), name="model.double()", slide=MODULE)
    weights = draw_weights(draw, i, h, o, "float64")
    known = look(student, "set_by_shape", model, weights) is True
    x = draw.tensors(dtype="float64", requires_grad=True, n=4, i=i).of("x: n i")
    y = tensor(model(x), (4, o), name="model(x)", slide=MODULE, dtype="float64", none="missing_return")
    found = gradient(y, x, name="model(x)", slide=MODULE, mistake="graph_cut")
    parameters = student.named_parameters(model)
    lacking = [name for name, p in parameters.items() if p.grad is None]
    if lacking:
        fail(
            f"{lacking[0]} gets no gradient.",
            expected="after y.sum().backward() every parameter has a .grad",
            got=f"None for {', '.join(lacking)}"[:200],
            called="y = model(x); y.sum().backward()",
            hint="Is every layer used in forward, without .data, .detach() or no_grad?",
            slide=MODULE,
            mistake="graph_cut",
        )
    if known:
        leaves = [w.requires_grad_() for w in weights]
        assert_close(y, mlp(leaves, x, torch.tanh), name="model(x)", slide=MODULE)
        right = gradient(mlp(leaves, x, torch.tanh), x, name="y", slide=MODULE)
        assert_close(found, right, name="the gradient of x", slide=MODULE)
        for leaf in leaves:
            right = gradient(mlp(leaves, x, torch.tanh), leaf, name="y", slide=MODULE)
            for name, p in parameters.items():
                if p.shape == leaf.shape and p.grad is not None:
                    assert_close(p.grad, right, name=f"the gradient of {name}", slide=MODULE)
    moves(student, other, [4, i], name="model", slide=MODULE)
