"""Known wrong answers of exercise 4a and what a student is told about each.

The twins are optimizers of :mod:`rules` that go through the scenario of the check themselves. ``named`` ones
are recognised by a check, ``on_error`` ones by the exception. The first that fits wins.
"""

from __future__ import annotations

from typing import Any

import torch

from autograder import mistake

from .rules import STANDARD, Rule, adam, momentum, rmsprop, sgd, wrong_optimizer

SLIDE = "01.08 Optimizer"
TASKS = tuple(STANDARD)
RIGHT: dict[str, Rule] = {
    "my_sgd": sgd,
    "my_momentum": momentum,
    "my_rmsprop": rmsprop(),
    "my_adam": adam(),
    "my_adamw": adam(decay="right"),
}


def twin(task: str, name: str, message: str, rule: Rule | None = None, hint: str = "", **traits: Any) -> None:
    """Register a wrong optimizer of ``task``: another rule, or the right one with a fault of structure."""
    wrong = wrong_optimizer(task, name, rule or RIGHT[task], **traits)
    mistake(task, message, id=name, hint=hint, slide=SLIDE)(wrong)


# ---------------------------------------------------------------- the rule of each task

twin(
    "my_sgd",
    "lr_missing",
    "The step is as large as the gradient: lr is missing. θ ← θ − η·g",
    lambda p, g, s, h: g,
)
twin(
    "my_sgd",
    "sign_of_gradient",
    "Every step has length lr: you use the sign of the gradient. Its size counts too.",
    lambda p, g, s, h: h["lr"] * g.sign(),
)
twin(
    "my_sgd",
    "unit_gradient",
    "The gradient is scaled to length 1 before the step. Plain SGD takes it as it is.",
    lambda p, g, s, h: h["lr"] * g / g.norm() if g.norm() > 0 else 0 * g,
)
twin(
    "my_sgd",
    "parameter_scaled",
    "The step is multiplied by the parameter: θ ← θ·(1 − η·g) is not θ ← θ − η·g.",
    lambda p, g, s, h: h["lr"] * g * p,
)


def _buffer(weight: Any, *, start: Any = None, move: Any = None) -> Rule:
    """A momentum rule: b ← weight(μ)[0]·b + weight(μ)[1]·g, with another first b or another step."""

    def rule(p: Any, g: Any, s: dict[str, Any], h: dict[str, Any]) -> Any:
        mu = h["momentum"]
        keep, take = weight(mu)
        old = s.get("b", torch.zeros_like(g))
        s["b"] = start(g, mu) if start is not None and "b" not in s else keep * old + take * g
        return h["lr"] * (s["b"] if move is None else move(g, old, s["b"], mu))

    return rule


