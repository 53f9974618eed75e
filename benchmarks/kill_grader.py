"""SIGKILL the grader at random moments, and prove that nothing is lost, doubled or half-written.

    python benchmarks/kill_grader.py --students 30 --kills 200           # `autograder grade`, all of it
    python benchmarks/kill_grader.py --students 30 --kills 2000 --stored  # the writing alone

A class is graded once undisturbed: the reference. Then, in rounds, it is graded from nothing (even rounds) or
over the scores of older submissions (odd rounds), and killed until nothing is missing. After each kill: the
database is sound; every row about a student is the one of the reference (or still the older one); so is every
file that is there; what counts as graded has new rows, new notebook and new page. The next run must grade
exactly what does not count as graded. At the end of a round everything equals the reference, and no temporary
file is left. ``--stored`` replaces the sandbox by results computed before, so that kills hit the writing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from autograder import batch, config, keys  # noqa: E402
from autograder.keys import Conditions  # noqa: E402
from autograder.layout import Course  # noqa: E402
from autograder.limits import Limits  # noqa: E402
from autograder.models import SubmissionResult  # noqa: E402
from benchmarks.courses import hand_in, original  # noqa: E402
from benchmarks.students import make  # noqa: E402

ASSIGNMENT = "ex1_tensors"
WHEN = re.compile(r"\d{2} \w+ \d{4}, \d{2}:\d{2} UTC")
ABOUT = {
    "grades": "select n.name, c.name, g.auto_score, g.manual_score, g.extra_credit, g.needs_manual_grade"
    " from grade g join base_cell c on c.id = g.cell_id join submitted_notebook b on b.id = g.notebook_id"
    " join notebook n on n.id = b.notebook_id join submitted_assignment s on s.id = b.assignment_id"
    " where s.student_id = ?",
    "comments": "select n.name, c.name, g.auto_comment from comment g join base_cell c on c.id = g.cell_id"
    " join submitted_notebook b on b.id = g.notebook_id join notebook n on n.id = b.notebook_id"
    " join submitted_assignment s on s.id = b.assignment_id where s.student_id = ?",
    "submissions": "select a.name, s.timestamp from submitted_assignment s"
    " join assignment a on a.id = s.assignment_id where s.student_id = ?",
    "students": "select id, first_name from student where id = ?",
}


@dataclass(frozen=True)
class State:
    """What a course says of each student: rows, and files without the time at which they were made."""

    rows: dict[str, dict[str, list[Any]]]
    files: dict[str, dict[str, bytes]]


def state(course: Course, students: Sequence[str]) -> State:
    """The state of ``course``; an AssertionError when its database is not sound."""
    rows: dict[str, dict[str, list[Any]]] = {}
    with closing(sqlite3.connect(course.gradebook_path)) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        for student in students:
            rows[student] = {
                name: sorted(database.execute(query, [student]), key=repr) for name, query in ABOUT.items()
            }
        known = {name for (name,) in database.execute("select id from student")}
        assert known <= set(students), f"students out of nowhere: {known - set(students)}"
    files: dict[str, dict[str, bytes]] = {student: {} for student in students}
    for kind in ("autograded", "feedback"):
        for path in (course.root / kind).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                name = path.relative_to(course.root)
                text = path.read_bytes().decode("utf-8", "replace")
                files[name.parts[1]][str(name)] = WHEN.sub("", text).encode()
    return State(rows, files)


def drafts(course: Course) -> list[Path]:
    """Temporary files; SQLite's journal is its own to keep."""
    return [path for kind in ("autograded", "feedback") for path in (course.root / kind).rglob(".*")]


def complete(course: Course, todo: Sequence[batch.Job], how: Conditions) -> set[str]:
    """The students that count as graded."""
    missing = {job.student for job in batch.pending(course, todo, how)}
    return {job.student for job in todo} - missing


