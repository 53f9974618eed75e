"""Of all that one student handed in: which file is which notebook, what goes with it, what is older.

The file named as the assignment's notebook is it, whatever a browser, Colab or a platform added to the name
(``Copy of ex1.ipynb``, ``ex1 (2).ipynb``, ``ex1-1.ipynb``); else the only notebook there is. Of several
versions the latest counts. Two files that could both be it, with nothing that says which is later, are a
question for the instructor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from autograder.errors import UsageError
from autograder.limits import Limits
from autograder.lms.archives import DamagedFile, is_zip, open_bytes, printable
from autograder.lms.layouts import Handed

__all__ = ["Choice", "choose"]

_NOTEBOOK: Final = ".ipynb"
_COPY_BEFORE: Final = re.compile(r"(?i)^(?:copy[ _]of|kopie[ _]von)[ _]+")
_COPY_AFTER: Final = re.compile(
    r"(?i)(?:[ _]*\(\d+\)|-\d+|[ _]*-[ _]*(?:copy|kopie)(?:[ _]*\(?\d+\)?)?|[ _-](?:copy|kopie)\d*)$"
)
_OTHER_FILE_MB: Final = 16
_OTHER_FILES: Final = 200
"""What :mod:`autograder.submitted_files` reads beside a notebook."""
_OTHER_ARCHIVES: Final = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")


@dataclass(slots=True)
class Choice:
    """``files``: what goes into the submission, by path; empty when there is no notebook, and ``problem``
    says why. ``notes``: what the instructor should know. ``version`` and ``time`` are those of the
    notebooks."""

    files: dict[PurePosixPath, bytes] = field(default_factory=dict)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    version: tuple[int, ...] = ()
    time: datetime | None = None
    late: bool = False


def choose(handed: Sequence[Handed], notebooks: Sequence[str], limits: Limits) -> Choice:
    """Pick from ``handed``, all of one student; ``notebooks`` are the assignment's, without ``.ipynb``."""
    choice = Choice(late=any(item.late for item in handed))
    with ExitStack() as opened:
        files = _unpacked(list(handed), choice, limits, opened)
        if not choice.problem:
            _pick(files, notebooks, choice)
    if choice.problem:
        choice.files.clear()
    return choice


# -- zips in the archive


def _unpacked(handed: list[Handed], choice: Choice, limits: Limits, opened: ExitStack) -> list[Handed]:
    """``handed``, with the files of a zip in its place where no notebook lies beside it."""
    zips = [item for item in handed if is_zip(item.name.name)]
    if not zips or any(_is_notebook(item) for item in handed):
        return handed
    others = [item for item in handed if item not in zips]
    for items in _by(zips, lambda item: _base(item.name.stem)):
        item, *older = sorted(items, key=lambda item: item.version, reverse=True)
        if older and item.version == older[0].version:
            older = []
            wanted = items
        else:
            wanted = [item]
        choice.notes += [f"older: {printable(str(one.entry.path))}" for one in older]
        for one in wanted:
            others += _inside(one, choice, limits, opened)
    return others


def _inside(item: Handed, choice: Choice, limits: Limits, opened: ExitStack) -> list[Handed]:
    shown = printable(str(item.name))
    try:
        archive = opened.enter_context(open_bytes(item.entry.read(), shown, limits))
    except UsageError as error:
        choice.problem = str(error).replace("download it again", "ask for it again")
        return []
    except DamagedFile as error:
        choice.problem = f"{shown} {error}"
        return []
    choice.notes.append(f"unpacked {shown}")
    choice.notes += [f"in {shown}: {refusal}" for refusal in archive.refused]
    return [replace(item, entry=entry, name=entry.path) for entry in archive.entries]


# -- notebooks


def _pick(files: list[Handed], notebooks: Sequence[str], choice: Choice) -> None:
    mine = [item for item in files if _is_notebook(item)]
    chosen: dict[str, Handed] = {}
    for name in notebooks:
        for fits in (_is_named, _mentions):
            fitting = [item for item in mine if fits(item, name) and item not in chosen.values()]
            if fitting:
                found = _latest(fitting, choice)
                if found is None:
                    return
                chosen[name] = found
                break
    free = [item for item in mine if item not in chosen.values()]
    if not chosen and len(notebooks) == 1 and len({_base(item.name.stem) for item in free}) == 1:
        found = _latest(free, choice)
        if found is None:
            return
        chosen[notebooks[0]] = found
        choice.notes.append(
            f"the only notebook, {printable(found.name.name)}, taken for {notebooks[0]}.ipynb"
        )
    if not chosen:
        choice.problem = _nothing(files, mine, notebooks)
        return
    if missing := [name for name in notebooks if name not in chosen]:
        choice.notes.append(f"without {', '.join(f'{name}.ipynb' for name in missing)}")
    choice.version = max(item.version for item in chosen.values())
    times = [item.time for item in chosen.values() if item.time]
    choice.time = max(times) if times else None
    choice.late = any(item.late for item in chosen.values())
    for name, item in chosen.items():
        data = _read(item, choice)
        if data is None:
            choice.problem = choice.notes.pop()
            return
        choice.files[PurePosixPath(f"{name}{_NOTEBOOK}")] = data
    _add_others(files, chosen, choice)


