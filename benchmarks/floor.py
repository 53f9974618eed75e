"""The floor: the same cells by plain ``exec`` in one warm process.

    python -m benchmarks.floor submission.ipynb …

Nothing is isolated, restored, judged or stored, no output is kept, and one process runs one notebook after
the other on one thread: no grader that runs the cells can be faster on one core. Imports, lazy ones too, and
the data sets are paid for by a run that is not timed; ``fetch_openml`` answers from memory. Prints JSON: for
each notebook its seconds and processor seconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(paths: list[str]) -> None:
    """Time each notebook; the first one runs once before that."""
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")})
    os.environ.update(MPLBACKEND="agg", NBGRADER_EXECUTION="autograde")
    import torch

    torch.set_num_threads(1)
    books = [_cells(Path(path)) for path in paths]
    if any("fetch_openml" in source for source in books[0]):
        _serve_mnist()
    _execute(books[0])
    _execute(books[0])
    times = []
    for cells in books:
        wall, cpu = time.perf_counter(), time.process_time()
        _execute(cells)
        times.append({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu})
    print(json.dumps(times))


def _cells(path: Path) -> list[str]:
    from IPython.core.inputtransformer2 import TransformerManager

    plain = TransformerManager().transform_cell  # type: ignore[no-untyped-call]  # magics and !commands become Python
    data = json.loads(path.read_bytes())
    return [plain("".join(cell["source"])) for cell in data["cells"] if cell["cell_type"] == "code"]


def _execute(cells: list[str]) -> None:
    from matplotlib import pyplot

    names: dict[str, Any] = {"__name__": "__main__"}
    for source in cells:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception, SystemExit):
            exec(compile(source, "cell", "exec"), names)
    pyplot.close("all")


def _serve_mnist() -> None:
    import numpy as np
    import sklearn.datasets
    from sklearn.utils import Bunch

    from autograder import datasets

    mnist = datasets.load("mnist")
    data = np.asarray(mnist.all_X[mnist.served_rows]).astype("int64")
    target = np.asarray(mnist.all_y[mnist.served_rows]).astype("U1").astype(object)
    sklearn.datasets.fetch_openml = lambda *_, **__: Bunch(data=data, target=target)


if __name__ == "__main__":
    main(sys.argv[1:])
