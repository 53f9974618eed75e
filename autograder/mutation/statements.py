"""What a statement may become: left out, unwrapped, negated, with another result or default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from autograder.mutation.expressions import Found, negated, only_equality, swaps, tight, word

__all__ = ["OPERATORS"]

_AUGMENTED: dict[type[cst.BaseAugOp], tuple[type[cst.BaseAugOp], type[cst.BaseBinaryOp]]] = {
    cst.AddAssign: (cst.SubtractAssign, cst.Add),
    cst.SubtractAssign: (cst.AddAssign, cst.Subtract),
    cst.MultiplyAssign: (cst.DivideAssign, cst.Multiply),
    cst.DivideAssign: (cst.MultiplyAssign, cst.Divide),
}
_ERRORS = {"TypeError": "ValueError", "ValueError": "TypeError", "RuntimeError": "ValueError"}


def _augmented(node: Any) -> Found:
    value = [cst.AssignTarget(node.target)]
    if type(node.operator) in _AUGMENTED:
        new, plain = _AUGMENTED[type(node.operator)]
        yield f"{word(type(node.operator))}_to_{word(new)}", node.with_changes(operator=new())
        result = cst.BinaryOperation(node.target, plain(), tight(node.value))
        yield "not_in_place", cst.Assign(value, result, semicolon=node.semicolon)
    yield "only_assign", cst.Assign(value, node.value, semicolon=node.semicolon)


def _return(node: Any) -> Found:
    if isinstance(node.value, cst.Tuple):
        for swapped in swaps(node.value.elements, range(len(node.value.elements))):
            yield "swap_returned", node.with_changes(value=node.value.with_changes(elements=swapped))


def _raise(node: Any) -> Found:
    name = node.exc.func if isinstance(node.exc, cst.Call) else node.exc
    if isinstance(name, cst.Name) and name.value in _ERRORS:
        other = cst.Name(_ERRORS[name.value])
        new = node.exc.with_changes(func=other) if isinstance(node.exc, cst.Call) else other
        yield f"{name.value}_to_{other.value}", node.with_changes(exc=new)


def _if(node: Any) -> Found:
    if not only_equality(node.test):
        yield "negate_condition", node.with_changes(test=negated(node.test))
    for value in ("True", "False"):
        test = cst.Name(value)
        yield (
            f"condition_{value}".lower(),
            node.with_changes(test=test, whitespace_before_test=cst.SimpleWhitespace(" ")),
        )


def _while(node: Any) -> Found:
    if not only_equality(node.test):
        yield "negate_condition", node.with_changes(test=negated(node.test))


def _function(node: Any) -> Found:
    for i in range(len(node.decorators)):
        yield (
            "drop_decorator",
            node.with_changes(decorators=[item for j, item in enumerate(node.decorators) if j != i]),
        )
    yield "body_to_pass", node.with_changes(body=cst.IndentedBlock([cst.SimpleStatementLine([cst.Pass()])]))


def _parameter(node: Any) -> Found:
    if node.default is not None:
        yield (
            "drop_default",
            node.with_changes(
                default=None, equal=cst.MaybeSentinel.DEFAULT, whitespace_after_param=cst.SimpleWhitespace("")
            ),
        )


def _small_statement(node: Any) -> Found:
    if isinstance(node, cst.Pass) or _is_text(node):
        return
    yield f"drop_{_statement_name(node)}", cst.Pass(semicolon=node.semicolon)
    if isinstance(node, cst.Break):
        yield "break_to_continue", cst.Continue(semicolon=node.semicolon)
    if isinstance(node, cst.Continue):
        yield "continue_to_break", cst.Break(semicolon=node.semicolon)


def _is_text(node: Any) -> bool:
    return isinstance(node, cst.Expr) and isinstance(node.value, cst.BaseString)


def _statement_name(node: Any) -> str:
    value = node.value if isinstance(node, cst.Expr) else None
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Attribute):
        return str(value.func.attr.value).strip("_")
    return type(node).__name__.lower()


def _compound(node: Any) -> Found:
    yield f"drop_{type(node).__name__.lower()}", cst.SimpleStatementLine([cst.Pass()])


def _block(node: Any) -> Found:
    """``with`` and ``try`` without themselves: their bodies take their place."""
    for i, statement in enumerate(node.body):
        if isinstance(statement, (cst.With, cst.Try)):
            inner: Any = statement.body.body
            if isinstance(statement.body, cst.SimpleStatementSuite):
                inner = [cst.SimpleStatementLine(inner)]
            name = "unwrap_try" if isinstance(statement, cst.Try) else _unwrapped(statement)
            yield name, node.with_changes(body=[*node.body[:i], *inner, *node.body[i + 1 :]])


def _unwrapped(node: cst.With) -> str:
    item: Any = node.items[0].item
    function = item.func if isinstance(item, cst.Call) else item
    return f"unwrap_{function.attr.value}" if isinstance(function, cst.Attribute) else "unwrap_with"


OPERATORS: tuple[tuple[Any, Callable[[Any], Found]], ...] = (
    (cst.AugAssign, _augmented),
    (cst.Return, _return),
    (cst.Raise, _raise),
    (cst.If, _if),
    (cst.While, _while),
    (cst.FunctionDef, _function),
    (cst.Param, _parameter),
    (cst.BaseSmallStatement, _small_statement),
    ((cst.For, cst.While, cst.If, cst.With, cst.Try), _compound),
    ((cst.IndentedBlock, cst.Module), _block),
)
"""Kinds of nodes, and the operators for them."""