EMA = (
    "The slide says moving average, PyTorch keeps a sum: b ← μ·b + g. "
    "With (1 − μ)·g your steps are too small by the factor 1 − μ."
)
twin("my_momentum", "ema", EMA, _buffer(lambda mu: (mu, 1 - mu)), hint="b.mul_(mu).add_(g)")
twin(
    "my_momentum",
    "ema_after_first_step",
    EMA,
    _buffer(lambda mu: (mu, 1 - mu), start=lambda g, mu: g),
    hint="b.mul_(mu).add_(g)",
)
twin(
    "my_momentum",
    "weights_swapped",
    "The old buffer gets the weight 1 − μ and the gradient μ. It is b ← μ·b + g.",
    _buffer(lambda mu: (1 - mu, mu)),
)
twin(
    "my_momentum",
    "momentum_on_gradient",
    "μ multiplies the gradient. It belongs to the old buffer: b ← μ·b + g.",
    _buffer(lambda mu: (1, mu)),
)
twin(
    "my_momentum",
    "nesterov",
    "This is Nesterov's variant: it looks one step ahead with g + μ·b. Here the step is η·b.",
    _buffer(lambda mu: (mu, 1), move=lambda g, old, b, mu: g + mu * b),
    hint="Keep it for the stretch task.",
)
twin(
    "my_momentum",
    "buffer_lost",
    "Momentum has no effect: b starts from zero in every step, so this is plain SGD.",
    _buffer(lambda mu: (0, 1)),
    hint='Store the buffer: self.state[p]["b"] = b. A local variable is gone after the step.',
)
twin(
    "my_momentum",
    "buffer_never_fades",
    "The buffer is the plain sum of all gradients: μ is missing. b ← μ·b + g",
    _buffer(lambda mu: (1, 1)),
)
twin(
    "my_momentum",
    "old_buffer",
    "The step uses the buffer of the step before. Update b first, then take the step with the new b.",
    _buffer(lambda mu: (mu, 1), move=lambda g, old, b, mu: old),
)
twin(
    "my_momentum",
    "gradient_twice",
    "The gradient counts twice: it is part of b already. θ ← θ − η·b",
    _buffer(lambda mu: (mu, 1), move=lambda g, old, b, mu: g + b),
)
twin(
    "my_momentum",
    "momentum_on_sum",
    "μ multiplies the whole of b + g. Only the old buffer fades: b ← μ·b + g.",
    _buffer(lambda mu: (mu, mu)),
)
twin(
    "my_momentum",
    "starts_with_zero_step",
    "The first gradient is lost: b starts at 0 and becomes g in the first step, not in the second.",
    _buffer(lambda mu: (mu, 1), start=lambda g, mu: torch.zeros_like(g)),
)
twin(
    "my_momentum",
    "lr_missing",
    "The step is as large as the buffer: lr is missing. θ ← θ − η·b",
    lambda p, g, s, h: momentum(p, g, s, {**h, "lr": 1.0}),
)
twin(
    "my_momentum",
    "lr_twice",
    "lr counts twice, in the buffer and in the step. Once is enough.",
    lambda p, g, s, h: h["lr"] * momentum(p, g, s, h),
)


def _aliased(in_place: bool) -> Rule:
    """The first buffer is p.grad itself, not a copy."""

    def rule(p: Any, g: Any, s: dict[str, Any], h: dict[str, Any]) -> Any:
        if "b" not in s:
            s["b"] = g
        elif in_place:
            s["b"].mul_(h["momentum"]).add_(g)
        else:
            s["b"] = h["momentum"] * s["b"] + g
        return h["lr"] * s["b"]

    return rule


ALIAS = "The buffer points at p.grad itself: when the gradient is zeroed, so is the buffer. Store a copy."
twin("my_momentum", "buffer_is_gradient", ALIAS, _aliased(True), hint="p.grad.clone()")
twin("my_momentum", "first_buffer_is_gradient", ALIAS, _aliased(False), hint="p.grad.clone()")

INSIDE = "ε is inside the root: √({v} + ε). It is added outside, √{v} + ε; with ε = 0.01 you see it."
ROOT = "The root is missing: the step is divided by √{v} + ε, not by {v} + ε."
FADES = "v is the plain sum of all g², this is AdaGrad: its steps only get shorter. v ← α·v + (1 − α)·g²"


def _inside(v: Any, eps: float) -> Any:
    return (v + eps).sqrt()


def _no_root(v: Any, eps: float) -> Any:
    return v + eps


def _no_eps(v: Any, eps: float) -> Any:
    return v.sqrt()


def _tiny_eps(v: Any, eps: float) -> Any:
    return v.sqrt() + 1e-8


def _floor(v: Any, eps: float) -> Any:
    return v.sqrt().clamp(min=eps)


def _squared_eps(v: Any, eps: float) -> Any:
    return (v + eps**2).sqrt()


FLOOR = "ε is a lower bound of the root here (clamp, max). It is added, always: √{v} + ε."
SQUARED = "√({v} + ε²) is not √{v} + ε: ε is added to the root, outside."


