"""Schemes are data, and no label is printed from one that nobody confirmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset.schemes import load_scheme, scheme_for_url, scheme_from_dict, shipped_schemes

CONFIRMED = """
name = "unit"
title = "our unit's"
confirmed_by = "DC 1234, 1 March 2026"
[[categories]]
code = 1
label = "Category A"
severity = 50
meaning = "notable"
"""


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "unit.toml").write_text(text)
    return tmp_path / "unit.toml"


def test_no_shipped_scheme_is_confirmed_and_none_prints_a_class() -> None:
    schemes = shipped_schemes()
    assert [scheme.name for scheme in schemes] == [
        "icse",
        "nist-caid",
        "none",
        "projectvic-us",
        "projectvic-us-2014",
        "uk",
    ]
    for scheme in schemes:
        assert scheme.confirmed_by == ""
        for item in scheme.categories:
            assert item.label not in scheme.category(item.code).label


def test_what_is_printed_of_a_code(tmp_path: Path) -> None:
    assert load_scheme("uk").category("1").label == "code 1 (scheme uk not confirmed)"
    assert load_scheme("uk").category("9").label == "code 9 (unknown in scheme uk)"
    assert load_scheme("none").category("9").label == "code 9 (scheme unknown)"
    assert load_scheme("uk").category("").label == "uncategorised"
    confirmed = load_scheme(write(tmp_path, CONFIRMED))
    assert confirmed.category("1").label == "Category A"
    assert confirmed.category("2").label == "code 2 (unknown in scheme unit)"


def test_severity_ranks_even_unconfirmed_codes() -> None:
    uk = load_scheme("uk")
    ranks = [uk.category(code).severity for code in ("1", "2", "3", "prohibited", "extreme")]
    assert ranks == sorted((rank for rank in ranks if rank is not None), reverse=True)
    assert uk.category("9").severity is None


def test_the_two_project_vic_schemes_differ_in_0_and_5() -> None:
    new, old = load_scheme("projectvic-us"), load_scheme("projectvic-us-2014")
    assert (new.meaning("0"), new.meaning("5")) == ("ignorable", "unknown")
    assert (old.meaning("0"), old.meaning("5")) == ("unknown", "ignorable")


def test_a_scheme_survives_being_embedded() -> None:
    for scheme in shipped_schemes():
        assert scheme_from_dict(scheme.as_dict(), "x") == scheme


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFIRMED.replace("code = 1", ""), "category 1 has no code"),
        (CONFIRMED.replace("code = 1", 'code = ""'), "category 1 has no code"),
        (CONFIRMED.replace('label = "Category A"', ""), "code 1.* has no label"),
        (CONFIRMED.replace("severity = 50", ""), "severity must be a whole number"),
        (CONFIRMED.replace('"notable"', '"bad"'), "meaning must be one of notable"),
        (CONFIRMED.replace("title", "tittle"), "unknown field 'tittle'"),
        (CONFIRMED.replace('name = "unit"', ""), "has no name"),
        (CONFIRMED + '[[categories]]\ncode = "1"\nlabel = "B"\nseverity = 1\n', "code '1' stands twice"),
        ("name = ", "is not TOML"),
        ('name = "x"\ncategories = 3\n', "must be a list of tables"),
    ],
)
def test_a_wrong_scheme_file_is_refused_and_the_fault_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HashSetError, match=message) as caught:
        load_scheme(write(tmp_path, text))
    assert "unit.toml" in str(caught.value)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(HashSetError, match="nist-caid, none, projectvic-us"):
        load_scheme("atlantis")


def test_the_scheme_in_the_documentation_loads(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "formats" / "hashsets.md"
    example = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert load_scheme(write(tmp_path, example)).category("1").label == "Category A"


@pytest.mark.parametrize("region", ["UK", "uk", "Uk"])
def test_the_region_of_a_url_chooses_in_either_case(region: str) -> None:
    scheme = scheme_for_url(f"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{region}/$metadata#Media")
    assert scheme is not None
    assert scheme.name == "uk"
