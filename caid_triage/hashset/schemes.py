"""Category schemes: what a code means, as data that a unit confirms, never as an enum.

The same number means different things by country and by year (docs/formats/hashsets.md), so a label is
printed only from a scheme that somebody confirmed. Severity ranks work either way: an unconfirmed
scheme still decides which of two matches is proposed first, only not what it is called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caid_triage.errors import HashSetError
from caid_triage.hashset.rows import printable

# To open a hash set is to read its scheme from its manifest: what else is here loads more, when it is called.
if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from caid_triage.model import Category

UNCATEGORISED = "uncategorised"
NO_SCHEME = "none"
MEANINGS = ("notable", "ignorable", "unknown")
_SCHEME_FIELDS = {"name", "title", "jurisdiction", "regions", "source", "confirmed_by", "categories"}
_CATEGORY_FIELDS = {"code", "label", "legal_class", "severity", "meaning"}


@dataclass(frozen=True, slots=True)
class SchemeCategory:
    """One code of a scheme: its word, the law behind it, its rank (higher is graver) and what it means."""

    code: str
    label: str
    legal_class: str
    severity: int
    meaning: str


@dataclass(frozen=True, slots=True)
class CategoryScheme:
    """A named list of category codes; ``confirmed_by`` "" means nobody vouched for the words yet.

    ``regions`` are pieces of a VICS model URL that select this scheme; ``source`` says where the list is from.
    """

    name: str
    title: str
    jurisdiction: str
    regions: tuple[str, ...]
    source: str
    confirmed_by: str
    categories: tuple[SchemeCategory, ...]

    def category(self, code: str) -> Category:
        """What a report may print of a code: the scheme's word if confirmed, else the code and why not."""
        from caid_triage.model import Category  # noqa: PLC0415

        known = next((item for item in self.categories if item.code == code), None)
        severity = known.severity if known else None
        return Category(code=code, label=self._label(code, known), scheme=self.name, severity=severity)

    def meaning(self, code: str) -> str:
        """Whether a code is "notable", "ignorable" or "unknown" by this scheme (unconfirmed ones included)."""
        return next((item.meaning for item in self.categories if item.code == code), "unknown")

    def as_dict(self) -> dict[str, Any]:
        """The scheme as plain data, the shape of its TOML file: embedded in every hash set built with it."""
        return {
            "name": self.name,
            "title": self.title,
            "jurisdiction": self.jurisdiction,
            "regions": list(self.regions),
            "source": self.source,
            "confirmed_by": self.confirmed_by,
            "categories": [
                {
                    "code": item.code,
                    "label": item.label,
                    "legal_class": item.legal_class,
                    "severity": item.severity,
                    "meaning": item.meaning,
                }
                for item in self.categories
            ],
        }

    def _label(self, code: str, known: SchemeCategory | None) -> str:
        if not code:
            return UNCATEGORISED
        if self.name == NO_SCHEME:
            return f"code {code} (scheme unknown)"
        if known is None:
            return f"code {code} (unknown in scheme {self.name})"
        if not self.confirmed_by:
            return f"code {code} (scheme {self.name} not confirmed)"
        return known.label


def shipped_schemes() -> tuple[CategoryScheme, ...]:
    """The schemes that come with this tool, by name. None of them is confirmed: that is a unit's to do."""
    files = _shipped_files()
    return tuple(sorted((_parse(item.read_bytes(), item.name) for item in files), key=lambda scheme: scheme.name))


