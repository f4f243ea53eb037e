"""Connections to the review page: few at once, and none that makes the server wait for it.

Whatever runs on this machine can open connections to the port, say half a request, and leave it at that. Who does not
finish what he began is hung up on; where there are too many, those that ask nothing make room, the oldest first. The
examiner's browser has a handful, asks again by itself, and is never cut off in the middle of an answer.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128
OWED_SECONDS = 10.0


class Room:
    """The connections that are open."""

    def __init__(self, most: int = MOST_CONNECTIONS, seconds: float = OWED_SECONDS) -> None:
        self.most = most
        self.seconds = seconds
        self._open: dict[_Connection, None] = {}  # the oldest first

    def protocol(self) -> type[H11Protocol]:
        """The kind of connection that uvicorn is to make: one that enters this room."""
        room = self

        class Connection(_Connection):
            _room = room

        return Connection

    def enter(self, connection: _Connection) -> None:
        """Take in a connection; one that asks nothing goes for it where there are too many, else the new one."""
        self._open[connection] = None
        if len(self._open) > self.most:
            goes = next((one for one in self._open if one.is_idle), connection)
            self.leave(goes)
            goes.transport.abort()

    def leave(self, connection: _Connection) -> None:
        """Forget a connection. May be called twice."""
        self._open.pop(connection, None)


class _Connection(H11Protocol):
    """A connection that is given so long for the rest of what it has begun to say."""

    _room: Room
    _timer: asyncio.TimerHandle | None = None
    _timed: object = None  # the request before which, or of which, something is waited for

    @property
    def is_idle(self) -> bool:
        """Whether no answer is being made for it."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._room.enter(self)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.leave(self)
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        """Start the clock where something is owed: a first request, the rest of its head, or that of its body."""
        begun = self.conn.their_state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
        owed = begun or self.conn.their_state is h11.SEND_BODY
        if not owed or self._timed is not self.cycle:
            self._wait_no_longer()
        if owed and self._timer is None and not self.transport.is_closing():
            self._timer, self._timed = self.loop.call_later(self._room.seconds, self.transport.abort), self.cycle

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
