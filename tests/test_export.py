"""From the gradebook to the files that platforms take back, read here as their importers read them."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from autograder import cli
from autograder.gradebook import Recorder, scores
from autograder.keys import Conditions, Keys
from autograder.layout import Course
from autograder.limits import Limits
from autograder.lms.grades import Standing, read_grades
from autograder.lms.tables import harmless
from autograder.models import SubmissionResult
from autograder.release import release
from tests.support_nbgrader import course_cells, grade_in_process, write
from tests.support_platforms import make_zip

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own add_submission

CODE = {
    "solution-double": "def double(x):\n    return x + x",
    "solution-half": "def half(x):\n    return x / 2",
    "why": "Because.",
}
"""All of it right, and one part for a person."""


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("released")
    write(root / "source" / "ex" / "ex.ipynb", course_cells())
    release(Course(root), grade=grade_in_process)
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    return root


@pytest.fixture
def course(released, tmp_path) -> Course:
    root = tmp_path / "course"
    shutil.copytree(released, root)
    return Course(root, root / "suites")


def answers(course: Course, given: dict[str, str]) -> bytes:
    nb = json.loads((course.release_dir("ex") / "ex.ipynb").read_text())
    for cell in nb["cells"]:
        cell["source"] = given.get(cell["metadata"].get("nbgrader", {}).get("grade_id"), cell["source"])
    return json.dumps(nb).encode()


def grade_all(course: Course, by_hand: dict[str, float]) -> None:
    """Grade what was collected, through the Recorder; then the part by hand, as formgrader does."""
    keys = Keys(course, Conditions(Limits(), b"secret" * 4))
    with Recorder(course) as recorder:
        for student, folder in course.submissions("ex"):
            result = SubmissionResult("ex", student, (grade_in_process("ex", folder / "ex.ipynb"),))
            page = f"<p>{html.escape(student)}</p>"
            recorder.record(result, pages={"ex": page}, key=keys.of("ex", folder))
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook_path}", "") as gradebook:
        for student, points in by_hand.items():
            grade = gradebook.find_grade("why", "ex", "ex", student)
            grade.manual_score, grade.needs_manual_grade = points, False
        gradebook.db.commit()


def run(course: Course, *arguments: object) -> int:
    return cli.main([str(part) for part in (arguments[0], "--course", course.root, *arguments[1:])])


def table(data: bytes, separator: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator))


@pytest.fixture
def moodle(course, tmp_path):
    """Three students collected from Moodle; two are done, one waits for points by hand."""
    files = {
        "Jürgen Müller_1001_assignsubmission_file/ex.ipynb": answers(course, CODE),
        "Ada Lovelace_1002_assignsubmission_file/ex.ipynb": answers(course, {**CODE, "solution-half": "x ="}),
        "Eve_Lyn Ortiz_1003_assignsubmission_file/ex.ipynb".replace("Eve_Lyn", "Eve Lyn"): answers(
            course, CODE
        ),
    }
    assert run(course, "collect", "--from", "moodle", make_zip(tmp_path / "m.zip", files), "ex") == 0
    grade_all(course, {"juergen-mueller": 1, "ada-lovelace": 0.5})
    return course


SHEET = (
    "\ufeffIdentifier,Full name,Email address,Status,Grade,Maximum grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments\r\n"
    'Participant 1001,Jürgen Müller,jm@uni.de,Submitted,,6.00,Yes,"Tuesday, 3 March 2026, 2:05 PM",-,\r\n'
    "Participant 1002,Ada Lovelace,al@uni.de,Submitted,1.00,6.00,Yes,-,-,<p>mine</p>\r\n"
    "Participant 1003,Eve Lyn Ortiz,eo@uni.de,Submitted,,6.00,Yes,-,-,\r\n"
    'Participant 1004,"=cmd()|x, Bob",bx@uni.de,No submission,2.00,6.00,Yes,-,-,\r\n'
)


def sheet(tmp_path: Path, text: str = SHEET, name: str = "worksheet.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def moodle_grades(data: bytes, prefix: str = "Participant ") -> dict[int, tuple[str, str]]:
    """As importgradeslib.php reads it: columns by name, the id at the end of the identifier."""
    header, *rows = table(data)
    at = {
        name: header.index(name)
        for name in ("Identifier", "Grade", "Last modified (grade)", "Feedback comments")
    }
    return {
        int(row[at["Identifier"]][len(prefix) :]): (row[at["Grade"]], row[at["Feedback comments"]])
        for row in rows
    }


def moodle_files(data: bytes) -> dict[tuple[int, str], bytes]:
    """As importziplib.php reads it (is_valid_filename_for_import)."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            parts = name.split("/")
            while parts:
                info = parts.pop(0).split("_", 4)
                if len(info) >= 4 and info[1].isdigit():
                    assert info[2:4] == ["assignsubmission", "file"]
                    found[int(info[1]), "/".join([*(info[4:] or [""]), *parts]).lstrip("/")] = archive.read(
                        name
                    )
                    break
    return found


