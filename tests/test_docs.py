"""What the documents say is so: commands parse, links lead somewhere, the JSON has the documented keys."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from autograder import __version__, cli
from autograder.models import Outcome
from tests import samples, test_layers

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if match[1] == kind:
                indent = len(match[0]) - len(match[0].lstrip(" "))
                text = "\n".join(line[indent:] for line in match[2].split("\n"))
                found.append((page.name, text))
    return found


def commands() -> list[tuple[str, str]]:
    return [
        (page, line.split("  #")[0].strip())
        for page, text in blocks("console")
        for line in text.splitlines()
        if line.strip()
    ]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page: str, heading: str) -> list[list[str]]:
    """The table below ``heading``, without its first two lines."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("page", "command"), commands())
def test_commands_are_ones_that_exist(page, command):
    words = shlex.split(command)
    if words[0] == "autograder":
        cli._parser().parse_args(words[1:])
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[0] == "nbgrader":  # tests/test_exchange.py runs them
        spec = importlib.util.find_spec("nbgrader")
        assert spec is not None and spec.origin is not None
        assert (Path(spec.origin).parent / "apps" / f"{words[1].replace('_', '')}app.py").is_file()
    else:
        assert words[0] == "pytest"
        assert all((ROOT / word).exists() for word in words[1:] if "/" in word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_examples_compile(page, text):
    compile(text, page, "exec")


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_toml_examples_parse(page, text):
    tomllib.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_documents_exist(page):
    for path in re.findall(r"`((?:autograder|tests|docs)/[\w./]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_the_json_has_exactly_the_documented_keys():
    made = samples.typical().to_json()
    task = made["tasks"][0]
    for heading, value in (
        ("A notebook", made),
        ("A task", task),
        ("A check", task["checks"][0]),
        ("A cell", made["cells"][0]),
    ):
        documented = [row[0].strip("`") for row in rows("json.md", heading)]
        assert list(value) == documented, heading


@pytest.mark.parametrize("name", ["typical", "perfect", "unreadable", "engine_error", "hostile"])
def test_the_json_has_the_documented_types(name):
    made = json.loads(json.dumps(getattr(samples, name)().to_json()))
    kinds = {
        "string": str, "number": (int, float), "integer": int, "boolean": bool, "list": list,
        "list of strings": list, "object": dict, "null": type(None),
    }  # fmt: skip

    def conforms(value, heading):
        for key, kind, *_ in rows("json.md", heading):
            got = value[key.strip("`")]
            assert any(isinstance(got, kinds[one]) for one in kind.split(" or ")), f"{heading} {key}: {got!r}"
            assert "boolean" in kind or not isinstance(got, bool)

    conforms(made, "A notebook")
    for task in made["tasks"]:
        conforms(task, "A task")
        for check in task["checks"]:
            conforms(check, "A check")
            assert (check["score"] is None) == (check["outcome"] == "ENGINE_ERROR")
    for cell in made["cells"]:
        conforms(cell, "A cell")


def test_all_outcomes_are_documented():
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8").split("## Outcomes")[1]
    assert re.findall(r"`([A-Z_]+)`", text) == [outcome.value for outcome in Outcome]
    assert [row[0] for row in rows("instructor.md", "Grade")] == [outcome.value for outcome in Outcome]


def test_the_layers_are_those_of_the_test():
    documented = {
        int(row[0]): tuple(re.findall(r"`(\w+)`", row[1])) for row in rows("architecture.md", "Layers")
    }
    assert documented == test_layers.LAYERS


def test_the_folders_of_the_readme_are_those_of_the_repository():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("source", "release", "solutions", "autograder", "tests", "docs"):
        assert f"`{name}/" in text and (ROOT / name).is_dir()
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert all(
        f"/{name}/" in ignored
        for name in ("submitted", "autograded", "feedback", "demo", ".autograder", ".venv")
    )


def test_every_makefile_target_is_in_its_help():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))


def test_the_changelog_begins_with_this_version():
    first = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first is not None and first[1] == __version__


def test_constraints_pin_what_the_project_asks_for():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pinned[canonicalize_name(name)] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier
