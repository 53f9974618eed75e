"""What an expression may become: operators, constants, names, calls, subscripts."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import libcst as cst

__all__ = ["OPERATORS", "Found", "negated", "only_equality", "swaps", "tight", "word"]

Found = Iterator[tuple[str, cst.CSTNode]]
"""Names of operators with what the node becomes."""

_MODULES = frozenset({
    "F", "copy", "functools", "importlib", "itertools", "math", "nn", "np", "numpy", "optim", "os",
    "platform", "random", "re", "sklearn", "sys", "torch",
})  # fmt: skip
"""Names that hold modules: ``F.relu(x)`` is a function of x, ``x.relu()`` a method."""

_SWAPPED_WORDS = (
    "mean sum", "max min", "argmax argmin", "maximum minimum", "amax amin", "any all", "zeros ones",
    "zeros_like ones_like", "rand randn", "randint randperm", "cat stack", "vstack hstack", "train eval",
    "float32 float64", "int64 int32", "float double", "long int", "weight bias", "in_features out_features",
    "std var", "floor ceil", "sqrt square", "exp log", "sin cos", "sigmoid tanh", "softmax log_softmax",
    "logsumexp sum", "relu gelu", "ReLU Identity", "GELU ReLU", "no_grad enable_grad",
    "inference_mode enable_grad", "append extend", "keys values", "startswith endswith", "lower upper",
    "add sub", "add_ sub_", "mul div", "mul_ div_", "matmul mul", "mse_loss l1_loss", "MSELoss L1Loss",
    "cross_entropy nll_loss", "CrossEntropyLoss NLLLoss", "fit_transform fit", "transform inverse_transform",
    "mean_ scale_", "prefix base_prefix", "Adam SGD", "AdamW Adam",
    "unsqueeze squeeze", "argsort sort", "data grad", "head tail", "first last", "items keys",
)  # fmt: skip
_WORDS: dict[str, str] = {}
for _pair in _SWAPPED_WORDS:
    _one, _two = _pair.split()
    _WORDS.setdefault(_one, _two)
    _WORDS.setdefault(_two, _one)

_DROPPED_CALLS = frozenset({
    "abs", "astype", "bool", "clamp", "clone", "contiguous", "copy", "cpu", "deepcopy", "detach",
    "diff", "double", "erf", "exp", "expand", "flatten", "float", "float32", "gelu", "int", "item",
    "list", "log", "log_softmax", "long", "lower", "mean", "norm", "numpy", "outer", "permute", "relu",
    "requires_grad_", "reshape", "reversed", "round", "sigmoid", "softmax", "sorted", "split", "sqrt",
    "square", "squeeze", "std", "str", "strip", "sum", "t", "tanh", "to", "tolist", "transpose",
    "tuple", "unsqueeze", "upper", "view", "zscore",
})  # fmt: skip
"""Calls that are left out: ``x.clone()`` and ``torch.clone(x)`` become ``x``."""
_DROPPED_ATTRIBUTES = frozenset({"T", "mT", "data"})
_DIMS = frozenset({"axis", "dim", "dim0", "dim1", "end_dim", "start_dim"})

_BINARY: dict[type[cst.BaseBinaryOp], tuple[type[cst.BaseBinaryOp], ...]] = {
    cst.Add: (cst.Subtract,),
    cst.Subtract: (cst.Add,),
    cst.Multiply: (cst.Divide, cst.MatrixMultiply),
    cst.Divide: (cst.Multiply, cst.FloorDivide),
    cst.FloorDivide: (cst.Divide,),
    cst.Modulo: (cst.FloorDivide,),
    cst.Power: (cst.Multiply,),
    cst.MatrixMultiply: (cst.Multiply,),
    cst.BitAnd: (cst.BitOr,),
    cst.BitOr: (cst.BitAnd,),
}
_COMMUTING = (cst.Add, cst.Multiply, cst.BitAnd, cst.BitOr)
_COMPARED: dict[type[cst.BaseCompOp], tuple[type[cst.BaseCompOp], ...]] = {
    cst.LessThan: (cst.LessThanEqual, cst.GreaterThan),
    cst.LessThanEqual: (cst.LessThan, cst.GreaterThan),
    cst.GreaterThan: (cst.GreaterThanEqual, cst.LessThan),
    cst.GreaterThanEqual: (cst.GreaterThan, cst.LessThan),
    cst.Equal: (cst.NotEqual,),
    cst.NotEqual: (cst.Equal,),
    cst.Is: (cst.IsNot,),
    cst.IsNot: (cst.Is,),
    cst.In: (cst.NotIn,),
    cst.NotIn: (cst.In,),
}
_SHORT = {cst.Subtract: "sub", cst.Multiply: "mul", cst.Divide: "div", cst.MatrixMultiply: "matmul",
          cst.SubtractAssign: "sub_assign", cst.AddAssign: "add_assign", cst.MultiplyAssign: "mul_assign",
          cst.DivideAssign: "div_assign", cst.Power: "pow", cst.FloorDivide: "floordiv"}  # fmt: skip


# -- small tools


def word(kind: type[Any]) -> str:
    """A short name for an operator."""
    return _SHORT.get(kind, kind.__name__.lower())


_ATOMS = (
    *(cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.BaseNumber, cst.BaseString),
    *(cst.List, cst.Dict, cst.Set, cst.ListComp, cst.DictComp, cst.SetComp),
)


def tight(node: Any) -> Any:
    """``node`` in parentheses, unless it holds together without them."""
    if node.lpar or isinstance(node, _ATOMS):
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def negated(test: Any) -> cst.UnaryOperation:
    """``not test``."""
    return cst.UnaryOperation(cst.Not(), tight(test))


def only_equality(test: Any) -> bool:
    """Whether a changed comparison negates ``test`` already."""
    return isinstance(test, cst.UnaryOperation) or (
        isinstance(test, cst.Comparison)
        and len(test.comparisons) == 1
        and len(_COMPARED.get(type(test.comparisons[0].operator), (1, 2))) == 1
    )


def _root(node: Any) -> str:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else ""


def _is_module(node: Any) -> bool:
    return _root(node) in _MODULES


def _with_value(items: Sequence[Any], changed: dict[int, Any]) -> list[Any]:
    """``items`` (arguments, elements) with other values at these places; commas and keywords stay."""
    return [item.with_changes(value=changed[i]) if i in changed else item for i, item in enumerate(items)]


def _without(items: Sequence[Any], index: int) -> list[Any]:
    left = [item for i, item in enumerate(items) if i != index]
    if left and index == len(items) - 1:
        left[-1] = left[-1].with_changes(comma=items[index].comma)
    return left


def swaps(items: Sequence[Any], places: Sequence[int]) -> Iterator[list[Any]]:
    """``items`` with the values of two neighbours among ``places`` exchanged."""
    for i, j in pairwise(places):
        yield _with_value(items, {i: items[j].value, j: items[i].value})


# -- operators and constants


def _binary(node: Any) -> Found:
    old = type(node.operator)
    for new in _BINARY.get(old, ()):
        around = {
            "whitespace_before": node.operator.whitespace_before,
            "whitespace_after": node.operator.whitespace_after,
        }
        yield f"{word(old)}_to_{word(new)}", node.with_changes(operator=new(**around))
    if old in _BINARY and old not in _COMMUTING:
        yield "swap_operands", node.with_changes(left=tight(node.right), right=tight(node.left))
    if old in _BINARY:
        yield "drop_right_operand", _in_place_of(node, node.left)
        if old is not cst.Power:
            yield "drop_left_operand", _in_place_of(node, node.right)


def _in_place_of(node: Any, child: Any) -> Any:
    """``child`` with the parentheses that ``node`` had."""
    return tight(child) if node.lpar else child


def _comparison(node: Any) -> Found:
    for new in _COMPARED.get(type(node.operator), ()):
        yield f"{word(type(node.operator))}_to_{word(new)}", node.with_changes(operator=new())


def _boolean(node: Any) -> Found:
    new = cst.Or() if isinstance(node.operator, cst.And) else cst.And()
    yield "and_to_or" if isinstance(new, cst.Or) else "or_to_and", node.with_changes(operator=new)
    yield "drop_right_operand", _in_place_of(node, node.left)
    yield "drop_left_operand", _in_place_of(node, node.right)


def _unary(node: Any) -> Found:
    if isinstance(node.operator, cst.Minus) and isinstance(node.expression, cst.BaseNumber):
        return  # the number has a mutant without a sign of its own
    yield (
        "drop_not" if isinstance(node.operator, cst.Not) else "drop_sign",
        _in_place_of(node, node.expression),
    )


def _integer(node: Any) -> Found:
    value = int(node.value, 0)
    yield "plus_one", node.with_changes(value=str(value + 1))
    less = node.with_changes(value=str(value - 1)) if value else _minus(node.with_changes(value="1"))
    yield "minus_one", less
    if value:
        yield "negate", _minus(node)


def _minus(node: Any) -> cst.UnaryOperation:
    return cst.UnaryOperation(cst.Minus(), node)


def _float(node: Any) -> Found:
    value = float(node.value)
    if not value:
        yield "zero_to_one", node.with_changes(value="1.0")
        return
    yield "half", node.with_changes(value=repr(0.5 * value))
    yield "double", node.with_changes(value=repr(2 * value))
    yield "negate", _minus(node)


def _name(node: Any) -> Found:
    if node.value in ("True", "False"):
        other = "False" if node.value == "True" else "True"
        yield f"{node.value}_to_{other}".lower(), node.with_changes(value=other)


def _string(node: Any) -> Found:
    if "b" not in node.prefix.lower():
        yield (
            "change_text",
            node.with_changes(value=f"{node.prefix}{node.quote}{node.raw_value}X{node.quote}"),
        )


def _text_of_f_string(node: Any) -> Found:
    yield "change_text", node.with_changes(value=f"{node.value}X")


# -- names, calls, subscripts


def _attribute(node: Any) -> Found:
    name = node.attr.value
    if name in _WORDS:
        yield f"{name}_to_{_WORDS[name]}", node.with_changes(attr=cst.Name(_WORDS[name]))
    if name in _DROPPED_ATTRIBUTES:
        yield f"drop_{name}", node.value


def _call(node: Any) -> Found:
    arguments = list(node.args)
    places = [i for i, arg in enumerate(arguments) if arg.keyword is None and not arg.star]
    yield from _called(node, arguments, places)
    for i, arg in enumerate(arguments):
        if arg.keyword is not None and arg.keyword.value in _DIMS:
            new = cst.Integer("0" if isinstance(arg.value, cst.Integer) and arg.value.value == "1" else "1")
            yield "other_dim", node.with_changes(args=_with_value(arguments, {i: new}))
    for swapped in swaps(arguments, places):
        yield "swap_arguments", node.with_changes(args=swapped)
    method = isinstance(node.func, cst.Attribute) and not _is_module(node.func)
    for i, arg in enumerate(arguments):
        if arg.keyword is not None:
            yield "drop_keyword", node.with_changes(args=_without(arguments, i))
        elif len(arguments) > 1 or method:
            yield "drop_argument", node.with_changes(args=_without(arguments, i))


def _called(node: Any, arguments: list[Any], places: list[int]) -> Found:
    """What may become of a call because of its function's name."""
    function = node.func
    if isinstance(function, cst.Name):
        name = function.value
        if hasattr(builtins, _WORDS.get(name, "")):
            yield f"{name}_to_{_WORDS[name]}", node.with_changes(func=cst.Name(_WORDS[name]))
        if name == "range" and places:
            yield from _range(node, arguments)
        if name in _DROPPED_CALLS and places:
            yield f"drop_{name}", tight(arguments[places[0]].value)
    elif isinstance(function, cst.Attribute):
        name = function.attr.value
        if name.endswith("_") and not name.startswith("_"):
            plain = function.with_changes(attr=cst.Name(name.rstrip("_")))
            yield "not_in_place", node.with_changes(func=plain)
        if name not in _DROPPED_CALLS:
            return
        if not _is_module(function):
            yield f"drop_{name}", function.value
        elif places:
            yield f"drop_{name}", tight(arguments[places[0]].value)


