"""Known wrong answers of exercise 2 and what a student is told about each.

A function here is a wrong twin of the student's function of the task (or of the one that ``of`` names); its
name is the id of the mistake. ``named`` ones are recognised by a check, ``on_error`` ones by the exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autograder import mistake

from . import reference
from .helpers import AUTODIFF, BACKPROP, MOTIVATION

F = Callable[..., Any]

# ---------------------------------------------------------------- value_and_grad

mistake.on_error(
    "value_and_grad",
    "int_tensor",
    error="RuntimeError",
    match="[Oo]nly Tensors of floating point",
    message=(
        "Only floating point tensors can have a gradient: torch.tensor(3) is int64, torch.tensor(3.0) is not."
    ),
    hint="torch.tensor(float(x), requires_grad=True)",
    slide=AUTODIFF,
)
mistake.on_error(
    "value_and_grad",
    "not_tracked",
    error="RuntimeError",
    match="does not require grad",
    message=(
        "Nothing was recorded on the way from x to y: x does not require a gradient, or the graph was cut."
    ),
    hint=(
        "torch.tensor(x, requires_grad=True); .item(), .detach() and no_grad before backward() cut the graph."
    ),
    slide=AUTODIFF,
)
mistake.on_error(
    "value_and_grad",
    "float_for_f",
    error="TypeError|AttributeError",
    match="must be Tensor, not (float|int)|'float' object has no attribute",
    message="f got a Python float. autograd can only record what happens to a tensor.",
    hint="Make x a tensor first: torch.tensor(x, requires_grad=True)",
    slide=AUTODIFF,
)
mistake.on_error(
    "value_and_grad",
    "no_backward",
    error="AttributeError|TypeError",
    match="'NoneType' object|not 'NoneType'",
    message="The gradient is None: backward() has not run yet, or you asked y for it. It lands in x.grad.",
    hint="y.backward(), then x.grad",
    slide=AUTODIFF,
)
for _id, _message, _hint in (
    (
        "gradient_is_none",
        "dy is None: backward() has not run, or you asked y for its .grad. The gradient lands in the leaf x.",
        "y.backward(), then x.grad",
    ),
    (
        "graph_kept",
        "You return a tensor that still carries its graph. Return a number.",
        "y.item() or y.detach()",
    ),
    (
        "accumulates",
        (
            "The second call gives twice the gradient: the old one was still in .grad, and "
            "backward() adds to it."
        ),
        "Make a fresh tensor in each call, or set .grad to None before backward().",
    ),
    (
        "f_called_twice",
        (
            "f is called {times} times. One call gives the value, and backward() through "
            "that very value the slope."
        ),
        "y = f(t) once, then y.backward()",
    ),
    (
        "no_autograd",
        "The slope is not autograd's: it looks measured with a small step. That is the next task.",
        "torch.tensor(x, requires_grad=True), then backward()",
    ),
):
    mistake.named("value_and_grad", _id, message=_message, hint=_hint, slide=AUTODIFF)


@mistake("value_and_grad", "Value and slope have changed places.", hint="return y, dy", slide=AUTODIFF)
def slope_first(f: F, x: float) -> Any:
    y, dy = reference.value_and_grad(f, x)
    return dy, y


@mistake("value_and_grad", "The first number is x. Return f(x), the value.", slide=AUTODIFF)
def x_for_y(f: F, x: float) -> Any:
    return x, reference.value_and_grad(f, x)[1]


@mistake("value_and_grad", "The second number is f(x) again. Return the slope, x.grad.", slide=AUTODIFF)
def value_twice(f: F, x: float) -> Any:
    return (reference.value_and_grad(f, x)[0],) * 2


@mistake("value_and_grad", "The slope is always the same: it does not come from f.", slide=AUTODIFF)
def slope_of_itself(f: F, x: float) -> Any:
    return reference.value_and_grad(f, x)[0], 1.0


@mistake(
    "value_and_grad",
    "The slope is right for the slide's function only: it is written into the code.",
    hint="Let backward() find it.",
    slide=AUTODIFF,
)
def slide_only(f: F, x: float) -> Any:
    return reference.value_and_grad(f, x)[0], 3 * x**2 + 2


@mistake("value_and_grad", "That is the second derivative. One backward() is enough.", slide=AUTODIFF)
def second_derivative(f: F, x: float) -> Any:
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = f(t)
    (first,) = torch.autograd.grad(y, t, create_graph=True)
    return y.item(), torch.autograd.grad(first, t)[0].item()


@mistake(
    "value_and_grad", "backward() runs twice, and the second gradient is added to the first.", slide=AUTODIFF
)
def doubled(f: F, x: float) -> Any:
    y, dy = reference.value_and_grad(f, x)
    return y, 2 * dy


@mistake("value_and_grad", "The slope has the wrong sign.", slide=AUTODIFF)
def minus_slope(f: F, x: float) -> Any:
    y, dy = reference.value_and_grad(f, x)
    return y, -dy


# ---------------------------------------------------------------- numeric_grad

_CENTRAL = "(f(x + ε) − f(x − ε)) / 2ε"
mistake.on_error(
    "numeric_grad",
    "uses_autograd",
    error="RuntimeError",
    match="does not require grad|element 0 of tensors",
    message=(
        "This f cannot be differentiated by autograd, and it need not be: two values of f are all you need."
    ),
    hint=_CENTRAL,
    slide=AUTODIFF,
)
for _id, _message, _hint in (
    (
        "changes_x",
        "x is not what it was before the call: the steps of size ε were made in x itself.",
        "Work on a copy: xp = x.clone(); xp[i] += eps. `xp = x` is no copy.",
    ),
    (
        "float32_forced",
        "x is float64, the result is float32: half of the digits are gone.",
        "torch.zeros_like(x) keeps the dtype, torch.zeros(n) does not.",
    ),
    ("autograd_inside", "The numbers come from autograd. Here they come from differences alone.", _CENTRAL),
    ("still_tracked", "The result carries a graph. Differences need no autograd.", "result.detach()"),
):
    mistake.named("numeric_grad", _id, message=_message, hint=_hint, slide=AUTODIFF)


def _differences(f: F, x: Tensor, plus: float, minus: float, divisor: float) -> Tensor:
    g = torch.zeros_like(x)
    for i in range(len(x)):
        e = torch.zeros_like(x)
        e[i] = 1
        g[i] = (f(x + plus * e) - f(x - minus * e)) / divisor
    return g


@mistake(
    "numeric_grad",
    "That is the forward difference: its error shrinks like ε, the central one's like ε².",
    hint=_CENTRAL,
    slide=AUTODIFF,
)
def forward_difference(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, eps, 0, eps)


@mistake(
    "numeric_grad",
    "That is the backward difference: its error shrinks like ε, the central one's like ε².",
    hint=_CENTRAL,
    slide=AUTODIFF,
)
def backward_difference(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, 0, eps, eps)


@mistake(
    "numeric_grad",
    "Twice too large: from x − ε to x + ε it is 2ε, not ε.",
    hint=_CENTRAL,
    slide=AUTODIFF,
)
def divides_by_eps(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, eps, eps, eps)


@mistake(
    "numeric_grad",
    "`/ 2 * eps` divides by 2 and then multiplies by ε. Write `/ (2 * eps)`.",
    hint=_CENTRAL,
    slide=AUTODIFF,
)
def two_times_eps(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, eps, eps, 2 / eps)


@mistake("numeric_grad", "Half of the slope: one step of ε was divided by 2ε.", hint=_CENTRAL, slide=AUTODIFF)
def one_step_over_two_eps(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, eps, 0, 2 * eps)


@mistake("numeric_grad", "The division by ε is missing.", hint=_CENTRAL, slide=AUTODIFF)
def not_divided(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, eps, eps, 1)


@mistake(
    "numeric_grad", "The division by 2ε is half done: only the 2 is there.", hint=_CENTRAL, slide=AUTODIFF
)
def divided_by_two(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, eps, eps, 2)


@mistake("numeric_grad", "The two values of f are the wrong way round.", hint=_CENTRAL, slide=AUTODIFF)
def wrong_sign(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, -eps, -eps, 2 * eps)


mistake.named(
    "numeric_grad",
    "step_times_x",
    message="The step is eps times |x|. It is eps itself, in each entry.",
    hint="x[i] ± eps",
    slide=AUTODIFF,
)


@mistake(
    "numeric_grad",
    "eps is not used: the step is the same whatever the caller asks for.",
    hint="x[i] ± eps",
    slide=AUTODIFF,
)
def eps_ignored(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return _differences(f, x, 1e-5, 1e-5, 2e-5)


@mistake(
    "numeric_grad",
    "All entries of x are moved at once. The i-th slope needs a step in entry i alone.",
    hint="One pair of calls for each i.",
    slide=AUTODIFF,
)
def all_at_once(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return (f(x + eps) - f(x - eps)) / (2 * eps) * torch.ones_like(x)


@mistake(
    "numeric_grad",
    "One number: all entries of x moved at once, or the slopes were added up. Each entry has its own.",
    hint="One pair of calls for each i.",
    slide=AUTODIFF,
)
def one_number(f: F, x: Tensor, eps: float = 1e-5) -> Any:
    return torch.as_tensor((f(x + eps) - f(x - eps)) / (2 * eps))


@mistake(
    "numeric_grad",
    "Only the first entry has its slope.",
    hint="Is the return inside the loop? It belongs below it.",
    slide=AUTODIFF,
)
def first_only(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    g = reference.numeric_grad(f, x, eps)
    g[1:] = 0
    return g


@mistake(
    "numeric_grad",
    "The result has one column too many: (n,) in, (n,) out.",
    slide=AUTODIFF,
)
def column(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return reference.numeric_grad(f, x, eps)[:, None]


@mistake(
    "numeric_grad",
    "x + ε and x − ε are the same tensor: `xm = xp = x.clone()` or `xm = xp` gives one tensor two names.",
    hint="A clone for each.",
    slide=AUTODIFF,
)
def one_tensor_two_names(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    return torch.zeros_like(x)


@mistake(
    "numeric_grad",
    "The step in one entry is still there when the next one is made.",
    hint="A fresh clone of x for each i.",
    slide=AUTODIFF,
)
def step_left_behind(f: F, x: Tensor, eps: float = 1e-5) -> Tensor:
    up, down, g = x.clone(), x.clone(), torch.zeros_like(x)
    for i in range(len(x)):
        up[i] += eps
        down[i] -= eps
        g[i] = (f(up) - f(down)) / (2 * eps)
    return g


# ---------------------------------------------------------------- chain_rule

mistake.on_error(
    "chain_rule",
    "uses_backward",
    error="RuntimeError",
    match="autograd is switched off in this task",
    message="This task is done by hand: no backward(), no torch.autograd, no torch.func.",
    hint="The formula is in the card: three factors.",
    slide=BACKPROP,
)
mistake.named(
    "chain_rule",
    "changes_arguments",
    message="W, b, x or y is not what it was before the call.",
    hint="z += b and s.mul_(…) work in place. Compute new tensors: z = W @ x + b",
    slide=BACKPROP,
)


def _rule(
    W: Tensor, b: Tensor, x: Tensor, y: Tensor, delta: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    z = W @ x + b
    d = delta(torch.sigmoid(z), z)
    return torch.outer(d, x), d


_Pair = tuple[Tensor, Tensor]


def _by_hand(message: str, **words: Any) -> Any:
    return mistake("chain_rule", message, of="chain_rule_by_hand", **words)


@_by_hand(
    "Off by a factor {o}: L is the mean over the {o} outputs, not their sum.",
    hint="∂L/∂ŷ = 2 (ŷ − y) / o",
    slide=BACKPROP,
    fields=lambda call: {"o": len(call.args[3])},
)
def sum_not_mean(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * s * (1 - s))


@_by_hand(
    "Half of the gradient: the derivative of the square has a factor 2.",
    hint="∂L/∂ŷ = 2 (ŷ − y) / o",
    slide=BACKPROP,
)
def no_factor_two(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: (s - y) * s * (1 - s) / len(y))


@_by_hand(
    "The factor 2/o of the mean of squares is missing (here o = {o}).",
    hint="∂L/∂ŷ = 2 (ŷ − y) / o",
    slide=BACKPROP,
    fields=lambda call: {"o": len(call.args[3])},
)
def no_two_over_o(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: (s - y) * s * (1 - s))


@_by_hand(
    "Divided by o twice, or by the number of entries of W: the mean runs over the {o} outputs once.",
    hint="∂L/∂ŷ = 2 (ŷ − y) / o",
    slide=BACKPROP,
    fields=lambda call: {"o": len(call.args[3])},
)
def divided_twice(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * s * (1 - s) / len(y) ** 2)


@_by_hand(
    "(ŷ − y).mean() makes one number of the errors. Each output keeps its own, divided by o.",
    hint="∂L/∂ŷ = 2 (ŷ − y) / o, a vector",
    slide=BACKPROP,
)
def errors_averaged(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: (2 * (s - y)).mean() * s * (1 - s))


@_by_hand(
    "Divided by the number of inputs. The mean runs over the outputs.",
    hint="∂L/∂ŷ = 2 (ŷ − y) / o",
    slide=BACKPROP,
)
def divided_by_inputs(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * s * (1 - s) / len(x))


@_by_hand(
    "The sign is wrong: the derivative of (ŷ − y)² with respect to ŷ is 2 (ŷ − y), not 2 (y − ŷ).",
    slide=BACKPROP,
)
def sign_flipped(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (y - s) * s * (1 - s) / len(y))


@_by_hand("The factor σ′(z) of the chain rule is missing.", hint="σ′ = σ (1 − σ)", slide=BACKPROP)
def no_sigma_prime(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) / len(y))


@_by_hand(
    "σ′ is taken at σ(z): the sigmoid is applied twice. With s = σ(z) the slope is s (1 − s).",
    slide=BACKPROP,
)
def sigma_of_sigma(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    def delta(s: Tensor, z: Tensor) -> Tensor:
        t = torch.sigmoid(s)
        return 2 * (s - y) * t * (1 - t) / len(y)

    return _rule(W, b, x, y, delta)


@_by_hand(
    "z (1 − z) is not the slope of σ. With s = σ(z) it is s (1 − s).",
    slide=BACKPROP,
)
def slope_of_z(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * z * (1 - z) / len(y))


@_by_hand("σ′ is s (1 − s) with s = σ(z): the factor 1 − s is missing.", slide=BACKPROP)
def sigma_for_slope(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * s / len(y))


@_by_hand("σ′ is s (1 − s) with s = σ(z): the factor s is missing.", slide=BACKPROP)
def one_minus_sigma(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * (1 - s) / len(y))


@_by_hand("1 − s² is the slope of tanh. That of σ is s (1 − s).", slide=BACKPROP)
def slope_of_tanh(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (s - y) * (1 - s**2) / len(y))


@_by_hand("The square is not differentiated: it is still (ŷ − y)².", hint="2 (ŷ − y)", slide=BACKPROP)
def square_left(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: (s - y) ** 2 * s * (1 - s) / len(y))


@_by_hand("The sigmoid is missing: ŷ = σ(z), and you compare z with y.", slide=BACKPROP)
def no_sigmoid(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (z - y) / len(y))


@_by_hand("z is compared with y. ŷ is σ(z).", slide=BACKPROP)
def error_of_z(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return _rule(W, b, x, y, lambda s, z: 2 * (z - y) * s * (1 - s) / len(y))


@_by_hand("b is missing in z = W x + b.", slide=BACKPROP)
def no_bias(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    return reference.chain_rule_by_hand(W, torch.zeros_like(b), x, y)


@_by_hand("dW and db have changed places.", hint="return dW, db", slide=BACKPROP)
def db_first(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return db, dW


@_by_hand(
    "dW is transposed. A gradient has the shape of its parameter: W is (o, i), and so is dW.",
    hint="torch.outer(delta, x): delta first",
    slide=BACKPROP,
)
def outer_swapped(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return dW.T, db


@_by_hand(
    "reshape is no transpose: dW has the right shape and the wrong order.",
    hint="torch.outer(delta, x)",
    slide=BACKPROP,
)
def outer_reshaped(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return dW.T.reshape(W.shape), db


@_by_hand(
    "∂z/∂W is x, not W.",
    hint="torch.outer(delta, x)",
    slide=BACKPROP,
)
def times_W(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    d = reference.chain_rule_by_hand(W, b, x, y)[1]
    return d[:, None] * W, d


@_by_hand("The factor x is missing in dW: ∂z/∂W = x.", hint="torch.outer(delta, x)", slide=BACKPROP)
def no_x(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    d = reference.chain_rule_by_hand(W, b, x, y)[1]
    return d[:, None].expand(W.shape).clone(), d


@_by_hand(
    "dW is multiplied entry by entry. Each of the o errors meets each of the i inputs: an outer product.",
    hint="torch.outer(delta, x) or delta[:, None] * x",
    slide=BACKPROP,
)
def entry_by_entry(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    d = reference.chain_rule_by_hand(W, b, x, y)[1]
    return d * x, d


@_by_hand(
    "delta @ x is a dot product, one number. dW is an outer product, (o, i).",
    hint="torch.outer(delta, x)",
    slide=BACKPROP,
)
def dot_product(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    d = reference.chain_rule_by_hand(W, b, x, y)[1]
    return d @ x, d


@_by_hand(
    "z = xW + b is the slide's mathematics. W is (out, in) in the code: W @ x + b, or x @ W.T + b.",
    slide=BACKPROP,
)
def x_times_W(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    s = torch.sigmoid(x @ W + b)
    d = 2 / len(y) * (s - y) * s * (1 - s)
    return torch.outer(d, x), d


@_by_hand(
    "The slide's * is mathematics. In PyTorch it multiplies entry by entry; the matrix product is @.",
    hint="W @ x + b",
    slide=BACKPROP,
)
def star_product(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    s = torch.sigmoid(W * x + b)
    d = 2 / len(y) * (s - y) * s * (1 - s)
    return torch.outer(d, x), d


@_by_hand(
    "db is one number. It has the shape of b: (o,).",
    hint="∂z/∂b = 1: db is delta",
    slide=BACKPROP,
)
def db_summed(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return dW, db.sum()


@_by_hand(
    "db is averaged over the outputs. It has the shape of b: (o,).",
    hint="db is delta",
    slide=BACKPROP,
)
def db_averaged(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return dW, db.mean()


@_by_hand("db is a column (o, 1). It has the shape of b: (o,).", slide=BACKPROP)
def db_column(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return dW, db[:, None]


@_by_hand("db is multiplied by b. ∂z/∂b is 1.", hint="db is delta", slide=BACKPROP)
def db_times_b(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, db = reference.chain_rule_by_hand(W, b, x, y)
    return dW, db * b


@_by_hand("db is 1. ∂z/∂b is 1, and the factors before it stay.", hint="db is delta", slide=BACKPROP)
def db_is_one(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, _ = reference.chain_rule_by_hand(W, b, x, y)
    return dW, torch.ones_like(b)


@_by_hand(
    "db is the sum over a row of dW: the inputs got into it. ∂z/∂b is 1.",
    hint="db is delta",
    slide=BACKPROP,
)
def db_from_rows(W: Tensor, b: Tensor, x: Tensor, y: Tensor) -> _Pair:
    dW, _ = reference.chain_rule_by_hand(W, b, x, y)
    return dW, dW.sum(dim=1)


# ---------------------------------------------------------------- grads

mistake.on_error(
    "grads",
    "zero_of_none",
    error="AttributeError",
    match="'NoneType' object has no attribute '(zero_|data|detach|detach_|fill_|mul_)'",
    message="Before the first backward() .grad is None: there is nothing to set to zero.",
    hint="if W.grad is not None: W.grad.zero_(), or simply W.grad = None",
    slide=BACKPROP,
)
mistake.on_error(
    "grads",
    "no_backward",
    error="AttributeError|TypeError",
    match="'NoneType' object|not 'NoneType'",
    message="The gradient is None when you use it: loss.backward() has not run yet.",
    hint="zero, then backward, then read",
    slide=BACKPROP,
)
mistake.on_error(
    "grads",
    "not_a_scalar",
    error="RuntimeError",
    match="grad can be implicitly created only for scalar outputs",
    message="backward() starts at one number. The squares are many: take their mean first.",
    hint="((forward(W, b, X) - Y) ** 2).mean()",
    slide=BACKPROP,
)
mistake.on_error(
    "grads",
    "graph_cut",
    error="RuntimeError",
    match="does not require grad",
    message="The loss does not know W and b any more: something cut the graph before backward().",
    hint="No .item(), .detach(), .data and no no_grad between forward and backward.",
    slide=BACKPROP,
)
mistake.on_error(
    "grads",
    "backward_twice",
    error="RuntimeError",
    match="backward through the graph a second time",
    message="backward() runs twice through one graph, which is thrown away after the first time.",
    hint="Once is enough: one backward() fills W.grad and b.grad.",
    slide=BACKPROP,
)
for _id, _message, _hint in (
    ("graph_kept", "{part} still carries its graph. Return it detached.", "loss.item() or loss.detach()"),
    (
        "gradient_is_none",
        "{part} is None: backward() has not run, or .grad was thrown away before it was read.",
        "zero, then backward, then read",
    ),
    (
        "requires_grad_lost",
        "After the call W or b does not require a gradient any more: the next call cannot work.",
        "Detach the results, not the parameters: no W.requires_grad_(False), no W.detach_()",
    ),
    (
        "changes_values",
        "The call changed the numbers in {part}. It only asks for gradients.",
        "A step is the next task.",
    ),
):
    mistake.named("grads", _id, message=_message, hint=_hint, slide=BACKPROP)


def _keep(W: Tensor, b: Tensor, loss: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Backward on top of what .grad holds."""
    loss.backward()
    assert W.grad is not None and b.grad is not None
    return loss.detach(), W.grad.clone(), b.grad.clone()


