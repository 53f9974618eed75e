"""Whole files as attacks: too large or too odd to be stored. Each function gives the bytes of one."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib
from typing import Any

from tests.attacks.course import code, notebook

__all__: list[str] = []

_PNG = b"\x89PNG\r\n\x1a\n"


def _bytes(book: Any) -> bytes:
    return json.dumps(book).encode()


def _changed(task: str, **changes: Any) -> bytes:
    """The notebook with changes to one test cell; ``meta`` changes its nbgrader marks."""
    book = notebook()
    cell = next(cell for cell in book["cells"] if cell["id"] == task)
    cell["metadata"]["nbgrader"].update(changes.pop("meta", {}))
    cell["metadata"].update(changes.pop("metadata", {}))
    cell.update(changes)
    return _bytes(book)


# -- the file itself


def empty() -> bytes:
    return b""


def not_utf8() -> bytes:
    return _bytes(notebook()).replace(b"double", b"\xff\xfe\x80").replace(b"return", b"\xc3\x28", 1)


def utf16() -> bytes:
    return _bytes(notebook()).decode().encode("utf-16")


def truncated() -> bytes:
    return _bytes(notebook())[:-700]


def too_large() -> bytes:
    return _bytes(notebook(extra=["x" * (50 << 20)]))


def many_cells() -> bytes:
    return _bytes(notebook(extra=["1"] * 100_000))


def deep_json() -> bytes:
    return (
        b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": '
        + b"[" * 200_000
        + b"]" * 200_000
        + b"}"
    )


def deep_metadata() -> bytes:
    deep: Any = {}
    for _ in range(900):
        deep = {"m": deep}
    book = notebook()
    book["metadata"] = deep
    return _bytes(book)


def json_bomb_of_numbers() -> bytes:
    return b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {"n": ' + b"9" * 1_000_000 + b'}, "cells": []}'


def endless_float() -> bytes:
    return _bytes(notebook()).replace(b'"nbformat": 4', b'"nbformat": 1e999')


def nan_version() -> bytes:
    return _bytes(notebook()).replace(b'"nbformat_minor": 5', b'"nbformat_minor": NaN')


def true_version() -> bytes:
    return _bytes(notebook()).replace(b'"nbformat": 4', b'"nbformat": true')


def version_5() -> bytes:
    return _bytes(notebook()).replace(b'"nbformat": 4', b'"nbformat": 5')


def version_3() -> bytes:
    cells = [
        {
            "cell_type": "code",
            "input": cell["source"],
            "outputs": [],
            "language": "python",
            "metadata": cell["metadata"],
        }
        for cell in notebook()["cells"]
    ]
    return _bytes(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells, "metadata": {}}]}
    )


def a_list() -> bytes:
    return b"[1, 2, 3]"


def a_string() -> bytes:
    return b'"notebook"'


def cells_as_dict() -> bytes:
    return b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {"0": {}}}'


def odd_cells() -> bytes:
    book = notebook()
    odd: list[Any] = [
        None, 7, "cell", [], {}, {"cell_type": 3}, {"cell_type": "code"}, {"cell_type": "code", "source": 7},
        {"cell_type": "code", "source": ["a", 1, None]}, {"cell_type": "virus", "source": "x"},
        {"cell_type": "code", "source": "1", "metadata": [], "outputs": {"a": 1}, "id": {"x": 1}},
        {"cell_type": "code", "source": "1", "metadata": {"nbgrader": 5}, "execution_count": "NaN"},
        {"cell_type": "code", "source": "1", "metadata": {"nbgrader": {"grade_id": ["x"], "points": -1e300}}},
    ]  # fmt: skip
    book["cells"] = odd + book["cells"]
    return _bytes(book)


def pickle_file() -> bytes:
    return b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR."


def zip_file() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../../../tmp/slipped", "x")
    return packed.getvalue()


def zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("attacks.ipynb", b"\0" * (200 << 20))
    return packed.getvalue()


def gzip_bytes() -> bytes:
    return b"\x1f\x8b\x08\x00" + zlib.compress(_bytes(notebook()))


def one_giant_line() -> bytes:
    return _bytes(notebook(extra=["x = '" + "a" * (4 << 20) + "'"]))


def nul_bytes() -> bytes:
    return _bytes(notebook(extra=["x = 1\0\0\nprint(x)", "\0"]))


def half_characters() -> bytes:
    book = notebook(extra=["s = '\ud800 \udfff'\nprint(len(s))", "# \ud83d"])
    book["metadata"]["title"] = "\ud800"
    return _bytes(book)


def bom() -> bytes:
    return b"\xef\xbb\xbf" + _bytes(notebook())


def huge_attachments() -> bytes:
    book = notebook()
    big = base64.b64encode(b"\0" * (5 << 20)).decode()
    book["cells"].insert(
        0, {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "![](attachment:a.png)",
            "attachments": {"a.png": {"image/png": big}}},
    )  # fmt: skip
    return _bytes(book)


def huge_embedded_outputs() -> bytes:
    book = notebook()
    for cell in book["cells"]:
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "9" * 300_000}]
    return _bytes(book)


def forged_score_output() -> bytes:
    book = notebook()
    for cell in book["cells"]:
        cell["outputs"] = [
            {
                "output_type": "execute_result",
                "execution_count": 1,
                "metadata": {},
                "data": {"text/plain": "6.0"},
            }
        ]
    return _bytes(book)


def png_bomb() -> bytes:
    book = notebook()
    rows = zlib.compress(b"\0" * (30_000 * 3_000 + 3_000), 9)
    head = (30_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    chunks = b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )
    shown = base64.b64encode(_PNG + chunks).decode()
    book["cells"][0]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": shown}}
    ]
    source = "from IPython.display import Image, display\nimport base64\n"
    source += f"display(Image(base64.b64decode({shown!r})))"
    book["cells"].insert(1, code(source, id="png"))
    return _bytes(book)


def duplicate_keys() -> bytes:
    """JSON objects whose keys come twice: readers differ about which one counts."""
    return _bytes(notebook()).replace(b'"nbformat": 4,', b'"nbformat": 3, "nbformat": 4, "cells": [], ')


# -- cells and their marks


def points_raised() -> bytes:
    return _changed("t1", meta={"points": 100}, source="7 * 6")


def test_emptied() -> bytes:
    return _changed("t1", source="")


def test_skipped() -> bytes:
    return _changed("t1", metadata={"tags": ["skip-execution", "raises-exception"]})


def test_retyped() -> bytes:
    return _changed("t1", cell_type="markdown")


def test_made_manual() -> bytes:
    return _changed("t1", meta={"solution": True, "grade": True, "locked": False})


def test_unlocked() -> bytes:
    return _changed("t1", meta={"locked": False, "grade": False})


def test_pointed_elsewhere() -> bytes:
    """The test cell of t1 claims to be that of a task that was solved."""
    return _changed("t1", meta={"grade_id": "first"})


def tests_deleted() -> bytes:
    book = notebook()
    book["cells"] = [cell for cell in book["cells"] if cell["id"] != "t1"]
    return _bytes(book)


def all_deleted() -> bytes:
    book = notebook()
    book["cells"] = []
    return _bytes(book)


def tests_doubled() -> bytes:
    book = notebook()
    book["cells"] += [dict(cell) for cell in book["cells"]]
    return _bytes(book)


def tests_in_front() -> bytes:
    """All test cells before all solutions."""
    book = notebook()
    book["cells"].sort(key=lambda cell: cell["id"].startswith("solution"))
    return _bytes(book)


def ids_swapped() -> bytes:
    text = _bytes(notebook()).decode()
    swapped = text.replace('"t1"', '"@"').replace('"first"', '"t1"').replace('"@"', '"first"')
    return swapped.encode()


def ids_that_are_markup() -> bytes:
    book = notebook(extra=["1"])
    own = next(cell for cell in book["cells"] if cell["id"] == "own-0")
    own["id"] = "<script>alert(1)</script>\x1b[2J"
    own["metadata"]["nbgrader"] = {
        "grade_id": "<img src=x onerror=alert(1)>\x1b]0;owned\x07",
        "solution": True,
    }
    own["metadata"]["name"] = "../../../etc/passwd"
    return _bytes(book)


def metadata_bomb() -> bytes:
    book = notebook()
    book["metadata"] = {f"k{n}": "v" * 50 for n in range(60_000)}
    book["cells"][0]["metadata"].update({f"k{n}": [n] * 10 for n in range(20_000)})
    return _bytes(book)


def foreign_kernel() -> bytes:
    book = notebook()
    book["metadata"] = {
        "kernelspec": {
            "name": "bash",
            "display_name": "x",
            "language": "bash",
            "argv": ["/bin/sh", "-c", "id"],
        },
        "language_info": {"name": "bash", "codemirror_mode": "shell"},
    }
    return _bytes(book)


def timeouts_in_metadata() -> bytes:
    book = notebook()
    book["metadata"] = {"execution": {"timeout": -1, "allow_errors": True}, "papermill": {"timeout": 10**9}}
    return _bytes(book)


def markup_everywhere() -> bytes:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)><iframe src='javascript:alert(1)'>"
    show = (
        "from IPython.display import HTML, Javascript, SVG, Markdown, Latex, display\n"
        f"bad = {bad!r}\n"
        "display(HTML(bad)); display(Javascript('alert(1)')); display(Markdown(bad)); display(Latex(bad))\n"
        "display({'image/svg+xml': bad, 'text/html': bad, 'application/javascript': 'alert(1)'}, raw=True)\n"
        "display({'image/png': '\"><script>alert(1)</script>', 'image/jpeg': bad}, raw=True)\n"
        "print(bad)\nraise ValueError(bad)"
    )
    book = notebook({"t1": f"def answer1(a, b):\n    raise ValueError({bad!r})"}, [show, f"# {bad}"])
    book["cells"].insert(0, {"cell_type": "markdown", "id": "m", "metadata": {}, "source": bad})
    book["metadata"]["title"] = book["metadata"]["authors"] = bad
    return _bytes(book)


def odd_mime_types() -> bytes:
    source = (
        "from IPython.display import display\n"
        "display({'': 'x', 'text/plain': 'y', 'a' * 5000: 'z'}, raw=True)\n"
        "display({'\\x1b[31m/\\0': 'z', 'application/json': '{'}, raw=True)\n"
        "display({'text/plain': 7, 'image/png': b'not a picture', 5: None}, raw=True)"
    )
    return _bytes(notebook(extra=[source]))


def every_solution_raises_system_exit() -> bytes:
    return _bytes(notebook({f"t{n}": "raise SystemExit" for n in range(1, 7)}))
