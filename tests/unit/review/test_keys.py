"""The keys of the grades come from the scheme's data: one each, its own where the code is one letter or digit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.errors import UsageError
from caid_triage.hashset.schemes import CategoryScheme, SchemeCategory, load_scheme, shipped_schemes
from caid_triage.review.keys import NOT_NOTABLE, grades_of, scheme_for, schemes_of

UK, US = load_scheme("uk"), load_scheme("projectvic-us")
CONFIRMED = replace(UK, confirmed_by="A. Unit")


def scheme_of(codes: list[str], meaning: str = "notable") -> CategoryScheme:
    categories = tuple(SchemeCategory(code, f"word {code}", "", 1, meaning) for code in codes)
    return CategoryScheme("own", "Own", "", (), "", "somebody", categories)


def test_the_codes_of_the_uk_scheme_are_their_own_keys() -> None:
    keys = {grade.category.code: grade.key for grade in grades_of(CONFIRMED)}
    assert keys == {
        "1": "1", "2": "2", "3": "3", "A": "a", "B": "b", "C": "c", "prohibited": "4", "extreme": "5", NOT_NOTABLE: "0",
    }  # fmt: skip


def test_two_codes_with_one_word_are_told_apart() -> None:
    words = [grade.words for grade in grades_of(CONFIRMED)]
    assert "Category A (code 1)" in words
    assert "Category A (code A)" in words
    assert len(set(words)) == len(words)


def test_every_shipped_scheme_has_keys_and_a_grade_that_means_nothing_was_found() -> None:
    for scheme in shipped_schemes():
        if scheme.categories:
            grades = grades_of(scheme)
            assert len({grade.key for grade in grades}) == len(grades)
            assert any(grade.category.severity == 0 for grade in grades), scheme.name
    assert NOT_NOTABLE not in [grade.category.code for grade in grades_of(US)]


def test_an_unconfirmed_scheme_says_so_on_every_key_of_its_own() -> None:
    for grade in grades_of(UK):
        assert grade.words.endswith("NOT CONFIRMED") or grade.category.code == NOT_NOTABLE
        assert "Category A" not in grade.category.label


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30, unique=True))
def test_whatever_the_codes_are_each_has_one_key_that_can_be_pressed(codes: list[str]) -> None:
    grades = grades_of(scheme_of(codes))
    assert [grade.category.code for grade in grades[: len(codes)]] == codes
    keys = [grade.key for grade in grades]
    assert len(set(keys)) == len(keys) == len(codes) + (NOT_NOTABLE not in codes)
    assert all(len(key) == 1 and key.isascii() and key.isalnum() and key == key.lower() for key in keys)


def test_more_categories_than_keys_are_refused() -> None:
    with pytest.raises(UsageError, match="more categories than there are keys"):
        grades_of(scheme_of([f"code {number}" for number in range(37)]))


def info(scheme: CategoryScheme, **changes: object) -> dict[str, object]:
    return {"role": "notable", "scheme": scheme.name, "scheme_file": scheme.as_dict(), **changes}


def test_the_scheme_is_that_of_the_case_s_notable_sets() -> None:
    infos = [info(CONFIRMED), info(US, role="known-good"), {"role": "notable", "scheme": "none"}]
    assert scheme_for(infos, None) == CONFIRMED
    assert schemes_of(infos, CONFIRMED) == (CONFIRMED,)
    assert scheme_for([{"role": "notable", "scheme": "uk"}], None) == UK  # a case that was told of the name alone


def test_where_sets_differ_or_have_none_a_person_says_which() -> None:
    with pytest.raises(UsageError, match="--scheme"):
        scheme_for([], None)
    with pytest.raises(UsageError, match="--scheme"):
        scheme_for([{"role": "notable", "scheme": "of a unit, told by its name alone"}], None)
    with pytest.raises(UsageError, match="several schemes"):
        scheme_for([info(UK), info(US)], None)
    assert scheme_for([info(UK), info(US)], "uk") == UK
    assert schemes_of([info(UK), info(US)], US) == (US, UK)
    with pytest.raises(UsageError, match="no categories"):
        scheme_for([], "none")
