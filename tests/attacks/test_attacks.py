"""Every attack of the corpus fails, as root and as an ordinary user. ``python -m tests.attacks`` shows them
one by one; as an ordinary user this test takes those that a layer of the jail has to stop, ``.ci/run`` takes
all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autograder.sandbox.support import support
from tests.attacks import files
from tests.attacks.__main__ import tables
from tests.attacks.corpus import load_all

ROOT = Path(__file__).resolve().parents[2]
ORDINARY_UID = 65534
OF_THE_JAIL = ("host", "resources")

pytestmark = pytest.mark.skipif(support().chain == "none", reason="this machine cannot build a sandbox")


def attacked(tmp_path, *arguments):
    """What became of the attacks, and the layers of that run."""
    report = tmp_path / "report.json"
    report.touch()
    report.chmod(0o666)
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:2]:  # pytest closes its own to others
        folder.chmod(0o755)
    command = [sys.executable, "-m", "tests.attacks", "--workers", "4", "--json", str(report), *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert report.stat().st_size, run.stdout + run.stderr
    told = json.loads(report.read_text())
    return {item["name"]: item["problems"] for item in told["done"]}, told["layers"]


def test_every_attack_fails(tmp_path):
    done, layers = attacked(tmp_path)
    assert {name: problems for name, problems in done.items() if problems} == {}
    assert set(done) == {attack.name for attack in load_all() if layers["chain"] in attack.chains}
    if layers["chain"] == "privileged":
        assert set(layers["missing"]) <= {
            "cgroup",
            "cgroup-pids",
            "landlock",
            "landlock-net",
            "landlock-scope",
        }


@pytest.mark.skipif(os.geteuid() != 0, reason="the other test is already an ordinary user's")
def test_every_attack_on_the_jail_fails_for_an_ordinary_user(tmp_path, request):
    if not request.config.getoption("--every-attack"):
        pytest.skip(
            "only with --every-attack; python -m tests.attacks --as-user 65534 tries the whole corpus"
        )
    done, layers = attacked(tmp_path, "--as-user", str(ORDINARY_UID), *OF_THE_JAIL)
    assert layers["uid"] == ORDINARY_UID and layers["chain"] == "unprivileged"
    assert {name: problems for name, problems in done.items() if problems} == {}
    assert "uid" in layers["missing"] and "seccomp" not in layers["missing"]


def test_the_corpus_is_large_and_says_what_it_is():
    attacks = load_all()
    assert len(attacks) >= 200
    assert min(Counter(attack.category for attack in attacks).values()) >= 10
    for attack in attacks:
        assert attack.tries and attack.stopped_by and attack.kind in ("probe", "answer", "cell", "file"), (
            attack.name
        )
        assert callable(getattr(files, attack.make)) if attack.kind == "file" else attack.code


def test_the_page_on_security_holds_the_corpus_as_it_is():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert tables(load_all()) in page, "python -m tests.attacks --table prints what belongs at its end"
