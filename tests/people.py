"""People at one machine: each with a home, nbgrader, and an account of their own where the tests run as root.

``Person.nbgrader`` runs the nbgrader command in a process of that account. Its imports, two seconds each
time, are paid once a person: the process is forked from one that has them, which is this module as a program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Person", "Said", "accounts", "together"]

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str


def accounts(count: int) -> list[str]:
    """Names of ``count`` accounts of this machine that we may work as; none where we may not."""
    import pwd

    if not hasattr(os, "getuid") or os.getuid() != 0 or shutil.which("setpriv") is None:
        return []
    names = [
        entry.pw_name for entry in pwd.getpwall() if 0 < entry.pw_uid < 60000 and entry.pw_name.isalnum()
    ]
    usable = [
        name
        for name in names[:count]
        if subprocess.run([*_become(name), "true"], capture_output=True, check=False).returncode == 0
    ]
    return usable if len(usable) == count else []


def _become(account: str) -> list[str]:
    import pwd

    entry = pwd.getpwnam(account)
    # Python and the temporary folder may lie where only root looks; nothing can be written through this.
    look = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", *look]


class Person:
    """Someone with the folder ``home``, until they :meth:`leave`. ``account`` None: our own."""

    def __init__(self, name: str, home: Path, settings: str, *, account: str | None = None) -> None:
        self.name, self.home = name, home
        self.ran: list[str] = []
        home.mkdir(exist_ok=True)
        (home / "nbgrader_config.py").write_text(settings)
        command = [sys.executable, str(Path(__file__).resolve())]
        if account is not None:
            shutil.chown(home, account)
            command = [*_become(account), *command]
        kept = {key: os.environ[key] for key in ("LANG", "JUPYTER_PATH") if key in os.environ}
        environment = kept | {
            "HOME": str(home),
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "JUPYTER_PLATFORM_DIRS": "1",
        }
        self._process = subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def leave(self) -> None:
        """Log out."""
        self._process.communicate()  # it ends when nobody can ask any more

    def start(self, *arguments: str, cwd: Path | None = None) -> None:
        """Begin ``nbgrader ARGUMENTS``; :meth:`finish` waits for it."""
        self.ran.append(" ".join(["nbgrader", *arguments]))
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([arguments, str(cwd or self.home)]) + "\n")
        self._process.stdin.flush()

    def finish(self) -> Said:
        assert self._process.stdout is not None
        return Said(*json.loads(self._process.stdout.readline()))

    def nbgrader(self, *arguments: str, cwd: Path | None = None, code: int = 0) -> str:
        """What ``nbgrader ARGUMENTS`` says; it must end with ``code``."""
        self.start(*arguments, cwd=cwd)
        said = self.finish()
        assert said.code == code, said.text
        return said.text


def together(people: Sequence[Person], *arguments: str) -> list[str]:
    """What ``nbgrader ARGUMENTS`` says to each of ``people``, who all run it at the same time."""
    for person in people:
        person.start(*arguments)
    said = [person.finish() for person in people]
    assert all(one.code == 0 for one in said), said
    return [one.text for one in said]


def _serve() -> None:
    from nbgrader.apps.nbgraderapp import NbGraderApp

    for line in sys.stdin:
        arguments, folder = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            os.chdir(folder)
            os.environ["PWD"] = folder
            code: object = 0
            try:
                NbGraderApp.launch_instance(arguments)
            except SystemExit as ended:
                code = ended.code
            except BaseException:
                import traceback

                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1 if code else 0)
        os.close(writing)
        with open(reading, encoding="utf-8", errors="replace") as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), text]), flush=True)


if __name__ == "__main__":
    _serve()
