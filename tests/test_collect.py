"""From a download to ``submitted/``: layouts, people, choices, hostile archives, and what is left alone."""

from __future__ import annotations

import json
import os
import shutil
import stat
import unicodedata
import zipfile
from dataclasses import replace

import pytest

from autograder import cli
from autograder.collecting import collect
from autograder.errors import UsageError
from autograder.keys import Conditions, Keys
from autograder.limits import Limits
from autograder.lms import names, times
from autograder.lms.record import read_record
from autograder.lms.roster import read_roster
from tests.support_platforms import answer, course, make_zip, placed, reading, zip_bytes


def rows(outcome):
    """Student, or the name in the archive, to what became of it."""
    return {line.student or line.label: line.state for line in outcome.lines}


def notes(outcome, who):
    return "\n".join(
        note for line in outcome.lines if who in (line.student, line.label) for note in line.notes
    )


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "course").mkdir()
    return course(tmp_path / "course")


@pytest.fixture
def roster(tmp_path):
    def make(text, encoding="utf-8"):
        path = tmp_path / "roster.csv"
        path.write_bytes(text.encode(encoding))
        return read_roster(path)

    return make


# -- layouts


def test_moodle_in_folders_flat_and_old(settings, tmp_path):
    archive = make_zip(
        tmp_path / "m.zip",
        {
            "Jürgen Müller_1001_assignsubmission_file/ex1.ipynb": answer("jm"),
            "Ada Lovelace_1002_assignsubmission_file_/sub/ex1.ipynb": answer("ada"),
            "Ada Lovelace_1002_assignsubmission_file_/sub/data.csv": b"1",
            "Bob O'Neil_1003_assignsubmission_file_ex1.ipynb": answer("bob"),
            "Bob O'Neil_1003_assignsubmission_onlinetext_/onlinetext.html": b"hello",
        },
    )
    outcome = collect(settings, "moodle", archive, "ex1")
    assert rows(outcome) == dict.fromkeys(["juergen-mueller", "ada-lovelace", "bob-o-neil"], "new")
    assert placed(settings)["ada-lovelace"] == {"ex1.ipynb": answer("ada"), "data.csv": b"1"}
    assert placed(settings)["bob-o-neil"] == {"ex1.ipynb": answer("bob")}
    assert "1 online texts" in outcome.ignored[0] and not outcome.open
    assert read_record(settings.course, "ex1")["bob-o-neil"].number == "1003"


def test_moodle_unpacked_in_a_folder(settings, tmp_path):
    folder = tmp_path / "Kurs-Aufgabe-17" / "Jürgen Müller_1001_assignsubmission_file"
    folder.mkdir(parents=True)
    (folder / "ex1.ipynb").write_bytes(answer("jm"))
    outcome = collect(settings, "moodle", tmp_path / "Kurs-Aufgabe-17", "ex1")
    assert rows(outcome) == {"juergen-mueller": "new"}


def test_canvas_late_resubmitted_anonymous_and_texts(settings, tmp_path):
    archive = make_zip(
        tmp_path / "c.zip",
        {
            "müllerjürgen_77_5001_ex1.ipynb": answer("first"),
            "müllerjürgen_77_5009_ex1-1.ipynb": answer("second"),
            "lovelaceada_LATE_78_5002_ex1-2.ipynb": answer("ada"),
            "lovelaceada_LATE_78_5003_12_34_data.csv": b"1",
            "anon_aB3x9_5004_ex1.ipynb": answer("anonymous"),
            "hopper_79_text.html": b"<p>",
        },
    )
    outcome = collect(settings, "canvas", archive, "ex1")
    assert rows(outcome) == dict.fromkeys(["muellerjuergen-77", "lovelaceada-78", "ab3x9"], "new")
    assert placed(settings)["muellerjuergen-77"] == {"ex1.ipynb": answer("second")}
    assert "older: müllerjürgen_77_5001_ex1.ipynb" in notes(outcome, "muellerjuergen-77")
    assert placed(settings)["lovelaceada-78"] == {"ex1.ipynb": answer("ada"), "12_34_data.csv": b"1"}
    assert notes(outcome, "lovelaceada-78") == "late"
    assert len(outcome.ignored) == 1


