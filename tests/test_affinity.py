"""One processor for each judge, and the whole machine again afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autograder.affinity import one_processor, own_processors
from autograder.limits import Limits

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(own_processors()) < 2, reason="needs two processors, and Linux"
)

OTHER = """
import sys
from autograder.affinity import one_processor
with one_processor() as cpu:
    print(cpu, flush=True)
    sys.stdin.read()
"""


def test_a_judge_keeps_to_a_processor_of_its_own_and_gives_it_back():
    before = own_processors()
    with one_processor() as cpu:
        if cpu is None:
            pytest.skip("other judges have all processors")
        assert own_processors() == {cpu}
    assert own_processors() == before


def test_two_judges_never_have_the_same_processor():
    with one_processor() as mine:
        others = []
        for _ in own_processors() | {None}:
            # Asked from outside, as this process is on one processor by now.
            process = subprocess.Popen(
                [sys.executable, "-c", OTHER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, range(os.cpu_count() or 1)),
            )
            others.append((process, process.stdout.readline().strip()))
    try:
        taken = [name for _, name in others if name != "None"] + ([str(mine)] if mine is not None else [])
        assert len(taken) == len(set(taken)) <= (os.cpu_count() or 1)
        assert "None" in [name for _, name in others], "there were more judges than processors"
    finally:
        for process, _ in others:
            process.communicate("")


def test_an_error_in_the_body_is_the_callers():
    before = own_processors()
    with pytest.raises(OSError, match="disk full"), one_processor():
        raise OSError("disk full")
    assert own_processors() == before


def test_a_sandbox_runs_where_its_judge_does(zygote):
    with one_processor() as cpu:
        if cpu is None:
            pytest.skip("other judges have all processors")
        with zygote.spawn(Limits(), seed=1) as sandbox:
            result = sandbox.run_cell("import os\nos.sched_getaffinity(0)", wall_s=5, output_bytes=1000)
    assert result["outputs"][0]["data"]["text/plain"] == str({cpu})
