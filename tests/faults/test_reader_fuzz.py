"""Damaged files of every format: a reader gives rows, refused rows or a HashSetError, and quotes no hash."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.set_samples import SAMPLES, read_all

from caid_triage.hashset.readers.registry import reader_for, readers
from caid_triage.hashset.rows import SourceFile


def test_there_is_a_sample_of_every_format_and_it_is_told_by_its_content() -> None:
    assert set(SAMPLES) == {reader.name for reader in readers()}
    for name, data in SAMPLES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "set.bin"
            path.write_bytes(data)
            source = SourceFile(path)
            assert reader_for(source).name == name
            source.close()
        assert read_all(data, None, False) > 0


@pytest.mark.parametrize("name", sorted(SAMPLES))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_damage_is_refused_in_words(name: str, data: st.DataObject) -> None:
    raw = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 40, len(raw)]))
        junk = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"\x00" * 40, b'"', b"'", b"\r\n", b",", b"9" * 30]))
        )
        raw[place : place + length] = junk
    read_all(bytes(raw), data.draw(st.sampled_from([None, name])), data.draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, *sorted(SAMPLES)]))
def test_noise_is_refused_in_words(noise: bytes, name: str | None) -> None:
    read_all(noise, name, False)
