"""An item as the page shows it: plain data of printable text, and nothing that the examiner is not to see yet.

Every text that somebody else chose goes through :func:`caid_triage.visible.shown`. What another examiner graded is left
out until this one has graded the item too: who knows the other's grade does not give a second opinion.
"""

from __future__ import annotations

from collections.abc import Mapping

from caid_triage.locations import location_rules
from caid_triage.model import Kind, MatchKind, State
from caid_triage.report.text import brief, cut, iso
from caid_triage.review.asking import key_words
from caid_triage.review.items import Grade, Item, ListedMatch
from caid_triage.visible import shown

STATE_WORDS: Mapping[State, str] = {
    State.ALLOCATED: "live",
    State.DELETED: "deleted",
    State.ORPHAN: "deleted, its folder is lost",
    State.CARVED: "found in free space",
    State.SLACK: "in file slack",
    State.EMBEDDED: "inside another file",
}
KIND_WORDS: Mapping[Kind, str] = {Kind.IMAGE: "picture", Kind.VIDEO: "film", Kind.OTHER: "other file"}
MOST_MATCHES = 20
MOST_PROBLEMS = 20


def item_words(item: Item, examiner: str, unconfirmed: frozenset[str]) -> dict[str, object]:
    """An item for the page. ``unconfirmed`` are the schemes that nobody vouched for."""
    mine = next((grade for grade in item.grades if grade.examiner == examiner), None)
    others = [grade for grade in item.grades if grade.examiner != examiner] if mine else []
    picture = item.sha256 is not None and item.kind in (Kind.IMAGE, Kind.VIDEO)
    return {
        "id": str(item.id),
        "key": key_words(item.key),
        "name": shown(cut(_last_part(item.path))),
        "path": shown(brief(item.path)),
        "exhibit": shown(item.exhibit),
        "source": shown(item.source),
        "volume": shown(item.volume),
        "state_words": "" if item.state is None else STATE_WORDS[item.state],
        "kind_words": "place" if item.state is None else KIND_WORDS[item.kind],
        "media_type": shown(item.media_type),
        "size": item.size,
        "width": item.width,
        "height": item.height,
        "duration": "" if item.duration_s is None else f"{item.duration_s:.0f} s",
        "created": iso(item.created),
        "modified": iso(item.modified),
        "location": _location(item.location),
        "device": shown(item.device),
        "copies": item.occurrences,
        "cluster": None if item.cluster is None else {"id": str(item.cluster), "size": item.cluster_size},
        "verdict": _verdict(item),
        "matches": [_match(match, unconfirmed) for match in item.matches[:MOST_MATCHES]],
        "more_matches": max(0, len(item.matches) - MOST_MATCHES),
        "problems": [f"{shown(code)}: {shown(cut(detail))}" for code, detail in item.problems[:MOST_PROBLEMS]],
        "picture": picture,
        "gradable": item.sha256 is not None,
        "mine": None if mine is None else _grade(mine),
        "others": [{**_grade(grade), "examiner": shown(grade.examiner)} for grade in others],
        **_agreement(mine, others),
        "remarks": [
            {"examiner": shown(remark.examiner), "when": iso(remark.noted), "text": shown(remark.text)}
            for remark in item.remarks
            if mine is not None or remark.examiner == examiner
        ],
    }


def category_label(label: str, scheme: str, unconfirmed: frozenset[str]) -> str:
    """A category with its scheme, and whether somebody vouched for that."""
    told = f"{shown(label)} [{shown(scheme)}]"
    return f"{told} NOT CONFIRMED" if scheme in unconfirmed and "not confirmed" not in label else told


def _last_part(path: str) -> str:
    """The name of a file without the folders above it (of what lies inside a file, its name in there)."""
    return path.rstrip("/").rpartition("/")[2] or path


def _location(tag: str) -> str:
    words = (location.words for location, _ in location_rules().rules if location.tag == tag)
    return next(words, tag if tag != "other" else "")


def _verdict(item: Item) -> dict[str, str] | None:
    """The strongest match in a few words, for the card: the category first, for the end may be cut."""
    if not item.matches:
        return None
    match = item.matches[0]
    label = shown(match.category.label)
    if match.match_kind is MatchKind.EXACT:
        return {"kind": "exact", "words": f"{label}: identical"}
    how = match.tier.value if match.tier is not None else match.match_kind.value
    return {"kind": match.match_kind.value, "words": f"{label}: look-alike ({how})"}


def _match(match: ListedMatch, unconfirmed: frozenset[str]) -> dict[str, object]:
    turned = f"turned: {match.orientation}" if match.orientation else ""
    return {
        "how": match.match_kind.value,
        "tier": None if match.tier is None else match.tier.value,
        "algorithm": shown(match.algorithm),
        "distance": match.distance,
        "threshold": match.threshold,
        "category": category_label(match.category.label, match.category.scheme, unconfirmed),
        "hashset": shown(match.hashset),
        "media_id": shown(match.media_id),
        "look": "; ".join(filter(None, (shown(match.look), shown(turned)))),
    }


def _grade(grade: Grade) -> dict[str, object]:
    return {
        "code": grade.category.code,
        "label": shown(grade.category.label),
        "scheme": shown(grade.category.scheme),
        "when": iso(grade.decided.replace(microsecond=0)),
        "note": shown(grade.note),
    }


def _agreement(mine: Grade | None, others: list[Grade]) -> dict[str, str]:
    """Whether the examiners agree, once this one has graded."""
    if mine is None or not others:
        return {"agreement": "", "agreement_words": ""}
    other = [(grade.category.code, grade.category.scheme) for grade in others]
    if all(pair == (mine.category.code, mine.category.scheme) for pair in other):
        return {"agreement": "agreed", "agreement_words": "Graded alike by all who graded it."}
    return {"agreement": "disputed", "agreement_words": "Graded differently: look at it together."}
