"""nbgrader's models come without its server, and the rest of nbgrader when somebody asks for it."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_models_come_without_the_server():
    found = run(
        "import sys\nfrom autograder import nbgrader_models as m\napi = m.api()\n"
        "print(api.Gradebook.__name__, *(name in sys.modules for name in "
        "('nbgrader.server_extensions', 'rfc3987_syntax')))"
    )
    assert found == "Gradebook False False"


def test_whoever_asks_for_more_gets_it():
    found = run(
        "from autograder import nbgrader_models as m\napi = m.api()\n"
        "import nbgrader\nfrom nbgrader.apps.api import NbGraderAPI\n"
        "print(nbgrader.__version__.split('.')[0].isdigit(), NbGraderAPI.__name__, nbgrader.api is api,"
        " callable(nbgrader._load_jupyter_server_extension))"
    )
    assert found == "True NbGraderAPI True True"


def test_a_name_that_is_nowhere_is_an_error_as_ever():
    found = run(
        "from autograder import nbgrader_models as m\nm.api()\nimport nbgrader\n"
        "try:\n    nbgrader.nothing_of_this_name\nexcept AttributeError as error:\n    print(error)"
    )
    assert "nothing_of_this_name" in found


def test_where_nbgrader_is_loaded_already_it_is_used():
    found = run(
        "import nbgrader.api\nfrom autograder import nbgrader_models as m\nprint(m.api() is nbgrader.api)"
    )
    assert found == "True"
