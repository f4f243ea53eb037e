"""Serving the review page on 127.0.0.1 until its session is ended, with no log of what is asked."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable
from typing import Any

import uvicorn

from caid_triage.errors import UsageError
from caid_triage.review.connections import Room
from caid_triage.review.server import Review

# So many connections at most are taken before any of them is looked at.
BACKLOG = 128


class Serving:
    """Runs the server until it is asked to end."""

    def __init__(
        self, review: Callable[[int, Callable[[], None]], Review], port: int, room: Room | None = None
    ) -> None:
        """Take the port (0: any that is free) on 127.0.0.1. UsageError where somebody else has it."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
            self._socket.listen()  # the address is told before the server runs: who asks then waits for it
        except (OSError, OverflowError) as fault:
            self._socket.close()
            raise UsageError(
                f"port {port} of this machine cannot be used ({fault}); give another with --port"
            ) from fault
        self.review = review(self._socket.getsockname()[1], self._stop)
        self._room = room or Room()
        self._server: uvicorn.Server | None = None

    def run(self) -> None:
        """Serve until the session is ended in the page. An interruption is raised again when all is closed."""
        config = uvicorn.Config(
            self.review.guard,
            http=self._room.protocol(),
            backlog=BACKLOG,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        log = logging.getLogger("uvicorn")
        handler = logging.StreamHandler()
        handler.setFormatter(_Frames("caid-triage: %(message)s"))
        before = log.handlers, log.propagate, log.level
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.ERROR)  # a warning is of what somebody sent who is none of our page
        try:
            self._server.run(sockets=[self._socket])
        finally:
            log.handlers, log.propagate = before[:2]
            log.setLevel(before[2])
            self._socket.close()
            self.review.close()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True


class _Frames(logging.Formatter):
    """Says where a bug is, without the error's own words: they may quote a suspect's path."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        """The kind of the error and its frames."""
        kind, _, trace = ei
        frames = [f"  {frame.name} in {frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        return "\n".join([f"a bug of ours ({kind.__name__}); please report these lines:", *frames])
