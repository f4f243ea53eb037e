"""Text of the evidence costs time that grows as its length, whatever stands in it, and reads as it always did."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.errors import SourceError
from caid_triage.evidence.carve.chunks import _NETPBM
from caid_triage.evidence.containers.turtle import parse_turtle
from caid_triage.evidence.containers.vmdk import _SETTING, open_vmdk
from caid_triage.evidence.layers.lvm_text import parse

MIB = 1 << 20
MOST_SECONDS = 5.0


def vmdk_of(text: str) -> Callable[[Path], object]:
    def opened(folder: Path) -> object:
        path = folder / "disk.vmdk"
        path.write_text(f"# Disk DescriptorFile\n{text}\n", encoding="utf-8")
        return open_vmdk(path)

    return opened


SLOW = {
    "a picture's header of blanks": lambda _: _NETPBM.match(b"P1" + b" " * 509 + b"x"),
    "a picture's header of remarks": lambda _: _NETPBM.match(b"P1" + b" #\n" * 169 + b"x"),
    "LVM2: a text that nothing closes": lambda _: parse('"' + '\\"' * (MIB // 2)),
    "LVM2: a value that nothing closes": lambda _: parse('a = "' + '\\"' * (MIB // 2)),
    "Turtle: long texts that nothing closes": lambda _: parse_turtle('"""b" a\\' * (MIB // 8)),
    "VMDK: blanks in a value": vmdk_of("CID=x" + " " * (MIB - 100) + "x"),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_text_made_to_be_slow_is_not(what: str, tmp_path: Path) -> None:
    """A megabyte in seconds: its square takes an hour and more, and each further blank of a header doubled the time."""
    begun = time.process_time()
    with suppress(ValueError, SourceError):  # damaged, as it is
        SLOW[what](tmp_path)
    assert time.process_time() - begun < MOST_SECONDS


OLD_NETPBM = re.compile(rb"P([1-6])(?:\s+|\s*#[^\n]*\n)+(\d{1,6})\s+(\d{1,6})(?:\s+(\d{1,5}))?\s")
HEADER = st.lists(st.sampled_from([b" ", b"\n", b"#", b"1", b"7", b"x"]), max_size=16).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(HEADER)
def test_a_picture_s_header_reads_as_by_the_plain_pattern(rest: bytes) -> None:
    found, plain = (pattern.match(b"P5" + rest) for pattern in (_NETPBM, OLD_NETPBM))
    assert (found and (found.groups(), found.end())) == (plain and (plain.groups(), plain.end()))


OLD_SETTING = re.compile(r'^\s*(CID)\s*=\s*"?(.*?)"?\s*$', re.I)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([" ", "\t", '"', "=", "x", "\u00a0"]), max_size=12).map("".join))
def test_a_setting_reads_as_by_the_plain_pattern(rest: str) -> None:
    found, plain = (pattern.match(f"CID={rest}") for pattern in (_SETTING, OLD_SETTING))
    assert found is not None
    assert plain is not None
    assert found[2].rstrip().removesuffix('"') == plain[2]


def test_a_text_of_lvm2_that_does_not_end_is_damage() -> None:
    with pytest.raises(ValueError, match="does not end"):
        parse('a = "b')
    assert parse('a = "b\\"c" d = "" e = [ "x", 2 ]') == {"a": 'b"c', "d": "", "e": ["x", 2]}
