"""What a worker is answered to when it asks again: its own file, one beside it by a name that is allowed, no other."""

from __future__ import annotations

import pytest

from caid_triage.model import FileEntry, State
from caid_triage.scan import protocol
from caid_triage.scan.rereads import Rereads

NAME = "thumbnails.data"
OWN = FileEntry("E", "s", "p1", 3, "/a/index.sqlite", b"/a/index.sqlite", State.ALLOCATED, 100)
OTHER = FileEntry("E", "s", "p1", 3, f"/a/{NAME}", f"/a/{NAME}".encode(), State.ALLOCATED, 1000)
CONTENTS = {OWN.path: bytes(range(100)), OTHER.path: bytes(range(250)) * 4}


def rereads(looked: list[str] | None = None, other: FileEntry | None = OTHER) -> Rereads:
    def read_at(entry: FileEntry, offset: int, length: int) -> bytes:
        return CONTENTS[entry.path][offset : offset + length]

    def beside(entry: FileEntry, name: str) -> FileEntry | None:
        assert entry is OWN
        if looked is not None:
            looked.append(name)
        return other

    return Rereads(OWN, 100, read_at, beside)


def test_the_size_and_the_bytes_of_both_files() -> None:
    looked: list[str] = []
    answers = rereads(looked)
    assert answers.answer({"offset": 3, "length": 4}) == (protocol.CHUNK, bytes((3, 4, 5, 6)))
    assert looked == []
    assert answers.answer({"beside": NAME}) == (protocol.CHUNK, (1000).to_bytes(8, "little"))
    assert answers.answer({"beside": NAME, "offset": 990, "length": 10}) == (protocol.CHUNK, bytes(range(240, 250)))
    assert answers.answer({"beside": NAME, "offset": 0, "length": 1}) == (protocol.CHUNK, b"\0")
    assert looked == [NAME]  # once


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "index.sqlite",
        "/etc/passwd",
        f"../{NAME}",
        f"x/{NAME}",
        NAME.upper(),
        f"{NAME}\0",
        None,
        5,
        [NAME],
    ],
)
def test_no_other_name_is_answered_to(name: object) -> None:
    looked: list[str] = []
    for more in ({}, {"offset": 0, "length": 1}):
        with pytest.raises(protocol.ProtocolError):
            rereads(looked).answer({"beside": name, **more})
    assert looked == []


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, 0), (999, 2), (1000, 1), (None, 5), (0, "5"), (True, 5)])
def test_places_outside_of_the_file_beside_are_refused(offset: object, length: object) -> None:
    with pytest.raises(protocol.ProtocolError):
        rereads().answer({"beside": NAME, "offset": offset, "length": length})


@pytest.mark.parametrize("other", [None, FileEntry("E", "s", "p1", 3, "/x", b"/x", State.ALLOCATED, None)])
def test_a_file_that_is_not_there_is_a_fault_of_the_evidence_and_looked_for_once(other: FileEntry | None) -> None:
    looked: list[str] = []
    answers = rereads(looked, other)
    for _ in range(3):
        kind, payload = answers.answer({"beside": NAME})
        assert (kind, protocol.from_json(payload)["code"]) == (protocol.ABORT, "not-readable")
    assert looked == [NAME]
    answers = Rereads(OWN, 100, lambda *_: b"", None)
    assert answers.answer({"beside": NAME, "offset": 0, "length": 1})[0] == protocol.ABORT


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("more", [{}, {"offset": 0, "length": 1}])
def test_asking_for_it_has_an_end(there: bool, more: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_NEEDS", 50)
    answers = rereads(None, OTHER if there else None)
    for _ in range(50):
        answers.answer({"beside": NAME, **more})
    with pytest.raises(protocol.ProtocolError):
        answers.answer({"beside": NAME, **more})
