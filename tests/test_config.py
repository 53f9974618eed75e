from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import config
from autograder.errors import ConfigError


def write(root: Path, text: str) -> Path:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return root


def test_defaults_without_any_file(tmp_path: Path) -> None:
    loaded = config.load(tmp_path)
    assert loaded.root == tmp_path.resolve()
    assert loaded.limits.cell_wall_s == 30.0
    assert loaded.workers >= 1
    assert loaded.suites.name == "suites" and loaded.suites.parent.name == "autograder"


def test_root_is_found_upward_from_a_folder_and_from_a_file(tmp_path: Path) -> None:
    write(tmp_path, "[tool.autograder]\nworkers = 3\n[tool.autograder.limits]\ncell_wall_s = 7\n")
    deep = tmp_path / "source" / "ex1"
    deep.mkdir(parents=True)
    (deep / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    (deep / "ex1.ipynb").write_text("{}")
    for start in (deep, deep / "ex1.ipynb"):
        loaded = config.load(start)
        assert loaded.root == tmp_path.resolve()
        assert (loaded.workers, loaded.limits.cell_wall_s) == (3, 7)


def test_root_is_marked_by_nbgrader_config(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text("")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert config.find_root(tmp_path / "a" / "b") == tmp_path.resolve()


def test_own_suites_come_before_the_package_s(tmp_path: Path) -> None:
    write(tmp_path, "[tool.autograder]\n")
    (tmp_path / "autograder" / "suites").mkdir(parents=True)
    assert config.load(tmp_path).suites == tmp_path / "autograder" / "suites"
    (tmp_path / "mine").mkdir()
    write(tmp_path, "[tool.autograder]\nsuites = 'mine'\n")
    loaded = config.load(tmp_path)
    assert loaded.suites == tmp_path / "mine"
    assert loaded.course.suite_dir("ex1") == tmp_path / "mine" / "ex1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.autograder]\nworker = 2", ["unknown key worker", "known are data, limits, suites, workers"]),
        ("[tool.autograder.limits]\ncell_s = 2", ["unknown limit cell_s", "cell_wall_s"]),
        ("[tool.autograder.limits]\ncell_wall_s = -1", ["cell_wall_s", "positive"]),
        ("[tool.autograder.limits]\ncell_wall_s = inf", ["cell_wall_s", "finite"]),
        ("[tool.autograder.limits]\ncell_wall_s = '3'", ["cell_wall_s", "number"]),
        ("[tool.autograder]\nlimits = 3", ["limits", "table"]),
        ("[tool.autograder]\nworkers = 0", ["workers", "from 1 to"]),
        ("[tool.autograder]\nworkers = true", ["workers"]),
        ("[tool.autograder]\nsuites = 'nowhere'", ["nowhere", "no folder"]),
        ("[tool.autograder]\nsuites = 3", ["suites"]),
        ("[tool]\nautograder = 3", ["table"]),
        ("[tool.autograder", ["pyproject.toml"]),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_secret_is_made_once_and_private(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, "[tool.autograder]"))
    secret = loaded.secret()
    assert len(secret) >= 32 and loaded.secret() == secret
    path = tmp_path / ".autograder" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]
    path.chmod(0o644)
    assert loaded.secret() == secret and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_secret_that_is_too_short_is_refused(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, "[tool.autograder]"))
    (tmp_path / ".autograder").mkdir()
    (tmp_path / ".autograder" / "secret").write_text("abc")
    with pytest.raises(ConfigError, match="too short"):
        loaded.secret()


def test_secret_of_two_processes_at_once_is_one(tmp_path: Path) -> None:
    write(tmp_path, "[tool.autograder]")
    program = "import sys; from autograder import config; print(config.load(None).secret().hex())"
    environment = {**os.environ, "PYTHONPATH": str(Path(config.__file__).parent.parent)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    assert len({run.communicate()[0] for run in runs}) == 1
