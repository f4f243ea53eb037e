"""case-uco.jsonld: the listed files of a case in the CASE/UCO ontology, as JSON-LD.

Sources with the exhibits that they are of, files with their digests, what lies in what, and what was said of each
content and by whom: matching and grading are two analyses, and every result names the one that it came out of. One
object a line, and identifiers made from the case and the files alone (UUID version 5): the same case gives the same
document. An object that is named again (a container of several files) says the same again, as JSON-LD allows.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TextIO

from caid_triage.case.exchange import ExchangeRow, key_of
from caid_triage.case.rows import SourceRow
from caid_triage.case.view import CaseView
from caid_triage.model import Kind
from caid_triage.report.exchange import Grades, exact_path, folder_and_name, is_deleted, stated

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "caid-triage.case-uco")
UCO = "https://ontology.unifiedcyberontology.org/uco/"
CONTEXT = {
    "kb": "http://example.org/kb/",
    **{f"uco-{part}": f"{UCO}{part}/" for part in (
        "action", "analysis", "core", "identity", "observable", "tool", "types",
    )},
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}  # fmt: skip
HASH_NAMES = {"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256"}
Node = dict[str, Any]


def write_case_uco(view: CaseView, out: TextIO) -> None:
    """Write the graph, one object a line; memory does not grow with the case."""
    out.write('{"@context":' + _line(CONTEXT) + ',\n"@graph":[')
    for number, node in enumerate(_nodes(view)):
        out.write((",\n" if number else "\n") + _line(node))
    out.write("\n]}\n")


def _nodes(view: CaseView) -> Iterator[Node]:
    ids = _Identifiers(view.header.reference)
    grades = Grades(view)
    sources = view.sources()
    yield from _of_the_run(view, sources, ids)
    for source in sources:
        yield from _of_source(source, ids)
    graders: set[str] = set()
    for row in view.exchange_contents("listed_content"):
        if row.decision is not None and row.decision.examiner not in graders:
            graders.add(row.decision.examiner)
            yield from _grader(row.decision.examiner, ids)
        yield _file(row, ids)
        yield _contained(row, ids.source(row.exhibit, row.source), exact_path(row.raw_path, row.path), ids)
        if row.holder_id is not None:
            yield _holder(row, ids)
            inside = exact_path(row.raw_path, row.path).removeprefix(
                exact_path(row.holder_raw or b"", row.holder_path or "")
            )
            yield _contained(row, ids.file(row.holder_id), inside, ids)
        yield _result(row, grades, ids)


class _Identifiers:
    """The identifiers of a case: a word for what it is, and a UUID of the case and of what makes the object itself."""

    def __init__(self, reference: str) -> None:
        self._reference = reference

    def of(self, what: str, *parts: str) -> str:
        """An identifier of an object of one kind, by the texts that only this object of the kind has."""
        named = json.dumps([self._reference, what, *parts])
        return f"kb:{what}-{uuid.uuid5(NAMESPACE, named)}"

    def source(self, exhibit: str, source: str) -> str:
        """The identifier of an evidence source."""
        return self.of("source", exhibit, source)

    def file(self, identity: int) -> str:
        """The identifier of a file of the case."""
        return self.of("file", key_of(identity))


def _of_the_run(view: CaseView, sources: list[SourceRow], ids: _Identifiers) -> Iterator[Node]:
    """The tool, who used it, and the analysis by which files met hash sets."""
    header = view.header
    tool: Node = {
        "@id": ids.of("tool"),
        "@type": "uco-tool:Tool",
        "uco-core:name": str(header.tool.get("name", "caid-triage")),
        "uco-tool:version": str(header.tool.get("version", "")),
    }
    yield tool
    sets = [f"{info.get('name')} ({info.get('role')}, generation {info.get('generation')})" for info in view.hashsets()]
    analysis: Node = {
        "@id": ids.of("matching"),
        "@type": "uco-analysis:Analysis",
        "uco-core:name": "matching against hash sets",
        "uco-core:description": [f"case {header.reference}", *(f"hash set {name}" for name in sets)],
        "uco-action:instrument": [{"@id": tool["@id"]}],
        "uco-action:object": [{"@id": ids.source(source.exhibit, source.source)} for source in sources],
    }
    if header.examiner:
        examiner = ids.of("identity", header.examiner)
        yield _identity(header.examiner, examiner)
        analysis["uco-action:performer"] = {"@id": examiner}
    yield {name: value for name, value in analysis.items() if value}


def _identity(name: str, identifier: str) -> Node:
    return {"@id": identifier, "@type": "uco-identity:Identity", "uco-core:name": name}


def _grader(examiner: str, ids: _Identifiers) -> Iterator[Node]:
    identifier = ids.of("identity", examiner)
    yield _identity(examiner, identifier)
    yield {
        "@id": ids.of("grading", examiner),
        "@type": "uco-analysis:Analysis",
        "uco-core:name": "grading by an examiner",
        "uco-action:performer": {"@id": identifier},
    }


def _of_source(source: SourceRow, ids: _Identifiers) -> Iterator[Node]:
    identifier = ids.source(source.exhibit, source.source)
    key = (source.exhibit, source.source)
    file: Node = {
        "@id": ids.of("source-file-facet", *key),
        "@type": "uco-observable:FileFacet",
        "uco-observable:fileName": source.source,
    }
    facets = [
        file,
        {
            "@id": ids.of("source-image-facet", *key),
            "@type": "uco-observable:ImageFacet",
            "uco-observable:imageType": source.source_kind,
        },
    ]
    hashes = [
        _hash(ids.of("source-hash", *key, name), name, source.acquisition[name].lower())
        for name in HASH_NAMES
        if _is_hex(source.acquisition.get(name, ""))
    ]
    if hashes:
        facets.append(
            {
                "@id": ids.of("source-content-facet", *key),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:hash": hashes,
                **({} if source.size is None else {"uco-observable:sizeInBytes": source.size}),
            }
        )
    yield {"@id": identifier, "@type": "uco-observable:Image", "uco-core:hasFacet": facets}
    yield {
        "@id": ids.of("provenance", *key),
        "@type": "case-investigation:ProvenanceRecord",
        "uco-core:description": "an acquired copy of the exhibit",
        "case-investigation:exhibitNumber": source.exhibit,
        "uco-core:object": [{"@id": identifier}],
    }


def _is_hex(value: str) -> bool:
    return bool(value) and len(value) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in value)


def _file(row: ExchangeRow, ids: _Identifiers) -> Node:
    folder, name = folder_and_name(row.raw_path, row.path)
    file = _file_facet(row.key, name, folder + name, ids)
    if row.size is not None:
        file["uco-observable:sizeInBytes"] = row.size
    file["uco-observable:allocationStatus"] = "unallocated" if is_deleted(row) else "allocated"
    times = {
        "observableCreatedTime": row.created, "modifiedTime": row.modified, "accessedTime": row.accessed,
        "metadataChangeTime": row.changed,
    }  # fmt: skip
    for word, moment in times.items():
        if moment is not None:
            file[f"uco-observable:{word}"] = _time(moment, row.zone_note)
    content: Node = {
        "@id": ids.of("content-facet", row.key),
        "@type": "uco-observable:ContentDataFacet",
        "uco-observable:mimeType": row.media_type,
    }
    digests = {"md5": row.md5, "sha1": row.sha1, "sha256": row.sha256}
    hashes = [_hash(ids.of("hash", row.key, word), word, value.hex()) for word, value in digests.items() if value]
    if hashes:
        content["uco-observable:hash"] = hashes
    facets = [file, content]
    if row.kind is Kind.IMAGE and row.width is not None and row.height is not None:
        facets.append(
            {
                "@id": ids.of("picture-facet", row.key),
                "@type": "uco-observable:RasterPictureFacet",
                "uco-observable:pictureWidth": row.width,
                "uco-observable:pictureHeight": row.height,
            }
        )
    return {
        "@id": ids.file(row.id),
        "@type": "uco-observable:File",
        "uco-core:tag": [f"state: {row.state}"],
        "uco-core:hasFacet": facets,
    }


def _file_facet(key: str, name: str, path: str, ids: _Identifiers) -> Node:
    return {
        "@id": ids.of("file-facet", key),
        "@type": "uco-observable:FileFacet",
        "uco-observable:fileName": name,
        "uco-observable:filePath": path,
    }


def _holder(row: ExchangeRow, ids: _Identifiers) -> Node:
    """The file that an embedded one lies in, by its name and its MD5; a listed one is said in full elsewhere."""
    assert row.holder_id is not None
    key = key_of(row.holder_id)
    folder, name = folder_and_name(row.holder_raw or b"", row.holder_path or "")
    facets = [_file_facet(key, name, folder + name, ids)]
    if row.holder_md5 is not None:
        facets.append(
            {
                "@id": ids.of("content-facet", key),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:hash": [_hash(ids.of("hash", key, "md5"), "md5", row.holder_md5.hex())],
            }
        )
    return {"@id": ids.file(row.holder_id), "@type": "uco-observable:File", "uco-core:hasFacet": facets}


def _contained(row: ExchangeRow, target: str, path: str, ids: _Identifiers) -> Node:
    return {
        "@id": ids.of("contained", row.key, target),
        "@type": "uco-observable:ObservableRelationship",
        "uco-core:source": {"@id": ids.file(row.id)},
        "uco-core:target": {"@id": target},
        "uco-core:kindOfRelationship": "Contained_Within",
        "uco-core:isDirectional": True,
        "uco-core:hasFacet": [
            {
                "@id": ids.of("path", row.key, target),
                "@type": "uco-observable:PathRelationFacet",
                "uco-observable:path": path,
            }
        ],
    }


def _result(row: ExchangeRow, grades: Grades, ids: _Identifiers) -> Node:
    """What was said of the file's content, and the analysis that it came out of."""
    grade = grades.of(row)
    analysis = ids.of("matching")
    if row.decision is not None:
        analysis = ids.of("grading", row.decision.examiner)
    sets = [f"exact match in {name} by {algorithm}" for name, algorithm in row.sets if grade.by == "exact"]
    return {
        "@id": ids.of("result", row.key),
        "@type": "uco-analysis:AnalyticResult",
        "uco-core:tag": [grade.by],
        **({"uco-core:description": sets} if sets else {}),
        "uco-analysis:originatingAnalysis": {"@id": analysis},
        "uco-analysis:resultContent": [{"@id": ids.file(row.id)}],
        "uco-core:hasFacet": [
            {
                "@id": ids.of("classification-facet", row.key),
                "@type": "uco-analysis:ArtifactClassificationResultFacet",
                "uco-analysis:classification": [
                    {
                        "@id": ids.of("classification", row.key),
                        "@type": "uco-analysis:ArtifactClassification",
                        "uco-analysis:class": grade.words,
                    }
                ],
            }
        ],
    }


def _hash(identifier: str, name: str, value: str) -> Node:
    return {
        "@id": identifier,
        "@type": "uco-types:Hash",
        "uco-types:hashMethod": HASH_NAMES[name],
        "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": value.upper()},
    }


def _time(moment: datetime, zone_note: str) -> Node:
    return {"@type": "xsd:dateTime", "@value": stated(moment, zone_note)}


def _line(node: object) -> str:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"))
