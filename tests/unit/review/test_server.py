"""What the review page's server answers: checked questions in, plain printable data out, grades by content."""

from __future__ import annotations

import json
import logging
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.fake_desk import FILMS, GROUP, HOSTILE_NAMES, FakeDesk, name_of

from caid_triage.errors import CaseError
from caid_triage.hashset.schemes import load_scheme
from caid_triage.model import Category
from caid_triage.review.items import Item
from caid_triage.review.serving import _Frames

from .conftest import OWN, Asked

UK = load_scheme("uk")


def items(asked: Asked, **words: object) -> list[dict[str, Any]]:
    answer = asked.get("/api/items", **{"queue": "new", **words})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def grade(asked: Asked, number: int, code: str = "1") -> Any:
    return asked.post("/api/grade", {"id": str(number + 1), "code": code})


# ---------------------------------------------------------------- lists


def test_the_start_says_what_the_page_needs(asked: Asked) -> None:
    start = asked.get("/api/start").json()
    assert start["case"] == "OP/7 Larch"
    assert start["examiner"] == "DC Larch"
    assert [queue["name"] for queue in start["queues"]] == ["known", "near", "new", "damaged", "problems", "disputed"]
    assert start["queues"][0] == {"name": "known", "title": "Known material to confirm", "items": 60, "decided": 0}
    assert start["scheme"]["confirmed"] is True
    assert start["break_minutes"] == 20
    assert {grade["key"] for grade in start["grades"]} >= {"1", "2", "3", "a", "b", "c"}


def test_a_list_is_read_forwards_backwards_and_from_any_place(asked: Asked) -> None:
    whole = [item["id"] for item in items(asked, limit=200)]
    assert len(whole) == 200
    assert [item["id"] for item in items(asked, at=150, limit=30)] == whole[150:180]
    assert [item["id"] for item in items(asked, at=199)] == whole[199:]
    assert items(asked, at=200) == []
    key = items(asked, at=100, limit=1)[0]["key"]
    assert [item["id"] for item in items(asked, after=key, limit=10)] == whole[101:111]
    assert [item["id"] for item in items(asked, before=key, limit=10)] == whole[90:100]