# -- Moodle


def test_to_moodle_and_back(moodle, tmp_path, capsys):
    worksheet = sheet(tmp_path)
    assert (
        run(moodle, "export", "ex", "--to", "moodle", "--worksheet", worksheet, "--output", tmp_path / "out")
        == 1
    )
    said = capsys.readouterr()
    data = (tmp_path / "out" / "ex-grades.csv").read_bytes()
    grades = moodle_grades(data)
    assert {number: grade for number, (grade, _) in grades.items()} == {
        1001: "6",
        1002: "2.5",
        1003: "",
        1004: "2.00",
    }
    assert grades[1001][1].startswith("6 of 6 points<br>double: 2 / 2<br>")
    assert grades[1002][1] == "<p>mine</p>" and grades[1003][1] == ""
    assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data
    kept = [[cell for at, cell in enumerate(row) if at not in (4, 9)] for row in table(data)]
    assert kept == [
        [cell for at, cell in enumerate(row) if at not in (4, 9)] for row in table(SHEET.encode())
    ]
    files = moodle_files((tmp_path / "out" / "ex-feedback.zip").read_bytes())
    assert files == {(1001, "ex.html"): b"<p>juergen-mueller</p>", (1002, "ex.html"): b"<p>ada-lovelace</p>"}
    assert "eve-lyn-ortiz" in said.out and "to grade by hand: why" in said.out
    assert "ada-lovelace: 1.00 in Moodle becomes 2.5" in said.err and "--include-provisional" in said.err
    assert worksheet.read_bytes() == SHEET.encode()


def test_a_provisional_score_is_marked(moodle, tmp_path):
    where = ("--worksheet", sheet(tmp_path), "--output", tmp_path / "grades.csv", "--include-provisional")
    assert run(moodle, "export", "ex", "--to", "moodle", *where) == 0
    grade, comment = moodle_grades((tmp_path / "grades.csv").read_bytes())[1003]
    assert (
        grade == "5"
        and comment.startswith("Provisional: 5 of 6 points")
        and "why: to be graded / 1" in comment
    )
    assert len(moodle_files((tmp_path / "ex-feedback.zip").read_bytes())) == 3


def test_moodles_german_worksheet_keeps_its_dialect(moodle, tmp_path):
    text = (
        "ID;Vollständiger Name;Bewertung;Bestwertung;Bewertung kann geändert werden;"
        "Zuletzt geändert (Bewertung);Feedback als Kommentar\n"
        "Teilnehmer/in1001;Jürgen Müller;;6,00;Ja;-;\nTeilnehmer/in1002;Ada Lovelace;;6,00;Nein;-;\n"
    )
    where = ("--worksheet", sheet(tmp_path, text), "--output", tmp_path / "out")
    assert run(moodle, "export", "ex", "--to", "moodle", *where) == 1
    rows = table((tmp_path / "out" / "ex-grades.csv").read_bytes(), ";")
    assert rows[1][:4] == ["Teilnehmer/in1001", "Jürgen Müller", "6", "6,00"] and rows[1][6]
    assert rows[2][2] == "" and rows[2][6] == ""  # locked in Moodle, which would skip it without a word


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("6.00", "10.00"), "Moodle's maximum is 10, that of ex is 6"),
        (("Grade,", "Note,"), "has no column 'Grade' or 'Bewertung'"),
        (("Participant ", "Somebody "), None),
        (("Identifier", "Whatever"), "no column 'Identifier'"),
        (("Participant 1", "Participant 2"), "is the worksheet of another assignment"),
    ],
)
def test_worksheets_that_do_not_fit(moodle, tmp_path, capsys, change, message):
    worksheet = sheet(tmp_path, SHEET.replace(*change))
    code = run(
        moodle, "export", "ex", "--to", "moodle", "--worksheet", worksheet, "--output", tmp_path / "out"
    )
    assert code == (2 if message else 1)  # Moodle calls participants as the language has it
    assert not message or message in capsys.readouterr().err
    assert (tmp_path / "out").exists() == (message is None)


