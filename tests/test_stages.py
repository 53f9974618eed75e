"""Seconds by stage."""

from __future__ import annotations

import pytest

from autograder import stages


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])

    def pass_time(seconds):
        now[0] += seconds

    return pass_time


def test_an_inner_stage_counts_for_itself(clock):
    made = stages.Stages()
    with made("judge"):
        clock(1)
        for _ in range(2):
            with made("copies"):
                clock(2)
        clock(3)
    assert made.seconds == {"judge": 4, "copies": 4}


def test_a_stage_that_fails_counts_too(clock):
    made = stages.Stages()
    with pytest.raises(ValueError), made("cells"):
        clock(1)
        raise ValueError
    made.add({"cells": 2, "fork": 5})
    with made("cells"):
        clock(1)
    assert made.seconds == {"cells": 4, "fork": 5}
