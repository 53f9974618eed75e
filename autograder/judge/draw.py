"""Seeded inputs of a check, each of which a student can draw again with torch and numpy alone.

Every check has a seed of its own (:func:`autograder.seeds.seed_for`), so its draws do not depend on other
checks. A :class:`Draw` keeps one generator of torch and one of numpy, runs each draw as one line of Python
and keeps the line: what ``reproduce`` prints is the very code that drew the inputs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from types import CodeType
from typing import Any, Final, TypeVar

import numpy as np
import torch

from autograder.errors import SuiteError

__all__ = ["Arrays", "Draw", "Tensors"]

_T = TypeVar("_T")
_MAX_LINES: Final = 200
_FLOATS: Final = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_INTS: Final = ("uint8", "int8", "int16", "int32", "int64")


class Draw:
    """The draws of one check from ``seed``; the ``draw`` fixture.

    Names in the reproducer are t1, t2, … (tensors), a1, … (arrays), n1, … (numbers), or what the suite
    says before a colon: ``draw.tensors(o=5, i=3).of("W: o i", "x: i")``.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise SuiteError(f"a seed is an int from 0 to 2**63 - 1, not {seed!r}")
        self._seed = seed
        self._space: dict[str, Any] = {"torch": torch, "np": np}
        self._lines: list[str] = []
        self._counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Draw({self._seed})"

    @property
    def seed(self) -> int:
        """The seed of this check."""
        return self._seed

    @property
    def reproduce(self) -> str:
        """Python source, torch and numpy only, that draws this check's inputs again; "" before a draw."""
        if not self._lines:
            return ""
        lines = [f"import {name}" for name in ("numpy as np",) if "rng" in self._space]
        lines += ["import torch"] if "gen" in self._space else []
        lines += ["", *self._lines[:_MAX_LINES]]
        if len(self._lines) > _MAX_LINES:
            lines.append(f"# … and {len(self._lines) - _MAX_LINES} more draws of the same kind")
        return "\n".join(lines) + "\n"

    def tensors(
        self,
        dtype: str = "float32",
        requires_grad: bool = False,
        low: float | None = None,
        high: float | None = None,
        **sizes: int,
    ) -> Tensors:
        """Tensors whose axes have the named ``sizes``: ``draw.tensors(o=5, i=3).of("o i", "i")``.

        Standard normal; uniform in ``[low, high)`` when both are given, as integer dtypes need it.
        With ``requires_grad`` each is a leaf.
        """
        name = str(dtype).removeprefix("torch.")
        if name not in (*_FLOATS, *_INTS, "bool"):
            raise SuiteError(
                f"draw.tensors: no such dtype {dtype!r}; known are {', '.join((*_FLOATS, *_INTS))}, bool"
            )
        limits = _limits(low, high, needed=name in _INTS)
        if requires_grad and name not in _FLOATS:
            raise SuiteError(f"draw.tensors: a tensor of dtype {name} cannot require grad")
        if name.startswith("complex") and limits:
            raise SuiteError("draw.tensors: complex numbers have no low and high")
        return Tensors(self, name, requires_grad, limits, _checked_sizes(sizes))

    def arrays(
        self, dtype: str = "float64", low: float | None = None, high: float | None = None, **sizes: int
    ) -> Arrays:
        """Like :meth:`tensors`, numpy arrays: ``draw.arrays(n=5, m=3).of("n m")`` is float64."""
        name = np.dtype(dtype).name
        if name not in ("float16", "float32", "float64", *_INTS):
            raise SuiteError(f"draw.arrays: no such dtype {dtype!r}")
        return Arrays(self, name, _limits(low, high, needed=name in _INTS), _checked_sizes(sizes))

    def integers(self, low: int, high: int, shape: Sequence[int] = ()) -> torch.Tensor:
        """An int64 tensor of ``shape`` with entries from ``low`` to ``high - 1``, as torch.randint."""
        _limits(low, high, needed=True)
        return self._tensor(f"torch.randint({int(low)}, {int(high)}, {_checked_shape(shape)}, generator=gen)")

    def labels(self, n: int, classes: int) -> torch.Tensor:
        """Class labels (n,) int64 from 0 to ``classes - 1``; each class is present if ``n >= classes``."""
        if classes < 1 or n < 0:
            raise SuiteError(f"draw.labels(n={n}, classes={classes}): there is nothing to draw")
        if n <= classes:
            return self._tensor(f"torch.randperm({classes}, generator=gen)[:{n}]")
        rest = f"torch.randint({classes}, ({n - classes},), generator=gen)"
        whole = f"torch.cat([torch.arange({classes}), {rest}])"
        return self._tensor(f"{whole}[torch.randperm({n}, generator=gen)]")

    def permutation(self, n: int) -> torch.Tensor:
        """A permutation of 0 … n-1, (n,) int64."""
        return self._tensor(f"torch.randperm({int(n)}, generator=gen)")

    def sizes(self, k: int, low: int = 2, high: int = 9) -> tuple[int, ...]:
        """``k`` distinct ints from ``low`` to ``high`` (included): axes that cannot be confused."""
        if not 1 <= k <= high - low + 1:
            raise SuiteError(
                f"draw.sizes({k}, low={low}, high={high}): there are not {k} distinct ints in that range"
            )
        code = f"tuple((torch.randperm({high - low + 1}, generator=gen)[:{k}] + {low}).tolist())"
        sizes: tuple[int, ...] = self.run_torch("n", code)
        return sizes

    def seeds(self, k: int) -> tuple[int, ...]:
        """``k`` seeds for a check that repeats something random."""
        seeds: tuple[int, ...] = self.run_torch(
            "n", f"tuple(torch.randint(2**31, ({int(k)},), generator=gen).tolist())"
        )
        return seeds

    def number(self, low: float, high: float) -> float:
        """A float, uniform in ``[low, high)``."""
        limits = _limits(low, high, needed=True)
        assert limits is not None
        code = f"{_scaled('torch.rand((), generator=gen, dtype=torch.float64)', limits)}.item()"
        return float(self.run_torch("n", code))

    def choice(self, items: Sequence[_T]) -> _T:
        """One of ``items``; the reproducer draws its index."""
        if not len(items):
            raise SuiteError("draw.choice: there is nothing to choose from")
        return items[int(self.run_torch("n", f"torch.randint({len(items)}, (), generator=gen).item()"))]

    def _tensor(self, code: str) -> torch.Tensor:
        tensor: torch.Tensor = self.run_torch("t", code)
        return tensor

    def run_torch(self, kind: str, code: str, name: str = "") -> Any:
        """Run a line that may use ``gen``, the torch generator of this check, and keep it."""
        if "gen" not in self._space:
            self._run("gen", f"torch.Generator().manual_seed({self._seed})")
        return self._run(name or self._new_name(kind), code)

    def run_numpy(self, kind: str, code: str, name: str = "") -> Any:
        """Run a line that may use ``rng``, the numpy generator of this check, and keep it."""
        if "rng" not in self._space:
            self._run("rng", f"np.random.default_rng({self._seed})")
        return self._run(name or self._new_name(kind), code)

    def _new_name(self, kind: str) -> str:
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{kind}{self._counts[kind]}"
            if name not in self._space:
                return name

    def _run(self, name: str, code: str) -> Any:
        # The code is put together in this module from checked ints, floats and dtype names, never from a
        # student's text.
        value = eval(_compiled(code), {"__builtins__": {"tuple": tuple}, **self._space})
        if name in ("gen", "rng"):
            self._space[name] = value
        else:
            self._space.setdefault(name, None)  # the name is taken; the value is the suite's and may be large
        self._lines.append(f"{name} = {code}")
        return value


