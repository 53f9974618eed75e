"""Downloads as the platforms make them, written by hand from the sources that docs/platforms.md names."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from autograder.config import Config
from autograder.limits import Limits
from autograder.lms.archives import open_archive
from autograder.lms.layouts import Context, Reading, read_layout
from tests.support_nbgrader import code, notebook, write

__all__ = ["answer", "course", "make_zip", "placed", "reading", "zip_bytes"]


def answer(tag: str) -> bytes:
    """A notebook that says whose it is."""
    return json.dumps(notebook([code(f"# {tag}")])).encode()


def course(root: Path, assignment: str = "ex1", *notebooks: str) -> Config:
    """A course with the instructor's notebooks of one assignment, and nothing else."""
    for name in notebooks or (assignment,):
        write(root / "source" / assignment / f"{name}.ipynb", [code("pass")])
    (root / "nbgrader_config.py").touch()
    return Config(root=root, suites=root / "suites")


def zip_bytes(files: Mapping[str, bytes | str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def make_zip(path: Path, files: Mapping[str, bytes | str]) -> Path:
    path.write_bytes(zip_bytes(files))
    return path


def reading(path: Path, platform: str, **context: object) -> Reading:
    """What the names of an archive say."""
    given = {"assignment": "ex1", "notebooks": ["ex1"]} | context
    with open_archive(path, Limits()) as archive:
        return read_layout(platform, archive.entries, Context(**given))


def placed(settings: Config, assignment: str = "ex1") -> dict[str, dict[str, bytes]]:
    """Files of each submission, by student and path."""
    found: dict[str, dict[str, bytes]] = {}
    for student, folder in settings.course.submissions(assignment):
        files = (path for path in folder.rglob("*") if path.is_file())
        found[student] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return found
