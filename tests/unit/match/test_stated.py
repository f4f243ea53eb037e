"""What entries state of their items goes with every match: from the list's file into the case and back out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.rows import STATED_WORDS, RecordFlag, stated_words
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.match import match_batch
from caid_triage.model import Match
from caid_triage.scan.rematch import hashset_facts

CONTENTS = {b"content 0": {"VictimIdentified": "true", "IsDistributed": True, "Series": "Harbour"},
            b"content 1": {"VictimIdentified": "false", "Series": ""},
            b"content 2": {"IsDistributed": "true"}}  # fmt: skip


def a_set(folder: Path) -> HashSet:
    media = [
        {"MediaID": place, "Category": 1, "MD5": hashlib.md5(content).hexdigest(), **stated}
        for place, (content, stated) in enumerate(CONTENTS.items())
    ]
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
    (folder / "list.json").write_text(json.dumps({"@odata.context": context, "value": media}), "utf-8")
    build_hashset([folder / "list.json"], folder / "list.chs", scheme=load_scheme("uk"), name="unit-set")
    return open_hashset(folder / "list.chs")


def said(matches: list[tuple[Match, ...]]) -> list[list[tuple[tuple[str, ...], str]]]:
    return [[(match.stated, match.series) for match in met] for met in matches]


def test_each_match_has_what_its_entry_states_and_the_set_says_how_often(tmp_path: Path) -> None:
    hashset = a_set(tmp_path)
    records = [samples.record(n) for n in range(4)]
    found = match_batch(records, [hashset]).matches
    assert said(found) == [
        [(("victim-identified", "distributed"), "Harbour")],
        [((), "")],
        [(("distributed",), "")],
        [],
    ]
    assert hashset_facts(hashset)["stated"] == {
        **dict.fromkeys(STATED_WORDS.values(), 0), "victim-identified": 1, "distributed": 2, "series": 1,
    }  # fmt: skip


def test_a_case_keeps_it_and_a_new_release_replaces_it(tmp_path: Path) -> None:
    hashset = a_set(tmp_path)
    records = [samples.record(n) for n in range(3)]
    found = match_batch(records, [hashset]).matches
    info = {**hashset_facts(hashset), "sources": []}
    folder = exhibits.make_case(tmp_path / "case", list(zip(records, found, strict=True)), hashsets=(info,))
    with open_case(folder) as view:
        assert [(row.stated, row.series) for row in view.matches()] == [
            (("victim-identified", "distributed"), "Harbour"), ((), ""), (("distributed",), ""),
        ]  # fmt: skip
    with open_case_for_writing(folder) as case:
        case.replace_matches([info], [(1, records, [(), found[1], ()])])
    with open_case(folder) as view:
        assert [(row.stated, row.series) for row in view.matches()] == [((), "")]


def test_which_digests_an_entry_carries_is_no_statement() -> None:
    assert stated_words(RecordFlag.HAS_MD5 | RecordFlag.HAS_SHA1) == ()
    every = stated_words(RecordFlag(0xFFFF))
    assert every == tuple(STATED_WORDS.values())
    assert len({flag for flag in RecordFlag if flag < RecordFlag.HAS_MD5}) == len(every)
