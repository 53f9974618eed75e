"""One warm zygote for all tests that need real sandboxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.limits import Limits

ROOT = Path(__file__).resolve().parents[1]


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
