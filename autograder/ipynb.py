"""Reading ``.ipynb`` files that someone else wrote.

Nothing in a file is believed: size before reading, no links or pipes, JSON of any depth, cells and metadata
of any type. What comes out of :func:`parse` has one shape (see there), so that no other module has to ask.
Every failure is a :class:`~autograder.errors.NotebookError` whose text tells the student what to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from autograder.errors import NotebookError
from autograder.limits import Limits

__all__ = ["GENERATED_ID", "parse", "read", "read_bytes", "sha256", "text_of", "unused_id"]

_AGAIN = "Open it in Jupyter, check that it shows your work, save it, and submit it again."
_CELL_TYPES = ("code", "markdown", "raw")
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
GENERATED_ID = "position-"
"""Start of the ids given to cells that came without a valid one: they say nothing about identity."""
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_MAX_KEYS = 64
"""nbgrader's cell metadata have nine keys; more than this is junk."""
_MAX_TEXT = 1024
"""Characters of one metadata value or attachment name."""
_MAX_CONTAINERS = 3_000_000
"""Brackets in a file: each costs 64 bytes of memory for 1 byte of text."""
_MAX_DIGITS = 300
"""Longer integers would be slow to convert, and mean nothing in a notebook."""


def sha256(data: bytes) -> str:
    """Hex digest of a notebook file's bytes, as stored in reports."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path, limits: Limits) -> dict[str, Any]:
    """:func:`parse` of :func:`read_bytes`."""
    return parse(read_bytes(path, limits), limits)


def read_bytes(path: Path, limits: Limits) -> bytes:
    """Bytes of a regular file of at most ``limits.notebook_mb``; a link at ``path`` is not followed."""
    name = path.name
    # O_NONBLOCK: opening a pipe must not wait for a writer. O_NOFOLLOW: a link may point at a secret.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise NotebookError(
            f"{name} is missing from the submission. Submit it again under exactly this name."
        ) from None
    except (OSError, ValueError) as error:
        if path.is_symlink():
            raise NotebookError(
                f"{name} is a symbolic link, which is not followed. Submit the notebook itself."
            ) from None
        reason = getattr(error, "strerror", None) or error
        raise NotebookError(f"{name} cannot be opened ({reason}). Submit the notebook again.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            raise NotebookError(f"{name} is {kind}, not a notebook. Submit the .ipynb file itself.")
        _check_size(status.st_size, limits)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(int(limits.notebook_mb * 2**20) + 1)
    except OSError as error:
        raise NotebookError(f"{name} cannot be read ({error.strerror}). Submit it again.") from None
    finally:
        os.close(descriptor)
    _check_size(len(data), limits)  # it may have grown
    return data


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.notebook_mb * 2**20:
        raise NotebookError(
            f"the file has {size / 2**20:.1f} MiB, more than the {limits.notebook_mb:g} MiB that are read. "
            "In Jupyter choose Edit > Clear Outputs of All Cells, save, and submit it again."
        )


def parse(data: bytes, limits: Limits) -> dict[str, Any]:
    """The notebook in ``data`` as a plain nbformat 4.5 dict that holds only what grading needs.

    Cells have ``id`` (valid and unique), ``cell_type`` (code, markdown or raw), ``source`` (str that can
    be encoded), ``metadata`` (``nbgrader``: a flat dict of scalars, if there was one); code cells empty
    ``outputs`` (they are computed again) and no ``execution_count``; text cells their PNG, JPEG and GIF
    ``attachments``. Raises :class:`~autograder.errors.NotebookError`.
    """
    _check_size(len(data), limits)
    if data.count(b"[") + data.count(b"{") > _MAX_CONTAINERS:
        raise NotebookError(f"the file holds too many lists to be a notebook. {_AGAIN}")
    content = _load_json(_decode(data))
    if not isinstance(content, dict):
        raise NotebookError(f"the file is JSON but not a notebook: it holds a {_kind(content)}. {_AGAIN}")
    cells = _cells_of(content)
    if len(cells) > limits.notebook_cells:
        raise NotebookError(
            f"the notebook has {len(cells)} cells, more than the {limits.notebook_cells} that are graded. "
            "Delete the cells that you do not need and submit it again."
        )
    clean: list[dict[str, Any]] = []
    ids: set[str] = set()
    for index, cell in enumerate(cells):
        if isinstance(cell, dict):
            clean.append(_clean_cell(cell, index, ids))
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": _clean_metadata(content), "cells": clean}


def _decode(data: bytes) -> str:
    if not data.strip(b"\0\t\r\n "):
        raise NotebookError(
            "the file is empty. Download your notebook from Jupyter (File > Download) and submit it again."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotebookError(
            f"the file is not UTF-8 text (first bad byte at position {error.start}): it is no notebook, or "
            f"another program has converted it. {_AGAIN}"
        ) from None


def _integer(digits: str) -> float | int:
    return int(digits) if len(digits) <= _MAX_DIGITS else 0


def _load_json(text: str) -> object:
    try:
        return json.loads(text, parse_int=_integer, parse_constant=lambda name: None)
    except RecursionError:
        raise NotebookError(f"the file is nested too deeply to be a notebook. {_AGAIN}") from None
    except json.JSONDecodeError as error:
        _explain(text, error)


def _explain(text: str, error: json.JSONDecodeError) -> NoReturn:
    """Say in the student's words why ``text`` is not JSON."""
    start = text.lstrip()[:200].lower()
    where = f"line {error.lineno}, column {error.colno}"
    if start.startswith(("<!doctype", "<html")):
        raise NotebookError(
            "the file is a web page, not a notebook: the page that shows the notebook was saved. "
            "Download the .ipynb file itself (File > Download) and submit it again."
        )
    if re.search(r"^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
        raise NotebookError(
            "the file has Git conflict markers (<<<<<<<) in it: two versions were merged by half. "
            "Choose one version, check that it opens in Jupyter, and submit it again."
        )
    rest = text[error.pos :].strip()
    if start.startswith("{") and (not rest or "Unterminated string" in error.msg):
        raise NotebookError(
            f"the file ends in the middle ({where}): its download or upload was cut off, or the disk was "
            "full. Download your notebook again, check that it opens in Jupyter, and submit it again."
        )
    raise NotebookError(f"the file is no notebook: it is not valid JSON ({where}: {error.msg}). {_AGAIN}")


def _kind(value: object) -> str:
    return {list: "list", str: "text", bool: "truth value", type(None): "null"}.get(type(value), "number")


def _cells_of(content: dict[str, Any]) -> list[Any]:
    """The list of cells of a notebook of any version."""
    major = content.get("nbformat", 4 if "cells" in content else None)
    if type(major) is not int or major < 1:
        raise NotebookError(f"the file is JSON but not a notebook (it does not say its nbformat). {_AGAIN}")
    if major > 4:
        raise NotebookError(
            f"the notebook has nbformat {str(major)[:12]}, which is newer than the 4 that is read here. "
            "Save it with the course's version of Jupyter and submit it again."
        )
    if major < 4:
        content = _upgrade(content, major)
    cells = content.get("cells")
    if not isinstance(cells, list):
        raise NotebookError(f"the notebook has no list of cells. {_AGAIN}")
    return cells


def _upgrade(content: dict[str, Any], major: int) -> dict[str, Any]:
    import nbformat  # here: it takes 0.1 s and few notebooks are that old

    try:
        # from_dict and convert expect well-formed input and raise whatever they run into
        node = nbformat.from_dict(content)  # type: ignore[no-untyped-call]  # nbformat: untyped
        upgraded = nbformat.convert(node, 4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise NotebookError(
            f"the notebook has the old nbformat {major} and cannot be upgraded ({type(error).__name__}). "
            "Open it in a current Jupyter, save it, and submit it again."
        ) from None
    return dict(upgraded)


def text_of(value: object) -> str:
    """A cell's ``source`` as one string that can be encoded; what is not text counts as empty."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value
    # JSON may hold half a surrogate pair, which no file, socket or database would take
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _clean_cell(cell: dict[str, Any], index: int, ids: set[str]) -> dict[str, Any]:
    kind = cell.get("cell_type")
    if kind not in _CELL_TYPES:
        kind = "code" if "outputs" in cell else "raw"
    identity = cell.get("id")
    if not isinstance(identity, str) or not _CELL_ID.fullmatch(identity) or identity in ids:
        identity = unused_id(f"{GENERATED_ID}{index}", ids)
    ids.add(identity)
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    clean: dict[str, Any] = {
        "id": identity,
        "cell_type": kind,
        "metadata": {"nbgrader": _scalars(nbgrader)} if isinstance(nbgrader, dict) else {},
        "source": text_of(cell.get("source")),
    }
    if kind == "code":
        clean |= {"execution_count": None, "outputs": []}
    elif attachments := _clean_attachments(cell.get("attachments")):
        clean["attachments"] = attachments
    return clean


def unused_id(wish: str, taken: set[str]) -> str:
    """``wish``, or it with the first free number behind it."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}-{number}"
    return name


def _scalars(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """The entries of ``mapping`` that are short text, a truth value or a finite number."""
    kept: dict[str, Any] = {}
    for key, value in list(mapping.items())[:_MAX_KEYS]:
        if isinstance(value, str):
            value = text_of(value)
            good = len(value) <= _MAX_TEXT
        else:
            good = isinstance(value, (bool, int)) or (isinstance(value, float) and isfinite(value))
        if good and len(key) <= _MAX_TEXT:
            kept[text_of(key)] = value
    return kept


def _clean_attachments(value: object) -> dict[str, dict[str, str]]:
    """Pictures pasted into a text cell: name to image type to base64. Anything that could carry code goes."""
    if not isinstance(value, dict):
        return {}
    kept: dict[str, dict[str, str]] = {}
    for name, bundle in value.items():
        if not isinstance(bundle, dict) or len(name) > _MAX_TEXT:
            continue
        images = {kind: text_of(bundle[kind]) for kind in _IMAGE_TYPES if kind in bundle}
        images = {kind: data for kind, data in images.items() if data and _BASE64.fullmatch(data)}
        if images:
            kept[text_of(name)] = images
    return kept


def _clean_metadata(content: dict[str, Any]) -> dict[str, Any]:
    """Notebook metadata reduced to the kernel's name and language."""
    metadata = content.get("metadata")
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    if not isinstance(spec, dict):
        return {}
    known = _scalars({key: spec[key] for key in ("name", "display_name", "language") if key in spec})
    if "name" not in known:
        return {}
    return {"kernelspec": {"display_name": str(known["name"])} | {key: str(known[key]) for key in known}}
