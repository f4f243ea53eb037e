"""What the page asks for, out of the words of a request, checked: which items, where in their list, how many.

Whoever holds the session may ask with any words, so nothing is believed: an unknown word, a second one of a kind or a
value that is none is refused with a sentence (:class:`AskedWronglyError`), and never reaches a query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from starlette.requests import Request

from caid_triage.locations import ELSEWHERE, location_rules
from caid_triage.model import Kind, State
from caid_triage.review.items import QUEUES, ItemFilter, Key

MOST_ITEMS = 200
LONGEST = 400
LONGEST_NOTE = 2000
LARGEST = (1 << 63) - 1
DECIDED = {"no": False, "yes": True}
SIZES = (160, 320)
_PLACES = ("after", "before", "at")

T = TypeVar("T")


class AskedWronglyError(Exception):
    """A question that our page does not ask; its text may be shown to who asked."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a list: up to ``limit`` items behind or before a key, or from a position (0: the first)."""

    limit: int
    after: Key | None = None
    before: Key | None = None
    at: int = 0


def asked_filter(words: Mapping[str, str], examiner: str) -> ItemFilter:
    """The items that are asked for; ``examiner`` is whose grades count as decided."""
    queue = words.get("queue", "")
    if queue not in QUEUES:
        raise AskedWronglyError("There is no such queue.")
    wanted = ItemFilter(
        queue,
        states=_several(words, "state", _one_of({state.value for state in State})),
        kinds=_several(words, "kind", _one_of({kind.value for kind in Kind})),
        exhibits=_several(words, "exhibit", str),
        locations=_several(words, "location", _one_of(location_tags())),
        categories=_several(words, "category", category_of),
        text=words.get("text", ""),
        device=words.get("device", ""),
        examiner=examiner,
    )
    decided = words.get("decided", "")
    return replace(
        wanted,
        size_min=_optional(words, "size_min", whole),
        size_max=_optional(words, "size_max", whole),
        date_from=_optional(words, "date_from", _day),
        # The day is named as the last one; the filter's end is not included.
        date_to=_optional(words, "date_to", _day_after),
        cluster=_optional(words, "cluster", _integer),
        decided=_one_of(DECIDED)(decided) == "yes" if decided else None,
    )


def asked_window(words: Mapping[str, str]) -> Window:
    """The piece of the list that is asked for."""
    limit = whole(words.get("limit", "48"))
    if not 1 <= limit <= MOST_ITEMS:
        raise AskedWronglyError(f"Between 1 and {MOST_ITEMS} items can be asked for at once.")
    if sum(word in words for word in _PLACES) > 1:
        raise AskedWronglyError("One place in the list can be asked for at once.")
    return Window(
        limit,
        after=_optional(words, "after", key_of),
        before=_optional(words, "before", key_of),
        at=whole(words.get("at", "0")),
    )


def only(words: Mapping[str, str], known: set[str] | frozenset[str]) -> None:
    """Refuse words that are not known, and values of any length."""
    for word, value in words.items():
        if word not in known:
            raise AskedWronglyError("The question has a word that is not understood.")
        if len(value) > LONGEST:
            raise AskedWronglyError(f"A word of the question is longer than {LONGEST} characters.")


def words_of(request: Request, known: frozenset[str]) -> Mapping[str, str]:
    """The words of a question, each once and known."""
    pairs = request.query_params.multi_items()
    words = dict(pairs)
    if len(words) != len(pairs):
        raise AskedWronglyError("A word of the question stands twice.")
    only(words, known)
    return words


async def body_of(request: Request, wanted: Mapping[str, type]) -> dict[str, Any]:
    """The JSON object of a request: exactly these words, of these types."""
    try:
        value = json.loads(await request.body())
    except (ValueError, RecursionError):  # no JSON, or brackets without end
        raise AskedWronglyError("The request is no JSON.") from None
    if not isinstance(value, dict) or {word: type(found) for word, found in value.items()} != dict(wanted):
        raise AskedWronglyError("The request has not the words that it needs.")
    return value


def note_of(words: str) -> str:
    """A note as it is kept."""
    if not words.strip():
        raise AskedWronglyError("A note has words.")
    if len(words) > LONGEST_NOTE:
        raise AskedWronglyError(f"A note has at most {LONGEST_NOTE} characters.")
    return words.encode("utf-8", "replace").decode()


FILTER_WORDS = frozenset(
    {"queue", "cluster", "state", "kind", "exhibit", "location", "category", "decided", "text", "device"}
    | {"size_min", "size_max", "date_from", "date_to"}
)
WINDOW_WORDS = frozenset({"limit", *_PLACES})


def location_tags() -> frozenset[str]:
    """The tags of places that the rules know."""
    return frozenset({location.tag for location, _ in location_rules().rules} | {ELSEWHERE})


def key_words(key: Key) -> str:
    """A key as the page gives it back."""
    return f"{key.rank}.{key.id}"


def key_of(words: str) -> Key:
    """The key that such words are of."""
    rank, dot, identity = words.partition(".")
    if not dot:
        raise AskedWronglyError("That is no place in a list.")
    return Key(_integer(rank), _integer(identity))


def category_words(code: str, scheme: str) -> str:
    """A category as the page gives it back: code and scheme, whatever characters are in them."""
    return f"{quote(code, safe='')} {quote(scheme, safe='')}"


def category_of(words: str) -> tuple[str, str]:
    """(code, scheme) of such words."""
    code, space, scheme = words.partition(" ")
    if not space:
        raise AskedWronglyError("That is no category.")
    return unquote(code), unquote(scheme)


def whole(words: str) -> int:
    """A whole number that is not negative, of up to 63 bits."""
    number = _integer(words)
    if number < 0:
        raise AskedWronglyError("A number is negative.")
    return number


def identity_of(words: str) -> int:
    """The id of an item (that of a problem wider than a file is negative)."""
    return _integer(words)


def _integer(words: str) -> int:
    digits = words.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19) or int(digits) > LARGEST:
        raise AskedWronglyError("That is no whole number.")
    return int(words)


def _day(words: str) -> datetime:
    try:
        return datetime.strptime(words, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise AskedWronglyError("A day is written 2026-11-29.") from None


def _day_after(words: str) -> datetime:
    try:
        return _day(words) + timedelta(days=1)
    except OverflowError:
        raise AskedWronglyError("There is no day after that one.") from None


def _optional(words: Mapping[str, str], word: str, read: Callable[[str], T]) -> T | None:
    value = words.get(word, "")
    return read(value) if value else None


def _several(words: Mapping[str, str], word: str, read: Callable[[str], T]) -> tuple[T, ...]:
    value = words.get(word, "")
    return (read(value),) if value else ()


def _one_of(known: Mapping[str, object] | set[str] | frozenset[str]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in known:
            raise AskedWronglyError("A choice is none of those that there are.")
        return value

    return read