for _name, _message, _rule in (
    ("eps_inside_root", INSIDE.format(v="v"), rmsprop(divisor=_inside)),
    ("eps_squared_inside_root", SQUARED.format(v="v"), rmsprop(divisor=_squared_eps)),
    ("eps_as_floor", FLOOR.format(v="v"), rmsprop(divisor=_floor)),
    ("no_root", ROOT.format(v="v"), rmsprop(divisor=_no_root)),
    (
        "no_eps",
        "ε is missing: a gradient of exactly 0 gives 0 / 0, which is nan.",
        rmsprop(divisor=_no_eps),
    ),
    (
        "eps_hard_coded",
        "ε is always 1e-8, whatever the group says: read it from the group.",
        rmsprop(divisor=_tiny_eps),
    ),
    ("adagrad", FADES, rmsprop(v=lambda v, g, a: v + g * g)),
    (
        "average_without_weight",
        "g² enters v with full weight. A moving average has weights that add to 1: α·v + (1 − α)·g².",
        rmsprop(v=lambda v, g, a: a * v + g * g),
    ),
    (
        "weights_swapped",
        "α and 1 − α have changed places: v ← α·v + (1 − α)·g², and α = 0.99 remembers long.",
        rmsprop(v=lambda v, g, a: (1 - a) * v + a * g * g),
    ),
    (
        "gradient_not_squared",
        "v averages g, not g²: it can be negative, and its root is nan.",
        rmsprop(v=lambda v, g, a: a * v + (1 - a) * g),
    ),
    (
        "absolute_value",
        "v averages |g|, not g².",
        rmsprop(v=lambda v, g, a: a * v + (1 - a) * g.abs()),
    ),
    (
        "average_lost",
        "v starts from zero in every step: store it, and use the stored one.",
        rmsprop(forgets=True),
    ),
    (
        "bias_corrected",
        "v is divided by 1 − αᵗ. That is Adam's idea; RMSProp uses v as it is.",
        rmsprop(corrected=True),
    ),
    (
        "starts_with_gradient",
        "v starts with the first g². It starts at 0: the first v is (1 − α)·g².",
        rmsprop(start="gradient"),
    ),
    (
        "variance",
        "You subtract the squared mean from v. The slide says variance; RMSProp averages g².",
        rmsprop(centred=True),
    ),
    (
        "divisor_forgotten",
        "The gradient is not divided by √v + ε: this is plain SGD.",
        lambda p, g, s, h: h["lr"] * g,
    ),
):
    twin("my_rmsprop", _name, _message, _rule)


def _lr_missing(rule: Rule) -> Rule:
    return lambda p, g, s, h: rule(p, g, s, {**h, "lr": 1.0})


twin(
    "my_rmsprop",
    "lr_missing",
    "lr is missing: θ ← θ − η·g / (√v + ε)",
    _lr_missing(rmsprop()),
)

