"""The jail from inside: what student code sees, reaches and can still do. Real processes, both chains."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.errors import SandboxError, SandboxUnavailable
from autograder.limits import Limits
from autograder.sandbox import jail, linux, root
from autograder.sandbox import support as support_module
from tests.sandbox.jails import (
    ORDINARY_UID,
    Jail,
    alive,
    copy_package,
    descendants,
    eventually,
    python_for,
    why_not,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def package() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="jail-test-"))
    copy_package(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["privileged", "unprivileged"])
def box(request: pytest.FixtureRequest, package: Path) -> Jail:
    chain: str = request.param
    reason = why_not(chain)
    if reason:
        pytest.skip(reason)
    user = ORDINARY_UID if chain == "unprivileged" and os.geteuid() == 0 else None
    python = python_for(user, package)
    if python is None:
        pytest.skip("no Python from 3.11 on that an ordinary user can start")
    return Jail(chain, python, package, user)


# -- what works


def test_layers_are_all_on(box: Jail) -> None:
    active, missing = box.run("tell([layers.active, layers.missing])").value
    assert set(missing) <= {"uid"} | {name for name in jail.ALL_LAYERS if name.startswith("landlock")}
    assert ("uid" in active) is (box.chain == "privileged")
    assert set(active) | set(missing) == set(jail.ALL_LAYERS)


def test_ordinary_programs_work(box: Jail) -> None:
    code = """
import mmap, multiprocessing, os, pwd, socket, subprocess, sys, tempfile, threading
from multiprocessing import shared_memory
did = []
pid = os.fork()
if pid == 0: os._exit(7)
did.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
did.append(subprocess.run("echo $((6 * 7)) | cat", shell=True, capture_output=True, text=True).stdout)
did.append(subprocess.run([sys.executable, "-c", "print(2 ** 10)"], capture_output=True, text=True).stdout)
thread = threading.Thread(target=did.append, args=("thread",)); thread.start(); thread.join()
context = multiprocessing.get_context("fork")
queue = context.Queue(); process = context.Process(target=queue.put, args=("queue",)); process.start()
did.append(queue.get(timeout=10)); process.join(); did.append(process.exitcode)
with tempfile.NamedTemporaryFile() as file: file.write(b"x"); did.append(file.name[:5])
block = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
block[:2] = b"ok"; did.append(block[:2].decode())
memory = shared_memory.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
one, two = socket.socketpair(); one.send(b"pair"); did.append(two.recv(9).decode())
listener = socket.socket(socket.AF_UNIX); listener.bind("/tmp/s"); listener.listen()
did += [os.getcwd(), pwd.getpwuid(os.getuid()).pw_name, socket.gethostname(), os.getpid()]
open("answer.txt", "w").write("42"); did.append(os.listdir("."))
open("/dev/null", "w").write("x"); did.append(len(open("/dev/urandom", "rb").read(4)))
import json, sqlite3, zoneinfo, unittest.mock  # lazily imported modules are still there
tell(did)
"""
    expected = [7, "42\n", "1024\n", "thread", "queue", 0, "/tmp/", "ok", "pair"]
    expected += ["/home/student", "student", "sandbox", 1, ["answer.txt"], 4]
    assert box.run(code).value == expected


def test_one_zygote_serves_many_fresh_sandboxes(box: Jail) -> None:
    code = "import os\nopen('/tmp/mine', 'x').close()\ntell([os.getpid(), os.getuid(), os.listdir('/tmp')])"
    result = box.run(*[code] * 3)
    assert result.statuses == [0, 0, 0]
    assert [told[0] for told in result.told] == [1, 1, 1]
    # An environment that itself lies below /tmp stays visible there.
    python = {Path(prefix).parts[2] for prefix in (sys.prefix, sys.base_prefix) if prefix.startswith("/tmp/")}
    assert [sorted(set(told[2]) - python) for told in result.told] == [["mine"]] * 3
    if box.chain == "privileged":
        assert len({told[1] for told in result.told}) == 3


def test_stages_are_quick(box: Jail, record_property: pytest.RecordProperty) -> None:
    result = box.run(*["tell(times)"] * 5)
    for name in ("build_root", "fork", "enter_child"):
        record_property(f"{name}_ms", round(min(told[name] for told in result.told) * 1000, 2))
    assert min(told["enter_child"] for told in result.told) < 0.05


# -- files


def test_no_file_of_the_host_is_visible(box: Jail, tmp_path: Path) -> None:
    tmp_path.joinpath("gradebook.db").touch()
    paths = [str(REPOSITORY / "autograder" / "limits.py"), str(tmp_path / "gradebook.db"), str(box.package)]
    paths += [
        "/etc/shadow",
        "/etc/ssh",
        "/var/log",
        "/var/lib",
        "/run",
        "/sys",
        "/boot",
        "/.host",
        "/dev/tty",
        "/dev/kmsg",
    ]
    code = f"""
