"""The corpus as data: every attack is a table ``[[attack]]`` in a TOML file of ``cases/``.

::

    [[attack]]
    name = "signal_to_everyone"
    tries = "SIGKILL to every process that it may signal"
    stopped_by = "process namespace"
    kind = "cell"
    code = "import os; os.kill(-1, 9)"
    outcomes = ["HOSTILE"]

``kind`` says where the code goes and when the attack has failed:

``probe``   a cell that defines ``attack()``; it must raise an OSError or give something false. Some share a
            notebook.
``answer``  the solution cell of an attacked task, ``ANSWER`` being the name of the checked function; or
            ``value``, an expression that this function returns. The task must get ``score`` (0) points.
``cell``    a cell of its own, before the attacked tasks, whose outcome must be one of ``outcomes``.
``file``    ``make`` names a function of :mod:`tests.attacks.files` that gives the bytes of the whole file.

In every case the honest tasks before and behind must keep their points (``honest = [2, 2]``; with
``at_least`` they may keep more than it says), nothing may end
as ``ENGINE_ERROR``, the whole notebook must be done ``limit_s + 2`` seconds after its start, and the host
must be as it was. ``outcomes`` are of the attacked task for ``answer`` and of the notebook for ``file``;
``says`` must stand in one of its messages. ``alone`` keeps an attack out of shared notebooks, ``chains``
names those chains in which it must fail (default: both), ``limits`` changes
:class:`autograder.limits.Limits`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Attack", "load_all"]

_FOLDER = Path(__file__).with_name("cases")
_CHAINS = ("privileged", "unprivileged")


@dataclass(frozen=True)
class Attack:
    """One attack, see the module."""

    name: str
    category: str
    tries: str
    stopped_by: str
    kind: str
    code: str = ""
    make: str = ""
    outcomes: tuple[str, ...] = ()
    score: float = 0.0
    honest: tuple[float, float] = (2.0, 2.0)
    at_least: bool = False
    says: str = ""
    alone: bool = False
    limit_s: float = 0.0
    limits: Mapping[str, float] = field(default_factory=dict)
    chains: tuple[str, ...] = _CHAINS

    @property
    def shares(self) -> bool:
        """Whether it may stand in one notebook with others."""
        return not self.alone and not self.limits and self.kind in ("probe", "answer")


def load_all() -> list[Attack]:
    """Every attack of the corpus."""
    attacks = [
        _attack(path.stem, table)
        for path in sorted(_FOLDER.glob("*.toml"))
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["attack"]
    ]
    names = [attack.name for attack in attacks]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(f"attacks with one name: {', '.join(double)}")
    return attacks


def _attack(category: str, table: dict[str, Any]) -> Attack:
    table = dict(table)
    if "value" in table:
        table["code"] = f"{table.pop('setup', '')}\ndef ANSWER(a, b):\n    return {table.pop('value')}"
        table.setdefault("kind", "answer")
    for name in ("outcomes", "honest", "chains"):
        if name in table:
            table[name] = tuple(table[name])
    try:
        return Attack(category=category, **table)
    except TypeError as error:
        raise ValueError(f"{category}: {table.get('name')}: {error}") from error
