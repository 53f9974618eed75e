"""``nbgrader release_feedback`` for a course in which not everything comes through nbgrader's exchange."""

from __future__ import annotations

from glob import glob
from pathlib import Path

from nbgrader.exchange.default import ExchangeReleaseFeedback

from autograder.submitted_files import EXCHANGE_FILES

__all__ = ["ReleaseFeedback"]


class ReleaseFeedback(ExchangeReleaseFeedback):  # type: ignore[misc]  # nbgrader has no types
    """nbgrader's own, which ends at the first page of a student who did not use the exchange.

    Here that student is named and left out, and all others get their page.
    """

    def copy_files(self) -> None:
        """Release what can be fetched."""
        without = []
        for folder in sorted(map(Path, glob(self.src_path))):
            if any(folder.glob("*.html")) and not all((folder / name).is_file() for name in EXCHANGE_FILES):
                without.append(folder.parent.name)
                self.log.warning(
                    "No feedback released for student '%s': this submission did not come through the "
                    "exchange, so it cannot be fetched there. Hand over the pages in %s yourself.",
                    without[-1],
                    folder,
                )
        excluded = self.coursedir.student_id_exclude
        self.coursedir.student_id_exclude = ",".join([*filter(None, [excluded]), *without])
        try:
            super().copy_files()
        finally:
            self.coursedir.student_id_exclude = excluded
