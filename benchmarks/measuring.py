"""What a command costs: seconds, processor seconds and memory, those of all its processes included."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Cost", "Sampler", "completions", "cpu_s", "pss_mb", "run", "tree"]

_PERIOD_S = 0.1


@dataclass(frozen=True)
class Cost:
    """One finished command. ``cpu_s`` is the kernel's count for the process and all its descendants;
    ``peak_mb`` is the largest sum of their PSS that was sampled, None without sampling."""

    wall_s: float
    cpu_s: float
    peak_mb: float | None
    code: int
    started: float
    """When it was started, as :func:`time.time`."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    output: Path | None = None,
    env: Mapping[str, str] | None = None,
    sampler: Sampler | None = None,
) -> Cost:
    """Run ``command`` to its end; what it prints goes to the end of ``log`` (and ``output``)."""
    with log.open("ab") as errors, (output or log).open("ab") as printed:
        started, before = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=printed, stderr=errors
        )
        with sampler.watching(process.pid) if sampler else contextlib.nullcontext():
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = sampler.peak_mb if sampler else None
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, peak, process.returncode, started)


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants, those that live now."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """Processor seconds so far of a process, its living descendants, and those that these waited for."""
    spent = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def pss_mb(process: psutil.Process) -> float:
    """Proportional set size in MB (10⁶ bytes): a page that n processes share counts 1/n; 0 when ended."""
    try:
        return float(process.memory_full_info().pss) / 1e6
    except (psutil.Error, OSError, AttributeError):
        return 0.0


class Sampler:
    """Samples the memory of a process and its descendants ten times a second, in a thread.

    It costs processor time of its own, so what is sampled is not timed.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0

    @contextlib.contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Sample as long as the context lasts."""
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(_PERIOD_S):
                self.sample(pid)

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def sample(self, pid: int) -> None:
        """One sample; a subclass may look at more."""
        self.peak_mb = max(self.peak_mb, sum(map(pss_mb, tree(pid))))


def completions(files: Iterator[Path], started: float) -> list[float]:
    """When each file was put in place, in seconds since ``started``, sorted."""
    return sorted(path.stat().st_mtime - started for path in files)
