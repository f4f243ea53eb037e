"""What ``verify`` finds: one fault, where it is and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of a case that is not as it was written.

    ``where`` is a file of the case folder, with the line of the chain or the table, unit and row of the database
    ("audit.jsonl line 7", "case.db table metadata, batch 3"); ``what`` is the end of a sentence about it. Neither
    ever holds a path or a hash of the evidence.
    """

    where: str
    what: str

    def __str__(self) -> str:
        """The fault as one line."""
        return f"{self.where}: {self.what}"
