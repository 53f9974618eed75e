"""Finite limits of a sandbox, with units in their names. They come from the instructor's
configuration (``[tool.autograder.limits]``) or from a suite's mark, never from a submission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite

from autograder.errors import ConfigError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one submission may use. ``*_s`` are seconds, ``*_mb`` are MiB."""

    cell_wall_s: float = 30.0
    """One cell of the notebook."""
    check_wall_s: float = 10.0
    """One check of a suite (a suite may ask for more with ``@pytest.mark.limit(wall_s=…)``)."""
    task_wall_s: float = 30.0
    """All checks of one task; what is left over is NOT_RUN."""
    submission_wall_s: float = 300.0
    """The whole submission, whatever it does."""
    cpu_s: float = 300.0
    """CPU time of one process in the sandbox."""
    memory_mb: int = 2048
    """Private memory of the whole sandbox beyond the shared zygote (cgroup) and per process (rlimit); of the
    address space 32 are kept back, to say how a cell without memory ended."""
    processes: int = 64
    """Processes and threads at one time."""
    open_files: int = 256
    file_mb: int = 64
    """Size of one file."""
    tmp_mb: int = 128
    """Space in /tmp, the home folder and /dev/shm together."""
    tmp_inodes: int = 8192
    output_kb: int = 512
    """Text and images that one cell may print, in KiB."""
    submission_output_kb: int = 4096
    notebook_mb: int = 20
    """Size of a submitted notebook file."""
    notebook_cells: int = 2000
    frame_mb: int = 256
    """One frame on the wire."""
    restarts: int = 3
    """Fresh sandboxes for one submission after its process died."""
    archive_mb: int = 4096
    """All files of a collected archive together, unpacked."""
    archive_files: int = 20_000
    archive_file_mb: int = 64
    """One file of an archive, unpacked; a larger one is refused and named."""
    archive_ratio: float = 200.0
    """Unpacked size over packed size of one file of more than 1 MiB."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ConfigError(f"limit {item.name} must be a number, not {value!r}")
            minimum = 0 if item.name == "restarts" else 1e-3
            if not isfinite(value) or value < minimum:
                raise ConfigError(f"limit {item.name} must be finite and positive, not {value!r}")

    def deciding(self) -> dict[str, float]:
        """Those that can decide a score: all but the ones on archives, which only decide what is
        collected."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("archive_")}

    def with_changes(self, changes: Mapping[str, float]) -> Limits:
        """A copy with ``changes``; an unknown name is a :class:`ConfigError`."""
        known = {item.name for item in fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ConfigError(f"unknown limit {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return replace(self, **dict(changes))  # type: ignore[arg-type]
