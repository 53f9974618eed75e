"""The assertions of suites about values: each says in a student's words what is wrong, first thing first.

All take the keywords of :class:`~autograder.judge.words.Words`: ``hint``, ``slide``, ``expected`` (replaces
the text of the line "expected"), ``mistake`` (id of a known mistake that this failure means) and ``name``
(what the value is called; without it the last call of the student's function is named if it returned the
value).

Whatever the student returned, they pass or raise :class:`CheckFailed`. Wrong use by a suite is a
:class:`~autograder.errors.SuiteError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, Unpack

import numpy as np
import torch

from autograder.errors import SuiteError
from autograder.judge.compare import Difference, Rules, compare, missing
from autograder.judge.failure import CheckFailed, Subject
from autograder.judge.numeric import not_finite, shape_note
from autograder.judge.values import (
    describe,
    dtype_name,
    is_array,
    is_number,
    is_remote,
    is_tensor,
    remote_name,
    shape_of,
    type_phrase,
)
from autograder.judge.words import Words, begin, check_words, numbers_of, reject
from autograder.models import Explanation

__all__ = [
    "as_tensor",
    "assert_close",
    "assert_device",
    "assert_dtype",
    "assert_equal",
    "assert_finite",
    "assert_keys",
    "assert_length",
    "assert_requires_grad",
    "assert_shape",
    "assert_true",
    "assert_type",
    "fail",
]


def assert_type(value: Any, types: Any, **words: Unpack[Words]) -> None:
    """``value`` is exactly of ``types``: a type, a remote object's class name ("Linear"), or a tuple of them.

    A bool is no int; a numpy float64 counts as a float and a Parameter as a Tensor.
    """
    about = begin(value, words)
    wanted = types if isinstance(types, tuple) else (types,)
    if not wanted or not all(isinstance(item, (type, str)) or item is None for item in wanted):
        raise SuiteError(f"assert_type(value, types): types must be types or class names, not {types!r}")
    if any(_is_a(value, item) for item in wanted):
        return
    text = " or ".join(_type_text(item) for item in wanted)
    found = missing(value, about, text)
    if found is None or (is_remote(value) and not any(item is torch.Tensor for item in wanted)):
        found = Difference(
            about.is_(f"{type_phrase(value)}; expected {text}"), expected=text, got=describe(value)
        )
    reject(found, words)


_NUMPY_COATS: dict[type, type] = {
    bool: np.bool_,
    int: np.integer,
    float: np.floating,
    complex: np.complexfloating,
}


def _is_a(value: Any, wanted: type | str | None) -> bool:
    if wanted is None:
        return value is None
    if isinstance(wanted, str):
        return is_remote(value) and remote_name(value).rpartition(".")[2] == wanted.rpartition(".")[2]
    if wanted is torch.Tensor:
        return is_tensor(value)
    if wanted in _NUMPY_COATS and is_number(value) and isinstance(value, _NUMPY_COATS[wanted]):
        return True
    return type(value) is wanted


def _type_text(wanted: type | str | None) -> str:
    if wanted is None or wanted is type(None):
        return "None"
    if isinstance(wanted, str):
        return f"an object of class {wanted}"
    if wanted is np.ndarray:
        return "a numpy array"
    if wanted.__module__ == "torch" or wanted is torch.Tensor:
        return f"a torch.{wanted.__name__}"
    return f"{'an' if wanted.__name__[0] in 'aeiou' else 'a'} {wanted.__name__}"


def assert_dtype(value: Any, dtype: Any, **words: Unpack[Words]) -> None:
    """The tensor or array has ``dtype``: a name ("float32"), a torch or numpy dtype, or a tuple of them."""
    about = begin(value, words)
    wanted = [_dtype_of(item) for item in (dtype if isinstance(dtype, tuple) else (dtype,))]
    _need_tensor_or_array(value, about, words)
    if dtype_name(value) not in wanted:
        text = " or ".join(wanted)
        reject(
            Difference(
                f"{about.owner} has dtype {dtype_name(value)}, expected {text}",
                expected=f"dtype {text}",
                got=describe(value),
            ),
            words,
        )


def _dtype_of(dtype: Any) -> str:
    if isinstance(dtype, str):
        if isinstance(getattr(torch, dtype, None), torch.dtype) or dtype in np.sctypeDict:
            return dtype
    elif isinstance(dtype, (torch.dtype, np.dtype)):
        return dtype_name(dtype)
    elif isinstance(dtype, type) and issubclass(dtype, np.generic):
        return np.dtype(dtype).name
    raise SuiteError(f"no such dtype: {dtype!r}")


def _need_tensor_or_array(value: Any, about: Subject, words: Words, *, arrays: bool = True) -> None:
    if is_tensor(value) or (arrays and is_array(value)):
        return
    wanted = "a torch.Tensor"
    found = missing(value, about, wanted)
    if found is None:
        found = Difference(
            about.is_(f"{type_phrase(value)}; expected {wanted}"), expected=wanted, got=describe(value)
        )
    reject(found, words)


def assert_shape(value: Any, shape: Iterable[int | None], **words: Unpack[Words]) -> None:
    """The tensor or array has ``shape``; None in it stands for any length. A number has shape ``()``."""
    about = begin(value, words)
    try:
        wanted = tuple(shape)
    except TypeError as error:
        raise SuiteError(f"assert_shape(value, shape): shape must be a tuple, not {shape!r}") from error
    if not all(n is None or isinstance(n, int) for n in wanted):
        raise SuiteError(f"assert_shape(value, shape): shape must hold ints or None, not {wanted!r}")
    if not (wanted == () and is_number(value)):
        _need_tensor_or_array(value, about, words)
    got = shape_of(value) or ()
    if len(got) == len(wanted) and all(n in (None, m) for m, n in zip(got, wanted, strict=True)):
        return
    text = str(wanted).replace("None", "any")
    note = shape_note(got, tuple(n for n in wanted if n is not None)) if None not in wanted else ""
    reject(
        Difference(
            f"{about.owner} has shape {got}, expected {text}{': ' + note if note else ''}",
            expected=f"shape {text}",
            got=describe(value),
        ),
        words,
    )


def assert_device(value: Any, device: Any, **words: Unpack[Words]) -> None:
    """The tensor is on ``device`` (or the torch.device is it), by type: "cuda" accepts "cuda:0"."""
    about = begin(value, words)
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise SuiteError(f"no such device: {device!r}") from error
    if type(value) is torch.device:
        found = compare(value, wanted, about, Rules())
        if found:
            reject(found, words)
        return
    if not is_tensor(value):
        _need_tensor_or_array(value, about, words, arrays=False)
    got = value.device
    if got.type != wanted.type or wanted.index not in (None, got.index):
        reject(
            Difference(
                f"{about.owner} is on {got}, expected {wanted}", expected=str(wanted), got=describe(value)
            ),
            words,
        )


def assert_finite(value: Any, **words: Unpack[Words]) -> None:
    """No NaN and no inf in a tensor, array or number, nor in the entries of a list, tuple or dict."""
    about = begin(value, words)
    _assert_finite(value, about, words, 0)


def _assert_finite(value: Any, about: Subject, words: Words, depth: int) -> None:
    if type(value) in (list, tuple, dict) and depth < 8:
        items = value.items() if type(value) is dict else enumerate(value)
        for key, item in items:
            _assert_finite(item, about.at(f"[{describe(key)}]"), words, depth + 1)
        return
    numbers = numbers_of(value, about, words)
    if numbers.array.dtype == object:
        return
    sentence = not_finite(numbers, about)
    if sentence:
        reject(Difference(sentence, expected="finite numbers", got=describe(value)), words)


def assert_close(
    got: Any,
    expected_value: Any,
    /,
    rtol: float | None = None,
    atol: float | None = None,
    *,
    reveal: bool = False,
    check_dtype: bool = True,
    **words: Unpack[Words],
) -> None:
    """``got`` is ``expected_value`` within ``atol + rtol * |expected|``; nothing is broadcast.

    Defaults by the coarser dtype: float32 (1e-4, 1e-5), float64 (1e-8, 1e-8), float16 (5e-3, 2e-3),
    bfloat16 (3e-2, 1e-2); ints and bools are exact; a bare number counts as float32. An expected float64
    tensor is an oracle and accepts every float dtype; ``check_dtype=False`` compares the values only.
    A number or 0-d tensor expected accepts a Python number, a numpy scalar and a 0-d tensor. Lists and tuples
    are alike, further keys of a dict are ignored. Expected numbers are shown only with ``reveal``.
    """
    about = begin(got, words)
    rules = Rules(rtol=rtol, atol=atol, reveal=reveal, check_dtype=check_dtype)
    found = compare(got, expected_value, about, rules)
    if found:
        reject(found, words)


def assert_equal(
    got: Any,
    expected_value: Any,
    /,
    *,
    reveal: bool = False,
    check_dtype: bool = True,
    **words: Unpack[Words],
) -> None:
    """``got`` is exactly ``expected_value``: no tolerance, no further dict keys, 3.0 is not the int 3."""
    about = begin(got, words)
    found = compare(got, expected_value, about, Rules(exact=True, reveal=reveal, check_dtype=check_dtype))
    if found:
        reject(found, words)


def as_tensor(value: Any, dtype: torch.dtype | None = None, **words: Unpack[Words]) -> torch.Tensor:
    """A detached tensor on the CPU from a tensor, array or number, where a task accepts any of them."""
    about = begin(value, words)
    numbers = numbers_of(value, about, words)
    if is_tensor(value) and value.layout == torch.strided:
        plain: torch.Tensor = value.detach().cpu()
    else:
        try:
            plain = torch.from_numpy(np.array(numbers.array))
        except TypeError:
            reject(Difference(about.is_(f"{type_phrase(value)}; expected numbers of at most 64 bits")), words)
    return plain if dtype is None else plain.to(dtype)


def assert_requires_grad(value: Any, wanted: bool = True, **words: Unpack[Words]) -> None:
    """The tensor is part of autograd's graph; with ``wanted=False`` it (or the number) is not."""
    about = begin(value, words)
    if not wanted and (is_number(value) or is_array(value)):
        return
    if not is_tensor(value):
        _need_tensor_or_array(value, about, words, arrays=False)
    if bool(value.requires_grad) == wanted:
        return
    if wanted:
        found = Difference(
            f"{about.owner} is cut off from the graph: no gradient can flow back through it",
            expected="requires_grad=True",
            got="requires_grad=False",
            hint=".item(), .detach(), .numpy(), torch.tensor(…) and no_grad cut the graph",
        )
    else:
        found = Difference(
            f"{about.owner} still carries its graph",
            expected="requires_grad=False",
            got="requires_grad=True",
            hint="use .item() for a number, .detach() for a tensor, or compute under torch.no_grad()",
        )
    reject(found, words)


