"""The student's objects, as the judge may use them: look up, call, differentiate, hold, patch.

Everything here runs beside student code and may be disturbed by it. That costs the student's own check and
nothing else: the judge believes only plain values, and compares them itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import importlib
import itertools
import marshal
import random
import time
import traceback
import types
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from autograder.sandbox import uninitialised
from autograder.sandbox.frontend import Frontend, LimitReached, time_limit
from autograder.wire import MAPPINGS, Handle, Reference, encode, is_sequence

__all__ = ["Objects", "explain", "operations"]

_WATCH_BYTES: Final = 8 << 20
_MAX_ITEMS: Final = 10_000
_MISSING: Final = object()
_IN_NUMPY: Final = frozenset(
    {torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool}
)
_ENGINE: Final = torch.autograd.Variable._execution_engine
_NUMPY_STATE_BYTES: Final = 625 * 4
"""``mt19937_state`` of numpy's generator: 624 words and the position in them."""


class Objects:
    """Handles, references and calls of one sandbox process."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self._held: dict[int, Any] = {}
        self._calls: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        self._numbers = itertools.count(1)
        self._probes: dict[str, types.ModuleType] = {}
        self._patches: dict[int, tuple[Any, str, Any]] = {}
        self._rng: dict[str, Any] | None = None
        """The random states, as long as nothing has run since they were read."""

    # -- the wire's view

    def hold(self, value: object) -> Handle:
        """Keep an object that is not data; the judge gets a number for it."""
        number = next(self._numbers)
        self._held[number] = value
        return Handle(number, _type_name(value))

    def resolve(self, item: Handle | Reference) -> Any:
        """What a handle or a reference of the judge stands for."""
        if isinstance(item, Handle):
            return self._held[item.id]
        if item.kind == "name":
            return self.frontend.names[item.name]
        if item.kind == "probe":
            module, _, name = item.name.rpartition(":")
            return getattr(self._probes[module], name)
        return _dotted(item.name)

    def forget(self) -> None:
        """Let go of what earlier checks held, and of what probes have noted."""
        self._held.clear()
        self._calls.clear()
        self._probes.clear()

    # -- operations: each takes and gives plain values or objects the encoder can hold

    def get(self, name: str) -> dict[str, Any]:
        """A global of the notebook: ``found`` and ``callable``, its value, or names like it."""
        names = self.frontend.names
        if name not in names:
            own = [known for known in names if isinstance(known, str) and not known.startswith("_")]
            return {"found": False, "similar": difflib.get_close_matches(name, own, n=1, cutoff=0.75)}
        value = names[name]
        return {
            "found": True,
            "callable": callable(value),
            "value": None if callable(value) else value,
            "type": _type_name(value),
        }

    def call(
        self,
        target: Any,
        args: list[Any],
        wall_s: float,
        kwargs: dict[str, Any] | None = None,
        keep: bool = False,
        watch: bool = True,
        grad: bool = True,
    ) -> dict[str, Any]:
        """Call ``target``. The reply holds ``value`` or ``error``, and what the call did besides, as far as
        there is anything: most calls do nothing, and each entry takes time on both sides."""
        kwargs = kwargs or {}
        leaves = [t for t in _tensors([args, kwargs]) if t.requires_grad]
        before = _images(args, kwargs) if watch else None
        rng = (self._rng or _rng_state()) if watch else None
        self._rng = None
        reply: dict[str, Any] = {}
        started = time.perf_counter()
        with self.frontend.captured() as printed:
            try:
                with time_limit(wall_s), contextlib.nullcontext() if grad else torch.no_grad():
                    value = target(*args, **kwargs)
                if not keep:
                    outputs = [t for t in _tensors(value) if t.requires_grad]
                    if outputs:
                        number = next(self._numbers)
                        self._calls[number] = (leaves, outputs)
                        reply["call"] = number
                    reply["value"] = value
                else:
                    reply["value"] = self.hold(value)
            except LimitReached:
                reply["timeout"] = True
            except BaseException as error:  # student code may raise SystemExit, KeyboardInterrupt, anything
                reply["error"] = explain(error)
            if text := printed():
                reply["stdout"] = text
        reply["wall_s"] = time.perf_counter() - started
        if before is not None and (changed := _changed(before, args, kwargs)):
            reply["changed"] = changed
        if rng is not None:
            self._rng = _rng_state()
            if self._rng != rng:
                reply["rng"] = [name for name, state in self._rng.items() if rng[name] != state]
        return reply

    def something_ran(self) -> None:
        """What was not a call: student code may have drawn random numbers in it."""
        self._rng = None

    def vjp(self, call: int, grads: list[torch.Tensor | None]) -> dict[str, Any]:
        """Backward through an earlier call: gradients of its tensor inputs, in order; parameters get
        ``.grad``."""
        leaves, outputs = self._calls[call]
        pairs = [(out, g) for out, g in zip(outputs, grads, strict=True) if g is not None]
        for leaf in leaves:
            leaf.grad = None
        try:
            # What torch.autograd.backward() does, but for its checks of the gradients: those import sympy and
            # 480 other modules, 33 MB in each process forked from here.
            _ENGINE.run_backward(
                tuple(out for out, _ in pairs),
                tuple(grad for _, grad in pairs),
                True,  # keep_graph
                False,  # create_graph
                (),
                allow_unreachable=True,
                accumulate_grad=True,
            )
        except BaseException as error:  # a custom autograd.Function of the student
            return {"error": explain(error), "grads": []}
        return {"error": None, "grads": [leaf.grad for leaf in leaves]}

    def items(self, target: Any) -> list[Any]:
        """The elements of an iterable, at most 10,000."""
        return list(itertools.islice(target, _MAX_ITEMS))

    def parameters(self, target: Any) -> list[Any]:
        """``[name, value, grad, type name]`` of each named parameter."""
        return [
            [str(n), p.data, p.grad, p.requires_grad, _type_name(p)] for n, p in target.named_parameters()
        ]

    def load_probes(self, module: str, code: bytes) -> None:
        """Define the probes of a suite, from the judge's own compiled source. They hold no answer."""
        if module not in self._probes:
            loaded = types.ModuleType(module)
            exec(marshal.loads(code), loaded.__dict__)  # the judge runs the same interpreter
            self._probes[module] = loaded

    def patch(self, number: int, path: str, how: str, value: Any) -> None:
        """Replace ``package.attribute``. ``how``: "value", "returns" (a function giving it) or "raises".

        A path that does not exist is left alone. ``number`` is for :meth:`unpatch`.
        """
        owner_path, _, name = path.rpartition(".")
        try:
            owner = _dotted(owner_path)
        except (AttributeError, LookupError):
            return
        replacement = value
        if how == "returns":

            def replacement(*_: Any, **__: Any) -> Any:
                return value

        elif how == "raises":

            def replacement(*_: Any, **__: Any) -> Any:
                raise RuntimeError(value)

        # From __dict__, so that a staticmethod comes back as one.
        self._patches[number] = (owner, name, vars(owner).get(name, _MISSING))
        setattr(owner, name, replacement)

    def unpatch(self, number: int) -> None:
        """Undo one :meth:`patch`."""
        owner, name, old = self._patches.pop(number, (None, "", _MISSING))
        if owner is None:
            return
        if old is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, old)

    def begin_check(self, seed: int) -> None:
        """Seed, and see to it that no check can pass by what happens to lie in memory."""
        self.seed(seed)
        uninitialised.fill()

    def seed(self, number: int) -> None:
        """Seed ``random``, numpy and torch."""
        random.seed(number)
        np.random.seed(number % 2**32)
        # torch.manual_seed seeds every kind of accelerator as well, and takes longer than most answers.
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            torch.manual_seed(number)
        else:
            torch.default_generator.manual_seed(number)