def test_the_last_of_a_million_is_reached(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed(FakeDesk())
    asked.enter()
    assert asked.get("/api/count", queue="new").json() == {"count": 1_000_000}
    assert [item["name"] for item in items(asked, at=999_990)] == [
        name_of(number) for number in range(999_990, 1_000_000)
    ]


def test_filters_are_passed_on(asked: Asked) -> None:
    def count(**words: object) -> int:
        found: int = asked.get("/api/count", **{"queue": "new", **words}).json()["count"]
        return found

    assert count(state="deleted") == 50
    assert count(kind="video") == 200 // FILMS
    assert count(state="carved", kind="video") == 0
    assert count(exhibit="ABC/2") == 0
    assert count(text="img_0000123") == 1
    assert count(cluster=11) == GROUP
    assert count(size_min=5_000_000) + count(size_max=4_999_999) == 200
    grade(asked, 20)
    assert (count(decided="yes"), count(decided="no")) == (1, 199)


class Noting(FakeDesk):
    """Keeps the filters that it is asked with."""

    def count(self, which: Any) -> int:
        self.which = which
        return 0


def test_days_categories_and_devices_are_understood(reviewed: Callable[..., Asked]) -> None:
    desk = Noting(10)
    asked = reviewed(desk)
    asked.enter()
    choices = asked.get("/api/start").json()["choices"]
    words = {
        "queue": "known",
        "date_from": "2026-11-01",
        "date_to": "2026-11-29",
        "device": "Camera",
        "category": choices["category"][0]["value"],
        "location": choices["location"][0]["value"],
    }
    assert asked.get("/api/count", **words).json() == {"count": 0}
    assert desk.which.date_from.isoformat() == "2026-11-01T00:00:00+00:00"
    assert desk.which.date_to.isoformat() == "2026-11-30T00:00:00+00:00"  # the last day is wanted whole
    assert desk.which.categories == (("1", "uk"),)
    assert desk.which.device == "Camera"
    assert desk.which.examiner == "DC Larch"


@pytest.mark.parametrize("field", ["state", "kind", "category", "location", "exhibit", "decided"])
def test_every_choice_that_is_offered_is_understood(asked: Asked, field: str) -> None:
    choices = asked.get("/api/start").json()["choices"][field]
    assert choices
    for choice in choices:
        assert asked.get("/api/count", queue="new", **{field: choice["value"]}).status_code == 200, choice


@pytest.mark.parametrize(
    "question",
    [
        "/api/count",
        "/api/count?queue=nothing",
        "/api/count?queue=new&state=gone",
        "/api/count?queue=new&kind=picture",
        "/api/count?queue=new&location=../..",
        "/api/count?queue=new&category=1",
        "/api/count?queue=new&decided=maybe",
        "/api/count?queue=new&size_min=-1",
        "/api/count?queue=new&size_min=1e9",
        "/api/count?queue=new&size_min=99999999999999999999",
        "/api/count?queue=new&size_min=%D9%A1",
        "/api/count?queue=new&date_from=2026-13-01",
        "/api/count?queue=new&date_to=yesterday",
        "/api/count?queue=new&cluster=x",
        "/api/count?queue=new&queue=known",
        "/api/count?queue=new&limit=5",
        "/api/count?queue=new&colour=red",
        "/api/items?queue=new&limit=0",
        "/api/items?queue=new&limit=100000",
        "/api/items?queue=new&at=-1",
        "/api/items?queue=new&after=1",
        "/api/items?queue=new&after=1.x",
        "/api/items?queue=new&after=0.1&before=0.5",
        "/api/item?id=",
        "/api/item?id=9999",
        "/api/item?id=1.5",
        "/api/group?id=1",
        "/api/thumbnail?id=1&size=5000",
        "/api/thumbnail?id=1",
        "/api/thumbnail?id=9999&size=160",
        "/api/start?x=1",
    ],
)
def test_a_wrong_question_is_refused_in_a_sentence(asked: Asked, question: str) -> None:
    answer = asked.client.get(question)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_date_to_at_the_end_of_time_is_refused(asked: Asked) -> None:
    assert asked.client.get("/api/count?queue=new&date_to=9999-12-31").status_code == 400


# ---------------------------------------------------------------- names


def test_hostile_names_come_as_printable_text(asked: Asked) -> None:
    answer = asked.get("/api/items", queue="new", limit=len(HOSTILE_NAMES))
    assert answer.text.isascii()
    for item in answer.json()["items"]:
        for word in ("name", "path"):
            assert not [c for c in item[word] if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    names = [item["name"] for item in answer.json()["items"]]
    assert names[0] == "<script>window.hacked=1</script>.jpg".rpartition("/")[2]
    assert names[2] == "annexe\\u{202e}gpj.exe"
    assert names[3] == "a\\u{000a}b\\u{000d}c\\u{001b}[2J.jpg"
    assert names[5] == "half\\u{d83d}.jpg"
    assert len(names[6]) < 2000


def test_a_match_says_its_set_media_id_category_distance_and_tier(asked: Asked) -> None:
    (exact,) = items(asked, limit=1)[0]["matches"]
    assert exact["how"] == "exact"
    assert exact["category"] == "Category A [uk]"
    (near,) = items(asked, queue="near", limit=1)[0]["matches"]
    assert (near["hashset"], near["media_id"], near["distance"], near["threshold"]) == ("unit-set", "17", 12, 31)
    assert near["tier"] == "strong"


def test_a_category_of_a_scheme_that_nobody_confirmed_says_so(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed(scheme=UK, unconfirmed=frozenset({"uk"}))
    asked.enter()
    assert items(asked, limit=1)[0]["matches"][0]["category"] == "Category A [uk] NOT CONFIRMED"
    start = asked.get("/api/start").json()
    assert start["scheme"]["confirmed"] is False
    assert all("NOT CONFIRMED" in one["label"] for one in start["grades"] if one["code"] != "not-notable")
    told = grade(asked, 0, "1").json()["item"]["mine"]
    assert told["label"] == "code 1 (scheme uk not confirmed)"


# ---------------------------------------------------------------- grades


def test_a_grade_is_stored_under_the_scheme_s_own_category_and_shown(asked: Asked) -> None:
    told = grade(asked, 7, "2").json()["item"]
    (stored,) = asked.desk.grades_of(7)
    assert stored.category == Category("2", "Category B", "uk", 40)
    assert stored.examiner == "DC Larch"
    assert told["mine"]["label"] == "Category B"
    queues = {queue["name"]: queue for queue in asked.get("/api/figures").json()["queues"]}
    assert queues["new"]["decided"] == 1


def test_undo_takes_back_one_s_own_last_grade_and_says_so(asked: Asked) -> None:
    grade(asked, 7, "2")
    asked.desk.decide([9], Category("1", "Category A", "uk", 50), "DS Elm")
    told = asked.post("/api/undo").json()
    assert told["words"] == "Grade taken back."
    assert told["items"][0]["id"] == "8"
    assert told["items"][0]["mine"] is None
    assert asked.desk.grades_of(7) == []
    assert len(asked.desk.grades_of(8)) == 1
    assert asked.post("/api/undo").json()["words"] == "There is nothing to take back."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "1"},
        {"id": 1, "code": "1"},
        {"id": "1", "code": "nothing"},
        {"id": "x", "code": "1"},
        {"id": "9999", "code": "1"},
        {"id": "1", "code": "1", "note": "x" * 2001},
        {"id": "1", "code": "1", "more": 1},
        [1],
        "1",
    ],
)
def test_a_wrong_grade_is_refused_and_nothing_is_stored(asked: Asked, body: object) -> None:
    assert asked.post("/api/grade", body).status_code in (400, 409)
    assert asked.get("/api/count", queue="new", decided="yes").json() == {"count": 0}


