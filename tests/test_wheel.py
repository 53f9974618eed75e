"""What is installed elsewhere: the engine, and nothing that a student must not read."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, dict[str, str]]:
    """File name → text, of the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    wheel, sdist = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        opened = {member.name: archive.extractfile(member) for member in members}
        sources = {name: file.read().decode("utf-8", "replace") for name, file in opened.items() if file}
    return {"wheel": files, "sdist": sources}


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_holds_the_engine_and_no_course(built, kind):
    names = built[kind]
    assert any(name.endswith("autograder/cli.py") for name in names)
    assert any(name.endswith("autograder/templates/feedback.html.j2") for name in names)
    assert any(name.endswith("autograder/templates/feedback.css") for name in names)
    assert any(name.endswith("autograder/py.typed") for name in names)
    for name in names:
        assert not any(
            part in name for part in ("suites/", "solutions/", "golden/", ".ipynb", "gradebook.db", "secret")
        )


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_no_line_of_a_suite_or_a_solution_is_in_it(built, kind):
    hidden: set[str] = set()
    for path in (ROOT / "autograder" / "suites").rglob("*.py"):
        hidden |= telling(path.read_text(encoding="utf-8"))
    for path in (ROOT / "source").rglob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            if "### BEGIN SOLUTION" in text:
                hidden |= telling(text.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0])
    assert hidden
    for name, text in built[kind].items():
        if name.endswith((".py", ".j2")):
            shared = telling(text) & hidden
            assert not shared, f"{name}: {sorted(shared)[:3]}"


def telling(text: str) -> set[str]:
    """Lines that would give something away: not imports, not common phrases of any Python file."""
    lines = {line.strip() for line in text.splitlines()}
    common = (
        "import ",
        "from ",
        "def ",
        "class ",
        "@",
        "#",
        '"""',
        "return None",
        "raise ",
        "with ",
        "if ",
        "for ",
        "assert ",
    )
    return {line for line in lines if len(line) > 40 and not line.startswith(common)}


def test_entry_points(built):
    text = next(text for name, text in built["wheel"].items() if name.endswith("entry_points.txt"))
    assert "autograder = autograder.cli:main" in text
    assert "[pytest11]\nautograder = autograder.direct" in text