import os
tell([[path for path in {paths!r} if os.path.lexists(path)], sorted(os.listdir("/")), os.listdir("/home"),
      [name for name in os.listdir("/dev") if os.path.exists("/dev/" + name)]])
"""
    seen, top, homes, devices = box.run(code).value
    assert seen == []
    assert homes == ["student"]
    assert set(devices) <= {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "shm",
        "fd",
        "stdin",
        "stdout",
        "stderr",
    }
    assert {"dev", "etc", "home", "proc", "tmp", "usr"} <= set(top)


def test_the_host_is_not_reached_by_dots_or_descriptors(box: Jail) -> None:
    code = """
import os
opened = []
for name in os.listdir("/proc/self/fd"):
    try: opened.append(os.readlink("/proc/self/fd/" + name))
    except OSError: pass
opened = [path for path in opened if path.startswith("/") and not path.startswith(("/dev/null", "/proc/"))]
same = sorted(os.listdir("/../..")) == sorted(os.listdir("/"))
tell([same, opened, os.path.realpath("/proc/self/root"), os.path.realpath("/proc/self/cwd")])
"""
    assert box.run(code).value == [True, [], "/", "/home/student"]


def test_everything_but_three_folders_is_read_only(box: Jail) -> None:
    code = """
import os, sys
def attempt(path):
    try: open(path, "w").close()
    except OSError as error: return error.errno
    return 0
folders = ["/", "/etc", "/usr", "/usr/bin", "/home", "/dev", "/proc", "/var"]
folders += [sys.prefix, os.path.dirname(os.__file__)]
tell([[attempt(folder + "/probe") for folder in folders], attempt("/etc/passwd"), attempt("/dev/zero"),
      [attempt(folder + "/probe") for folder in ("/tmp", "/home/student", "/dev/shm", "/var/tmp")]])
"""
    refused, passwd, zero, allowed = box.run(code).value
    assert all(refused)
    assert passwd
    assert zero == 0
    assert allowed == [0, 0, 0, 0]


def test_tmp_size_is_common_to_its_folders(box: Jail) -> None:
    code = """
def fill(path, mb):
    try:
        with open(path, "wb") as file:
            for _ in range(mb): file.write(bytes(1 << 20))
    except OSError as error: return error.errno
    return 0
tell([fill("/tmp/a", 3), fill("/dev/shm/b", 3), fill("/home/student/c", 3)])
"""
    assert box.run(code, limits={"tmp_mb": 8}).value == [0, 0, errno.ENOSPC]


def test_number_and_size_of_files_are_limited(box: Jail) -> None:
    code = """
made = 0
try:
    for made in range(1000): open(f"/tmp/{made}", "x").close()
except OSError as error: code = error.errno
try: open("/tmp/0", "wb").write(bytes(3 << 20)); big = 0
except OSError as error: big = error.errno
tell([made, code, big])
"""
    made, code, big = box.run(code, limits={"tmp_inodes": 100, "file_mb": 2}).value
    assert 80 <= made <= 110
    assert code == errno.ENOSPC
    assert big == errno.EFBIG


def test_binds_show_and_hide_hides(box: Jail, package: Path) -> None:
    course = Path(tempfile.mkdtemp(prefix="jail-course-"))
    try:
        for name in ("data/x.csv", "suites/answers.py", "suites/venv/lib.py", "secret.txt", "data/link"):
            course.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            course.joinpath(name).write_text("host")
        for path in (course, *course.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        code = f"""
