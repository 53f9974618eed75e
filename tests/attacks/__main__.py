"""The whole corpus from the command line: ``python -m tests.attacks``; exit status 1 if an attack succeeds."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from autograder.datasets import load_all as load_data
from autograder.grading import Grader
from autograder.judge.session import Judge, with_judge
from autograder.limits import Limits
from autograder.notebook import load_assignment
from autograder.sandbox.launch import Zygote
from tests.attacks import ordinary
from tests.attacks.corpus import Attack, load_all
from tests.attacks.course import NAME, write_source, write_suite
from tests.attacks.runner import Done, Host, jobs, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print a line for each attack."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", help="attacks or categories; all without any")
    parser.add_argument("--as-user", type=int, metavar="UID", help="go on as this ordinary user (root only)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    parser.add_argument("--kinds", default="", help="only attacks of these kinds, separated by commas")
    options = parser.parse_args(arguments)
    attacks = [attack for attack in load_all() if _wanted(attack, options.names)]
    if options.kinds:
        attacks = [attack for attack in attacks if attack.kind in options.kinds.split(",")]
    if not attacks:
        parser.error("no attack has this name")
    if options.as_user is not None:
        ordinary.become(options.as_user)
    done, layers = _run_all(attacks)
    _print(done, layers)
    if options.json:
        options.json.write_text(json.dumps({"layers": layers, "done": [asdict(item) for item in done]}))
    return int(any(item.problems for item in done))


def _wanted(attack: Attack, names: Sequence[str]) -> bool:
    return not names or attack.name in names or attack.category in names


def _run_all(attacks: Sequence[Attack]) -> tuple[list[Done], dict[str, object]]:
    done: list[Done] = []
    layers: dict[str, object] = {}
    logging.disable()  # the engine tells its log about every engine error; so do the results

    def serve(judge: Judge) -> None:
        notebook = load_assignment(write_source(folder), judge.suites[NAME].tasks)
        with Zygote.start(hide=[folder], parts=(), data=load_data({"california"}, "sample")) as zygote:
            with zygote.spawn(Limits(), seed=1) as sandbox:
                layers.update(chain=zygote.chain, missing=list(sandbox.missing_layers), uid=os.getuid())
            grader = Grader(zygote, judge, Limits())
            grader.validate(NAME, [notebook])
            host = Host(zygote, folder)
            try:
                for job in jobs([attack for attack in attacks if zygote.chain in attack.chains]):
                    done.extend(run(job, grader, notebook, host, alone=True))
            finally:
                host.close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_judge({NAME: write_suite(folder)}, serve)
    return done, layers


def _print(done: Sequence[Done], layers: dict[str, object]) -> None:
    for item in done:
        print(f"{'FAIL' if item.problems else 'ok':4} {item.category}/{item.name}: {item.outcome}, {item.wall_s:.2f} s")
        for problem in item.problems:
            print(f"     {problem}")
    failed = sum(bool(item.problems) for item in done)
    print(f"{len(done)} attacks as user {layers.get('uid')} ({layers.get('chain')} chain), {failed} succeeded; ", end="")
    print(f"layers missing here: {', '.join(map(str, layers.get('missing', []))) or 'none'}")  # type: ignore[call-overload]


if __name__ == "__main__":
    begun = time.monotonic()
    status = main()
    print(f"{time.monotonic() - begun:.1f} s")
    sys.exit(status)
