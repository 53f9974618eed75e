"""docs/performance.md: each benchmark replaces its own section between two comments; the words stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.courses import ROOT

__all__ = ["FOLDER", "keep", "kept", "number", "replace_section", "table"]

PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"


def keep(name: str, data: dict[str, Any]) -> None:
    """Write what was measured as ``docs/performance/NAME.json``."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def kept(name: str) -> dict[str, Any]:
    """What :func:`keep` wrote; nothing where there is none yet."""
    path = FOLDER / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def replace_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put ``text`` between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    before, _, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->")
    _, mark, after = rest.partition(f"<!-- /{name} -->")
    if not mark:
        raise SystemExit(f"{page} has no section {name}: add <!-- {name} --> and <!-- /{name} -->")
    page.write_text(f"{before}<!-- {name} -->\n\n{text.strip()}\n\n<!-- /{name} -->{after}", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits: 0.0123, 1.23, 12.3, 123, 1,230."""
    if value is None:
        return "–"
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 1 else f"{value:#.3g}"
    return f"{digits.rstrip('.')}{' ' + unit if unit else ''}"
