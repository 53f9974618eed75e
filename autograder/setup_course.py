"""``autograder setup-course``: an nbgrader course that exists already grades with this engine from now on.

It adds a few lines to ``nbgrader_config.py``, makes the course's secret, and with ``--suites`` names the
folder of suites in ``pyproject.toml``. Nothing else is touched; a second run changes nothing; the file that
is changed is kept beside it with the ending ``.before-autograder``.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

from autograder import config as settings_of
from autograder.errors import ConfigError, UsageError
from autograder.release_files import replace_file

__all__ = ["BLOCK", "Change", "plan", "run"]

BLOCK = """\
# nn-autograder grades instead of nbgrader's own kernel (autograder setup-course wrote these lines).
from autograder.nbgrader_settings import use_sandbox

use_sandbox(c)
"""
_BACKUP = ".before-autograder"
_IGNORED = "/.autograder/"


@dataclass(frozen=True, slots=True)
class Change:
    """One file to write. ``added`` are the new lines, ``old`` is its text before (None: there was none)."""

    path: Path
    old: str | None
    added: str

    @property
    def new(self) -> str:
        """The file's text afterwards."""
        before = self.old or ""
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        return before + gap + self.added


def plan(root: Path, suites: str | None = None) -> list[Change]:
    """What would change in the course at ``root``; nothing when all is done.

    :raises UsageError: ``root`` is no nbgrader course, or its files cannot be extended safely.
    """
    changes = [_config(root), _suites(root, suites) if suites else None, _gitignore(root)]
    return [change for change in changes if change is not None]


def _config(root: Path) -> Change | None:
    path = root / "nbgrader_config.py"
    if not path.is_file():
        if not (root / "source").is_dir():
            raise UsageError(
                f"{root} is no nbgrader course (no nbgrader_config.py, no source/); name the course's folder"
            )
        return Change(path, None, f"c = get_config()\n\n{BLOCK}")
    text = _read(path)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UsageError(
            f"{path} is no valid Python (line {error.lineno}: {error.msg}); mend it first"
        ) from None
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "autograder.nbgrader_settings"
        for alias in node.names
    }
    if imported & called & {"use_sandbox", "apply"}:
        return None
    named = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and _is_get_config(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    start = "" if "c" in named else "c = get_config()\n\n"
    return Change(path, text, start + BLOCK)


def _is_get_config(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_config"


def _suites(root: Path, suites: str) -> Change | None:
    if not (root / suites).is_dir():
        raise UsageError(f"--suites {suites}: there is no such folder in {root}; make it first")
    path = root / "pyproject.toml"
    old = _read(path) if path.is_file() else None
    try:
        section = tomllib.loads(old or "").get("tool", {}).get("autograder")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if section is None:
        return Change(path, old, f"[tool.autograder]\nsuites = {_quoted(suites)}\n")
    if section.get("suites") == suites:
        return None
    raise UsageError(f"{path} has [tool.autograder] already; set there yourself: suites = {_quoted(suites)}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _gitignore(root: Path) -> Change | None:
    """The secret must not be committed; a course without git is left alone."""
    path = root / ".gitignore"
    if not (root / ".git").exists() and not path.is_file():
        return None
    old = _read(path) if path.is_file() else None
    if any(line.strip().strip("/") == ".autograder" for line in (old or "").splitlines()):
        return None
    return Change(path, old, f"# secret and state of nn-autograder\n{_IGNORED}\n")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def run(root: Path, *, suites: str | None = None, dry_run: bool = False) -> int:
    """Do it and say what was done; the exit code."""
    changes = plan(root, suites)
    settings = settings_of.at(root)  # a setting that is wrong is told before anything is written
    for change in changes:
        what = "would add to" if dry_run else "added to"
        print(f"{what} {change.path}:")
        print("".join(f"    {line}".rstrip() + "\n" for line in change.added.splitlines()), end="")
        if not dry_run:
            _write(change)
    secret = settings.course.secret_path
    if not secret.is_file():
        print(f"{'would make' if dry_run else 'made'} {secret}: keep it private and keep it all semester")
    if dry_run:
        return 0
    settings_of.at(root).secret()
    if not changes:
        print(f"{root / 'nbgrader_config.py'} grades with nn-autograder already: nothing was changed")
    suite_dir = settings_of.at(root).suites
    own = suite_dir.is_relative_to(root)
    print(f"suites: {suite_dir}" if own else "suites: none of this course; test cells run in the sandbox")
    print("next: nbgrader autograde ASSIGNMENT, formgrader's button, or autograder grade ASSIGNMENT")
    return 0


def _write(change: Change) -> None:
    if change.old is not None:
        backup = change.path.with_name(change.path.name + _BACKUP)
        if not backup.exists():
            replace_file(backup, change.old.encode())
            print(f"    (as it was: {backup.name})")
    replace_file(change.path, change.new.encode())
