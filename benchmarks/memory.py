"""Memory of running sandboxes beyond what they share with the warm process (``python -m benchmarks.memory``).

A class is graded while the process tree of every sandbox is sampled in ``/proc``. Three sums over the
processes of one sandbox, the notebook's own and the copies for checks:

- *private*: pages that no other process maps (USS). Of data sets, which all sandboxes share, a page counts
  once it was written to, not while only one happens to read it;
- *proportional* (PSS): shared pages too, each divided by the number of processes that map it: an upper bound;
- *charged*: what the sandbox's control group is charged with, where there is one: what it wrote itself, also
  pages that a notebook shares with its copies, and its temporary files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from autograder import datasets
from benchmarks import machine, measuring, page, students
from benchmarks.courses import hand_in, original
from benchmarks.measuring import Sampler
from benchmarks.page import number
from benchmarks.sides import AUTOGRADER

GOALS = {"ex1_tensors": 40, "ex5_mnist": 200}
"""Assignment → MB of private memory that a sandbox may have at most."""
SIZES = {"ex1_tensors": 24, "ex5_mnist": 6}
_ZYGOTE = "autograder.sandbox.zygote"
_MEMORY_TREE = Path("/sys/fs/cgroup/memory")


class Sandboxes(Sampler):
    """Samples sandboxes: ``largest[pid]`` is each one's largest (private, proportional, charged) in MB."""

    def __init__(self) -> None:
        super().__init__()
        self.largest: dict[int, tuple[float, ...]] = {}

    def sample(self, pid: int) -> None:
        """Look at every sandbox below the process ``pid``."""
        for sandbox in running(pid):
            with contextlib.suppress(psutil.Error, OSError):
                members = measuring.tree(sandbox.pid)
                now = (
                    sum(map(private_mb, members)),
                    sum(member.memory_full_info().pss for member in members) / 1e6,
                    charged_mb(sandbox.pid),
                )
                before = self.largest.get(sandbox.pid, (0.0, 0.0, 0.0))
                self.largest[sandbox.pid] = tuple(map(max, now, before))


def running(pid: int) -> Iterator[psutil.Process]:
    """The first process of each sandbox: children of the zygote, which is the child of its waiter."""
    for process in measuring.tree(pid):
        with contextlib.suppress(psutil.Error):
            if _ZYGOTE not in " ".join(process.cmdline()):
                continue
            for zygote in process.children():
                yield from zygote.children()
            return


def private_mb(process: psutil.Process) -> float:
    """Memory of its own, in MB (10⁶ bytes)."""
    kinds = process.memory_maps(grouped=True)
    return (
        sum(
            one.anonymous if one.path.startswith("/memfd:") else one.private_clean + one.private_dirty
            for one in kinds
        )
        / 1e6
    )


def charged_mb(pid: int) -> float:
    """Anonymous memory, and files in memory, of the control group of ``pid`` if it is a sandbox's; else 0."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "autograder" not in path or controllers not in ("memory", ""):
            continue
        folder = (_MEMORY_TREE if controllers else Path("/sys/fs/cgroup")) / path.lstrip("/")
        table = dict(entry.split() for entry in (folder / "memory.stat").read_text().splitlines())
        anonymous = int(table.get("total_rss", table.get("anon", 0)))
        return (anonymous + int(table.get("total_shmem", table.get("shmem", 0)))) / 1e6
    return 0.0


def measure(assignment: str, size: int, seed: int) -> dict[str, Any]:
    """Grade a class of ``size`` and sample its sandboxes."""
    with tempfile.TemporaryDirectory(prefix="autograder-memory-") as folder:
        course = hand_in(
            Path(folder) / "course", assignment, students.make(original(), assignment, size, seed)
        )
        sampler = Sandboxes()
        command = [AUTOGRADER, "grade", assignment, "--course", str(course.root)]
        log = Path(folder) / "grade.log"
        cost = measuring.run(command, cwd=Path(folder), log=log, sampler=sampler)
        if cost.code != 0:
            raise SystemExit(f"autograder grade failed:\n{log.read_text()[-3000:]}")
    columns = list(zip(*sampler.largest.values(), strict=True))
    if not columns:
        raise SystemExit("no sandbox was seen")
    names = ("private", "proportional", "charged")
    return {
        "machine": machine.describe(),
        "students": size,
        "sandboxes": len(sampler.largest),
        "mnist": datasets.kind_of("mnist") if assignment == "ex5_mnist" else None,
        **{
            name: {"median": statistics.median(column), "largest": max(column)}
            for name, column in zip(names, columns, strict=True)
        },
    }


def text(found: dict[str, Any]) -> str:
    """The Markdown."""
    rows = []
    for assignment, one in found.items():
        data = f" ({one['mnist']} MNIST)" if one["mnist"] else ""
        rows.append([f"{assignment}{data}", str(one["sandboxes"])])
        for name in ("private", "proportional", "charged"):
            shown = one[name]["largest"] > 0
            rows[-1].append(
                f"{number(one[name]['median'])} / {number(one[name]['largest'])}" if shown else "–"
            )
        rows[-1].append(f"< {GOALS[assignment]}")
    head = ["", "sandboxes seen", "private, MB", "proportional, MB", "charged, MB", "goal, MB"]
    measured = [f"{name}: {machine.line(one['machine'])}" for name, one in found.items()]
    return "\n\n".join([page.table(head, rows), *measured])


def main() -> None:
    """Measure, write the page, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--students", type=int, metavar="N", help="size of each class (default: 24 and 6)")
    parser.add_argument(
        "--assignment", action="append", choices=list(GOALS), help="only this one; repeatable"
    )
    parser.add_argument("--data-home", type=Path, metavar="DIR", help="scikit-learn's data home, for MNIST")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another class")
    options = parser.parse_args()
    if options.data_home is not None:
        os.environ["SCIKIT_LEARN_DATA"] = str(options.data_home.resolve())
    found = page.kept("memory")
    for name in options.assignment or list(GOALS):
        found[name] = measure(name, options.students or SIZES[name], options.seed)
    found = {name: found[name] for name in GOALS if name in found}
    page.keep("memory", found)
    page.replace_section("memory", text(found))
    print(text(found))


if __name__ == "__main__":
    main()
