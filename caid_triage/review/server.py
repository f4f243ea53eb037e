"""The review page's server: one examiner, one browser, this machine alone.

It answers what the page asks (static/*.js), out of a desk (review/desk.py), and adds nothing of its own: no list is
kept here, no grade, no picture. What is asked is checked in review/asking.py, who asks in review/security.py. What an
examiner may see of an item is decided in review/words.py, what an error is told as in review/replies.py. It keeps no
log of requests: an address that was asked for would say which item was looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any, TypeVar

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from caid_triage.errors import UsageError
from caid_triage.locations import location_rules
from caid_triage.model import Category, Kind, State
from caid_triage.review.asking import (
    FILTER_WORDS,
    SIZES,
    WINDOW_WORDS,
    AskedWronglyError,
    asked_filter,
    asked_window,
    body_of,
    category_words,
    identity_of,
    note_of,
    whole,
    words_of,
)
from caid_triage.review.items import APART, Item, ItemFilter, QueueFigures
from caid_triage.review.keys import Grade, grades_of
from caid_triage.review.replies import REPLIES, GoneError, json_reply, media_type
from caid_triage.review.security import Guard
from caid_triage.review.sitting import Desk, Groups, Setting, Tally
from caid_triage.review.words import KIND_WORDS, STATE_WORDS, item_words
from caid_triage.visible import shown

STATIC = {
    "app.js": "text/javascript; charset=utf-8",
    "ask.js": "text/javascript; charset=utf-8",
    "details.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "filters.js": "text/javascript; charset=utf-8",
    "grid.js": "text/javascript; charset=utf-8",
    "listing.js": "text/javascript; charset=utf-8",
    "welfare.js": "text/javascript; charset=utf-8",
    "review.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# Of the time that a review of a growing case takes, at most one part in so many is spent reading it anew.
REFRESH_SHARE = 20
THUMBNAILS_AT_ONCE = 2

T = TypeVar("T")


class Review:
    """The application: the answers to what the page asks. ``end`` is called when the examiner ends the session."""

    def __init__(self, desk: Desk, setting: Setting, port: int, end: Callable[[], None]) -> None:
        self._desk = desk
        self._setting = setting
        self._grades = grades_of(setting.scheme)
        self._end = end
        self._asking = ThreadPoolExecutor(2, "desk")
        self._drawing = ThreadPoolExecutor(THUMBNAILS_AT_ONCE, "thumbnail")
        self._refresh_from = 0.0
        self._groups = Groups(desk)
        self.tally = Tally()
        self._files = {name: (resources.files(__package__) / "static" / name).read_bytes() for name in STATIC}
        routes = [
            Route("/", self._page),
            Route("/static/{name}", self._static),
            Route("/api/start", self._start),
            Route("/api/figures", self._figures),
            Route("/api/count", self._count),
            Route("/api/items", self._items),
            Route("/api/item", self._item),
            Route("/api/group", self._group),
            Route("/api/thumbnail", self._thumbnail),
            Route("/api/grade", self._grade, methods=["POST"]),
            Route("/api/grade-group", self._grade_group, methods=["POST"]),
            Route("/api/undo", self._undo, methods=["POST"]),
            Route("/api/note", self._note, methods=["POST"]),
            Route("/api/groups", self._make_groups, methods=["POST"]),
            Route("/api/revealed", self._revealed, methods=["POST"]),
            Route("/api/forget", self._forget, methods=["POST"]),
            Route("/api/end", self._finish, methods=["POST"]),
        ]
        self.guard = Guard(Starlette(routes=routes, exception_handlers=REPLIES), port)
        self._html = _template().render(secret=self.guard.csrf)

    def close(self) -> None:
        """Let the work that goes on end, start none any more."""
        for pool in (self._asking, self._drawing):
            pool.shutdown(wait=True, cancel_futures=True)

    # -- the page ------------------------------------------------------------------------------------------------------

    async def _page(self, _: Request) -> Response:
        return Response(self._html, media_type="text/html")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return JSONResponse({"error": "There is no such file."}, 404)
        return Response(self._files[name], headers={"content-type": STATIC[name]})

    async def _start(self, request: Request) -> Response:
        words_of(request, frozenset())
        setting = self._setting
        queues = await self._ask(request, lambda: self._desk.queues(setting.examiner))
        return json_reply(
            {
                "case": shown(setting.case),
                "examiner": shown(setting.examiner),
                "scheme": {
                    "title": shown(setting.scheme.title or setting.scheme.name),
                    "confirmed": bool(setting.scheme.confirmed_by),
                },
                "grades": [_grade_words(grade) for grade in self._grades],
                "queues": [_queue_words(queue) for queue in queues],
                "scanning": setting.scanning(),
                "groups": self._groups.words(),
                "choices": self._choices(),
                "break_minutes": setting.break_minutes,
            }
        )

    def _choices(self) -> dict[str, list[dict[str, str]]]:
        """What the filter's lists offer: the value to ask with and the words for it."""
        setting = self._setting
        locations = [(location.tag, location.words) for location, _ in location_rules().rules]
        categories = [
            (category_words(one.code, one.scheme), f"{shown(one.label)} [{shown(one.scheme)}]")
            for one in setting.categories
        ]
        offered: dict[str, Sequence[tuple[str, str]]] = {
            "decided": [("no", "not graded by me"), ("yes", "graded by me")],
            "state": [(state.value, STATE_WORDS[state]) for state in State],
            "kind": [(kind.value, KIND_WORDS[kind]) for kind in Kind],
            "category": categories,
            "location": [*locations, ("other", "elsewhere")],
            "exhibit": [(exhibit, shown(exhibit)) for exhibit in setting.exhibits],
        }
        return {field: [{"value": value, "words": words} for value, words in rows] for field, rows in offered.items()}

    # -- questions -----------------------------------------------------------------------------------------------------

    async def _figures(self, request: Request) -> Response:
        words_of(request, frozenset())
        queues = await self._ask(request, self._fresh_queues)
        return json_reply(
            {
                "queues": [_queue_words(queue) for queue in queues],
                "scanning": self._setting.scanning(),
                "groups": self._groups.words(),
            }
        )

    def _fresh_queues(self) -> list[QueueFigures]:
        """The figures, with what a scan has added, unless taking that in lately took too long to do it again."""
        begun = time.monotonic()
        if begun >= self._refresh_from:
            self._desk.refresh()
            done = time.monotonic()
            self._refresh_from = done + REFRESH_SHARE * (done - begun)
        return self._desk.queues(self._setting.examiner)

    async def _count(self, request: Request) -> Response:
        wanted = asked_filter(words_of(request, FILTER_WORDS), self._setting.examiner)
        return json_reply({"count": await self._ask(request, lambda: self._desk.count(wanted))})

    async def _items(self, request: Request) -> Response:
        words = words_of(request, FILTER_WORDS | WINDOW_WORDS)
        wanted, window = asked_filter(words, self._setting.examiner), asked_window(words)

        def read() -> list[Item]:
            desk = self._desk
            if window.after is not None:
                return desk.page(wanted, window.after, window.limit)
            if window.before is not None:
                return desk.before(wanted, window.before, window.limit)
            if window.at == 0:
                return desk.page(wanted, None, window.limit)
            behind = desk.at(wanted, window.at - 1)
            return [] if behind is None else desk.page(wanted, behind, window.limit)

        return json_reply({"items": [self._shown(item) for item in await self._ask(request, read)]})

    async def _item(self, request: Request) -> Response:
        identity = identity_of(words_of(request, frozenset({"id"})).get("id", ""))
        return json_reply({"item": self._shown(await self._ask(request, lambda: self._one(identity)))})

    async def _group(self, request: Request) -> Response:
        identity = identity_of(words_of(request, frozenset({"id"})).get("id", ""))
        return json_reply(await self._ask(request, lambda: self._group_figures(self._cluster_of(identity))))

    def _group_figures(self, cluster: int) -> dict[str, int]:
        """How many contents look alike, and how many of them this examiner has graded."""
        of_group = [ItemFilter(queue, cluster=cluster, examiner=self._setting.examiner) for queue in APART]
        decided = [ItemFilter(one.queue, cluster=cluster, examiner=one.examiner, decided=True) for one in of_group]
        return {"contents": sum(map(self._desk.count, of_group)), "decided": sum(map(self._desk.count, decided))}

    async def _thumbnail(self, request: Request) -> Response:
        words = words_of(request, frozenset({"id", "size"}))
        identity, size = identity_of(words.get("id", "")), whole(words.get("size", ""))
        if size not in SIZES:
            raise AskedWronglyError("There is no picture of that size.")
        drawn = await self._ask(request, lambda: self._desk.thumbnail(self._one(identity), size), self._drawing)
        if isinstance(drawn, bytes):
            self.tally.shown.add(identity)
            return Response(drawn, media_type=media_type(drawn))
        return json_reply({"placeholder": shown(drawn.reason)})

    # -- what changes something ----------------------------------------------------------------------------------------

    async def _grade(self, request: Request) -> Response:
        body = await body_of(request, {"id": str, "code": str})
        identity, category = identity_of(body["id"]), self._category(body["code"])

        def grade() -> tuple[int, Item]:
            graded = self._desk.decide([identity], category, self._setting.examiner)
            return graded, self._one(identity)

        graded, item = await self._surely(grade)
        self.tally.graded += graded
        return json_reply({"item": self._shown(item)})

    async def _grade_group(self, request: Request) -> Response:
        body = await body_of(request, {"id": str, "code": str, "expected": int})
        identity, category = identity_of(body["id"]), self._category(body["code"])

        def grade() -> int:
            cluster = self._cluster_of(identity)
            if self._group_figures(cluster)["contents"] != body["expected"]:
                raise UsageError(
                    "The group is not as large any more as was said: nothing was graded. Look at it again."
                )
            return self._desk.decide([], category, self._setting.examiner, cluster=cluster)

        graded = await self._surely(grade)
        self.tally.graded += graded
        return json_reply({"words": f"{graded:,} contents graded {shown(category.label)}."})

    async def _undo(self, request: Request) -> Response:
        await body_of(request, {})

        def undo() -> tuple[int, list[Item]]:
            touched = self._desk.undo(self._setting.examiner)
            found = (self._desk.item(identity) for identity in touched[:1])
            return len(touched), [item for item in found if item is not None]

        count, items = await self._surely(undo)
        self.tally.taken_back += count
        words = {0: "There is nothing to take back.", 1: "Grade taken back."}.get(
            count, f"{count:,} grades taken back."
        )
        return json_reply({"count": count, "items": [self._shown(item) for item in items], "words": words})

    async def _note(self, request: Request) -> Response:
        body = await body_of(request, {"id": str, "note": str})
        identity, note = identity_of(body["id"]), note_of(body["note"])

        def keep() -> tuple[int, Item]:
            noted = self._desk.remark([identity], note, self._setting.examiner)
            return noted, self._one(identity)

        noted, item = await self._surely(keep)
        self.tally.noted += noted
        return json_reply({"item": self._shown(item)})

    async def _make_groups(self, request: Request) -> Response:
        await body_of(request, {})
        self._groups.make()
        return json_reply({"groups": self._groups.words()})

    async def _revealed(self, request: Request) -> Response:
        """Pictures were seen without their blur: how many is put on record when the session ends."""
        body = await body_of(request, {"ids": list})
        if not all(isinstance(one, str) for one in body["ids"]):
            raise AskedWronglyError("The request has not the words that it needs.")
        wanted = [identity_of(one) for one in body["ids"]]
        self.tally.revealed.update(await self._surely(lambda: [self._one(one).id for one in wanted]))
        return json_reply({"revealed": len(self.tally.revealed)})

    async def _forget(self, request: Request) -> Response:
        """Everything is hidden: no picture stays in memory here either."""
        await body_of(request, {})
        await self._surely(self._desk.forget_pictures)
        return json_reply({})

    async def _finish(self, request: Request) -> Response:
        await body_of(request, {})
        self._end()
        return json_reply({})

    # -- what they share -----------------------------------------------------------------------------------------------

    def _shown(self, item: Item) -> dict[str, object]:
        return item_words(item, self._setting.examiner, self._setting.unconfirmed)

    def _one(self, identity: int) -> Item:
        item = self._desk.item(identity)
        if item is None:
            raise AskedWronglyError("There is no such item.")
        return item

    def _cluster_of(self, identity: int) -> int:
        cluster = self._one(identity).cluster
        if cluster is None:
            raise AskedWronglyError("This item is in no group.")
        return cluster

    def _category(self, code: str) -> Category:
        found = next((grade.category for grade in self._grades if grade.category.code == code), None)
        if found is None:
            raise AskedWronglyError("The scheme has no such category.")
        return found

    async def _surely(self, work: Callable[[], T]) -> T:
        """Do what changes something, whether or not the browser waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, work)

    async def _ask(self, request: Request, work: Callable[[], T], pool: ThreadPoolExecutor | None = None) -> T:
        """Ask the desk, unless the browser goes away before that has begun: it was scrolled past."""
        asked = asyncio.get_running_loop().run_in_executor(pool or self._asking, work)
        gone = asyncio.ensure_future(_disconnected(request))
        both: set[asyncio.Future[Any]] = {asked, gone}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                asked.cancel()
                raise GoneError
            return await asked
        finally:
            gone.cancel()


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("caid_triage.review")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "page.html"
    )


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _queue_words(queue: QueueFigures) -> dict[str, object]:
    return {"name": queue.name, "title": queue.title, "items": queue.items, "decided": queue.decided}


def _grade_words(grade: Grade) -> dict[str, str]:
    return {
        "code": grade.category.code,
        "label": shown(grade.words),
        "key": grade.key,
        "legal_class": shown(grade.legal_class),
    }