def test_a_body_that_is_no_json_is_refused(asked: Asked) -> None:
    headers = {"origin": OWN, "x-caid-triage": asked.review.guard.csrf, "content-type": "application/json"}
    for content in (b"", b"{", b"\xff\xfe", b"[" * 60_000):
        answer = asked.client.post(
            "/api/grade", content=content, headers={**headers, "content-type": "application/json"}
        )
        assert answer.status_code == 400, content[:9]


def test_a_group_is_graded_when_its_count_was_said(asked: Asked) -> None:
    grade(asked, 12, "3")
    assert asked.get("/api/group", id=11).json() == {"contents": GROUP, "decided": 1}
    body = {"id": "11", "code": "1", "expected": GROUP - 1}
    refused = asked.post("/api/grade-group", body)
    assert refused.status_code == 409
    assert asked.desk.grades_of(10) == []
    done = asked.post("/api/grade-group", {**body, "expected": GROUP})
    assert done.json()["words"] == "5 contents graded Category A."
    assert [len(asked.desk.grades_of(number)) for number in range(9, 16)] == [0, 1, 1, 1, 1, 1, 0]
    assert asked.post("/api/undo").json()["words"] == "5 grades taken back."
    assert asked.desk.grades_of(12)[0].category.code == "3"  # what was there before the group stands again


def test_a_note_is_kept_and_seen_by_its_writer_alone_until_the_other_has_graded(asked: Asked) -> None:
    told = asked.post("/api/note", {"id": "8", "note": "blue \u202efolder"}).json()["item"]
    assert [remark["text"] for remark in told["remarks"]] == ["blue \\u{202e}folder"]
    asked.desk.remark([8], "their words", "DS Elm")
    assert "their words" not in asked.get("/api/item", id=8).text
    assert "their words" in grade(asked, 7).text
    for words in ("", "  ", "x" * 2001):
        assert asked.post("/api/note", {"id": "8", "note": words}).status_code == 400


