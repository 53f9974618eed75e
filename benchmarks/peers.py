"""Stock nbgrader and Otter-Grader, in a virtual environment of their own, run as a person runs them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder.layout import Course
from benchmarks import measuring
from benchmarks.courses import ROOT
from benchmarks.measuring import Cost, Sampler

__all__ = ["Peers", "graded", "otter_notebook", "otter_zip"]

_LISTED = Path(__file__).with_name("peers.txt")

_OTTER_TEST = """\
OK_FORMAT = False
from otter.test_files import test_case

name = {task!r}
points = {points!r}
SOURCE = {source!r}


@test_case(name={task!r}, hidden=False)
def check(env):
    exec(compile(SOURCE, {task!r}, "exec"), env)
"""


class Peers:
    """The virtual environment in ``venv`` with the peers in it."""

    def __init__(self, venv: Path) -> None:
        self.bin = venv / "bin"
        self._venv = venv

    def install(self) -> None:
        """Make the environment unless it is there already; later runs need no network."""
        listed = (_LISTED.read_bytes(), (ROOT / "constraints.txt").read_bytes(), sys.version.encode())
        stamp = self._venv / f".installed-{hashlib.sha256(b''.join(listed)).hexdigest()[:12]}"
        if stamp.exists():
            return
        print(f"installing nbgrader and Otter-Grader into {self._venv.name} …", file=sys.stderr, flush=True)
        if self._venv.exists():
            shutil.rmtree(self._venv)
        subprocess.run([sys.executable, "-m", "venv", str(self._venv)], check=True)
        pip = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["-c", str(ROOT / "constraints.txt")]
        # torch alone first, as in the Makefile: nothing after it can bring in another build
        subprocess.run([*pip, "torch"], check=True)
        subprocess.run([*pip, "-r", str(_LISTED)], check=True)
        stamp.touch()

    def versions(self, *packages: str) -> dict[str, str]:
        """The installed versions."""
        code = "import sys, json; from importlib.metadata import version as v; "
        code += "print(json.dumps({name: v(name) for name in sys.argv[1:]}))"
        done = subprocess.run(
            [str(self.bin / "python"), "-c", code, *packages], check=True, capture_output=True, text=True
        )
        return dict(json.loads(done.stdout))

    def env(self, private: Path) -> dict[str, str]:
        """Environment variables: the peers' commands first, no settings of the user's own, no warnings."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "JUPYTER"))}
        env.pop("VIRTUAL_ENV", None)
        env["PATH"] = f"{self.bin}{os.pathsep}{env.get('PATH', '')}"
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            env[name] = str(private / name.lower())
        return env | {"PYTHONWARNINGS": "ignore", "JUPYTER_PLATFORM_DIRS": "1"}

    def stock(self, course: Course, assignment: str, sampler: Sampler | None = None) -> dict[str, Cost]:
        """``nbgrader autograde``, then ``nbgrader generate_feedback``."""
        root = course.root
        env, log = self.env(root / ".jupyter"), root / "stock.log"
        command = [str(self.bin / "nbgrader")]
        return {
            verb: measuring.run([*command, verb, assignment], cwd=root, log=log, env=env, sampler=sampler)
            for verb in ("autograde", "generate_feedback")
        }

    def otter(
        self, folder: Path, notebook: bytes, name: str, tests: Path, sampler: Sampler | None = None
    ) -> tuple[Cost, float | None]:
        """``otter run`` on one notebook in the new folder ``folder``: the cost, and the score if any."""
        folder.mkdir(parents=True)
        (folder / name).write_bytes(notebook)
        command = [str(self.bin / "otter"), "run", "-a", str(tests), "-o", ".", "--no-logo", name]
        env = self.env(tests.parent / ".jupyter")
        cost = measuring.run(command, cwd=folder, log=folder / "otter.log", env=env, sampler=sampler)
        results = folder / "results.json"
        if cost.code != 0 or not results.is_file():
            return cost, None
        return cost, sum(
            float(test["score"]) for test in json.loads(results.read_text())["tests"] if "score" in test
        )


def _test_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and cell["metadata"].get("nbgrader", {}).get("grade")
    ]


def otter_zip(course: Course, assignment: str, path: Path) -> None:
    """Otter's autograder: each nbgrader test cell is a test file with the same code and points."""
    source = json.loads(course.source_notebooks(assignment)[0].read_bytes())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("otter_config.json", json.dumps({"lang": "python", "show_all_public": True}))
        for cell in _test_cells(source):
            marks = cell["metadata"]["nbgrader"]
            text = _OTTER_TEST.format(
                task=marks["grade_id"], points=marks["points"], source="".join(cell["source"])
            )
            archive.writestr(f"tests/{marks['grade_id']}.py", text)


def otter_notebook(notebook: bytes) -> bytes:
    """The submission as Otter's students have it: ``grader.check("task")`` instead of a test cell."""
    data = json.load(io.BytesIO(notebook))
    for cell in _test_cells(data):
        cell["source"] = f'grader.check("{cell["metadata"]["nbgrader"]["grade_id"]}")'
    begin: dict[str, Any] = {"cell_type": "code", "id": "otter", "execution_count": None, "outputs": []}
    data["cells"].insert(0, {**begin, "metadata": {}, "source": "import otter\ngrader = otter.Notebook()"})
    return json.dumps(data).encode()


def graded(course: Course, assignment: str, kind: str) -> Sequence[Path]:
    """The files that grading left: of ``kind`` autograded or feedback."""
    suffix = {"autograded": "ipynb", "feedback": "html"}[kind]
    return list((course.root / kind).glob(f"*/{assignment}/*.{suffix}"))
