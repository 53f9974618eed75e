"""What a platform's own words say about a person: an id, a description, and whether two are one."""

from __future__ import annotations

from autograder.errors import UsageError
from autograder.layout import check_student_id
from autograder.lms import names
from autograder.lms.archives import printable
from autograder.lms.layouts import Owner
from autograder.lms.record import Collected

__all__ = ["described", "is_somebody_else", "own_id"]


def own_id(platform: str, owner: Owner) -> str:
    """An id without a roster: what the platform makes unique, as far as its names go."""
    if platform == "canvas":
        return "-".join(part for part in (names.safe_id(owner.name), owner.number.lower()) if part)
    if platform == "moodle":
        return names.safe_id(owner.name)
    try:
        return check_student_id(owner.login)
    except UsageError:
        return names.safe_id(owner.login)


def is_somebody_else(before: Collected, platform: str, owner: Owner) -> bool:
    """Whether the platform numbered the two as two people; its numbers hold within one assignment."""
    return (
        before.platform == platform and bool(before.number and owner.number) and before.number != owner.number
    )


def described(owner: Owner) -> str:
    """For people: the platform's words, and its number where they do not hold it."""
    return printable(owner.label) + (
        f" {owner.number}" if owner.number and owner.number not in owner.label else ""
    )
