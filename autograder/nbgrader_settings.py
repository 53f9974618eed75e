"""nbgrader, set up for this course: its known traps closed, our stubs in place of its own.

``nbgrader_config.py`` calls :func:`apply`, so that the ``nbgrader`` command, formgrader and
:mod:`autograder.release` work with the same settings.
"""

from __future__ import annotations

from pathlib import Path

from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    InstantiateTests,
    LockCells,
    SaveCells,
)
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.nbgrader_exchange import ReleaseFeedback
from autograder.regions import clear_solution

__all__ = ["ClearTaskSolutions", "apply", "load"]

_IGNORE = [".*", "__pycache__", "*.pyc", "*~", "*.tmp", "feedback", "Thumbs.db"]


class ClearTaskSolutions(ClearSolutions):  # type: ignore[misc]  # nbgrader has no types
    """nbgrader's ClearSolutions with a stub that names the task (see :mod:`autograder.regions`)."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, object], cell_index: int
    ) -> tuple[NotebookNode, dict[str, object]]:
        """Replace the solution in ``cell``; nbgrader itself complains about one elsewhere."""
        meta = cell.metadata.get("nbgrader", {})
        if not meta.get("solution"):
            cleared: tuple[NotebookNode, dict[str, object]] = super().preprocess_cell(
                cell, resources, cell_index
            )
            return cleared
        cell.source = clear_solution(
            cell.source,
            meta["grade_id"],
            graded=bool(meta.get("grade")),
            code=cell.cell_type == "code",
        )
        return cell, resources


def apply(config: Config) -> None:
    """Put this course's settings into nbgrader's ``config`` object."""
    config.GenerateAssignment.preprocessors = [
        InstantiateTests,
        LockCells,
        ClearTaskSolutions,
        ClearOutput,
        CheckCellMetadata,
        ComputeChecksums,
        SaveCells,
        ClearHiddenTests,
        ClearMarkScheme,
        ComputeChecksums,
        CheckCellMetadata,
    ]
    config.CourseDirectory.ignore = list(_IGNORE)
    # A cell with this tag is not run, and a test cell that is not run has full marks.
    config.Execute.skip_cells_with_tag = ""
    # Without its test cell a submission would wait for a person to grade it.
    config.OverwriteCells.add_missing_cells = True
    config.ExchangeFactory.release_feedback = ReleaseFeedback


def load(root: Path) -> Config:
    """The settings of the course at ``root``: its ``nbgrader_config.py``, or ours where it has none."""
    if (root / "nbgrader_config.py").is_file():
        config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
        assert isinstance(config, Config)
        return config
    config = Config()
    apply(config)
    return config
