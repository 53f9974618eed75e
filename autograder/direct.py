"""``pytest autograder/suites/ex1_tensors --submission PATH``: a suite as an ordinary pytest run, against one
notebook.

For the author of a suite: pytest's own output, ``-k``, ``--pdb`` and all, with the student's notebook in
the real sandbox. Each check gets a fresh copy of the sandbox in the state before its test cell, as in
grading. This module is the plugin that the installed package registers with pytest; without
``--submission`` the checks are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from autograder.datasets import DataSets
    from autograder.grading import Run
    from autograder.judge.calibrated import Calibrator
    from autograder.judge.draw import Draw
    from autograder.judge.student import Student
    from autograder.sandbox.launch import Zygote

__all__: list[str] = []

_RUN = pytest.StashKey["_Direct"]()


class _Direct:
    """The one submission of this pytest session."""

    def __init__(self, submission: Path, suite: Path, seed: int, tasks: frozenset[str]) -> None:
        from autograder import config, datasets, notebook, thresholds
        from autograder.grading import Grader, Run
        from autograder.judge.session import Judge, Suite
        from autograder.sandbox.launch import Zygote
        from autograder.sandbox.warmup import parts_of
        from autograder.seeds import Seeds, secret_of

        settings = config.load(suite)
        self.assignment, self.limits, self.seed = suite.name, settings.limits, seed
        source = settings.course.source_notebooks(suite.name)
        loaded = notebook.load_assignment(source[0], tasks)
        prepared = notebook.prepare(notebook.read(submission, settings.limits), loaded)
        files = [path.read_bytes() for path in source]
        self.data = datasets.load_all(datasets.wanted(files), settings.data)
        self.thresholds = thresholds.load(suite)
        probes = suite / "probes.py"
        self.probes = (suite.name, probes.read_text(encoding="utf-8")) if probes.is_file() else None
        used = [*files, probes.read_bytes()] if probes.is_file() else files
        self.zygote: Zygote = Zygote.start(data=self.data, parts=parts_of(used))
        self.seeds = Seeds(secret_of(seed), "")
        empty = Suite(suite.name, {task: () for task in tasks}, (), None, self.probes, "")
        judge = Judge(None, {suite.name: empty})  # pytest itself runs the checks here
        grader = Grader(self.zygote, judge, settings.limits)
        self.run: Run = Run(grader, suite.name, loaded, empty, prepared, self.seeds)
        self.walk = self.run.walk()
        self.reached: str | None = None

    def advance(self, task: str) -> None:
        while self.reached != task:
            spec = next(self.walk, None)
            if spec is None:
                pytest.fail(
                    f"the notebook ended before the test cell of task {task!r}: {self.run.message}",
                    pytrace=False,
                )
            self.reached = spec.id

    def close(self) -> None:
        self.run.close()
        self.zygote.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--submission`` and ``--draw-seed``."""
    group = parser.getgroup("autograder")
    group.addoption("--submission", type=Path, help="notebook to run the suite against")
    group.addoption("--draw-seed", type=int, default=0, help="seed of the hidden inputs (default 0)")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks of suites."""
    config.addinivalue_line("markers", "points(task, n): the task a check belongs to and what it is worth")
    config.addinivalue_line(
        "markers", "limit(wall_s): wall time of one check in seconds, instead of the default"
    )


def _task(item: Any) -> str:
    mark = item.get_closest_marker("points")
    return str(mark.args[0]) if mark else ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Checks in the order in which the notebook reaches their tasks."""
    if config.getoption("--submission") is None:
        return
    order: dict[str, int] = {}
    for item in items:
        order.setdefault(_task(item), len(order))
    suite = next((item.path.parent for item in items if _task(item)), None)
    if suite is not None:
        from autograder import config as settings
        from autograder.notebook import load_assignment

        source = settings.load(suite).course.source_notebooks(suite.name)
        order = {spec.id: number for number, spec in enumerate(load_assignment(source[0]).tasks)}
    items.sort(key=lambda item: order.get(_task(item), len(order)))


def _direct(request: pytest.FixtureRequest) -> _Direct:
    config = request.config
    path = config.getoption("--submission")
    if path is None:
        pytest.skip("give the notebook to check: --submission PATH")
    if _RUN not in config.stash:
        items = [item for item in request.session.items if _task(item)]
        config.stash[_RUN] = _Direct(
            Path(path), items[0].path.parent, config.getoption("--draw-seed"), frozenset(map(_task, items))
        )
    return config.stash[_RUN]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the sandbox."""
    direct = config.stash.get(_RUN, None)
    if direct is not None:
        direct.close()


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> Draw:
    """Hidden inputs of this check."""
    from autograder.judge.draw import Draw

    direct = _direct(request)
    return Draw(direct.seeds.check(direct.assignment, _task(request.node), request.node.name))


@pytest.fixture
def student(request: pytest.FixtureRequest, draw: Draw) -> Iterator[Student]:
    """The student's notebook in a sandbox, in the state before this check's test cell."""
    from autograder.judge.student import Student

    direct = _direct(request)
    direct.advance(_task(request.node))
    assert direct.run.sandbox is not None
    limit = request.node.get_closest_marker("limit")
    wall_s = float(limit.kwargs["wall_s"]) if limit else direct.limits.check_wall_s
    with direct.run.sandbox.branch() as branch:
        proxy = Student(branch, wall_s=wall_s, probes=direct.probes)
        proxy.seed(draw.seed)
        yield proxy


@pytest.fixture
def data(request: pytest.FixtureRequest) -> DataSets:
    """The data sets of this run, with the rows that no sandbox ever held."""
    return _direct(request).data


@pytest.fixture
def calibrated(request: pytest.FixtureRequest, draw: Draw) -> Calibrator:
    """The suite's thresholds: ``calibrated(name).check(run, …)``."""
    from autograder.judge.calibrated import Calibrator

    direct = _direct(request)
    return Calibrator(direct.thresholds, request.node.name, draw, direct.data, "cpu")


@pytest.fixture
def device() -> str:
    """The device of this run."""
    return "cpu"