import os, pathlib
top = pathlib.Path({str(course)!r})
try: (top / "data" / "new").touch(); wrote = True
except OSError: wrote = False
files = sorted(str(p.relative_to(top)) for p in top.rglob("*") if p.is_file())
tell([files, (top / "secret.txt").read_bytes().decode(), wrote])
"""
        hide = [str(course / "suites"), str(course / "secret.txt"), "/nonexistent/path"]
        result = box.run(code, binds=[str(course), str(course / "suites" / "venv")], hide=hide)
        assert result.value == [["data/link", "data/x.csv", "suites/venv/lib.py"], "", False]
    finally:
        shutil.rmtree(course)


def test_an_environment_in_tmp_stays_usable_and_its_repository_hidden(box: Jail) -> None:
    repository = Path(tempfile.mkdtemp(prefix="jail-repo-"))
    try:
        subprocess.run([box.python, "-m", "venv", "--without-pip", str(repository / ".venv")], check=True)
        (repository / "answers.py").touch()
        for path in (repository, *repository.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        code = f"""
import os, subprocess, sys
show = [sys.executable, "-c", "import sys; print(sys.prefix)"]
works = subprocess.run(show, capture_output=True, text=True).stdout
try: open(sys.prefix + "/lib/x", "w"); wrote = True
except OSError: wrote = False
tell([works.strip(), sorted(os.listdir({str(repository)!r})), wrote])
"""
        python = str(repository / ".venv" / "bin" / "python")
        assert box.run(code, python=python).value == [str(repository / ".venv"), [".venv"], False]
    finally:
        shutil.rmtree(repository)


# -- network and other processes


def test_no_network(box: Jail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        name = f"\0jail-test-{os.getpid()}"
        abstract.bind(name)
        abstract.listen()
        code = f"""
import os, socket
def attempt(family, address, kind=socket.SOCK_STREAM):
    try:
        with socket.socket(family, kind) as sock:
            sock.settimeout(2)
            sock.connect(address)
    except OSError as error: return type(error).__name__
    return "connected"
tell([
    attempt(socket.AF_INET, ("127.0.0.1", {server.getsockname()[1]})),
    attempt(socket.AF_INET, ("8.8.8.8", 53)),
    attempt(socket.AF_INET, ("8.8.8.8", 53), socket.SOCK_DGRAM),
    attempt(socket.AF_INET6, ("::1", {server.getsockname()[1]})),
    attempt(socket.AF_UNIX, {name!r}),
    attempt(40, (2, 22)),
    attempt(socket.AF_NETLINK, (0, 0), socket.SOCK_RAW),
    attempt(socket.AF_PACKET, ("lo", 0), socket.SOCK_RAW),
    sorted(line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]),
])
"""
        *attempts, interfaces = box.run(code).value
    assert "connected" not in attempts
    assert attempts[5:] == ["PermissionError"] * 3
    assert interfaces == ["lo"] or all(name.endswith("0") or name == "lo" for name in interfaces)


def test_a_refused_proc_is_missing_and_not_the_zygotes(box: Jail) -> None:
    only_first = """
from autograder.sandbox import linux
mount, calls = linux.mount, []
def picky(source, target, kind, *rest):
    if kind == "proc":
        calls.append(target)
        if len(calls) > FIRST: raise PermissionError(1, "refused")
    return mount(source, target, kind, *rest)
linux.mount = picky
"""
    code = "import os\ntell([layers.missing, os.listdir('/proc')])"
    for first in ("0", "1"):  # refused to the zygote already, or to the sandbox only
        missing, seen = box.run(code, prelude=only_first.replace("FIRST", first)).value
        assert "proc" in missing
        assert seen == []


def test_older_kernels_get_the_same_tree(box: Jail) -> None:
    prelude = (
        "from autograder.sandbox import linux\nlinux._NR_MOUNT_SETATTR = linux._NR_CLOSE_RANGE = 100_000"
    )
    code = """
