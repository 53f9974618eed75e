"""Limits of whole sandboxes without a control group, fair shares of processors, the total deadline."""

from __future__ import annotations

import os
import threading
import time

import pytest

from autograder.errors import SandboxDied, SandboxError, SandboxTimeout
from autograder.limits import Limits
from autograder.sandbox import watch
from autograder.sandbox.launch import Zygote

MEMORY_MB = 300


@pytest.fixture
def ungrouped(zygote, monkeypatch):
    """The zygote of a machine on which no control group can be made."""
    monkeypatch.setattr(Zygote, "_cgroup", lambda self, limits: None)
    return zygote


def below(pid):
    """Processes of all sandboxes below the waiter ``pid``; the zygote itself is none."""
    everything = watch.processes()
    inner = [process.pid for process in everything.values() if process.parent == pid]
    found = []
    for process in inner:
        family = list(watch.Watched(process, None, 0, 0)._family(everything))
        found += family[1:]
    return found


class Peak(threading.Thread):
    """The highest memory of all sandboxes of a zygote, in MiB, while the body runs."""

    def __init__(self, zygote):
        super().__init__(daemon=True)
        self.pid, self.mb, self.going = zygote._process.pid, 0.0, True

    def run(self):
        while self.going:
            held = sum(watch._proportional_kb(pid, 0) for pid in below(self.pid)) / 1024
            self.mb = max(self.mb, held)
            time.sleep(0.05)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.join()


PRIVATE = """
import os, time
for _ in range(16):
    if os.fork() == 0:
        x = bytearray(200 << 20)
        for i in range(0, len(x), 4096): x[i] = 1
        time.sleep(100)
time.sleep(2)
"""
AMONG_COPIES = """
import os, time
x = bytearray(150 << 20)
for i in range(0, len(x), 4096): x[i] = 1
for _ in range(12):
    if os.fork() == 0:
        for i in range(0, len(x), 4096): x[i] = 2
        time.sleep(100)
time.sleep(2)
"""
SOCKETS = """
import os, socket, time
for _ in range(12):
    if os.fork() == 0:
        kept = []
        try:
            while True: kept.append(socket.socketpair())
        except OSError: pass
        time.sleep(100)
time.sleep(2)
"""


@pytest.mark.parametrize("source", [PRIVATE, AMONG_COPIES, SOCKETS], ids=["private", "copies", "sockets"])
def test_memory_of_a_whole_sandbox_is_bounded_without_a_control_group(ungrouped, source, record_property):
    limits = Limits(memory_mb=MEMORY_MB, processes=40)
    with ungrouped.spawn(limits, seed=1) as sandbox:
        assert "cgroup" in sandbox.missing_layers and "watch" not in sandbox.missing_layers
        with Peak(ungrouped) as peak:
            try:
                sandbox.run_cell(source, wall_s=6.0, output_bytes=1000)
            except SandboxDied as died:
                assert died.memory
            assert sandbox.oom_killed()
    record_property("peak_mb", round(peak.mb))
    # what it shares with the zygote, and what is filled between two looks
    assert peak.mb < MEMORY_MB + 1500, "16 processes of 200 MiB would be 3200"


def test_shared_memory_without_a_file_is_refused(sandbox):
    """It stays when the process that filled it lets go of it, and then nobody seems to hold it."""
    ways = (
        "mmap.mmap(-1, 4096)",
        "mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096)",
        "mmap.mmap(-1, 4096, flags=0x23)",
    )
    for way in ways:
        reply = sandbox.run_cell(f"import mmap, os\n{way}", wall_s=5, output_bytes=1000)
        assert reply["error"] and reply["error"].startswith(("OSError", "PermissionError")), (way, reply)
    for way in (
        "mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
        "open('/dev/zero', 'rb').read(4)",
    ):
        assert sandbox.run_cell(way, wall_s=5, output_bytes=1000)["error"] is None


def test_a_copy_that_needs_too_much_dies_alone(ungrouped):
    source = "import torch\ndef grow():\n    x = [torch.ones(1 << 20) for _ in range(1000)]"
    with ungrouped.spawn(Limits(memory_mb=MEMORY_MB), seed=1) as sandbox:
        sandbox.run_cell(f"kept = bytearray({MEMORY_MB - 100} << 20)\n{source}", wall_s=5, output_bytes=1000)
        from autograder.judge.student import Student, StudentError

        with sandbox.branch() as branch, pytest.raises((SandboxDied, StudentError)):
            Student(branch, wall_s=5).grow()
        assert sandbox.run_cell("1", wall_s=5, output_bytes=100)["error"] is None