@pytest.mark.parametrize(
    "inner",
    [
        "Übung_17/Abgaben",
        "Exercise_17/Submissions",
        "",
        "multi_feedback_Blatt_1_17",
        "Abgaben/Team 4",
        "Uebung_Blatt_1_17",
    ],
)
def test_ilias_wherever_the_folders_are(settings, tmp_path, inner):
    base = f"{inner}/" if inner else ""
    archive = make_zip(
        tmp_path / "i.zip",
        {
            f"{base}Mueller_Juergen_jmueller_1234/20260101120000_ex1.ipynb": answer("old"),
            f"{base}Mueller_Juergen_jmueller_1234/20260102120000_ex1.ipynb": answer("new"),
            f"{base}von der Au_Eva Maria_eva_2345/ex1.ipynb": answer("one"),
            f"{base}von der Au_Eva Maria_eva_2345/ex1 (2).ipynb": answer("two"),
            f"{base}Lovelace_Ada_ada_3456/Verspätete Abgabe - ex1.ipynb": answer("late"),
            f"{base}Feedback_files/to_Lovelace_Ada_ada_3456/from_X_Y_z_9/ex1.ipynb": answer("a peer"),
            f"{base}list.xlsx": b"PK",
        },
    )
    outcome = collect(settings, "ilias", archive, "ex1", timezone="Europe/Berlin")
    assert rows(outcome) == dict.fromkeys(["jmueller", "eva", "ada"], "new")
    assert len(outcome.ignored) == 2 and not outcome.open
    files = placed(settings)
    assert files["jmueller"]["ex1.ipynb"] == answer("new")
    assert files["jmueller"]["timestamp.txt"] == b"2026-01-02 11:00:00 UTC\n"
    assert files["eva"] == {"ex1.ipynb": answer("two")}
    assert files["ada"] == {"ex1.ipynb": answer("late")} and notes(outcome, "ada") == "late"


def test_ilias_logins_with_the_separator_in_them(settings, tmp_path, roster):
    archive = make_zip(tmp_path / "i.zip", {"Abgaben/Doe_Jane_jane_doe_9/ex1.ipynb": answer("jane")})
    people = roster("login;vorname;nachname\njane_doe;Jane;Doe\ndoe;John;Doe\n")
    assert rows(collect(settings, "ilias", archive, "ex1", roster=people)) == {"jane_doe": "new"}
    assert rows(collect(settings, "ilias", archive, "ex1")) == {"doe": "new"}  # nobody said more


@pytest.mark.parametrize("wrapped", ["", "Abgaben/"])
def test_a_plain_folder(settings, tmp_path, wrapped):
    archive = make_zip(
        tmp_path / "f.zip",
        {
            f"{wrapped}ada/ex1.ipynb": answer("ada"),
            f"{wrapped}bob/ex1/ex1.ipynb": answer("bob"),
            f"{wrapped}bob/ex1/timestamp.txt": b"2026-03-01 10:00:00 UTC",
            f"{wrapped}eve_x_ex1.ipynb": answer("eve"),
        },
    )
    outcome = collect(settings, "folder", archive, "ex1")
    assert rows(outcome) == dict.fromkeys(["ada", "bob", "eve_x"], "new")
    assert placed(settings)["bob"]["timestamp.txt"] == b"2026-03-01 10:00:00 UTC\n"


def test_a_folder_of_files_needs_names_that_it_knows(settings, tmp_path, roster):
    files = {"ada_solution.ipynb": answer("ada"), "who_solution.ipynb": answer("who")}
    archive = make_zip(tmp_path / "f.zip", {**files, "ada_b_ex1.ipynb": answer("other")})
    outcome = collect(settings, "folder", archive, "ex1", roster=roster("id\nada\nada_b\n"))
    assert rows(outcome) == {"ada": "new", "ada_b": "new"}
    assert outcome.unknown == ["who_solution.ipynb"] and outcome.open
    kept = settings.root / "downloaded" / "ex1" / "unmatched" / "f" / "who_solution.ipynb"
    assert kept.read_bytes() == answer("who") and "downloaded/ex1/unmatched/f" in outcome.left


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        ("moodle", "Eve X_1_assignsubmission_file/Ada L_2_assignsubmission_file/ex1.ipynb"),
        ("moodle", "Eve X_1_assignsubmission_file_Ada L_2_assignsubmission_file_ex1.ipynb"),
        ("canvas", "evex_1_50_lovelaceada_2_51_ex1.ipynb"),
        ("ilias", "Abgaben/X_Eve_eve_1/Abgaben/L_Ada_ada_2/ex1.ipynb"),
        ("folder", "eve/ada_ex1.ipynb"),
    ],
)
def test_a_name_of_ones_own_makes_nobody_else_the_author(tmp_path, platform, name):
    found = reading(make_zip(tmp_path / "a.zip", {name: b"{}"}), platform)
    (item,) = found.handed
    assert item.owner.label.lower().startswith(("eve", "x_eve")) and item.owner.number in ("", "1")


