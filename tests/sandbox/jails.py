"""What the tests of the jail share: a tiny zygote without torch, started as the judge starts the real one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import autograder.errors
from autograder.sandbox.support import support

ORDINARY_UID = 65534
WALL_S = 60

LAUNCHER = r"""
import json, os, sys, time, traceback
from autograder.limits import Limits
from autograder.sandbox import jail

order = json.loads(sys.stdin.readline())
exec(order.get("prelude", ""))
chain = jail.support_for(order["chain"])
jail.become_init(chain, parent=order.get("parent"))
clock = time.perf_counter
begun = clock()
jail.build_root(jail.RootSpec(tuple(order["binds"]), tuple(order["hide"])))
times = {"build_root": clock() - begun}
for number, code in enumerate(order["codes"]):
    begun = clock()
    pid = jail.fork_in_new_pidns()
    if pid == 0:
        status = 1
        try:
            forked = clock()
            limits, uid = Limits(**order["limits"]), 1_000_000_000 + number
            layers = jail.enter_child(chain, limits, uid=uid, keep_fds=(0, 1, 2))
            times |= {"fork": forked - begun, "enter_child": clock() - forked}
            def tell(value): print(json.dumps(value), flush=True)
            exec(compile(code, "student", "exec"), {"layers": layers, "tell": tell, "times": times})
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    _, status = os.waitpid(pid, 0)
    print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)
"""

GRADER = """
import json, os, subprocess, sys
zygote = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
order = json.loads(sys.stdin.readline()) | {"parent": os.getpid()}
zygote.stdin.write(json.dumps(order).encode() + b"\\n")
zygote.stdin.flush()
zygote.wait()
"""


@dataclass(frozen=True)
class Result:
    """What student code told (``tell(value)``), its exit status and what it wrote to stderr."""

    told: list[Any]
    statuses: list[int]
    stderr: str

    @property
    def value(self) -> Any:
        """The only thing told by code that ended well."""
        assert self.statuses == [0], (self.statuses, self.stderr)
        assert len(self.told) == 1, (self.told, self.stderr)
        return self.told[0]


@dataclass(frozen=True)
class Jail:
    """One chain of this machine: how to start a zygote for it."""

    chain: str
    python: str
    package: Path
    user: int | None

    def order(
        self,
        codes: Sequence[str],
        limits: dict[str, float],
        binds: Sequence[str] = (),
        hide: Sequence[str] = (),
        prelude: str = "",
    ) -> str:
        parts = {"chain": self.chain, "codes": list(codes), "limits": limits, "prelude": prelude}
        return json.dumps(parts | {"binds": list(binds), "hide": list(hide)})

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "env": {"PYTHONPATH": str(self.package), "PATH": "/usr/bin:/bin"},
            "cwd": "/",
        }
        if self.user is not None:
            options |= {"user": self.user, "group": self.user, "extra_groups": []}
        return options

    def run(
        self,
        *codes: str,
        limits: dict[str, float] | None = None,
        binds: Sequence[str] = (),
        hide: Sequence[str] = (),
        python: str | None = None,
        prelude: str = "",
    ) -> Result:
        """Run each of ``codes`` in its own sandbox, one after the other; ``prelude`` in the zygote before."""
        done = subprocess.run(
            [python or self.python, "-c", LAUNCHER],
            input=self.order(codes, limits or {}, binds, hide, prelude) + "\n",
            capture_output=True,
            text=True,
            timeout=WALL_S,
            **self.options(),
        )
        told, statuses = [], []
        for line in done.stdout.splitlines():
            value = json.loads(line)
            if isinstance(value, dict) and value.keys() == {"status"}:
                statuses.append(value["status"])
            else:
                told.append(value)
        assert done.returncode == 0, done.stderr
        return Result(told, statuses, done.stderr)

    @contextmanager
    def grader(self, code: str) -> Iterator[subprocess.Popen[str]]:
        """A process in the judge's place that has started a zygote with one sandbox, which runs ``code``."""
        process = subprocess.Popen(
            [self.python, "-c", GRADER, self.python, "-c", LAUNCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **self.options(),
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(self.order([code], {}) + "\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def copy_package(target: Path) -> None:
    """The part of the package that the jail needs, readable for every user of this machine."""
    package = Path(autograder.errors.__file__).parent
    folder = target / "autograder"
    (folder / "sandbox").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for name in ("errors.py", "limits.py"):
        shutil.copy(package / name, folder)
    for name in ("__init__", "jail", "landlock", "linux", "reserve", "root", "seccomp", "support"):
        shutil.copy(package / "sandbox" / f"{name}.py", folder / "sandbox")
    spec = importlib.util.find_spec("pyseccomp")
    if spec is not None and spec.origin is not None:
        shutil.copy(spec.origin, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def python_for(uid: int | None, package: Path) -> str | None:
    """An interpreter of 3.11 or later that user ``uid`` (None: this one) can start."""
    options: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    candidates = [
        sys.executable,
        *(found for name in ("python3", "python3.12", "python3.11") if (found := _which(name))),
    ]
    for candidate in candidates:
        command = [candidate, "-c", "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"]
        try:
            done = subprocess.run(
                command, env={"PYTHONPATH": str(package)}, capture_output=True, cwd="/", **options
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return None


def _which(name: str) -> str | None:
    return shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")


def why_not(chain: str) -> str | None:
    """Why ``chain`` cannot be tried by this user on this machine; None when it can."""
    if sys.platform != "linux":
        return "the jail needs Linux"
    if chain == "privileged" and os.geteuid() != 0:
        return "the privileged chain needs root"
    if os.geteuid() != 0 or chain == "privileged":
        found = support()
        return None if found.chain == chain else found.message()
    return None


def descendants(pid: int) -> set[int]:
    """Process ids of all processes below ``pid``."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    size = -1
    while size != len(found):
        size = len(found)
        found |= {child for child, parent in parents.items() if parent == pid or parent in found}
    return found


def eventually(condition: Callable[[], bool], wall_s: float = 10.0) -> bool:
    """Wait until ``condition()`` holds; false if it never does."""
    deadline = time.monotonic() + wall_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
