"""Who may ask the review page: the one browser that brought the printed address, from our own page, on this machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from caid_triage.review.security import MOST_BODY, Guard

from .conftest import OWN, PORT, Asked, Client

EVERYWHERE = ("/", "/static/app.js", "/static/nothing.js", "/api/start", "/api/items?queue=new", "/nothing", "/enter")
NEEDED = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def guarded(answer: Any) -> None:
    for name, value in NEEDED.items():
        assert answer.headers[name] == value
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'none'"
    for kind in ("script-src", "style-src", "img-src", "connect-src"):
        assert policy[kind] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_nothing_is_given_without_a_session(reviewed: Callable[..., Asked], path: str) -> None:
    asked = reviewed()
    answer = asked.client.get(path)
    assert answer.status_code in (401, 403)
    guarded(answer)
    assert "caid-triage" not in answer.headers.get("set-cookie", "")
    assert asked.review.guard.csrf not in answer.text


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_answer_of_a_session_carries_the_headers(asked: Asked, path: str) -> None:
    guarded(asked.client.get(path))


def test_the_token_is_good_once(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed()
    first = asked.enter()
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    guarded(first)
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert asked.client.get("/").status_code == 200
    stranger = Client(asked.review.guard)
    second = stranger.get(f"/enter?token={asked.review.guard.address.partition('token=')[2]}")
    assert second.status_code == 403
    assert "set-cookie" not in second.headers
    assert stranger.get("/").status_code == 401
    assert asked.client.get("/").status_code == 200


def test_the_address_that_was_used_does_not_open_it_again(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed()
    used = asked.review.guard.address
    asked.enter()
    stranger = Client(asked.review.guard)
    assert stranger.get(used.removeprefix(OWN)).status_code == 403


@pytest.mark.parametrize("query", ["", "token=", "token=None", "token=x", "token=a&token=b", "token=%00"])
def test_a_wrong_token_opens_nothing(reviewed: Callable[..., Asked], query: str) -> None:
    asked = reviewed()
    asked.enter()
    for review in (asked, reviewed()):
        answer = Client(review.review.guard).get(f"/enter?{query}")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_a_wrong_token_does_not_use_up_the_right_one(reviewed: Callable[..., Asked]) -> None:
    asked = reviewed()
    assert asked.client.get("/enter?token=x").status_code == 403
    assert asked.enter().status_code == 303


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        f"localhost:{PORT}",
        f"127.0.0.1:{PORT + 1}",
        "",
        f"[::1]:{PORT}",
    ],
)
def test_another_name_of_this_machine_is_refused(asked: Asked, host: str) -> None:
    """DNS rebinding: a page of evil.example, whose name now means 127.0.0.1."""
    for path in ("/", "/api/start", asked.review.guard.address.removeprefix(OWN)):
        answer = asked.client.get(path, headers={"host": host})
        assert answer.status_code == 421
        guarded(answer)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"http://localhost:{PORT}", f"https://127.0.0.1:{PORT}"]
)
def test_another_page_s_request_is_refused(asked: Asked, origin: str) -> None:
    assert asked.client.get("/api/start", headers={"origin": origin}).status_code == 403
    assert asked.post("/api/undo", origin=origin).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "whatever"])
def test_what_a_browser_says_comes_from_another_site_is_refused(asked: Asked, site: str) -> None:
    assert asked.client.get("/api/start", headers={"sec-fetch-site": site}).status_code == 403
    assert asked.client.get("/", headers={"sec-fetch-site": site}).status_code == 403


def test_a_typed_address_opens_the_page_and_changes_nothing(asked: Asked) -> None:
    assert asked.client.get("/", headers={"sec-fetch-site": "none"}).status_code == 200
    assert asked.client.get("/api/start", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    body = {"id": "1", "code": "1"}
    assert asked.post("/api/grade", body, **{"sec-fetch-site": "none"}).status_code == 403
    assert asked.desk.grades_of(0) == []


def test_a_grade_needs_the_page_s_own_secret(asked: Asked) -> None:
    body = {"id": "1", "code": "1"}
    for headers in ({"x-caid-triage": "wrong"}, {"x-caid-triage": ""}):
        assert asked.post("/api/grade", body, **headers).status_code == 403
    bare = asked.client.post("/api/grade", json=body, headers={"origin": OWN})
    assert bare.status_code == 403
    no_origin = asked.client.post("/api/grade", json=body, headers={"x-caid-triage": asked.review.guard.csrf})
    assert no_origin.status_code == 403
    plain = asked.post("/api/grade", body, **{"content-type": "text/plain"})
    assert plain.status_code == 403
    assert asked.desk.grades_of(0) == []
    assert asked.post("/api/grade", body).status_code == 200


def test_the_secret_stands_in_our_page_alone(asked: Asked) -> None:
    secret = asked.review.guard.csrf
    assert secret in asked.client.get("/").text
    assert secret not in asked.client.get("/api/start").text
    assert secret not in asked.client.get("/static/app.js").text


def test_a_cookie_of_another_port_neither_opens_nor_shuts(asked: Asked) -> None:
    mine = "; ".join(f"{name}={value}" for name, value in asked.client.cookies.items())
    bare = Client(asked.review.guard)
    for others in ("x", "=;;", 'a="b', "caid-triage-1=2", "caid-triage-4711=", "\xff\x00=1"):
        line = f"{others}; {mine}".encode("latin-1")
        assert bare.get("/", headers=[(b"cookie", line)]).status_code == 200
        assert bare.get("/", headers=[(b"cookie", others.encode("latin-1"))]).status_code == 401


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_other_methods_are_refused(asked: Asked, method: str) -> None:
    answer = asked.client.request(method, "/api/start")
    assert answer.status_code == 405
    guarded(answer)


def test_sizes_are_bounded(asked: Asked) -> None:
    long_note = {"id": "1", "code": "1", "note": "x" * MOST_BODY}
    assert asked.post("/api/grade", long_note).status_code == 413
    assert asked.client.get(f"/api/items?queue=new&text={'x' * 9000}").status_code == 414
    assert asked.client.get("/api/items?queue=new&text=" + "x" * 500).status_code == 400
    for length in ("-1", "1e9", "99999999999999999999", "+5"):
        assert asked.post("/api/undo", **{"content-length": length}).status_code in (400, 413)
    assert asked.desk.grades_of(0) == []


def test_a_body_without_a_length_is_bounded_too(asked: Asked) -> None:
    async def pieces():
        for _ in range(100):
            yield b" " * 8192

    headers = {"origin": OWN, "x-caid-triage": asked.review.guard.csrf, "content-type": "application/json"}
    answer = asked.client.post("/api/grade", content=pieces(), headers=headers)
    assert answer.status_code == 413
    guarded(answer)


def test_a_second_host_header_is_refused() -> None:
    """A proxy and a server may each read another one; we read none of two."""
    sent: list[dict[str, Any]] = []

    async def never(*_: object) -> None:
        raise AssertionError("passed on")

    async def send(message: Any) -> None:
        sent.append(message)

    host = (b"host", f"127.0.0.1:{PORT}".encode())
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [host, host]}
    asyncio.run(Guard(never, PORT)(scope, never, send))
    assert sent[0]["status"] == 421


def test_the_page_has_no_inline_script_or_style(asked: Asked) -> None:
    html = asked.client.get("/").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=\"/static/)", html)
    assert re.findall(r"(?:src|href)=\"([^\"]+)\"", html) == [
        "/static/icon.svg",
        "/static/review.css",
        "/static/app.js",
        "#grid",
    ]


def test_addresses_differ_and_are_long(reviewed: Callable[..., Asked]) -> None:
    tokens = {reviewed().review.guard.address.partition("token=")[2] for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 40 for token in tokens)