def assert_keys(value: Any, keys: Iterable[Any], *, exact: bool = False, **words: Unpack[Words]) -> None:
    """``value`` is a dict with ``keys``; with ``exact`` it has no others."""
    about = begin(value, words)
    wanted = dict.fromkeys(keys)
    named = ", ".join(describe(key) for key in wanted)
    found = missing(value, about, f"a dict with the keys {named}")
    if found is None and type(value) is not dict:
        found = Difference(
            about.is_(f"{type_phrase(value)}; expected a dict"), f"the keys {named}", describe(value)
        )
    if found is None:
        shared = {key: None for key in value if exact or key in wanted}
        found = compare(shared, wanted, about, Rules(exact=exact))
    if found:
        got = f"the keys {describe(list(value))}" if type(value) is dict else found.got
        reject(Difference(found.summary, found.expected, got), words)


def assert_length(value: Any, n: int, **words: Unpack[Words]) -> None:
    """The list, tuple or dict has ``n`` entries; a tensor or array has a first axis of length ``n``."""
    about = begin(value, words)
    wanted = f"{n} {'entry' if n == 1 else 'entries'}"
    found = missing(value, about, f"a list with {wanted}")
    if found is None:
        if type(value) in (list, tuple, dict, str):
            got = len(value)
        elif shape_of(value):
            got = (shape_of(value) or (0,))[0]
        else:
            reject(
                Difference(about.is_(f"{type_phrase(value)}; expected a list with {wanted}"), wanted), words
            )
        if got == n:
            return
        found = Difference(
            f"{about.owner} has {got} {'entry' if got == 1 else 'entries'}, expected {n}", wanted
        )
    reject(Difference(found.summary, found.expected, describe(value)), words)


def assert_true(condition: Any, summary: str, **words: Unpack[Words]) -> None:
    """``condition`` is True (a numpy bool or 0-d bool tensor counts); anything else fails."""
    check_words(words)
    if type(condition) is bool or isinstance(condition, np.bool_):
        if condition:
            return
        reject(Difference(summary), words)
    if (
        is_tensor(condition)
        and condition.dtype == torch.bool
        and condition.shape == ()
        and not condition.is_meta
    ):
        if bool(condition):
            return
        reject(Difference(summary), words)
    reject(Difference(summary, expected="True", got=describe(condition)), words)


def fail(
    summary: str,
    mistake: str | None = None,
    *,
    called: str = "",
    expected: str = "",
    got: str = "",
    hint: str = "",
    slide: str = "",
    **fields: Any,
) -> NoReturn:
    """Fail with ``summary`` and the parts of the message that are given.

    ``mistake`` is the id of a known mistake; ``expected``, ``got`` and ``fields`` fill the placeholders of
    its message.
    """
    raise CheckFailed(
        Explanation(summary=summary, called=called, expected=expected, got=got, hint=hint, slide=slide),
        mistake=mistake,
        fields={"expected": expected, "got": got, **fields},
    )
