"""What the zygote imports and touches once, so that no sandbox pays for it.

Importing is not enough: many things import more on first use (the first step of any optimizer imports
torch._dynamo, a second and 66 MiB). What a course does not use is left out, as the time of a fork grows with
the memory of the process: ``PARTS`` are chosen by :func:`parts_of` from the instructor's notebooks and
probes.
"""

from __future__ import annotations

import contextlib
import gc
import re
import types
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from autograder.sandbox.frontend import Frontend

__all__ = ["PARTS", "parts_of", "warm_up"]

PARTS: Final = {
    "meta": rb"device=[\"']meta[\"']",
    "optim": rb"\boptim\b",
    "sklearn": rb"\bsklearn\b",
    "vjp": rb"autograd\.(?:functional|grad)\b|torch\.func\b|\bbackward\(\w|\bjac(?:obian|rev)\b|\bvjp\b",
}
"""Optional parts, and the pattern in a source notebook or in a suite's probes that asks for each."""


def parts_of(contents: Iterable[bytes]) -> tuple[str, ...]:
    """The parts that these files use, notebooks and probes; sorted."""
    files = list(contents)
    return tuple(name for name, pattern in PARTS.items() if any(re.search(pattern, data) for data in files))


def warm_up(device: str, parts: Iterable[str], cells: Iterable[str] = ()) -> Frontend:
    """Import and touch what notebooks use, and parse ``cells``; gives the student's front end."""
    warnings.simplefilter("ignore")
    import math  # noqa: F401 - here so that every child has it
    import random  # noqa: F401
    import statistics  # noqa: F401

    import matplotlib
    import numpy as np
    import numpy.random
    import torch
    import torch.nn.functional
    import torch.utils.data

    torch.set_num_threads(1)
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    matplotlib.use("module://matplotlib_inline.backend_inline")

    from autograder.sandbox.frontend import Frontend
    from autograder.sandbox.rehearsal import rehearse

    if device != "cuda":
        _seed_without_stacks(torch)
    frontend = Frontend()
    frontend.inline_figures()
    # With a GPU a backward starts autograd's device threads, after which no fork may use autograd.
    backward = device != "cuda"
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GELU(), torch.nn.Linear(4, 2))
    loss: Any = torch.nn.functional.cross_entropy(model(torch.ones(3, 4)), torch.tensor([0, 1, 0]))
    if backward:
        loss.backward()
        if "vjp" in parts:
            # With gradients given it imports sympy: half a second, and 33 MB.
            (model(torch.ones(3, 4))).backward(torch.ones(3, 2))
    repr(torch.ones(2, 2))
    if "meta" in parts:
        # The first operation on it imports 316 modules, half a second in each copy that asks for it.
        torch.nn.Linear(4, 2, device="meta")(torch.ones(3, 4, device="meta"))
    if "optim" in parts:
        _optimizers(model, step=backward)
    if "sklearn" in parts:
        _sklearn(np)
    _figure(np)
    gc.collect()
    gc.freeze()  # IPython collects garbage at the end of a rehearsal, each time through all modules
    rehearse(frontend)
    frontend.shell.compiler.learn(cells)
    return frontend


def _seed_without_stacks(torch: Any) -> None:
    """``torch.manual_seed`` notes for each kind of accelerator from where it was called, should one appear
    later: it looks at the source files of sixty frames, which takes longer than most cells."""
    none = types.SimpleNamespace(format_stack=list)
    for kind in (torch.cuda, torch.xpu, torch.mtia):
        kind.traceback = none


def _optimizers(model: Any, *, step: bool) -> None:
    import torch

    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
        optimizer = kind(model.parameters(), lr=0.01)
        if step:
            optimizer.step()
    for _ in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2)), batch_size=2):
        pass


def _sklearn(np: Any) -> None:
    import sklearn.datasets
    import sklearn.linear_model
    import sklearn.metrics
    import sklearn.model_selection
    import sklearn.preprocessing

    sklearn.linear_model.LinearRegression().fit(np.ones((4, 2)), np.ones(4))
    sklearn.datasets.make_moons(8)


def _figure(np: Any) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.imshow(np.ones((2, 2)))
    axes.plot([0, 1])
    axes.hist([0, 1])
    axes.set_title("$x$")
    figure.canvas.draw()
    plt.close("all")
