"""A zip or a folder full of other people's files, read without trusting it.

Nothing is ever extracted: an entry has a clean relative path and is read into memory, bounded. What cannot be
taken (a path that leads out, a link, an encrypted or damaged file, a bomb) is one message in ``refused`` and
the rest goes on. Only an archive that cannot be read at all is an error.
"""

from __future__ import annotations

import io
import lzma
import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from autograder.errors import UsageError
from autograder.limits import Limits
from autograder.plain import plain
from autograder.submitted_files import read_small

__all__ = ["Archive", "DamagedFile", "Entry", "is_zip", "open_archive", "open_bytes", "printable"]

_MB: Final = 2**20
_UTF8_FLAG: Final = 0x800
_ENCRYPTED_FLAG: Final = 0x1
_JUNK: Final = frozenset(
    {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", "__pycache__"}
)
"""What operating systems and Jupyter leave behind: never handed in on purpose."""
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
)
"""What the standard library raises on a damaged or unsupported member."""


class DamagedFile(Exception):
    """One file cannot be read; ``str`` says why in a few words."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. ``path``: relative, NFC, without ``..``; ``size``: bytes, as the archive declares them."""

    path: PurePosixPath
    size: int
    load: Callable[[], bytes] = field(repr=False, compare=False)

    def read(self) -> bytes:
        """Its bytes.

        :raises DamagedFile: they cannot be read.
        """
        try:
            return self.load()
        except _DAMAGE as error:
            raise DamagedFile(f"cannot be unpacked ({_reason(error)})") from error


