"""What comes in: a request's body under a limit, its JSON, its query parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request

from scorespan.errors import MartError
from scorespan.mart.body import DEEPEST, nested_deeper, too_deep
from scorespan.mart.faults import refusal

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request body."""

LARGEST_FORM = 8 * 1024
"""Bytes of a token request, which anybody may send."""

LARGEST_TOTAL = 8 * LARGEST_BODY
"""Bytes of all bodies that are held at a time."""

_TRUE = {"true": True, "1": True, "false": False, "0": False}


class Room:
    """Memory for bodies that are being read or worked on. Used by the event loop's thread only."""

    def __init__(self, size: int = LARGEST_TOTAL) -> None:
        self._free = size

    def take(self, size: int) -> None:
        """Claim bytes.

        Raises:
            MartError: 503, there are not that many left; nothing was claimed.
        """
        if size > self._free:
            raise refusal(503, "overloaded", "too many large requests at a time; try again")
        self._free -= size

    def give_back(self, size: int) -> None:
        """Release what was claimed."""
        self._free += size


async def read_body(request: Request) -> AsyncIterator[bytes]:
    """The whole body; its room is free again after the answer.

    Raises:
        MartError: 413 beyond the limit, declared or not; 415 for a content coding; 503 where all
            requests together are too large.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise refusal(415, "unsupported_encoding", "send the body without a content coding")
    room: Room = request.app.state.mart.room
    held: list[bytes] = []
    taken = 0
    try:
        async for chunk in _limited(request, LARGEST_BODY):
            room.take(len(chunk))
            taken += len(chunk)
            held.append(chunk)
        body = b"".join(held)
        held.clear()
        yield body
    finally:
        room.give_back(taken)


async def read_form(request: Request) -> bytes:
    """A small body, for a route that asks for no token.

    Raises:
        MartError: 413, it is not small.
    """
    return b"".join([chunk async for chunk in _limited(request, LARGEST_FORM)])


async def _limited(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body in chunks, under a limit.

    Of a body that is too large some is read and thrown away, so that a client which sends before
    it reads gets to see the answer.
    """
    declared = request.headers.get("content-length", "")
    fits = not (declared.isdigit() and int(declared) > most)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        fits = fits and size <= most
        if fits:
            yield chunk
        elif size > 4 * most:
            break
    if not fits:
        message = f"the body is larger than {most} bytes; send fewer records at a time"
        raise refusal(413, "body_too_large", message)


def decode(body: bytes) -> Any:
    """The JSON document of a setup request.

    Raises:
        MartError: 400, it is none.
    """
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise MartError(400, [too_deep()]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise refusal(400, "invalid_json", "the body is not valid JSON in UTF-8") from None
    if nested_deeper(body, DEEPEST):
        raise MartError(400, [too_deep()])
    return document


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a setup request.

    Raises:
        MartError: 400, it is none.
    """
    document = decode(body)
    if not isinstance(document, dict):
        raise refusal(400, "wrong_type", "the body must be a JSON object")
    return document


def number(request: Request, name: str, default: int, *, least: int = 0) -> int:
    """A whole number from the query.

    Raises:
        MartError: 400, it is no number or below the least.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) >= least):
        message = f"{name} must be a whole number of at least {least}"
        raise refusal(400, "invalid_parameter", message, field=name)
    return int(text)


def flag(request: Request, name: str) -> bool:
    """A switch from the query, off where it is absent.

    Raises:
        MartError: 400, it is neither true nor false.
    """
    text = request.query_params.get(name, "false").lower()
    if text not in _TRUE:
        raise refusal(400, "invalid_parameter", f"{name} must be true or false", field=name)
    return _TRUE[text]
