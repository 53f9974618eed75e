"""Wrong optimizers, put together from a rule and a few traits. All are real ``torch.optim.Optimizer``s.

A rule ``delta(p, g, s, h)`` gives what is subtracted from parameter ``p`` with gradient ``g``; ``s`` is this
parameter's memory (a dict), ``h`` the values of its group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["STANDARD", "Rule", "Twin", "adam", "momentum", "rmsprop", "sgd", "wrong_optimizer"]

Rule = Callable[[Tensor, Tensor, dict[str, Any], dict[str, Any]], Tensor]

STANDARD: dict[str, dict[str, Any]] = {
    "my_sgd": {},
    "my_momentum": {"momentum": 0.9},
    "my_rmsprop": {"alpha": 0.99, "eps": 1e-8},
    "my_adam": {"betas": (0.9, 0.999), "eps": 1e-8},
    "my_adamw": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2},
}
"""Default values of each task's constructor; lr has none."""


class Twin(Optimizer):
    """An optimizer with the faults that its class attributes switch on."""

    rule: Rule
    standard: dict[str, Any]
    ignored: frozenset[str] = frozenset()  # values taken from the constructor instead of the group
    sign = 1.0
    groups = "all"  # "first": the others are forgotten; "kept": loops over what the constructor was given
    stops = ""  # "group", "step": returns after the first parameter (of each group, of the step)
    memory = "own"  # "one" for all parameters, "shape": one for each shape
    none_is_zero = False
    decays_none = False
    closure_last = False
    count = "own"  # what t counts: "step": calls of step, "visit" all updates, "group" updates in the group

    def __init__(self, params: Any, **values: Any) -> None:
        self.kept = params
        super().__init__(params, {**self.standard, **values})
        self.pool: dict[Any, dict[str, Any]] = {}
        self.counts: dict[Any, int] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """One step with this class's faults; the closure's loss."""
        loss = None
        if closure is not None and not self.closure_last:
            with torch.enable_grad():
                loss = closure()
        self.counts["step"] = self.counts.get("step", 0) + 1
        for k, group in enumerate(self._groups()):
            values = {**group, **{name: self.defaults[name] for name in self.ignored}}
            for p in group["params"]:
                if p.grad is None and self.decays_none:
                    p.mul_(1 - values["lr"] * values["weight_decay"])
                if p.grad is None and not self.none_is_zero:
                    continue
                self._update(p, k, values)
                if self.stops:
                    break
            if self.stops == "step":
                break
        if closure is not None and self.closure_last:
            with torch.enable_grad():
                loss = closure()
        return loss

    def _groups(self) -> Iterator[dict[str, Any]]:
        if self.groups == "kept":
            yield {**self.defaults, "params": self.kept}
        else:
            yield from self.param_groups[:1] if self.groups == "first" else self.param_groups

    def _update(self, p: Tensor, k: int, values: dict[str, Any]) -> None:
        own = self.state[p]
        if self.memory == "one":
            own = self.pool.setdefault("one", {})
        elif self.memory == "shape":
            own = self.pool.setdefault(p.shape, {})
        if self.count == "own":
            own["t"] = own.get("t", 0) + 1
        elif self.count == "step":
            own["t"] = self.counts["step"]
        else:
            key = "visit" if self.count == "visit" else k
            own["t"] = self.counts[key] = self.counts.get(key, 0) + 1
        g = torch.zeros_like(p) if p.grad is None else p.grad
        p.sub_(self.sign * type(self).rule(p, g, own, values))


def wrong_optimizer(task: str, name: str, rule: Rule, **traits: Any) -> type[Twin]:
    """A class of this name with the constructor defaults of ``task``."""
    body = {"rule": staticmethod(rule), "standard": STANDARD[task], **traits}
    return type(name, (Twin,), body)


def sgd(p: Tensor, g: Tensor, s: dict[str, Any], h: dict[str, Any]) -> Tensor:
    """The right rule of my_sgd."""
    return h["lr"] * g


def momentum(p: Tensor, g: Tensor, s: dict[str, Any], h: dict[str, Any]) -> Tensor:
    """The right rule of my_momentum."""
    s["b"] = h["momentum"] * s.get("b", 0) + g
    return h["lr"] * s["b"]


def rmsprop(
    *,
    v: Callable[[Any, Tensor, float], Tensor] = lambda v, g, a: a * v + (1 - a) * g * g,
    divisor: Callable[[Tensor, float], Tensor] = lambda v, eps: v.sqrt() + eps,
    start: str = "zero",
    corrected: bool = False,
    centred: bool = False,
    forgets: bool = False,
) -> Rule:
    """The rule of my_rmsprop, its parts exchangeable."""

    def rule(p: Tensor, g: Tensor, s: dict[str, Any], h: dict[str, Any]) -> Tensor:
        old = s.get("v", g * g if start == "gradient" else 0.0)
        new = v(0.0 if forgets else old, g, h["alpha"])
        s["v"] = new
        if corrected:
            new = new / (1 - h["alpha"] ** s["t"])
        if centred:
            s["m"] = h["alpha"] * s.get("m", 0.0) + (1 - h["alpha"]) * g
            new = new - s["m"] ** 2
        return h["lr"] * g / divisor(new, h["eps"])

    return rule


def adam(
    *,
    decay: str = "",
    m_corrected: bool = True,
    v_corrected: bool = True,
    divisor: Callable[[Tensor, float], Tensor] = lambda v, eps: v.sqrt() + eps,
    eps_before_correction: bool = False,
    swapped_betas: bool = False,
    swapped_weights: bool = False,
    summed: bool = False,
    forgets: bool = False,
    keeps_corrected: bool = False,
    no_m: bool = False,
    t: Callable[[int], int] = lambda t: t,
    square: Callable[[Tensor], Tensor] = lambda g: g * g,
) -> Rule:
    """The rule of my_adam and, with ``decay``, of my_adamw; its parts exchangeable."""

    def rule(p: Tensor, g: Tensor, s: dict[str, Any], h: dict[str, Any]) -> Tensor:
        one, two = reversed(h["betas"]) if swapped_betas else h["betas"]
        rate = h["lr"] * h.get("weight_decay", 0.0)
        if decay in ("gradient", "both"):
            g = g + h["weight_decay"] * p
        weights = [(1.0 if summed else 1 - beta) for beta in (one, two)]
        keeps = [one, two]
        if swapped_weights:
            weights, keeps = keeps, weights
        m = keeps[0] * (0.0 if forgets else s.get("m", 0.0)) + weights[0] * g
        v = keeps[1] * (0.0 if forgets else s.get("v", 0.0)) + weights[1] * square(g)
        s["m"], s["v"] = m, v
        count = t(s["t"])
        first = 1 - one**count if m_corrected else 1.0
        second = 1 - two**count if v_corrected else 1.0
        m_hat, v_hat = m / first, v / second
        if keeps_corrected:
            s["m"], s["v"] = m_hat, v_hat
        below = divisor(v if eps_before_correction else v_hat, h["eps"])
        if eps_before_correction:
            below = below / second**0.5
        move = h["lr"] * (g if no_m else m_hat) / below
        if decay in ("", "gradient"):
            return move
        if decay == "after":
            return move + rate * (p - move)
        factors = {
            "right": rate,
            "both": rate,
            "without lr": h["weight_decay"],
            "without lambda": h["lr"],
            "grows": -rate,
        }
        return move + factors[decay] * p

    return rule
