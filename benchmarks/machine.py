"""On what a measurement was made, as the machine says it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.courses import ROOT

__all__ = ["describe", "line"]


def describe() -> dict[str, object]:
    """Processor, cores, memory, versions, the state of this repository, the day."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "commit": _commit(),
        "day": f"{datetime.now(UTC):%d %B %Y}",
    }


def line(machine: dict[str, object]) -> str:
    """One sentence for the page."""
    return (
        f"{machine['day']}, {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}, "
        f"commit {machine['commit']}."
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for entry in file:
                if entry.startswith("model name"):
                    return entry.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "autograder", "benchmarks", "source")
    return (git("rev-parse", "--short=8", "HEAD") or "unknown") + (" with changes" if changed else "")