def test_the_wrong_platform_is_named(settings, tmp_path):
    archive = make_zip(tmp_path / "m.zip", {"Ada L_1_assignsubmission_file/ex1.ipynb": answer("ada")})
    with pytest.raises(UsageError, match="look like --from moodle"):
        collect(settings, "canvas", archive, "ex1")


# -- names and people


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Jürgen Müller", "juergen-mueller"),
        (unicodedata.normalize("NFD", "Jürgen Müller"), "juergen-mueller"),
        ("Łukasz Ñandú", "łukasz-nandu"),
        ("../../etc", "etc"),
        ("李 明", "李-明"),
        ("=cmd()|'x'", "cmd-x"),
        ("...", ""),
    ],
)
def test_ids_are_safe(name, made):
    assert names.safe_id(name) == made


@pytest.mark.parametrize(
    "spelled",
    ["Jürgen Müller", "Mueller, Juergen", "muller jurgen", unicodedata.normalize("NFD", "JÜRGEN MÜLLER")],
)
def test_spellings_of_one_name(spelled):
    assert names.spellings(spelled) & names.spellings("Jürgen Müller")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Matrikelnr.;Nachname;Vorname;E-Mail\n1;Müller;Jürgen;j@u.de\n2;Lovelace;Ada;a@u.de\n", "utf-8"),
        ("\ufeffMatrikelnummer,Name,Vorname\r\n1,Müller,Jürgen\r\n2,Lovelace,Ada\r\n", "utf-8"),
        ("ID Number\tFull name\n1\tJürgen Müller\n2\tAda Lovelace\n", "cp1252"),
        ("student id;Last name;First name;Gruppe\n1;Mueller;Juergen;A\n2;Lovelace;Ada;B\n", "utf-8"),
        ("Student_ID,Name\n1,Jürgen Müller\n2,Ada Lovelace\n", "utf-16"),
    ],
)  # fmt: skip
def test_rosters_as_they_come(settings, tmp_path, roster, text, encoding):
    archive = make_zip(
        tmp_path / "m.zip",
        {
            "Jürgen Müller_1001_assignsubmission_file/ex1.ipynb": answer("jm"),
            "Ada Lovelace_1002_assignsubmission_file/ex1.ipynb": answer("ada"),
            "Not Listed_1003_assignsubmission_file/ex1.ipynb": answer("nobody"),
        },
    )
    outcome = collect(settings, "moodle", archive, "ex1", roster=roster(text, encoding))
    assert rows(outcome) == {"1": "new", "2": "new", "Not Listed 1003": "unmatched"}
    assert outcome.open and set(placed(settings)) == {"1", "2"}


def test_canvas_names_are_letters_only(settings, tmp_path, roster):
    files = {"müllerjürgen_77_5001_ex1.ipynb": answer("jm"), "oneilmaryann_78_5002_ex1.ipynb": answer("mary")}
    people = roster("id,Vorname,Nachname\nmm1,Jürgen,Müller\nmm2,Mary-Ann,O'Neil\n")
    outcome = collect(settings, "canvas", make_zip(tmp_path / "c.zip", files), "ex1", roster=people)
    assert rows(outcome) == {"mm1": "new", "mm2": "new"}


def test_two_people_of_one_name_are_never_guessed(settings, tmp_path, roster):
    files = {
        "Anna Schmidt_1_assignsubmission_file/ex1.ipynb": answer("one"),
        "Anna Schmidt_2_assignsubmission_file/ex1.ipynb": answer("two"),
    }
    archive = make_zip(tmp_path / "m.zip", files)
    outcome = collect(settings, "moodle", archive, "ex1")
    assert {line.state for line in outcome.lines} == {"ambiguous"} and placed(settings) == {}
    assert "participant number" in outcome.lines[0].notes[0]
    two = "id,name\na1,Anna Schmidt\na2,Anna Schmidt\n"
    outcome = collect(settings, "moodle", archive, "ex1", roster=roster(two))
    assert {line.state for line in outcome.lines} == {"ambiguous"}
    assert "could be a1, a2" in outcome.lines[0].notes[0]
    numbered = "id,name,identifier\na1,Anna Schmidt,Participant 2\na2,Anna Schmidt,Participant 1\n"
    outcome = collect(settings, "moodle", archive, "ex1", roster=roster(numbered))
    assert placed(settings) == {"a1": {"ex1.ipynb": answer("two")}, "a2": {"ex1.ipynb": answer("one")}}