def _range(node: Any, arguments: list[Any]) -> Found:
    end = 0 if len(arguments) == 1 else 1
    more_or_less = (("range_one_more", cst.Add()), ("range_one_less", cst.Subtract()))
    for name, operator in () if isinstance(arguments[end].value, cst.Integer) else more_or_less:
        value = cst.BinaryOperation(tight(arguments[end].value), operator, cst.Integer("1"))
        yield name, node.with_changes(args=_with_value(arguments, {end: value}))
    if len(arguments) == 1:
        yield "range_from_one", node.with_changes(args=[cst.Arg(cst.Integer("1")), *arguments])


def _subscript(node: Any) -> Found:
    yield "drop_subscript", node.value


def _slice(node: Any) -> Found:
    if node.lower is not None:
        yield "drop_slice_start", node.with_changes(lower=None)
    if node.upper is not None:
        yield "drop_slice_end", node.with_changes(upper=None)
    if node.step is not None:
        yield "drop_slice_step", node.with_changes(step=None, second_colon=cst.MaybeSentinel.DEFAULT)


def _display(node: Any) -> Found:
    if len(node.elements) > 1:
        for i in range(len(node.elements)):
            yield "drop_element", node.with_changes(elements=_without(node.elements, i))


def _if_expression(node: Any) -> Found:
    yield "swap_branches", node.with_changes(body=node.orelse, orelse=node.body)
    yield "always_first", tight(node.body)
    yield "always_second", tight(node.orelse)


def _filter(node: Any) -> Found:
    if not only_equality(node.test):
        yield "negate_filter", node.with_changes(test=negated(node.test))


def _comprehension(node: Any) -> Found:
    if node.ifs:
        yield "drop_filter", node.with_changes(ifs=[])


OPERATORS: tuple[tuple[Any, Callable[[Any], Found]], ...] = (
    (cst.BinaryOperation, _binary),
    (cst.ComparisonTarget, _comparison),
    (cst.BooleanOperation, _boolean),
    (cst.UnaryOperation, _unary),
    (cst.Integer, _integer),
    (cst.Float, _float),
    (cst.Name, _name),
    (cst.SimpleString, _string),
    (cst.FormattedStringText, _text_of_f_string),
    (cst.Attribute, _attribute),
    (cst.Call, _call),
    (cst.Subscript, _subscript),
    (cst.Slice, _slice),
    ((cst.Dict, cst.List, cst.Set), _display),
    (cst.IfExp, _if_expression),
    (cst.CompIf, _filter),
    (cst.CompFor, _comprehension),
)
"""Kinds of nodes, and the operators for them."""
