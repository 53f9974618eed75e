"""Press formgrader's autograde button in a real browser and look at what comes.

    python -m tests.browser.press_autograde --shots /tmp/shots

makes a small course in a temporary folder, runs ``autograder setup-course`` on it, starts a Jupyter server
with formgrader there and a headless Chromium, presses the button of each submission, and reads the page.
Needs Chromium (Debian: ``apt install chromium``) and nbgrader's files for Jupyter beside the interpreter.
Prints what it saw; exit code 1 when a score is not the expected one. It is no part of ``make test``.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from autograder import setup_course
from tests.plain_course import CASES, NAME, build
from tests.support_nbgrader import REPOSITORY

EXPECTED = {"right": "15", "visible": "10", "truncated": "0", "skip-execution": "0"}
"""Students whose button is pressed, and the points that the page must show then."""
WAIT_S = 60.0


class Page:
    """One page of Chromium, by the DevTools protocol."""

    def __init__(self, url: str, shots: Path) -> None:
        self._socket = websocket.create_connection(url, timeout=WAIT_S, suppress_origin=True)
        self._number, self._shots = 0, shots
        self.ask("Page.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.2)
        self.shot("timeout")
        raise TimeoutError(f"not true within {WAIT_S:g} s: {script}")

    def open(self, url: str) -> None:
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def shot(self, name: str) -> None:
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        path = self._shots / f"{name}.png"
        path.write_bytes(base64.b64decode(data))
        print(f"  picture: {path}")


@contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(command, text=True, **options)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def server(course: Path) -> Iterator[str]:
    """A Jupyter server with formgrader in ``course``; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}"),
        *("--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.port_retries=0"),
        "--ServerApp.jpserver_extensions={'nbgrader': True}",
    ]
    address = f"http://127.0.0.1:{port}"
    with (
        (course / "server.log").open("w") as log,
        process(command, cwd=course, env=environment, stdout=log, stderr=log),
    ):
        end = time.monotonic() + WAIT_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        try:
            yield address
        except BaseException:
            print((course / "server.log").read_text()[-4000:], file=sys.stderr)
            raise


@contextmanager
def browser(program: str, shots: Path) -> Iterator[Page]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        ]
        with process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            told = Path(profile) / "DevToolsActivePort"
            end = time.monotonic() + WAIT_S
            while not (told.is_file() and told.read_text().count("\n")):
                if time.monotonic() > end:
                    raise TimeoutError(f"{program} did not start")
                time.sleep(0.1)
            port = told.read_text().split("\n")[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = json.load(answer)
            yield Page(next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page"), shots)


def cell(student: str, name: str) -> str:
    """JavaScript for a cell in the student's row."""
    row = (
        "[...document.querySelectorAll('#main-table tr')]"
        f".find(r => r.querySelector('.student-id')?.innerText.trim() === {json.dumps(student)})"
    )
    return f"({row})?.querySelector('.{name}')"


def press(page: Page, student: str) -> tuple[str, str]:
    """Press the student's button. Gives what the dialog says, and the score in the row afterwards."""
    page.run(f"{cell(student, 'autograde')}.querySelector('a').click()")
    text = page.wait("document.querySelector('.modal.in .modal-body, .modal.show .modal-body')?.innerText")
    page.shot(f"2-{student}-dialog")
    page.run("document.querySelector('.modal.in button.btn, .modal.show button.btn').click()")
    page.wait("!document.querySelector('.modal.in, .modal.show, .modal-backdrop')")
    page.wait(f"{cell(student, 'status')}?.innerText")
    return text, page.run(f"{cell(student, 'score')}.innerText").strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shots", type=Path, default=Path("shots"), help="folder for the pictures")
    shots: Path = parser.parse_args().shots
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        print("no Chromium here; on Debian: apt install chromium", file=sys.stderr)
        return 2
    shots.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        course = build(Path(folder), [case for case in CASES if case.student in EXPECTED])
        setup_course.run(course)
        with server(course) as address, browser(program, shots) as page:
            page.open(f"{address}/formgrader/manage_submissions/{NAME}")
            page.wait(f"!!{cell('right', 'autograde a')}")
            page.shot("1-before")
            for student, expected in EXPECTED.items():
                started = time.monotonic()
                text, score = press(page, student)
                seconds = time.monotonic() - started
                print(f"{student}: score {score!r} after {seconds:.1f} s; {text.splitlines()[0]}")
                for line in re.findall(rf"(?:WARNING|ERROR)\] ({student}/.*)", text):
                    print(f"  said: {line}")
                wrong += not score.startswith(f"{expected} /")
            page.shot("3-after")
            page.open(f"{address}/formgrader/gradebook/{NAME}/part1")
            link = "tbody a[href*='/submissions/']"
            page.wait(f'!!document.querySelector("{link}")')
            links = page.run(f'[...document.querySelectorAll("{link}")].map(a => a.href)')
            for number, address in enumerate(dict.fromkeys(links), 4):
                page.open(address)
                page.wait("document.querySelectorAll('.nbgrader_cell').length")
                page.shot(f"{number}-submission")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
