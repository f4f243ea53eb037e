"""One source while it is scanned: what is known of it, what is met, and the law that nothing of it is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from caid_triage.case.records import DoneEntries
from caid_triage.errors import CaidTriageError, CaseError
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import DecodeState, FileEntry, ScanRecord, SourceInfo
from caid_triage.scan.stopping import Extent, Tally


@dataclass(slots=True)
class AtWork:
    """A source and its counts in this run.

    ``done`` are the entries that earlier runs stored; ``again`` says whether some of theirs are read again. ``extent``
    is how much the source has, ``walked`` what its walk gave. ``met_again`` counts what was stored before, with all
    inside; ``examined`` that and what this run examined; ``inside`` of these what lies inside files. ``copied`` are the
    examinations of the scan that were used again before this source.
    """

    source: EvidenceSource
    source_id: int
    done: DoneEntries
    again: bool
    extent: Extent = field(default_factory=Extent)
    walked: Tally = field(default_factory=Tally)
    examined: int = 0
    met_again: int = 0
    inside: int = 0
    not_decoded: int = 0
    copied: int = 0

    @property
    def info(self) -> SourceInfo:
        """What the source is."""
        return self.source.info

    def meet_again(self, entry: FileEntry) -> None:
        """Count an entry that is stored. Errors: CaseError when the source has changed since."""
        self.done.holds(entry)
        below = self.done.inside(entry.number)
        self.met_again += 1 + below
        self.examined += 1 + below
        self.inside += below

    def take(self, record: ScanRecord) -> None:
        """Count an entry that was examined."""
        self.examined += 1
        self.not_decoded += record.examination.decode_state is DecodeState.NOT_NEEDED
        if not record.entry.part:  # what lies inside was counted by no walk
            self.inside += record.examination.inside

    def was_cut(self, *, by_yield: bool) -> bool:
        """Whether the walk was ended before all entries were given. An order by yield knows how many there are."""
        return self.walked.cut and not (by_yield and self.extent.whole and self.walked.files == self.extent.files)

    def conserve(self, after: DoneEntries, *, cut: bool) -> tuple[int, int]:
        """How many files the source has and how many are stored, from what is stored ``after`` this run.

        These are the same of a walk that was not ``cut``; of one that was, the first is as far as it was walked or
        listed. Errors: CaseError where the source has changed; CaidTriageError, a bug of ours, where a file was lost.
        """
        info, unmet = self.info, len(self.done) - self.met_again
        if unmet and not cut:
            raise CaseError(
                f"source {info.source} of exhibit {info.exhibit} has changed since the scan began: "
                f"{unmet} of its stored files are not there any more; scan it into a new case"
            )
        stored, met = len(after), self.walked.files + self.inside
        if not met == self.examined == stored - (unmet if cut else 0):
            raise CaidTriageError(
                f"conservation of files is broken for exhibit {info.exhibit}: walked {met}, examined "
                f"{self.examined}, stored {stored}; this is a bug of caid-triage, the report must not be relied on"
            )
        if cut:
            met = max(self.walked.files, self.extent.files, after.files) + stored - after.files
        return met, stored