def test_a_namesake_in_a_later_download_is_another_person(settings, tmp_path):
    first = make_zip(tmp_path / "1.zip", {"Anna S_1_assignsubmission_file/ex1.ipynb": answer("one")})
    other = make_zip(tmp_path / "2.zip", {"Anna S_2_assignsubmission_file/ex1.ipynb": answer("two")})
    collect(settings, "moodle", first, "ex1")
    outcome = collect(settings, "moodle", other, "ex1")
    assert {line.state for line in outcome.lines} == {"ambiguous"}
    assert placed(settings)["anna-s"]["ex1.ipynb"] == answer("one")


def test_moodles_worksheet_is_a_roster_with_times(settings, tmp_path, roster):
    sheet = (
        "ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung,Zuletzt geändert (Abgabe)\n"
        'Teilnehmer/in1001,Jürgen Müller,jm@uni.de,x,,"6,00","Dienstag, 3. März 2026, 14:05"\n'
        'Teilnehmer/in1002,Ada Lovelace,al@uni.de,x,,"6,00",-\n'
    )
    files = {
        "Jürgen Müller_1001_assignsubmission_file/ex1.ipynb": answer("jm"),
        "Another Name_1002_assignsubmission_file/ex1.ipynb": answer("ada"),
    }
    people = roster(sheet)
    collect(settings, "moodle", make_zip(tmp_path / "m.zip", files), "ex1", roster=people, timezone="UTC")
    assert set(placed(settings)) == {"jm@uni.de", "al@uni.de"}
    assert "timestamp.txt" not in placed(settings)["al@uni.de"]


def test_the_times_of_another_assignments_worksheet_are_not_taken(settings, tmp_path, roster):
    """Moodle numbers participants anew for each assignment; names still match."""
    sheet = (
        "Identifier,Full name,Grade,Last modified (submission)\n"
        'Participant {},Ada Lovelace,,"Tuesday, 3 March 2026, 2:05 PM"\n'
    )
    archive = make_zip(tmp_path / "m.zip", {"Ada Lovelace_7_assignsubmission_file/ex1.ipynb": answer("ada")})
    collect(settings, "moodle", archive, "ex1", roster=roster(sheet.format(6)), timezone="UTC")
    assert set(placed(settings)["ada-lovelace"]) == {"ex1.ipynb"}
    outcome = collect(settings, "moodle", archive, "ex1", roster=roster(sheet.format(7)), timezone="UTC")
    assert rows(outcome) == {"ada-lovelace": "same"}
    assert placed(settings)["ada-lovelace"]["timestamp.txt"].startswith(b"2026-03-03 ")


def test_a_row_that_cannot_be_used_is_named(roster):
    people = roster("id,name\na/b,X\n,\n,Ada L\nada,One\nada,Two\n")
    assert [person.student for person in people.people] == ["ada-l", "ada"]
    assert "row 2: student id 'a/b' has the characters /" in people.problems[0]
    assert "row 5" in people.problems[1]


@pytest.mark.parametrize(
    ("text", "match"), [("a,b\n1,2\n", "no column says who"), ("", "is empty"), ("PK\x03\x04", "spreadsheet")]
)
def test_no_roster_at_all(roster, text, match):
    with pytest.raises(UsageError, match=match):
        roster(text)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("Tuesday, 3 March 2026, 2:05 PM", "2026-03-03 13:05:00 UTC"),
        ("Dienstag, 3. März 2026, 14:05", "2026-03-03 13:05:00 UTC"),
        ("Sunday, 1 February 2026, 12:00 AM", "2026-01-31 23:00:00 UTC"),
        ("20260703140500", "2026-07-03 12:05:00 UTC"),
        ("03.03.2026 14:05", "2026-03-03 13:05:00 UTC"),
        ("2026-03-03T14:05:00+00:00", "2026-03-03 14:05:00 UTC"),
        ("2026-03-03 14:05:00 UTC", "2026-03-03 14:05:00 UTC"),
        ("-", None),
        ("20269903140500", None),
    ],
)
def test_times(text, utc):
    when = times.parse(text, times.zone("Europe/Berlin"))
    assert (times.stamp(when) if when else None) == utc


# -- which file counts


@pytest.mark.parametrize(
    "name",
    ["EX1.ipynb", "Copy of ex1.ipynb", "Kopie von ex1.ipynb", "ex1 (1).ipynb", "ex1-2.ipynb",
     "ex1 - Kopie.ipynb",     "ex1_mueller.ipynb", "solution.ipynb", "Copy of Copy of ex1 (1).ipynb"],
)  # fmt: skip
def test_one_notebook_whatever_it_is_called(settings, tmp_path, name):
    files = {f"ada/{name}": answer("ada"), "ada/report.pdf": b"pdf"}
    collect(settings, "folder", make_zip(tmp_path / "f.zip", files), "ex1")
    assert placed(settings) == {"ada": {"ex1.ipynb": answer("ada"), "report.pdf": b"pdf"}}