@lru_cache(4096)
def _compiled(code: str) -> CodeType:
    """The same few lines are drawn for each submission."""
    return compile(code, "<draw>", "eval")


class _Shapes:
    """Shapes by name: "o i" with sizes o=5, i=3 is (5, 3), "" is a 0-d value, "1 i" is (1, 3)."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes

    def _draw_one(self, shape: tuple[int, ...], name: str) -> Any:
        raise NotImplementedError

    def _draw_all(self, specs: tuple[str, ...]) -> Any:
        if not specs:
            raise SuiteError('of(…) needs a shape for each value, "o i" for (o, i)')
        parsed = [self._parse(spec) for spec in specs]
        drawn = tuple(self._draw_one(shape, name) for name, shape in parsed)
        return drawn[0] if len(drawn) == 1 else drawn

    def _parse(self, spec: str) -> tuple[str, tuple[int, ...]]:
        if not isinstance(spec, str):
            raise SuiteError(f'a shape is a text, "o i" for (o, i), not {spec!r}')
        name, colon, axes = spec.rpartition(":")
        name = name.strip()
        if colon and (
            not re.fullmatch(r"[A-Za-z]\w*", name) or name in ("gen", "rng", "np", "torch", "tuple")
        ):
            raise SuiteError(f"in the shape {spec!r} the name before the colon is no name")
        unknown = [
            axis for axis in axes.split() if axis not in self._sizes and not re.fullmatch(r"[0-9]{1,9}", axis)
        ]
        if unknown:
            known = ", ".join(f"{key}={n}" for key, n in self._sizes.items()) or "none"
            raise SuiteError(
                f"in the shape {spec!r} the size of {', '.join(unknown)} is not given; given are {known}"
            )
        return name, tuple(self._sizes[axis] if axis in self._sizes else int(axis) for axis in axes.split())


class Tensors(_Shapes):
    """What :meth:`Draw.tensors` returns."""

    def __init__(
        self,
        draw: Draw,
        dtype: str,
        requires_grad: bool,
        limits: tuple[float, float] | None,
        sizes: dict[str, int],
    ) -> None:
        super().__init__(sizes)
        self._draw, self._dtype, self._grad, self._limits = draw, dtype, requires_grad, limits

    def of(self, *specs: str) -> Any:
        """A tuple of tensors, one for each shape in ``specs``; the tensor itself for one shape."""
        return self._draw_all(specs)

    def _draw_one(self, shape: tuple[int, ...], name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._draw.run_torch("t", self._code(shape), name)
        return tensor

    def _code(self, shape: tuple[int, ...]) -> str:
        dtype = "" if self._dtype == "float32" else f", dtype=torch.{self._dtype}"
        if self._dtype == "bool":
            return f"torch.randint(2, {shape}, generator=gen).bool()"
        if self._dtype in _INTS:
            assert self._limits is not None
            low, high = (int(limit) for limit in self._limits)
            return f"torch.randint({low}, {high}, {shape}, generator=gen{dtype})"
        grad = ", requires_grad=True" if self._grad else ""
        if self._limits is None:
            return f"torch.randn({shape}, generator=gen{dtype}{grad})"
        code = _scaled(f"torch.rand({shape}, generator=gen{dtype})", self._limits)
        return f"{code}.requires_grad_()" if self._grad else code


class Arrays(_Shapes):
    """What :meth:`Draw.arrays` returns."""

    def __init__(
        self, draw: Draw, dtype: str, limits: tuple[float, float] | None, sizes: dict[str, int]
    ) -> None:
        super().__init__(sizes)
        self._draw, self._dtype, self._limits = draw, dtype, limits

    def of(self, *specs: str) -> Any:
        """A tuple of arrays, one for each shape in ``specs``; the array itself for one shape."""
        return self._draw_all(specs)

    def _draw_one(self, shape: tuple[int, ...], name: str) -> Any:
        return self._draw.run_numpy("a", self._code(shape), name)

    def _code(self, shape: tuple[int, ...]) -> str:
        if self._dtype in _INTS:
            assert self._limits is not None
            low, high = (int(limit) for limit in self._limits)
            code = f"rng.integers({low}, {high}, size={shape}, dtype=np.{self._dtype})"
        elif self._limits is None:
            code = f"rng.standard_normal({shape})"
        else:
            code = f"rng.uniform({self._limits[0]!r}, {self._limits[1]!r}, size={shape})"
        if shape == ():
            code = f"np.array({code})"
        return (
            code if self._dtype == "float64" or self._dtype in _INTS else f"{code}.astype(np.{self._dtype})"
        )


def _scaled(code: str, limits: tuple[float, float]) -> str:
    low, high = limits
    return f"({low!r} + {high - low!r} * {code})"


def _limits(low: float | None, high: float | None, *, needed: bool) -> tuple[float, float] | None:
    if low is None and high is None and not needed:
        return None
    if low is None or high is None:
        raise SuiteError("a draw between limits needs both low and high")
    if (
        not all(isinstance(limit, (int, float)) and isfinite(limit) for limit in (low, high))
        or not low < high
    ):
        raise SuiteError(f"low={low!r} and high={high!r} must be finite numbers, low below high")
    return (low, high) if type(low) is type(high) is int else (float(low), float(high))


def _checked_sizes(sizes: dict[str, int]) -> dict[str, int]:
    for name, n in sizes.items():
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise SuiteError(f"the size {name}={n!r} must be an int, 0 or more")
    return {name: int(n) for name, n in sizes.items()}


def _checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    axes = (shape,) if isinstance(shape, int) else tuple(shape)
    return tuple(_checked_sizes({f"axis_{i}": n for i, n in enumerate(axes)}).values())
