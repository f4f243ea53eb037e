"""Who opens many connections to the review page, or leaves one half said, keeps nobody else from being answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from support.fake_desk import FakeDesk

from caid_triage.review.connections import Room
from caid_triage.review.items import ItemFilter
from caid_triage.review.server import Review
from caid_triage.review.serving import Serving

from .conftest import setting

SHORT = 2.0  # a busy machine is not to be taken for somebody who owes something


@dataclass
class Served:
    """A server on a port, and what an examiner's browser sends with each question."""

    port: int
    head: bytes

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=8)

    def question(self, path: str, more: bytes = b"") -> bytes:
        return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path.encode(), self.head, more)

    def answer(self, path: str = "/api/figures") -> bytes:
        with closing(self.connection()) as asked:
            asked.sendall(self.question(path, b"Connection: close\r\n"))
            return b"".join(iter(lambda: asked.recv(65536), b""))


@contextmanager
def served(room: Room, desk: FakeDesk | None = None) -> Iterator[Served]:
    serving = Serving(lambda port, end: Review(desk or FakeDesk(50), setting(), port, end), 0, room)
    thread = threading.Thread(target=serving.run)
    thread.start()
    try:
        address = serving.review.guard.address
        port = int(address.split(":")[2].partition("/")[0])
        found = Served(port, f"Host: 127.0.0.1:{port}\r\n".encode())
        entered = found.answer("/enter" + address.partition("/enter")[2])
        cookie = entered.partition(b"set-cookie: ")[2].partition(b";")[0]
        found.head += b"Cookie: " + cookie + b"\r\n"
        yield found
    finally:
        serving._stop()
        thread.join()


def whole(connection: socket.socket) -> bytes:
    """One answer of figures to its end: head and body may come apart."""
    said = b""
    while not said.endswith(b"}}"):
        said += connection.recv(65536) or b"}}"
    return said


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(65536) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_who_does_not_finish_a_question_is_hung_up_on_and_others_are_answered_meanwhile() -> None:
    with served(Room(seconds=SHORT)) as server, ExitStack() as ours:
        begun = (
            b"",
            b"GET / HT",
            server.question("/")[:-2],
            b"POST /api/undo HTTP/1.1\r\n" + server.head + b"Content-Length: 50\r\n\r\n{",
            b"POST /api/undo HTTP/1.1\r\n" + server.head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n",
            server.question("/api/figures") + b"GET / HT",
        )
        halves = [ours.enter_context(closing(server.connection())) for _ in begun]
        for half, words in zip(halves, begun, strict=True):
            half.sendall(words)
        browser = ours.enter_context(closing(server.connection()))
        browser.sendall(server.question("/api/figures"))
        assert whole(browser).startswith(b"HTTP/1.1 200")
        assert server.answer().startswith(b"HTTP/1.1 200")
        end = time.monotonic() + 20 * SHORT
        while any(map(is_open, halves)) and time.monotonic() < end:
            assert server.answer().startswith(b"HTTP/1.1 200")
        assert not [words for words, half in zip(begun, halves, strict=True) if is_open(half)]
        browser.settimeout(8)
        browser.sendall(server.question("/api/figures"))  # a browser that is silent between two questions owes nothing
        assert whole(browser).startswith(b"HTTP/1.1 200")


def test_of_too_many_connections_the_oldest_that_ask_nothing_make_room() -> None:
    with served(Room(most=8)) as server, ExitStack() as ours:
        many = [ours.enter_context(closing(server.connection())) for _ in range(30)]
        assert server.answer().startswith(b"HTTP/1.1 200")
        assert [is_open(one) for one in many[:20]] == [False] * 20
        assert is_open(many[-1])


class Slow(FakeDesk):
    """Takes its time to count."""

    def count(self, which: ItemFilter) -> int:
        time.sleep(1.5 * SHORT)
        return super().count(which)


def test_an_answer_that_takes_long_is_not_cut_off_whoever_comes() -> None:
    with served(Room(most=4, seconds=SHORT), Slow(50)) as server, ExitStack() as ours:
        waiting = ours.enter_context(closing(server.connection()))
        waiting.sendall(server.question("/api/count?queue=new"))
        time.sleep(SHORT / 4)
        for _ in range(12):
            ours.enter_context(closing(server.connection()))
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")


def test_questions_one_behind_the_other_are_answered_in_turn() -> None:
    with served(Room(seconds=SHORT)) as server, closing(server.connection()) as asked:
        asked.sendall(server.question("/api/figures") * 40 + server.question("/", b"Connection: close\r\n"))
        said = b"".join(iter(lambda: asked.recv(65536), b""))
    assert said.count(b"HTTP/1.1 200 OK") == 41