def _dotted(path: str) -> Any:
    """The object at a dotted path: the longest importable prefix, then attributes."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise LookupError(f"nothing is at {path}")


def _type_name(value: object) -> str:
    kind = type(value)
    module = getattr(kind, "__module__", "")
    name = getattr(kind, "__qualname__", "?")
    return str(name) if module in ("builtins", "__main__") else f"{module}.{name}"


def _tensors(value: Any, depth: int = 0) -> list[torch.Tensor]:
    """Tensors inside plain containers, in the order in which the judge finds them too."""
    if type(value) in (torch.Tensor, torch.nn.Parameter):
        return [value]
    if depth < 40 and is_sequence(value):
        # As the encoder reads it, whatever a subclass says its elements are.
        items = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
        return [t for item in items for t in _tensors(item, depth + 1)]
    if depth < 40 and type(value) in MAPPINGS:
        return [t for item in dict.values(value) for t in _tensors(item, depth + 1)]
    return []


def _image(value: Any) -> Any:
    """What stands for the content of a value, to be compared; None when it is too large or no data."""
    if (
        type(value) is torch.Tensor
        and value.is_cpu
        and value.layout is torch.strided
        and value.dtype in _IN_NUMPY
        and not value.is_neg()
    ):
        if value.numel() * value.element_size() >= _WATCH_BYTES:
            return None
        # Short for what the encoder would make of it, as most arguments are small tensors.
        return value.dtype, value.shape, value.requires_grad, value.detach().numpy().tobytes()
    try:
        chunks = encode(value)
    except TypeError:
        return None
    return b"".join(bytes(chunk) for chunk in chunks) if sum(map(len, chunks)) < _WATCH_BYTES else None


def _images(args: list[Any], kwargs: dict[str, Any]) -> dict[int | str, Any]:
    return {key: _image(value) for key, value in _numbered(args, kwargs)}


def _numbered(args: list[Any], kwargs: dict[str, Any]) -> list[tuple[int | str, Any]]:
    """Positional arguments by position, the others by name."""
    return [*enumerate(args), *kwargs.items()]


def _changed(before: dict[int | str, Any], args: list[Any], kwargs: dict[str, Any]) -> list[list[Any]]:
    """``[position or name, value now]`` of each argument whose content is no longer what was sent."""
    changed = []
    for key, value in _numbered(args, kwargs):
        image = before.get(key)
        if image is not None and _image(value) != image:
            changed.append([key, value])
    return changed


def _rng_state() -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": _numpy_state(),
        "random": hash(random.getstate()),
    }


def _numpy_state() -> Any:
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if type(generator) is np.random.MT19937:
        # np.random.get_state() makes an array and a tuple, which takes longer than most answers.
        return ctypes.string_at(generator.ctypes.state_address, _NUMPY_STATE_BYTES)
    state: Any = np.random.get_state()
    return repr(state)


def explain(error: BaseException) -> dict[str, Any]:
    """An exception of student code as plain data: type, text and the frames that lie in the notebook."""
    try:
        text = str(error)
    except Exception:  # the student's own __str__
        text = "<no text>"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_cell(frame.filename)]
    lines = []
    for frame in frames[-8:]:
        lines.append(f"line {frame.lineno}, in {frame.name}")
        if frame.line:
            lines.append(f"    {frame.line.strip()}")
    kinds = [base.__name__ for base in type(error).__mro__[:-1]]
    return {
        "type": type(error).__name__,
        "kinds": kinds,
        "text": text[:4000],
        "trace": "\n".join(lines)[:4000],
    }


def _is_cell(filename: str) -> bool:
    return filename.startswith("<ipython-input") or "ipykernel_" in filename


_OPERATIONS: Final[tuple[str, ...]] = (
    "begin_check",
    "call",
    "get",
    "items",
    "load_probes",
    "parameters",
    "patch",
    "seed",
    "unpatch",
    "vjp",
)


def operations(objects: Objects) -> dict[str, Callable[..., Any]]:
    """The methods that the judge may ask for, by name."""
    return {name: getattr(objects, name) for name in _OPERATIONS}