def test_the_named_one_of_several(settings, tmp_path):
    files = {"ada/ex1.ipynb": answer("it"), "ada/scratch.ipynb": answer("no"), "ada/ex10.ipynb": answer("no")}
    collect(settings, "folder", make_zip(tmp_path / "f.zip", files), "ex1")
    files = placed(settings)["ada"]
    assert files["ex1.ipynb"] == answer("it") and set(files) == {"ex1.ipynb", "scratch.ipynb", "ex10.ipynb"}


def test_several_with_no_telling_name(settings, tmp_path):
    files = {"ada/a.ipynb": answer("a"), "ada/b.ipynb": answer("b"), "bob/x/ex1.ipynb": answer("x")}
    archive = make_zip(tmp_path / "f.zip", {**files, "bob/y/ex1.ipynb": answer("y"), "eve/report.docx": b""})
    outcome = collect(settings, "folder", archive, "ex1")
    assert set(rows(outcome).values()) == {"refused"} and placed(settings) == {}
    assert "none of its 2 notebooks is named like ex1: a.ipynb, b.ipynb" in notes(outcome, "ada")
    assert "which of these counts? x/ex1.ipynb, y/ex1.ipynb" in notes(outcome, "bob")
    assert "no notebook among its files: report.docx" in notes(outcome, "eve")


def test_an_assignment_of_two_notebooks(tmp_path):
    (tmp_path / "course").mkdir()
    settings = course(tmp_path / "course", "ex1", "part1", "part2")
    files = {
        "ada/part1.ipynb": answer("1"),
        "ada/part2 (1).ipynb": answer("2"),
        "bob/part2.ipynb": answer("b"),
    }
    outcome = collect(settings, "folder", make_zip(tmp_path / "f.zip", files), "ex1")
    assert placed(settings)["ada"] == {"part1.ipynb": answer("1"), "part2.ipynb": answer("2")}
    assert notes(outcome, "bob") == "without part1.ipynb"


def test_a_students_own_timestamp_and_junk_stay_out(settings, tmp_path):
    files = {
        "Ada L_1_assignsubmission_file/ex1.ipynb": answer("ada"),
        "Ada L_1_assignsubmission_file/timestamp.txt": b"1999-01-01 00:00:00 UTC",
        "Ada L_1_assignsubmission_file/.ipynb_checkpoints/ex1-checkpoint.ipynb": b"{}",
        "__MACOSX/Ada L_1_assignsubmission_file/._ex1.ipynb": b"x",
    }
    outcome = collect(settings, "moodle", make_zip(tmp_path / "m.zip", files), "ex1")
    assert placed(settings) == {"ada-l": {"ex1.ipynb": answer("ada")}} and outcome.unknown == []
    assert "timestamp.txt was left out" in notes(outcome, "ada-l")


def test_a_zip_in_the_zip(settings, tmp_path):
    inner = zip_bytes(
        {
            "work/ex1.ipynb": answer("ada"),
            "work/data/a.csv": b"1",
            "../../evil": b"x",
            "work/more.zip": zip_bytes({"x": b""}),
        }
    )
    outcome = collect(settings, "folder", make_zip(tmp_path / "f.zip", {"ada/work.zip": inner}), "ex1")
    assert set(placed(settings)["ada"]) == {"ex1.ipynb", "data/a.csv", "more.zip"}
    assert "../../evil: has a name that leads out" in notes(outcome, "ada")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04 not really", "is no zip, or it is damaged"),
        (zip_bytes({}), "no notebook: the zip is empty"),
        (zip_bytes({"in.zip": zip_bytes({"ex1.ipynb": answer("x")})}), "no notebook among its files: in.zip"),
    ],
)  # fmt: skip
def test_a_zip_in_the_zip_that_is_no_use(settings, tmp_path, data, message):
    files = {"ada/work.zip": data, "bob/ex1.ipynb": answer("bob")}
    outcome = collect(settings, "folder", make_zip(tmp_path / "f.zip", files), "ex1")
    assert rows(outcome) == {"ada": "refused", "bob": "new"} and message in notes(outcome, "ada")
    assert (settings.root / "downloaded/ex1/unmatched/f/ada/work.zip").read_bytes() == data


# -- archives that mean harm, or are broken


