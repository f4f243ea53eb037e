"""A review of a made-up desk, asked without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp
from support.fake_desk import LISTED, FakeDesk

from caid_triage.hashset.schemes import CategoryScheme, load_scheme
from caid_triage.review.server import Review
from caid_triage.review.sitting import Setting

PORT = 4711
OWN = f"http://127.0.0.1:{PORT}"


def setting(**changes: Any) -> Setting:
    scheme: CategoryScheme = replace(load_scheme("uk"), confirmed_by="A. Unit, 2026-01-02")
    given: dict[str, Any] = {
        "case": "OP/7 Larch",
        "exhibits": ("ABC/1", "ABC/2"),
        "examiner": "DC Larch",
        "scheme": scheme,
        "categories": (LISTED,),
        "unconfirmed": frozenset(),
        "break_minutes": 20,
    }
    return Setting(**{**given, **changes})


class Client:
    """A browser as far as the server can tell: it asks, and keeps cookies."""

    def __init__(self, app: ASGIApp) -> None:
        self.cookies = httpx.Cookies()
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=OWN, cookies=self.cookies) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@dataclass
class Asked:
    """A page's side of a review: the client with its cookie, and what stands behind it."""

    client: Client
    review: Review
    desk: FakeDesk
    ended: list[bool]

    def get(self, path: str, **words: object) -> Any:
        return self.client.get(path, params={name: str(value) for name, value in words.items()})

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        usual = {"origin": OWN, "x-caid-triage": self.review.guard.csrf}
        return self.client.post(path, json={} if body is None else body, headers={**usual, **headers})

    def enter(self) -> Any:
        return self.client.get(self.review.guard.address.removeprefix(OWN))


@pytest.fixture
def reviewed() -> Any:
    """Makes a review of a made-up desk; not yet entered."""
    made: list[Review] = []

    def make(desk: FakeDesk | None = None, **changes: Any) -> Asked:
        ended: list[bool] = []
        the_desk = desk or FakeDesk(200)
        review = Review(the_desk, setting(**changes), PORT, lambda: ended.append(True))
        made.append(review)
        client = Client(review.guard)
        return Asked(client, review, the_desk, ended)

    yield make
    for review in made:
        review.close()


@pytest.fixture
def asked(reviewed: Callable[..., Asked]) -> Asked:
    """A review that its examiner has entered."""
    asked = reviewed()
    assert asked.enter().status_code == 303
    return asked
