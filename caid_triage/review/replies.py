"""What the review page's server sends: JSON, pictures, and the words and the status for each kind of error."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from caid_triage.errors import CaidTriageError
from caid_triage.review.asking import AskedWronglyError
from caid_triage.review.security import TOO_LARGE, TooLargeError
from caid_triage.visible import shown

NOBODY_WAITS = 499  # as others number it; it is sent to a connection that is closed


class GoneError(Exception):
    """Nobody waits for an answer any more."""


def json_reply(value: object) -> Response:
    """A value as JSON in ASCII: whatever a name is, what goes over the wire is plain."""
    return Response(json.dumps(value), media_type="application/json")


def media_type(picture: bytes) -> str:
    """The type of a small picture as the worker encodes it: PNG or JPEG."""
    return "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=NOBODY_WAITS)


async def _asked_wrongly(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _too_large(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": TOO_LARGE}, 413)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": shown(" ".join(str(error).split()))}, 409)


async def _bug(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"A bug of caid-triage ({type(error).__name__}); its window says where."}, 500)


REPLIES: dict[Any, Any] = {
    AskedWronglyError: _asked_wrongly,
    GoneError: _gone,
    TooLargeError: _too_large,
    CaidTriageError: _refused,
    Exception: _bug,
}
"""What becomes of each kind of error, as Starlette asks it (``exception_handlers``)."""
