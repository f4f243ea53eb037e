"""A process that reads sectors and dies, hangs or lies: the place that it read pays, and the sampling goes on."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.cli.sample import sample
from caid_triage.config import ParserLimits
from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.sectors import open_sectors
from caid_triage.evidence.steps import DIED, HUNG
from caid_triage.hashset.make_blocks import make_block_set
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.draws import draws
from caid_triage.report.fragments import statement
from caid_triage.scan import remote_sectors, sampling
from caid_triage.scan.remote_sectors import RemoteSectors
from caid_triage.scan.sample_plan import CELL, SampleOptions
from caid_triage.scan.sampling import NOT_READ, Sampler
from caid_triage.synth.ewf import write_e01

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the disk is read in the command's own process")
LIMITS = ParserLimits(step_seconds=1, long_steps=5, idle_seconds=1.5, retries=0)
MIB = 1 << 20
CONTENT = np.random.default_rng(11).bytes(2 * MIB)
PLACES = [(start, CELL + 3584) for start in range(0, MIB, 8 * CELL)]
BAD = 5 * 8 * CELL


@pytest.fixture(autouse=True)
def hostile_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(Path(__file__).parent), known))))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_e01(tmp_path, "disk", CONTENT)


def ordered(image: Path, **orders: object) -> None:
    image.with_name(image.name + ".orders").write_text(json.dumps(orders))


def opened(image: Path, limits: ParserLimits = LIMITS) -> RemoteSectors:
    return RemoteSectors(image, "EX/1", image.name, limits, "hostile_sectors")


def here(image: Path) -> list[bytes | None]:
    with open_sectors(image, "EX/1", image.name) as sectors:
        return list(sectors.read_each(PLACES))


@pytest.fixture(scope="module")
def hashset(tmp_path_factory: pytest.TempPathFactory) -> HashSet:
    folder = tmp_path_factory.mktemp("set")
    (folder / "graded" / "1").mkdir(parents=True)
    (folder / "graded" / "1" / "a.bin").write_bytes(CONTENT[MIB : MIB + 40 * CELL])
    make_block_set(folder / "graded", folder / "set.chs")
    return open_hashset(folder / "set.chs")


def facts_of(hashset: HashSet) -> dict[str, object]:
    return {"name": hashset.name, "generation": hashset.generation, "blocks": hashset.manifest["blocks"]}


@pytest.mark.parametrize("kind", ["E01", "raw"])
def test_it_gives_what_the_commands_own_process_gives(image: Path, tmp_path: Path, kind: str) -> None:
    path = image
    if kind == "raw":
        path = tmp_path / "disk.dd"
        path.write_bytes(CONTENT)
    beyond = [*PLACES, (2 * MIB - 512, 512), (2 * MIB - 512, 1024), (0, 0)]
    with open_sectors(path, "EX/1", path.name) as sectors, closing(RemoteSectors(path, "EX/1", path.name)) as remote:
        assert (remote.info, remote.size, remote.problems) == (sectors.info, sectors.size, sectors.problems)
        assert list(remote.read_each(beyond)) == list(sectors.read_each(beyond))
        assert remote.read(MIB, 4 * MIB) is sectors.read(MIB, 4 * MIB) is None
        assert remote.process_id not in (None, os.getpid())


@pytest.mark.parametrize(("do", "code"), [("die", DIED), ("bug", DIED), ("hang", HUNG)])
def test_the_place_that_it_dies_of_is_not_read_and_all_others_are(image: Path, do: str, code: str) -> None:
    ordered(image, byte=BAD, do=do)
    with closing(opened(image)) as sectors:
        found = list(sectors.read_each(PLACES))
    expected = here(image)
    expected[5] = None
    assert found == expected
    (problem,) = sectors.problems
    assert problem.code == code
    assert f"at bytes {BAD} to {BAD + CELL + 3584} of the disk" in problem.detail
    assert "suspect" not in problem.detail


@pytest.mark.parametrize("kind", ["E01", "raw"])
def test_what_dies_once_is_read_again(image: Path, tmp_path: Path, kind: str) -> None:
    path = image
    if kind == "raw":
        path = tmp_path / "disk.dd"
        path.write_bytes(CONTENT)
    ordered(path, byte=BAD, do="die", times=1)
    with closing(opened(path, ParserLimits(retries=2))) as sectors:
        assert list(sectors.read_each(PLACES)) == here(path)
    assert sectors.problems == ()


def test_an_answer_that_is_none_ends_the_process_and_not_the_reading(image: Path) -> None:
    lies = ["longer", "shorter", "mask", "empty", "kind"]
    ordered(image, lies=lies)
    with closing(opened(image, ParserLimits(retries=9))) as sectors:
        assert list(sectors.read_each(PLACES)) == here(image)
    assert image.with_name(image.name + ".tally").stat().st_size > len(lies)


def test_after_so_many_deaths_nothing_more_is_read(image: Path) -> None:
    ordered(image, lies=["kind"] * 9)
    limits = ParserLimits(retries=9, deaths=3)  # the place itself is not given up before
    with closing(opened(image, limits)) as sectors, pytest.raises(EvidenceError, match="died") as error:
        sectors.read(0, 512)
    assert error.value.code == "parser-gave-up"


@pytest.mark.parametrize("do", ["die", "hang"])
def test_a_disk_that_cannot_be_opened_is_said_to_be_so(image: Path, do: str) -> None:
    ordered(image, opening=do)
    with pytest.raises(SourceError, match="while it opened the source"):
        opened(image, replace(LIMITS, step_seconds=0.2))


def test_a_message_of_refusal_comes_over_the_border(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        RemoteSectors(tmp_path, "EX/1", "folder")
    with pytest.raises(SourceError, match="could not be opened"):
        RemoteSectors(tmp_path / "nowhere", "EX/1", "nowhere")


def test_a_size_that_no_disk_has_is_refused(image: Path, hashset: HashSet) -> None:
    ordered(image, size=1 << 79)
    with closing(opened(image)) as sectors, pytest.raises(SourceError, match="no disk is so large"):
        Sampler(sectors, hashset, facts_of(hashset), SampleOptions())


def test_of_a_disk_without_a_size_nothing_is_sampled(image: Path) -> None:
    ordered(image, size=None)
    with pytest.raises(SourceError, match="does not say how large"):
        opened(image)


def test_the_page_that_both_share_cannot_be_taken_away(image: Path) -> None:
    """A file in memory that is cut kills whoever reads what is gone: that would be the command."""
    ordered(image, byte=BAD, do="shrink")
    with closing(opened(image)) as sectors:
        assert list(sectors.read_each(PLACES))[4:6] == [here(image)[4], None]
    (problem,) = sectors.problems
    assert "PermissionError" in problem.detail


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the limits of a process from /proc")
def test_no_core_of_it_is_written(image: Path) -> None:
    with closing(opened(image)) as remote:
        limits = Path(f"/proc/{remote.process_id}/limits").read_text()
    assert re.search(r"^Max core file size +[01] +[01] ", limits, re.MULTILINE)


# -- a sampling --------------------------------------------------------------------------------------------------------


def test_a_place_that_kills_is_a_cell_that_was_not_read_and_is_said(
    image: Path, hashset: HashSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends in order with exit code 3; what there is beside the place is found, and the report names it."""
    monkeypatch.setattr(remote_sectors, "MODULE", "hostile_sectors")
    ordered(image, byte=BAD, do="die")
    words = [image, "--hashset", hashset.path, "--case", tmp_path / "case", "--samples", "all", "--json-progress"]
    done = CliRunner().invoke(sample, [str(word) for word in words])
    assert done.exit_code == 3, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["complete"], last["blocks_found"]) == (True, hashset.counts["blocks"])
    assert last["read_to_unread"] == 2  # the cell, and the one before: a block that begins there reaches into it
    assert sum("of the evidence" in limit or "reads the evidence died" in limit for limit in last["limits"]) == 3
    assert "reads the evidence died at bytes" in (tmp_path / "case" / "reports" / "report.html").read_text("utf-8")


