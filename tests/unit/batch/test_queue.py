"""The queue file: what it may say, and every fault of it told at once with its line."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.batch.queue import Exhibit, Fault, Queue, folder_name
from caid_triage.batch.queue_file import read_queue
from caid_triage.config import ClusterOptions
from caid_triage.errors import UsageError

WHOLE = """
cases = "out"
time_box = "1h"

[defaults]
hashsets = ["caid.chs", "/sets/own.chs"]
profile = "full"
examiner = "DC 1234"
operation = "Larch"
contact = "unit.toml"

[budget]
at_once = 2
workers = 1
memory = "12GB"
worker_memory = "500MB"
silence = "30min"

[[disk]]
path = "/mnt/nas"
readers = 4

[notify]
file = "told.jsonl"
command = ["/usr/local/bin/tell", "--unit"]

[watch]
quiet = "5min"
marker = ".complete"

[[exhibit]]
reference = "ABC/1"
source = "one.E01"

[[exhibit]]
reference = "ABC/2"
source = ["two.dd", "/images/three.dd"]
hashsets = []
profile = "quick"
priority = 1
case = "elsewhere"
password_file = "secrets.txt"
verify_source = true
leads = "off"
distances = ["own:pdq=20"]
examiner = "DC 5678"
case_reference = " OP/7 "
operation = "Birch"
seized = "2026-03-02"
"""


def read(folder: Path, text: str) -> tuple[Queue, list[Fault]]:
    path = folder / "queue.toml"
    path.write_text(text, encoding="utf-8")
    return read_queue(path)


def test_everything_that_it_may_say(tmp_path: Path) -> None:
    queue, faults = read(tmp_path, WHOLE)
    assert faults == []
    first, second = queue.exhibits
    assert first == Exhibit(
        "ABC/1", (tmp_path / "one.E01",), tmp_path / "out" / "ABC-1", (tmp_path / "caid.chs", Path("/sets/own.chs")),
        "full", examiner="DC 1234", operation="Larch", contact=tmp_path / "unit.toml",
    )  # fmt: skip
    assert second == Exhibit(
        "ABC/2", (tmp_path / "two.dd", Path("/images/three.dd")), tmp_path / "out" / "elsewhere", (), "quick", 1,
        tmp_path / "secrets.txt", True, "off", ("own:pdq=20",), "DC 5678", "OP/7", "Birch",
        tmp_path / "unit.toml", "2026-03-02",
    )  # fmt: skip
    lines = WHOLE.split("\n")
    assert [lines[(one.line or 0) - 1] for one in queue.exhibits] == ["[[exhibit]]"] * 2
    assert (queue.time_box, queue.cases, queue.readers) == (3600, tmp_path / "out", ((Path("/mnt/nas"), 4),))
    budget = queue.budget
    assert (budget.at_once, budget.workers, budget.memory, budget.worker_memory) == (2, 1, 12 * 10**9, 500 * 10**6)
    assert (budget.silence, queue.watch.quiet, queue.watch.marker) == (1800, 300, ".complete")
    assert queue.notify.file == tmp_path / "told.jsonl"
    assert queue.notify.command == ("/usr/local/bin/tell", "--unit")


EXHIBIT = '[[exhibit]]\nreference = "A/1"\nsource = "a.dd"\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('casess = "x"\n' + EXHIBIT, 1, "there is no casess in a queue; did you mean cases?"),
        ("[budgett]\n" + EXHIBIT, 1, "there is no budgett in a queue; did you mean budget?"),
        ("exhibit = 3", 1, "exhibit is written as [[exhibit]]"),
        ('[exhibit]\nreference = "A/1"\nsource = "a"', 1, "exhibit is written as [[exhibit]]"),
        ("[[defaults]]\n" + EXHIBIT, 1, "defaults is a table"),
        (
            EXHIBIT + 'unit = "m.db"',
            4,
            "exhibit A/1: there is no unit in [exhibit]; the variable CAID_TRIAGE_UNIT says",
        ),
        (EXHIBIT + 'hashset = "a.chs"', 4, "exhibit A/1: there is no hashset in [exhibit]; did you mean hashsets?"),
        (EXHIBIT + "profile = 3", 4, "profile is a text in quotes, not 3"),
        (EXHIBIT + 'profile = "fast"', 4, "profile is one of quick, standard, full, not 'fast'"),
        (EXHIBIT + "priority = 0", 4, "priority is 1 (first) to 9 (last), not 0"),
        (EXHIBIT + "priority = true", 4, "priority is a whole number, not true"),
        (EXHIBIT + 'verify_source = "yes"', 4, "verify_source is true or false"),
        (EXHIBIT + 'hashsets = ["a", 3]', 4, "hashsets is a text in quotes, or a list of them"),
        (EXHIBIT + 'leads = "many"', 4, "--leads is auto, off or"),
        (EXHIBIT + 'operation = "a\\u202eb"', 4, "operation is 1 to 200 printable characters"),
        (EXHIBIT + 'case_reference = ""', 4, "case_reference is 1 to 200 printable characters"),
        (EXHIBIT + 'seized = "2/3/26"', 4, "when it was seized is written 2026-03-02 or"),
        (EXHIBIT + "contact = 3", 4, "contact is a text in quotes"),
        (EXHIBIT + 'distances = "a:pdq"', 4, "a distance is written"),
        ('[[exhibit]]\nsource = "a"', 1, "reference is missing"),
        ('[[exhibit]]\nreference = " "\nsource = "a"', 2, "reference is missing"),
        ('[[exhibit]]\nreference = "a\\u0007"\nsource = "a"', 2, "printable characters"),
        (f'[[exhibit]]\nreference = "{"x" * 201}"\nsource = "a"', 2, "1 to 200"),
        ('[[exhibit]]\nreference = 3\nsource = "a"', 2, "exhibit 1 of the file: reference is a text in quotes"),
        ('[[exhibit]]\nreference = "A"', 1, "source is missing"),
        ('[[exhibit]]\nreference = "A"\nsource = []', 1, "source is missing"),
        ('[[exhibit]]\nreference = "///"\nsource = "a"', 1, "no case folder can be named so"),
        ('[[exhibit]]\nreference = "batch.json"\nsource = "a"', 1, "no case folder can be named so"),
        (EXHIBIT + '[[exhibit]]\nreference = "A/1"\nsource = "b"', 4, "the reference A/1 is there twice, as in line 1"),
        (
            EXHIBIT + '[[exhibit]]\nreference = "a-1"\nsource = "b"',
            4,
            "the case folder a-1 is there twice, as in line 1",
        ),
        (
            EXHIBIT + 'case = "É"\n[[exhibit]]\nreference = "B"\nsource = "b"\ncase = "e\u0301"',
            5,
            "is there twice, as in line 1",
        ),
        (EXHIBIT + '[[exhibit]]\nreference = "A/2"\nsource = "x/../a.dd"', 4, "a.dd is there twice, as in line 1"),
        ('[[exhibit]]\nreference = "A"\nsource = ["a", "a"]', 1, "is there twice"),
        ("[budget]\nat_once = 0\n" + EXHIBIT, 2, "at_once is at least 1"),
        ('[budget]\nmemory = "12"\n' + EXHIBIT, 2, "memory is written 500MB or 12GB"),
        ('[budget]\nmemory = "' + "9" * 400 + 'MB"\n' + EXHIBIT, 2, "memory is written 500MB or 12GB"),
        (EXHIBIT + f'case = "{"x" * 300}"', 4, "case holds a name of more than 255 bytes"),
        (EXHIBIT + f'password_file = "a/{"漢" * 90}"', 4, "password_file holds a name of more than 255 bytes"),
        ('[budget]\nsilence = "long"\n' + EXHIBIT, 2, "silence: a time is written"),
        ('time_box = "0s"\n' + EXHIBIT, 1, "time_box: a time is written"),
        ('[[disk]]\npath = "/x"\n' + EXHIBIT, 1, "a [[disk]] has a path and readers"),
        ("[notify]\ncommand = []\n" + EXHIBIT, 2, "command is a program and its words"),
        ('[watch]\nmarker = "a/b"\n' + EXHIBIT, 2, "marker is the end of a file's name"),
    ],
)
def test_each_fault_has_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    _, faults = read(tmp_path, text)
    assert len(faults) == 1, faults
    assert faults[0].line == line
    assert said in faults[0].told()
    assert faults[0].code == 2


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = 'x = 1\n[budget]\nat_once = 0\n[[exhibit]]\nsource = 1\nreference = "A"\n'
    text += '[[exhibit]]\nreference = "B"\nprofile = "no"\n'
    _, faults = read(tmp_path, text)
    assert [fault.line for fault in faults] == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("content", [b"[[exhibit", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused_with_its_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"line|byte|at end of document"):
        read_queue(path)


@pytest.mark.parametrize("text", ["x = " + "[" * 50_000, "x = " + "{a=" * 5000, "priority = " + "9" * 5000])
def test_what_is_beyond_all_measure_is_refused_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="cannot be read as TOML within limits"):
        read(tmp_path, text)


def test_the_home_of_a_stranger_is_a_path_that_is_not_there(tmp_path: Path) -> None:
    queue, faults = read(tmp_path, EXHIBIT.replace("a.dd", "~nobody.of.that.name/a.dd"))
    assert faults == []
    assert queue.exhibits[0].sources == (tmp_path / "~nobody.of.that.name/a.dd",)


def test_a_queue_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be read"):
        read_queue(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("ABC/1", "ABC-1"), ("../x", "-x"), ("..", ""), ("/", ""), ("A:B*C", "A-B-C"), ("Ünit 7", "Ünit 7"),
        ("a.", "a"), ("x" * 200, "x" * 100), ("漢" * 100, "漢" * 66),
        ("CON", "_CON"), ("nul.1", "_nul.1"), ("LPT1 ", "_LPT1"), ("console", "console"),
    ],
)  # fmt: skip
def test_names_of_case_folders(reference: str, name: str) -> None:
    assert folder_name(reference) == name


@given(st.text(min_size=1, max_size=200))
def test_a_case_folder_is_one_plain_name(reference: str) -> None:
    name = folder_name(reference)
    assert "/" not in name
    assert "\\" not in name
    assert name not in (".", "..")
    assert name == name.strip(" .")
    assert name.isprintable()


_ANY = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-3, 12), st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=6)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "reference"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_KEYS = ["reference", "source", "hashsets", "profile", "priority", "case", "leads", "distances", "readers", "nothing"]
_TABLES = ["exhibit", "defaults", "budget", "disk", "notify", "watch", "cases", "time_box", "other"]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(_TABLES),
        st.one_of(_ANY, st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=4),
                  st.lists(st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=4), max_size=3)),
        max_size=4,
    )
)  # fmt: skip
def test_whatever_stands_in_it_gives_exhibits_or_faults(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    """Any values of any types: faults, or a whole exhibit for each table, never an error of ours."""
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in data.items())
    queue, faults = read(tmp_path_factory.getbasetemp(), text)
    given = data.get("exhibit")
    tables = given if isinstance(given, list) and all(isinstance(one, dict) for one in given) else []
    assert len(queue.exhibits) == len(tables)
    assert len({one.case for one in queue.exhibits}) == len(tables) or faults
    for one in queue.exhibits:
        assert one.reference.strip()
        assert one.sources or faults
        assert 1 <= one.priority <= 9
        assert one.case.parent.is_relative_to(queue.cases) or one.case.is_absolute()


CLUSTER = """
[defaults]
executor = "dask"
scheduler = "tls://10.0.0.1:8786"
maps = ["x/../evidence=/mnt/evidence", "/nas=/mnt/nas"]
tls_ca = "ca.pem"
tls_cert = "node.pem"
tls_key = "/keys/node.pem"