mounts = [line.split()[1:4:2] + [line.split()[3].split(",")] for line in open("/proc/mounts")]
writable = sorted({point for point, _, options in mounts if "ro" not in options})
import os
tell([writable, sorted(int(n) for n in os.listdir("/proc/self/fd")), "nosuid" in str(mounts)])
"""
    writable, fds, nosuid = box.run(code, prelude=prelude).value
    # /proc: the zygote's, covered by the sandbox's own; /etc/passwd: belongs to root
    assert set(writable) - {"/etc/passwd"} == {"/dev/shm", "/home/student", "/proc", "/tmp"}
    assert fds == [0, 1, 2, 3]
    assert nosuid


def test_without_landlock_or_libseccomp_the_layer_is_missing(box: Jail) -> None:
    prelude = """
import sys
from autograder.sandbox import landlock
sys.modules["pyseccomp"] = None
landlock.version = lambda: VERSION
"""
    names = ["landlock", "landlock-net", "landlock-scope"]
    for version, lacking in ((0, names), (3, names[1:]), (5, names[2:])):
        missing = box.run("tell(layers.missing)", prelude=prelude.replace("VERSION", str(version))).value
        assert [name for name in missing if name != "uid"] == [*lacking, "seccomp"]


def test_proc_shows_the_sandbox_only(box: Jail) -> None:
    code = """
import os, subprocess
child = subprocess.Popen(["sleep", "20"])
tell([sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), child.pid])
child.kill(); child.wait()
"""
    pids, child = box.run(code).value
    assert pids == [1, child]


def test_environment_and_memory_of_the_zygote_are_not_in_proc(box: Jail) -> None:
    code = """
def attempt(path):
    try: return len(open(path, "rb").read(1))
    except OSError: return "refused"
tell([attempt("/proc/1/environ"), attempt("/proc/1/mem"), attempt("/proc/kcore"), attempt("/proc/1/maps")])
"""
    assert box.run(code).value[:3] == ["refused"] * 3


def test_signals_reach_nobody_outside(box: Jail) -> None:
    code = f"""
import os
reached = []
for pid in [*range(2, 400), {os.getpid()}, {os.getppid()}]:
    try: os.kill(pid, 0); reached.append(pid)
    except OSError: pass
tell([reached, os.getppid()])
"""
    assert box.run(code).value == [[], 0]


def test_descriptors_are_closed(box: Jail) -> None:
    code = "import os\ntell(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
    # the fourth is the listing itself
    assert box.run(code).value == [0, 1, 2, 3]


# -- privileges


def test_nothing_is_left_to_gain(box: Jail) -> None:
    code = """
import os, resource
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
kinds = "CORE CPU NOFILE NPROC FSIZE".split()
tell({"caps": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
      "nnp": status["NoNewPrivs"], "seccomp": status["Seccomp"], "ids": [os.getresuid(), os.getresgid()],
      "groups": os.getgroups(),
      "limits": [resource.getrlimit(getattr(resource, "RLIMIT_" + kind)) for kind in kinds]})
"""
    told = box.run(code, limits={"cpu_s": 30, "open_files": 99, "processes": 50, "file_mb": 2}).value
    assert told["caps"] == [0, 0, 0, 0, 0]
    assert (told["nnp"].strip(), told["seccomp"].strip()) == ("1", "2")
    assert 0 not in told["ids"][0] + told["ids"][1]
    assert told["limits"] == [[1, 1], [30, 32], [99, 99], [50, 50], [2 << 20, 2 << 20]]
    if box.chain == "privileged":
        assert told["groups"] == []
        assert told["ids"] == [[1_000_000_000] * 3] * 2


def test_privileged_calls_are_refused(box: Jail) -> None:
    code = """
import ctypes, os, stat
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, *args):
    ctypes.set_errno(0)
    return getattr(libc, name)(*args) == -1 and ctypes.get_errno() != 0
def fails(call, *args):
    try: call(*args)
    except OSError: return True
    return False
