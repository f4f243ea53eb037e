"""What the options of ``sample`` may say: anything else is a wrong call in words, however long."""

from __future__ import annotations

import pytest

from caid_triage.cli.sample import checked_samples
from caid_triage.errors import UsageError


def test_numbers_of_samples() -> None:
    assert checked_samples(None) == (None, False)
    assert checked_samples("ALL") == (None, True)
    assert checked_samples("219,491") == (219_491, False)


@pytest.mark.parametrize("text", ["0", "-1", "1e3", "", "\N{ARABIC-INDIC DIGIT THREE}", "9" * 19, "9" * 5000])
def test_what_is_no_number_of_samples(text: str) -> None:
    with pytest.raises(UsageError, match="a number of samples, or all"):
        checked_samples(text)
