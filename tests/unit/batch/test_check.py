"""The whole queue is looked at before anything starts: all that is wrong at once, by exhibit and line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from unit.case import samples

from caid_triage.batch.check import check_arrival, checked_queue, worst_of
from caid_triage.batch.queue import Exhibit
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.errors import CaidTriageError, CaseError, HashSetError, SourceError, UsageError


@pytest.fixture(scope="module")
def chs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from caid_triage import build_hashset

    source = tmp_path_factory.mktemp("set") / "list.txt"
    source.write_text("0cc175b9c0f1b6a831c399e269772661\n")
    build_hashset([source], source.with_name("set.chs"), name="set")
    return source.with_name("set.chs")


def write(folder: Path, *exhibits: str, top: str = "") -> Path:
    path = folder / "queue.toml"
    path.write_text(top + "\n".join(exhibits), encoding="utf-8")
    return path


def exhibit(reference: str, source: Path | str, *more: str) -> str:
    return "\n".join(["[[exhibit]]", f'reference = "{reference}"', f'source = "{source}"', *more])


def refused(path: Path, kind: type[CaidTriageError]) -> tuple[str, ...]:
    with pytest.raises(kind) as caught:
        checked_queue(path)
    assert type(caught.value) is kind
    return caught.value.lines


def test_a_sound_queue_is_checked_and_nothing_is_made(tmp_path: Path, chs: Path) -> None:
    image = tmp_path / "a.dd"
    image.write_bytes(bytes(512))
    secrets = tmp_path / "secrets.txt"
    secrets.write_text("open sesame\n")
    path = write(tmp_path, exhibit("A/1", image, f'hashsets = "{chs}"', f'password_file = "{secrets}"'))
    before = sorted(tmp_path.iterdir())
    checked = checked_queue(path)
    assert [one.reference for one in checked.queue.exhibits] == ["A/1"]
    assert set(checked.generations) == {chs}
    assert checked.faulty == ()
    assert sorted(tmp_path.iterdir()) == before


def test_everything_that_is_wrong_is_told_at_once_with_line_and_exhibit(tmp_path: Path, chs: Path) -> None:
    image = tmp_path / "a.dd"
    image.write_bytes(bytes(512))
    broken = tmp_path / "broken.chs"
    broken.write_bytes(b"no set")
    path = write(
        tmp_path,
        exhibit("A/1", tmp_path / "gone.E01"),
        exhibit("A/2", image, f'hashsets = "{broken}"'),
        exhibit("A/3", tmp_path / "a.dd/../a.dd", 'password_file = "none.txt"', "colour = 1"),
        exhibit("A/4", "queue.toml", f'hashsets = ["{chs}", "{chs}"]', 'distances = "other:pdq=3"'),
    )
    head, *lines = refused(path, UsageError)
    assert "nothing was started" in head
    assert f"{len(lines)} faults" in head
    text = "\n".join(lines)
    for words in (
        "line 1, exhibit A/1: its source",
        "gone.E01 does not exist",
        "line 4, exhibit A/2:",
        "line 12, exhibit A/3: there is no colour",
        "two hash sets are called set",
    ):
        assert words in text, words
    assert not (tmp_path / "cases").exists()


def test_what_else_is_wrong_with_an_exhibit_is_told_with_its_spelling(tmp_path: Path) -> None:
    """A spelling fault hid a source that was not there, a hash set that was not, and a reference that was there twice:
    they were told in a second round."""
    (tmp_path / "here").mkdir()
    path = write(
        tmp_path,
        exhibit("A/1", "here"),
        exhibit("A/1", "gone.dd", 'hashsets = "gone.chs"', "profil = 1"),
        exhibit("A/3", "here", 'leads = "perhaps"'),
        '[[exhibit]]\nsource = "gone too.dd"',
        '[[exhibit]]\nreference = "A/4"',
        exhibit("A/4", "neither.dd", 'case = "batch.x"'),
    )
    head, *lines = refused(path, UsageError)
    assert head.endswith(f"has {len(lines)} faults; nothing was started")
    told = [
        ("line 4, exhibit A/1: ", "gone.chs"),
        ("line 4, exhibit A/1: ", "the reference A/1 is there twice, as in line 1"),
        ("line 4, exhibit A/1: its source ", "gone.dd does not exist; check its path, and that its disk is connected"),
        ("line 8, exhibit A/1: there is no profil in [exhibit]", "did you mean profile?"),
        ("line 9, exhibit A/3: ", "here is there twice, as in line 1"),
        ("line 12, exhibit A/3: ", "perhaps"),
        ("line 13, exhibit 4 of the file: ", "reference is missing"),
        ("line 13, exhibit 4 of the file: its source ", "gone too.dd does not exist"),
        ("line 15, exhibit A/4: ", "source is missing"),
        ("line 17, exhibit A/4: ", "no case folder can be named so"),
        ("line 17, exhibit A/4: ", "the reference A/4 is there twice, as in line 15"),
        ("line 17, exhibit A/4: its source ", "neither.dd does not exist"),
    ]
    for where, what in told:
        assert any(line.strip().startswith(where) and what in line for line in lines), (where, what, lines)
    assert len(lines) == len(told)
    with pytest.raises(UsageError):
        checked_queue(path, without_faulty=True)


@pytest.mark.parametrize(
    ("lines", "kind", "said"),
    [
        ([exhibit("A", "gone.dd")], SourceError, "does not exist"),
        ([exhibit("A", "here", 'hashsets = "gone.chs"')], HashSetError, "gone.chs"),
        ([exhibit("A", "here", 'password_file = "gone"')], UsageError, "password file"),
        ([exhibit("A", "gone.dd"), exhibit("B", "here", 'hashsets = "x"')], HashSetError, "gone.dd"),
        (["# nothing"], UsageError, "no [[exhibit]] is in it"),
    ],
)
def test_the_exit_code_is_that_of_the_worst_fault(
    tmp_path: Path, lines: list[str], kind: type[CaidTriageError], said: str
) -> None:
    (tmp_path / "here").mkdir()
    assert said in "\n".join(refused(write(tmp_path, *lines), kind))


def test_cases_and_evidence_do_not_lie_in_each_other(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    inside = tmp_path / "cases" / "B" / "image.dd"
    for folder in (evidence, inside.parent):
        folder.mkdir(parents=True)
    inside.write_bytes(bytes(512))
    top = 'cases = "cases"\n'
    text = "\n".join(
        refused(
            write(
                tmp_path, exhibit("A", evidence), exhibit("B", evidence / "..", f'case = "{evidence}/case"'), top=top
            ),
            UsageError,
        )
    )
    assert "the case folder of B lies inside its source" in text
    assert "the folder of the cases" in text
    text = "\n".join(refused(write(tmp_path, exhibit("B", inside), top=top), UsageError))
    assert "lies inside the case folder of B" in text


def test_a_case_folder_of_another_exhibit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "cases").mkdir()
    with create_case(tmp_path / "cases" / "A-1", CaseHeader(reference="Z/9")) as case:
        pass
    lines = refused(write(tmp_path, exhibit("A/1", "here")), CaseError)
    assert "holds the case of Z/9" in "\n".join(lines)
    with open_case_for_writing(tmp_path / "cases" / "A-1") as case:
        case.add_source(samples.source(), {})
        case.state({("", "reference"): "A/1"})
    lines = refused(write(tmp_path, exhibit("A/1", "here")), CaseError)  # it has an exhibit: how it is called says less
    assert "holds the case of ABC/1" in "\n".join(lines)


def test_a_case_that_has_a_reference_of_its_own_goes_on(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "cases").mkdir()
    create_case(tmp_path / "cases" / "A-1", CaseHeader(reference="OP/7")).close()
    path = write(tmp_path, exhibit("A/1", "here", 'case_reference = "OP/7"'))  # killed before its exhibit was stored
    assert [one.case_reference for one in checked_queue(path).queue.exhibits] == ["OP/7"]
    create_case(tmp_path / "cases" / "ABC-1", CaseHeader(reference="OP/7")).close()
    with open_case_for_writing(tmp_path / "cases" / "ABC-1") as case:
        case.add_source(samples.source(), {})
    assert checked_queue(write(tmp_path, exhibit("ABC/1", "here"))).faulty == ()


def test_a_contact_file_that_cannot_be_used_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "unit.toml").write_text('fone = "1"\n')
    lines = refused(write(tmp_path, exhibit("A/1", "here", 'contact = "unit.toml"')), UsageError)
    assert "'fone' is no key of it" in "\n".join(lines)
    (tmp_path / "unit.toml").write_text('phone = "1"\n')
    path = write(tmp_path, exhibit("A/1", "here", 'contact = "unit.toml"'))
    assert [one.contact for one in checked_queue(path).queue.exhibits] == [tmp_path / "unit.toml"]


def test_a_damaged_case_is_the_scans_to_report(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "cases" / "A-1").mkdir(parents=True)
    (tmp_path / "cases" / "A-1" / "case.db").write_bytes(b"this is no database" * 100)
    checked = checked_queue(write(tmp_path, exhibit("A/1", "here")))
    assert [one.reference for one in checked.queue.exhibits] == ["A/1"]


def test_the_sound_exhibits_alone_may_be_done(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    path = write(tmp_path, exhibit("A", "gone.dd"), exhibit("B", "here"))
    checked = checked_queue(path, without_faulty=True)
    assert [one.reference for one in checked.queue.exhibits] == ["B"]
    assert [(fault.reference, fault.code) for fault in checked.faulty] == [("A", 4)]
    path = write(tmp_path, exhibit("A", "gone.dd"), exhibit("B", "here", "x = 1"))
    with pytest.raises(UsageError):  # what is wrong with the file itself stops it all the same
        checked_queue(path, without_faulty=True)


def test_hash_sets_of_the_defaults_are_looked_at_although_no_exhibit_has_them(tmp_path: Path, chs: Path) -> None:
    path = write(tmp_path, top='[defaults]\nhashsets = "gone.chs"\n')
    with pytest.raises(HashSetError, match=r"gone\.chs"):
        checked_queue(path, may_be_empty=True)
    path = write(tmp_path, top=f'[defaults]\nhashsets = "{chs}"\n')
    assert checked_queue(path, may_be_empty=True).queue.exhibits == ()


@pytest.mark.parametrize(
    ("codes", "worst"), [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 4], 4), ([4, 5, 6], 6), ([6, 2], 2), ([2, 1, 5], 1)]
)
def test_the_worst_of_exit_codes(codes: list[int], worst: int) -> None:
    assert worst_of(codes) == worst


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
def test_a_pipe_is_told_of_and_never_waited_for(tmp_path: Path) -> None:
    pipe, image = tmp_path / "pipe", tmp_path / "a.dd"
    os.mkfifo(pipe)
    image.write_bytes(bytes(512))
    lines = refused(write(tmp_path, exhibit("A", pipe), exhibit("B", image, 'password_file = "pipe"')), UsageError)
    assert "line 1, exhibit A: its source" in lines[1]
    assert "is neither a file, a folder nor a block device" in lines[1]
    assert f"line 4, exhibit B: the password file {pipe} is no file" in lines[2]


def test_what_lies_above_the_queue_is_told_as_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    folder.mkdir()
    lines = refused(write(folder, exhibit("A", "../gone.dd", 'hashsets = "../gone.chs"')), HashSetError)
    assert "its source ../gone.dd does not exist" in "".join(lines)
    assert str(folder) + "/.." not in "".join(lines[1:])


def test_a_link_that_leads_in_a_circle_is_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    path = write(tmp_path, exhibit("A", "loop"), top='cases = "loop/cases"\n')
    assert "its source" in refused(path, SourceError)[1]


def test_one_image_under_two_names_is_refused(tmp_path: Path) -> None:
    """By a link, or by capitals on a disk that knows none; names that differ in capitals alone are two files here."""
    (tmp_path / "a.dd").write_bytes(bytes(512))
    (tmp_path / "A.dd").write_bytes(bytes(512))
    (tmp_path / "link.dd").symlink_to("a.dd")
    sound = write(tmp_path, exhibit("A/1", "a.dd"), exhibit("A/2", "A.dd", 'case = "two"'))
    assert len(checked_queue(sound).queue.exhibits) == 2
    lines = refused(write(tmp_path, exhibit("A/1", "a.dd"), exhibit("A/3", "link.dd")), UsageError)
    assert "link.dd is that of A/1, written otherwise" in lines[1]


def test_what_comes_under_a_name_in_other_capitals_gets_no_case_of_another(tmp_path: Path) -> None:
    (tmp_path / "a.dd").write_bytes(bytes(512))
    there = Exhibit("Stick", (tmp_path / "b.dd",), tmp_path / "cases" / "Stick")
    with pytest.raises(UsageError, match="would be that of the exhibit Stick"):
        check_arrival(Exhibit("STICK", (tmp_path / "a.dd",), tmp_path / "cases" / "STICK"), [there])


def test_looking_at_thousands_of_exhibits_takes_seconds(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(1500):
        (tmp_path / "a" / f"{number}.dd").touch()
    path = write(tmp_path, *(exhibit(f"E{number}", f"a/{number}.dd") for number in range(1500)))
    began = time.process_time()
    assert len(checked_queue(path).queue.exhibits) == 1500
    assert time.process_time() - began < 8
