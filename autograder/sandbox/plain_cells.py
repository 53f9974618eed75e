"""Cells of plain Python, and their errors, take a short way through IPython.

IPython tokenizes each cell in Python to find syntax of its own, and compiles it once more to find an
``await``: together longer than most cells run. None of its syntax is valid Python, except in cells of one
line (``ls``) and behind prompts or an indent, so any other cell that can be parsed is left as it is, and its
tree is used.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
from collections.abc import Iterable, Mapping
from types import CodeType, MappingProxyType
from typing import Any, Final, cast

from IPython.core.compilerop import CachingCompiler
from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Compiler", "PlainCells"]

_PROMPT: Final = re.compile(r"\s|In \[|\.\.\.|>>>")
"""What the first line of such a cell does not begin with."""
_CONTINUED: Final = re.compile(r"\s*\.\.\.")
"""Nor the second: IPython takes prompts away there too."""


class Compiler(CachingCompiler):
    """Uses the tree that :meth:`PlainCells.transform_cell` has made already, and what :meth:`learn` has made
    in the zygote."""

    parsed: tuple[str, ast.Module] | None = None

    _known: Mapping[str, ast.Module] = MappingProxyType({})
    _codes: Mapping[tuple[int, str], CodeType] = MappingProxyType({})
    """Code of these trees, and of each of their statements, by the node's id and the mode."""

    def learn(self, cells: Iterable[str]) -> None:
        """Keep the trees of these cells, and their code."""
        self._known = known = dict(self._known)
        self._codes = codes = dict(self._codes)
        for whole in {cell if cell.endswith("\n") else cell + "\n" for cell in cells} - set(known):
            with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
                known[whole] = tree = ast.parse(whole)
                if any(word in whole for word in ("await", "async", "__future__")):
                    continue
                codes[id(tree), "exec"] = compile(tree, "", "exec", self.flags, True)
                for node in tree.body:
                    last = node is tree.body[-1] and isinstance(node, ast.Expr)
                    mode = "single" if last else "exec"
                    piece = ast.Interactive([node]) if last else ast.Module([node], [])
                    codes[id(node), mode] = compile(piece, "", mode, self.flags, True)

    def forget(self) -> None:
        """Keep nothing of that any more: student code may have changed it."""
        self._known, self._codes = {}, {}

    def __call__(self, source: Any, filename: str, symbol: str) -> CodeType:
        """Code of a tree, as ``compile`` makes it."""
        if self._codes and self.flags & ~ast.PyCF_ALLOW_TOP_LEVEL_AWAIT == _NO_FUTURE:
            code = self._codes.get((id(source), symbol))
            if code is None and type(source) in (ast.Module, ast.Interactive) and len(source.body) == 1:
                code = self._codes.get((id(source.body[0]), symbol))
            if code is not None:
                return _named(code, filename)
        return super().__call__(source, filename, symbol)

    def tree(self, cell: str) -> ast.Module:
        """That of ``cell``, which nobody may change. Errors as ``ast.parse`` has them."""
        return self._known.get(cell) or ast.parse(cell)

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """The name of the cell's code. The module it belongs to is noted with it, under both names by which
        ``inspect`` asks: for a traceback it would look through all modules there are, and the sandbox would
        get 14 MB of pages of its own, as to look at an object writes to it."""
        name = super().cache(transformed_code, number, raw_code)
        inspect.modulesbyfile[name] = "__main__"
        with contextlib.suppress(OSError):  # the student has removed the folder
            inspect.modulesbyfile[os.path.abspath(name)] = "__main__"
        return name

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> Any:
        """The tree of ``source``, a new one after the first time."""
        parsed, self.parsed = self.parsed, None
        if parsed is not None and parsed[0] == source and symbol == "exec" and self.flags == _NO_FUTURE:
            return parsed[1]
        return super().ast_parse(source, filename, symbol)


def _named(code: CodeType, filename: str) -> CodeType:
    """``code``, with all code inside, as if it had been compiled under this name."""
    consts = tuple(_named(item, filename) if type(item) is CodeType else item for item in code.co_consts)
    return code.replace(co_filename=filename, co_consts=consts)


_NO_FUTURE: Final = CachingCompiler().flags  # type: ignore[no-untyped-call]
"""Flags as long as no cell has imported anything from ``__future__``."""


class PlainCells(InteractiveShell):
    """An IPython shell with the short way; it needs a :class:`Compiler`."""

    usual: tuple[Any, ...] = ()
    """The transformers of input that there are before students add their own; the short way is for these."""
    usual_callbacks = -1
    """What :meth:`count_callbacks` gives before students add their own."""

    @property
    def compiler(self) -> Compiler:
        """What turns cells into code."""
        return cast(Compiler, self.compile)

    def transform_cell(self, raw_cell: str) -> str:
        """The cell as Python; IPython's own work where it may not be plain Python yet."""
        self.compiler.parsed = None
        lines = raw_cell.splitlines(keepends=True)
        while lines and not lines[0].strip():
            del lines[0]  # as IPython does
        prompts = len(lines) < 2 or _PROMPT.match(lines[0]) or _CONTINUED.match(lines[1])
        if not prompts and self.transformers() == self.usual:
            cell = "".join(lines) if raw_cell.endswith("\n") else "".join(lines) + "\n"
            with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
                fixed = not self.ast_transformers and self.ast_node_interactivity == "last_expr"
                self.compiler.parsed = (cell, self.compiler.tree(cell) if fixed else ast.parse(cell))
                return cell
        return str(super().transform_cell(raw_cell))  # type: ignore[no-untyped-call]

    def count_callbacks(self) -> int:
        """How many functions IPython calls before and after a cell, or lets change it."""
        return len(self.ast_transformers) + sum(map(len, self.events.callbacks.values()))

    def run_again(self, raw_cell: str) -> bool:
        """Run a cell of plain Python for what it does, not for what it shows; false, and nothing was run,
        where only IPython itself can do that. What the cell raises is raised."""
        cell = self.transform_cell(raw_cell)
        parsed, self.compiler.parsed = self.compiler.parsed, None
        if parsed is None or "await" in cell or "async" in cell:
            return False
        if self.count_callbacks() != self.usual_callbacks:
            return False
        name = self.compiler.cache(cell, self.execution_count, raw_cell)
        self.execution_count += 1
        compiled = cast(Any, self.compiler)(parsed[1], name, "exec")  # with the cells' own __future__ flags
        exec(compiled, self.user_global_ns, self.user_ns)  # in the sandbox
        return True

    def _format_exception_for_storage(self, exception: BaseException, *_: Any, **__: Any) -> dict[str, Any]:
        """For the history, which nobody reads here; IPython would format the traceback a second time."""
        return {"ename": type(exception).__name__, "evalue": "", "traceback": []}

    def transformers(self) -> tuple[Any, ...]:
        """All transformers of input, in order."""
        manager = self.input_transformer_manager
        return (
            *manager.cleanup_transforms,
            *manager.line_transforms,
            *manager.token_transformers,
            *self.input_transformers_post,
        )

    def should_run_async(self, raw_cell: str, **options: Any) -> bool:
        """Without compiling the cell once more where it cannot hold an ``await``."""
        parsed = self.compiler.parsed
        if parsed is not None and "await" not in parsed[0] and "async" not in parsed[0]:
            return False
        return bool(super().should_run_async(raw_cell, **options))
