"""One warm zygote for all tests that need real sandboxes, and warm judges for all that grade the course."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.limits import Limits

ROOT = Path(__file__).resolve().parents[1]


LONGEST = ("golden", "nbgrader_plugin", "exchange", "resume", "calibrate", "cli", "grading", "resident")
"""Test files that take longest come first: at the end one of two processes would wait for the other."""


def pytest_collection_modifyitems(items):
    place = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_addoption(parser):
    parser.addoption(
        "--unpacked",
        action="store_true",
        help="grade every golden submission alone; else wrong answers to different tasks share a notebook",
    )
    parser.addoption(
        "--every-attack",
        action="store_true",
        help="let an ordinary user try the attacks on the jail too (.ci/run lets one try all)",
    )
    parser.addoption(
        "--every-golden",
        action="store_true",
        help="grade all wrong golden submissions, not a half or, where they train for long, a quarter",
    )
    parser.addoption(
        "--every-seed",
        action="store_true",
        help="grade right golden submissions with two further seeds as well",
    )


@pytest.fixture(scope="session")
def zygote():
    from autograder.sandbox.launch import Zygote

    with Zygote.start() as running:
        yield running


@pytest.fixture
def limits():
    return Limits(cell_wall_s=5, check_wall_s=5, submission_wall_s=60)


@pytest.fixture
def sandbox(zygote, limits):
    with zygote.spawn(limits, seed=7) as running:
        yield running


@pytest.fixture(scope="session")
def checker(request):
    """Two judges and a zygote for ``ex1_tensors`` and the assignments that the collected tests are about."""
    from autograder import config
    from autograder.schedule import Checker

    settings = config.load(ROOT)
    specs = [item.callspec for item in request.session.items if hasattr(item, "callspec")]
    named = {spec.params["assignment"] for spec in specs if "assignment" in spec.params}
    names = sorted({"ex1_tensors"} | (named & set(settings.course.assignments())))
    with Checker(settings.course, names, limits=settings.limits, workers=2) as running:
        yield running
