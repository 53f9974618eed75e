"""``autograder student``: a folder or a zip for students who have no JupyterHub.

It holds what ``autograder release`` made, a list of packages and a page on how to begin. Nothing of a suite,
a solution or the gradebook is in it: only ``release/`` is read, and before anything is written it is compared
with the lines of the sources that students must not see.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import jinja2

from autograder.config import Config
from autograder.errors import SuiteError, UsageError
from autograder.ipynb import read
from autograder.layout import Course
from autograder.limits import Limits
from autograder.lms.writing_out import zip_of
from autograder.release_files import leaks, replace_file
from autograder.staging import storage_error

__all__ = ["REQUIREMENTS", "command", "files_of"]

REQUIREMENTS: Final = (
    "torch>=2.9",
    "numpy>=2.0",
    "scikit-learn>=1.6",
    "matplotlib>=3.9",
    "pandas>=2.2,<3.1",  # scikit-learn reads OpenML's MNIST with it, and 1.9 cannot with a later one
    "jupyter>=1.1",
)
"""The engine's own bounds, of what notebooks import; a test holds the two together."""
_HEAD: Final = "# What the notebooks of this folder need: python -m pip install -r requirements.txt\n"
_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_NEVER: Final = (".db", ".pyc")


def command(options: argparse.Namespace, settings: Config) -> int:
    """Write the folder or zip; the exit code."""
    course = settings.course
    names = tuple(dict.fromkeys(options.assignments)) or course.assignments()
    files = files_of(course, names)
    target: Path = options.target
    try:
        if target.suffix.lower() == ".zip":
            root = target.stem
            replace_file(target, zip_of({f"{root}/{name}": data for name, data in files.items()}))
        else:
            _check_empty(target)
            for name, data in files.items():
                replace_file(target / name, data)
    except OSError as error:
        raise storage_error(error, target) from error
    print(f"{target}: {', '.join(names)}; {len(files)} files, no solutions and no hidden tests")
    return 0


def files_of(course: Course, assignments: Sequence[str]) -> dict[str, bytes]:
    """What students get of ``assignments``, by path.

    :raises UsageError: one of them was not released, or there is none.
    :raises SuiteError: the release shows a line of a solution or a hidden test.
    """
    if not assignments:
        raise UsageError(
            f"{course.root / 'source'} has no assignments; name the course's folder: --course DIR"
        )
    files: dict[str, bytes] = {}
    titles: list[tuple[str, str]] = []
    for name in assignments:
        sources = course.source_notebooks(name)
        released = _released(course, name)
        missing = [path.name for path in sources if path.name not in released]
        if missing:
            raise UsageError(f"release/{name} has no {', '.join(missing)}; run: autograder release {name}")
        files |= {f"{name}/{path}": data for path, data in released.items()}
        titles.append((name, _title(released[sources[0].name])))
    _check_leaks(course, assignments, files)
    files["requirements.txt"] = (_HEAD + "\n".join(REQUIREMENTS) + "\n").encode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # markdown
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    files["README.md"] = environment.get_template("student_readme.md.j2").render(assignments=titles).encode()
    return files


def _released(course: Course, name: str) -> dict[str, bytes]:
    """The files of the release by path; links, hidden files and databases stay where they are."""
    folder = course.release_dir(name)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and path.suffix not in _NEVER
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
    }


def _title(data: bytes) -> str:
    """The first heading of a notebook."""
    for cell in json.loads(data)["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return "a notebook"


def _check_leaks(course: Course, assignments: Sequence[str], files: Mapping[str, bytes]) -> None:
    for name in assignments:
        sources = [read(path, Limits()) for path in course.source_notebooks(name)]
        with tempfile.TemporaryDirectory() as folder:
            for path, data in files.items():
                if path.startswith(f"{name}/"):
                    replace_file(Path(folder) / path, data)
            shown = leaks(sources, Path(folder))
        if shown:
            raise SuiteError(
                f"release/{name} shows what students must not see ({shown[0]}); "
                f"run: autograder release {name}"
            )


def _check_empty(target: Path) -> None:
    """A folder that is new, empty, or was made by this command."""
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; name a folder, or a file that ends in .zip")
    if target.is_dir() and any(target.iterdir()):
        made = target / "requirements.txt"
        if not made.is_file() or not made.read_text(encoding="utf-8", errors="replace").startswith(_HEAD):
            raise UsageError(f"{target} holds other files; name a folder that is new or empty")