def test_points_are_converted_only_when_asked(moodle, tmp_path):
    worksheet = sheet(tmp_path, SHEET.replace("6.00", "100.00"))
    where = ("--worksheet", worksheet, "--output", tmp_path / "out", "--scale")
    run(moodle, "export", "ex", "--to", "moodle", *where)
    grades = moodle_grades((tmp_path / "out" / "ex-grades.csv").read_bytes())
    assert grades[1001][0] == "100" and grades[1002][0] == "41.67"


def test_the_worksheet_itself_is_never_written(moodle, tmp_path, capsys):
    worksheet = sheet(tmp_path)
    assert run(moodle, "export", "ex", "--to", "moodle", "--worksheet", worksheet, "--output", worksheet) == 2
    assert "keep the original" in capsys.readouterr().err and worksheet.read_bytes() == SHEET.encode()


def test_namesakes_in_the_worksheet(moodle, tmp_path, capsys):
    (moodle.downloaded_dir("ex") / "collected.json").unlink()  # the numbers are not known any more
    text = SHEET.replace("Eve Lyn Ortiz", "Ada Lovelace")
    run(
        moodle,
        "export",
        "ex",
        "--to",
        "moodle",
        "--worksheet",
        sheet(tmp_path, text),
        "--output",
        tmp_path / "out",
    )
    assert "could be 2 rows" in capsys.readouterr().out
    grades = moodle_grades((tmp_path / "out" / "ex-grades.csv").read_bytes())
    assert grades[1001][0] == "6" and grades[1002][0] == "1.00" and grades[1003][0] == ""


# -- Canvas

GRADEBOOK = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Exercise One (501),ex (502),Current Score\n"
    ",,,,,,Manual Posting,\n"
    "    Points Possible,,,,,10,6,(read only)\n"
    '"Müller, Jürgen",77,,jm,A,9,,88\n'
    '"Lovelace, Ada",78,,al,A,8,1,77\n'
    '"Hopper, Grace",79,,gh,A,,EX,\n'
    '"Student, Test",99,,x,A,,,\n'
)


@pytest.fixture
def canvas(course, tmp_path):
    files = {
        "müllerjürgen_77_5001_ex.ipynb": answers(course, CODE),
        "lovelaceada_LATE_78_5002_ex-1.ipynb": answers(course, CODE),
        "hoppergrace_79_5003_ex.ipynb": answers(course, CODE),
    }
    assert run(course, "collect", "--from", "canvas", make_zip(tmp_path / "c.zip", files), "ex") == 0
    grade_all(course, {"muellerjuergen-77": 1, "lovelaceada-78": 0, "hoppergrace-79": 0})
    return course


def canvas_grades(data: bytes) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    """As gradebook_importer.rb reads it: Points Possible by assignment, and grades by student."""
    header, *rows = table(data)
    assert header[0] == "Student" and header[1] == "ID" and header[4] == "Section"
    titles = header[5:]
    possible: dict[str, str] = {}
    grades: dict[int, dict[str, str]] = {}
    for row in rows:
        if "Points Possible" in row[0]:
            possible = dict(zip(titles, row[5:], strict=True))
        elif not all(re.fullmatch(r"(?i)\s*(Muted|Manual Posting.*)?\s*", cell) for cell in row):
            grades[int(row[1])] = dict(zip(titles, row[5:], strict=True))
    return possible, grades


def test_to_canvas_and_back(canvas, tmp_path, capsys):
    worksheet = sheet(tmp_path, GRADEBOOK)
    assert (
        run(
            canvas, "export", "ex", "--to", "canvas", "--worksheet", worksheet, "--output", tmp_path / "g.csv"
        )
        == 1
    )
    possible, grades = canvas_grades((tmp_path / "g.csv").read_bytes())
    assert possible == {"ex (502)": "6"}  # other columns would put old grades back
    assert grades == {
        number: {"ex (502)": value} for number, value in ((77, "6"), (78, "5"), (79, "EX"), (99, ""))
    }
    assert "Canvas says EX for this student" in capsys.readouterr().out


