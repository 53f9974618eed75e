"""Runs notebook cells the way Jupyter does, in this very process, and collects nbformat outputs.

An IPython ``InteractiveShell`` without a kernel: magics, ``!commands``, rich display, inline figures,
top-level ``await`` and tracebacks work as a student knows them. It is built once in the zygote; every
sandbox inherits it. Outputs are bounded while they are produced. ``input()`` raises instead of waiting for
nobody.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # of CPython
import builtins
import contextlib
import fcntl
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ClassVar, cast

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from traitlets.config import Config

from autograder.sandbox.plain_cells import Compiler, PlainCells
from autograder.sandbox.pristine import Pristine
from autograder.sandbox.reserve import Reserve

__all__ = ["Frontend", "LimitReached", "describe", "time_limit"]


class LimitReached(KeyboardInterrupt):
    """Raised inside student code when its wall time is over. ``except Exception`` does not catch it."""


@contextlib.contextmanager
def time_limit(wall_s: float) -> Iterator[Callable[[], bool]]:
    """Interrupt the body after ``wall_s`` seconds; yields a function that says whether that happened.

    Code that swallows the interrupt or blocks inside C goes on: the judge then kills the process.
    """
    state = {"armed": True, "fired": False}

    def interrupt(number: int, frame: FrameType | None) -> None:
        if state["armed"]:
            state["fired"] = True
            raise LimitReached(f"stopped after {wall_s:g} s")

    # signal.signal() looks for an enum member that the handler could be, which takes longer than many calls.
    _signal.signal(signal.SIGALRM, interrupt)
    # It fires again, for code whose "except:" swallowed the first one.
    signal.setitimer(signal.ITIMER_REAL, wall_s, 0.25)
    try:
        yield lambda: state["fired"]
    finally:
        state["armed"] = False
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Sink:
    """Outputs of the running cell, bounded in bytes."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.left = self.total_left = 1 << 20
        self.truncated = False
        self.wait_clear = False

    def open(self, cell_bytes: int) -> None:
        self.outputs, self.truncated, self.wait_clear = [], False, False
        self.left = min(cell_bytes, self.total_left)

    def take(self, size: int) -> bool:
        if size > self.left:
            self.truncated = True
            return False
        self.left -= size
        self.total_left -= size
        return True

    def stream(self, name: str, text: str) -> None:
        self.cleared()
        size = len(text)
        if size > self.left:
            text, self.truncated = text[: max(self.left, 0)], True
        if not text:
            return
        self.take(len(text))
        if self.outputs and self.outputs[-1].get("name") == name:
            self.outputs[-1]["parts"].append(text)
        else:
            self.outputs.append({"output_type": "stream", "name": name, "parts": [text]})

    def add(self, output: dict[str, Any]) -> None:
        self.cleared()
        if self.take(_size(output)):
            self.outputs.append(output)

    def clear(self, wait: bool) -> None:
        self.wait_clear = wait
        if not wait:
            self.outputs = []

    def cleared(self) -> None:
        if self.wait_clear:
            self.outputs, self.wait_clear = [], False

    def finish(self) -> list[dict[str, Any]]:
        done = []
        for output in self.outputs:
            if "parts" in output:
                output = {**output, "text": "".join(output["parts"])}
                del output["parts"]
            done.append(output)
        return done


def _size(output: object) -> int:
    if isinstance(output, dict):
        return sum(_size(value) for value in output.values())
    if isinstance(output, list):
        return sum(_size(value) for value in output)
    return len(output) if isinstance(output, str) else 8


