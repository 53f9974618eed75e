"""CSV files as universities have them: any separator, a byte-order mark or none, UTF-8 or Windows' own.

A table that is filled in is written back in its own dialect, cell by cell as it was.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autograder.errors import UsageError
from autograder.submitted_files import read_small

__all__ = ["Table", "harmless", "number", "plain_header", "read_table", "render"]

_MOST_BYTES: Final = 32 * 2**20
_SEPARATORS: Final = (",", ";", "\t")
_BOM: Final = b"\xef\xbb\xbf"
_FORMULA: Final = re.compile(r"\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?")


@dataclass(slots=True)
class Table:
    """``header`` and ``rows``, each as long as the header, and how the file was written."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    separator: str = ","
    bom: bool = False
    line_end: str = "\r\n"

    def column(self, *names: str) -> int | None:
        """Index of the one column whose header reads like one of ``names``; None without one."""
        wanted = {plain_header(name) for name in names}
        found = [index for index, name in enumerate(self.header) if plain_header(name) in wanted]
        return found[0] if len(found) == 1 else None

    def to_bytes(self) -> bytes:
        """The file."""
        text = render([self.header, *self.rows], separator=self.separator, line_end=self.line_end)
        return (_BOM if self.bom else b"") + text.encode("utf-8")


def read_table(path: Path) -> Table:
    """The CSV file at ``path``.

    :raises UsageError: there is none, or it is no table.
    """
    data = read_small(path, _MOST_BYTES)
    if data is None:
        raise UsageError(f"{path} is no file that can be read, or has more than {_MOST_BYTES >> 20} MB")
    if data.startswith(b"PK"):
        raise UsageError(f"{path} is a spreadsheet, not CSV; save it as CSV (UTF-8) and name that file")
    text = _decoded(data, path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(_SEPARATORS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False))
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV file ({error}); export it again") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise UsageError(f"{path} is empty")
    header = rows[0]
    width = max(len(row) for row in rows)
    header = header + [""] * (width - len(header))
    body = [row + [""] * (width - len(row)) for row in rows[1:]]
    line_end = "\r\n" if "\r\n" in text else "\n"
    return Table(path, header, body, separator, data.startswith(_BOM), line_end)


def _decoded(data: bytes, path: Path) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "cp1252", "latin-1")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeError:
            continue
    raise UsageError(f"{path} is not text; export it again as CSV (UTF-8)")


def render(rows: Iterable[Sequence[str]], *, separator: str = ",", line_end: str = "\r\n") -> str:
    """CSV text of ``rows``."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, lineterminator=line_end).writerows(rows)
    return file.getvalue()


def plain_header(name: str) -> str:
    """A header without case, accents and everything that is no letter or digit: ``E-Mail-Adresse`` and
    ``Email adresse`` are the same."""
    text = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss"))
    return "".join(c for c in text if c.isalnum())


def harmless(text: str) -> str:
    """Free text that no spreadsheet runs as a formula: a ``'`` before ``=``, ``+``, ``-``, ``@``; numbers
    stay."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text.strip()) and text.strip() != "-":
        return f"'{text}"
    return text


def number(text: str) -> float | None:
    """A number with a decimal point or comma; None for anything else."""
    text = text.strip().replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
    if not _NUMBER.fullmatch(text):
        return None
    return float(text.replace(",", "."))
