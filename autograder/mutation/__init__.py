"""Mutants of solution code: small changes that a suite should notice. Pure functions on source text.

Docstrings, annotations, comments and the texts of errors stay as they are. A mutant is valid Python and
differs from the solution and from every other mutant in more than layout. Order and ids are those of the
text: the same source always gives the same mutants.
"""

from __future__ import annotations

from autograder.mutation.equivalents import EQUIVALENTS, Equivalent, load, match
from autograder.mutation.mutants import Mutant, changed_lines, mutants, solution
from autograder.mutation.subjects import Subject, all_mutants, subjects

__all__ = [
    "EQUIVALENTS",
    "Equivalent",
    "Mutant",
    "Subject",
    "all_mutants",
    "changed_lines",
    "load",
    "match",
    "mutants",
    "solution",
    "subjects",
]
