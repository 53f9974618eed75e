"""What every sandbox does, done a few times by the zygote before it forks any.

CPython specialises the code of a function after its first calls, and writes that into the code object. Done
in the zygote the result is shared; else each sandbox, and each copy for checks, would do it again, slower
meanwhile, and have a copy of each page in which that code lies.
"""

from __future__ import annotations

import contextlib
import linecache
import marshal
import socket
from typing import Any, Final

import numpy as np
import torch

from autograder.errors import SandboxDied
from autograder.sandbox import agent
from autograder.sandbox.frontend import Frontend
from autograder.wire import Bounds, Channel, Reference, encode

__all__ = ["rehearse"]

_ROUNDS: Final = 16
"""CPython 3.11 specialises from the eighth call on, and each instruction when it is reached then."""
_CELLS: Final = (
    "import math\nimport numpy as np\nimport torch\n1 + 1",
    # With a GPU torch notes where a seed was set: it reads the source file of each frame.
    "torch.manual_seed(0)\nprint('seeded')",
    '"""A function, a class and a figure\'s worth of names."""\n\n'
    "def f(x, scale=2.0):\n    y = x * scale\n    return y.sum() if y.dim() else y\n\n\n"
    "class Model(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.layer = torch.nn.Linear(2, 1)\n\n    def forward(self, x):\n        return self.layer(x)\n",
    'y = f(torch.ones(2, 3))\nassert y.shape == (), f"f returned {tuple(y.shape)}"\n'
    "model = Model()\nfor name, p in model.named_parameters():\n    assert p.requires_grad\ny",
    "def broken(x):\n    return x @ torch.ones(7, 7)\n\nbroken(torch.ones(2, 2))",
)
_PROBE: Final = "def apply(function, x):\n    return {'value': function(x), 'shape': x.shape}\n"


def rehearse(frontend: Frontend) -> None:
    """Run cells and answer requests as an agent does, in the student's front end; it is empty again after."""
    linecache.getlines(agent.__file__)
    code = marshal.dumps(compile(_PROBE, "probes", "exec"))
    for number in range(_ROUNDS):
        judge, sandbox = socket.socketpair()
        with judge, sandbox:
            for request in _requests(number, code):
                judge.sendall(b"".join(bytes(chunk) for chunk in encode(request, judge=True)))
            judge.shutdown(socket.SHUT_WR)
            played = agent.Agent(Channel(sandbox, Bounds()), frontend, seed=number, missing=[])
            with contextlib.suppress(SandboxDied), frontend.streams():  # it ends with the requests
                played.be_a_copy()
                played.serve()
    frontend.forget()


def _requests(number: int, code: bytes) -> list[dict[str, Any]]:
    """Those of a small notebook and its checks. Answers are not read, so they have to fit the socket."""
    cells = [{"op": "cell", "source": source, "wall_s": 60.0, "output_bytes": 1 << 16} for source in _CELLS]
    x = torch.arange(6.0).reshape(2, 3)
    leaf = x.clone().requires_grad_()
    f, model = Reference("name", "f"), Reference("name", "model")
    asked: list[dict[str, Any]] = [
        {"op": "hello"},
        *cells,
        {
            "op": "before",
            "requests": [
                {"op": "seed", "number": number},
                {"op": "load_probes", "module": "probes", "code": code},
            ],
        },
        {"op": "get", "name": "f"},
        {"op": "get", "name": "missing"},
        {"op": "get", "name": "y"},
        {"op": "parameters", "target": model},
    ]
    calls: tuple[tuple[Any, list[Any], dict[str, Any]], ...] = (
        (f, [x], {}),
        (f, [leaf], {"scale": 3}),
        (f, [x.t()], {}),
        (f, [np.ones((2, 2))], {}),
        (f, [x, "no number"], {}),
        (model, [torch.ones(3, 2)], {}),
        (Reference("module", "builtins.getattr"), [model, "layer"], {}),
        (Reference("probe", "probes:apply"), [f, x], {}),
    )
    asked += [
        {"op": "call", "target": target, "args": args, "kwargs": kwargs, "wall_s": 60.0}
        for target, args, kwargs in calls
    ]
    # The first call with a gradient is handle 1: nothing has been held before.
    asked.append({"op": "vjp", "call": 1, "grads": [torch.ones(())]})
    follow = {"op": "follow", "cells": [(_CELLS[number], None) for number in (0, 2, 3)], "wall_s": 60.0}
    return [*asked, follow, {"op": "before", "requests": [{"op": "renew"}]}, {"op": "was_renewed"}]