os.mkdir("/tmp/d")
tell({
    "mount": refused("mount", b"tmpfs", b"/tmp/d", b"tmpfs", 0, None),
    "umount": refused("umount2", b"/tmp", 2),
    "unshare user": refused("unshare", 0x10000000),
    "unshare net": refused("unshare", 0x40000000),
    "setns": refused("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0),
    "chroot": fails(os.chroot, "/tmp/d"),
    "setuid": fails(os.setuid, 0),
    "setgid": fails(os.setgid, 0),
    "setgroups": fails(os.setgroups, [0]),
    "mknod": fails(os.mknod, "/tmp/n", stat.S_IFBLK | 0o600, os.makedev(8, 0)),
    "ptrace": refused("ptrace", 0, 0, 0, 0),
    "hostname": refused("sethostname", b"x", 1),
    "nice": fails(os.setpriority, os.PRIO_PROCESS, 0, -5),
    "chown": fails(os.chown, "/tmp/d", 0, 0),
    "link": fails(os.link, "/usr/bin/env", "/tmp/env"),
    "reboot": refused("reboot", 0),
    "swapoff": refused("swapoff", b"/x"),
})
"""
    told = box.run(code).value
    assert [name for name, was_refused in told.items() if not was_refused] == []


def test_limits_cannot_be_raised(box: Jail) -> None:
    code = """
import resource
kinds = [getattr(resource, "RLIMIT_" + kind) for kind in "AS NPROC NOFILE FSIZE CPU".split()]
raised = []
for kind in kinds:
    hard = resource.getrlimit(kind)[1]
    try: resource.setrlimit(kind, (hard + 1, hard + 1)); raised.append(kind)
    except (OSError, ValueError): pass
tell(raised)
"""
    assert box.run(code).value == []


# -- limits


def test_an_older_kernel_does_not_count_the_whole_desktop(box: Jail) -> None:
    prelude = "jail._counts_in_user_namespaces = lambda: False"
    missing = box.run("tell(layers.missing)", prelude=prelude).value
    assert ("nproc" in missing) is (box.chain == "unprivileged")


def test_processes_and_threads_are_counted_together(box: Jail) -> None:
    code = """
import os, signal, threading
pids = []
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(5)]
for thread in threads: thread.start()
try:
    while len(pids) < 200:
        pid = os.fork()
        if pid == 0: signal.pause()
        pids.append(pid)
except OSError as error: tell([len(pids), error.errno])
for pid in pids: os.kill(pid, 9)
stop.set()
"""
    count, code_of_error = box.run(code, limits={"processes": 20}).value
    assert (count, code_of_error) == (14, errno.EAGAIN)


def test_address_space_is_limited(box: Jail) -> None:
    code = """
try: block = bytearray(300 << 20); tell("got it")
except MemoryError: tell("MemoryError")
"""
    assert box.run(code, limits={"memory_mb": 128}).value == "MemoryError"
    assert box.run(code, limits={"memory_mb": 512}).value == "got it"


def test_cpu_time_ends_a_loop_even_of_pid_1(box: Jail) -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert box.run(code, limits={"cpu_s": 1}).statuses == [-signal.SIGKILL]


def test_what_a_sandbox_started_ends_with_it(box: Jail) -> None:
    code = """
import os, signal, subprocess
subprocess.Popen(["setsid", "sleep", "1000"], start_new_session=True)
if os.fork() == 0:
    os.setsid(); signal.pause()
"""
    result = box.run(code, code, "tell('next')")
    # the zygote's wait for pid 1 returns only after the kernel has ended all of its namespace
    assert result.statuses == [0, 0, 0]
    assert result.told == ["next"]


@pytest.mark.parametrize("victim", ["grader", "waiter", "zygote"])
def test_a_death_above_ends_everything_below(box: Jail, victim: str) -> None:
    code = """
