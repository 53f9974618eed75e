"""Known wrong answers of exercise 0 and what a student is told about each.

A function here is a wrong twin of the student's function; its name is the id of the mistake. ``named`` ones
are recognised by a check, ``on_error`` ones by the exception.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import torch

from autograder import mistake

SLIDE = "01.02 Python environment"
VENV = "01.02 Virtual environments"
ACTIVATE = "01.02 Activate and deactivate"
INSTALL = "01.02 Install a package"
CONDA = "01.02 conda"

# ---------------------------------------------------------------- version_info

mistake.on_error(
    "version_info",
    "sklearn_distribution",
    error="PackageNotFoundError|DistributionNotFound",
    match="sklearn",
    message='You import sklearn, but you install scikit-learn: ask for version("scikit-learn").',
    hint='importlib.metadata takes the name on PyPI. The key of the dict stays "sklearn".',
    slide=INSTALL,
)
mistake.on_error(
    "version_info",
    "python_is_no_package",
    error="PackageNotFoundError|DistributionNotFound",
    match=r"\b[Pp]ython\b",
    message="Python itself is no installed package: take platform.python_version().",
    slide=SLIDE,
)
mistake.named(
    "version_info",
    "hard_coded",
    message=(
        "“{version}” is not the installed version ({real}). Read it with importlib.metadata.version "
        "(python: platform.python_version())."
    ),
    hint="Ask the Python that is running; do not copy a number from a slide or from another machine.",
    slide=INSTALL,
)
mistake.named(
    "version_info",
    "typed_in",
    message="“{version}” is typed into your code. It is wrong after the next upgrade.",
    hint="Read it with importlib.metadata.version (python: platform.python_version()).",
    slide=INSTALL,
)
mistake.named(
    "version_info",
    "full_sys_version",
    message="sys.version also holds the build date and the compiler. Only the number is asked for.",
    hint="platform.python_version()",
    slide=SLIDE,
)
mistake.named(
    "version_info",
    "short_python_version",
    message="The python version has three parts, as in 3.12.4.",
    hint="platform.python_version()",
    slide=SLIDE,
)
mistake.named(
    "version_info",
    "no_text",
    message="A version is a text, “2.5.1”, not a tuple, a number or a module.",
    hint="importlib.metadata.version returns a str.",
    slide=SLIDE,
)

# ---------------------------------------------------------------- in_virtualenv

for _id, _message, _hint in (
    (
        "only_virtual_env",
        "conda does not set VIRTUAL_ENV, and without activation nobody does: Jupyter just starts the Python.",
        'Compare sys.prefix with sys.base_prefix, or look for "CONDA_PREFIX" in os.environ.',
    ),
    (
        "needs_activation",
        "VIRTUAL_ENV is set by the activate script only. A Jupyter kernel runs without it.",
        "In a virtual environment sys.prefix differs from sys.base_prefix, activated or not.",
    ),
    (
        "forgets_conda",
        "A conda environment is a whole Python: there sys.prefix equals sys.base_prefix.",
        '… or "CONDA_PREFIX" in os.environ',
    ),
    (
        "forgets_venv",
        "A virtual environment (python -m venv) knows nothing of conda's variables.",
        "sys.prefix != sys.base_prefix or …",
    ),
    (
        "both_needed",
        "`and` asks for a virtual environment inside of conda. Either one is enough: `or`.",
        "One condition or the other.",
    ),
    (
        "not_both",
        "A virtual environment made by conda's Python is one as well: both conditions may hold.",
        "`or` is true when both are.",
    ),
    (
        "upside_down",
        "Yes and no have changed places.",
        "In a virtual environment sys.prefix and sys.base_prefix differ: !=.",
    ),
    ("always_true", "The answer is True everywhere.", "Ask sys.prefix, sys.base_prefix and os.environ."),
    ("always_false", "The answer is False everywhere.", "Ask sys.prefix, sys.base_prefix and os.environ."),
    (
        "not_a_bool",
        "The answer must be True or False: os.environ.get gives a text or None.",
        'bool(…), or "CONDA_PREFIX" in os.environ',
    ),
):
    mistake.named("in_virtualenv", _id, message=_message, hint=_hint, slide=CONDA if "conda" in _id else VENV)
mistake.on_error(
    "in_virtualenv",
    "variable_not_set",
    error="KeyError",
    match="(?P<name>CONDA_[A-Z_]+|VIRTUAL_ENV)",
    message="os.environ[“{name}”] raises KeyError where the variable is not set.",
    hint="os.environ.get(name), or name in os.environ",
    slide=VENV,
)
mistake.on_error(
    "in_virtualenv",
    "real_prefix",
    error="AttributeError",
    match="has no attribute 'real_prefix'",
    message="sys.real_prefix is gone since 2020: today it is sys.base_prefix.",
    hint="sys.prefix != sys.base_prefix",
    slide=VENV,
)

# ---------------------------------------------------------------- missing_packages

mistake.named(
    "missing_packages",
    "imports",
    message="Your code imports the packages. That is slow, runs their code, and one that is broken counts as "
    "missing. Use importlib.util.find_spec: it only looks.",
    hint="importlib.util.find_spec(name) is None",
    slide=INSTALL,
)
mistake.on_error(
    "missing_packages",
    "import_fails",
    error="ImportError",
    match="does not work was imported",
    message="Your code imports the packages, and one raised. Use importlib.util.find_spec: it only looks.",
    hint="importlib.util.find_spec(name) is None",
    slide=INSTALL,
)
mistake.on_error(
    "missing_packages",
    "util_not_imported",
    error="AttributeError",
    match="has no attribute 'util'",
    message="import importlib alone does not bring importlib.util along.",
    hint="import importlib.util",
    slide=INSTALL,
)
mistake.on_error(
    "missing_packages",
    "distribution_not_found",
    error="PackageNotFoundError|DistributionNotFound",
    match="",
    message="importlib.metadata asks for names on PyPI (scikit-learn), and raises if there is none. "
    "The names here are those of `import` (sklearn).",
    hint="importlib.util.find_spec(name) is None",
    slide=INSTALL,
)
mistake.named(
    "missing_packages",
    "only_loaded",
    message=(
        "What nobody has imported yet counts as missing, or what pip did not install: sys.modules and "
        "globals() know the former, importlib.metadata the latter."
    ),
    hint="importlib.util.find_spec(name) is None",
    slide=INSTALL,
)
mistake.named(
    "missing_packages",
    "changes_names",
    message="The list that was passed in has changed. Whoever called you still needs it.",
    hint="Build a new list; removing from a list while looping over it also skips entries.",
    slide=INSTALL,
)
mistake.named(
    "missing_packages",
    "no_list",
    message="A list of names is asked for.",
    hint="return [name for name in names if …]",
    slide=INSTALL,
)


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@mistake("missing_packages", "You list what is there, not what is missing.", hint="… is None", slide=INSTALL)
def installed_instead(names: list[str]) -> list[str]:
    return [name for name in names if _there(name)]


@mistake(
    "missing_packages",
    "Only the first name is looked at: the return stands inside the loop.",
    hint="return after the loop",
    slide=INSTALL,
)
def returns_in_loop(names: list[str]) -> list[str] | None:
    for name in names:
        return [] if _there(name) else [name]
    return None


@mistake("missing_packages", "The list is always empty.", hint="find_spec(name) is None", slide=INSTALL)
def always_empty(names: list[str]) -> list[str]:
    return []


@mistake("missing_packages", "Every name comes back.", hint="find_spec(name) is None", slide=INSTALL)
def everything(names: list[str]) -> list[str]:
    return list(names)


@mistake("missing_packages", "Only the first one is reported. Go on to the end.", slide=INSTALL)
def first_only(names: list[str]) -> list[str]:
    return [name for name in names if not _there(name)][:1]


@mistake(
    "missing_packages",
    "You remove names from the list that the loop is walking through: after each removal it skips one.",
    hint="Build a new list: missing = [], and append to it.",
    slide=INSTALL,
)
def skips_after_removal(names: list[str]) -> list[str]:
    left = list(names)
    for name in left:
        if _there(name):
            left.remove(name)
    return left


@mistake("missing_packages", "The names are sorted. Keep the order of the question.", slide=INSTALL)
def sorted_names(names: list[str]) -> list[str]:
    return sorted(name for name in names if not _there(name))


mistake.named(
    "missing_packages",
    "order_lost",
    message="The order is lost (a set has none). Keep the order of the question.",
    hint="[name for name in names if …]",
    slide=INSTALL,
)


@mistake("missing_packages", "The order is reversed. Keep the order of the question.", slide=INSTALL)
def reversed_names(names: list[str]) -> list[str]:
    return [name for name in names if not _there(name)][::-1]


@mistake(
    "missing_packages",
    "importlib.metadata knows packages by their name on PyPI: sklearn is called scikit-learn there.",
    hint="importlib.util.find_spec takes the name that you import.",
    slide=INSTALL,
)
def distribution_names(names: list[str]) -> list[str]:
    missing = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing


@mistake("missing_packages", "True and False are no names.", hint="[n for n in names if …]", slide=INSTALL)
def booleans(names: list[str]) -> list[bool]:
    return [not _there(name) for name in names]


@mistake("missing_packages", "True and False are no names.", hint="[n for n in names if …]", slide=INSTALL)
def booleans_there(names: list[str]) -> list[bool]:
    return [_there(name) for name in names]


# ---------------------------------------------------------------- activate_command

for _id, _message, _hint in (
    (
        "deactivate",
        "deactivate is a function of the shell, not a file in bin/ (the slide is wrong). Activate here.",
        "source PATH/bin/activate",
    ),
    (
        "ignores_os_name",
        "Your command is the one of the other system: os_name is 'posix' or 'nt', as in os.name.",
        'if os_name == "nt": …',
    ),
    (
        "forward_slashes_on_windows",
        "cmd reads /Scripts as an option. Windows needs backslashes here; the slide has it wrong.",
        r'rf"{path}\Scripts\activate"',
    ),
    (
        "bin_on_windows",
        "On Windows the folder is called Scripts, not bin.",
        r'rf"{path}\Scripts\activate"',
    ),
    (
        "scripts_on_posix",
        "On Linux and macOS the folder is called bin, not Scripts.",
        'f"source {path}/bin/activate"',
    ),
    (
        "source_on_windows",
        "cmd and PowerShell have no source: on Windows the path of the script is the command.",
        r'rf"{path}\Scripts\activate"',
    ),
    (
        "not_sourced",
        "Without source (or .) the script runs in a shell of its own, and what it sets ends with it.",
        'f"source {path}/bin/activate"',
    ),
    (
        "all_quoted",
        "The quotation marks hold the whole command: the shell looks for one program with that long name.",
        'Quote the path alone: source "my env/bin/activate"',
    ),
    (
        "backslashes_on_posix",
        "On Linux and macOS folders are separated by /, a backslash only escapes the next character.",
        'f"source {path}/bin/activate"',
    ),
    (
        "spaces_not_quoted",
        "The shell cuts a path at its spaces. Put it in quotation marks.",
        'Double quotes work everywhere: "my env/bin/activate".',
    ),
    (
        "quoted_twice",
        "The spaces are escaped inside of quotation marks. One of the two is enough.",
        "Inside quotes a backslash before a space is an ordinary character.",
    ),
    (
        "single_quotes_on_windows",
        "On Windows single quotes are ordinary characters. shlex.quote is made for posix shells only.",
        'Double quotes: "…"',
    ),
    (
        "bell_character",
        r"\a and \b in an ordinary string are a bell and a backspace, not a backslash and a letter.",
        r'Write a raw string, rf"{path}\Scripts\activate", or double the backslash.',
    ),
    (
        "conda_activate",
        "`conda activate` is for environments that conda made. This one has a bin/activate of its own.",
        'f"source {path}/bin/activate"',
    ),
    ("slide_path", "envpath is the slide's example. Use path.", 'f"source {path}/bin/activate"'),
):
    mistake.named("activate_command", _id, message=_message, hint=_hint, slide=ACTIVATE)

# ---------------------------------------------------------------- add


mistake.on_error(
    "add",
    "one_number_only",
    error="RuntimeError|TypeError|ValueError",
    match="only one element tensors|only length-1|cannot be converted to Scalar",
    message="float(…), int(…) and .item() take one number. Tensors have more: add them as they are.",
    hint="return a + b",
)


@mistake("add", "add returned None: print shows a value, return gives it back.", hint="return a + b")
def nothing_returned(a: Any, b: Any) -> None:
    return None


@mistake("add", "a itself has changed: += on a tensor works in place.", hint="return a + b")
def in_place(a: Any, b: Any) -> Any:
    a += b
    return a


@mistake("add", "5 is only the answer to add(2, 3).", hint="return a + b")
def hard_coded(a: Any, b: Any) -> int:
    return 5


@mistake("add", "int cuts off what comes after the point.", hint="return a + b")
def cut_off(a: Any, b: Any) -> int:
    return int(a + b)


@mistake("add", "The arguments are cut to whole numbers.", hint="return a + b")
def whole_numbers(a: Any, b: Any) -> int:
    return int(a) + int(b)


@mistake("add", "That is the difference.", hint="return a + b")
def difference(a: Any, b: Any) -> Any:
    return a - b


@mistake("add", "That is the product.", hint="return a + b")
def product(a: Any, b: Any) -> Any:
    return a * b


@mistake("add", "The signs are lost.", hint="return a + b")
def without_signs(a: Any, b: Any) -> Any:
    return abs(a) + abs(b)


@mistake("add", "+ joins texts: “2” + “3” is “23”.", hint="return a + b")
def text(a: Any, b: Any) -> str:
    return str(a) + str(b)


@mistake("add", "The sum has become a text.", hint="return a + b")
def sum_as_text(a: Any, b: Any) -> str:
    return str(a + b)


@mistake("add", "The sum of all entries is one number. Add entry by entry.", hint="return a + b")
def one_number(a: Any, b: Any) -> Any:
    total = a + b
    return total.sum() if isinstance(total, torch.Tensor) else total


@mistake("add", "That joins the tensors. Add entry by entry.", hint="return a + b")
def joined(a: Any, b: Any) -> Any:
    return torch.cat((a, b)) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a + b
