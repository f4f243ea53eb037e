"""Who may ask the review page anything: the person who was given its address, in one browser of this machine.

The page is served on 127.0.0.1 alone, where every page of every browser of this machine can knock. So each request
must name this address (DNS rebinding names another one), must not come from another site (``Origin``,
``Sec-Fetch-Site``), and must bring the cookie that the printed address was exchanged for, once. A request that changes
something must also bring a secret that only our own page can read (CSRF). Every answer, a refusal too, carries the
headers that keep it from being framed, stored, guessed at or extended with somebody else's script.

What is refused is said in one sentence, and never what would have been right.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENTRANCE = "/enter"
CSRF_HEADER = b"x-caid-triage"
MOST_BODY = 64 * 1024
MOST_QUERY = 8 * 1024
TOO_LARGE = "Refused: the request is too large."

# No inline script or style, nothing from elsewhere, no form that a browser would send, no place in another's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), display-capture=(), clipboard-read=()"),
)
_OURS = frozenset(name for name, _ in HEADERS) | {b"server"}


class TooLargeError(Exception):
    """A body has more bytes than any question of our page; the application answers it with :data:`TOO_LARGE`."""


class Guard:
    """An ASGI application around another one, which sees only what may be asked.

    ``token`` opens :data:`ENTRANCE` once; ``csrf`` is for our own page to send back. ``port`` is the one bound.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._host = f"127.0.0.1:{port}".encode()
        self._cookie = f"caid-triage-{port}"
        self._session: str | None = None
        self._token: str | None = secrets.token_urlsafe(32)
        self.csrf = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """What is printed for the person: good for one browser, once."""
        return f"http://{self._host.decode()}{ENTRANCE}?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse, one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no socket of another kind, and none is opened
            return
        guarded = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await _say(guarded, *refusal)
        elif scope["path"] == ENTRANCE:
            await self._enter(scope, guarded)
        elif not self._knows(scope):
            await _say(guarded, 401, "No session. Open the address that the command printed; it works once.")
        elif scope["method"] == "POST" and not self._meant(scope):
            await _say(guarded, 403, "Refused: the request does not come from the review page itself.")
        else:
            await self._pass_on(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """What is wrong with a request whoever sends it; None where nothing is."""
        if _values(scope, b"host") != [self._host]:
            return 421, "Refused: this is not the address that the command printed."
        if scope["method"] not in ("GET", "POST"):
            return 405, "Refused: only GET and POST are understood."
        if len(scope["query_string"]) > MOST_QUERY or len(scope["path"]) > MOST_QUERY:
            return 414, "Refused: the address is too long."
        origins = _values(scope, b"origin")
        own = b"http://" + self._host
        if any(origin != own for origin in origins) or (scope["method"] == "POST" and origins != [own]):
            return 403, "Refused: the request comes from another page."
        # A browser says "none" of an address that a person typed or clicked outside of any page.
        usual = (b"same-origin", b"none") if scope["method"] == "GET" else (b"same-origin",)
        if any(site not in usual for site in _values(scope, b"sec-fetch-site")):
            return 403, "Refused: the request comes from another page."
        lengths = _values(scope, b"content-length")
        if any(not length.isdigit() or len(length) > 9 or int(length) > MOST_BODY for length in lengths):
            return 413, TOO_LARGE
        return None

    async def _enter(self, scope: Scope, send: Send) -> None:
        """Exchange the token for a session, the first time it is brought; any other time nothing is given."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        right = self._token is not None and len(given) == 1 and _same(given[0], self._token)
        if not right or scope["method"] != "GET":
            await _say(
                send,
                403,
                "Refused: this address was used already, or is not the one that was printed. If it was not you who "
                "used it, end the command with Ctrl+C and start it again: it prints a new one.",
            )
            return
        self._token = None
        self._session = secrets.token_urlsafe(32)
        cookie = f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/"
        start = {
            "type": "http.response.start",
            "status": 303,
            "headers": [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")],
        }
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    def _knows(self, scope: Scope) -> bool:
        """Whether the request brings the session's cookie."""
        if self._session is None:
            return False
        # Split by hand: pages of other ports of this machine put cookies of their own into the same line.
        pieces = (piece.strip() for line in _values(scope, b"cookie") for piece in line.decode("latin-1").split(";"))
        given = (value for name, _, value in (piece.partition("=") for piece in pieces) if name == self._cookie)
        return any(_same(value, self._session) for value in given)

    def _meant(self, scope: Scope) -> bool:
        """Whether our own page sent it: a page of another site can neither read the secret nor set the header."""
        kinds = [kind.split(b";")[0].strip() for kind in _values(scope, b"content-type")]
        secret = _values(scope, CSRF_HEADER)
        return kinds == [b"application/json"] and len(secret) == 1 and _same(secret[0].decode("latin-1"), self.csrf)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, with a body of bounded size."""
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                raise TooLargeError
            return message

        await self._app(scope, bounded, send)


def _same(given: str, kept: str) -> bool:
    """Whether they are equal, in a time that says nothing of how far they are."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), kept.encode())


def _values(scope: Scope, name: bytes) -> list[bytes]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value for key, value in headers if key == name]


def _with_headers(send: Send) -> Send:
    """``send`` with our headers on every answer, in place of any of the same names."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in _OURS]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return guarded


async def _say(send: Send, status: int, sentence: str) -> None:
    """A refusal: one sentence of plain text."""
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