CORRECTION = "m and v start at 0 and are too small at first: divide by 1 − β₁ᵗ and 1 − β₂ᵗ."
PER_PARAMETER = (
    "t is shared between parameters. Each parameter counts its own steps: self.state[p] is the place."
)
for _task, _decay in (("my_adam", ""), ("my_adamw", "right")):
    if _task == "my_adamw":
        for _name, _message, _kind in (
            (
                "l2_in_gradient",
                "The decay is added to the gradient: that is L2, and Adam rescales it. With gradient 0 "
                "θ·(1 − η·λ) must come out.",
                "gradient",
            ),
            (
                "decay_without_lr",
                "lr is missing in the decay: a step multiplies θ by 1 − η·λ, not by 1 − λ.",
                "without lr",
            ),
            (
                "decay_after_step",
                "The decay comes after Adam's step and shrinks the step too. Decay the old θ: first "
                "θ ← θ·(1 − η·λ), then the step.",
                "after",
            ),
            ("decay_missing", "weight_decay has no effect: θ ← θ·(1 − η·λ) is missing. This is Adam.", ""),
            ("decay_grows", "The decay has the wrong sign: the weights grow.", "grows"),
            ("decay_without_lambda", "The decay is η·θ: weight_decay is missing.", "without lambda"),
            ("decay_twice", "The weights decay twice: in the gradient and on their own.", "both"),
        ):
            twin(_task, _name, _message, adam(decay=_kind))
        twin(
            _task,
            "decays_without_gradient",
            "A parameter without a gradient (grad is None) decays as well. It is left alone.",
            decays_none=True,
        )
    for _name, _message, _parts in (
        (
            "no_bias_correction",
            f"The first step is not lr: the bias correction is missing. {CORRECTION}",
            {"m_corrected": False, "v_corrected": False},
        ),
        ("only_v_corrected", f"m is not corrected. {CORRECTION}", {"m_corrected": False}),
        ("only_m_corrected", f"v is not corrected. {CORRECTION}", {"v_corrected": False}),
        ("eps_inside_root", INSIDE.format(v="v̂"), {"divisor": _inside}),
        ("eps_squared_inside_root", SQUARED.format(v="v̂"), {"divisor": _squared_eps}),
        ("eps_as_floor", FLOOR.format(v="v̂"), {"divisor": _floor}),
        (
            "eps_before_correction",
            "ε is added before the bias correction: it is √v̂ + ε with the corrected v̂.",
            {"divisor": lambda v, eps: v.sqrt() + eps, "eps_before_correction": True},
        ),
        ("no_root", ROOT.format(v="v̂"), {"divisor": _no_root}),
        ("no_eps", "ε is missing: a gradient of exactly 0 gives 0 / 0, which is nan.", {"divisor": _no_eps}),
        (
            "eps_hard_coded",
            "ε is always 1e-8, whatever the group says: read it from the group.",
            {"divisor": _tiny_eps},
        ),
        (
            "betas_swapped",
            "β₁ and β₂ have changed places: the first belongs to m, the second to v.",
            {"swapped_betas": True},
        ),
        (
            "weights_swapped",
            "β and 1 − β have changed places: m ← β₁·m + (1 − β₁)·g, and v likewise.",
            {"swapped_weights": True},
        ),
        (
            "sums_not_averages",
            "g and g² enter with full weight. m and v are averages: (1 − β₁)·g and (1 − β₂)·g².",
            {"summed": True},
        ),
        ("averages_lost", "m and v start from zero in every step: store them.", {"forgets": True}),
        (
            "corrected_stored",
            "The corrected m̂ and v̂ are stored and corrected again in the next step. Store m and v.",
            {"keeps_corrected": True},
        ),
        (
            "no_first_moment",
            "The step uses g instead of m̂: this is a corrected RMSProp.",
            {"no_m": True},
        ),
        (
            "t_stays_one",
            "t is 1 in every step: count the steps of each parameter and store the count.",
            {"t": lambda t: 1},
        ),
        (
            "t_starts_at_zero",
            "1 − β⁰ is 0, and 0 / 0 is nan: t must be 1 in the first step. Count before you divide.",
            {"t": lambda t: t - 1},
        ),
        ("t_one_ahead", "t is 2 in the first step. The first step has t = 1.", {"t": lambda t: t + 1}),
        ("gradient_not_squared", "v averages g, not g².", {"square": lambda g: g}),
        ("absolute_value", "v averages |g|, not g².", {"square": torch.abs}),
    ):
        twin(_task, _name, _message, adam(decay=_decay, **_parts))
    twin(_task, "lr_missing", "lr is missing: the step is η·m̂ / (√v̂ + ε).", _lr_missing(adam()))
    for _name, _count, _end in (
        ("t_shared", "step", "A parameter that joins late starts with t = 1."),
        ("t_counts_parameters", "visit", "t grows with every parameter instead of with every step."),
        ("t_counts_group", "group", "t grows with every parameter of the group instead of every step."),
    ):
        twin(_task, _name, f"{_end} {PER_PARAMETER}", count=_count)
    mistake.on_error(
        _task,
        "t_zero_division",
        error="ZeroDivisionError",
        message="1 − β⁰ is 0: t must be 1 in the first step. Count before you divide.",
        slide=SLIDE,
    )

# ---------------------------------------------------------------- structure: the same in every task


HARD_CODED: dict[str, dict[str, Any]] = {**STANDARD, "my_sgd": {"lr": 0.1}}
"""What a visible test or the signature puts into mind."""


def _hard_coded(task: str) -> Rule:
    """The right rule with numbers in place of what the group holds."""
    return lambda p, g, s, h: RIGHT[task](p, g, s, {**h, **HARD_CODED[task]})