def test_canvas_columns(canvas, tmp_path, capsys):
    worksheet = sheet(tmp_path, GRADEBOOK.replace("ex (502)", "Blatt 1 (502)"))
    where = ("--worksheet", worksheet, "--output", tmp_path / "g.csv")
    assert run(canvas, "export", "ex", "--to", "canvas", *where) == 2
    assert "--column: Exercise One (501), Blatt 1 (502)" in capsys.readouterr().err
    for column in ("Blatt 1", "502", "Blatt 1 (502)"):
        assert run(canvas, "export", "ex", "--to", "canvas", *where, "--column", column) == 1
    assert run(canvas, "export", "ex", "--to", "canvas", *where, "--column", "501") == 2
    assert "has 10 points in Canvas and 6 here" in capsys.readouterr().err


def test_canvas_without_a_gradebook(canvas, tmp_path):
    assert run(canvas, "export", "ex", "--to", "canvas", "--output", tmp_path, "--column", "Ex (502)") == 0
    possible, grades = canvas_grades((tmp_path / "canvas-grades.csv").read_bytes())
    assert possible == {"Ex (502)": "6"} and grades[77] == {"Ex (502)": "6"} and len(grades) == 3


# -- ILIAS

STATUS = "update,usr_id,login,lastname,firstname,status,mark,notice,comment,plagiarism,plag_comment\n"


@pytest.fixture
def ilias(course, tmp_path):
    files = {
        "Blatt_1_17/Abgaben/Mueller_Juergen_jmueller_1234/20260101120000_ex.ipynb": answers(course, CODE),
        "Blatt_1_17/Abgaben/Lovelace_Ada_ada_3456/ex.ipynb": answers(course, {}),
    }
    assert run(course, "collect", "--from", "ilias", make_zip(tmp_path / "i.zip", files), "ex") == 0
    grade_all(course, {"jmueller": 1})
    return course


