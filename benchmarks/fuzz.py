"""Fuzz what reads notebooks and frames: no input may crash or hang the judge.

    python benchmarks/fuzz.py --notebooks 10000 --frames 100000
    python benchmarks/fuzz.py --notebooks 0 --frames 0 --graded 300      # through a real sandbox and judge
    python benchmarks/fuzz.py --seed 1234 --notebooks 1 --frames 0       # one input again

Each notebook is parsed, restored, written as an autograded notebook and rendered as a feedback page; each
frame is decoded, read as the answer to a cell and compared in a check. The n-th has the seed ``--seed`` + n.
Failures are printed with their seed, and their bytes are kept in ``fuzz-failures/`` of the working folder.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from autograder import config, golden  # noqa: E402
from autograder.models import Outcome  # noqa: E402
from autograder.notebook import load_assignment  # noqa: E402
from autograder.schedule import Checker, FileJob  # noqa: E402
from tests import fuzzing  # noqa: E402

ASSIGNMENT = "ex1_tensors"


def seeds() -> list[bytes]:
    """Real notebooks to start from: the release, and some golden submissions."""
    course = config.load(ROOT).course
    goldens = golden.load_all(course.golden_dir(ASSIGNMENT))
    files = [
        item.notebook_bytes(course) for item in goldens if not item.name.startswith(("accident", "cheat"))
    ]
    return [next(course.release_dir(ASSIGNMENT).glob("*.ipynb")).read_bytes(), *files[:10]]


def many(
    what: str, count: int, first: int, once: Callable[[random.Random], tuple[bytes, Callable[[], str]]]
) -> int:
    """Run ``once`` for each seed; gives the number of failures."""
    kinds: Counter[str] = Counter()
    failures, slowest, started = 0, (0.0, 0), time.monotonic()
    for seed in range(first, first + count):
        data, judge = once(random.Random(seed))
        began = time.perf_counter()
        try:
            with fuzzing.limited(10):
                kinds[judge().split(":")[0].split("(")[0][:60]] += 1
        except Exception as error:
            failures += 1
            Path("fuzz-failures").mkdir(exist_ok=True)
            Path(f"fuzz-failures/{what}-{seed}").write_bytes(data)
            print(f"{what} {seed}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            if failures <= 3:
                traceback.print_exc()
        slowest = max(slowest, (time.perf_counter() - began, seed))
    if count:
        took = time.monotonic() - started
        print(
            f"{count} {what}s in {took:.0f} s ({count / took:.0f}/s): {failures} crashes or hangs", flush=True
        )
        print(f"  slowest {slowest[0]:.2f} s (seed {slowest[1]}); {dict(kinds.most_common(12))}", flush=True)
    return failures


def graded(count: int, first: int, real: list[bytes]) -> int:
    """Give mutated notebooks to the whole engine: every one gets a verdict."""
    settings = config.load(ROOT)
    limits = settings.limits.with_changes({"cell_wall_s": 3, "check_wall_s": 3, "submission_wall_s": 30})
    failures, outcomes, started = 0, Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for seed in range(first, first + count):
            path = Path(folder) / f"{seed}.ipynb"
            path.write_bytes(fuzzing.mutated_notebook(random.Random(seed), real))
            jobs.append(FileJob(ASSIGNMENT, path, limits=limits))
        with Checker(settings.course, [ASSIGNMENT], limits=limits, workers=2) as check:
            for job, result in check.map(jobs):
                outcomes[result.outcome.value] += 1
                if result.outcome is Outcome.ENGINE_ERROR or result.wall_s > 40:
                    failures += 1
                    print(f"graded {job.path.stem}: {result.outcome} {result.message} {result.wall_s:.1f} s")
    print(
        f"{count} notebooks graded in {time.monotonic() - started:.0f} s: {failures} engine errors or hangs"
    )
    print(f"  {dict(outcomes)}")
    return failures


def main() -> int:
    """Fuzz; 1 when anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--notebooks", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--graded", type=int, default=0, help="notebooks that go through a real sandbox")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    real, wire = seeds(), fuzzing.frames()
    assignment = load_assignment(config.load(ROOT).course.source_notebooks(ASSIGNMENT)[0])

    def notebook(rng: random.Random) -> tuple[bytes, Callable[[], str]]:
        data = fuzzing.mutated_notebook(rng, real)
        return data, lambda: fuzzing.judge_notebook(data, assignment)

    def frame(rng: random.Random) -> tuple[bytes, Callable[[], str]]:
        data = fuzzing.frame(rng, wire)
        return data, lambda: fuzzing.judge_frame(data, rng)

    failures = many("notebook", options.notebooks, options.seed, notebook)
    failures += many("frame", options.frames, options.seed, frame)
    if options.graded:
        failures += graded(options.graded, options.seed, real)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