def _group_twins(task: str) -> None:
    names = ["lr", *STANDARD[task]]
    rest = [frozenset(names[1:])] if len(names) > 2 else []
    subsets = [frozenset(names), *(frozenset([name]) for name in names), *rest]
    for values in dict.fromkeys(subsets):
        text = ", ".join(name for name in names if name in values)
        which = "values" if len(values) == len(names) > 1 else "_".join(sorted(values))
        ident = f"group_{which}_ignored"
        twin(
            task,
            ident,
            f"A parameter group with its own {text} does not get it: read it from the group, not from self.",
            hint=f'for group in self.param_groups: … group["{next(n for n in names if n in values)}"]',
            ignored=values,
        )


for _task in TASKS:
    twin(
        _task,
        "plus_sign",
        "The step goes uphill and the loss rises: the minus is missing. θ ← θ − …",
        sign=-1.0,
    )
    _group_twins(_task)
    twin(
        _task,
        "values_hard_coded",
        f"Numbers stand in step ({', '.join(f'{k} = {v}' for k, v in HARD_CODED[_task].items())}): what the "
        "constructor or a group is given has no effect.",
        _hard_coded(_task),
        hint=f'group["{next(iter(HARD_CODED[_task]))}"], for each group',
    )
    twin(
        _task,
        "closure_last",
        "step(closure) steps first and calls the closure afterwards: every step uses old gradients.",
        hint="loss = closure() comes first, then the step, then return loss.",
        closure_last=True,
    )
    twin(
        _task,
        "stores_generator",
        "model.parameters() is a generator: after one loop it is empty, and step does nothing any more.",
        hint="super().__init__ has stored the parameters: loop over self.param_groups.",
        groups="kept",
    )
    twin(
        _task,
        "no_change",
        "The parameters do not move. p = p − …, for one, makes a new tensor and leaves the parameter alone.",
        lambda p, g, s, h: torch.zeros_like(p),
        hint="p -= … or p.sub_(…), under torch.no_grad(). Where p.grad is None: continue, not return.",
    )
    twin(
        _task,
        "first_group_only",
        "Only the first parameter group moves: loop over all of self.param_groups.",
        groups="first",
    )
    twin(
        _task,
        "first_parameter_only",
        "Only the first parameter moves: step ends too early. Is `return` inside the loop?",
        stops="step",
    )
    twin(
        _task,
        "first_parameter_of_group",
        "Only the first parameter of each group moves. Is `return` or `break` inside the loop?",
        stops="group",
    )
    if _task != "my_sgd":
        twin(
            _task,
            "state_shared",
            "The parameters share one memory and overwrite it in turn: self.state[p] is one for each.",
            memory="one",
        )
        twin(
            _task,
            "state_shared_by_shape",
            "Parameters of the same shape share their memory: the key must be the parameter, self.state[p].",
            memory="shape",
        )
        twin(
            _task,
            "none_is_zero",
            "A parameter without a gradient is treated as if its gradient were 0. Skip it.",
            hint="if p.grad is None: continue",
            none_is_zero=True,
        )
    for _name, _message, _hint in (
        (
            "not_a_subclass",
            "The class does not inherit from torch.optim.Optimizer.",
            "class MySGD(torch.optim.Optimizer)",
        ),
        (
            "clears_gradients",
            "step clears the gradients. That is the job of zero_grad; a log may still read them.",
            "Leave p.grad alone.",
        ),
        (
            "changes_gradients",
            "step changes the gradients: an operation in place writes into p.grad.",
            "p.grad.mul_(…), p.grad += … and g = p.grad; g *= … all do. Compute something new.",
        ),
        (
            "loss_not_returned",
            "step(closure) does not return the loss.",
            "loss = closure() … return loss",
        ),
        (
            "closure_not_called",
            "step(closure) never calls the closure.",
            "with torch.enable_grad(): loss = closure()",
        ),
        (
            "closure_called_again",
            "The closure is called again, and that loss returned: it is the one after the step.",
            "loss = closure() once, before the step, and return loss.",
        ),
        (
            "memory_not_filled",
            "torch.empty makes a tensor of whatever the memory holds: often 0, and one day not.",
            "torch.zeros_like(p)",
        ),
        (
            "other_defaults",
            "A default value of __init__ is another than the card says.",
            "Copy the signature from the card.",
        ),
        (
            "float32_inside",
            "Right to seven digits only: with float64 parameters something inside is float32.",
            "torch.zeros_like(p) has the dtype and the device of p, torch.zeros(p.shape) has not.",
        ),
        (
            "state_on_cpu",
            "With parameters on another device step fails: a tensor of yours stays on the CPU.",
            "torch.zeros_like(p) has the device of p, torch.zeros(p.shape) has not.",
        ),
        (
            "gradients_not_zeroed",
            "zero_grad does not clear the gradients. It is inherited: do not write it anew.",
            "",
        ),
        (
            "grad_switched_off",
            "After step the parameters do not require gradients any more: training ends there.",
            "No p.requires_grad_(False), and nothing but a tensor of numbers into p.data.",
        ),
    ):
        mistake.named(_task, _name, message=_message, hint=_hint, slide=SLIDE)
    for _name, _error, _match, _message, _hint in (
        (
            "no_super_init",
            "AttributeError",
            r"has no attribute '(defaults|param_groups|state|_zero_grad_profile_name|_optimizer_\w+)'",
            "super().__init__(params, defaults) is missing: it makes param_groups, state and defaults.",
            "super().__init__(params, dict(lr=lr))",
        ),
        (
            "super_without_arguments",
            "TypeError",
            r"Optimizer\.__init__\(\) missing",
            "super().__init__ needs the parameters and the defaults.",
            "super().__init__(params, dict(lr=lr))",
        ),
        (
            "defaults_no_dict",
            "AttributeError",
            r"'(float|tuple|set|list|int)' object has no attribute '(get|setdefault|items)'",
            "defaults is a dict: its keys are what each group holds.",
            "super().__init__(params, dict(lr=lr))",
        ),
        (
            "groups_not_unpacked",
            "AttributeError|TypeError",
            r"'(dict|str)' object has no attribute '(grad|data)'",
            'params may hold groups (dicts). Loop over self.param_groups and then over group["params"].',
            'for group in self.param_groups: for p in group["params"]: …',
        ),
        (
            "none_not_skipped",
            "TypeError|AttributeError",
            r"NoneType(?!' object has no attribute '(step|zero_grad|state|param_groups)')",
            "A parameter may have no gradient (frozen, or not used): p.grad is None. Skip it.",
            "if p.grad is None: continue",
        ),
        (
            "generator_used_twice",
            "ValueError",
            "empty parameter list",
            "model.parameters() is a generator and can be read once: super().__init__ found it empty.",
            "Give params to super().__init__ and loop over self.param_groups afterwards.",
        ),
        (
            "graph_recorded",
            "RuntimeError",
            "leaf Variable that requires grad",
            "Autograd watches the update: change parameters under torch.no_grad().",
            "@torch.no_grad() above step, or with torch.no_grad(): inside it",
        ),
        (
            "shapes_meet",
            "RuntimeError",
            r"must match the size of tensor|doesn't match the broadcast shape|shape mismatch",
            "Tensors of two shapes meet: do the parameters share one memory? self.state[p] is one for each.",
            "A memory has the shape of its parameter: torch.zeros_like(p).",
        ),
        (
            "closure_without_grad",
            "RuntimeError",
            "does not require grad and does not have a grad_fn",
            "The closure computes gradients, but step has switched them off: call it with gradients on.",
            "with torch.enable_grad(): loss = closure()",
        ),
        (
            "no_closure",
            "TypeError",
            r"step\(\) takes (1 positional argument but 2|from)",
            "step takes an optional closure: def step(self, closure=None).",
            "def step(self, closure=None)",
        ),
        (
            "other_signature",
            "TypeError",
            r"__init__\(\) (got an unexpected keyword|takes|missing)",
            "The constructor has another signature than the card says.",
            "Names and order as in the card: params, lr, …",
        ),
        (
            "ready_made",
            "RuntimeError",
            "ready-made optimizers are switched off",
            "PyTorch's own optimizers are switched off here: write the rule yourself.",
            "",
        ),
    ):
        if (_task, _name) == ("my_sgd", "shapes_meet"):
            continue  # nothing to share
        mistake.on_error(_task, _name, error=_error, match=_match, message=_message, hint=_hint, slide=SLIDE)