def test_groups_are_made_when_asked_for_and_told_of_meanwhile(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed()
    asked.enter()
    asked.desk.grouped = False
    assert asked.get("/api/start").json()["groups"]["state"] == "none"
    assert items(asked, at=11, limit=1)[0]["cluster"] is None
    assert asked.post("/api/groups").json()["groups"]["state"] == "making"
    asked.post("/api/groups")  # once is enough
    assert asked.get("/api/figures").json()["groups"] == {"state": "making", "done": 1, "total": 4, "error": ""}
    asked.desk.fault = CaseError("the case changed meanwhile")
    asked.desk.may_group.set()
    assert settled(asked)["error"] == "the case changed meanwhile"
    asked.desk.fault = None
    asked.post("/api/groups")
    assert settled(asked)["state"] == "made"
    assert items(asked, at=11, limit=1)[0]["cluster"] == {"id": "11", "size": GROUP}


def settled(asked: Asked) -> Any:
    """What is told of the groups once nobody makes them any more."""
    for _ in range(400):
        told = asked.get("/api/figures").json()["groups"]
        if told["state"] != "making":
            return told
        time.sleep(0.02)
    raise AssertionError(told)


def test_hiding_all_lets_the_server_forget_its_pictures(asked: Asked) -> None:
    assert asked.post("/api/forget").status_code == 200
    assert asked.desk.forgotten == 1


def test_a_full_disk_is_said_and_the_session_goes_on(asked: Asked) -> None:
    asked.desk.fault = CaseError("the disk of the case is full")
    answer = grade(asked, 7)
    assert answer.status_code == 409
    assert answer.json() == {"error": "the disk of the case is full"}
    asked.desk.fault = None
    assert grade(asked, 7).status_code == 200


# ---------------------------------------------------------------- two examiners


def test_another_s_grade_is_not_seen_before_one_s_own(asked: Asked) -> None:
    asked.desk.decide([8], Category("1", "Category A", "uk", 50), "DS Elm", "their words")
    before = asked.get("/api/items", queue="new", limit=20)
    assert "DS Elm" not in before.text
    assert "their words" not in before.text
    item = asked.get("/api/item", id=8).json()["item"]
    assert (item["mine"], item["others"], item["agreement"]) == (None, [], "")
    after = grade(asked, 7, "2").json()["item"]
    assert after["others"][0]["examiner"] == "DS Elm"
    assert after["agreement"] == "disputed"
    assert grade(asked, 7, "1").json()["item"]["agreement"] == "agreed"
    asked.post("/api/undo")
    asked.post("/api/undo")
    assert "DS Elm" not in asked.get("/api/item", id=8).text


def test_figures_count_one_s_own_grades_alone(asked: Asked) -> None:
    asked.desk.decide([8], Category("1", "Category A", "uk", 50), "DS Elm")
    queues = {queue["name"]: queue for queue in asked.get("/api/start").json()["queues"]}
    assert queues["new"]["decided"] == 0


# ---------------------------------------------------------------- pictures


def test_a_thumbnail_is_re_encoded_or_words(asked: Asked) -> None:
    answer = asked.get("/api/thumbnail", id=1, size=160)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    gone = asked.get("/api/thumbnail", id=9, size=160)
    assert gone.json() == {"placeholder": "the source is not here any more"}


def test_no_list_draws_a_picture(asked: Asked) -> None:
    asked.client.get("/")
    asked.get("/api/start")
    items(asked, limit=200)
    assert asked.desk.drawn == 0


# ---------------------------------------------------------------- the rest


def test_only_our_own_files_are_served(asked: Asked) -> None:
    assert asked.client.get("/static/app.js").status_code == 200
    for path in ("/static/server.py", "/static/..%2fserver.py", "/static/../server.py", "/static/", "/favicon.ico"):
        assert asked.client.get(path).status_code == 404, path


def test_the_case_is_read_anew_seldom_when_that_takes_long(reviewed: Callable[..., Asked], monkeypatch: Any) -> None:
    asked = reviewed()
    asked.enter()
    now = [100.0]

    def refresh() -> bool:
        asked.desk.refreshed += 1
        now[0] += 3.0
        return True

    monkeypatch.setattr(asked.desk, "refresh", refresh)
    monkeypatch.setattr("caid_triage.review.server.time.monotonic", lambda: now[0])
    for _ in range(5):
        asked.get("/api/figures")
    assert asked.desk.refreshed == 1
    now[0] += 61.0
    asked.get("/api/figures")
    assert asked.desk.refreshed == 2


def test_the_session_ends_when_asked(asked: Asked) -> None:
    assert asked.ended == []
    assert asked.post("/api/end").status_code == 200
    assert asked.ended == [True]


class Broken(FakeDesk):
    """Fails in a way of its own, quoting what no log may have."""

    def item(self, identity: int, queue: str = "") -> Item | None:
        raise RuntimeError(f"/Users/sam/secret path {identity}{queue}")


def test_a_bug_says_its_kind_and_quotes_nothing(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed(Broken(10))
    asked.enter()
    answer = asked.get("/api/item", id=5)
    assert answer.status_code == 500
    assert "RuntimeError" in answer.json()["error"]
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


def test_what_is_logged_of_a_bug_has_frames_and_no_words() -> None:
    try:
        Broken(10).item(5)
    except RuntimeError as error:
        record = logging.LogRecord(
            "uvicorn.error", 40, __file__, 1, "failed", (), (type(error), error, error.__traceback__)
        )
    line = _Frames("%(message)s").format(record)
    assert "secret" not in line
    assert "RuntimeError" in line
    assert "in item in" not in line
    assert "  item in " in line


def test_numbers_and_words_survive_json(asked: Asked) -> None:
    assert json.loads(asked.get("/api/items", queue="new").text)["items"][0]["size"] == 1000


def test_an_item_without_a_digest_cannot_be_graded(reviewed: Callable[..., Asked], monkeypatch: Any) -> None:
    asked = reviewed()
    asked.enter()
    whole = asked.desk.item
    monkeypatch.setattr(
        asked.desk, "item", lambda identity, queue="": replace(whole(identity), sha256=None, state=None)
    )
    item = asked.get("/api/item", id=3).json()["item"]
    assert item["gradable"] is False
    assert item["picture"] is False
    assert item["kind_words"] == "place"
