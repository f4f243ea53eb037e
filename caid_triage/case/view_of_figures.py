"""What a view of a case counts: files and contents by all that a report gathers them by."""

from __future__ import annotations

from collections import Counter

from caid_triage.case.counts import TIER, contradicted_files, count_rows, exhibit_rows, md5_alone, tally_rows
from caid_triage.case.documents import (
    SetTallyRow,
    SourceProblemRow,
    SourceTallyRow,
    SpanRow,
    set_tally_rows,
    source_problem_rows,
    source_tally_rows,
    span_rows,
)
from caid_triage.case.findings import disagreeing_files
from caid_triage.case.grades import GradedRow, graded_rows
from caid_triage.case.metadata import MetadataFigures, figures
from caid_triage.case.page_rows import (
    ExhibitCategory,
    FolderCount,
    MonthCount,
    SeriesCount,
    StatedCount,
    exhibit_categories,
    folder_counts,
    month_counts,
    series_counts,
    stated_counts,
)
from caid_triage.case.reading import CaseReading
from caid_triage.case.records import source_rows
from caid_triage.case.rows import (
    Conservation,
    CountRow,
    ExhibitRow,
    LeadHashes,
    ProblemCount,
    TallyRow,
    TierRow,
    Undecoded,
    WithheldRow,
)
from caid_triage.case.schema import reading_faults
from caid_triage.case.undecoded import undecoded
from caid_triage.case.withheld import WITHHELD
from caid_triage.perceptual import ORIENTATIONS, hash_name


