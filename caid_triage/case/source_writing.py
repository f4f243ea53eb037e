"""Writing to a case what is of a source: the source itself, how far its walk is, its volumes, ledger and problems.

A walk is the first of its source or a further one: what an earlier one met stays until this one is whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from caid_triage.case.audit import canonical_json
from caid_triage.case.encode import text, whole
from caid_triage.case.fingerprint import differing
from caid_triage.case.records import DoneEntries, drop_unfinished, drop_unread, source_range
from caid_triage.case.schema import PART_BITS, storage_faults
from caid_triage.case.session import CaseSession
from caid_triage.errors import CaseError
from caid_triage.model import LedgerRange, Problem, SourceInfo, Volume

# Where a problem wider than a file was met: on the walk that is under way (or the last one), or on one before it.
WALK, EARLIER_WALK = "walk", "earlier walk"
MET_AGAIN = f"""UPDATE wide_problem SET origin = '{WALK}' WHERE source_id = ? AND origin = '{EARLIER_WALK}'
    AND volume = ? AND path = ? AND step = ? AND code = ? AND detail = ? AND exhibit = ? AND source = ?"""  # noqa: S608 - constants only


class SourceWriting(CaseSession):
    """A session that may change what a case has of its sources; the contents of their files are the writer's."""

    def last_source_beside(self, named: Collection[tuple[str, str]]) -> int:
        """The highest id of a source of the case that is not among these (exhibit, name of the source); 0: none."""
        with storage_faults(self.folder):
            rows = self._connection.execute("SELECT id, exhibit, name FROM source").fetchall()
        asked = {(text(exhibit), text(name)) for exhibit, name in named}
        return max((number for number, *place in rows if tuple(place) not in asked), default=0)

    def add_source(self, info: SourceInfo, fingerprint: Mapping[str, object], wanted: int | None = None) -> int:
        """Tell the case of a source and get its id; the same source again (a resumed scan) gets the same id.

        ``fingerprint`` is what tells one source from another under the same name: size, kind, stored hashes. ``wanted``
        is the id of a new source where no other has it. Reports are in the order of ids: a source that could be opened
        in a later run only stands where it would have stood.
        """
        mark = canonical_json(dict(fingerprint))
        place = text(info.exhibit), text(info.source)
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT id, fingerprint FROM source WHERE exhibit = ? AND name = ?", place
            ).fetchone()
            if known is not None:
                if known[1] != mark:
                    raise CaseError(f"the case in {self.folder} {differing(info, known[1], fingerprint)}")
                self._count_dropped(int(known[0]), drop_unfinished(connection, int(known[0])))
                return int(known[0])
            # An earlier run may have failed to open this source and said so; now it is open.
            connection.execute("DELETE FROM wide_problem WHERE source_id = 0 AND exhibit = ? AND source = ?", place)
            self._digests.touch("wide_problem", 0)
            if connection.execute("SELECT 1 FROM source WHERE id = ?", (wanted,)).fetchone():
                wanted = None
            columns = (
                wanted,
                *place,
                info.kind,
                whole(info.size),
                canonical_json(list(info.segments)),
                canonical_json(dict(info.acquisition)),
                mark,
            )
            rows = connection.execute(
                "INSERT INTO source (id, exhibit, name, kind, size, segments, acquisition, fingerprint, coverage, "
                "walked, examined, stored, finished) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '{}', 0, 0, 0, 0) RETURNING id",
                columns,
            ).fetchall()
            self._digests.touch("source", rows[0][0])
            return int(rows[0][0])

    def set_volumes(
        self,
        source_id: int,
        volumes: Sequence[Volume],
        problems: Sequence[Problem],
        coverage: Mapping[str, int],
        ledger: Iterable[LedgerRange] = (),
    ) -> None:
        """Store the volumes, the source-level problems, the bytes by kind and the ledger, in place of earlier ones."""
        rows = [
            (
                source_id,
                place,
                text(v.name),
                whole(v.offset),
                whole(v.length),
                text(v.description),
                v.file_system,
                v.status,
            )
            for place, v in enumerate(volumes)
        ]
        with self._transaction() as connection:
            connection.execute("DELETE FROM volume WHERE source_id = ?", (source_id,))
            connection.executemany("INSERT INTO volume VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("DELETE FROM wide_problem WHERE source_id = ? AND origin = 'source'", (source_id,))
            self._add_wide_problems(source_id, "source", problems)
            connection.execute("DELETE FROM ledger WHERE source_id = ?", (source_id,))
            lines = (
                (source_id, place, whole(one.start), whole(one.end - one.start), text(one.volume), one.kind,
                 canonical_json(one.parts) if one.parts else "")
                for place, one in enumerate(ledger)
            )  # fmt: skip
            connection.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", lines)
            mark = (canonical_json(dict(coverage)), source_id)
            connection.execute("UPDATE source SET coverage = ? WHERE id = ?", mark)
            for table in ("volume", "ledger", "source"):
                self._digests.touch(table, source_id)

    def finish_source(self, source_id: int, walked: int, examined: int) -> int:
        """State the scan's own count of the source: with the rows stored it makes the conservation line.

        Problems that an earlier walk met and this one, now whole, did not are no longer so; returns how many those are.
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE source SET walked = ?, examined = ?, finished = 1 WHERE id = ?", (walked, examined, source_id)
            )
            earlier = source_id, EARLIER_WALK
            gone = connection.execute("DELETE FROM wide_problem WHERE source_id = ? AND origin = ?", earlier).rowcount
            self._digests.touch("source", source_id)
            if gone:
                self._digests.touch("wide_problem", source_id)
            return gone

    def stop_source(self, source_id: int, walked: int, examined: int, told: Problem) -> None:
        """State the scan's count of a source whose scan was stopped early; ``told`` takes an earlier one's place."""
        with self._transaction() as connection:
            counts = (walked, examined, source_id)
            connection.execute(
                "UPDATE source SET walked = max(walked, ?), examined = ?, finished = 0 WHERE id = ?", counts
            )
            connection.execute("DELETE FROM wide_problem WHERE source_id = ? AND code = ?", (source_id, told.code))
            self._add_wide_problems(source_id, WALK, [told])
            for table in ("source", "wide_problem"):
                self._digests.touch(table, source_id)

    def stored_bytes(self, source_id: int) -> int:
        """Bytes of the files of a source that are stored and could be read, without what lies inside files."""
        low, high = source_range(source_id)
        statement = f"""SELECT total(size) FROM entry WHERE id >= ? AND id < ? AND (id & {(1 << PART_BITS) - 1}) = 0
            AND readable AND typeof(size) = 'integer'"""  # noqa: S608 - constants only
        with storage_faults(self.folder):
            (size,) = self._connection.execute(statement, (low, high)).fetchone()
            return int(size)

    def is_finished(self, source_id: int) -> bool:
        """Whether an earlier run came to the end of the source."""
        with storage_faults(self.folder):
            rows = self._connection.execute("SELECT finished FROM source WHERE id = ?", (source_id,)).fetchall()
            return bool(rows and rows[0][0])

    def begin_walk(self, source_id: int) -> int:
        """Be ready for a walk of the source, the first or a further one; returns how many files are to be read again.

        These are stored and could not be read, or were not decoded as no set of the case asks for any more: they are
        forgotten. What an earlier walk met stays until this one is
        whole (:meth:`finish_source`).
        """
        with self._transaction() as connection:
            moved = EARLIER_WALK, source_id, WALK
            connection.execute("UPDATE wide_problem SET origin = ? WHERE source_id = ? AND origin = ?", moved)
            self._digests.touch("wide_problem", source_id)
            files, entries = drop_unread(connection, source_id)
            self._count_dropped(source_id, entries)
            return files

    def _count_dropped(self, source_id: int, entries: Sequence[int]) -> None:
        if not entries:
            return
        counts = (len(entries), len(entries), source_id)
        self._connection.execute("UPDATE source SET examined = examined - ?, stored = stored - ? WHERE id = ?", counts)
        self._digests.files_dropped(entries)
        self._digests.touch("source", source_id)

    def done(self, source_id: int) -> DoneEntries:
        """Which entries of the source are stored: ``done.holds(entry)`` says whether the walk may skip it."""
        with storage_faults(self.folder):
            return DoneEntries(self._connection, source_id)

    def add_problems(self, problems: Sequence[Problem], source_id: int | None = None) -> None:
        """Store problems wider than a file: of a source, or (None) of the whole case."""
        with self._transaction():
            self._add_wide_problems(source_id or 0, WALK, problems)

    def _add_wide_problems(self, source_id: int, origin: str, problems: Sequence[Problem]) -> None:
        if problems or origin == "source":  # those replace earlier ones
            self._digests.touch("wide_problem", source_id)
        where = self._connection.execute("SELECT exhibit, name FROM source WHERE id = ?", (source_id,)).fetchone()
        rows = [
            (
                source_id,
                origin,
                text(p.exhibit or (where[0] if where else "")),
                text(p.source or (where[1] if where else "")),
                text(p.volume),
                text(p.path),
                p.step,
                p.code,
                text(p.detail),
                p.severity.value,
            )
            for p in problems
        ]
        if origin == WALK:
            met = [(source_id, *row[4:9], *row[2:4]) for row in rows]
            self._connection.executemany(MET_AGAIN, met)
        self._connection.executemany(
            "INSERT OR IGNORE INTO wide_problem (source_id, origin, exhibit, source, volume, path, step, code, detail, "
            "severity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
