"""Cells of the CSV files: no text begins as a formula does, and every text comes back exactly, through the file too."""

from __future__ import annotations

import csv
import io
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caid_triage.report.guard import guarded, unguarded
from caid_triage.report.rows_csv import csv_writer

SIGNS = "=+-@＝＋－＠﹢﹣﹦﹫"
IN_FRONT = " \u00a0\u3000\"'“”‘’«»\u200b\u202e\ufeff\x00\x1b\v\f\u2028"
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from([*SIGNS, *IN_FRONT, "\t", "\r", "\n", "\r\n", "a", ",", ";", "1", "/"]), max_size=12).map(
        "".join
    ),
)


def bites(cell: str) -> bool:
    """Whether a spreadsheet could take a line of the cell for a formula: told apart slowly, sign by sign."""
    return begins_with_a_sign(cell, IN_FRONT.replace("'", "") + "\t")


def begins_with_a_sign(cell: str, blank: str) -> bool:
    if cell[:1] in ("\t", "\r", "\n") and cell:
        return True
    lines = cell.replace("\r", "\n").split("\n")
    return any(line.lstrip(blank)[:1] in tuple(SIGNS) for line in lines if line)


# All that could be thought to draw nothing, and all quotes: what has no sign even behind these stays as it is.
DRAWS_NOTHING = ("Cc", "Cf", "Zs", "Zl", "Zp", "Pi", "Pf")
NOTHING = "".join(sign for sign in map(chr, range(0x10000)) if unicodedata.category(sign) in DRAWS_NOTHING)


def may_bite(text: str) -> bool:
    return begins_with_a_sign(text, NOTHING + IN_FRONT + "\u201a\u201e")


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("=1+1")
@example("'=1+1")
@example("''=1+1")
@example("'")
@example("a\r\n=1")
@example("\r\n'\n=1")
@example("'\t'=1")
@example("\x1f=")
@example("\xa0=")
@example("\u2029=")
def test_no_cell_bites_and_every_text_comes_back(text: str) -> None:
    cell = guarded(text)
    assert not bites(cell)
    assert unguarded(cell) == text
    assert unguarded(guarded(cell)) == cell
    if not may_bite(text) and "'" not in text:
        assert cell == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=4))
def test_rows_come_back_from_a_file_whatever_line_breaks_are_in_them(rows: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    csv_writer(out).writerows([guarded(text) for text in row] for row in rows)
    read = csv.reader(io.StringIO(out.getvalue(), newline=""), strict=True)
    assert [[unguarded(cell) for cell in row] for row in read] == rows


def test_a_path_and_an_honest_text_stay_as_they_are() -> None:
    for text in ("/=cmd|calc!A0", "/a;=1", "Category A", "", "3-2", "it's", "'quoted'", "a = b", "é=1", "x\ny"):
        assert guarded(text) == text


@pytest.mark.parametrize("sign", ["\x1f", "\x1c", " ", "'", '"', "\t", "\xa0", "\u200b"])
@pytest.mark.parametrize("start", ["", "/\n", "'"])
def test_a_name_made_of_one_sign_costs_no_time(sign: str, start: str) -> None:
    """Thirty of U+001F took minutes once: two classes of the pattern had it, and every way to share them was tried."""
    began = time.process_time()
    for count in (30, 4_000):
        text = start + sign * count + "a"
        assert unguarded(guarded(text)) == text
    assert time.process_time() - began < 2.0
