"""Grade the corpus on one warm zygote, and look after each notebook whether anything was harmed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from autograder import feedback
from autograder.grading import Grader
from autograder.limits import Limits
from autograder.models import NotebookResult, Outcome
from autograder.notebook import AssignmentNotebook
from autograder.sandbox.client import Sandbox
from autograder.sandbox.launch import Zygote
from autograder.seeds import Seeds
from tests.attacks import files
from tests.attacks.corpus import Attack
from tests.attacks.course import NAME, TARGETS, notebook

__all__ = ["LIMITS", "Done", "Host", "Job", "jobs", "run", "sandboxes"]

LIMITS = Limits(
    cell_wall_s=1.0,
    check_wall_s=1.0,
    task_wall_s=3.0,
    submission_wall_s=20.0,
    memory_mb=400,
    processes=24,
    tmp_mb=16,
    tmp_inodes=512,
    output_kb=64,
    submission_output_kb=256,
    notebook_mb=8,
    notebook_cells=2000,
    frame_mb=32,
    restarts=3,
)
_PROBES_IN_ONE = 14
_SLACK_S = 2.0
_TOOLS = Path(__file__).with_name("tools.py")


@dataclass
class Job:
    """One notebook with one attack, or several that do not disturb each other."""

    attacks: list[Attack]
    answers: dict[str, Attack] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """The corpus's limits with the attack's changes."""
        return LIMITS.with_changes(self.attacks[0].limits)

    @property
    def limit_s(self) -> float:
        """Seconds that it may take by its limits; an attack that hangs has one limit to use up."""
        stated = max(attack.limit_s for attack in self.attacks)
        return stated or 1.0 + 0.6 * len(self.attacks)

    def data(self) -> bytes:
        """The submitted file."""
        first = self.attacks[0]
        if first.kind == "file":
            made: bytes = getattr(files, first.make)()
            return made
        cells = [_TOOLS.read_text(encoding="utf-8")]
        cells += [_probe(attack) if attack.kind == "probe" else attack.code for attack in self._in_cells()]
        answers = {task: _renamed(attack.code, task) for task, attack in self.answers.items()}
        return json.dumps(notebook(answers, cells, early=True)).encode()

    def _in_cells(self) -> list[Attack]:
        return [attack for attack in self.attacks if attack.kind in ("probe", "cell")]


def _renamed(code: str, task: str) -> str:
    return code.replace("ANSWER", f"answer{task[1:]}")


def _probe(attack: Attack) -> str:
    return (
        f"{attack.code}\n"
        "try:\n"
        "    _reached = attack()\n"
        "except (OSError, MemoryError) as _error:\n"
        f"    print('BLOCKED {attack.name}:', type(_error).__name__, _error)\n"
        "else:\n"
        f"    print('REACHED' if _reached else 'BLOCKED', '{attack.name}:', repr(_reached)[:300])\n"
    )


def jobs(attacks: Sequence[Attack]) -> list[Job]:
    """Attacks as notebooks: those that only look share one, answers get a task each."""
    made = [
        Job([attack], {"t1": attack} if attack.kind == "answer" else {})
        for attack in attacks
        if not attack.shares
    ]
    probes = [attack for attack in attacks if attack.shares and attack.kind == "probe"]
    answers = [attack for attack in attacks if attack.shares and attack.kind == "answer"]
    made += [Job(probes[at : at + _PROBES_IN_ONE]) for at in range(0, len(probes), _PROBES_IN_ONE)]
    for at in range(0, len(answers), len(TARGETS)):
        group = answers[at : at + len(TARGETS)]
        made.append(Job(group, dict(zip(TARGETS, group, strict=False))))
    return made


@dataclass
class Done:
    """What became of one attack: ``problems`` is empty when it failed as it must."""

    name: str
    category: str
    outcome: str
    wall_s: float
    problems: list[str]


class Host:
    """What must not be harmed: files, a process of the same user and a sandbox beside the attacked one."""

    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self._zygote = zygote
        self._files = [folder / "canary.txt", Path("/dev/shm") / f"autograder-canary-{os.getpid()}"]
        for path in self._files:
            path.write_text("alive")
        self._process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        self._sibling: Sandbox = zygote.spawn(Limits(), seed=1)
        self._sibling.run_cell("open('/tmp/canary', 'w').write('alive')", wall_s=10, output_bytes=100)

    def close(self) -> None:
        """Take the canaries away."""
        self._sibling.close()
        self._process.kill()
        self._process.wait()
        for path in self._files:
            path.unlink(missing_ok=True)

    def harm(self, *, alone: bool) -> Iterator[str]:
        """What is no longer as it was. ``alone``: no other sandbox runs on this zygote."""
        for path in self._files:
            if not path.is_file() or path.read_text() != "alive":
                yield f"the file {path} was changed"
        if self._process.poll() is not None:
            yield "a process of the same user was ended"
        started = time.monotonic()
        try:
            reply = self._sibling.run_cell("open('/tmp/canary').read()", wall_s=5, output_bytes=100)
        except Exception as error:
            yield f"the sandbox beside it does not answer ({error})"
            return
        if "'alive'" not in str(reply.get("outputs")):
            yield f"the sandbox beside it was changed: {reply.get('outputs')}"
        if time.monotonic() - started > 2.0:
            yield "the sandbox beside it is slow"
        if alone:
            yield from self._left_behind()

    def _left_behind(self) -> Iterator[str]:
        deadline = time.monotonic() + 2.0
        while (count := len(sandboxes(self._zygote))) > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        if count > 1:
            yield f"{count - 1} processes are left"


def sandboxes(zygote: Zygote) -> set[int]:
    """Processes below the zygote."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    waiter = zygote._process.pid
    family = {pid for pid, parent in parents.items() if parent == waiter}  # the zygote itself
    below: set[int] = set()
    while new := {pid for pid, parent in parents.items() if parent in family | below} - below:
        below |= new
    return below


