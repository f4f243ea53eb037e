"""Every VICS dialect that exporters are known to write, with random (benign) hashes made here."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import BuildResult, build_hashset
from caid_triage.hashset.rows import RecordFlag
from caid_triage.hashset.store import HashSet, open_hashset

ICMEC = "http://github.com/ICMEC/ProjectVic/DataModels/"
VICSDM = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/"
RNG = random.Random(20)


def hexes(count: int, length: int = 16) -> list[str]:
    return [RNG.randbytes(length).hex() for _ in range(count)]


def build(tmp_path: Path, document: Any, encoding: str = "utf-8", **options: Any) -> tuple[BuildResult, HashSet]:
    text = document if isinstance(document, str) else json.dumps(document)
    data = text if isinstance(text, bytes) else text.encode(encoding)
    (tmp_path / "set.json").write_bytes(data)
    result = build_hashset([tmp_path / "set.json"], tmp_path / "set.chs", **options)
    return result, open_hashset(tmp_path / "set.chs")


def rows_of(hashset: HashSet, algorithm: str, text: str) -> list[int]:
    digest = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)[None, :]
    return hashset.exact(algorithm, digest)[1].tolist()


def hash_set(url_key: str, url: str, media: list[dict[str, Any]]) -> dict[str, Any]:
    return {url_key: url, "value": media}


@pytest.mark.parametrize(
    ("key", "url", "region", "scheme"),
    [
        ("odata.metadata", ICMEC + "1.0.xml#Media", "", "none"),
        ("odata.metadata", ICMEC + "1.1.xml#Media", "", "none"),
        ("odata.metadata", ICMEC + "1.2.xml#Media", "", "none"),
        ("odata.metadata", ICMEC + "1.3.xml#Media", "", "none"),
        ("@odata.context", VICSDM + "UK/$metadata#Media", "UK", "uk"),
        ("@odata.context", VICSDM + "US/$metadata#Media", "US", "projectvic-us"),
        ("@odata.context", VICSDM + "Default/$metadata#Media", "Default", "projectvic-us"),
        ("@odata.context", VICSDM + "CUSTOM/$metadata#Media", "CUSTOM", "none"),
    ],
)
def test_hash_set_of_every_model_and_region(tmp_path: Path, key: str, url: str, region: str, scheme: str) -> None:
    md5 = hexes(3)
    media = [{"MediaID": i, "MD5": text.upper(), "Category": i} for i, text in enumerate(md5)]
    result, hashset = build(tmp_path, hash_set(key, url, media))
    assert result.sources[0]["region"] == region
    assert result.sources[0]["model_url"] == url
    assert hashset.scheme.name == scheme
    assert [rows_of(hashset, "md5", text) for text in md5] == [[0], [1], [2]]
    assert hashset.records["category"].tolist() == ["0", "1", "2"]


@pytest.mark.parametrize("fragment", ["1.1", "1.3", "2.0"])
def test_case_file_gives_the_media_of_all_its_cases(tmp_path: Path, fragment: str) -> None:
    md5 = hexes(5)
    url = VICSDM + "UK/$metadata#Cases" if fragment == "2.0" else f"{ICMEC}{fragment}.xml#Cases"
    media = [{"MediaID": i, "MD5": text, "MediaFiles": [{"MD5": text, "FileName": "{[", "FilePath": "a\\b"}]}
             for i, text in enumerate(md5)]  # fmt: skip
    noise = {"odata.id": 'Case("1")', "CaseID": "{GUID}", "CaseMetadata": [{"CaseID": "x", "PropertyName": "Media"}]}
    document = {
        "@odata.context" if fragment == "2.0" else "odata.metadata": url,
        "value": [{**noise, "Media": media[:2]}, {**noise, "Media": []}, {**noise, "Media": media[2:]}],
    }
    result, hashset = build(tmp_path, document)
    assert [rows_of(hashset, "md5", text) for text in md5] == [[0], [1], [2], [3], [4]]
    assert sum(result.ignored.values()) == 5  # the MediaFiles


@pytest.mark.parametrize("cases", [False, True])
def test_value_may_come_before_the_context(tmp_path: Path, cases: bool) -> None:
    md5 = hexes(3000)
    media = [{"MD5": text, "MediaID": i} for i, text in enumerate(md5)]
    value = [{"CaseNumber": "A/1", "Media": media}] if cases else media
    document = {"value": value, "@odata.context": VICSDM + f"UK/$metadata#{'Cases' if cases else 'Media'}"}
    result, hashset = build(tmp_path, document)
    assert len(hashset) == 3000
    assert result.scheme.name == "uk"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_and_the_byte_of_a_refused_record(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    good, bad = {"MD5": hexes(1)[0], "Series": "Zoë \U0001f600 {"}, {"MD5": "12", "Comments": "später"}
    text = mark + json.dumps(hash_set("@odata.context", "u", [good, bad, good]), ensure_ascii=False)
    result, hashset = build(tmp_path, text, encoding)
    assert result.counts["records"] == 2
    assert hashset.records["series"].tolist() == ["Zoë \U0001f600 {"] * 2
    (refused,) = result.refused
    data = (tmp_path / "set.json").read_bytes()
    position = int(refused.position.removeprefix("byte "))
    width = 2 if "16" in encoding else 1
    begins = data[position : position + 6 * width].replace(b"\x00", b"")
    assert begins == b'{"MD5"'
    assert data[position:].replace(b"\x00", b"").startswith(b'{"MD5": "12"')


def test_booleans_numbers_and_empty_texts_in_every_spelling(tmp_path: Path) -> None:
    md5 = hexes(4)
    media = [
        {"MD5": md5[0], "SHA1": "", "Category": 1, "MediaSize": "488", "VictimIdentified": "true",
         "IsDistributed": True},
        {"MD5": md5[1].upper(), "SHA1": None, "Category": "2", "MediaSize": 488, "OffenderIdentified": "True"},
        {"MD5": md5[2], "Category": None, "MediaSize": "", "IsSuspected": "false", "IsPrecategorized": "true"},
        {"MD5": md5[3], "MediaSize": None, "IsDistributed": False},
    ]  # fmt: skip
    _, hashset = build(tmp_path, hash_set("odata.metadata", ICMEC + "1.2.xml#Media", media))
    records = hashset.records
    assert records["category"].tolist() == ["1", "2", "", ""]
    assert records["size"].tolist() == [488, 488, None, None]
    flags = [RecordFlag(value) & RecordFlag(255) for value in records["flags"].tolist()]
    assert flags == [
        RecordFlag.VICTIM_IDENTIFIED | RecordFlag.DISTRIBUTED,
        RecordFlag.OFFENDER_IDENTIFIED,
        RecordFlag.PRECATEGORISED,
        RecordFlag(0),
    ]
    assert hashset.categories(np.array([2]))[0].label == "uncategorised"
    assert records["media_id"].tolist() == [""] * 4


def test_several_records_of_one_md5_survive_with_their_categories(tmp_path: Path) -> None:
    md5 = hexes(1)[0]
    media = [{"MD5": md5, "MediaID": i, "Category": i % 2} for i in range(116)]
    _, hashset = build(tmp_path, hash_set("@odata.context", "x", media))
    assert rows_of(hashset, "md5", md5) == list(range(116))


def test_photodna_is_carried_from_all_three_places_and_a_wrong_one_does_not_cost_the_row(tmp_path: Path) -> None:
    vectors = [RNG.randbytes(144) for _ in range(3)]
    alternative = [{"MD5": "x", "HashName": "PhotoDNA", "HashValue": vectors[1].hex()}]
    media = [
        {"MD5": hexes(1)[0], "PhotoDNA": base64.b64encode(vectors[0]).decode()},
        {"MD5": hexes(1)[0], "AlternativeHashes": alternative},
        {"MD5": hexes(1)[0], "PhotoDNA": vectors[2].hex()},
        {"MD5": hexes(1)[0], "PhotoDNA": "AAAA"},
    ]
    result, hashset = build(tmp_path, hash_set("odata.metadata", ICMEC + "1.3.xml#Media", media))
    assert result.counts["photodna"] == 3
    assert result.counts["records"] == 4
    assert result.counts["refused"] == 0
    assert result.ignored == {"PhotoDNA that is not 144 bytes": 1}
    stored = np.load(next(hashset.path.rglob("photodna/vec.npy")))
    assert [row.tobytes() for row in stored] == vectors


def test_alternative_hashes_carry_pdq_and_sha256(tmp_path: Path) -> None:
    md5, sha256, pdq, phash = hexes(1)[0], hexes(1, 32)[0], hexes(2, 32), hexes(1, 8)[0]
    alternative = [
        {"HashName": "SHA-256", "HashValue": sha256},
        {"HashName": "pdq", "HashValue": pdq[0]},
        {"HashName": "PDQ", "HashValue": f"{pdq[1]},77"},
        {"HashName": "pHash", "HashValue": phash},
        {"HashName": "Videntifier", "HashValue": "?"},
    ]
    result, hashset = build(tmp_path, hash_set("x", "y", [{"MD5": md5, "AlternativeHashes": alternative}]))
    assert rows_of(hashset, "sha256", sha256) == [0]
    assert hashset.pdq_quality().tolist() == [255, 77]
    q, r, d = hashset.near("pdq", np.frombuffer(bytes.fromhex(pdq[1]), dtype=np.uint8)[None, :], 0)
    assert (q.tolist(), r.tolist(), d.tolist()) == ([0], [0], [0])
    assert hashset.counts["phash"] == 1
    assert result.ignored == {"alternative hashes of other kinds": 1}


def test_sha256_key_and_a_record_with_only_sha1_are_accepted(tmp_path: Path) -> None:
    sha1, sha256 = hexes(1, 20)[0], hexes(1, 32)[0]
    _, hashset = build(tmp_path, hash_set("x", "y", [{"SHA1": sha1}, {"sha256": sha256}]))
    assert rows_of(hashset, "sha1", sha1) == [0]
    assert rows_of(hashset, "sha256", sha256) == [1]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ('{"MD5": "ABC"}', "MD5 has 3 characters where 32 are needed"),
        ('{"MD5": "%s"}' % ("G" * 32), "MD5 is not hexadecimal"),
        ('{"MD5": "%s"}' % ("AB " * 10 + "AB"), "MD5 is not hexadecimal"),
        ('{"MD5": "%s"}' % ("0" * 32), "MD5 is all zeros"),
        ('{"MD5": 12}', "MD5 is not text"),
        ('{"MD5": ""}', "no hash in the record"),
        ("{}", "no hash in the record"),
        ('{"MD5": "%s", "SHA1": "12345"}' % ("1" * 32), "SHA1 has 5 characters where 40 are needed"),
        ('{"MD5": "%s", "MediaSize": -5}' % ("1" * 32), "size is negative"),
        ('{"MD5": "%s", "MediaSize": "-5"}' % ("1" * 32), "size is negative"),
        ('{"MD5": "%s", "MediaSize": "many"}' % ("1" * 32), "size is not a whole number"),
        ('{"MD5": "%s", "MediaSize": 99999999999999999999}' % ("1" * 32), "size is too large to be a file's"),
        ('{"MD5": "%s", "Category": [1]}' % ("1" * 32), "Category is neither a whole number nor text"),
        ('{"MD5": "%s", "MD5": "2"}' % ("1" * 32), "the key MD5 stands twice in the record"),
        ('{"MD5": "d41d8cd98f00b204e9800998ecf8427e"}', "the digest of an empty file"),
        ("17", "the entry is not a record"),
        ("null", "the entry is not a record"),
    ],
)
def test_a_refused_record_is_counted_with_its_reason_and_byte(tmp_path: Path, record: str, reason: str) -> None:
    good = f'{{"MD5": "{hexes(1)[0]}", "Comments": "a", "Comments": "twice but not ours"}}'
    text = f'{{"value": [{good}, {record}, {good}]}}'
    result, hashset = build(tmp_path, text)
    assert len(hashset) == 2
    assert result.reasons == {reason: 1}
    (refused,) = result.refused
    if record.startswith("{"):
        assert refused.position == f"byte {text.index(record, len(good))}"
    assert hashset.manifest["refused"] == {"rows": 1, "reasons": {reason: 1}}


def test_the_digest_of_an_empty_file_is_kept_in_a_known_good_set(tmp_path: Path) -> None:
    result, _ = build(tmp_path, '{"value": [{"MD5": "d41d8cd98f00b204e9800998ecf8427e"}]}', role="known-good")
    assert result.counts["records"] == 1


def test_only_a_thousand_refused_rows_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    media = [{"MD5": "bad"}] * 1500 + [{"MD5": hexes(1)[0]}]
    result, _ = build(tmp_path, {"value": media})
    assert len(result.refused) == 1000
    assert result.counts["refused"] == 1500


def test_a_file_of_which_every_row_is_refused_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HashSetError, match=r"set\.json: all 3 entries were refused \(the first at byte 11"):
        build(tmp_path, '{"value": [{"MD5": "x"}, {"MD5": "x"}, {"MD5": "x"}]}')
    assert not (tmp_path / "set.chs").exists()


def faults() -> list[tuple[str, int]]:
    """Broken documents and the byte at which each breaks."""
    record = '{"MD5": "%s", "IsSuspected": "true", "Category": 1}' % ("ab" * 16)
    whole = f'{{"@odata.context": "u", "value": [{", ".join([record] * 3000)}]}}'
    quote = whole.index('"true"', 100_000) + len('"true"')
    bare = whole.index("1}", 50_000)
    return [
        (whole[:-1], len(whole) - 1),
        (whole[:90_001], 90_001),
        (whole[:quote] + '"' + whole[quote:], quote),
        (whole[:bare] + "oops" + whole[bare:], bare),
        (whole + "x", len(whole)),
        ("{", 1),
        ('{"value": [,]}', 11),
        ('{"value": [{"MD5": tru}]}', 19),
    ]


@pytest.mark.parametrize("number", range(len(faults())))
def test_broken_json_names_the_byte_and_quotes_no_hash(tmp_path: Path, number: int) -> None:
    text, byte = faults()[number]
    with pytest.raises(HashSetError, match="Nothing was imported") as caught:
        build(tmp_path, text)
    assert f"at byte {byte} " in str(caught.value)
    assert "abab" not in str(caught.value)
    assert not (tmp_path / "set.chs").exists()


def test_broken_utf16_names_the_byte_in_the_file(tmp_path: Path) -> None:
    text = '\ufeff{"value": [{"MD5": oops}]}'
    with pytest.raises(HashSetError, match=f"at byte {2 * text.index('oops')} "):
        build(tmp_path, text, "utf-16-le")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain words", r"not a hash set: at byte 0 .*Accepted: .*vics"),
        ("", "empty"),
        ("[1, 2]", "root has no list"),
        ('{"a": 1}', "root has no list"),
        ('{"value": []}', "root has no list"),
        ('{"value": [{"MD5": ' + "9" * 5000 + "}]}", "a run of more than 2000 digits, at byte 19 "),
        ('{"value": [' + '{"a":[' * 50_000, "nested more than 200 levels deep, at byte 11 "),
        ('{"value": [{"x": 1e999999999999999999999}]}', "not valid JSON"),
    ],
)
def test_what_is_not_a_hash_set_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HashSetError, match=message):
        build(tmp_path, text)


def test_a_forced_format_still_names_the_byte(tmp_path: Path) -> None:
    with pytest.raises(HashSetError, match="at byte 0 "):
        build(tmp_path, "plain words", format="vics")


def test_long_runs_of_braces_in_texts_are_not_nesting(tmp_path: Path) -> None:
    media = [{"MD5": hexes(1)[0], "Comments": "[{" * 900} for _ in range(50)]
    assert build(tmp_path, {"value": media})[0].counts["records"] == 50


def test_lost_bytes_of_a_text_of_half_a_character_too_much_end_with_the_file(tmp_path: Path) -> None:
    whole = '\ufeff{"value": [{"MD5": "' + hexes(1)[0] + '"}, oops'
    path = tmp_path / "set.json"
    path.write_bytes(whole.encode("utf-16-le") + b"x")
    result = build_hashset([path], tmp_path / "set.chs", salvage=True)
    assert result.counts["records"] == 1
    ((begin, end),) = result.sources[0]["lost"]
    assert begin < end == path.stat().st_size
