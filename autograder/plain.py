"""Texts that come from a submission, without the characters that steer a terminal or turn the line.

Messages reach terminals, logs, pages and files. An escape sequence can clear a screen or forge a line on it,
a right-to-left mark can turn a message round. Each such character is replaced by one that can be seen.
"""

from __future__ import annotations

import unicodedata

__all__ = ["plain"]

_STEERING = ("Cc", "Cf", "Cs", "Co")
_MARK = "\N{REPLACEMENT CHARACTER}"


def plain(text: str) -> str:
    """``text`` with line ends and tabs, but no other control, format, surrogate or private character."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _STEERING else _MARK for c in text)
