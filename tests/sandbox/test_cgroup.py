"""Control groups: memory and process limits of a whole sandbox, against the real kernel where it lets us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.limits import Limits
from autograder.sandbox import hierarchy
from autograder.sandbox.cgroup import Cgroup, CgroupPool
from tests.sandbox.jails import alive, eventually

REPOSITORY = Path(__file__).resolve().parents[2]
LIMITS = Limits(memory_mb=64, processes=10)

HOG = """
import os, sys
sys.stdin.read(1)
blocks = [bytearray(os.urandom(1 << 20)) for _ in range(int(sys.argv[1]))]
"""
FORKED_HOGS = """
import os, sys
sys.stdin.read(1)
pids = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        blocks = [bytearray(os.urandom(1 << 20)) for _ in range(30)]
        sys.stdin.read(1)
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
"""
BOMB = """
import os, sys, signal
sys.stdin.read(1)
made = 0
try:
    while made < 100:
        if os.fork() == 0: signal.pause()
        made += 1
except OSError: pass
print(made, flush=True)
signal.pause()
"""


@pytest.fixture
def pool() -> Iterator[CgroupPool]:
    with CgroupPool(LIMITS) as made:
        if not made.available:
            pytest.skip("; ".join(made.reasons))
        yield made


@contextlib.contextmanager
def started(group: Cgroup, code: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """``code`` in ``group``; it has waited for one byte before it began."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        group.add(process.pid)
        process.stdin.write(b"x")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_memory_hog_is_ended_and_named(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    assert not group.oom_killed()
    with started(group, HOG, "200") as process:
        assert process.wait(30) == -signal.SIGKILL
        assert group.oom_killed()
        peak = group.peak_mb()
        assert peak is None or 50 < peak <= 65


def test_forks_share_one_limit(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    with started(group, FORKED_HOGS):
        # each of the four is well within the limit
        assert eventually(group.oom_killed, 30)


def test_what_fits_is_left_alone(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    with started(group, HOG, "30") as process:
        assert process.wait(30) == 0
        assert not group.oom_killed()


def test_a_fork_bomb_is_stopped_and_ended(pool: CgroupPool) -> None:
    if "cgroup-pids" in pool.missing:
        pytest.skip("no pids controller here")
    group = pool.acquire()
    assert group is not None
    with started(group, BOMB) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == 9
        members = group.members()
        assert len(members) == 10
        assert group.kill()
        process.wait(5)
        assert group.members() == []
        assert eventually(lambda: not any(alive(pid) for pid in members))


def test_a_group_used_again_starts_from_zero(pool: CgroupPool) -> None:
    first = pool.acquire()
    assert first is not None
    with started(first, HOG, "200") as process:
        process.wait(30)
    first.release()
    first.release()
    again = pool.acquire()
    other = pool.acquire()
    assert again is not None and other is not None
    assert again is not other
    assert not again.oom_killed()
    assert (again.peak_mb() or 0) < 50
    with started(again, HOG, "200") as process:
        process.wait(30)
        assert again.oom_killed()
    assert not other.oom_killed()


def test_release_ends_what_is_left(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    with started(
        group, "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.pause()"
    ) as process:
        group.release()
        assert process.wait(5) == -signal.SIGKILL


def test_close_removes_all_groups(pool: CgroupPool) -> None:
    groups = [pool.acquire() for _ in range(3)]
    folders = [folder for group in groups if group for folder in group._folders]
    assert folders and all(folder.is_dir() for folder in folders)
    pool.close()
    assert not any(folder.exists() for folder in folders)
    pool.close()


def test_a_group_that_vanished_is_made_anew(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    group.release()
    assert group._remove()
    fresh = pool.acquire()
    assert fresh is not None
    assert all(folder.is_dir() for folder in fresh._folders)


def test_adding_a_process_that_ended_says_so(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ProcessLookupError):
        group.add(process.pid)


def test_a_forked_copy_leaves_the_groups_alone(pool: CgroupPool) -> None:
    group = pool.acquire()
    assert group is not None
    pid = os.fork()
    if pid == 0:
        group.release()
        pool.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert all(folder.is_dir() for folder in group._folders)


def test_groups_of_a_killed_judge_are_swept(pool: CgroupPool) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from autograder.limits import Limits
from autograder.sandbox.cgroup import CgroupPool
group = CgroupPool(Limits()).acquire()
print(*group._folders, sep="\\n", flush=True)
print("end", flush=True)
time.sleep(60)
"""
    judge = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert judge.stdout is not None
    with judge.stdout:
        folders = [Path(line.strip()) for line in iter(judge.stdout.readline, "end\n")]
        judge.kill()
        judge.wait()
    assert folders and all(folder.is_dir() for folder in folders)
    CgroupPool(LIMITS).close()
    assert not any(folder.exists() for folder in folders)


def test_acquiring_is_quick_when_pooled(pool: CgroupPool, record_property: pytest.RecordProperty) -> None:
    group = pool.acquire()
    assert group is not None
    group.release()
    begun = time.perf_counter()
    assert pool.acquire() is group or pool.version == 2
    wall_s = time.perf_counter() - begun
    record_property("acquire_ms", round(wall_s * 1000, 3))
    assert wall_s < 0.02


# -- finding a place


def test_nothing_mounted_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("cgroup").write_text("0::/\n")
    tmp_path.joinpath("mountinfo").write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
    reasons: list[str] = []
    assert hierarchy.find(tmp_path, reasons) is None
    assert "no memory control group is mounted" in reasons[0]


def test_version_1_paths_are_put_together(tmp_path: Path) -> None:
    for name in ("memory/own/deep", "pids/own"):
        tmp_path.joinpath(name).mkdir(parents=True)
    proc = tmp_path / "proc"
    proc.mkdir()
    proc.joinpath("cgroup").write_text(
        "8:pids:/host/own\n4:memory,extra:/own/deep\n1:name=systemd:/x\n0::/\n"
    )
    proc.joinpath("mountinfo").write_text(
        f"35 31 0:32 / {tmp_path}/memory rw,relatime shared:3 - cgroup cgroup rw,memory,extra\n"
        f"39 31 0:36 /host {tmp_path}/pids rw,relatime - cgroup cgroup rw,pids\n"
    )
    place = hierarchy.find(proc, [])
    assert place is not None
    assert (place.version, place.memory, place.pids) == (
        1,
        tmp_path / "memory/own/deep",
        tmp_path / "pids/own",
    )


def test_version_2_without_delegation_names_the_cure(tmp_path: Path) -> None:
    own = tmp_path / "user.slice"
    own.mkdir()
    own.joinpath("cgroup.controllers").write_text("cpu pids\n")
    reasons: list[str] = []
    assert hierarchy.find_v2(own, tmp_path, reasons) is None
    assert "the memory controller is not delegated" in reasons[0]
    assert "systemd-run --user --scope -p Delegate=yes" in reasons[0]


def test_version_2_takes_the_nearest_group_that_hands_memory_down(tmp_path: Path) -> None:
    slice_ = tmp_path / "user.slice"
    own = slice_ / "session.scope"
    own.mkdir(parents=True)
    for folder in (slice_, tmp_path):
        folder.joinpath("cgroup.subtree_control").write_text("memory pids\n")
        folder.joinpath("cgroup.procs").touch()
    place = hierarchy.find_v2(own, tmp_path, [])
    assert place == hierarchy.Place(2, slice_, None) or place == hierarchy.Place(2, slice_, slice_)


@pytest.fixture
def unified() -> Iterator[tuple[Path, str]]:
    """A group of our own in a real version 2 hierarchy, and some controller that it has."""
    mounts = hierarchy.parse_mounts(Path("/proc/self/mountinfo").read_text())
    if "" not in mounts or os.geteuid() != 0:
        pytest.skip("needs root and a version 2 hierarchy")
    top = mounts[""][1]
    folder = top / f"autograder-test-{os.getpid()}"
    try:
        controller = hierarchy.words(top / "cgroup.controllers")[0]
        if controller not in hierarchy.words(top / "cgroup.subtree_control"):
            hierarchy.write(top / "cgroup.subtree_control", f"+{controller}")
            given = True
        else:
            given = False
        folder.mkdir()
    except (OSError, IndexError) as error:
        pytest.skip(f"the version 2 hierarchy has no controller to give ({error})")
    yield folder, controller
    for below in sorted(folder.rglob("*"), reverse=True):
        if below.is_dir():
            below.rmdir()
    folder.rmdir()
    if given:
        hierarchy.write(top / "cgroup.subtree_control", f"-{controller}")


IN_GROUP = """
import os, sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from autograder.sandbox import hierarchy
own = Path({own!r})
hierarchy.write(own / "cgroup.procs", "0")
if {crowded!r}:
    sleeper = os.fork()
    if sleeper == 0:
        import signal
        signal.pause()
reasons = []
place = hierarchy.find_v2(own, own, reasons, needed={controller!r})
print(place is not None, "|", *reasons)
if place:
    print(Path("/proc/self/cgroup").read_text().splitlines()[-1])
    again = hierarchy.find_v2(own, own, reasons, needed={controller!r})
    assert again is not None, reasons
if {crowded!r}: os.kill(sleeper, 9); os.wait()
"""


@pytest.mark.parametrize("crowded", [False, True])
def test_a_group_of_version_2_is_divided_only_if_it_is_ours_alone(
    unified: tuple[Path, str], crowded: bool
) -> None:
    own, controller = unified
    code = IN_GROUP.format(repository=str(REPOSITORY), own=str(own), crowded=crowded, controller=controller)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    found, *rest = done.stdout.splitlines()
    if crowded:
        assert found.startswith("False | ")
        assert "holds 1 other processes" in found
    else:
        assert found.startswith("True")
        assert rest[0].endswith("-judge")


def test_version_2_groups_end_their_processes(unified: tuple[Path, str]) -> None:
    own, _ = unified
    pool = CgroupPool(LIMITS)
    pool._place = hierarchy.Place(2, own, None)
    group = Cgroup(pool, (own / "one",))
    group._make()
    pool._all.append(group)
    code = "import os, signal, sys\nsys.stdin.read(1)\nos.fork()\nsignal.pause()"
    with started(group, code) as process:
        assert eventually(lambda: len(group.members()) == 2)
        pool.close()
        assert process.wait(5) == -signal.SIGKILL
    assert not group._folders[0].exists()
