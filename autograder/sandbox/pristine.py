"""The student's IPython as it was before the notebook began: what a plain test cell must not inherit.

A plain nbgrader test cell runs where the student's code ran. Ways to make it pass that need one line (an AST
transformer that drops ``assert``, another display hook, a formatter that prints more points, a method of the
shell replaced) are undone before it runs. It stays a cell in the student's own process: who reaches for the
interpreter's internals can still cheat, which is why its points are marked *in-kernel*.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any, Final

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.events import EventManager
from IPython.core.formatters import BaseFormatter, DisplayFormatter, PlainTextFormatter
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from autograder.sandbox.plain_cells import PlainCells

__all__ = ["Pristine"]

_CLASSES: Final = (
    InteractiveShell,
    DisplayHook,
    DisplayFormatter,
    BaseFormatter,
    PlainTextFormatter,
    CachingCompiler,
    EventManager,
    ExecutionResult,
    TransformerManager,
)
_MISSING: Final = object()


class Pristine:
    """Takes a picture of ``shell`` when it is made, in the zygote; :meth:`restore` goes back to it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        own = (
            *(type(shell), PlainCells, type(shell.compile)),
            *(type(shell.displayhook), type(shell.display_pub)),
        )
        self._classes = {kind: dict(vars(kind)) for kind in (*_CLASSES, *own)}
        self._builtins = {name: value for name, value in vars(builtins).items() if name != "_"}
        self._callbacks = {name: list(calls) for name, calls in shell.events.callbacks.items()}
        self._parts = {
            name: getattr(shell, name)
            for name in (
                "compile",
                "display_formatter",
                "display_pub",
                "display_trap",
                "displayhook",
                "events",
            )
        }
        self._formatters = dict(shell.display_formatter.formatters)
        self._traits = {mime: _traits(formatter) for mime, formatter in self._formatters.items()}
        objects = [shell, *self._parts.values(), *self._formatters.values()]
        self._names = [(item, frozenset(vars(item))) for item in objects]
        self._hooks = sys.excepthook, sys.unraisablehook

    def restore(self) -> None:
        """Everything that decides how a cell runs and what its last line shows is IPython's own again."""
        sys.settrace(None)
        sys.setprofile(None)
        for kind, before in self._classes.items():
            _restore_names(kind, before, added=True)
        _restore_names(builtins, self._builtins, added=False)
        sys.excepthook, sys.unraisablehook = self._hooks
        for item, names in self._names:  # a method that was replaced on the object itself
            for name in set(vars(item)) - names:
                if hasattr(type(item), name):
                    delattr(item, name)
        self._restore_shell()

    def _restore_shell(self) -> None:
        shell = self._shell
        for name, part in self._parts.items():
            setattr(shell, name, part)
        shell.display_formatter.formatters = dict(self._formatters)
        for mime, formatter in self._formatters.items():
            formatter._trait_values.update(_copied(self._traits[mime]))
        shell.display_trap.hook = sys.displayhook = shell.displayhook
        shell.events.callbacks.update({name: list(calls) for name, calls in self._callbacks.items()})
        shell.compile.forget()
        shell.ast_transformers = []
        shell.ast_node_interactivity = "last_expr"
        shell.input_transformer_manager = TransformerManager()  # type: ignore[no-untyped-call]  # IPython
        shell.input_transformers_post = []
        shell.custom_exceptions = ()
        shell.user_ns["__builtins__"] = builtins


def _restore_names(holder: Any, before: dict[str, Any], *, added: bool) -> None:
    """Give ``holder`` (a class, a module) its old attributes back, and with ``added`` take new ones away."""
    now = vars(holder)
    for name in set(now) - set(before) if added else ():
        delattr(holder, name)
    for name, value in before.items():
        if now.get(name, _MISSING) is not value:
            setattr(holder, name, value)


def _traits(formatter: Any) -> dict[str, Any]:
    for name in ("type_printers", "deferred_printers", "singleton_printers"):
        getattr(formatter, name)  # made on first use
    return _copied(formatter._trait_values)


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
