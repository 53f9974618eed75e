"""nbgrader, set up for this course: its known traps closed, our stubs in place of its own.

``nbgrader_config.py`` calls :func:`apply`, so that the ``nbgrader`` command, formgrader and
:mod:`autograder.release` work with the same settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.converters import Autograde
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
from traitlets.config.loader import LazyConfigValue, PyFileConfigLoader

from autograder.nbgrader_exchange import ReleaseFeedback
from autograder.regions import clear_solution

__all__ = ["ClearTaskSolutions", "apply", "load", "use_sandbox"]

_PLUGIN = "autograder.nbgrader_plugin."
_SANITIZE = tuple(Autograde.sanitize_preprocessors.default())
_AUTOGRADE = tuple(Autograde.autograde_preprocessors.default())
"""nbgrader's own steps, from the defaults of its two lists."""
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


def use_sandbox(config: Config) -> None:
    """Let ``nbgrader autograde`` and formgrader grade with this engine; everything else stays as it is.

    These are the two lines for any course's ``nbgrader_config.py``::

        from autograder.nbgrader_settings import use_sandbox
        use_sandbox(c)

    Put them last: steps that the course has set itself are kept, beside ours.
    """
    steps = _steps(config, "sanitize_preprocessors", ())
    own = [step for step in steps if _name(step) not in (*map(_name, _SANITIZE), "Sanitize")]
    config.Autograde.sanitize_preprocessors = [_PLUGIN + "Sanitize", *own]
    grading: list[object] = []
    for step in _steps(config, "autograde_preprocessors", _AUTOGRADE):
        if _name(step) == "Execute":
            grading.append(_PLUGIN + "SandboxExecute")
        elif _name(step) == "SaveAutoGrades":
            grading += [step, _PLUGIN + "SaveUnreadable"]
        elif _name(step) != "SaveUnreadable":
            grading.append(step)
    config.Autograde.autograde_preprocessors = grading
    config.Autograde.exporter_class = _PLUGIN + "SandboxExporter"
    # The rest is for notebooks in other languages, which nbgrader's own steps grade.
    # A cell with this tag is not run, and a test cell that is not run has full marks.
    config.Execute.skip_cells_with_tag = ""
    # Without its test cell a submission would wait for a person to grade it.
    config.OverwriteCells.add_missing_cells = True


def _steps(config: Config, name: str, default: Sequence[object]) -> list[object]:
    """The list ``name`` of nbgrader's ``Autograde`` as the course has set it so far."""
    value = config.Autograde.get(name, default)
    if isinstance(value, LazyConfigValue):  # c.Autograde.….append(…)
        return list(value.get_value(list(default)))
    return list(value)


def _name(step: object) -> str:
    """The name of a preprocessor's class, which a configuration gives as a class or as a dotted text."""
    return step.rsplit(".")[-1] if isinstance(step, str) else getattr(step, "__name__", str(step))


def apply(config: Config) -> None:
    """Put this course's settings into nbgrader's ``config`` object."""
    use_sandbox(config)
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