def run(job: Job, grader: Grader, assignment: AssignmentNotebook, host: Host, *, alone: bool) -> list[Done]:
    """Grade one notebook and judge what became of its attacks."""
    data = job.data()
    started = time.monotonic()
    result = grader.limited(job.limits).grade_bytes(NAME, assignment, data, Seeds(b"s" * 32, "mallory"))
    wall_s = time.monotonic() - started
    common = [*_result_problems(result), *host.harm(alone=alone)]
    if wall_s > job.limit_s + _SLACK_S:
        common.append(f"it took {wall_s:.1f} s, over {job.limit_s:g} + {_SLACK_S:g} s")
    scores = {task.id: task.score for task in result.tasks}
    honest, found = job.attacks[0].honest, (scores["first"], scores["last"])
    kept = all((score or 0) >= least for score, least in zip(found, honest, strict=True))
    if found != honest and not (job.attacks[0].at_least and kept):
        why = [
            check.message for task in result.tasks if task.id in ("first", "last") for check in task.checks
        ]
        common.append(
            f"the honest tasks have {found} instead of {honest}: {why} {result.message} {result.notices}"
        )
    done = []
    for number, attack in enumerate(job.attacks):
        outcome, problems = _judged(job, attack, result)
        done.append(
            Done(attack.name, attack.category, outcome, wall_s, problems + (common if number == 0 else []))
        )
    return done


def _result_problems(result: NotebookResult) -> Iterator[str]:
    """What must hold of every result, whatever was submitted."""
    if result.score is None or result.outcome is Outcome.ENGINE_ERROR:
        why = [c.message for t in result.tasks for c in t.checks if c.outcome is Outcome.ENGINE_ERROR]
        trace = [
            c.explanation.traceback[-1500:]
            for t in result.tasks
            for c in t.checks
            if c.score is None and c.explanation
        ]
        yield f"ENGINE_ERROR: {result.message} {why[:1]} {''.join(trace[:1])}"
    told = json.dumps(result.to_json(), ensure_ascii=False)
    told.encode()  # no half characters
    bad = sorted({hex(ord(c)) for text in _strings(result.to_json()) for c in text if _steers(c)})
    if bad:
        yield f"control characters in messages: {bad}"
    page = feedback.render(result, student="mallory")
    page.encode()
    for mark in ("<script>alert", "<img src=x", "<iframe"):
        if mark in page.lower():
            yield f"{mark} stands in the feedback page as markup"
    if result.notebook is not None:
        written = json.dumps(result.notebook, ensure_ascii=False).encode()
        if len(written) > 24 << 20:
            yield f"the graded notebook has {len(written) >> 20} MiB"
        try:
            nbformat.validate(nbformat.from_dict(dict(result.notebook)))
        except nbformat.ValidationError as error:
            yield f"the graded notebook is not valid: {str(error)[:300]}"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _steers(c: str) -> bool:
    """Whether a character steers a terminal or turns the direction of text."""
    return c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs")


def _judged(job: Job, attack: Attack, result: NotebookResult) -> tuple[str, list[str]]:
    problems = []
    texts = [result.message or "", *result.notices]
    if attack.kind == "probe":
        printed = "".join(str(o.get("text", "")) for cell in result.cells for o in cell.outputs)
        outcome = "BLOCKED" if f"BLOCKED {attack.name}:" in printed else "?"
        if outcome == "?":
            lines = [line for line in printed.splitlines() if attack.name in line]
            died = [cell.message for cell in result.cells if cell.id is None and cell.message]
            problems.append(f"not blocked: {lines or died or result.message}")
        return outcome, problems
    if attack.kind == "answer":
        task = next(t for t in result.tasks if t.id == next(k for k, v in job.answers.items() if v is attack))
        outcome = task.outcome.value
        texts += [check.message or "" for check in task.checks]
        if task.score != attack.score:
            got = {
                check.id: f"{check.score:g} {check.outcome}"
                for check in task.checks
                if check.score is not None
            }
            problems.append(f"{task.score} points instead of {attack.score}: {got}")
    elif attack.kind == "cell":
        cell = next((c for c in result.cells if c.index == _index_of_own(result, 1)), None)
        outcome = cell.outcome.value if cell else "?"
        texts.append((cell.message or "") if cell else "")
        earned = {t.id: t.score for t in result.tasks if t.id in TARGETS and t.score != 0}
        if earned:
            problems.append(f"points on attacked tasks: {earned}")
    else:
        outcome = result.outcome.value
        earned = {t.id: t.score for t in result.tasks if t.id in TARGETS and t.score != 0}
        if earned:
            problems.append(f"points on attacked tasks: {earned}")
    if attack.outcomes and outcome not in attack.outcomes:
        seen = [
            (c.id, c.outcome.value, (c.message or "")[:200])
            for t in result.tasks
            for c in t.checks
            if t.id == "t1"
        ]
        problems.append(f"outcome {outcome}, expected {' or '.join(attack.outcomes)}; {texts[:3]} {seen[:3]}")
    if attack.says and not any(attack.says in text for text in texts):
        problems.append(f"no message says {attack.says!r}: {[text[:200] for text in texts]}")
    return outcome, problems


def _index_of_own(result: NotebookResult, number: int) -> int:
    """Index of the ``number``-th own cell: they follow the cells of the first honest task."""
    own = [cell.index for cell in result.cells if cell.id is None]
    return own[number] if len(own) > number else -1
