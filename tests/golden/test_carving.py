"""Real files of known content, laid out by the benchmark's own script, come back by their SHA-256."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pytest

from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, State

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sets():
    specification = importlib.util.spec_from_file_location("benchmark_carve", PROJECT / "benchmarks" / "carve.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(sets, shared):
    corpus = shared / "hostile" / "corpus.tar.xz"
    if not corpus.exists():
        pytest.skip("the corpus of real files is not in ../shared")
    return sets.real_files(shared / "photos", corpus, shared / "video")


def carved(path: Path, mode: str) -> set[str]:
    source = open_source(path, "E", "s", carving=mode)
    found = {
        hashlib.sha256(b"".join(source.chunks(item))).hexdigest()
        for item in source.walk()
        if isinstance(item, FileEntry) and item.state is State.CARVED
    }
    assert sum(source.coverage().values()) == source.info.size
    source.close()
    return found


def test_real_files_in_a_row_come_back_with_those_that_state_no_length(sets, files, tmp_path) -> None:
    path = tmp_path / "disk.dd"
    path.write_bytes(sets.contiguous(files))
    found = carved(path, "fast")
    missed = [name for name, data in files.items() if hashlib.sha256(data).hexdigest() not in found]
    assert len(missed) * 10 <= len(files), missed
    open_ended = [name for name, data in files.items() if name.endswith(".avif") and sets.has_open_end(data)]
    assert open_ended
    assert not set(missed) & set(open_ended)


def test_real_jpegs_in_two_pieces_come_back(sets, files, tmp_path) -> None:
    chosen = {name: data for name, data in files.items() if len(data) < 1_000_000}
    data, split = sets.fragmented(chosen)
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    found = carved(path, "thorough")
    pieces = [name for name in split if name.endswith(".jpg")]
    back = [name for name in pieces if hashlib.sha256(files[name]).hexdigest() in found]
    assert len(pieces) >= 10
    assert len(back) * 2 >= len(pieces), sorted(set(pieces) - set(back))


def test_what_debian_deleted_from_ext4_comes_back(golden_image, forensics_samples) -> None:
    found = carved(golden_image("debian-ext4"), "fast")
    wanted = (
        "movie2/movie-hello.avi", "movie2/movie-hello.mpeg", "movie2/movie-hello.ogg", "pic2/d-debian.jpg",
        "pic2/IMG_20191224_234846.jpg", "pic2/IMG_20200608_111614.jpg", "audio2/deleted.wav", "audio2/deleted.mp3",
        "audio2/deleted.ogg", "text2/d-text.pdf", "text2/d-text.docx", "text2/d-text.odt", "text2/test.sh",
    )  # fmt: skip
    for name in wanted:
        data = (forensics_samples / "original-files" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() in found, name