def ilias_files(data: bytes) -> dict[int, dict[str, bytes]]:
    """As getMultiFeedbackFiles reads it: one folder multi_feedback…, in it folders that end in the user."""
    found: dict[int, dict[str, bytes]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        roots = {name.split("/")[0] for name in archive.namelist()}
        assert len(roots) == 1 and roots.pop().startswith("multi_feedback")
        for name in archive.namelist():
            _, *folder, file = name.split("/")
            if folder:
                found.setdefault(int(folder[0].split("_")[-1]), {})[file] = archive.read(name)
    return found


def test_to_ilias_and_back(ilias, tmp_path):
    assert run(ilias, "export", "ex", "--to", "ilias", "--output", tmp_path / "out", "--pass", "50") == 0
    files = ilias_files((tmp_path / "out" / "multi_feedback_ex.zip").read_bytes())
    assert files == {1234: {"ex.html": b"<p>jmueller</p>"}, 3456: {"ex.html": b"<p>ada</p>"}}
    header, *rows = table((tmp_path / "out" / "status.csv").read_bytes())
    assert ",".join(header) + "\n" == STATUS
    marks = {int(row[1]): (row[0], row[2], row[5], row[6]) for row in rows}
    assert marks == {1234: ("1", "jmueller", "passed", "6"), 3456: ("1", "ada", "failed", "0")}


def test_ilias_status_file_of_the_plugin(ilias, tmp_path):
    text = (
        STATUS
        + "0,1234,jmueller,Müller,Jürgen,notgraded,,for me,,,\n0,3456,ada,Lovelace,Ada,passed,3,,kept,,\n"
    )
    text += "0,999,bob,X,Bob,notgraded,,,,,\n"
    run(
        ilias,
        "export",
        "ex",
        "--to",
        "ilias",
        "--output",
        tmp_path / "out",
        "--worksheet",
        sheet(tmp_path, text),
    )
    rows = {row[1]: row for row in table((tmp_path / "out" / "status.csv").read_bytes())[1:]}
    assert rows["1234"][:8] == ["1", "1234", "jmueller", "Müller", "Jürgen", "notgraded", "6", "for me"]
    assert rows["3456"][5:9] == ["passed", "0", "", "kept"] and rows["999"][0] == "0"
    with zipfile.ZipFile(tmp_path / "out" / "multi_feedback_ex.zip") as archive:
        assert archive.read("multi_feedback_ex/status.csv") == (tmp_path / "out" / "status.csv").read_bytes()


# -- the plain table, and what is final


def test_the_plain_table(moodle, tmp_path, capsys):
    (moodle.submitted("late", "ex")).mkdir(parents=True)
    (moodle.submitted("late", "ex") / "ex.ipynb").write_bytes(answers(moodle, CODE))
    assert run(moodle, "export", "ex", "--to", "csv", "--output", tmp_path / "all.csv") == 0
    header, *rows = table((tmp_path / "all.csv").read_bytes())
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    mine = [row for row in cells if row["student"] == "ada-lovelace"]
    assert [(row["task"], row["kind"], row["score"], row["max_score"], row["manual"]) for row in mine] == [
        ("double", "automatic", "2", "2", ""),
        ("half", "automatic", "0", "3", ""),
        ("why", "manual", "0.5", "1", "0.5"),
    ]
    assert [row["outcome"] for row in mine] == ["PASSED", "FAILED", ""]
    waiting = [row for row in cells if row["student"] == "eve-lyn-ortiz"]
    assert waiting[2]["score"] == "" and {row["standing"] for row in waiting} == {"provisional"}
    assert [row["standing"] for row in cells if row["student"] == "late"] == ["not graded"]
    assert "1 submissions are provisional, 1 not graded" in capsys.readouterr().err


def test_late_penalties_and_extra_credit_are_nbgraders(moodle, tmp_path):
    with closing(sqlite3.connect(moodle.gradebook_path)) as database:
        database.execute("update submitted_notebook set late_submission_penalty = 1.5")
        database.execute("update grade set extra_credit = 0.25 where auto_score = 3")
        database.commit()
    mine = {grades.student: grades for grades in read_grades(moodle, "ex", Limits())}
    assert {score.student: score.score for score in scores(moodle, "ex")} == {
        name: pytest.approx(grades.score) for name, grades in mine.items()
    }
    assert (
        mine["juergen-mueller"].score == pytest.approx(4.75) and mine["juergen-mueller"].late_penalty == 1.5
    )
    run(moodle, "export", "ex", "--to", "csv", "--output", tmp_path / "all.csv")
    header, *rows = table((tmp_path / "all.csv").read_bytes())
    penalties = [row[header.index("late_penalty")] for row in rows if row[0] == "ada-lovelace"]
    assert penalties == ["1.5", "0", "0"]


def test_more_than_the_maximum_is_not_for_moodle(moodle, tmp_path, capsys):
    with closing(sqlite3.connect(moodle.gradebook_path)) as database:
        database.execute("update grade set extra_credit = 2 where auto_score = 3")
        database.commit()
    where = ("--worksheet", sheet(tmp_path), "--output", tmp_path / "out")
    assert run(moodle, "export", "ex", "--to", "moodle", *where) == 1
    assert "8 is more than the maximum of 6" in capsys.readouterr().out
    assert moodle_grades((tmp_path / "out" / "ex-grades.csv").read_bytes())[1001][0] == ""


def standings(course: Course) -> dict[str, tuple[Standing, str]]:
    return {
        grades.student: (grades.standing, grades.reason) for grades in read_grades(course, "ex", Limits())
    }


def test_what_is_not_final_says_so(moodle):
    assert standings(moodle)["juergen-mueller"] == (Standing.FINAL, "")
    notebook = moodle.submitted("juergen-mueller", "ex") / "ex.ipynb"
    notebook.write_bytes(notebook.read_bytes() + b"\n")
    standing, reason = standings(moodle)["juergen-mueller"]
    assert standing is Standing.PROVISIONAL and "handed in anew" in reason
    with closing(sqlite3.connect(moodle.gradebook_path)) as database:
        database.execute("delete from autograder_ledger where student_id = 'ada-lovelace'")
        database.execute("update grade set auto_score = null where auto_score = 3")
        database.commit()
    found = standings(moodle)
    assert (
        found["ada-lovelace"][0] is Standing.PROVISIONAL and "last grading failed" in found["ada-lovelace"][1]
    )
    assert found["juergen-mueller"] == (Standing.NOT_GRADED, "without a score: half")


def test_no_score_is_never_a_0(moodle, tmp_path, capsys):
    with closing(sqlite3.connect(moodle.gradebook_path)) as database:
        database.execute("update grade set auto_score = null, needs_manual_grade = 1")
        database.commit()
    where = ("--worksheet", sheet(tmp_path), "--output", tmp_path / "out", "--include-provisional")
    assert run(moodle, "export", "ex", "--to", "moodle", *where) == 1
    assert (tmp_path / "out" / "ex-grades.csv").read_bytes() == SHEET.encode()
    said = capsys.readouterr().out
    assert said.count("not graded") == 3 and "0 submissions to ex written" in said


@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "@SUM(A1)", "-2+3", "\t=1", " =1", "＝1"])
def test_formulas_are_text(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-", "-1.5", "+3", "Ada", "2 of 3", "", "a=b"])
def test_what_is_no_formula_stays(text):
    assert harmless(text) == text


def test_a_hostile_id_is_text_in_the_plain_table(course, tmp_path):
    folder = course.submitted("=cmd()|'calc'!A0", "ex")
    folder.mkdir(parents=True)
    (folder / "ex.ipynb").write_bytes(answers(course, CODE))
    grade_all(course, {})
    run(course, "export", "ex", "--to", "csv", "--output", tmp_path / "all.csv")
    rows = table((tmp_path / "all.csv").read_bytes())
    assert {row[0] for row in rows[1:]} == {"'=cmd()|'calc'!A0"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ex", "--to", "moodle", "--output", "out"], "needs --worksheet"),
        (["ex", "two", "--to", "ilias", "--output", "out"], "takes one assignment"),
        (["ex", "--to", "csv", "--output", "out", "--worksheet", "x"], "fills no --worksheet"),
        (["ex", "--to", "canvas", "--output", "out", "--pass", "50"], "--pass is for --to ilias"),
        (["none", "--to", "csv", "--output", "out"], "no assignment 'none'"),
    ],
)
def test_arguments_that_do_not_go_together(course, capsys, arguments, message):
    assert run(course, "export", *arguments) == 2
    assert message in capsys.readouterr().err


