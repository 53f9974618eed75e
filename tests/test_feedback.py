"""The page a student reads: what it says, what it never says, and that it cannot be made to do anything."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from autograder import display, feedback
from autograder.given import Given, TaskGiven
from autograder.layout import Course
from autograder.models import CellResult, Explanation, Outcome, TaskKind, TaskResult
from tests import samples

WHEN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
VOID = {"meta", "img", "br", "circle", "path", "use", "link", "hr"}
# what the template uses, and nothing that loads or runs anything
ELEMENTS = """
    html head meta title style body svg symbol path circle use main header div section article footer
    p span strong b i h1 h2 h3 a ul ol li dl dt dd code pre img details summary
"""
TAGS = frozenset(ELEMENTS.split())


class Page(HTMLParser):
    """Text, elements and attributes of a page; complains about anything that is not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page(result, **more) -> Page:
    return Page(feedback.render(result, student="s01", timestamp=WHEN, **more))


SAMPLES = ["typical", "perfect", "unreadable", "engine_error", "hostile"]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_is_self_contained_and_has_no_script(name):
    shown = page(getattr(samples, name)())
    assert set(shown.tags) <= TAGS
    for _, attribute, value in shown.attributes:
        assert not attribute.startswith("on")
        if attribute in ("src", "href"):
            assert value.startswith(("data:image/png;base64,", "#"))
    assert "default-src 'none'" in dict((name, value) for _, name, value in shown.attributes)[
        "content"
    ] or any("default-src 'none'" in value for _, name, value in shown.attributes if name == "content")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_same_result_gives_the_same_page(name):
    make = getattr(samples, name)
    assert feedback.render(make(), student="s", timestamp=WHEN) == feedback.render(
        make(), student="s", timestamp=WHEN
    )


def test_the_head_says_score_assignment_student_and_time():
    text = page(samples.typical()).text
    assert "5 of 13 points" in text
    assert "ex1_tensors · s01 · 01 March 2026, 12:30 UTC" in text
    assert "Exercise 1 · Tensors" in text
    assert "2 of 5 tasks complete" in text
    assert "1 of the points is still to be given by a person" in text


def test_a_failed_check_has_all_its_parts():
    text = page(samples.typical()).text
    part = samples.COLUMN_BIAS
    for said in (part.summary, part.called, part.expected, part.got, part.hint, part.slide, "1804289383"):
        assert said in text
    assert "Known mistake: column bias" in text
    assert "torch.Generator().manual_seed(1804289383)" in text


def test_the_message_to_read_first_is_of_the_task_that_had_to_be_stopped():
    text = page(samples.typical()).text
    first = text.split("Look here first")[1].split("Tasks")[0]
    assert first.strip().startswith("slices")
    assert "took too long and was stopped. Stopped after 10 s" in first


def test_without_a_stopped_cell_it_is_the_first_known_mistake():
    result = samples.typical()
    cells = tuple(replace(cell, outcome=Outcome.PASSED) for cell in result.cells)
    first = page(replace(result, cells=cells)).text.split("Look here first")[1].split("Tasks")[0]
    assert first.strip().startswith("affine")
    assert "broadcast" in first


def test_own_code_and_outputs_stand_with_their_task():
    html = feedback.render(samples.typical(), student="s01")
    affine = html.split('id="task-2"')[1].split('id="task-3"')[0]
    assert "W @ x + b[:, None]" in affine
    assert "[17., 27.]" in affine
    assert "data:image/png;base64," in affine
    assert "affine returned shape (2, 2), not (2,)" in affine
    assert "\x1b" not in html


def test_an_answer_without_a_test_cell_does_not_stand_with_the_next_task():
    result = samples.perfect()
    assert result.notebook is not None
    cells = [
        samples.markdown("## Warm-up"),
        samples.code("warm = 1", "solution-warm_up", solution=True),
        *result.notebook["cells"],
    ]
    html = feedback.render(replace(result, notebook=samples.notebook(cells), cells=()), student="s01")
    first = html.split('id="task-1"')[1].split('id="task-2"')[0]
    assert "warm = 1" not in first and "warm = 1" in html
    assert "Warm-up" not in first and "make_tensors" in first


def test_a_manual_task_shows_the_answer_and_who_grades_it():
    text = page(samples.typical()).text
    assert "This task will be graded by a person." in text
    assert "nobody asked me" in text


def test_stderr_costs_no_points_and_says_so():
    assert "stderr costs no points UserWarning: this is only a warning" in page(samples.typical()).text


def test_an_in_kernel_task_is_marked_and_shows_nothing_of_its_test_cell():
    secret = "assert add(2, 3) == 5  # hidden test"
    result = samples.typical()
    leak = (samples.error("AssertionError", "", [secret]), samples.stream(secret))
    cells = tuple(replace(cell, outputs=leak) if cell.id == "old_style" else cell for cell in result.cells)
    check = samples.failed("old_style", "old_style", Explanation("AssertionError", traceback=secret))
    tasks = tuple(
        replace(task, score=0.0, checks=(check,)) if task.kind is TaskKind.IN_KERNEL else task
        for task in result.tasks
    )
    html = feedback.render(replace(result, cells=cells, tasks=tasks), student="s01")
    assert "in-kernel" in html
    assert "hidden test" not in html


def test_everything_right():
    text = page(samples.perfect()).text
    assert "Everything is right. Well done." in text
    assert "Look here first" not in text


def test_an_engine_error_is_not_the_students_fault_and_shows_no_engine_text():
    text = page(samples.engine_error()).text
    assert "Not your fault; it will be graded again" in text
    assert "KeyError" not in text and "test_1_create" not in text


