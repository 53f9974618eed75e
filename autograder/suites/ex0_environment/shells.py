"""Reading an activation command as the shell would: does it activate the environment in this folder?

Whatever works is right: ``.`` or ``source``, any quoting, a ``cd`` first, ``.bat`` or ``.ps1``. What does not
work gets the id of the mistake, where it is a known one.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
import shlex
from dataclasses import dataclass

__all__ = ["Problem", "nt_problem", "posix_problem"]


@dataclass(frozen=True)
class Problem:
    """Why a command does not activate the environment; ``mistake`` is the id of a known mistake."""

    summary: str
    mistake: str | None = None


def posix_problem(command: str, path: str) -> Problem | None:
    """None if ``command`` activates the environment in ``path`` in bash or zsh."""
    if _posix_target(command) == posixpath.normpath(f"{path}/bin/activate"):
        return None
    known = _either(command, path)
    if known:
        return known
    if nt_target(command) is not None and nt_problem(command, path) is None:
        return Problem("That is the command for Windows; os_name is 'posix'.", "ignores_os_name")
    if re.search("scripts", command, re.IGNORECASE):
        return Problem("On posix the folder is bin.", "scripts_on_posix")
    try:
        words = shlex.split(command)
    except ValueError:
        return Problem("A quotation mark is opened and never closed.")
    plain = command.strip().strip("\"'")
    if words and words[0].startswith(("source ", ". ")):
        return Problem("The quotation marks are around the whole command.", "all_quoted")
    if words and words[0] not in ("source", ".", "cd") and plain.endswith("activate"):
        return Problem("The script is not sourced.", "not_sourced")
    if "\\" in command.replace("\\ ", "") and "activate" in command:
        return Problem("A backslash does not separate folders on posix.", "backslashes_on_posix")
    if " " in path and words and _glued(" ".join(words[1:])) == _glued(f"{path}/bin/activate"):
        if len(words) == 2:
            return Problem("The spaces are quoted twice: the shell keeps the inner marks.", "quoted_twice")
        return Problem("The shell cuts the path at its spaces.", "spaces_not_quoted")
    return Problem("The shell would not source bin/activate of this environment.")


def nt_problem(command: str, path: str) -> Problem | None:
    """None if ``command`` activates the environment in ``path`` in cmd or PowerShell."""
    target = nt_target(command)
    if target is not None:
        script = ntpath.splitext(target)[1].lower()
        if script in ("", ".bat", ".ps1"):
            slash = r"[\\/]" if script == ".ps1" else r"\\"
            tail = re.search(rf"(^|{slash})scripts{slash}+activate(\.bat|\.ps1)?$", target, re.IGNORECASE)
            if tail and _nt_normal(target) == _nt_normal(rf"{path}\Scripts\activate{script}"):
                return None
    known = _either(command, path)
    if known:
        return known
    if _posix_target(command) == posixpath.normpath(f"{path}/bin/activate"):
        return Problem("That is the command for Linux and macOS; os_name is 'nt'.", "ignores_os_name")
    if re.match(r"\s*source\s", command):
        return Problem("cmd and PowerShell do not know source.", "source_on_windows")
    if re.search(r"[\\/]bin[\\/]", command):
        return Problem("On Windows the folder is Scripts.", "bin_on_windows")
    if re.search(r"scripts/+activate|/scripts[\\/]", command, re.IGNORECASE):
        return Problem("There are forward slashes around Scripts.", "forward_slashes_on_windows")
    glued = _glued(command) == _glued(rf"{path}\Scripts\activate")
    if glued and "'" in command:
        return Problem("cmd takes single quotes for ordinary characters.", "single_quotes_on_windows")
    if glued and " " in path and '"' not in command:
        return Problem("The shell cuts the path at its spaces.", "spaces_not_quoted")
    return Problem(r"Windows would not run Scripts\activate of this environment.")


def _either(command: str, path: str) -> Problem | None:
    """Mistakes that look alike on both systems."""
    if "deactivate" in command:
        return Problem("This runs deactivate, not activate.", "deactivate")
    if re.search(r"[\x07\x08]", command):
        return Problem("The command holds a control character.", "bell_character")
    if re.search(r"\bconda\b", command):
        return Problem("conda activates conda environments only.", "conda_activate")
    if "envpath" in command and "envpath" not in path:
        return Problem("The path is the slide's.", "slide_path")
    return None


def _glued(text: str) -> str:
    """The letters of a path, whatever was done to its spaces, marks and ending."""
    text = re.sub(r"(\.bat|\.ps1)$", "", text.strip().lower())
    return re.sub(r"[\s\\/^`\"'.]+", "", text)


# ---------------------------------------------------------------- posix


def _posix_target(command: str) -> str | None:
    """The file that is sourced at last, seen from where the shell started; None if none is."""
    lexer = shlex.shlex("; ".join(command.strip().splitlines()), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        return None
    folder = ""
    *first, last = _commands(words, ("&&", ";"))
    for step in first:
        moved = _cd(step)
        if moved is None:
            return None
        folder = posixpath.join(folder, moved)
    if len(last) != 2 or last[0] not in ("source", "."):
        return None
    return posixpath.normpath(posixpath.join(folder, last[1]))


def _commands(words: list[str], separators: tuple[str, ...]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in words:
        if word in separators:
            commands.append([])
        else:
            commands[-1].append(word)
    while len(commands) > 1 and not commands[-1]:
        commands.pop()
    return commands


def _cd(words: list[str]) -> str | None:
    rest = [word for word in words[1:] if word.lower() not in ("/d", "--", "-path", "-literalpath")]
    known = words and words[0].lower() in ("cd", "chdir", "pushd", "set-location")
    return rest[0] if known and len(rest) == 1 else None


# ---------------------------------------------------------------- nt


def nt_target(command: str) -> str | None:
    """The file that is run at last, seen from where the shell started; None if the command is no such."""
    text = command.strip()
    power = text.startswith(("&", ". ")) or ".ps1" in text.lower()
    words = _nt_words(text, "\"'" if power else '"')
    if words is None:
        return None
    while words and words[0] in ("&", "."):
        words.pop(0)
    folder = ""
    *first, last = _commands(words, ("&&", "&", ";"))
    for step in first:
        moved = _cd(step)
        if moved is None:
            return None
        folder = ntpath.join(folder, moved)
    while last and last[0].lower() in ("call", "&", "."):
        last = last[1:]
    if [word.lower() for word in last[:2]] == ["cmd", "/k"]:
        last = last[2:]
    return ntpath.join(folder, last[0]) if len(last) == 1 else None


def _nt_words(text: str, marks: str) -> list[str] | None:
    """Words between spaces; inside quotation marks spaces and separators are kept. None: never closed."""
    words: list[str] = []
    word: str | None = None
    inside = ""
    for char in text:
        if inside:
            if char == inside:
                inside = ""
            else:
                word = (word or "") + char
        elif char in marks:
            inside, word = char, word or ""
        elif char.isspace() or char in "&;":
            if word is not None:
                words.append(word)
            word = None
            if char in "&;":
                if words and words[-1] == "&" == char:
                    words[-1] = "&&"
                else:
                    words.append(char)
        else:
            word = (word or "") + char
    if word is not None:
        words.append(word)
    return None if inside else words


def _nt_normal(path: str) -> str:
    return ntpath.normcase(ntpath.normpath(path))