def load_scheme(name_or_path: str | Path) -> CategoryScheme:
    """A scheme by its shipped name or from a TOML file of the unit's own.

    HashSetError names the file and the category that is wrong, or the names there are to choose from.
    """
    shipped = {scheme.name: scheme for scheme in shipped_schemes()}
    if isinstance(name_or_path, str) and name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        raise HashSetError(
            f"scheme {printable(path)}: neither a shipped scheme ({', '.join(sorted(shipped))}) nor a TOML file. "
            "Give one of these names or the path of a scheme file."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HashSetError(f"scheme {printable(path)}: cannot be read: {error.strerror or error}.") from error
    return _parse(content, printable(path))


def export_scheme(name: str, out: Path) -> CategoryScheme:
    """Copy a shipped scheme, with its remarks, to a file of the unit's own, named after the file; return the copy.

    HashSetError if there is no such scheme, the file exists already or cannot be written. Never confirmed by copying.
    """
    shipped = {scheme.name for scheme in shipped_schemes()}
    if name not in shipped:
        raise HashSetError(f"no shipped scheme is called {name!r}. There are: {', '.join(sorted(shipped))}.")
    text = next(
        item.read_text("utf-8") for item in _shipped_files() if _parse(item.read_bytes(), item.name).name == name
    )
    own = printable(out.stem).replace("\\", "").replace('"', "") or "our-unit"
    if own in shipped:
        own += "-own"
    text = re.sub(r'^name = ".*"$', lambda _: f'name = "{own}"', text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^regions = .*$", "regions = []", text, count=1, flags=re.MULTILINE)
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise HashSetError(f"{printable(out)}: exists already and is not overwritten. Choose another name.") from None
    except OSError as error:
        raise HashSetError(f"{printable(out)}: could not be written: {error.strerror or error}.") from error
    return load_scheme(out)


def scheme_for_url(model_url: str) -> CategoryScheme | None:
    """The shipped scheme whose region the model URL of a VICS file names; None where it names none of ours."""
    for scheme in shipped_schemes():
        if any(fragment.casefold() in model_url.casefold() for fragment in scheme.regions):
            return scheme
    return None


def scheme_from_dict(data: Mapping[str, Any], where: str) -> CategoryScheme:
    """A scheme from plain data; ``where`` is named in the HashSetError if a field is missing, unknown or wrong."""
    unknown = set(data) - _SCHEME_FIELDS
    if unknown:
        raise HashSetError(f"scheme {where}: unknown field {sorted(unknown)[0]!r}. Known: {_listed(_SCHEME_FIELDS)}.")
    rows = data.get("categories", [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise HashSetError(f"scheme {where}: categories must be a list of tables, written [[categories]].")
    categories = tuple(_category(row, number, where) for number, row in enumerate(rows, 1))
    codes = [item.code for item in categories]
    for code in codes:
        if codes.count(code) > 1:
            raise HashSetError(f"scheme {where}: code {code!r} stands twice. One code, one meaning.")
    name = _text(data, "name", where)
    if not name:
        raise HashSetError(f'scheme {where}: has no name. Add the line: name = "..."')
    regions = data.get("regions", [])
    if not isinstance(regions, list) or not all(isinstance(item, str) and item for item in regions):
        raise HashSetError(f"scheme {where}: regions must be a list of texts.")
    return CategoryScheme(
        name=name,
        title=_text(data, "title", where),
        jurisdiction=_text(data, "jurisdiction", where),
        regions=tuple(regions),
        source=_text(data, "source", where),
        confirmed_by=_text(data, "confirmed_by", where),
        categories=categories,
    )


def _shipped_files() -> list[Traversable]:
    from importlib import resources  # noqa: PLC0415

    folder = resources.files("caid_triage.hashset") / "schemes"
    return [item for item in folder.iterdir() if item.name.endswith(".toml")]


def _parse(content: bytes, where: str) -> CategoryScheme:
    import tomllib  # noqa: PLC0415

    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HashSetError(f"scheme {where}: is not TOML: {error}.") from error
    return scheme_from_dict(data, where)


def _category(row: Mapping[str, Any], number: int, where: str) -> SchemeCategory:
    """One checked [[categories]] table."""
    place = f"scheme {where}: category {number}"
    unknown = set(row) - _CATEGORY_FIELDS
    if unknown:
        raise HashSetError(f"{place}: unknown field {sorted(unknown)[0]!r}. Known: {_listed(_CATEGORY_FIELDS)}.")
    code = row.get("code", "")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    if not isinstance(code, str) or not code.strip():
        raise HashSetError(f'{place} has no code. Add the line: code = "..."')
    severity = row.get("severity")
    if not isinstance(severity, int) or isinstance(severity, bool):
        raise HashSetError(f"{place} (code {code}): severity must be a whole number, higher is graver.")
    meaning = row.get("meaning", "unknown")
    if meaning not in MEANINGS:
        raise HashSetError(f"{place} (code {code}): meaning must be one of {', '.join(MEANINGS)}.")
    label = _text(row, "label", place)
    if not label:
        raise HashSetError(f"{place} (code {code}) has no label.")
    return SchemeCategory(code.strip(), label, _text(row, "legal_class", place), severity, meaning)


def _text(data: Mapping[str, Any], field: str, where: str) -> str:
    value = data.get(field, "")
    if not isinstance(value, str):
        raise HashSetError(f"{where}: {field} must be text.")
    return value.strip()


def _listed(fields: set[str]) -> str:
    return ", ".join(sorted(fields))
