"""summary.json: the case in figures, for programs. Its keys are a contract (docs/formats/reports.md)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TextIO

from caid_triage.case.details import Details, contact_of, seized_of
from caid_triage.case.rows import SourceRow
from caid_triage.case.view import CaseView
from caid_triage.locations import location_rules
from caid_triage.report.block_searches import summarised_searches
from caid_triage.report.films import video_counts
from caid_triage.report.fragments import summarised_samplings
from caid_triage.report.graded import summarised_grades
from caid_triage.report.ledger import summarised_ledgers
from caid_triage.report.links import summarised_links
from caid_triage.report.locations import matched_places
from caid_triage.report.near import near_facts
from caid_triage.report.origin import summarised_origin
from caid_triage.report.text import iso


def write_summary(view: CaseView, out: TextIO) -> None:
    """Write the figures of the case; two runs on the same material differ in "started", "finished" and "audit"."""
    json.dump(summary(view), out, indent=2, ensure_ascii=False)
    out.write("\n")


def summary(view: CaseView) -> dict[str, Any]:
    """The content of summary.json as plain values."""
    header, figures, times = view.header, view.conservation(), view.run_times()
    return {
        "tool": _tool(header.tool),
        "case": {
            "reference": header.reference,
            "operation": header.operation,
            "examiner": header.examiner,
            **_stated(view.details()),
            "options": dict(header.options),
            "sources": [source_facts(source) for source in view.sources()],
        },
        "hashsets": [hashset_facts(info) for info in view.hashsets()],
        "walked": figures.walked,
        "examined": figures.examined,
        "stored": figures.stored,
        "complete": figures.complete,
        "stopped_early": figures.stopped_early,
        "counts": [asdict(row) for row in view.counts()],
        "counts_by_place": [asdict(row) for row in view.tallies()],
        "coverage": {
            "bytes": view.coverage(),
            "volumes": [asdict(volume) for volume in view.volumes()],
            "volumes_not_understood": _volumes(view, "not-understood"),
            "encrypted": _volumes(view, "encrypted"),
            "possibly_encrypted": _volumes(view, "possibly-encrypted"),
            "unreadable": _volumes(view, "unreadable"),
            "problems_by_code": _problems_by_code(view),
            "decode_states": view.decode_states(),
        },
        "ledger": summarised_ledgers(view),
        "known_good": view.known_good(),
        "decoding": _decoding(view),
        "md5_alone": dict(zip(("files", "unique"), view.md5_alone(), strict=True)),
        "locations": {
            "rules": location_rules().version,
            "exact": [asdict(row) for row in matched_places(view)],
        },
        "near": near_facts(view),
        "videos": video_counts(view),
        "metadata": summarised_origin(view),
        "graded": summarised_grades(view),
        **summarised_links(view),
        "sampling": summarised_samplings(view),
        "parts_of_known_files": summarised_searches(view),
        "contradictions": [asdict(row) for row in view.contradictions()],
        "started": iso(times.started) or None,
        "finished": iso(times.finished) or None,
        "audit": asdict(view.audit_head()),
    }


def _stated(details: Details) -> dict[str, Any]:
    """Whom to ask, and when exhibits were seized, where that is stated."""
    facts = {"contact": contact_of(details).stated(), "seized": seized_of(details)}
    return {name: value for name, value in facts.items() if value}


def source_facts(source: SourceRow) -> dict[str, Any]:
    """A source as programs are told of it: what it is, not where it lay."""
    facts = asdict(source)
    del facts["id"]
    # Where the image lay is no fact about it, and would make the same scan elsewhere print another summary.
    facts["segments"] = [re.split(r"[\\/]", segment)[-1] for segment in source.segments]
    return facts


def _decoding(view: CaseView) -> dict[str, int]:
    """What did not have to be decoded: harmless files, and further files of a content."""
    undecoded, (files, contents) = view.undecoded(), view.media_contents()
    return {
        "known_good_not_decoded": undecoded.files,
        "known_good_no_more": undecoded.to_examine,
        "media_files": files,
        "media_contents": contents,
    }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    first = ("name", "version", "python", "dependencies")
    return {word: tool[word] for word in first if word in tool} | dict(tool)


def _problems_by_code(view: CaseView) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in view.problem_counts():
        counts[row.code] += row.count
    return dict(sorted(counts.items()))


def _volumes(view: CaseView, status: str) -> list[str]:
    """Exhibit, source and name of the volumes of one status."""
    return [f"{v.exhibit} {v.source} {v.name}".rstrip() for v in view.volumes() if v.status == status]


def hashset_facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """A hash set as the summary shows it; ``source_sha256`` joins those of several files with ";"."""
    sources = info.get("sources") or []
    digests = [str(source["sha256"]) for source in sources if isinstance(source, Mapping) and "sha256" in source]
    first = {
        "name": info["name"],
        "source_sha256": ";".join(digests),
        "entries": info.get("entries"),
        "scheme": info.get("scheme"),
    }
    # When a set was built is in the set itself; here it would tell two builds of the same files apart (generation does
    # not), and the summary of the same material would differ. Its whole scheme is for the sealed bundle.
    left_out = {*first, "built", "scheme_file"}
    return {**first, **{word: value for word, value in info.items() if word not in left_out}}