class _Stream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of the student."""

    encoding = "utf-8"

    def __init__(self, name: str, sink: _Sink, number: int) -> None:
        self._name, self._sink, self._number = name, sink, number

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._sink.stream(self._name, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._number


class _DisplayPublisher(DisplayPublisher):
    sink: ClassVar[_Sink]

    def publish(self, data: Any, metadata: Any = None, source: Any = None, **_: Any) -> None:
        self.sink.add({"output_type": "display_data", "data": _bundle(data), "metadata": {}})

    def clear_output(self, wait: bool = False) -> None:
        self.sink.clear(wait)


class _DisplayHook(DisplayHook):
    sink: ClassVar[_Sink]

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        self.sink.add(
            {
                "output_type": "execute_result",
                "data": _bundle(format_dict),
                "metadata": {},
                "execution_count": self.prompt_count,
            }
        )

    def finish_displayhook(self) -> None:
        self._is_active = False


def _bundle(data: Any) -> dict[str, Any]:
    """A MIME bundle as plain text values; binary images as base64, as Jupyter stores them."""
    from base64 import b64encode

    bundle: dict[str, Any] = {}
    for mime, value in dict(data).items():
        if isinstance(value, bytes):
            value = b64encode(value).decode("ascii")
        bundle[str(mime)] = value if isinstance(value, str) else repr(value)
    return bundle


class _Shell(PlainCells):
    sink: ClassVar[_Sink]
    reserve = Reserve()
    out_of_memory: MemoryError | None = None
    """What a cell ended with that left IPython itself without memory: it stumbles, and loses the error."""

    async def run_cell_async(self, *args: Any, **options: Any) -> Any:
        """IPython's, which see."""
        try:
            return await super().run_cell_async(*args, **options)
        except MemoryError as error:
            self.out_of_memory = error
            raise

    def showtraceback(self, *args: Any, **options: Any) -> None:
        """With memory of the agent's own: the cell may have failed for want of it."""
        self.reserve.open()
        try:
            super().showtraceback(*args, **options)
        finally:
            self.reserve.shut()

    def system(self, cmd: str) -> None:
        """``!cmd``: a subprocess whose output lands in the cell, with nothing on its standard input."""
        with subprocess.Popen(
            self.var_expand(cmd, depth=1),  # type: ignore[no-untyped-call]
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            executable="/bin/sh",
        ) as process:
            assert process.stdout is not None
            while part := process.stdout.read1(65536):  # type: ignore[attr-defined]
                self.sink.stream("stdout", part.decode("utf-8", "replace"))
        self.user_ns["_exit_code"] = process.returncode

    system_piped = system
    system_raw = system

    def enable_gui(self, gui: Any = None) -> None:
        """There is no event loop to join: figures are drawn inline."""

    def ask_exit(self) -> None:
        """``exit`` and ``quit`` do nothing here: the notebook goes on."""

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        try:
            text = str(evalue)
        except Exception:  # the student's own __str__ may raise anything
            text = "<no text>"
        self.sink.add(
            {
                "output_type": "error",
                "ename": str(getattr(etype, "__name__", etype)),
                "evalue": text[:4000],
                # Frames of this module (the interrupt, input()) say nothing to a student.
                "traceback": [str(line) for line in stb if __file__ not in str(line)][-200:],
            }
        )


def _no_input(prompt: object = "") -> str:
    raise EOFError(
        "input() cannot be answered while a notebook is graded: put the value into the code instead"
    )


