"""Where the seeds of hidden inputs come from. Imports neither torch nor numpy."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

__all__ = ["Seeds", "secret_of", "seed_for"]


def seed_for(secret: bytes, student: str, assignment: str, task: str, check: str) -> int:
    """The seed of one check for one student: 31 bits of HMAC-SHA256 of the names under the course secret."""
    parts = [part.encode("utf-8", "surrogatepass") for part in (student, assignment, task, check)]
    message = b"".join(
        len(part).to_bytes(4, "big") + part for part in parts
    )  # ("ab", "c") is not ("a", "bc")
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def secret_of(seed: int) -> bytes:
    """What stands for the course's secret where the seed is given."""
    return hashlib.sha256(f"seed {seed}".encode()).digest()


@dataclass(frozen=True)
class Seeds:
    """Where the seeds of hidden inputs come from: the course secret and the student's id."""

    secret: bytes
    student: str

    def check(self, assignment: str, task: str, check: str) -> int:
        """Seed of one check's draws: 31 bits."""
        return seed_for(self.secret, self.student, assignment, task, check)

    def notebook(self, assignment: str) -> int:
        """Seed of the global generators when the first cell runs."""
        return seed_for(self.secret, self.student, assignment, "", "")