class CaseFigures(CaseReading):
    """The figures of a case."""

    def counts(self) -> list[CountRow]:
        """Files and unique contents by category, kind, state and kind of match."""
        with reading_faults(self.folder):
            return list(count_rows(self._connection))

    def tallies(self) -> list[TallyRow]:
        """The counts gathered for a reader: by place (live, inside live files, deleted, other) and over all places."""
        with reading_faults(self.folder):
            return list(tally_rows(self._connection))

    def exhibits(self) -> list[ExhibitRow]:
        """The same counts by exhibit and kind of match."""
        with reading_faults(self.folder):
            return list(exhibit_rows(self._connection))

    def source_tallies(self) -> list[SourceTallyRow]:
        """The counts by source, category, kind and kind of match."""
        with reading_faults(self.folder):
            return list(source_tally_rows(self._connection))

    def set_tallies(self) -> list[SetTallyRow]:
        """How many files each notable set lists exactly."""
        with reading_faults(self.folder):
            return list(set_tally_rows(self._connection))

    def exhibit_categories(self) -> list[ExhibitCategory]:
        """Listed files by exhibit and category, exhibits as they were given, gravest first."""
        with reading_faults(self.folder):
            return list(exhibit_categories(self._connection))

    def graded(self) -> list[GradedRow]:
        """Files and unique contents by examiners' last standing grades: apart from what hash sets assert."""
        with reading_faults(self.folder):
            return list(graded_rows(self._connection))

    def md5_alone(self) -> tuple[int, int]:
        """How many files, and different contents, count as exact matches by nothing stronger than MD5."""
        with reading_faults(self.folder):
            return md5_alone(self._connection)

    def contradicted_files(self) -> dict[str, int]:
        """By exhibit how many files met listed items whose digests contradict theirs: in no count."""
        with reading_faults(self.folder):
            return contradicted_files(self._connection)

    def disagreeing_files(self) -> tuple[int, int]:
        """How many files are listed in categories that contradict each other, and graded otherwise than listed."""
        with reading_faults(self.folder):
            return disagreeing_files(self._connection)

    def conservation(self) -> Conservation:
        """Walked, examined and stored over all sources; the rows are counted afresh, not remembered."""
        walked = examined = stored = 0
        finished = True
        with reading_faults(self.folder):
            for row in self._rows("SELECT walked, examined, finished FROM source"):
                walked, examined, finished = walked + row[0], examined + row[1], finished and bool(row[2])
            for (count,) in self._rows("SELECT count(*) FROM entry"):
                stored = count
            (early,) = next(self._rows("SELECT EXISTS (SELECT 1 FROM wide_problem WHERE code = 'stopped-early')"))
        return Conservation(walked, examined, stored, finished, bool(early))

    def known_good(self) -> int:
        """How many files an exact match lists as known-good."""
        statement = """SELECT count(DISTINCT m.entry_id) FROM file_match m JOIN hashset h ON h.id = m.hashset_id
            WHERE h.role = 'known-good' AND m.match_kind = 'exact' AND m.contradicted = 0"""
        return int(next(self._rows(statement))[0])

    def undecoded(self) -> Undecoded:
        """How many files were not decoded because a known-good set held them, and of how many it does no more."""
        with reading_faults(self.folder):
            return undecoded(self._connection)

    def media_contents(self) -> tuple[int, int]:
        """How many pictures and films there are, and how many different contents (SHA-256) they have."""
        statement = "SELECT count(*), count(DISTINCT sha256) FROM entry WHERE kind <> 'other' AND sha256 IS NOT NULL"
        files, contents = next(self._rows(statement))
        return int(files), int(contents)

    def perceptual_hashes(self, least_pdq_quality: int) -> dict[str, int]:
        """How many hashes of each algorithm matching looks up: every look and frame in each orientation, if good.

        Of a frame the upright PDQ is stored, and looked up in all eight orientations too (match/turns.py).
        """
        statement = """SELECT algorithm, frame_time IS NOT NULL, count(*) FROM perceptual_hash
            WHERE quality IS NULL OR quality >= ? GROUP BY 1, 2 ORDER BY 1, 2"""
        found: Counter[str] = Counter()
        with reading_faults(self.folder):
            for stored, is_frame, values in self._rows(statement, least_pdq_quality):
                name = hash_name(stored)
                turned = is_frame and name.algorithm == "pdq" and not name.turned
                found[name.algorithm] += values * (ORIENTATIONS if turned else name.hashes)
        return dict(sorted(found.items()))

    def lead_hashes(self, least_pdq_quality: int) -> LeadHashes:
        """How many good PDQ hashes there are that may be asked about leads: not those of films' frames."""
        statement = """SELECT h.algorithm, h.frame_time IS NOT NULL, count(*)
            FROM perceptual_hash h JOIN entry e ON e.id = h.entry_id
            WHERE (h.quality IS NULL OR h.quality >= ?) AND NOT (h.frame_time IS NOT NULL AND e.kind = 'video')
            GROUP BY 1, 2 ORDER BY 1, 2"""
        stored = upright = every = 0
        with reading_faults(self.folder):
            for text, is_frame, values in self._rows(statement, least_pdq_quality):
                name = hash_name(text)
                if name.algorithm == "pdq":
                    every += values * (ORIENTATIONS if is_frame and not name.turned else name.hashes)
                    upright += 0 if name.turned else values
                    stored += 0 if name.turned or name.look or is_frame else values
        return LeadHashes(stored, upright, every)

    def tiers(self) -> list[TierRow]:
        """How many near matches of each notable set are strong ones, and how many leads."""
        statement = f"""SELECT h.name, {TIER} AS tier, count(*), count(DISTINCT m.entry_id)
            FROM file_match m JOIN hashset h ON h.id = m.hashset_id
            WHERE h.role = 'notable' AND m.match_kind = 'near' AND m.contradicted = 0
            GROUP BY h.id, tier ORDER BY h.id, tier DESC"""  # noqa: S608 - constants only
        return list(self._typed(TierRow, statement))

    def withheld(self) -> list[WithheldRow]:
        """How many near matches the guards of matching withheld, by set, algorithm and reason."""
        statement = """SELECT h.name, w.algorithm, w.reason, count(DISTINCT w.entry_id), sum(w.matches)
            FROM withheld w JOIN hashset h ON h.id = w.hashset_id
            GROUP BY h.id, w.algorithm, w.reason ORDER BY h.id, w.algorithm, w.reason"""
        return list(self._typed(WithheldRow, statement))

    def decode_states(self, *, media_only: bool = False) -> dict[str, int]:
        """How many files came to each decode state; of all files, or of images and videos."""
        only = "WHERE kind <> 'other'" if media_only else ""
        statement = f"SELECT decode_state, count(*) FROM entry {only} GROUP BY decode_state ORDER BY decode_state"  # noqa: S608
        return dict(self._rows(statement))

    def kinds(self) -> dict[str, int]:
        """How many files are an image, a video or something else, by their content."""
        return dict(self._rows("SELECT kind, count(*) FROM entry GROUP BY kind ORDER BY kind"))

    def states(self) -> dict[str, int]:
        """How many files were found live, deleted, orphan and so on."""
        return dict(self._rows("SELECT state, count(*) FROM entry GROUP BY state ORDER BY state"))

    def coverage(self) -> dict[str, int]:
        """Bytes by kind, summed over the sources: what was looked at and what could not be."""
        total: dict[str, int] = {}
        with reading_faults(self.folder):
            for source in source_rows(self._connection):
                for kind, count in source.coverage.items():
                    total[kind] = total.get(kind, 0) + count
        return total

    def problem_counts(self) -> list[ProblemCount]:
        """How often each problem code occurs, problems before notes, the most frequent first."""
        statement = f"""SELECT step, code, severity, count(*) AS n, min(detail) FROM (
            SELECT step, code, severity, detail FROM entry_problem
            UNION ALL SELECT step, code, severity, detail FROM wide_problem
            UNION ALL SELECT step, code, severity, detail FROM ({WITHHELD})
        ) GROUP BY step, code, severity ORDER BY severity DESC, n DESC, code, step"""  # noqa: S608
        return list(self._typed(ProblemCount, statement))

    def source_problems(self) -> list[SourceProblemRow]:
        """How many files of each source have which problem."""
        with reading_faults(self.folder):
            return list(source_problem_rows(self._connection))

    def spans(self) -> list[SpanRow]:
        """First and last dates of the exact matches, by exhibit and category."""
        with reading_faults(self.folder):
            return list(span_rows(self._connection))

    def metadata_figures(self) -> MetadataFigures:
        """How many files say something of their origin, and how many a place."""
        with reading_faults(self.folder):
            return figures(self._connection)

    def stated_counts(self, words: tuple[str, ...]) -> list[StatedCount]:
        """What the entries that listed files met state of their items, a row a word."""
        with reading_faults(self.folder):
            return list(stated_counts(self._connection, words))

    def series_counts(self, most: int) -> list[SeriesCount]:
        """The series that listed files belong to, those of the most files first."""
        with reading_faults(self.folder):
            return list(series_counts(self._connection, most))

    def month_counts(self, field: str) -> list[MonthCount]:
        """Pictures, films and listed files by the month of a time, "created" or "modified"; without a time first."""
        with reading_faults(self.folder):
            return list(month_counts(self._connection, field))

    def folder_counts(self, most: int) -> list[FolderCount]:
        """The folders with the most listed files directly in them."""
        with reading_faults(self.folder):
            return list(folder_counts(self._connection, most))