class Frontend:
    """The student's IPython. One per process; build it in the zygote."""

    def __init__(self) -> None:
        self.sink = _Sink()
        for cls in (_Shell, _DisplayPublisher, _DisplayHook):
            cls.sink = self.sink
        config = Config()
        config.HistoryManager.enabled = False
        config.HistoryManager.hist_file = ":memory:"
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.xmode = "Context"
        self.shell = _Shell.instance(
            config=config,
            display_pub_class=_DisplayPublisher,
            displayhook_class=_DisplayHook,
            user_module=None,
            compiler_class=Compiler,
        )
        self.shell.execution_count = 1
        self.shell.usual = self.shell.transformers()
        builtins.input = _no_input
        self._files: dict[str, int] = {}
        self._pristine: Pristine | None = None

    @property
    def names(self) -> dict[str, Any]:
        """The student's namespace."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    def forget(self) -> None:
        """Back to an empty namespace and cell number 1."""
        shell = cast(Any, self.shell)
        shell.reset(new_session=True)
        shell.displayhook.flush()
        shell.execution_count, shell.usual_callbacks = 1, shell.count_callbacks()
        self._pristine = Pristine(shell)

    def keep_back(self, reserve: Reserve) -> None:
        """What is kept back from cells, to say how they ended. Call it in the sandbox."""
        self.shell.reserve = reserve

    def inline_figures(self) -> None:
        """``%matplotlib inline``, once, so that figures become PNG outputs at the end of a cell."""
        self.shell.run_line_magic("matplotlib", "inline")

    def attach(self, total_output_bytes: int) -> None:
        """Take over the standard streams of this process. Call it in the sandbox, once."""
        self.sink.total_left = total_output_bytes
        for name, number in (("stdout", 1), ("stderr", 2)):
            with tempfile.TemporaryFile() as temporary:  # its space is bounded; that of a memfd is not
                file = os.dup(temporary.fileno())
            fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
            os.dup2(file, number)
            self._files[name] = file
            setattr(sys, name, _Stream(name, self.sink, number))
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process

    @contextlib.contextmanager
    def streams(self) -> Iterator[None]:
        """What the body prints goes to the sink, as it does in a sandbox."""
        out, err = _Stream("stdout", self.sink, 1), _Stream("stderr", self.sink, 2)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield

    def run_cell(
        self, source: str, *, wall_s: float, output_bytes: int, pristine: bool = False
    ) -> dict[str, Any]:
        """Run one cell, with ``pristine`` in IPython as it was before the notebook; a dict of plain data:

        ``outputs`` (nbformat), ``execution_count``, ``error`` ("Type: text" or None), ``timeout``,
        ``truncated`` (bools),
        ``wall_s``.
        """
        if pristine and self._pristine is not None:
            self._pristine.restore()
        self.sink.open(output_bytes)
        started, count = time.perf_counter(), self.shell.execution_count
        error: BaseException | None = None
        timed_out = False
        shell = self.shell
        shell.out_of_memory = None
        try:
            with time_limit(wall_s) as fired:
                try:
                    result = cast(Any, shell.run_cell)(source, store_history=True, silent=False)
                    error = result.error_before_exec or result.error_in_exec
                finally:
                    timed_out = fired()
        except BaseException as caught:  # a hook of the student, or the interrupt between two lines of ours
            error = shell.out_of_memory or caught
        shell.reserve.open()
        self._raw_output()
        return {
            "outputs": self.sink.finish(),
            "execution_count": count,
            "error": None if error is None else describe(error),
            "timeout": timed_out and isinstance(error, (LimitReached, type(None))),
            "truncated": self.sink.truncated,
            "wall_s": time.perf_counter() - started,
        }

    @contextlib.contextmanager
    def captured(self, limit: int = 4096) -> Iterator[Callable[[], str]]:
        """Collect what the body prints, at most ``limit`` characters."""
        outer, outer_left = self.sink.outputs, self.sink.left
        self.sink.outputs, self.sink.left, self.sink.wait_clear = [], limit, False
        try:
            yield lambda: "".join(
                o.get("text", "") for o in self.sink.finish() if o["output_type"] == "stream"
            )
        finally:
            self.sink.outputs, self.sink.left = outer, outer_left

    def _raw_output(self) -> None:
        """What child processes and C code wrote to the file descriptors themselves."""
        for name, file in self._files.items():
            with contextlib.suppress(OSError):
                size = os.fstat(file).st_size
                if size:
                    text = os.pread(file, min(size, self.sink.left + 1), 0).decode("utf-8", "replace")
                    self.sink.stream(name, text)
                    os.ftruncate(file, 0)


def describe(error: BaseException) -> str:
    """ "Type: text" of an exception whose ``__str__`` may itself be broken or huge."""
    try:
        text = str(error)
    except Exception:  # the student's own __str__ may raise anything
        text = "<no text>"
    name = type(error).__name__
    return f"{name}: {text[:2000]}" if text else name