# -- the page


def test_the_commands_of_the_page_run_as_they_stand(tmp_path, monkeypatch, capsys):
    """docs/platforms.md in its order, on made-up downloads, in a course of the page's names."""
    root = tmp_path / "course"
    names = ("ex1_tensors", "ex2_autograd")
    for name in names:
        write(root / "source" / name / f"{name}.ipynb", course_cells())
    release(Course(root), grade=grade_in_process)
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    nb = (root / "release" / "ex1_tensors" / "ex1_tensors.ipynb").read_bytes()
    monkeypatch.chdir(root)
    make_zip(root / "moodle.zip", {"Ada Lovelace_1001_assignsubmission_file/ex1_tensors.ipynb": nb})
    make_zip(root / "ilias.zip", {"Abgaben/Lovelace_Ada_ada_7/20260101120000_ex1_tensors.ipynb": nb})
    make_zip(root / "canvas.zip", {"lovelaceada_77_5001_ex1_tensors.ipynb": nb})
    (root / "downloads" / "ada").mkdir(parents=True)
    (root / "downloads" / "ada" / "ex1_tensors.ipynb").write_bytes(nb)
    (root / "roster.csv").write_text("id;Vorname;Nachname\nada;Ada;Lovelace\n")
    head = "Student,ID,SIS Login ID,Section,ex1 tensors (502)\n    Points Possible,,,,6\n"
    (root / "gradebook.csv").write_text(f'{head}"Lovelace, Ada",77,ada,A,\n')
    (root / "worksheet.csv").write_text(
        "Identifier,Full name,Grade,Maximum grade,Last modified (grade),Feedback comments\n"
        "Participant 1001,Ada Lovelace,,6.00,-,\n"
    )
    (root / "status.csv").write_text(f"{STATUS}0,7,ada,Lovelace,Ada,notgraded,,,,,\n")
    page = (Path(cli.__file__).parents[1] / "docs" / "platforms.md").read_text(encoding="utf-8")
    commands = [
        line.split()[1:]
        for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert {words[0] for words in commands} == {"student", "collect", "grade", "export"}
    course = Course(root, root / "suites")
    for words in commands:
        if words[0] == "grade":  # has tests of its own
            with Recorder(course) as recorder:
                for student, folder in course.submissions("ex1_tensors"):
                    made = grade_in_process("ex1_tensors", folder / "ex1_tensors.ipynb")
                    result = SubmissionResult("ex1_tensors", student, (made,))
                    recorder.record(result, pages={"ex1_tensors": "<p>"})
            continue
        assert cli.main(words) in (0, 1), (words, capsys.readouterr().err)
    assert {student for student, _ in course.submissions("ex1_tensors")} == {"ada"}
    assert {path.name for path in (root / "export").iterdir()} == {
        *("canvas.csv", "grades.csv", "status.csv"),
        *("ex1_tensors-grades.csv", "ex1_tensors-feedback.zip", "multi_feedback_ex1_tensors.zip"),
    }
    assert (root / "handout.zip").is_file() and (root / "handout" / "README.md").is_file()
