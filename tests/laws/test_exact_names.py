"""Exact names: two paths are never exported as one, in no format, and the bytes of each come back out of all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.exchange_case import make_exchange_case
from support.exported_names import EXPORTS, by_path, raw_of
from unit.case import samples

from caid_triage.case.view import open_case
from caid_triage.evidence.paths import display_name
from caid_triage.exact_names import exact_bytes, exact_text
from caid_triage.model import Kind
from caid_triage.report.pdf_file import drawable
from caid_triage.report.text import shown
from caid_triage.report.write import FORMATS, write_reports

# What one format or another escapes, the escapes written out as a name can hold them, and what stands beside them.
SIGNS: tuple[bytes, ...] = (
    b"\n", b"\\x0a", b"\r", b"\\x0d", b"\x01", b"\\x01", b"\0", b"\\x00", b"\x7f", b"\xff", b"\\xff", b"\xc3", b"\xa9",
    b"\\", b"\\x5c", b"\\\\", b"x0a", b"5c", b"\\x", b"\\u", b"\\u{", b"}", "\x85".encode(), b"\\x85", b"\x85",
    b"\\u0085", "\u202e".encode(), b"\\u202e", b"\\u{202e}", "\u2800".encode(), b"\\u{2800}", "\ufffe".encode(),
    b"\\ufffe", "\U000e0001".encode(), b"\\U000e0001", b"\\U00110000", b"\xed\xa0\x80", b"\\ud800", "e\u0301".encode(),
    "\u00e9".encode(), "\U0001f600".encode(), "写".encode(), b"<U+5199>", b"]]>", b"&#10;", b"_x000A_", b"_x005F_",
    b"'", b"=", b";", b"/", b"//", "\u2028".encode(), b" ", b":", b"C:\\Users\\a",
)  # fmt: skip
NAMES = st.one_of(
    st.lists(st.one_of(st.sampled_from(SIGNS), st.binary(min_size=1, max_size=3)), min_size=1, max_size=6).map(
        b"".join
    ),
    st.binary(min_size=1, max_size=20),
)
PAIRS = [
    (b"a\nb.jpg", b"a\\x0ab.jpg"), (b"c\xff.jpg", b"c\\xff.jpg"), ("e\ufffe.jpg".encode(), b"e\\ufffe.jpg"),
    (b"r\r.jpg", b"r\\x0d.jpg"), ("n\x85.jpg".encode(), b"n\x85.jpg"), ("\u202e".encode(), b"\\u202e"),
    ("\u2800".encode(), b"\\u{2800}"), ("写".encode(), b"<U+5199>"), (b"d/", b"d"), (b"\\x0a", b"\\x5cx0a"),
]  # fmt: skip


def display_path(raw: bytes) -> str:
    return "/".join(map(display_name, raw.split(b"/")))


@settings(max_examples=500, deadline=None)
@given(NAMES)
@example(b"\\x5cx0a")
@example(b"C:\\Users\\a\\x64\\b.jpg")
def test_every_name_comes_back_from_its_text_and_from_its_readable_form(raw: bytes) -> None:
    for text in (exact_text(raw), display_path(raw)):
        assert exact_bytes(text) == raw_of(text) == raw
    assert "\n" not in display_path(raw)


@settings(max_examples=500, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_documents_show_two_names_as_two(pair: list[bytes]) -> None:
    one, other = map(display_path, pair)
    assert shown(one) != shown(other)


@pytest.mark.parametrize("pair", PAIRS)
def test_documents_show_these_pairs_as_two(pair: tuple[bytes, bytes]) -> None:
    one, other = map(display_path, pair)
    assert len({shown(one), shown(other)}) == len({drawable(one), drawable(other)}) == 2


@pytest.mark.parametrize(
    "name", [b"IMG_0001.JPG", b"C:\\Users\\anna\\x.jpg", "café 写真 \U0001f4f7.jpg".encode(), b"50%.jpg"]
)
def test_ordinary_names_stay_as_they_are(name: bytes) -> None:
    assert exact_text(name) == display_name(name) == name.decode()


def make_case(folder: Path, raws: list[bytes]) -> Path:
    """A case in which each path is a listed picture with a problem, and a film that nothing knows."""
    items = []
    for number, raw in enumerate(raws):
        for place, kind, met in ((number, Kind.IMAGE, (samples.match(),)), (len(raws) + number, Kind.VIDEO, ())):
            more = {"problems": (samples.problem(),), "metadata": (("software", "x"),), "hashes": ()}
            record = samples.record(place, path=display_path(raw), raw_path=raw, kind=kind, **more)
            items.append((place, (record, met)))
    return make_exchange_case(folder, [item for _, item in sorted(items, key=lambda one: one[0])], batch=1000)


def read_back(folder: Path, out: Path) -> dict[str, list[bytes]]:
    """The paths out of each format."""
    with open_case(folder) as view:
        write_reports(view, out, sorted({name for name, *_ in EXPORTS.values()}))
    return {name: read(out / FORMATS[word].file) for name, (word, _, read) in EXPORTS.items()}


def held(folder: Path, raws: list[bytes]) -> None:
    """Check that every format gives every path back, byte for byte."""
    case = make_case(folder / "case", raws)
    for name, found in read_back(case, folder / "out").items():
        assert sorted(found) == sorted(raws if EXPORTS[name][1] else raws * 2), name


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(NAMES.map(lambda raw: b"/" + raw), min_size=1, max_size=40, unique=True))
def test_different_names_are_exported_as_different_names_in_every_format(tmp_path: Path, raws: list[bytes]) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    held(tmp_path, raws)


def test_these_pairs_are_exported_as_two_names_in_every_format(tmp_path: Path) -> None:
    held(tmp_path, [b"/" + raw for pair in PAIRS for raw in pair])


def test_a_case_whose_readable_paths_an_earlier_version_made_is_exported_exactly(tmp_path: Path) -> None:
    """Its readable paths do not tell all names apart; the bytes beside them do."""
    raws = [b"/a\nb.jpg", b"/a\\x0ab.jpg", b"/c\xff.jpg", b"/c\\xff.jpg", b"/plain.jpg"]
    paths = ["/a\\x0ab.jpg", "/a\\x0ab.jpg", "/c\\xff.jpg", "/c\\xff.jpg", "/plain.jpg"]
    items = [
        (samples.record(number, path=path, raw_path=raw), (samples.match(),))
        for number, (path, raw) in enumerate(zip(paths, raws, strict=True))
    ]
    found = read_back(make_exchange_case(tmp_path / "case", items), tmp_path / "out")
    listed = {name: found[name] for name, (_, which, read) in EXPORTS.items() if which != "N" and read is not by_path}
    assert len(listed) == 9
    for name, back in listed.items():
        assert sorted(back) == sorted(raws), name
