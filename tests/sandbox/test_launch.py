"""Starting sandboxes: what happens when one ends before it is set up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autograder.errors import SandboxUnavailable
from autograder.limits import Limits
from autograder.sandbox import launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")


def test_the_process_id_behind_a_pidfd():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(process.pid)
    try:
        assert launch._host_pid(pidfd) == process.pid
        process.communicate(b"\n")
        with pytest.raises(SandboxUnavailable, match="ended at once"):  # the kernel says -1 now
            launch._host_pid(pidfd)
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("text", ["pos:\t0\nPid:\t0\nNSpid:\t0\n", "Pid:\t-1\n", "pos:\t0\n", ""])
def test_a_process_id_that_would_mean_the_grader_itself_is_refused(text, tmp_path, monkeypatch):
    """A cgroup takes 0 for the process that writes it: the judge would move itself in."""
    (tmp_path / "7").write_text(text)
    monkeypatch.setattr(launch, "Path", lambda path: tmp_path / path.rpartition("/")[2])
    with pytest.raises(SandboxUnavailable, match="process id cannot be read"):
        launch._host_pid(7)
    (tmp_path / "7").write_text(text + "Pid:\t4711\n")
    assert launch._host_pid(7) == 4711


def test_without_a_sandbox_each_notebook_has_a_folder_that_goes_with_it():
    source = "import os; open('left.txt', 'w').close(); print(os.getcwd())"
    folders = []
    with launch.Zygote.start(sandbox=False, parts=()) as unsafe:
        for _ in range(2):
            with unsafe.spawn(Limits(), seed=1) as child:
                (output,) = child.run_cell(source, wall_s=5, output_bytes=1000)["outputs"]
                folders.append(output["text"].strip())
                assert os.listdir(folders[-1]) == ["left.txt"]
            with unsafe.spawn(Limits(), seed=1):  # by then the zygote has cleared up after the one before
                assert not os.path.exists(folders[-1])
    assert len(set(folders)) == 2
    assert not os.path.exists(os.path.dirname(folders[0]))


def test_a_sandbox_that_cannot_be_set_up_says_why(zygote):
    with pytest.raises(SandboxUnavailable, match=r"could not be set up: .*Too many open files"):
        zygote.spawn(Limits(open_files=1), seed=1)
    with zygote.spawn(Limits(), seed=1) as sandbox:
        assert sandbox.run_cell("x = 1", wall_s=5, output_bytes=1000)["error"] is None


def test_a_sandbox_without_a_process_id_is_closed_and_costs_nobody_a_point(zygote, monkeypatch):
    def ended(pidfd):
        raise ProcessLookupError(3, "No such process")

    group = zygote._cgroup(Limits())
    if group is None:
        pytest.skip("no cgroups here: nobody asks for the process id")
    group.release()
    with monkeypatch.context() as patched:
        patched.setattr(launch, "_host_pid", ended)
        with pytest.raises(SandboxUnavailable, match="could not be set up"):
            zygote.spawn(Limits(), seed=1)
    with zygote.spawn(Limits(), seed=1) as sandbox:
        assert sandbox.run_cell("x = 1", wall_s=5, output_bytes=1000)["error"] is None


def test_sandboxes_know_the_cells_that_the_zygote_was_told_and_nothing_else_arrives():
    cells = ["x = 1\nx", "y = 2\n" + "# long\n" * 20_000]
    source = "import os; print(len(get_ipython().compile._known), os.read(0, 10))"
    with launch.Zygote.start(parts=(), cells=cells) as told, told.spawn(Limits(), seed=1) as sandbox:
        (output,) = sandbox.run_cell(source, wall_s=5, output_bytes=1000)["outputs"]
        assert output["text"] == "2 b''\n"
        (shown,) = sandbox.run_cell(cells[0], wall_s=5, output_bytes=1000)["outputs"]
        assert shown["data"]["text/plain"] == "1"
