"""Whose each file of a download is: one function a platform, from names alone.

Sources of the layouts, all of them public code:

- Moodle: ``mod/assign/classes/downloader.php`` (``load_submissionplugin_filelist``) and its way back,
  ``mod/assign/feedback/file/importziplib.php`` (both spellings of the folder, with and without a last ``_``).
- Canvas: ``lib/content_zipper.rb`` (``get_filename``, ``add_upload_submission``) and
  ``Attachment.make_unique_filename`` in ``app/models/attachment.rb`` (the ``-1``).
- ILIAS: ``Modules/Exercise/classes/class.ilExSubmission.php`` (``downloadAllAssignmentFiles``),
  ``class.ilExerciseManagementCollectFilesJob.php`` (the folder ``Abgaben``), and for multi-feedback
  ``Modules/Exercise/Assignment/class.ilExAssignment.php``; since ILIAS 10 below ``components/ILIAS``.
- a folder: nbgrader's own ``submitted/<student>/<assignment>/``, and what people do by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import PurePosixPath
from typing import Final

from autograder.lms import times
from autograder.lms.archives import DamagedFile, Entry

__all__ = ["PLATFORMS", "Context", "Handed", "Owner", "Reading", "read_layout"]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file is, as the platform says it. ``label``: in the platform's words, for people.

    ``number``: Moodle's participant, ILIAS's or Canvas's user; empty where the platform gives none.
    """

    label: str
    name: str = ""
    login: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Handed:
    """One file of one owner. ``name``: its path without what the platform put before it.

    ``version``: of two files of the same name, the later one is greater; empty where the platform does not
    say.
    """

    owner: Owner
    entry: Entry
    name: PurePosixPath
    version: tuple[int, ...] = ()
    time: datetime | None = None
    late: bool = False


@dataclass(slots=True)
class Reading:
    """``ignored``: not handed in as a file, with the reason; ``unknown``: a file that could be anybody's."""

    handed: list[Handed] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unknown: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Context:
    """What names are read with: the assignment, its notebooks (``ex1`` of ``ex1.ipynb``), the ids of the
    roster in small letters, and the time zone of the platform (None: of this machine)."""

    assignment: str
    notebooks: Sequence[str]
    known: frozenset[str] = frozenset()
    local: tzinfo | None = None


def read_layout(platform: str, entries: Sequence[Entry], context: Context) -> Reading:
    """Sort ``entries`` of a download of ``platform``, one of :data:`PLATFORMS`."""
    reading = Reading()
    _READERS[platform](entries, context, reading)
    return reading


# -- Moodle

_MOODLE: Final = re.compile(
    r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(?P<plugin>[a-z0-9]+)(?:_(?P<file>.*))?"
)


def _moodle(entries: Sequence[Entry], context: Context, reading: Reading) -> None:
    texts = 0
    for entry in entries:
        matches = [(depth, _MOODLE.fullmatch(part)) for depth, part in enumerate(entry.path.parts)]
        depth, found = next(((depth, found) for depth, found in matches if found), (0, None))
        if found is None:
            reading.unknown.append(entry)
            continue
        if found["plugin"] == "onlinetext":
            texts += 1
            continue
        rest = (*([found["file"]] if found["file"] else []), *entry.path.parts[depth + 1 :])
        if found["plugin"] != "file" or not rest:
            reading.ignored.append(f"{entry.path}: a submission of the kind {found['plugin']!r}, not a file")
            continue
        owner = Owner(found["name"], name=found["name"], number=found["number"])
        reading.handed.append(Handed(owner, entry, PurePosixPath(*rest)))
    if texts:
        reading.ignored.append(f"{texts} online texts (assignsubmission_onlinetext): only files are graded")


# -- Canvas

_CANVAS: Final = re.compile(r"(?P<name>.*?)(?P<late>_LATE)?_(?P<number>\d+)_(?P<attachment>\d+)_(?P<file>.+)")
_CANVAS_ANONYMOUS: Final = re.compile(
    r"(?P<late>LATE_)?anon_(?P<number>[A-Za-z0-9]+)_(?P<attachment>\d+)_(?P<file>.+)"
)
_CANVAS_TEXT: Final = re.compile(r".*_(?:\d+|anon_[A-Za-z0-9]+)_(?:text|link)\.html")


def _canvas(entries: Sequence[Entry], context: Context, reading: Reading) -> None:
    texts = 0
    for entry in entries:
        anonymous = _CANVAS_ANONYMOUS.fullmatch(entry.path.name)
        found = anonymous or _CANVAS.fullmatch(entry.path.name)
        if found is None and _CANVAS_TEXT.fullmatch(entry.path.name):
            texts += 1
        elif found is None:
            reading.unknown.append(entry)
        else:
            name = "" if anonymous else found["name"]
            owner = Owner(f"{name or 'anonymous'} ({found['number']})", name=name, number=found["number"])
            version = (int(found["attachment"]),)  # ids of uploads grow
            late = found["late"] is not None
            reading.handed.append(Handed(owner, entry, PurePosixPath(found["file"]), version, late=late))
    if texts:
        reading.ignored.append(
            f"{texts} text entries or links (…_text.html, …_link.html): only files are graded"
        )


# -- ILIAS

