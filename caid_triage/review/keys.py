"""The grades that a scheme offers, and the key of each: from the scheme's data, so that no code is built in.

A code of one letter or digit is its own key. Longer codes get the next free digit, then a letter of their own. Commands
of the page use no letters and digits, so none is taken. Where no category of the scheme means that something is not
notable there is one more grade, ``not-notable``: most of what is looked at is that.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caid_triage.errors import UsageError
from caid_triage.hashset.schemes import NO_SCHEME, CategoryScheme, load_scheme, scheme_from_dict, shipped_schemes
from caid_triage.model import Category

NOT_NOTABLE = "not-notable"
NOT_NOTABLE_WORDS = "Not notable"
_KEYS = string.digits[1:] + "0" + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Grade:
    """A category that an examiner may give: the key for it, and what stands on its button."""

    category: Category
    key: str
    words: str
    legal_class: str


def grades_of(scheme: CategoryScheme) -> tuple[Grade, ...]:
    """The grades of a scheme in its own order. UsageError where the scheme has more categories than there are keys."""
    offered = [(item.code, item.label, item.legal_class, scheme.category(item.code)) for item in scheme.categories]
    if all(item.meaning != "ignorable" for item in scheme.categories):
        own = Category(NOT_NOTABLE, NOT_NOTABLE_WORDS, scheme.name, 0)
        offered.append((NOT_NOTABLE, NOT_NOTABLE_WORDS, "", own))
    codes = [code for code, *_ in offered]
    keys = _keys([*codes[:-1], "0"] if codes[-1] == NOT_NOTABLE and "0" not in codes else codes)
    if len(keys) < len(offered):
        raise UsageError(f"the scheme {scheme.name} has more categories than there are keys; grade with a shorter one")
    twice = {label for _, label, *_ in offered if [other for _, other, *_ in offered].count(label) > 1}
    return tuple(
        Grade(category, key, _words(scheme, code, label, twice), legal_class)
        for (code, label, legal_class, category), key in zip(offered, keys, strict=True)
    )


def scheme_for(infos: Iterable[Mapping[str, object]], given: str | None) -> CategoryScheme:
    """The scheme to grade in: the given one (name or file), else that of the case's sets of notable material.

    UsageError where the sets have none, or differ: which of them counts is for a person to say.
    """
    if given is not None:
        scheme = load_scheme(given)
        if not scheme.categories:
            raise UsageError(f"the scheme {scheme.name} has no categories to grade with")
        return scheme
    found = _schemes(infos)
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise UsageError(
            "no hash set of this case has a category scheme: say which one to grade in with --scheme NAME|FILE "
            "(caid-triage schemes lists those that there are)"
        )
    raise UsageError(f"the hash sets of this case have several schemes ({', '.join(sorted(found))}): give --scheme")


def schemes_of(infos: Iterable[Mapping[str, object]], graded_in: CategoryScheme) -> tuple[CategoryScheme, ...]:
    """The schemes that a case knows, each once: the one to grade in first, then those of its notable sets."""
    return (graded_in, *(scheme for name, scheme in sorted(_schemes(infos).items()) if name != graded_in.name))


def _schemes(infos: Iterable[Mapping[str, object]]) -> dict[str, CategoryScheme]:
    """The schemes with categories of sets of notable material, by name, as they were when the sets were built."""
    shipped = {scheme.name: scheme for scheme in shipped_schemes()}
    found: dict[str, CategoryScheme] = {}
    for info in infos:
        if info.get("role") == "notable" and info.get("scheme") not in (None, "", NO_SCHEME):
            stored, name = info.get("scheme_file"), str(info["scheme"])
            scheme = scheme_from_dict(stored, name) if isinstance(stored, Mapping) else shipped.get(name)
            if scheme is not None and scheme.categories:
                found.setdefault(scheme.name, scheme)
    return found


def _keys(codes: Iterable[str]) -> list[str]:
    """A key for each code, no two the same; fewer where they run out."""
    wanted = list(codes)
    own = [code.lower() if len(code) == 1 and code.lower() in _KEYS else "" for code in wanted]
    taken: set[str] = set()
    keys: list[str] = []
    for code, key in zip(wanted, own, strict=True):
        if not key or key in taken:
            letters = [*string.digits[1:], *code.lower(), *_KEYS]
            key = next((one for one in letters if one in _KEYS and one not in taken and one not in own), "")  # noqa: PLW2901
        if not key:
            return keys
        taken.add(key)
        keys.append(key)
    return keys


def _words(scheme: CategoryScheme, code: str, label: str, twice: set[str]) -> str:
    words = f"{label} (code {code})" if label in twice else label
    return words if scheme.confirmed_by or code == NOT_NOTABLE else f"{words}, NOT CONFIRMED"