import os, signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    subprocess.run(["sleep", "1000"])
tell("ready")
signal.pause()
"""
    with box.grader(code) as grader:
        assert grader.stdout is not None
        assert json.loads(grader.stdout.readline()) == "ready"
        assert eventually(lambda: len(descendants(grader.pid)) == 5)
        below = descendants(grader.pid)
        waiter = next(pid for pid in below if _parent(pid) == grader.pid)
        zygote = next(pid for pid in below if _parent(pid) == waiter)
        os.kill({"grader": grader.pid, "waiter": waiter, "zygote": zygote}[victim], signal.SIGKILL)
        assert eventually(lambda: not any(alive(pid) for pid in below))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# -- planning and messages


def test_trace_resolves_links_one_by_one(tmp_path: Path) -> None:
    tmp_path.joinpath("real/lib").mkdir(parents=True)
    tmp_path.joinpath("one").symlink_to("real")
    tmp_path.joinpath("real/two").symlink_to("../one/lib")
    real, links = root.trace(str(tmp_path / "one" / "two"))
    assert real == str(tmp_path / "real/lib")
    assert links == (
        (str(tmp_path / "one"), "real"),
        (str(tmp_path / "real/two"), "../one/lib"),
    )


def test_a_circle_of_links_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("a").symlink_to("b")
    tmp_path.joinpath("b").symlink_to("a")
    with pytest.raises(SandboxError, match="circle of symbolic links"):
        root.trace(str(tmp_path / "a" / "x"))


def test_plan_binds_the_environment_but_not_the_repository_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("repo/.venv/lib", "repo/.venv/bin", "repo/autograder"):
        tmp_path.joinpath(name).mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "repo/.venv"))
    monkeypatch.setattr("sys.exec_prefix", str(tmp_path / "repo/.venv"))
    steps = [
        step
        for step in root.plan(root.RootSpec(hide=(str(tmp_path / "repo"),))).steps
        if str(tmp_path) in step[1]
    ]
    assert steps == [("bind", str(tmp_path / "repo/.venv/bin")), ("bind", str(tmp_path / "repo/.venv/lib"))]


def test_plan_never_shows_the_whole_root(tmp_path: Path) -> None:
    tmp_path.joinpath("all").symlink_to("/")
    with pytest.raises(SandboxError, match="is the root folder"):
        root.plan(root.RootSpec(binds=(str(tmp_path / "all"),)))


def test_plan_names_a_missing_bind() -> None:
    with pytest.raises(SandboxError, match="/no/such/data is to be shown"):
        root.plan(root.RootSpec(binds=("/no/such/data",)))


def test_an_id_that_does_not_exist_here_is_moved_into_those_that_do() -> None:
    assert jail.mapped_uid(1_000_000_007, [(0, 4294967295)]) == 1_000_000_007
    moved = {jail.mapped_uid(1_000_000_000 + n, [(0, 1), (1, 65536)]) for n in range(100)}
    assert len(moved) == 100
    assert all(1 <= uid < 65534 for uid in moved)
    with pytest.raises(SandboxUnavailable, match="too few"):
        jail.mapped_uid(1_000_000_000, [(0, 1)])


def test_calls_out_of_order_are_named() -> None:
    with pytest.raises(SandboxError, match="become_init has not been called"):
        jail.fork_in_new_pidns()
    with pytest.raises(SandboxError, match="become_init has not been called"):
        jail.build_root(jail.RootSpec())


def test_no_support_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    none = jail.Support("none", ("unprivileged: a user namespace is refused",), support_module.cure())
    with pytest.raises(SandboxUnavailable, match="cannot build a sandbox: unprivileged: a user namespace"):
        jail.become_init(none)
    forbidden = {"/proc/sys/kernel/unprivileged_userns_clone": "0", "/proc/sys/user/max_user_namespaces": "0"}
    monkeypatch.setattr(support_module, "_read", lambda path: forbidden.get(path, ""))
    monkeypatch.setattr(support_module, "_in_container", lambda: True)
    cure = support_module.cure()
    assert "sysctl kernel.unprivileged_userns_clone=1" in cure
    assert "sysctl user.max_user_namespaces=10000" in cure
    assert "--security-opt seccomp=unconfined" in cure


def test_other_systems_are_told_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    found = support_module.support.__wrapped__()
    assert found.chain == "none"
    assert "WSL 2" in found.message()
    assert "--unsafe-no-sandbox" in found.message()


def test_support_finds_a_chain_or_says_why() -> None:
    found = jail.support()
    assert found.chain != "none" or (found.reasons and found.cure)


def test_unsafe_mode_names_what_is_missing() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        layers = jail.enter_unsafe(Limits(), keep_fds=(writer,))
        os.write(writer, json.dumps([layers.active, layers.missing]).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        active, missing = json.loads(answer.read())
    os.waitpid(pid, 0)
    assert active == ["fds", "rlimits"]
    assert {"net", "root", "seccomp", "uid"} <= set(missing)


def test_collapsing_the_heap_keeps_its_contents() -> None:
    blocks = [bytes([number]) * (5 << 20) for number in range(3)]
    assert linux.collapse_heap() >= 0
    assert [(block[0], block[-1]) for block in blocks] == [(0, 0), (1, 1), (2, 2)]
