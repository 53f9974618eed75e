"""Names of people: which spellings are the same, and which id a name gives.

Platforms, zips and rosters disagree on umlauts (``Müller``, ``Mueller``, ``Muller``; composed or not), on the
order of first and last name, and on everything that is not a letter. Two names are the same when one of their
spellings is; whether that leaves one person is for :mod:`autograder.lms.roster` to say.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

__all__ = ["exact", "safe_id", "spellings", "squashed"]

_GERMAN: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa"})
_BARE: Final = str.maketrans({"ß": "s", "æ": "a", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})
"""As ILIAS's getASCIIFilename does it: the first letter of the HTML entity."""


def exact(name: str) -> str:
    """``name`` in one Unicode form, case and spacing; the words in a fixed order."""
    return " ".join(sorted(_words(_lower(name))))


@cache
def spellings(name: str) -> frozenset[str]:
    """All that ``name`` may be written as without its umlauts and accents; the words in a fixed order."""
    lower = _lower(name)
    return frozenset(" ".join(sorted(_words(form))) for form in _forms(lower))


@cache
def squashed(first: str, last: str) -> frozenset[str]:
    """A name as Canvas writes it into file names: letters only, last or first name first."""
    both = (last + first, first + last)
    return frozenset("".join(_words(form)) for name in both for form in (_lower(name), *_forms(_lower(name))))


def safe_id(name: str) -> str:
    """An id for nbgrader made of ``name``: small letters, digits, ``.``, ``_`` and ``-``; empty when none is
    left.

    ``Jürgen Müller`` gives ``juergen-mueller``; letters of other alphabets stay.
    """
    text = _bare(_lower(name).translate(_GERMAN))
    return re.sub(r"[^\w.]+", "-", text).strip("-._")[:100]


def _lower(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


def _forms(lower: str) -> tuple[str, str]:
    return _bare(lower.translate(_GERMAN)), _bare(lower.translate(_BARE))


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)
