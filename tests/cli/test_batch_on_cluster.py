"""A queue worked through on a running Dask cluster: the reports of the pool; no start where it does not fit."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Small, comparable_reports, many_pictures, picture, run_command
from support.dask_cluster import DaskCluster, dask_cluster
from support.queues import exhibit_table

pytest.importorskip("caid_triage.scan.dask", reason="needs the extra 'cluster'", exc_type=ModuleNotFoundError)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends POSIX signals and looks into /proc")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("cluster"), workers=1) as made:
        yield made


def queue_of(folder: Path, small: Small, defaults: str) -> Path:
    """Two exhibits: an image, and a folder with a damaged picture that lies elsewhere on the workers."""
    phone = folder.parent / "phone"
    if not phone.exists():
        phone.mkdir()
        many_pictures(phone, 4)
        (phone / "cut.jpg").write_bytes(picture("town.jpg")[:900])
    path = folder / "queue.toml"
    head = f'[defaults]\nhashsets = ["{small.hashset}"]\n{defaults}\n'
    path.write_text(head + exhibit_table("ABC/1", small.image) + exhibit_table("ABC/2", phone))
    return path


def test_a_queue_on_a_cluster_comes_to_what_the_pool_comes_to(
    cluster: DaskCluster, small: Small, tmp_path: Path
) -> None:
    ours, pool = tmp_path / "ours", tmp_path / "pool"
    ours.mkdir()
    pool.mkdir()
    queue = queue_of(
        ours, small, f'executor = "dask"\nscheduler = "{cluster.address}"\nmaps = "../phone={tmp_path}/there"'
    )
    shutil.copytree(tmp_path / "phone", tmp_path / "there")
    done = run_command("batch", queue, "--at-once", "2", "--quiet")
    assert done.returncode == 3, done.stderr
    alone = run_command("batch", queue_of(pool, small, ""), "--quiet")
    assert alone.returncode == 3, alone.stderr
    for name in ("ABC-1", "ABC-2"):
        assert comparable_reports(ours / "cases" / name / "reports") == comparable_reports(
            pool / "cases" / name / "reports"
        )
        trail = [json.loads(line) for line in (ours / "cases" / name / "audit.jsonl").read_text().splitlines()]
        left = next(line for line in trail if line["action"] == "cluster-left")
        assert left["batches"] > 0, "nothing of it was examined on the cluster"
    with (ours / "cases" / "batch.csv").open(newline="") as lines:
        assert [row["state"] for row in csv.DictReader(lines)] == ["done", "done, with problems"]


def test_what_the_cluster_cannot_take_in_the_night_is_examined_by_this_machine(
    cluster: DaskCluster, small: Small, tmp_path: Path
) -> None:
    """The share of one exhibit is not there on the workers; then the scheduler is gone when the first has ended."""
    pool = tmp_path / "pool"
    pool.mkdir()
    assert run_command("batch", queue_of(pool, small, ""), "--quiet").returncode == 3
    (tmp_path / "mortal").mkdir()
    with dask_cluster(tmp_path / "mortal", workers=1) as mortal:
        for folder, address, lines in (
            ("unseen", cluster.address, 'maps = "../phone=/nowhere"'),
            ("dead", mortal.address, ""),
        ):
            ours = tmp_path / folder
            ours.mkdir()
            queue = queue_of(ours, small, f'executor = "dask"\nscheduler = "{address}"\n{lines}')
            words = [sys.executable, "-P", "-m", "caid_triage", "batch", queue, "--at-once", "1", "--json-progress"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as batch:
                assert batch.stdout is not None
                for line in batch.stdout:
                    if folder == "dead" and json.loads(line)["event"] == "exhibit-ended" and mortal.scheduler:
                        mortal.scheduler.kill()
                _, errors = batch.communicate(timeout=300)
            assert batch.returncode == 3, errors
            for name in ("ABC-1", "ABC-2"):
                assert comparable_reports(ours / "cases" / name / "reports") == comparable_reports(
                    pool / "cases" / name / "reports"
                )
            if folder == "unseen":
                page = (ours / "cases" / "batch.html").read_text(encoding="utf-8")
                assert "ABC/2: its cluster did not take it, so this machine examines it (the worker tcp://" in page
                assert "/nowhere could not be opened there" in page


@pytest.mark.parametrize("reason", ["no scheduler", "another program"])
def test_a_cluster_that_does_not_fit_starts_nothing(
    cluster: DaskCluster, small: Small, tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = cluster.address if reason == "another program" else "tcp://127.0.0.1:9"
    folder = tmp_path / "queue"
    folder.mkdir()
    queue = queue_of(folder, small, f'executor = "dask"\nscheduler = "{address}"')
    if reason == "another program":  # that of this side: a plug-in that the worker does not have
        other = tmp_path / "site" / "other-1.0.dist-info"
        other.mkdir(parents=True)
        (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (other / "entry_points.txt").write_text("[caid_triage.perceptual_hashes]\nother = nothing:here\n")
        monkeypatch.setenv("PYTHONPATH", f"{other.parent}:{Path(__file__).parents[2]}")
    done = run_command("batch", queue, "--quiet")
    assert done.returncode == 2, done.stderr
    assert "nothing was started" in done.stderr
    assert ("could not be joined" if reason == "no scheduler" else "plug-ins is") in done.stderr
    assert done.stderr.count("line ") == 2  # each exhibit is named
    assert not (folder / "cases").exists()
