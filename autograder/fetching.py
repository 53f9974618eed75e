"""``autograder data``: which data sets are in use; fetches the full MNIST into scikit-learn's data home."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from autograder import datasets
from autograder.console import console
from autograder.errors import AutograderError

__all__ = ["fetch_full", "run"]

_POLL_S = 0.2


def run(choice: str, *, fetch: bool) -> int:
    """Print what is in use with ``choice``, after fetching what is missing when ``fetch`` is set.

    :raises AutograderError: it could not be fetched; the message says why.
    """
    if fetch:
        if datasets.kind_of("mnist") == "full":
            print(f"the full MNIST is in {datasets.data_home()} already", file=sys.stderr)
        else:
            fetch_full()
    for name in datasets.NAMES:
        print(datasets.describe(name, choice))
        print(f"    {datasets.load(name, choice).origin}")
    if datasets.kind_of("mnist") == "sample":
        print("For the full MNIST (about 15 MB to download): autograder data --fetch")
    elif datasets.kind_of("mnist", choice) == "sample":
        print('The full MNIST is on this machine; the course\'s setting data = "sample" leaves it out.')
    return 0


def fetch_full() -> None:
    """Download MNIST from OpenML through scikit-learn.

    :raises AutograderError: no network, no room, or what came cannot be read.
    """
    from sklearn.datasets import fetch_openml

    home = datasets.data_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _progress(home / "openml"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "a network error, retrying": the last one is told below
            fetch_openml("mnist_784", version=1, as_frame=False, data_home=home)
    except OSError as error:  # URLError and HTTPError are OSErrors
        raise AutograderError(
            f"MNIST could not be fetched from openml.org into {home}: {error}. Nothing is lost: the shipped "
            "sample stays in use. Check the network and the room on that disk, then run it again"
        ) from error
    except (ValueError, MemoryError) as error:
        raise AutograderError(
            f"what openml.org sent cannot be read ({type(error).__name__}: {error}). Run it again; reading "
            "needs about 1.5 GB of memory"
        ) from error


@contextlib.contextmanager
def _progress(folder: Path) -> Iterator[None]:
    """Show how much has come, by the size of the files that scikit-learn writes."""
    screen = console(stderr=True)
    if not screen.is_terminal:  # one line is enough for a log
        print("fetching MNIST from openml.org …", file=sys.stderr)
        yield
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} MB"),
        TimeElapsedColumn(),
        console=screen,
        transient=True,
    )
    done = threading.Event()
    with bar:
        task = bar.add_task("fetching MNIST", total=None)

        def watch() -> None:
            before = -1
            while not done.wait(_POLL_S):
                size = _size(folder)
                bar.update(task, completed=size / 1e6)
                if size and size == before:
                    bar.update(task, description="reading MNIST ")
                before = size

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _size(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # moved to its place meanwhile
                total += os.stat(os.path.join(base, name)).st_size
    return total