def test_an_unreadable_file_says_what_happened_and_what_to_do():
    text = page(samples.unreadable()).text
    assert "line 212 is not complete" in text
    assert "What to do" in text and "Submit the file again" in text
    assert "not reached" not in text


def test_a_run_without_sandbox_and_missing_layers_are_stamped():
    assert "Graded without a sandbox" in page(replace(samples.perfect(), sandboxed=False)).text
    assert (
        "lacks a layer of the sandbox: landlock"
        in page(replace(samples.perfect(), missing_layers=("landlock",))).text
    )


def test_a_task_without_points_is_a_badge():
    task = TaskResult("stretch", TaskKind.SUITE, 0.0, 0.0, (samples.passed("test_stretch", "stretch", 0.0),))
    text = page(replace(samples.perfect(), tasks=(*samples.perfect().tasks, task))).text
    assert "no points, a badge" in text


def test_hostile_text_is_shown_as_text():
    html = feedback.render(samples.hostile(), student=samples.HOSTILE_TEXT, timestamp=WHEN)
    assert "<script" not in html and "<img src=x" not in html and "<svg onload" not in html
    assert "49" not in Page(html).text.split("{{ 7 * 7 }}")[0]
    html.encode("utf-8")  # no lone surrogates left
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", html)
    assert "Graded without a sandbox" in html


def test_a_page_stays_small_whatever_was_printed():
    outputs = tuple(samples.stream(f"{i}" + "<&>" * 200_000) for i in range(30))
    outputs += tuple(samples.display(image_png=samples.png(1500, 900)) for _ in range(20))
    result = samples.typical()
    cells = tuple(replace(cell, outputs=outputs) for cell in result.cells)
    html = feedback.render(replace(result, cells=cells), student="s01")
    assert len(html) < 12_000_000
    assert "characters left out" in html


def test_write_is_atomic_and_goes_to_nbgraders_folder(tmp_path):
    path = feedback.write(Course(tmp_path), samples.typical(), student="s01", timestamp=WHEN)
    assert path == tmp_path / "feedback" / "s01" / "ex1_tensors" / "ex1_tensors.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in path.parent.iterdir()] == ["ex1_tensors.html"]


def test_odd_notebooks_are_rendered():
    for notebook in (
        {},
        {"cells": []},
        {"cells": [{"cell_type": "code", "source": ["a", "b"], "metadata": None}]},
    ):
        page(replace(samples.typical(), notebook=notebook))
    page(
        replace(
            samples.typical(),
            cells=(CellResult(99, "nowhere", Outcome.PASSED),),
            tasks=(),
            max_score=0.0,
            score=0.0,
        )
    )


# -- display


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("a\r\nb", "a\nb"),
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("\u202eabc", "\ufffdabc"),
        (["a", "b", 3], "ab"),
        (7, ""),
        (None, ""),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
    ],
)
def test_clean_text(raw, shown):
    assert display.clean_text(raw) == shown


def test_shorten_says_how_much_is_missing():
    assert display.shorten("abc", 10) == "abc"
    cut = display.shorten("x" * 1000, 100)
    assert "900 characters left out" in cut and len(cut) < 160


def test_only_a_real_png_is_an_image():
    good = samples.png()
    assert display.png(good, 1 << 20) == good
    assert display.png("\n".join(good[i : i + 76] for i in range(0, len(good), 76)), 1 << 20) == good
    for bad in (None, 7, "", "not base64!", "bm90IGEgcG5n", good[:20], "é" * 40, samples.png(5000, 1)):
        assert display.png(bad, 1 << 20) is None
    assert display.png(good, 10) is None


def given(*changed: tuple[int, TaskGiven], penalty: float = 0.0) -> Given:
    """The typical notebook in the gradebook, with some of its tasks changed by a person."""
    tasks = [
        TaskGiven(task.score, task.max_score, waits=task.kind is TaskKind.MANUAL)
        for task in samples.typical().tasks
    ]
    for place, task in changed:
        tasks[place] = task
    return Given(tasks, penalty)


def test_what_a_person_gave_comes_onto_the_page() -> None:
    page = feedback.render(samples.typical(), student="ada", timestamp=WHEN)
    assert "1 of the points is still to be given by a person" in page
    assert feedback.with_given(page, given()) == page
    by_hand = TaskGiven(0.5, 1.0, by_person=True, comment="Say <b>why</b>.<!--ring-->\x1b[1m")
    regraded = TaskGiven(3.5, 4.0, by_person=True)
    later = feedback.with_given(page, given((1, regraded), (5, by_hand), penalty=1.0))
    text = " ".join(" ".join(Page(later).words).split())
    for said in (
        "7 of 13 points",
        "0.5 of 1 points given by a person.",
        "3.5 of 4 points given by a person.",
    ):
        assert said in text
    assert "Say <b>why</b>.<!--ring-->" in text and "\x1b" not in later
    assert "Handed in late: 1 point was taken off." in text
    assert "still to be given" not in text and "This task will be graded by a person" not in text
    assert feedback.with_given(later, given()) == page


def test_a_submission_cannot_have_places_of_its_own() -> None:
    result = samples.typical()
    for text in ("<!--ring-->mine<!--/ring-->", "<!--task-1-->mine<!--/task-1-->"):
        page = feedback.render(replace(result, notices=(text,), message=text), student=text)
        assert "mine" in feedback.with_given(page, given()) and feedback.with_given(page, given()) == page