_ANSWERS: Final = (".ipynb", ".zip", ".py")
_ILIAS_OWNER: Final = re.compile(r"(?P<names>.+_.*)_(?P<login>[^_]+)_(?P<number>\d+)")
_ILIAS_TIME: Final = re.compile(r"(\d{14})_(.+)")
_ILIAS_LATE: Final = re.compile(r"(?:versp(?:ä|ae|a|_+)tete|late)\b[^-]{0,30}- ", re.IGNORECASE)
_COPY: Final = re.compile(r"(?P<stem>.+) \((?P<number>\d+)\)(?P<ext>\.[^.]*)?")


def _ilias(entries: Sequence[Entry], context: Context, reading: Reading) -> None:
    titles = _titles(entries)
    for entry in entries:
        folders = entry.path.parts[:-1]
        begin = 1 if folders and folders[0] in titles else 0
        # The first one counts: further down it is a folder that the student has named.
        matches = [(depth, _ILIAS_OWNER.fullmatch(part)) for depth, part in enumerate(folders)][begin:]
        depth, found = next(((depth, found) for depth, found in matches if found), (0, None))
        listed = found is None and entry.path.suffix.lower() not in _ANSWERS
        if "Feedback_files" in folders or listed:
            reading.ignored.append(f"{entry.path}: a list or a peer's feedback, put there by ILIAS")
            continue
        if found is None:
            reading.unknown.append(entry)
            continue
        owner = Owner(found[0], found["names"].replace("_", " "), found["login"], found["number"])
        *inner, name = entry.path.parts[depth + 1 :]
        late = _ILIAS_LATE.match(name)
        name = name[late.end() :] if late else name
        time = None
        if dated := _ILIAS_TIME.fullmatch(name):
            time, name = times.parse(dated[1], context.local), dated[2]
        copy = _COPY.fullmatch(name)
        version = (int(time.timestamp()) if time else 0, int(copy["number"]) if copy else 1)
        path = PurePosixPath(*inner, name)
        reading.handed.append(Handed(owner, entry, path, version, time, late is not None))


def _titles(entries: Sequence[Entry]) -> set[str]:
    """Outermost folders that are an exercise's title, which may look like a person: ``Blatt_1_Tensor_17``."""
    below: dict[str, set[str]] = {}
    for entry in entries:
        below.setdefault(entry.path.parts[0], set()).update(entry.path.parts[1:2])
    return {
        top
        for top, inner in below.items()
        if top.startswith("multi_feedback")
        or inner & {"Abgaben", "Submissions"}
        or (len(below) == 1 and sum(_ILIAS_OWNER.fullmatch(name) is not None for name in inner) > 1)
    }


# -- a folder

_NOTEBOOK: Final = ".ipynb"


def _folder(entries: Sequence[Entry], context: Context, reading: Reading) -> None:
    entries, prefix = _unwrapped(entries, context)
    dated: dict[str, datetime | None] = {}
    for entry in entries:
        parts = entry.path.parts[prefix:]
        if len(parts) == 1:
            _flat(entry, parts[0], context, reading)
            continue
        student, inner = parts[0], parts[1:]
        if inner[0] == context.assignment and len(inner) > 1:
            inner = inner[1:]
        if inner == ("timestamp.txt",):  # nbgrader's, put there by the instructor
            with suppress(DamagedFile):
                dated[student] = times.parse(entry.read()[:200].decode("utf-8", "replace"), UTC)
            continue
        reading.handed.append(Handed(Owner(student, login=student), entry, PurePosixPath(*inner)))
    if dated:
        reading.handed = [
            Handed(item.owner, item.entry, item.name, item.version, dated.get(item.owner.label), item.late)
            for item in reading.handed
        ]


def _unwrapped(entries: Sequence[Entry], context: Context) -> tuple[Sequence[Entry], int]:
    """How many leading folders are only a wrapping around the students' folders."""
    tops = {entry.path.parts[0] for entry in entries}
    inner = {entry.path.parts[1] for entry in entries if len(entry.path.parts) > 1}
    if len(tops) != 1 or any(len(entry.path.parts) == 1 for entry in entries):
        return entries, 0
    (top,) = tops
    if top.lower() in context.known or context.assignment in inner:
        return entries, 0
    if any(name.lower() in context.known for name in inner):
        return entries, 1
    # Without a roster: several folders, or several files that name a student, are a class.
    folders = {entry.path.parts[1] for entry in entries if len(entry.path.parts) > 2}
    named = {student for name in inner if (student := _student_before(name, context))}
    return entries, 1 if len(folders | named) > 1 else 0


def _flat(entry: Entry, name: str, context: Context, reading: Reading) -> None:
    """``<student>_<file>``: before the assignment's notebook, or before the rest of a name of the roster."""
    student = _student_before(name, context)
    if student:
        reading.handed.append(
            Handed(Owner(student, login=student), entry, PurePosixPath(name[len(student) + 1 :]))
        )
    else:
        reading.unknown.append(entry)


def _student_before(name: str, context: Context) -> str:
    lower = name.lower()
    for notebook in sorted(context.notebooks, key=len, reverse=True):
        for mark in "_-":
            end = f"{mark}{notebook.lower()}{_NOTEBOOK}"
            if lower.endswith(end) and len(lower) > len(end):
                return name[: -len(end)]
    fitting = [known for known in context.known if lower.startswith((f"{known}_", f"{known}-"))]
    return name[: len(max(fitting, key=len))] if fitting else ""


_READERS: Final[Mapping[str, Callable[[Sequence[Entry], Context, Reading], None]]] = {
    "moodle": _moodle,
    "ilias": _ilias,
    "canvas": _canvas,
    "folder": _folder,
}
PLATFORMS: Final = tuple(_READERS)
"""What ``autograder collect --from`` reads."""
