"""NCMEC lists, and sets that come in several files."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from itertools import permutations
from pathlib import Path

import pytest
from unit.hashset.test_foreign_readers import Reading, hexed

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.readers.parts import check_parts, order_of_parts

RNG = random.Random(33)


def xml(*entries: str, start: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return f'{start}<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>{"".join(entries)}</images></queryResult>'


def test_ncmec_xml(tmp_path: Path) -> None:
    md5, sha1, pdq, vector = hexed(), hexed(20), hexed(32), RNG.randbytes(144)
    image = (f'<image><member id="42">Ex</member><timestamp>2026-01-01T00:00:00Z</timestamp><id>image1</id>'
             f"<classification>A1</classification><fingerprints><md5>{md5}</md5><sha1>{sha1}</sha1>"
             f"<pdna>{base64.b64encode(vector).decode()}</pdna><pdq>{pdq}</pdq><netclean>zz</netclean>"
             f"</fingerprints></image>")  # fmt: skip
    prints = f"<fingerprints><md5>{md5}</md5></fingerprints>"
    video = f"<video><id>v&amp;1</id><classification>B2</classification>{prints}</video>"
    bad = "<image><id>i2</id><fingerprints><md5>12</md5></fingerprints></image>"
    text = xml(image, bad, "</images><videos>", video, "</videos><images>")
    read = Reading(tmp_path / "x.xml", text)
    assert read.format == "ncmec-xml"
    assert [(r.media_id, r.category, r.md5, r.position.split()[0]) for r in read.rows] == [
        ("image1", "A1", bytes.fromhex(md5), "byte"), ("v&1", "B2", bytes.fromhex(md5), "byte")]  # fmt: skip
    assert read.rows[0].photodna == vector
    assert read.rows[0].pdq == ((bytes.fromhex(pdq), None),)
    assert read.refused == [(f"byte {text.index(bad)}", "MD5 has 2 characters where 32 are needed")]
    assert read.ignored == {"fingerprints of other kinds": 1}


def test_ncmec_xml_that_attacks_its_reader_is_refused(tmp_path: Path) -> None:
    laughs = '<!DOCTYPE q [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><q><fingerprints>&b;</fingerprints></q>'
    with pytest.raises(HashSetError, match="DOCTYPE"):
        Reading(tmp_path / "x.xml", laughs)
    with pytest.raises(HashSetError, match="nested more than 40"):
        Reading(tmp_path / "x.xml", xml("<image>" + "<a>" * 1000))
    with pytest.raises(HashSetError, match="longer than 10000 characters"):
        Reading(tmp_path / "x.xml", xml(f"<image><id>{'x' * 300_000}</id></image>"))
    text = xml("<image><id>1</id><fingerprints></image>")
    with pytest.raises(HashSetError, match=f"not valid XML, at byte {text.index('</image>') + 2}"):
        Reading(tmp_path / "x.xml", text)


def test_ncmec_json(tmp_path: Path) -> None:
    md5 = [hexed() for _ in range(3)]
    entries = [
        {
            "id": "1",
            "member_id": 42,
            "classification": "A2",
            "fingerprints": {"MD5": md5[0], "PDQ": [hexed(32), hexed(32)]},
        },
        {"id": 2, "classification": None, "fingerprints": {"md5": md5[1], "TMK_PDQF": "x"}},
        {"id": 3, "deleted": True, "fingerprints": {"md5": md5[2]}},
        {"id": 4, "fingerprints": {"md5": 12}},
        {"id": 5},
        17,
    ]
    for text in (json.dumps(entries), json.dumps({"next": None, "updates": entries})):
        read = Reading(tmp_path / "x.json", text)
        assert read.format == "ncmec-json"
        assert [(r.media_id, r.category, r.md5, len(r.pdq)) for r in read.rows] == [
            ("1", "A2", bytes.fromhex(md5[0]), 2), ("2", "", bytes.fromhex(md5[1]), 0)]  # fmt: skip
        assert [reason for _, reason in read.refused] == [
            "the list says that the entry was deleted", "no hash in the entry", "no fingerprints in the entry",
            "the entry is not a record, or a key stands twice in it"]  # fmt: skip
        assert read.refused[0][0] == f"byte {text.index(json.dumps(entries[2]))}"
    with pytest.raises(HashSetError, match="at byte"):
        Reading(tmp_path / "x.json", json.dumps(entries)[:-1])


def test_parts_in_natural_order_each_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"CAID_{number}.json" for number in (1, 2, 10)]
    for given in permutations(paths):
        assert order_of_parts([*given, given[0]]) == paths


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a1of3.json", "a3of3.json"], ["a...\u200b.json: part 2 of 3 not given."]),
        (["a 1 of 2.json", "a 2 of 2.json"], []),
        (["set_0001.json", "set_0002.json", "set_0004.json"], ["set_....json: part 3 not given, up to 4."]),
        (["part-02.json", "part-03.json"], ["part-....json: part 1 not given, up to 3."]),
        (["part-0.json", "part-1.json", "part-2.json"], []),
        (["CAID 2026-03.json", "CAID 2026-11.json"], []),
        (["one.json", "two.json"], []),
        (["v7.json"], []),
    ],
)
def test_a_gap_in_the_names_is_said(names: list[str], said: list[str]) -> None:
    assert check_parts([Path(name) for name in names]) == [text.replace("\u200b", "") for text in said]


def test_a_list_of_parts_is_certain(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(name)
    listing = tmp_path / "SHA256SUMS"
    listing.write_text("".join(f"{hashlib.sha256(name.encode()).hexdigest()}  disk/{name}\n" for name in
                               ("one.json", "two.json", "three.json")))  # fmt: skip
    assert check_parts([tmp_path / "one.json", tmp_path / "two.json"], listing) == [
        "three.json: named in SHA256SUMS, not given."]  # fmt: skip
    (tmp_path / "extra.json").write_text("x")
    assert check_parts([tmp_path / "extra.json"], listing)[-1] == "extra.json: given, not named in SHA256SUMS."
    (tmp_path / "two.json").write_text("changed")
    with pytest.raises(HashSetError, match=r"two\.json: is not the file that SHA256SUMS names"):
        check_parts([tmp_path / "two.json"], listing)
    listing.write_text("nothing\n")
    with pytest.raises(HashSetError, match="names no part"):
        check_parts([tmp_path / "two.json"], listing)


def test_a_set_of_parts_is_the_same_in_any_order_and_says_what_is_missing(tmp_path: Path) -> None:
    parts = [tmp_path / f"CAID_{number}of3.json" for number in (1, 2, 3)]
    for path in parts:
        path.write_text(json.dumps({"value": [{"MD5": hexed(), "Category": RNG.randrange(5)} for _ in range(50)]}))
    results = [build_hashset(given, tmp_path / f"{number}.chs") for number, given in enumerate(permutations(parts))]
    assert len({result.generation for result in results}) == 1
    again = build_hashset([*parts, parts[0]], tmp_path / "0.chs")
    assert (again.generation, again.counts["records"]) == (results[0].generation, 150)
    assert again.warnings == ("CAID_1of3.json: given 2 times, counted once. Nothing is lost.",)
    less = build_hashset(parts[::2], tmp_path / "less.chs")
    assert less.warnings == ("CAID_....json: part 2 of 3 not given.",)


def test_salvage_through_the_builder(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    entries = [json.dumps({"MD5": hexed()}) for _ in range(5)]
    entries[2] = entries[2][:-1]
    path.write_text('{"value": [' + ", ".join(entries) + "]}")
    with pytest.raises(HashSetError, match="at byte"):
        build_hashset([path], tmp_path / "a.chs")
    result = build_hashset([path], tmp_path / "a.chs", salvage=True)
    assert result.counts["records"] == 4
    assert result.reasons == {"lost: the JSON is broken here": 1}
    assert len(result.warnings) == 1
