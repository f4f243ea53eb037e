"""The names of stored perceptual hashes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from caid_triage.perceptual import HASH_BYTES, LOOKS, HashName, hash_name


@given(st.builds(HashName, st.sampled_from(sorted(HASH_BYTES)), st.sampled_from(["", *LOOKS]), st.booleans()))
def test_a_name_survives_being_stored(name: HashName) -> None:
    assert hash_name(name.text) == name


@given(st.text(st.sampled_from("abpdqhs-51urned2trim"), min_size=1, max_size=30))
def test_any_text_is_one_name_and_stays_what_it_is(text: str) -> None:
    assert hash_name(text).text == text


def test_what_the_names_of_this_tool_mean() -> None:
    assert hash_name("pdq") == HashName("pdq")
    assert hash_name("pdq-turned").length == 7 * 32
    assert hash_name("phash-trimmed-turned") == HashName("phash", "trimmed", turned=True)
    assert hash_name("pdq-512").length == 32
    # A plug-in's own name is nothing of ours, even where it begins alike.
    assert hash_name("pdq-mine") == HashName("pdq-mine")
    assert hash_name("neural-turned").length is None