def _mse(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Tensor:
    loss: Tensor = ((forward(W, b, X) - Y) ** 2).mean()
    return loss


@mistake(
    "grads",
    "Old gradients are still in the result: backward() adds to .grad. A second call gives twice as much.",
    hint="W.grad = None and b.grad = None before backward()",
    slide=BACKPROP,
)
def no_zeroing(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    return _keep(W, b, _mse(W, b, X, Y, forward))


@mistake("grads", "W.grad is set to zero before backward(), b.grad is not.", slide=BACKPROP)
def only_W_zeroed(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = None
    return _keep(W, b, _mse(W, b, X, Y, forward))


@mistake("grads", "b.grad is set to zero before backward(), W.grad is not.", slide=BACKPROP)
def only_b_zeroed(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    b.grad = None
    return _keep(W, b, _mse(W, b, X, Y, forward))


@mistake(
    "grads",
    ".grad is cleared after backward(), so what was in it before the first call is still counted.",
    hint="Clear before backward().",
    slide=BACKPROP,
)
def zeroed_afterwards(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    result = _keep(W, b, _mse(W, b, X, Y, forward))
    W.grad = b.grad = None
    return result


@mistake(
    "grads",
    "The gradients are zero: .grad was cleared after backward() and before it was returned.",
    hint="zero, then backward, then read",
    slide=BACKPROP,
)
def zeroed_too_late(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    return _mse(W, b, X, Y, forward).detach(), torch.zeros_like(W), torch.zeros_like(b)


@mistake(
    "grads", "The loss is the sum of the squares, and the gradients with it. Take the mean.", slide=BACKPROP
)
def sum_not_mean_of_squares(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, ((forward(W, b, X) - Y) ** 2).sum())


@mistake(
    "grads", "The loss is half of what is asked for: no factor 1/2.", hint="((ŷ − y)²).mean()", slide=BACKPROP
)
def half_the_loss(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, _mse(W, b, X, Y, forward) / 2)


@mistake("grads", "The loss takes the mean of |ŷ − y|. The square is asked for.", slide=BACKPROP)
def absolute_error(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, (forward(W, b, X) - Y).abs().mean())


@mistake("grads", "The mean is squared. Square first, then take the mean.", slide=BACKPROP)
def square_of_mean(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, (forward(W, b, X) - Y).mean() ** 2)


@mistake("grads", "The root of the mean: the loss has no square root.", slide=BACKPROP)
def root_mean_square(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, _mse(W, b, X, Y, forward).sqrt())


@mistake(
    "grads",
    "Summed over the outputs and averaged over the rows only: take the mean of all entries.",
    slide=BACKPROP,
)
def mean_of_rows(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, ((forward(W, b, X) - Y) ** 2).sum(dim=1).mean())


@mistake(
    "grads",
    "The prediction is X @ W.T + b whatever `forward` says. Call the function that you are given.",
    hint="forward(W, b, X)",
    slide=BACKPROP,
)
def own_forward(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    W.grad = b.grad = None
    return _keep(W, b, ((X @ W.T + b - Y) ** 2).mean())


@mistake("grads", "gW and gb have changed places.", hint="return loss, gW, gb", slide=BACKPROP)
def gb_first(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    loss, gW, gb = reference.grads(W, b, X, Y, forward)
    return loss, gb, gW


@mistake("grads", "The loss comes last. It is asked for first: loss, gW, gb.", slide=BACKPROP)
def loss_last(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    loss, gW, gb = reference.grads(W, b, X, Y, forward)
    return gW, gb, loss


@mistake("grads", "W and b are returned, not their gradients.", hint="W.grad and b.grad", slide=BACKPROP)
def parameters_returned(W: Tensor, b: Tensor, X: Tensor, Y: Tensor, forward: F) -> Any:
    return _mse(W, b, X, Y, forward).detach(), W.detach(), b.detach()


# ---------------------------------------------------------------- gd_step

mistake.on_error(
    "gd_step",
    "no_no_grad",
    error="RuntimeError",
    match="a leaf Variable that requires grad|leaf variable",
    message="A leaf that requires a gradient cannot be changed in place while autograd is recording.",
    hint="with torch.no_grad(): around the step",
    slide=MOTIVATION,
)
mistake.on_error(
    "gd_step",
    "grad_is_none",
    error="TypeError|AttributeError",
    match="NoneType",
    message="A parameter that took no part in the loss has .grad None. Skip it.",
    hint="if p.grad is not None:",
    slide=MOTIVATION,
)
mistake.named(
    "gd_step",
    "list_changed",
    message="New tensors were put into the list. The caller's parameters stayed where they were.",
    hint="p -= … changes the tensor, params[i] = … only the list.",
    slide=MOTIVATION,
)
mistake.named(
    "gd_step",
    "grad_changed",
    message="After the step .grad holds other numbers: lr was multiplied into it in place.",
    hint="lr * p.grad makes a new tensor; p.grad.mul_(lr) and p.grad *= lr do not.",
    slide=MOTIVATION,
)
mistake.named(
    "gd_step",
    "requires_grad_lost",
    message=(
        "After the step a parameter does not require a gradient any more: the next backward() cannot work."
    ),
    hint="with torch.no_grad(): is enough, nothing needs to be switched off.",
    slide=MOTIVATION,
)
mistake.named(
    "gd_step",
    "not_a_leaf",
    message="After the step a parameter is no leaf any more: backward() would leave its .grad empty.",
    hint="with torch.no_grad(): around the step",
    slide=MOTIVATION,
)


@mistake(
    "gd_step",
    "Nothing has moved. `p = p - lr * p.grad` only makes a new tensor called p; the caller's is as it was.",
    hint="p -= lr * p.grad under torch.no_grad()",
    slide=MOTIVATION,
)
def new_variable(params: list[Tensor], lr: float) -> None:
    pass


def _update(params: list[Tensor], change: Callable[[Tensor, Tensor], Tensor]) -> None:
    with torch.no_grad():
        for p in params:
            if p.grad is not None:
                p.add_(change(p.detach(), p.grad))


@mistake(
    "gd_step",
    "The loss rises: the gradient points uphill, so the step goes against it. Minus, not plus.",
    hint="p -= lr * p.grad",
    slide=MOTIVATION,
)
def plus_sign(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: lr * g)


@mistake(
    "gd_step", "lr is not used: the step is the whole gradient.", hint="p -= lr * p.grad", slide=MOTIVATION
)
def lr_ignored(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: -g)


@mistake(
    "gd_step", "The gradient is divided by lr. It is multiplied.", hint="p -= lr * p.grad", slide=MOTIVATION
)
def divided_by_lr(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: -g / lr)


@mistake(
    "gd_step", "Only the sign of the gradient is used. The step is lr times the gradient.", slide=MOTIVATION
)
def sign_only(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: -lr * g.sign())


@mistake(
    "gd_step",
    "The gradient is scaled to length 1. The step is lr times the gradient as it is.",
    slide=MOTIVATION,
)
def normalised(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: -lr * g / g.norm())


@mistake(
    "gd_step",
    "The parameter is replaced by −lr · gradient. The step is subtracted from where it is.",
    hint="p -= …, not p.copy_(-…)",
    slide=MOTIVATION,
)
def replaced_by_step(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: -lr * g - p)


@mistake(
    "gd_step",
    "The parameter is multiplied in: the step is lr · gradient, not lr · gradient · p.",
    slide=MOTIVATION,
)
def times_parameter(params: list[Tensor], lr: float) -> None:
    _update(params, lambda p, g: -lr * g * p)


@mistake(
    "gd_step", "Only the first parameter moves.", hint="Is there a return in the loop?", slide=MOTIVATION
)
def first_only_moves(params: list[Tensor], lr: float) -> None:
    reference.gd_step(params[:1], lr)


@mistake(
    "gd_step",
    "The step stops at the first parameter without a gradient. Skip that one and go on.",
    hint="continue, not return or break",
    slide=MOTIVATION,
)
def stops_at_none(params: list[Tensor], lr: float) -> None:
    for p in params:
        if p.grad is None:
            return
        reference.gd_step([p], lr)


@mistake(
    "gd_step",
    "One parameter without a gradient, and none moves. Skip that one only.",
    hint="The question `p.grad is None` belongs into the loop.",
    slide=MOTIVATION,
)
def all_or_none(params: list[Tensor], lr: float) -> None:
    if all(p.grad is not None for p in params):
        reference.gd_step(params, lr)


@mistake("gd_step", "The step is made twice.", slide=MOTIVATION)
def two_steps(params: list[Tensor], lr: float) -> None:
    reference.gd_step(params, 2 * lr)


# ---------------------------------------------------------------- fit_line

mistake.on_error(
    "fit_line",
    "uses_optimizer",
    error="RuntimeError",
    match="no optimizer in this task",
    message="No torch.optim here: make the steps yourself. The optimizers come in exercise 4.",
    hint="w -= lr * w.grad under torch.no_grad()",
    slide=MOTIVATION,
)
mistake.on_error(
    "fit_line",
    "no_no_grad",
    error="RuntimeError",
    match="a leaf Variable that requires grad",
    message="A leaf that requires a gradient cannot be changed in place while autograd is recording.",
    hint="with torch.no_grad(): around the step",
    slide=MOTIVATION,
)
mistake.on_error(
    "fit_line",
    "leaf_lost",
    error="TypeError|AttributeError",
    match="NoneType",
    message=(
        "w.grad is None: w is not the leaf it was. `w = w - lr * w.grad` makes a new tensor without .grad."
    ),
    hint="w -= lr * w.grad under torch.no_grad() keeps the leaf",
    slide=MOTIVATION,
)
mistake.on_error(
    "fit_line",
    "not_tracked",
    error="RuntimeError",
    match="does not require grad",
    message="The loss does not depend on a tensor that requires a gradient: w and b must, also after a step.",
    hint="torch.tensor(0.0, requires_grad=True); `w = w - …` under no_grad loses it again",
    slide=MOTIVATION,
)
mistake.on_error(
    "fit_line",
    "graph_reused",
    error="RuntimeError",
    match="backward through the graph a second time",
    message="The second backward() meets the graph of the first: the loss is computed once, before the loop.",
    hint="Forward, loss, backward, step: all four in the loop",
    slide=MOTIVATION,
)
for _id, _message, _hint in (
    (
        "tensors_in_history",
        "history holds tensors that drag their graphs along: memory grows with every step. Store numbers.",
        "history.append(loss.item())",
    ),
    ("tensor_returned", "{part} is still a tensor that requires a gradient. Return a number.", "w.item()"),
    ("history_too_long", "history has {got_n} entries after {steps} steps: one entry for each step.", ""),
    ("history_too_short", "history has {got_n} entries after {steps} steps: one entry for each step.", ""),
    (
        "loss_not_mean",
        "history holds the sums of the squares, {n} times their mean.",
        "((w * x + b - y) ** 2).mean()",
    ),
    (
        "remembers",
        "The same call again gives something else: w and b live outside the function, or start at random.",
        "",
    ),
    (
        "not_from_zero",
        "With lr = 0 nothing moves, and w = b = 0 must come back: you start somewhere else.",
        "torch.tensor(0.0, requires_grad=True)",
    ),
    ("changes_arguments", "x or y is not what it was before the call.", "Work on new tensors."),
):
    mistake.named("fit_line", _id, message=_message, hint=_hint, slide=MOTIVATION)

_Pairs = Callable[[Tensor, Tensor, float, float], tuple[float, float]]


def _descend(x: Tensor, y: Tensor, lr: float, steps: int, slopes: _Pairs) -> list[Any]:
    x, y, w, b = x.double(), y.double(), 0.0, 0.0
    for _ in range(steps):
        dw, db = slopes(x, y, w, b)
        w, b = w - lr * dw, b - lr * db
    return [w, b]


def _slopes(x: Tensor, y: Tensor, w: float, b: float) -> tuple[float, float]:
    r = w * x + b - y
    return (2 * r * x).mean().item(), (2 * r).mean().item()


def _known_fit(message: str, hint: str = "") -> Any:
    return mistake("fit_line", message, of="trained", slide=MOTIVATION, hint=hint)


@_known_fit(
    "The gradients are never cleared: backward() adds, and every step carries all the old ones along.",
    "w.grad = None and b.grad = None in each round",
)
def no_zeroing_in_loop(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    total = [0.0, 0.0]

    def add(x: Tensor, y: Tensor, w: float, b: float) -> tuple[float, float]:
        for k, slope in enumerate(_slopes(x, y, w, b)):
            total[k] += slope
        return total[0], total[1]

    return _descend(x, y, lr, steps, add)


@_known_fit("The step goes uphill: minus, not plus.", "w -= lr * w.grad")
def uphill(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, -lr, steps, _slopes)


@_known_fit("The steps are N times too large: the loss is the mean of the squares, not their sum.")
def sum_of_squares(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr * len(x), steps, _slopes)


@_known_fit("The steps are half as large as they should be: the derivative of the square has a factor 2.")
def half_steps(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr / 2, steps, _slopes)


@_known_fit("x and y have changed places.", "The line gives y from x: w * x + b")
def x_from_y(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(y, x, lr, steps, _slopes)


@_known_fit("w and b have changed places.", "return w, b, history")
def b_first(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, steps, _slopes)[::-1]


@_known_fit("w and b have not moved: the update made new tensors, or there is none.", "w -= lr * w.grad")
def never_moves(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return [0.0, 0.0]


@_known_fit("Only one step was made.", "Is the return inside the loop?")
def one_step(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, min(steps, 1), _slopes)


@_known_fit("One step too few.", "range(steps)")
def one_step_too_few(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, steps - 1, _slopes)


@_known_fit("One step too many.", "range(steps)")
def one_step_too_many(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, steps + 1, _slopes)


@_known_fit("b stays 0: it needs a gradient and a step, just as w.")
def b_not_trained(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, steps, lambda x, y, w, b: (_slopes(x, y, w, b)[0], 0.0))


@_known_fit("w stays 0: it needs a gradient and a step, just as b.")
def w_not_trained(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, steps, lambda x, y, w, b: (0.0, _slopes(x, y, w, b)[1]))


@_known_fit("The gradient of w lacks the factor x: it is that of b.", "mean of 2 (w x + b − y) · x")
def no_x_in_slope(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, lr, steps, lambda x, y, w, b: (_slopes(x, y, w, b)[1],) * 2)


@_known_fit("b is stepped with a gradient at the new w. Take both gradients first, then both steps.")
def one_after_the_other(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    def slopes(x: Tensor, y: Tensor, w: float, b: float) -> tuple[float, float]:
        dw = _slopes(x, y, w, b)[0]
        return dw, _slopes(x, y, w - lr * dw, b)[1]

    return _descend(x, y, lr, steps, slopes)


@_known_fit("A step is made for each point. One step uses the gradient of the mean over all of them.")
def point_by_point(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    x, y, w, b = x.double(), y.double(), 0.0, 0.0
    for _ in range(steps):
        for k in range(len(x)):
            dw, db = _slopes(x[k : k + 1], y[k : k + 1], w, b)
            w, b = w - lr * dw, b - lr * db
    return [w, b]


@_known_fit("The steps take their size from somewhere else: lr = 0.1 is written into the code.", "Use lr.")
def lr_hard_coded(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, 0.1, steps, _slopes)


@_known_fit("The steps take their size from somewhere else: lr = 0.01 is written into the code.", "Use lr.")
def lr_hard_coded_small(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, 0.01, steps, _slopes)


@_known_fit("The step is the whole gradient: lr is not used.", "w -= lr * w.grad")
def lr_left_out(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    return _descend(x, y, 1.0, steps, _slopes)


@_known_fit("That is the best line at once, by a formula. Here it is approached step by step.")
def best_line_at_once(x: Tensor, y: Tensor, lr: float, steps: int) -> Any:
    A = torch.stack((x.double(), torch.ones(len(x), dtype=torch.float64)), 1)
    w, b = (torch.linalg.pinv(A) @ y.double()).tolist()
    return [w, b]
