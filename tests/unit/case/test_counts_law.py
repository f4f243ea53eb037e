"""The rule of counting holds for all matches there can be, and is the rule of match/policy.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.case import samples

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
from caid_triage.match.policy import propose
from caid_triage.model import Category, Kind, Match, MatchKind, Role, State

CATEGORIES = [Category(str(code), f"label {code}", "s", rank) for code, rank in enumerate([50, 30, 5, 0, None])]


@st.composite
def matches(draw: st.DrawFn) -> Match:
    role = draw(st.sampled_from(Role))
    algorithm, distance = draw(st.sampled_from([("pdq", 31), ("pdq", 32), ("phash", 4)]))
    return samples.match(
        draw(st.sampled_from(CATEGORIES)),
        match_kind=draw(st.sampled_from(MatchKind)),
        algorithm=algorithm,
        distance=distance,
        role=role,
        hashset="unit-set" if role is Role.NOTABLE else "good-set",
        contradicted=draw(st.booleans()),
    )


FILES = st.lists(
    st.tuples(st.lists(matches(), max_size=4), st.sampled_from(Kind), st.sampled_from(State), st.integers(0, 3)),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(FILES)
def test_counts_are_those_of_the_policy_file_by_file(files: list[tuple[list[Match], Kind, State, int]]) -> None:
    expected: dict[tuple[str, Kind, State, MatchKind], list[int]] = {}
    records = []
    for number, (met, kind, state, content) in enumerate(files):
        records.append(samples.record(number, content=bytes([content]), kind=kind, state=state))
        proposal = propose(met)
        if proposal.category is not None and proposal.match_kind is not None:
            expected.setdefault((proposal.category.code, kind, state, proposal.match_kind), []).append(content)
    with tempfile.TemporaryDirectory() as folder:
        with create_case(Path(folder) / "case", CaseHeader("R")) as case:
            case.record_hashset(samples.NOTABLE)
            case.record_hashset(samples.KNOWN_GOOD)
            case.write_batch(case.add_source(samples.source(), {}), records, [tuple(f[0]) for f in files], [], 0)
        with open_case(Path(folder) / "case") as view:
            counts = {(r.category_code, r.kind, r.state, r.match_kind): (r.files, r.unique) for r in view.counts()}
            tallied = sum(row.files for row in view.tallies() if row.place == "all")
            places = sum(row.files for row in view.tallies() if row.place != "all")
            occurrences = sum(1 for _ in view.exchange_contents("listed_content"))
            listed = sum(1 for _ in view.matches())
    assert counts == {key: (len(found), len(set(found))) for key, found in expected.items()}
    assert tallied == places == occurrences == sum(map(len, expected.values()))
    assert listed == sum(m.role is Role.NOTABLE and not m.contradicted for met, *_ in files for m in met)
