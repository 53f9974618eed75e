"""Files beside a notebook: what a sandbox gets, what it gives back, and which module an import finds."""

from __future__ import annotations

import pytest

from autograder import beside
from autograder.beside import Beside, of_assignment
from autograder.errors import SandboxUnavailable, UsageError
from autograder.limits import Limits


def written(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_the_instructor_s_files_win_and_say_what_can_be_imported(tmp_path):
    source = {
        "data/a.csv": b"1",
        "helper.py": b"x = 1",
        "pkg/__init__.py": b"",
        "no-module.py": b"",
        ".x": b"",
    }
    ours = of_assignment(written(tmp_path / "source", source), Limits())
    assert ours.modules == ("helper", "pkg")
    both = ours.with_submission(
        written(tmp_path / "ada", {"helper.py": b"x = 2", "own.txt": b"mine", "ex.ipynb": b"{}"}), carry=True
    )
    assert both.files == {"own.txt": b"mine"} | ours.files and both.carry
    both.add({"helper.py": b"x = 3", "own.txt": b"changed", "left.txt": b"left"})
    assert both.files["helper.py"] == b"x = 1"
    assert both.files["own.txt"] == b"changed" and both.files["left.txt"] == b"left"
    assert "left.txt" not in ours.files


@pytest.mark.parametrize(
    "name",
    ["", "/etc/x", "../x", "a/../x", "./x", "a//x", ".hidden", "a/.x", "a\nb", "a\\b", "x" * 1025, 7, b"x"],
)
def test_a_sandbox_cannot_name_a_file_elsewhere(name):
    found = Beside()
    found.add({name: b"data", "good.txt": b"data"})
    assert list(found.files) == ["good.txt"]


def test_what_a_sandbox_gives_back_is_bounded(monkeypatch):
    found = Beside({"a": b"12"})
    monkeypatch.setattr(beside, "_SUBMITTED_BYTES", 4)
    found.add({"b": b"123", "c": b"12", "d": "text", "e": b"1"})
    assert found.files == {"a": b"12", "c": b"12"}


@pytest.mark.parametrize(
    ("limits", "says"), [({"file_mb": 1}, "set file_mb"), ({"tmp_mb": 3}, "set tmp_mb in")]
)
def test_files_that_do_not_fit_are_told_before_anything_is_graded(tmp_path, limits, says):
    written(tmp_path, {"big.bin": bytes(2 << 20)})
    with pytest.raises(UsageError, match=says):
        of_assignment(tmp_path, Limits(**limits))


def run(sandbox, source):
    reply = sandbox.run_cell(source, wall_s=5, output_bytes=10_000)
    assert reply["error"] is None, reply["error"]
    return "".join(output.get("text", "") for output in reply["outputs"]).split()


def test_a_notebook_finds_its_files_and_leaves_others(sandbox):
    sandbox.furnish({"data/a.csv": b"1,2", "helper.py": b"def f(): return 'ours'"}, ["helper"])
    assert run(sandbox, "print(open('data/a.csv').read(), __import__('helper').f())") == ["1,2", "ours"]
    assert sandbox.left_files() == {}
    run(sandbox, "import os; open('new.txt', 'w').write('n'); open('data/a.csv', 'a').write('!')")
    run(sandbox, "os.symlink('/etc/passwd', 'link'); open('.hidden', 'w').write('h'); os.mkfifo('pipe')")
    run(sandbox, "open('large', 'wb').write(bytes(17 << 20))")
    assert sandbox.left_files() == {"data/a.csv": b"1,2!", "new.txt": b"n"}


def test_installed_modules_come_first_unless_the_instructor_has_that_name(sandbox):
    files = {"mistune.py": b"who = 'student'", "own.py": b"who = 'student'", "yaml.py": b"who = 'instructor'"}
    sandbox.furnish(files, ["yaml"])
    said = run(
        sandbox,
        "import mistune, own\nprint(hasattr(mistune, 'who'), own.who)\n"
        "import sys; sys.modules.pop('yaml', None)\nimport yaml\nprint(yaml.who)",
    )
    assert said == ["False", "student", "instructor"]


def test_a_module_that_a_cell_writes_can_be_imported(sandbox):
    run(sandbox, "%%writefile mine.py\nx = 41")
    assert run(sandbox, "import mine; print(mine.x)") == ["41"]


def test_files_that_do_not_fit_are_the_machine_s_fault(zygote):
    with zygote.spawn(Limits(tmp_mb=1), seed=1) as sandbox, pytest.raises(SandboxUnavailable, match="tmp_mb"):
        sandbox.furnish({"big.bin": bytes(3 << 20)}, [])