def test_names_that_lead_out(settings, tmp_path):
    files = {
        "../ada/ex1.ipynb": answer("x"),
        "/etc/ada/ex1.ipynb": answer("x"),
        "C:\\ada\\ex1.ipynb": answer("x"),
        "ada/../../ex1.ipynb": answer("x"),
        "bob\\ex1.ipynb": answer("bob"),
        "a\x1b[2Jb/ex1.ipynb": answer("x"),
    }
    outcome = collect(settings, "folder", make_zip(tmp_path / "f.zip", files), "ex1")
    assert rows(outcome) == {"bob": "new"} and len(outcome.refused) == 5
    assert "\x1b" not in "".join(outcome.refused)
    assert {path.name for path in tmp_path.iterdir()} == {"course", "f.zip"}


def test_links_in_a_zip_and_in_a_folder(settings, tmp_path):
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("ada/ex1.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bob/ex1.ipynb", answer("bob"))
    outcome = collect(settings, "folder", path, "ex1")
    assert outcome.refused == ["ada/ex1.ipynb: is a symbolic link"] and set(placed(settings)) == {"bob"}
    folder = tmp_path / "unpacked" / "eve"
    folder.mkdir(parents=True)
    (folder / "ex1.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "unpacked" / "dir").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    (tmp_path / "unpacked" / "kim").mkdir()
    (tmp_path / "unpacked" / "kim" / "ex1.ipynb").write_bytes(answer("kim"))
    outcome = collect(settings, "folder", tmp_path / "unpacked", "ex1")
    assert len(outcome.refused) == 3 and rows(outcome) == {"kim": "new"}


def test_bombs_and_giants(settings, tmp_path):
    files = {
        "ada/ex1.ipynb": b"0" * 3_000_000,
        "bob/ex1.ipynb": answer("bob"),
        "eve/ex1.ipynb": os.urandom(2**20 + 1),
    }
    archive = make_zip(tmp_path / "f.zip", files)
    small = replace(settings, limits=Limits(archive_file_mb=1))
    outcome = collect(small, "folder", archive, "ex1", dry_run=True)
    assert "archive_file_mb = 1" in outcome.refused[0] and len(outcome.refused) == 2
    outcome = collect(settings, "folder", archive, "ex1", dry_run=True)
    assert "times its size, more than archive_ratio = 200" in outcome.refused[0] and len(outcome.refused) == 1
    for limits, name in ((Limits(archive_files=2), "archive_files"), (Limits(archive_mb=1), "archive_mb")):
        bounded = replace(settings, limits=limits)
        with pytest.raises(UsageError, match=f"{name} = .*raise {name}"):
            collect(bounded, "folder", archive, "ex1")
    bomb = zip_bytes({"ex1.ipynb": b"0" * 3_000_000})
    outcome = collect(settings, "folder", make_zip(tmp_path / "g.zip", {"kim/a.zip": bomb}), "ex1")
    assert rows(outcome) == {"kim": "refused"} and "in a.zip: ex1.ipynb: unpacks" in notes(outcome, "kim")


def test_a_lying_header_is_not_believed(settings, tmp_path):
    path = make_zip(tmp_path / "f.zip", {"ada/ex1.ipynb": answer("ada") * 50, "bob/ex1.ipynb": answer("bob")})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (7).to_bytes(4, "little")  # the unpacked size of ada's, in the directory
    path.write_bytes(data)
    outcome = collect(settings, "folder", path, "ex1")
    assert rows(outcome) == {"ada": "refused", "bob": "new"} and "cannot be unpacked" in notes(outcome, "ada")


def test_damaged_and_encrypted_members_cost_their_student_only(settings, tmp_path):
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada/ex1.ipynb", answer("ada"))
        archive.writestr("bob/ex1.ipynb", answer("bob"))
    data = bytearray(path.read_bytes())
    data[data.index(b"# ada") : data.index(b"# ada") + 5] = b"# xxx"  # the checksum no longer fits
    path.write_bytes(data)
    outcome = collect(settings, "folder", path, "ex1")
    assert rows(outcome) == {"ada": "refused", "bob": "new"} and "Bad CRC" in notes(outcome, "ada")
    secret = bytearray(zip_bytes({"eve/ex1.ipynb": answer("eve"), "kim/ex1.ipynb": answer("kim")}))
    secret[secret.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(secret)
    outcome = collect(settings, "folder", path, "ex1")
    assert outcome.refused == ["eve/ex1.ipynb: is encrypted"] and rows(outcome) == {"kim": "new"}
    secret[secret.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(secret)
    with pytest.raises(UsageError, match="is encrypted; unpack it"):
        collect(settings, "folder", path, "ex1")


@pytest.mark.parametrize("cut", [0, 3, 40, -30])
def test_a_zip_that_was_cut_off(settings, tmp_path, cut):
    path = tmp_path / "f.zip"
    path.write_bytes(zip_bytes({"ada/ex1.ipynb": answer("ada")})[:cut])
    with pytest.raises(UsageError, match="download it again"):
        collect(settings, "folder", path, "ex1")


def test_umlauts_in_the_names_of_zips(settings, tmp_path):
    """cp437 as Windows writes it, UTF-8 without saying so, and decomposed as macOS has it."""
    for number, raw in enumerate(
        ("Jürgen".encode("cp437"), "Jürgen".encode(), unicodedata.normalize("NFD", "Jürgen").encode())
    ):
        hole = "J" + "x" * (len(raw) - 1)
        data = zip_bytes({f"{hole}/ex1.ipynb": answer("j")}).replace(hole.encode(), raw)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        outcome = collect(settings, "folder", path, "ex1")
        assert rows(outcome) == {"Jürgen": "same" if number else "new"}
    assert placed(settings) == {"Jürgen": {"ex1.ipynb": answer("j")}}


# -- what is there already


def ilias(tmp_path, when, text):
    name = f"Abgaben/Lovelace_Ada_ada_1/{when}_ex1.ipynb"
    return make_zip(tmp_path / f"{when}.zip", {name: answer(text)})


def test_newer_replaces_older_and_keeps_it(settings, tmp_path):
    first, second = ilias(tmp_path, "20260101120000", "first"), ilias(tmp_path, "20260102120000", "second")
    assert rows(collect(settings, "ilias", first, "ex1")) == {"ada": "new"}
    assert rows(collect(settings, "ilias", first, "ex1")) == {"ada": "same"}
    outcome = collect(settings, "ilias", second, "ex1")
    assert rows(outcome) == {"ada": "replaced"} and not outcome.open
    assert placed(settings)["ada"]["ex1.ipynb"] == answer("second")
    (kept,) = (settings.root / "downloaded/ex1/replaced/ada").iterdir()
    assert (kept / "ex1.ipynb").read_bytes() == answer("first")
    assert str(kept.relative_to(settings.root)) in notes(outcome, "ada")
    outcome = collect(settings, "ilias", first, "ex1")
    assert rows(outcome) == {"ada": "kept yours"} and placed(settings)["ada"]["ex1.ipynb"] == answer("second")
    collect(settings, "ilias", first, "ex1", replace=True)
    assert placed(settings)["ada"]["ex1.ipynb"] == answer("first")
    assert len(list((settings.root / "downloaded/ex1/replaced/ada").iterdir())) == 2


def test_nothing_says_which_is_newer(settings, tmp_path):
    def make(name, text):
        return make_zip(tmp_path / name, {"Ada L_1_assignsubmission_file/ex1.ipynb": answer(text)})

    collect(settings, "moodle", make("1.zip", "first"), "ex1")
    outcome = collect(settings, "moodle", make("2.zip", "second"), "ex1")
    assert rows(outcome) == {"ada-l": "kept yours"} and outcome.open
    assert "--replace" in notes(outcome, "ada-l") and placed(settings)["ada-l"]["ex1.ipynb"] == answer(
        "first"
    )
    outcome = collect(settings, "moodle", make("2.zip", "second"), "ex1", replace=True)
    assert rows(outcome) == {"ada-l": "replaced"}
    assert rows(collect(settings, "moodle", make("2.zip", "second"), "ex1")) == {"ada-l": "same"}


def test_canvas_knows_by_the_upload(settings, tmp_path):
    first = make_zip(tmp_path / "1.zip", {"lovelaceada_7_50_ex1.ipynb": answer("first")})
    second = make_zip(tmp_path / "2.zip", {"lovelaceada_7_60_ex1-1.ipynb": answer("second")})
    collect(settings, "canvas", first, "ex1")
    assert rows(collect(settings, "canvas", second, "ex1")) == {"lovelaceada-7": "replaced"}
    assert rows(collect(settings, "canvas", first, "ex1")) == {"lovelaceada-7": "kept yours"}


def test_a_dry_run_writes_nothing(settings, tmp_path):
    archive = make_zip(tmp_path / "f.zip", {"ada/ex1.ipynb": answer("ada"), "x.txt": b""})
    before = sorted(path for path in settings.root.rglob("*"))
    outcome = collect(settings, "folder", archive, "ex1", dry_run=True)
    assert rows(outcome) == {"ada": "new"} and "would be copied" in outcome.left
    assert sorted(path for path in settings.root.rglob("*")) == before


def test_no_half_submission_is_left(settings, tmp_path, monkeypatch):
    collect(settings, "ilias", ilias(tmp_path, "20260101120000", "first"), "ex1")
    real = os.rename

    def fails(source, target):
        if str(source).endswith(".part"):
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", fails)
    outcome = collect(settings, "ilias", ilias(tmp_path, "20260102120000", "second"), "ex1")
    assert rows(outcome) == {"ada": "refused"} and "Input/output error" in notes(outcome, "ada")
    assert placed(settings)["ada"]["ex1.ipynb"] == answer("first")
    assert [path.name for path in (settings.root / "submitted" / "ada").iterdir()] == ["ex1"]


def test_what_lies_in_unmatched_can_be_collected_from_there(settings, tmp_path):
    archive = make_zip(tmp_path / "f.zip", {"ada/ex1.ipynb": answer("ada"), "whose.ipynb": answer("bob")})
    collect(settings, "folder", archive, "ex1")
    folder = settings.root / "downloaded/ex1/unmatched/f"
    (folder / "whose.ipynb").rename(folder / "bob_ex1.ipynb")
    (folder / "still.ipynb").write_bytes(answer("x"))
    outcome = collect(settings, "folder", folder, "ex1")
    assert rows(outcome) == {"bob": "new"} and (folder / "still.ipynb").exists()


def test_one_that_came_by_mail_keeps_its_number_on_the_platform(settings, tmp_path):
    collect(settings, "ilias", ilias(tmp_path, "20260101120000", "first"), "ex1")
    mailed = make_zip(tmp_path / "mail.zip", {"ada/ex1.ipynb": answer("by mail")})
    collect(settings, "folder", mailed, "ex1", replace=True)
    record = read_record(settings.course, "ex1")["ada"]
    assert (record.platform, record.number, record.archive) == ("ilias", "1", "mail.zip")


def test_a_broken_record_is_named(settings, tmp_path):
    archive = make_zip(tmp_path / "f.zip", {"ada/ex1.ipynb": answer("ada")})
    record = settings.root / "downloaded" / "ex1" / "collected.json"
    record.parent.mkdir(parents=True)
    for broken in ("{", "[]", '{"students": {"ada": {"nonsense": 1}}}'):
        record.write_text(broken)
        with pytest.raises(UsageError, match="move it away and collect again"):
            collect(settings, "folder", archive, "ex1")


def test_limits_on_archives_decide_no_score(settings):
    def part(**changes):
        how = Conditions(Limits(**changes), b"secret" * 4)
        return Keys(settings.course, how).shared("ex1")["limits"]

    assert part() == part(archive_mb=1, archive_files=1, archive_file_mb=1, archive_ratio=2)
    assert part() != part(cell_wall_s=1)
    assert "archive" not in json.dumps(part())


# -- the command


def test_the_command_says_what_an_instructor_needs(settings, tmp_path, capsys):
    files = {f"s{number:03}/ex1.ipynb": answer(str(number)) for number in range(40)}
    archive = make_zip(tmp_path / "f.zip", {**files, "eve/x.pdf": b"", "whose.ipynb": answer("?")})
    roster = tmp_path / "roster.csv"
    roster.write_text("id\neve\nabsent\n" + "".join(f"s{number:03}\n" for number in range(40)))
    arguments = ["collect", "--course", settings.root, "--from", "folder", archive, "ex1", "--roster", roster]
    assert cli.main([str(part) for part in arguments]) == 1
    said = capsys.readouterr()
    assert "41 submissions; 40 new, 1 refused" in said.out
    assert (
        "s001" not in said.out
        and "eve" in said.out
        and "1 of the roster handed in nothing: absent" in said.out
    )
    assert "next: autograder grade ex1" in said.out
    assert "whose is this? whose.ipynb" in said.err and "downloaded/ex1/unmatched/f/" in said.err
    assert cli.main([str(part) for part in [*arguments, "--dry-run"]]) == 1
    said = capsys.readouterr()
    assert "s001" in said.out and "nothing was written" in said.out


def test_wrong_arguments_end_with_2(settings, tmp_path, capsys):
    archive = make_zip(tmp_path / "f.zip", {"ada/ex1.ipynb": answer("ada")})
    head = ["collect", "--course", str(settings.root), "--from", "folder"]
    assert cli.main([*head, str(tmp_path / "none.zip"), "ex1"]) == 2
    assert cli.main([*head, str(archive), "ex2"]) == 2
    assert cli.main([*head, str(archive), "ex1", "--timezone", "Middle/Earth"]) == 2
    assert cli.main([*head, str(archive), "ex1", "--roster", str(tmp_path / "none.csv")]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("neither a zip nor a folder", "ex1", "Middle/Earth", "none.csv"))
    shutil.rmtree(settings.root / "source")
    assert reading(archive, "folder").handed
