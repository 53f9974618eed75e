"""What a judge worker does about failures that are ours. The rest is tested with real submissions."""

from __future__ import annotations

import contextlib
import threading
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest

from autograder import schedule, workers
from autograder.layout import Course
from autograder.limits import Limits
from autograder.models import Outcome
from tests import samples

SETUP = schedule.Setup(Course(Path("/nowhere")), ("ex",), Limits(), "cpu", True, b"secret")


class Caller:
    """The caller's end of a worker: jobs to give, and what came back."""

    def __init__(self, *jobs):
        self.jobs, self.sent = list(jobs), []

    def recv(self):
        if not self.jobs:
            raise EOFError
        return self.jobs.pop(0)

    def send(self, item):
        self.sent.append(item)


class Grader:
    """Fails for the file ``bad``."""

    def __init__(self, error):
        self.error = error

    def for_submission(self, assignment, folder, *, carry):
        return self

    def grade_file(self, assignment, notebook, path, seeds, only=None):
        if "bad" in str(path):
            raise self.error
        return samples.typical()


def worked(error, *jobs):
    caller = Caller(*jobs)
    notebooks = {"ex": (SimpleNamespace(name="ex"),)}
    with pytest.raises(EOFError):  # how a worker learns that there is no more to do
        workers.serve(SETUP, Grader(error), notebooks, caller)
    assert caller.sent[0] == ("ready", None)
    assert [kind for kind, _ in caller.sent[1:]] == ["result"] * len(jobs)
    return [value for _, value in caller.sent[1:]]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError(), EOFError()])
def test_an_error_of_the_machine_costs_one_submission_and_the_worker_goes_on(error, caplog):
    jobs = [schedule.Job(name, "ex", Path("/nowhere") / name) for name in ("ada", "bad", "eve")]
    first, lost, last = worked(error, *jobs)
    assert (first.student, lost.student, last.student) == ("ada", "bad", "eve")
    assert first.outcome is last.outcome is samples.typical().outcome
    assert lost.outcome is Outcome.ENGINE_ERROR and lost.score is None
    (result,) = lost.notebooks
    assert type(error).__name__ in result.message and "grade it again" in result.message
    assert "could not be graded" in caplog.text


def test_a_file_outside_the_gradebook_is_lost_alone_too(caplog):
    jobs = [schedule.FileJob("ex", Path("/nowhere") / name) for name in ("bad.ipynb", "good.ipynb")]
    (job, lost), (_, good) = worked(OSError("gone"), *jobs)
    assert job == jobs[0] and lost.outcome is Outcome.ENGINE_ERROR and lost.score is None
    assert good.name == "good" and good.score == samples.typical().score


def pool_of(*connections, warm=False):
    """A pool whose workers have the other ends of these connections. ``warm``: those of a warm judge."""
    pool = object.__new__(schedule.Pool)
    pool._alive, pool._idle, pool._error, pool._ready = set(connections), set(), None, False
    pool._waiting_for = set(connections) if warm else set()
    return pool


def job(name):
    return schedule.Job(name, "ex", Path("/nowhere") / name)


def test_a_worker_that_ends_costs_the_job_it_was_busy_with_and_no_other():
    (ours, theirs), (other, sound) = Pipe(), Pipe()
    pool = pool_of(ours, other)

    def work():
        theirs.send(("ready", None))
        assert theirs.recv().student == "s0"
        theirs.close()
        sound.send(("ready", None))
        with contextlib.suppress(EOFError):
            while True:
                sound.send(("result", sound.recv().student))

    thread = threading.Thread(target=work)
    thread.start()
    first, *others = pool.map([job(f"s{number}") for number in range(4)])
    other.close()
    thread.join(10)
    assert first.student == "s0" and first.outcome is Outcome.ENGINE_ERROR
    assert others == ["s1", "s2", "s3"]


def test_a_worker_of_a_warm_judge_has_its_job_before_anybody_asks_for_a_result():
    ours, theirs = Pipe()
    results = pool_of(ours, warm=True).map([job("s0"), job("s1")])
    assert theirs.poll(5) and theirs.recv().student == "s0"
    theirs.send(("ready", None))  # comes late: it is no second chance for a job
    theirs.send(("result", "s0"))
    assert next(results) == "s0"
    assert not theirs.poll()
    theirs.send(("result", "s1"))
    assert list(results) == ["s1"]
    assert theirs.recv().student == "s1"