def _is_notebook(item: Handed) -> bool:
    return item.name.suffix.lower() == _NOTEBOOK


def _base(stem: str) -> str:
    """A file's name without what copying it added."""
    stem = _COPY_BEFORE.sub("", stem.strip())
    while (shorter := _COPY_AFTER.sub("", stem)) != stem and shorter:
        stem = shorter
    return stem.casefold()


def _is_named(item: Handed, notebook: str) -> bool:
    return notebook.casefold() in (item.name.stem.casefold(), _base(item.name.stem))


def _mentions(item: Handed, notebook: str) -> bool:
    """``mueller_ex1.ipynb`` for ``ex1``, not ``ex10.ipynb``."""
    pattern = rf"(?<![^\W_]){re.escape(notebook.casefold())}(?![^\W_])"
    return re.search(pattern, item.name.stem.casefold()) is not None


def _latest(items: list[Handed], choice: Choice) -> Handed | None:
    """The one that counts of ``items``, all of which could be the same notebook."""
    latest = max(item.version for item in items)
    best = [item for item in items if item.version == latest]
    if (
        len(best) > 1
    ):  # nothing says which is later: the plainer name in the upper folder, if there is just one
        best.sort(key=_plainness)
        if _plainness(best[0]) == _plainness(best[1]) and not _same_content(best):
            names = ", ".join(printable(str(item.name)) for item in best)
            choice.problem = f"which of these counts? {names}"
            return None
    word = "older" if latest else "not taken"
    choice.notes += [f"{word}: {printable(str(item.entry.path))}" for item in items if item is not best[0]]
    return best[0]


def _plainness(item: Handed) -> tuple[int, int]:
    return len(item.name.parts), len(item.name.stem) - len(_base(item.name.stem))


def _same_content(items: Iterable[Handed]) -> bool:
    try:
        return len({item.entry.read() for item in items}) == 1
    except DamagedFile:
        return False


def _nothing(files: Sequence[Handed], mine: Sequence[Handed], notebooks: Sequence[str]) -> str:
    if mine:
        names = ", ".join(sorted(printable(str(item.name)) for item in mine)[:5])
        return f"none of its {len(mine)} notebooks is named like {' or '.join(notebooks)}: {names}"
    packed = [item.name.name for item in files if item.name.suffix.lower() in _OTHER_ARCHIVES]
    if packed:
        return f"no notebook; {printable(packed[0])} is not unpacked: ask for the .ipynb file"
    names = ", ".join(sorted(printable(str(item.name)) for item in files)[:3])
    return f"no notebook among its files: {names}" if names else "no notebook: the zip is empty"


# -- the other files


def _add_others(files: Sequence[Handed], chosen: dict[str, Handed], choice: Choice) -> None:
    """What lies beside the notebooks, at the place that it had from there."""
    home = min((item.name.parent for item in chosen.values()), key=lambda path: len(path.parts))
    taken: dict[PurePosixPath, Handed] = {}
    for item in sorted(files, key=lambda item: item.version):
        path = item.name.relative_to(home) if item.name.is_relative_to(home) else item.name
        if item in chosen.values() or any(part.startswith(".") for part in path.parts):
            continue
        if path.name == "timestamp.txt" and len(path.parts) == 1:
            choice.notes.append("timestamp.txt was left out: nbgrader would believe it")
        elif path in choice.files or any(_is_named(item, name) for name in chosen if _is_notebook(item)):
            continue  # an older or another version of a notebook, which is in the notes
        else:
            taken[path] = item
    for path, item in sorted(taken.items()):
        shown = printable(str(path))
        if len(choice.files) - len(chosen) >= _OTHER_FILES:
            choice.notes.append(
                f"left in the archive, more than {_OTHER_FILES} files: {shown} and what follows"
            )
            return
        if any(parent in choice.files for parent in path.parents) or any(
            path in other.parents for other in choice.files
        ):
            choice.notes.append(f"left in the archive, a file and a folder of one name: {shown}")
        elif item.entry.size > _OTHER_FILE_MB * 2**20:
            choice.notes.append(f"left in the archive, more than {_OTHER_FILE_MB} MB: {shown}")
        elif (data := _read(item, choice)) is not None:
            choice.files[path] = data


def _read(item: Handed, choice: Choice) -> bytes | None:
    try:
        return item.entry.read()
    except DamagedFile as error:
        choice.notes.append(f"{printable(str(item.name))} {error}")
        return None


def _by(items: Sequence[Handed], key: object) -> list[list[Handed]]:
    assert callable(key)
    groups: dict[object, list[Handed]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
