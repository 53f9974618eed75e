"""The whole corpus: ``python -m tests.attacks``; exit status 1 if an attack succeeds."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autograder.datasets import load_all as load_data
from autograder.grading import Grader
from autograder.judge.session import Judge, with_judge
from autograder.limits import Limits
from autograder.notebook import AssignmentNotebook, load_assignment
from autograder.sandbox.launch import Zygote
from tests.attacks import ordinary
from tests.attacks.corpus import Attack, load_all
from tests.attacks.course import NAME, write_source, write_suite
from tests.attacks.runner import Done, Host, Job, jobs, run, sandboxes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print a line for each attack."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", help="attacks or categories; all without any")
    parser.add_argument("--as-user", type=int, metavar="UID", help="go on as this ordinary user (root only)")
    parser.add_argument("--workers", type=int, default=1, help="judges side by side (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    parser.add_argument("--kinds", default="", help="only attacks of these kinds, separated by commas")
    parser.add_argument("--table", action="store_true", help="print the tables of docs/security.md and end")
    options = parser.parse_args(arguments)
    if options.table:
        print(tables(load_all()))
        return 0
    attacks = [attack for attack in load_all() if _wanted(attack, options.names)]
    if options.kinds:
        attacks = [attack for attack in attacks if attack.kind in options.kinds.split(",")]
    if not attacks:
        parser.error("no attack has this name")
    if options.as_user is not None:
        ordinary.become(options.as_user)
    done, layers = _run_all(attacks, options.workers)
    _print(done, layers)
    if options.json:
        options.json.write_text(json.dumps({"layers": layers, "done": [asdict(item) for item in done]}))
    return int(any(item.problems for item in done))


def tables(attacks: Sequence[Attack]) -> str:
    """The corpus as Markdown, a table for each category."""
    parts = []
    for category in dict.fromkeys(attack.category for attack in attacks):
        of_it = [attack for attack in attacks if attack.category == category]
        rows = [f"| `{attack.name}` | {attack.tries} | {attack.stopped_by} |" for attack in of_it]
        head = f"### {category} ({len(of_it)})\n\n| attack | tries | stopped by |\n|---|---|---|"
        parts.append("\n".join([head, *(row.replace("*", r"\*") for row in rows)]))
    return "\n\n".join(parts)


def _wanted(attack: Attack, names: Sequence[str]) -> bool:
    return not names or attack.name in names or attack.category in names


def _run_all(attacks: Sequence[Attack], workers: int) -> tuple[list[Done], dict[str, Any]]:
    done: list[Done] = []
    layers: dict[str, Any] = {}
    logging.disable()  # the engine tells its log about every engine error; so do the results

    def serve(judge: Judge) -> None:
        notebook = load_assignment(write_source(folder), judge.suites[NAME].tasks)
        with Zygote.start(hide=[folder], parts=(), data=load_data({"california"}, "sample")) as zygote:
            with zygote.spawn(Limits(), seed=1) as sandbox:
                layers.update(chain=zygote.chain, missing=list(sandbox.missing_layers), uid=os.getuid())
            grader = Grader(zygote, judge, Limits())
            grader.validate(NAME, [notebook])
            todo = jobs([attack for attack in attacks if zygote.chain in attack.chains])
            if workers == 1:
                done.extend(_work(todo, grader, notebook, folder, alone=True))
            else:
                done.extend(_shared(todo, workers, grader, notebook, folder))
            if left := sandboxes(zygote):
                done.append(Done("processes_left", "host", "?", 0.0, [f"{len(left)} processes are left"]))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_judge({NAME: write_suite(folder)}, serve)
    return done, layers


def _work(
    todo: Sequence[Job], grader: Grader, notebook: AssignmentNotebook, folder: Path, *, alone: bool
) -> list[Done]:
    host = Host(grader.zygote, folder)
    try:
        return [item for job in todo for item in run(job, grader, notebook, host, alone=alone)]
    finally:
        host.close()


def _shared(
    todo: Sequence[Job], workers: int, grader: Grader, notebook: AssignmentNotebook, folder: Path
) -> list[Done]:
    """Several judges on one zygote, each with its part of the notebooks."""
    ordered = sorted(todo, key=lambda job: job.limit_s)
    parts = []
    for number in range(workers):
        path = folder / f"worker-{number}"
        path.mkdir()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                found = _work(ordered[number::workers], grader, notebook, path, alone=False)
                (path / "done.json").write_text(json.dumps([asdict(item) for item in found]))
                grader.zygote.forget()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        parts.append((pid, path))
    for pid, _ in parts:
        os.waitpid(pid, 0)
    return [Done(**item) for _, path in parts for item in json.loads((path / "done.json").read_text())]


def _print(done: Sequence[Done], layers: dict[str, Any]) -> None:
    for item in done:
        mark = "FAIL" if item.problems else "ok"
        print(f"{mark:4} {item.category}/{item.name}: {item.outcome}, {item.wall_s:.2f} s")
        for problem in item.problems:
            print(f"     {problem}")
    succeeded = sum(bool(item.problems) for item in done)
    who = f"user {layers['uid']} ({layers['chain']} chain)"
    missing = ", ".join(layers["missing"]) or "none"
    print(f"{len(done)} attacks as {who}, {succeeded} succeeded; layers missing here: {missing}")


if __name__ == "__main__":
    begun = time.monotonic()
    status = main()
    print(f"{time.monotonic() - begun:.1f} s")
    sys.exit(status)