[[exhibit]]
reference = "A"
source = "evidence/a.E01"

[[exhibit]]
reference = "B"
source = "b.dd"
executor = "pool"

[[exhibit]]
reference = "C"
source = "c.dd"
scheduler = "tls://10.0.0.9:8786"
"""


def test_the_units_cluster_is_that_of_the_defaults_or_of_the_exhibit(tmp_path: Path) -> None:
    queue, faults = read(tmp_path, CLUSTER)
    assert faults == []
    own = ClusterOptions(
        "tls://10.0.0.1:8786", ((str(tmp_path / "evidence"), "/mnt/evidence"), ("/nas", "/mnt/nas")),
        str(tmp_path / "ca.pem"), str(tmp_path / "node.pem"), "/keys/node.pem",
    )  # fmt: skip
    first, second, third = queue.exhibits
    assert (first.executor, first.cluster) == ("dask", own)
    assert (second.executor, second.cluster) == ("pool", ClusterOptions())
    assert third.cluster == replace(own, scheduler="tls://10.0.0.9:8786")
    assert queue.defaults["cluster"] == own
    assert first.definition({}) == replace(first, executor="pool", cluster=ClusterOptions()).definition({})


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (EXHIBIT + 'executor = "cloud"', 4, "--executor must be one of pool, serial, dask, not 'cloud'"),
        (EXHIBIT + 'scheduler = "a:1"', 4, 'scheduler is for executor = "dask"'),
        ('[defaults]\nscheduler = "a:1"\n' + EXHIBIT, 2, 'scheduler is for executor = "dask"'),
        (EXHIBIT + 'executor = "dask"\nmaps = "here"', 4, "maps are HERE=THERE"),
        (EXHIBIT + 'executor = "dask"\nscheduler = "a:1"\ntls_ca = "a"', 4, "--tls-key belong together"),
    ],
)
def test_a_cluster_that_cannot_be_meant_is_a_fault(tmp_path: Path, text: str, line: int, said: str) -> None:
    _, faults = read(tmp_path, text)
    assert [fault.line for fault in faults] == [line]
    assert said in faults[0].told()


def test_a_path_is_told_as_it_is_written(tmp_path: Path) -> None:
    text = '[[exhibit]]\nreference = "A"\nsource = "../x.dd"\n[[exhibit]]\nreference = "B"\nsource = "../x.dd"\n'
    _, faults = read(tmp_path, text)
    assert [fault.sentence for fault in faults] == ["the source ../x.dd is there twice, as in line 1"]


@pytest.mark.parametrize("key", [".".join("a" * 50_000), ".".join(['"a"'] * 50_000), f"x = {{{'.'.join('a' * 999)}"])
def test_a_key_of_very_many_parts_is_refused_at_once(tmp_path: Path, key: str) -> None:
    began = time.process_time()
    with pytest.raises(UsageError, match="line 2 has a key of more than 64 parts"):
        read(tmp_path, f"# a.b\n{key} = 1\n{EXHIBIT}")
    assert time.process_time() - began < 2


def test_dots_in_quotes_and_comments_are_no_parts_of_a_key(tmp_path: Path) -> None:
    dots = ".".join("a" * 200)
    queue, faults = read(tmp_path, f'{EXHIBIT}examiner = \'{dots}\' # {dots}\npassword_file = "\\"{dots}"\n')
    assert [one.examiner for one in queue.exhibits] == [dots]
    assert all("more than 255 bytes" in fault.sentence for fault in faults)
