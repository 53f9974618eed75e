"""version_info, in_virtualenv and missing_packages: what a program can find out about its own Python."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from autograder import points
from autograder.checks import (
    StudentError,
    assert_equal,
    assert_keys,
    assert_true,
    assert_type,
    assert_unchanged,
    fail,
    is_remote,
)

from . import reference
from .helpers import function

SLIDE = "01.02 Python environment"
VENV = "01.02 Virtual environments"
INSTALL = "01.02 Install a package"


# ---------------------------------------------------------------- version_info


def version(student: Any, found: dict[str, Any], key: str) -> str:
    """``found[key]`` as text. ``torch.__version__`` is a subclass of str and as good as a str."""
    name = f'version_info()["{key}"]'
    value = found[key]
    if is_remote(value):
        value = student.probe("text", value) or value
    wrong = "no_text" if value is not None else None
    assert_type(value, str, name=name, slide=SLIDE, expected="a str", mistake=wrong)
    return str(value).strip()


def base(text: str) -> str:
    """Without the local suffix: 2.5.1+cpu is 2.5.1."""
    return text.partition("+")[0]


def assert_versions(student: Any, keys: tuple[str, ...]) -> None:
    right, version_info = reference.version_info(), function(student, "version_info")
    for _ in range(2):  # a second call gives the same
        found = version_info()
        assert_type(found, dict, name="version_info()", slide=SLIDE, expected="a dict of texts")
        assert_keys(found, keys, name="version_info()", slide=SLIDE)
        for key in keys:
            got, real = version(student, found, key), right[key]
            if base(got) != base(real):
                known = "hard_coded"
                if key == "python" and got.startswith(f"{real} "):
                    known = "full_sys_version"
                elif key == "python" and real.startswith(f"{got}."):
                    known = "short_python_version"
                fail(
                    f'version_info()["{key}"] is not the version of the {key} that is running.',
                    called="version_info()",
                    got=repr(got[:80]),
                    hint="Is the number typed in? Is it the version of something else?",
                    slide=SLIDE,
                    mistake=known,
                    version=got[:40],
                    real=real,
                )
    texts = student.probe("literals", version_info)
    typed = {item for item in texts if type(item) is str} if type(texts) is list else set()
    for key in keys:
        text = version(student, found, key)
        if text in typed and re.fullmatch(r"\d+\.\d+.*", text):
            fail(
                f'version_info()["{key}"] does not look at the installed version.',
                called="version_info()",
                got=repr(text),
                slide=SLIDE,
                mistake="typed_in",
                version=text,
            )


@points("version_info", 0.5)
def test_version_of_python(student):
    assert_versions(student, ("python",))


@points("version_info", 0.5)
def test_versions_of_packages(student):
    assert_versions(student, tuple(reference.DISTRIBUTIONS))


# ---------------------------------------------------------------- in_virtualenv

Answers = dict[str, bool]
MACHINE_MISTAKES: dict[tuple[bool, ...], str] = {  # answers in the order of reference.MACHINES
    (False, True, False, False, True): "only_virtual_env",
    (False, True, False, True, True): "needs_activation",
    (False, True, True, False, True): "forgets_conda",
    (False, False, False, True, True): "forgets_venv",
    (False, False, False, False, True): "both_needed",
    (False, True, True, True, False): "not_both",
    (True, False, False, False, False): "upside_down",
    (True, False, False, True, False): "upside_down",
    (True, False, False, True, True): "upside_down",
    (True, True, True, True, True): "always_true",
    (False, False, False, False, False): "always_false",
}


def ask(student: Any) -> Answers:
    """What ``in_virtualenv()`` says on each machine."""
    in_virtualenv = function(student, "in_virtualenv")
    said: dict[str, Any] = {}
    for machine in reference.MACHINES:
        student.probe("pretend", machine, in_virtualenv)
        said[machine] = in_virtualenv()  # if it raises, this branch of the sandbox is thrown away
    student.probe("restore")
    sloppy = "not_a_bool" if any(type(got) is str for got in said.values()) else None
    for machine, got in said.items():
        assert_type(
            got,
            bool,
            name=f"in_virtualenv() with {reference.MACHINES[machine][0]}",
            slide=VENV,
            expected="True or False",
            mistake=sloppy,
        )
    return {machine: bool(got) for machine, got in said.items()}


def compare(answers: Answers, machines: tuple[str, ...]) -> None:
    for machine in machines:
        words, right = reference.MACHINES[machine]
        if answers[machine] != right:
            fail(
                f"With {words} in_virtualenv() is {answers[machine]}.",
                called=f"in_virtualenv() with {words}",
                expected=str(right),
                got=str(answers[machine]),
                hint="sys.prefix differs from sys.base_prefix, or conda has set CONDA_PREFIX.",
                slide=VENV,
                mistake=MACHINE_MISTAKES.get(tuple(answers.values())),
            )


@points("in_virtualenv", 0.5)
def test_virtual_environments(student):
    compare(ask(student), ("system", "venv", "venv_by_path"))


@points("in_virtualenv", 0.5)
def test_conda_environments(student):
    compare(ask(student), ("system", "conda", "venv_in_conda"))


# ---------------------------------------------------------------- missing_packages


def some_names(draw: Any, count: int) -> list[str]:
    """Names that no package has, not in alphabetical order nor in the reverse one."""
    numbers = draw.sizes(count, low=1000, high=9999)
    stems = ["quartz", "birch", "willow", "amber", "linden", "cobalt", "juniper"]
    return [f"{stem}{number}" for stem, number in zip(stems, numbers, strict=False)]


def missing(student: Any, names: list[str]) -> list[Any]:
    """``missing_packages(names)`` as a list, the question left as it was."""
    got = function(student, "missing_packages")(names)
    wrong = "no_list" if got is not None and not isinstance(got, (list, tuple)) else None
    assert_type(got, (list, tuple), slide=INSTALL, expected="a list of names", mistake=wrong)
    assert_unchanged(
        student.last,
        slide=INSTALL,
        mistake="changes_names",
        hint="Build a new list: [name for name in names if …]",
    )
    return list(got)


@points("missing_packages", 0.5)
def test_missing_are_reported_in_order(student, draw):
    one, two, three, four, *more = some_names(draw, 7)
    mixed = ["numpy", one, "torch", two, "sklearn", three, four, *more]
    cases = [
        mixed,
        ["numpy"],
        [four],
        ["torch", "json", "numpy", "sklearn"],
        [],
        [two, "sklearn", one],
        mixed[::-1],  # the order of a set is the same for both, and cannot be right for both
    ]
    for names in cases:  # all questions first: together the answers tell which mistake it is
        with contextlib.suppress(StudentError):
            function(student, "missing_packages")(list(names))
    for names in cases:
        got, right = missing(student, list(names)), reference.missing_packages(names)
        names_only = all(type(item) is str for item in got)
        shuffled = names_only and sorted(got) == sorted(right) and got not in (right[::-1], sorted(right))
        assert_equal(
            got,
            right,
            reveal=len(names) == 1,
            mistake="order_lost" if shuffled else None,
            slide=INSTALL,
            name=f"missing_packages({names})",
            hint="Each name that find_spec does not find, in the order of the question.",
        )
    # Names with a dot: judged as a whole, by the package alone, or never found. All of that is sensible.
    inner = ["torch.nn", one, f"numpy.{two}"]
    got = missing(student, list(inner))
    assert_true(
        one in got and got in ([one], inner, [one, inner[2]]),
        "missing_packages does not cope with names that have a dot, such as torch.nn.",
        slide=INSTALL,
        expected="names as they were passed in, in their order",
        hint="importlib.util.find_spec takes them as they are.",
    )


@points("missing_packages", 0.5)
def test_nothing_is_imported(student, draw):
    gone, package, module, broken, lost = some_names(draw, 5)
    student.probe("install", [package], [module], [broken])
    names = [gone, package, module, broken, lost]
    # Backwards too: what has no order, as a set, gives the same both times, and one of them is wrong.
    got, turned = missing(student, list(names)), missing(student, names[::-1])
    imported = student.probe("imported", [package, module, broken])
    called = "missing_packages(names) with three packages that were installed a moment ago"
    if imported != []:
        fail(
            "A package was imported, only to see whether it is there.",
            called=called,
            expected="nothing is imported",
            hint="importlib.util.find_spec(name) is None",
            slide=INSTALL,
            mistake="imports",
        )
    if got != [gone, lost] or turned != [lost, gone]:
        same = all(type(item) is str for item in got) and sorted(got) == sorted([gone, lost])
        fail(
            "The right names, but not in the order of the question."
            if same
            else "Packages that are installed are reported as missing, or the other way round.",
            called=called,
            expected="the names that no package has",
            got=f"{len(got)} of {len(names)} names",
            hint="importlib.util.find_spec(name) is None",
            slide=INSTALL,
            mistake="only_loaded" if got == names else None,
        )
