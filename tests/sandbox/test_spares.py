"""Sandboxes that wait until they are wanted."""

from __future__ import annotations

import time

import pytest

from autograder.errors import SandboxUnavailable
from autograder.limits import Limits
from autograder.sandbox.spares import Spares

DRAW = "import random, torch, numpy as np; print(random.random(), torch.rand(1).item(), np.random.rand())"


@pytest.fixture
def spares(zygote):
    made = Spares(zygote)
    yield made
    made.close()


def drawn(sandbox):
    reply = sandbox.run_cell(DRAW, wall_s=10, output_bytes=1000)
    return reply["outputs"][0]["text"]


def test_a_spare_draws_what_a_sandbox_made_for_its_seed_draws(zygote, spares):
    spares.prepare(Limits())
    waiting = spares._spare
    sandbox = spares.take(Limits(), seed=11)
    assert sandbox is waiting.result()
    with zygote.spawn(Limits(), seed=11) as direct:
        assert drawn(sandbox) == drawn(direct)
    spares.give_back(sandbox)


def test_each_is_fresh(spares):
    first = spares.take(Limits(), seed=1)
    first.run_cell("here = 1; open('/tmp/here', 'w').close()", wall_s=10, output_bytes=100)
    spares.give_back(first)
    second = spares.take(Limits(), seed=1)
    reply = second.run_cell(
        "import os; print('here' in globals(), os.path.exists('/tmp/here'))", wall_s=10, output_bytes=100
    )
    assert reply["outputs"][0]["text"] == "False False\n"
    spares.give_back(second)


def test_other_limits_are_not_those_of_the_spare(spares):
    spares.prepare(Limits())
    sandbox = spares.take(Limits(open_files=77), seed=1)
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    assert sandbox.run_cell(code, wall_s=10, output_bytes=100)["outputs"][0]["text"] == "77\n"
    spares.give_back(sandbox)


def test_a_spare_that_ended_while_it_waited_is_replaced(spares):
    spares.prepare(Limits())
    waiting = spares._spare.result()
    waiting.kill()
    waiting.dead = None  # nobody has told the judge
    sandbox = spares.take(Limits(), seed=5)
    assert sandbox is not waiting and drawn(sandbox)
    spares.give_back(sandbox)


def test_close_ends_all_that_was_made(zygote):
    spares = Spares(zygote)
    used = spares.take(Limits(), seed=1)
    waiting = spares._spare.result()
    spares.give_back(used)
    spares.close()
    for sandbox in (used, waiting):
        assert sandbox.usage["status"] == -9  # the zygote has reaped it


def test_a_machine_that_cannot_is_said_at_once(monkeypatch, zygote):
    def no(*_, **__):
        raise SandboxUnavailable("no room")

    monkeypatch.setattr(zygote, "spawn", no)
    spares = Spares(zygote)
    started = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="no room"):
        spares.take(Limits(), seed=1)
    spares.close()
    assert time.monotonic() - started < 5