def test_where_it_gives_up_what_was_drawn_is_kept_and_it_goes_on_later(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_bytes(np.random.default_rng(77).bytes(20_000))
    make_block_set(tmp_path / "other", tmp_path / "other.chs")
    strangers = open_hashset(tmp_path / "other.chs")
    monkeypatch.setattr(sampling, "ROUND", 5)

    def sampled(folder: Path, limits: ParserLimits) -> tuple[Sampler, bool]:
        case = open_case_for_writing(folder) if folder.exists() else create_case(folder, CaseHeader("EX/1"))
        with case, closing(opened(image, limits)) as sectors:
            options = SampleOptions(target=MIB, seed=3)
            sampler = Sampler(sectors, strangers, facts_of(strangers), options, case)
            return sampler, sampler.run(whole=False)

    calm, ended = sampled(tmp_path / "calm", LIMITS)
    assert ended
    assert calm.sampling.drawn > 6
    bad = int(draws(3, calm.sampling.population, 6, 1)[0]) * CELL
    ordered(image, byte=bad + 600, do="die")
    first, ended = sampled(tmp_path / "case", ParserLimits(retries=9, deaths=2))
    assert not ended
    assert (first.sampling.drawn, first.sampling.read) == (5, 5)
    assert any(NOT_READ in limit for limit in statement(first.sampling, 0, 0).limits)
    image.with_name(image.name + ".orders").unlink()
    again, ended = sampled(tmp_path / "case", LIMITS)
    assert ended
    assert again.sampling == calm.sampling
