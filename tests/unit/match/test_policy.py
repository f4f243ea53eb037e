"""What is proposed for a file, and which conflicts are put beside it."""

from __future__ import annotations

from dataclasses import replace

from caid_triage.match.policy import Proposal, confirmed_schemes, counts_as_hit, propose
from caid_triage.model import Category, Match, MatchKind, Role


def match(code: str, severity: int | None, **changes: object) -> Match:
    plain = Match(
        match_kind=MatchKind.EXACT,
        algorithm="sha1",
        distance=0,
        threshold=0,
        category=Category(code, f"label {code}", "s", severity),
        hashset="set",
        generation="g",
        role=Role.NOTABLE,
        media_id="",
        record_row=0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_nothing_matched_proposes_nothing() -> None:
    assert propose([]) == Proposal()


def test_the_gravest_exact_category_is_proposed_and_the_conflict_listed() -> None:
    proposal = propose([match("3", 30), match("1", 50, hashset="other")])
    assert proposal.category is not None
    assert (proposal.category.code, proposal.match_kind) == ("1", MatchKind.EXACT)
    assert proposal.conflicts == ("different categories: label 1 [s] in other; label 3 [s] in set",)


def test_exact_goes_before_a_graver_near_match() -> None:
    near = match("1", 50, match_kind=MatchKind.NEAR, algorithm="pdq")
    proposal = propose([match("3", 30), near])
    assert proposal.category is not None
    assert (proposal.category.code, proposal.match_kind, proposal.conflicts) == ("3", MatchKind.EXACT, ())
    assert propose([near]).match_kind is MatchKind.NEAR


def test_a_strong_look_alike_goes_before_a_graver_lead() -> None:
    strong = match("3", 30, match_kind=MatchKind.NEAR, algorithm="pdq", distance=31)
    lead = match("1", 50, match_kind=MatchKind.NEAR, algorithm="pdq", distance=32)
    by_phash = match("1", 50, match_kind=MatchKind.NEAR, algorithm="phash", distance=2)
    for others in ([lead], [by_phash], [lead, by_phash]):
        proposal = propose([*others, strong])
        assert proposal.category is not None
        assert (proposal.category.code, proposal.match_kind) == ("3", MatchKind.NEAR)
    assert propose([lead]).match_kind is MatchKind.NEAR


def test_an_unknown_code_is_not_hidden_by_an_ignorable_one() -> None:
    proposal = propose([match("0", 0), match("9", None)])
    assert proposal.category is not None
    assert proposal.category.code == "9"
    graver = propose([match("9", None), match("3", 1)]).category
    assert graver is not None
    assert graver.code == "3"


def test_a_contradicted_match_is_listed_and_proposes_nothing() -> None:
    proposal = propose([match("1", 50, algorithm="md5", contradicted=True)])
    assert proposal.category is None
    assert proposal.match_kind is None
    assert proposal.conflicts[0].startswith("md5 agrees in set but a stronger digest")


def test_known_good_proposes_nothing_and_conflicts_with_notable() -> None:
    good = match("8", 0, role=Role.KNOWN_GOOD, hashset="nsrl")
    assert propose([good]) == Proposal()
    proposal = propose([good, match("1", 50)])
    assert proposal.category is not None
    assert proposal.category.code == "1"
    assert proposal.conflicts == ("notable in set and known-good in nsrl",)


def test_what_counts_as_a_hit_is_for_a_confirmed_scheme_to_say() -> None:
    confirmed = confirmed_schemes([("own", "A. Examiner"), ("us", "B"), ("us", ""), ("uk", None)])
    assert confirmed == {"own"}  # one set of "us" has nobody's word
    assert not counts_as_hit(0, "own", confirmed)
    assert all(counts_as_hit(severity, "own", confirmed) for severity in (1, 90, None, -1))
    assert all(counts_as_hit(0, scheme, confirmed) for scheme in ("us", "uk", "none", ""))