@dataclass
class Arena:
    """A class that is graded and killed. ``run`` starts the grader, which dies or not, and gives what it said
    that it had to grade, None when it was killed before it said it."""

    course: Course
    how: Conditions
    run: Callable[[float | None], tuple[int | None, bool]]
    old: State | None = None
    new: State | None = None
    kills: int = 0
    runs: int = 0
    shown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        assignments = self.course.assignments()
        self.todo, _ = batch.jobs(self.course, assignments)
        self.students = [job.student for job in self.todo]

    def check(self, older: bool) -> set[str]:
        """Assert that nothing is lost, doubled or half-written; gives who counts as graded."""
        assert self.new is not None
        now, done = state(self.course, self.students), complete(self.course, self.todo, self.how)
        empty: dict[str, list[Any]] = {name: [] for name in ABOUT}
        for student in self.students:
            before = self.old.rows[student] if older and self.old else empty
            assert now.rows[student] in (before, self.new.rows[student]), f"rows of {student} are neither"
            past = self.old.files[student] if older and self.old else {}
            for name, data in now.files[student].items():
                assert data in (past.get(name), self.new.files[student].get(name)), f"{name} is neither"
                if data != past.get(name):
                    assert now.rows[student] == self.new.rows[student], f"{name} is newer than its score"
            assert not past or now.files[student].keys() >= past.keys(), f"{student} lost a file"
            if student in done:
                assert now.rows[student] == self.new.rows[student], f"{student} has old rows"
                assert now.files[student] == self.new.files[student], f"{student} has old files"
        return done

    def round(self, most: int, draw: random.Random, *, older: bool) -> None:
        """Kill until nothing is missing, ``most`` times at most, then let it finish."""
        assert self.new is not None
        done = self.check(older)
        for number in range(most + 1):
            asked, killed = self.run(None if number == most else draw.random())
            self.runs += 1
            self.kills += killed
            if asked is not None:
                assert asked == len(self.students) - len(done), f"{asked} asked, {len(done)} done"
            done = self.check(older)
            if not killed:
                break
        assert state(self.course, self.students) == self.new
        assert len(done) == len(self.students)
        assert drafts(self.course) == [], drafts(self.course)


# -- the whole command


def command(
    course: Course, workers: int, startup_s: float, package: Path = ROOT
) -> Callable[[float | None], tuple[int | None, bool]]:
    """A run of ``autograder grade``; its argument, 0 to 1, says when it is killed."""

    def run(when: float | None) -> tuple[int | None, bool]:
        arguments = ["grade", "--course", str(course.root), "--workers", str(workers)]
        process = subprocess.Popen(
            [sys.executable, "-m", "autograder", *arguments],
            cwd=package,  # Python looks there first
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(package)},
        )
        assert process.stderr is not None
        asked: int | None = None
        seen = ""
        if when is not None and when < 0.2:  # while it starts
            time.sleep(when / 0.2 * startup_s)
            process.kill()
        else:
            after = 0 if when is None else 1 + int((when * 1000) % 4)
            for line in process.stderr:
                seen += line
                match = re.match(r"\[ *(\d+)/", line)
                if match and when is not None and int(match[1]) >= after:
                    time.sleep((when * 10_000) % 1 * 0.2)
                    process.kill()
                    break
        text = seen + process.stderr.read()
        process.stderr.close()
        code = process.wait()
        if match := re.search(r"^grading (\d+) submissions", text, re.MULTILINE):
            asked = int(match[1])
        if code != -signal.SIGKILL:
            assert code == 0, text
            asked = asked or 0
        return asked, code == -signal.SIGKILL

    return run


# -- the writing alone


def writing(
    course: Course, how: Conditions, results: Sequence[SubmissionResult], duration_s: float = 0.4
) -> Callable[[float | None], tuple[int | None, bool]]:
    """A run of the same code in a forked process, with an engine that knows the results."""

    def engine(course: Course, jobs: Sequence[batch.Job], **_: Any) -> Iterator[SubmissionResult]:
        students = [job.student for job in jobs]
        for result in results:
            if result.student in students:
                yield result

    def run(when: float | None) -> tuple[int | None, bool]:
        missing = len(batch.pending(course, batch.jobs(course, course.assignments())[0], how))
        pid = os.fork()
        if pid == 0:
            try:
                batch.grade_submissions = engine  # type: ignore[assignment]
                todo = batch.pending(course, batch.jobs(course, course.assignments())[0], how)
                given = batch.grade(course, todo, workers=1, limits=how.limits, secret=how.secret)
                os._exit(0 if all(not item.problem for item in given) else 3)
            finally:
                os._exit(4)
        if when is not None:
            time.sleep(when * duration_s)
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, -signal.SIGKILL), status
        return missing, status == -signal.SIGKILL

    return run


