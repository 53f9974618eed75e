"""What a sandbox claims as a cell's outputs, made safe to store: valid nbformat outputs of bounded size."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["clean_count", "clean_outputs", "without_frames"]

_MIME_LIMIT: Final = 4 << 20
_MAX_OUTPUTS: Final = 2000


def clean_outputs(claimed: object, note: str | None) -> list[dict[str, Any]]:
    """Outputs that a sandbox claims, as valid nbformat outputs: what is none of these is dropped."""
    outputs = [
        clean
        for item in (claimed if type(claimed) is list else [])[:_MAX_OUTPUTS]
        if (clean := _clean_output(item))
    ]
    if note:
        outputs.append({"output_type": "stream", "name": "stderr", "text": f"[grader] {note}\n"})
    return outputs


def clean_count(claimed: object) -> int | None:
    """An execution count that a notebook may hold."""
    return claimed if type(claimed) is int and 0 <= claimed < 1 << 31 else None


def without_frames(output: dict[str, Any]) -> dict[str, Any]:
    """An error output with its last line only: the frames of a traceback quote the cell's source."""
    if output["output_type"] != "error":
        return output
    return {**output, "traceback": [f"{output['ename']}: {output['evalue']}"]}


def _clean_output(item: object) -> dict[str, Any] | None:
    if type(item) is not dict:
        return None
    kind = item.get("output_type")
    if kind == "stream":
        return {
            "output_type": "stream",
            "name": "stderr" if item.get("name") == "stderr" else "stdout",
            "text": _text(item.get("text")),
        }
    if kind == "error":
        trace = item.get("traceback")
        lines = [_text(line) for line in trace[:200]] if type(trace) is list else []
        return {
            "output_type": "error",
            "ename": _text(item.get("ename")),
            "evalue": _text(item.get("evalue")),
            "traceback": lines,
        }
    data = item.get("data")
    if kind not in ("display_data", "execute_result") or type(data) is not dict:
        return None
    bundle = {mime: _text(value) for mime, value in data.items() if type(mime) is str and len(mime) < 100}
    output: dict[str, Any] = {"output_type": kind, "data": bundle, "metadata": {}}
    if kind == "execute_result":
        output["execution_count"] = clean_count(item.get("execution_count"))
    return output


def _text(value: object) -> str:
    return value[:_MIME_LIMIT] if type(value) is str else ""
