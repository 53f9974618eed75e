"""What a notebook printed, made fit to be shown: plain text and checked PNG images, both bounded.

Nothing here trusts its input: outputs come from a sandbox. Text loses terminal colours, control and
direction-changing characters; an image is shown only when it is a PNG of sane size; HTML, SVG and
JavaScript are never passed on. Escaping for HTML is the template's work (jinja2, always on).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Budget", "Shown", "clean_text", "outputs", "png", "shorten"]

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
# Everything that a browser cannot hold or that could make text read differently from what it is:
# C0 and C1 controls but tab and newline, direction overrides, lone surrogates, non-characters.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PIXELS_A_SIDE = 4000
_MAX_RAW = 1 << 20
"""Characters looked at, at most, before anything else is done with a text."""


@dataclass(slots=True)
class Budget:
    """How much one page may hold. ``text`` in characters, ``image`` in bytes; spent as the page grows."""

    text: int = 400_000
    image: int = 6 << 20


@dataclass(frozen=True, slots=True)
class Shown:
    """One output on the page. ``kind``: "text", "stderr", "error", "note" or "image" (``text`` is base64)."""

    kind: str
    text: str


def clean_text(value: object) -> str:
    """``value`` as text that a page can hold: no colours, no control characters, carriage returns applied.

    A list is joined, as nbformat allows it; anything else but a string is empty.
    """
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    if len(value) > _MAX_RAW:
        value = value[: _MAX_RAW // 2] + "\n…\n" + value[-_MAX_RAW // 2 :]
    text = _ANSI.sub("", value).replace("\r\n", "\n")
    if "\r" in text:  # a progress bar: what a terminal would show in the end
        text = "\n".join(_last_overprint(line) for line in text.split("\n"))
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def _last_overprint(line: str) -> str:
    return next((part for part in reversed(line.split("\r")) if part), "")


def shorten(text: str, limit: int, *, tail: float = 0.3) -> str:
    """``text`` cut to ``limit`` characters: its head, a line that says how much is left out, its tail."""
    if len(text) <= limit:
        return text
    end = int(limit * tail)
    head = text[: limit - end].rstrip()
    rest = text[len(text) - end :] if end else ""
    return f"{head}\n… {len(text) - limit:,} characters left out …\n{rest}".rstrip()


def png(value: object, limit: int) -> str | None:
    """The base64 text of a PNG as we encode it ourselves, or None when ``value`` is not a sane PNG.

    ``limit`` bounds its size in bytes.
    """
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str) or len(value) > limit * 4 // 3 + 10_000:
        return None
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) > limit or len(data) < 45 or not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR":
        return None
    sides = (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    if not all(0 < side <= _MAX_PIXELS_A_SIDE for side in sides):
        return None
    return base64.b64encode(data).decode("ascii")


def outputs(claimed: Iterable[Mapping[str, Any]], budget: Budget, *, limit: int = 8_000) -> list[Shown]:
    """nbformat outputs as they may be shown; ``limit`` characters each, not more than ``budget`` has."""
    shown: list[Shown] = []
    for output in claimed:
        item = _output(output, budget)
        if item is None:
            continue
        if item.kind != "image":
            item = Shown(item.kind, shorten(item.text, max(200, min(limit, budget.text))))
            budget.text -= len(item.text)
        shown.append(item)
        if budget.text <= 0:
            shown.append(
                Shown("note", "The rest of the output is left out here: it was too much for one page.")
            )
            break
    return shown


def _output(output: Mapping[str, Any], budget: Budget) -> Shown | None:
    kind = output.get("output_type")
    if kind == "stream":
        text = clean_text(output.get("text")).strip("\n")
        return Shown("stderr" if output.get("name") == "stderr" else "text", text) if text else None
    if kind == "error":
        return _error(output)
    data = output.get("data")
    if kind not in ("display_data", "execute_result") or not isinstance(data, Mapping):
        return None
    if "image/png" in data:
        image = png(data["image/png"], min(budget.image, 2 << 20))
        if image is not None:
            budget.image -= len(image) * 3 // 4
            return Shown("image", image)
    text = clean_text(data.get("text/plain")).strip("\n")
    if text:
        return Shown("text", text)
    kinds = ", ".join(sorted(shorten(clean_text(mime), 40) for mime in list(data)[:5]))
    return Shown("note", f"An output of type {kinds} is not shown on this page.") if kinds else None


def _error(output: Mapping[str, Any]) -> Shown:
    trace = output.get("traceback")
    text = (
        clean_text("\n".join(line for line in trace if isinstance(line, str)))
        if isinstance(trace, list)
        else ""
    )
    if not text.strip():
        text = f"{clean_text(output.get('ename'))}: {clean_text(output.get('evalue'))}"
    return Shown("error", text.strip("\n"))