# -- the benchmark


def frozen(folder: Path) -> Path:
    """A copy of the package in ``folder``: editing the code while this runs would make every score void."""
    shutil.copytree(ROOT / "autograder", folder / "autograder", ignore=shutil.ignore_patterns("suites"))
    digest = keys.engine_digest(folder / "autograder")
    keys.engine_digest = lambda: digest
    return folder


def handed_in(course: Course, shift: int) -> None:
    """Move every submission on by ``shift`` students, so that each has another one."""
    (assignment,) = course.assignments()
    found = course.submissions(assignment)
    texts = [next(path.glob("*.ipynb")).read_bytes() for _, path in found]
    for number, (_, path) in enumerate(found):
        next(path.glob("*.ipynb")).write_bytes(texts[(number + shift) % len(texts)])


def put_back(course: Course, kept: Path) -> None:
    """Give ``course`` the scores and files that were kept in the folder ``kept``."""
    for name in ("autograded", "feedback"):
        shutil.rmtree(course.root / name, ignore_errors=True)
        if (kept / name).is_dir():
            shutil.copytree(kept / name, course.root / name)
    for path in course.root.glob("gradebook.db-*"):
        path.unlink()
    shutil.copyfile(kept / "gradebook.db", course.gradebook_path)


def keep(course: Course, place: Path) -> None:
    """Keep the scores and files of ``course`` in the new folder ``place``."""
    place.mkdir()
    for name in ("autograded", "feedback"):
        if (course.root / name).is_dir():
            shutil.copytree(course.root / name, place / name)
    shutil.copyfile(course.gradebook_path, place / "gradebook.db")


def main() -> None:
    """Kill, check, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--stored", action="store_true", help="results computed before: kills hit the writing"
    )
    options = parser.parse_args()
    draw = random.Random(options.seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "course"
        course = hand_in(home, ASSIGNMENT, make(original(), ASSIGNMENT, options.students))
        shutil.copytree(course.suites or ROOT, home / "autograder" / "suites")
        course = config.load(home).course
        how = Conditions(Limits(), config.load(home).secret())
        package = frozen(Path(folder) / "package")
        run = command(course, options.workers, 0.0, package)
        keep(course, Path(folder) / "nothing")
        handed_in(course, 3)
        before = time.monotonic()
        run(None)
        took = time.monotonic() - before
        students = [student for student, _ in course.submissions(course.assignments()[0])]
        old = state(course, students)
        keep(course, Path(folder) / "older")
        handed_in(course, options.students - 3)
        put_back(course, Path(folder) / "nothing")
        results: list[SubmissionResult] = []
        if options.stored:
            todo, _ = batch.jobs(course, course.assignments())
            runner = batch.Runner(course, how, todo)
            results = list(runner.results(options.workers))
            all(runner.store(results))
            from nbgrader import api  # noqa: F401  (imported before the forks)

            put_back(course, Path(folder) / "nothing")
            run = writing(course, how, results)
            before = time.monotonic()
            run(None)
            run = writing(course, how, results, duration_s=0.9 * (time.monotonic() - before))
        else:
            run(None)
            run = command(course, options.workers, min(6.0, took / 2), package)
        arena = Arena(course, how, run, old=old, new=state(course, students))
        print(f"reference: {options.students} students, {took:.1f} s a run; killing …", flush=True)
        rounds = 0
        while arena.kills < options.kills:
            older = rounds % 2 == 1
            put_back(course, Path(folder) / ("older" if older else "nothing"))
            arena.round(options.kills - arena.kills, draw, older=older)
            rounds += 1
            spent = time.monotonic() - started
            print(f"round {rounds}: {arena.kills} kills, {arena.runs} runs, {spent:.0f} s", flush=True)
    print(
        f"{arena.kills} SIGKILLs in {rounds} rounds of {options.students} submissions, {arena.runs} runs, "
        f"{time.monotonic() - started:.0f} s: no row or file lost, doubled or half-written; every restart "
        "graded exactly what was missing"
    )


if __name__ == "__main__":
    main()