@dataclass(slots=True)
class Archive:
    """The files of an archive in a fixed order, and a message for each that is not taken."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def is_zip(name: str) -> bool:
    """Whether a file of that name is meant as a zip."""
    return name.lower().endswith(".zip")


@contextmanager
def open_archive(path: Path, limits: Limits) -> Iterator[Archive]:
    """The files of the zip or folder at ``path``; they can be read while it is open.

    :raises UsageError: it is neither, or breaks a limit as a whole.
    """
    if path.is_dir():
        yield _folder(path, limits)
    elif not path.is_file():
        raise UsageError(f"{path} is neither a zip nor a folder; name the file that you downloaded")
    else:
        with open(path, "rb") as file, _opened(file, str(path)) as zipped:
            yield _zip(zipped, str(path), limits)


@contextmanager
def open_bytes(data: bytes, name: str, limits: Limits) -> Iterator[Archive]:
    """Likewise for a zip inside an archive, called ``name``."""
    with _opened(io.BytesIO(data), name) as zipped:
        yield _zip(zipped, name, limits)


def _opened(file: BinaryIO, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise UsageError(
            f"{name} is no zip, or it is damaged ({_reason(error)}); download it again"
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, NotImplementedError):
        return "packed in a way that Python cannot unpack"
    return plain(str(error)) or type(error).__name__


def _zip(zipped: zipfile.ZipFile, name: str, limits: Limits) -> Archive:
    archive = Archive(name)
    members = [info for info in zipped.infolist() if not info.is_dir()]
    if len(members) > limits.archive_files:
        raise UsageError(
            f"{name} holds {len(members)} files, more than archive_files = {limits.archive_files}; nothing "
            "was read. If that is right, raise archive_files in [tool.autograder.limits]"
        )
    if members and all(info.flag_bits & _ENCRYPTED_FLAG for info in members):
        raise UsageError(f"{name} is encrypted; unpack it with its password and name the folder")
    for info in members:
        shown = printable(_member_name(info))
        path, problem = _clean(_member_name(info))
        problem = problem or _member_problem(info, limits)
        if problem:
            archive.refused.append(f"{shown}: {problem}")
        elif path is not None:
            archive.entries.append(Entry(path, info.file_size, partial(zipped.read, info)))
    return _checked(archive, limits)


def _member_name(info: zipfile.ZipInfo) -> str:
    """The name, in UTF-8 where it is UTF-8: many programs write it without saying so."""
    name = info.orig_filename.split("\0")[0]
    if info.flag_bits & _UTF8_FLAG:
        return name
    try:
        return name.encode("cp437").decode("utf-8")  # cp437 is what zipfile took it for
    except UnicodeError:
        return name


def _member_problem(info: zipfile.ZipInfo, limits: Limits) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & _ENCRYPTED_FLAG:
        return "is encrypted"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):  # no mode at all: made on Windows
        return "is a symbolic link" if stat.S_ISLNK(mode) else "is no ordinary file"
    if info.file_size > limits.archive_file_mb * _MB:
        return (
            f"unpacks to {info.file_size / _MB:.0f} MB, more than archive_file_mb = {limits.archive_file_mb}"
        )
    if info.file_size > _MB and info.file_size > limits.archive_ratio * max(info.compress_size, 1):
        ratio = info.file_size / max(info.compress_size, 1)
        return f"unpacks to {ratio:.0f} times its size, more than archive_ratio = {limits.archive_ratio:g}"
    return ""


def _folder(root: Path, limits: Limits) -> Archive:
    archive = Archive(str(root))
    most = limits.archive_file_mb * _MB
    seen = 0
    for folder, folders, names in os.walk(root):
        for name in list(folders):
            if (Path(folder) / name).is_symlink():  # os.walk does not follow it, and it must not be forgotten
                archive.refused.append(f"{_shown(root, Path(folder) / name)}: is a symbolic link")
        folders[:] = sorted(name for name in folders if name not in _JUNK)
        for name in sorted(names):
            place = Path(folder) / name
            seen += 1
            if seen > limits.archive_files:
                raise UsageError(
                    f"{root} holds more than archive_files = {limits.archive_files} files; nothing was read. "
                    "If that is right, raise archive_files in [tool.autograder.limits]"
                )
            path, problem = _clean(place.relative_to(root).as_posix())
            if path is None and not problem:
                continue
            status = place.lstat()
            if stat.S_ISLNK(status.st_mode):
                problem = "is a symbolic link"
            elif not stat.S_ISREG(status.st_mode):
                problem = "is no ordinary file"
            elif status.st_size > most:
                problem = (
                    f"has {status.st_size / _MB:.0f} MB, more than archive_file_mb = {limits.archive_file_mb}"
                )
            if problem:
                archive.refused.append(f"{_shown(root, place)}: {problem}")
            elif path is not None:
                archive.entries.append(Entry(path, status.st_size, partial(_read, place, most)))
    return _checked(archive, limits)


def _shown(root: Path, place: Path) -> str:
    return printable(place.relative_to(root).as_posix())


def _read(place: Path, most: int) -> bytes:
    data = read_small(place, most)
    if data is None:
        raise OSError("it cannot be read or has changed")
    return data


def _checked(archive: Archive, limits: Limits) -> Archive:
    total = sum(entry.size for entry in archive.entries)
    if total > limits.archive_mb * _MB:
        raise UsageError(
            f"{archive.name} unpacks to {total / _MB:.0f} MB, more than archive_mb = {limits.archive_mb}; "
            "nothing was read. If that is right, raise archive_mb in [tool.autograder.limits]"
        )
    archive.entries.sort(key=lambda entry: entry.path.as_posix())
    return archive


def _clean(name: str) -> tuple[PurePosixPath | None, str]:
    """A path that stays below its root, or why there is none; neither for what nobody handed in."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return None, "has an absolute name"
    if ".." in parts:
        return None, "has a name that leads out of the archive"
    if not parts or _JUNK.intersection(parts) or parts[-1].startswith("._"):
        return None, ""
    if not all(part.isprintable() for part in parts):
        return None, "has a name that cannot be printed"
    if any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts):
        return None, "has a name of more than 255 bytes"
    return PurePosixPath(*parts), ""


def printable(name: str) -> str:
    """``name`` without characters that steer a terminal, and not endless."""
    shown = plain(name).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return shown if len(shown) <= 200 else shown[:199] + "…"
