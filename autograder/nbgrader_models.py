"""nbgrader's database models, without what ``import nbgrader`` brings along.

The package imports its server extensions, and with them the web server and all converters; ``jsonschema``
then builds a grammar of internationalised addresses, for a format check that no notebook needs. Most of the
time that ``nbgrader.api`` takes to import goes there, and a gradebook asks for none of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

__all__ = ["api"]

_PACKAGE: Final = "nbgrader"
_GRAMMAR: Final = "rfc3987_syntax"


def api() -> Any:
    """The module ``nbgrader.api``. Whoever asks the package for a name of its own gets it, imported then."""
    if _PACKAGE not in sys.modules:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is not None and spec.loader is not None:
            sys.modules[_PACKAGE] = _postponed(importlib.util.module_from_spec(spec))
    with _without(_GRAMMAR):
        return importlib.import_module(f"{_PACKAGE}.api")


def _postponed(package: ModuleType) -> ModuleType:
    """``package``, whose own code runs once a name is asked for that it does not have yet."""
    loader = package.__spec__.loader if package.__spec__ else None

    def missing(name: str) -> Any:
        own = name == "__version__" or not name.startswith("__")  # the import system looks for others
        if not own or importlib.util.find_spec(f"{_PACKAGE}.{name}") is not None:
            raise AttributeError(name)  # a module of the package is imported next
        vars(package).pop("__getattr__", None)
        assert loader is not None
        loader.exec_module(package)
        return getattr(package, name)

    package.__getattr__ = missing  # type: ignore[method-assign]
    return package


@contextmanager
def _without(module: str) -> Iterator[None]:
    """In the body, importing ``module`` fails, as where it is not installed: it is an optional one."""
    blocked = module not in sys.modules
    if blocked:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if blocked:
            del sys.modules[module]
