"""What the checks of exercise 0 share."""

from __future__ import annotations

from typing import Any

from autograder.checks import fail, is_remote

__all__ = ["function"]


def function(student: Any, name: str) -> Any:
    """The student's function ``name``; fails by name when it is something that cannot be called."""
    found = student.get(name)
    if not is_remote(found):
        fail(
            f"{name} is no function but a value of type {type(found).__name__}.",
            expected=f"a function {name}",
            hint=f"Is there a line {name} = … after the definition?",
        )
    return found