def test_many_processes_are_ended_where_the_kernel_does_not_count_them():
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for _ in range(6):
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
        time.sleep(30)
        os._exit(0)
    try:
        time.sleep(0.2)
        assert watch.Watched(pid, None, 20, 0).look(watch.processes()) is False
        assert watch.Watched(pid, None, 3, 0).look(watch.processes()) is True
        assert os.waitpid(pid, 0)[1] == 9
    finally:
        for process in watch.processes().values():
            if process.pid != os.getpid() and _session(process.pid) == pid:
                os.kill(process.pid, 9)


def _session(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return 0


BUSY = """
import os
for _ in range(20):
    if os.fork() == 0:
        while True: pass
"""
WORK = """
import time
started = time.perf_counter()
for _ in range(3_000_000): pass
print(time.perf_counter() - started)
"""


def _work(sandbox):
    reply = sandbox.run_cell(WORK, wall_s=60, output_bytes=1000)
    return float(reply["outputs"][0]["text"])


def test_a_sandbox_full_of_busy_processes_does_not_slow_the_others_down(zygote, limits, record_property):
    with zygote.spawn(limits, seed=1) as quiet, zygote.spawn(limits, seed=2) as busy:
        alone = min(_work(quiet) for _ in range(3))
        busy.run_cell(BUSY, wall_s=5, output_bytes=100)
        time.sleep(3 * watch.PERIOD_S)
        beside = min(_work(quiet) for _ in range(3))
        spinning = [pid for pid in below(zygote._process.pid) if os.getpriority(os.PRIO_PROCESS, pid) >= 10]
    record_property("slower", round(beside / alone, 2))
    assert len(spinning) >= 20, "each of the busy processes weighs less"
    assert beside < 4 * alone + 0.2, "with equal shares for 21 processes on two cores it would be ten times"


def test_a_sandbox_stays_one_session(sandbox):
    """Where the kernel shares processors between sessions, a second one would have a second share."""
    source = (
        "import os, subprocess\npid = os.fork()\nif pid == 0:\n    before = os.getsid(0)\n    os.setsid()\n"
        "    os._exit(os.getsid(0) == before)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        "run = subprocess.run(['echo', 'works'], start_new_session=True, capture_output=True, text=True)\n"
        "print(run.stdout)"
    )
    reply = sandbox.run_cell(source, wall_s=5, output_bytes=1000)
    assert reply["outputs"][0]["text"] == "1\nworks\n\n"


def test_no_request_outlasts_the_deadline_of_the_submission(zygote, limits):
    with zygote.spawn(limits, seed=1) as sandbox:
        sandbox.deadline = time.monotonic() + 0.5
        started = time.monotonic()
        with pytest.raises((SandboxTimeout, SandboxError)):
            sandbox.run_cell(
                "import signal\nsignal.signal(14, signal.SIG_IGN)\nwhile True: pass",
                wall_s=60,
                output_bytes=100,
            )
        assert time.monotonic() - started < 2.5


def test_sandboxes_of_different_limits_live_side_by_side(zygote):
    with zygote.spawn(Limits(memory_mb=500), seed=1) as first:
        with zygote.spawn(Limits(memory_mb=600), seed=1) as second:
            assert second.run_cell("1", wall_s=5, output_bytes=100)["error"] is None
        assert first.run_cell("1", wall_s=5, output_bytes=100)["error"] is None


def test_without_a_proc_of_its_own_there_is_no_watch(monkeypatch):
    monkeypatch.setattr(os, "readlink", lambda path: (_ for _ in ()).throw(FileNotFoundError(path)))
    assert not watch.available()


def test_served_data_has_a_description_of_its_own_in_each_sandbox():
    from autograder.datasets import load_all

    look = (
        "import os\nfor fd in range(3, 20):\n"
        "    try: name = os.readlink(f'/proc/self/fd/{fd}')\n    except OSError: continue\n"
        "    if 'memfd' in name: break\n"
    )
    with (
        Zygote.start(parts=(), data=load_all({"california"}, "sample")) as zygote,
        zygote.spawn(Limits(), seed=1) as one,
        zygote.spawn(Limits(), seed=1) as other,
    ):
        one.run_cell(f"{look}print(os.lseek(fd, 12345, 0))", wall_s=5, output_bytes=100)
        reply = other.run_cell(f"{look}print(os.lseek(fd, 0, 1))", wall_s=5, output_bytes=100)
    assert reply["outputs"][0]["text"] == "0\n"
