"""The E01 writer, asked of libewf: its Python binding, and ewfverify where that is installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from random import Random

import pyewf
import pytest

from caid_triage.synth.ewf import CHUNK, write_e01


def disk(chunks: int, more: int = 0) -> bytes:
    """Chunks of noise, of zeros and of text in turn, and some sectors."""
    rng = Random("ewf")
    kinds = (lambda: rng.randbytes(CHUNK), lambda: bytes(CHUNK), lambda: (b"text " * CHUNK)[:CHUNK])
    return b"".join(kinds[number % 3]() for number in range(chunks)) + rng.randbytes(512 * more)


@pytest.mark.parametrize(("chunks", "more", "segments"), [(3, 0, 1), (7, 5, 1), (7, 5, 3), (2, 0, 2), (0, 3, 1)])
def test_libewf_reads_back_the_disk(tmp_path: Path, chunks: int, more: int, segments: int) -> None:
    content = disk(chunks, more)
    first = write_e01(tmp_path, "made", content, segments=segments, case_number="case 7")
    paths = sorted(tmp_path.glob("made.E*"))
    assert first == paths[0]
    assert len(paths) == segments
    handle = pyewf.handle()
    handle.open([str(path) for path in paths])
    assert handle.get_media_size() == len(content)
    assert handle.read(len(content)) == content
    assert handle.get_hash_values() == {
        "MD5": hashlib.md5(content).hexdigest(),
        "SHA1": hashlib.sha1(content).hexdigest(),
    }
    assert handle.get_header_values()["case_number"] == "case 7"
    handle.close()


@pytest.mark.skipif(shutil.which("ewfverify") is None, reason="ewfverify (ewf-tools) is not installed")
@pytest.mark.parametrize(("changed", "code"), [(False, 0), (True, 1)])
def test_ewfverify_tells_a_changed_disk_from_one_as_acquired(tmp_path: Path, changed: bool, code: int) -> None:
    content = disk(4)
    other = bytearray(content)
    other[100] ^= changed
    path = write_e01(tmp_path, "made", other, acquired=content)
    done = subprocess.run(["ewfverify", "-q", path], capture_output=True, check=False, timeout=60)
    assert done.returncode == code


@pytest.mark.parametrize(("size", "segments"), [(100, 1), (0, 1), (512, 0), (CHUNK, 2), (100 * CHUNK, 100)])
def test_what_cannot_be_written_is_refused(tmp_path: Path, size: int, segments: int) -> None:
    with pytest.raises(ValueError, match="whole sectors"):
        write_e01(tmp_path, "made", bytes(size), segments=segments)
