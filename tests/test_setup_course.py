"""``autograder setup-course`` on courses in the states in which one meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from traitlets.config import Config

from autograder import cli, config
from autograder.limits import Limits
from autograder.nbgrader_settings import load, use_sandbox
from autograder.timeouts import limits_of

OURS = "autograder.nbgrader_plugin.SandboxExecute"


def course(root: Path, text: str | None = "c = get_config()\nc.CourseDirectory.course_id = 'x'\n") -> Path:
    (root / "source").mkdir()
    if text is not None:
        (root / "nbgrader_config.py").write_text(text)
    return root


def tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_it_adds_two_lines_once_and_keeps_the_file_as_it_was(tmp_path, capsys):
    before = (course(tmp_path) / "nbgrader_config.py").read_text()
    assert cli.main(["setup-course", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"added to {tmp_path / 'nbgrader_config.py'}" in said and "use_sandbox(c)" in said
    assert (tmp_path / "nbgrader_config.py").read_text().startswith(before)
    assert (tmp_path / "nbgrader_config.py.before-autograder").read_text() == before
    secret = tmp_path / ".autograder" / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    loaded = load(tmp_path)
    assert loaded.CourseDirectory.course_id == "x"
    assert OURS in loaded.Autograde.autograde_preprocessors
    now = tree(tmp_path)
    assert cli.main(["setup-course", str(tmp_path)]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert tree(tmp_path) == now


def test_a_dry_run_writes_nothing_and_says_what_it_would(tmp_path, capsys):
    before = tree(course(tmp_path))
    assert cli.main(["setup-course", str(tmp_path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "would add to" in said and "would make" in said
    assert tree(tmp_path) == before and not (tmp_path / ".autograder").exists()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "config = get_config()\nconfig.CourseDirectory.course_id = 'x'\n",
        "c = get_config()",  # no line end
        "",
        "get_config().Execute.timeout = 5\n",
    ],
)
def test_whatever_the_file_says_nbgrader_can_read_it_afterwards(tmp_path, text):
    assert cli.main(["setup-course", str(course(tmp_path, text))]) == 0
    assert OURS in load(tmp_path).Autograde.autograde_preprocessors


def test_a_course_that_calls_it_already_is_left_alone(tmp_path):
    text = "c = get_config()\nfrom autograder.nbgrader_settings import apply\n\napply(c)\n"
    assert cli.main(["setup-course", str(course(tmp_path, text))]) == 0
    assert (tmp_path / "nbgrader_config.py").read_text() == text


@pytest.mark.parametrize(("text", "says"), [("c = (", "is no valid Python"), (b"\xff", "cannot read")])
def test_a_broken_file_is_not_made_worse(tmp_path, capsys, text, says):
    path = course(tmp_path, None) / "nbgrader_config.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["setup-course", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / ".autograder").exists()


def test_a_folder_that_is_no_course_is_refused(tmp_path, capsys):
    assert cli.main(["setup-course", str(tmp_path)]) == 2
    assert "is no nbgrader course" in capsys.readouterr().err
    assert cli.main(["setup-course", str(tmp_path / "nowhere")]) == 2


def test_a_secret_is_kept_out_of_git(tmp_path):
    (course(tmp_path) / ".git").mkdir()
    assert cli.main(["setup-course", str(tmp_path)]) == 0
    assert "/.autograder/" in (tmp_path / ".gitignore").read_text().splitlines()
    assert cli.main(["setup-course", str(tmp_path)]) == 0
    assert (tmp_path / ".gitignore").read_text().count("/.autograder/") == 1


def test_suites_of_another_course(tmp_path, capsys):
    course(tmp_path)
    assert cli.main(["setup-course", str(tmp_path), "--suites", "checks"]) == 2
    assert "make it first" in capsys.readouterr().err
    (tmp_path / "checks").mkdir()
    assert cli.main(["setup-course", str(tmp_path), "--suites", "checks"]) == 0
    assert config.load(tmp_path).suites == tmp_path / "checks"
    assert cli.main(["setup-course", str(tmp_path), "--suites", "checks"]) == 0
    (tmp_path / "others").mkdir()
    assert cli.main(["setup-course", str(tmp_path), "--suites", "others"]) == 2
    assert "has [tool.autograder] already" in capsys.readouterr().err


def test_without_a_setting_suites_lie_in_the_course(tmp_path):
    assert config.at(tmp_path).suites.name == "suites"  # the package's own
    (tmp_path / "suites").mkdir()
    assert config.at(tmp_path).suites == tmp_path / "suites"


# ---------------------------------------------------------------- what the lines do to a configuration


def test_steps_that_a_course_has_added_stay():
    settings = Config()
    settings.Autograde.autograde_preprocessors = ["nbgrader.preprocessors.Execute", "mine.Step"]
    settings.Autograde.sanitize_preprocessors.append("mine.First")
    use_sandbox(settings)
    use_sandbox(settings)  # twice is as once
    assert settings.Autograde.autograde_preprocessors == [OURS, "mine.Step"]
    assert settings.Autograde.sanitize_preprocessors == ["autograder.nbgrader_plugin.Sanitize", "mine.First"]
    assert settings.Execute.skip_cells_with_tag == ""


@pytest.mark.parametrize(
    ("line", "toml", "expected"),
    [
        ("", "", Limits()),
        ("c.Execute.timeout = 7", "", Limits(cell_wall_s=7)),
        ("c.ExecutePreprocessor.timeout = 7", "", Limits(cell_wall_s=7)),
        ("c.Execute.timeout = 400", "", Limits(cell_wall_s=400, submission_wall_s=800, cpu_s=800)),
        ("c.Execute.timeout = None", "", Limits(cell_wall_s=300)),
        ("c.Execute.timeout = -1", "", Limits(cell_wall_s=300)),
        ("c.Execute.timeout = 7", "cell_wall_s = 9", Limits(cell_wall_s=9)),
        ("# timeout", "memory_mb = 1024", Limits(memory_mb=1024)),
    ],
)
def test_the_time_limit_of_a_cell_is_the_course_s_own(tmp_path, line, toml, expected):
    course(tmp_path, f"c = get_config()\n{line}\n")
    if toml:
        (tmp_path / "pyproject.toml").write_text(f"[tool.autograder.limits]\n{toml}\n")
    settings = config.at(tmp_path)
    assert limits_of(settings) == expected
    assert limits_of(settings, load(tmp_path)) == expected
