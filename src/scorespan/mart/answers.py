"""An answer: JSON written once, the shape of refusals, and the route that turns errors into it."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.requests import ClientDisconnect

from scorespan.errors import MartError
from scorespan.mart.faults import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

logger = logging.getLogger(__name__)

_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}


def answer(document: Any, status: int = 200) -> Response:
    """A JSON answer. Raw members keep their text."""
    body = msgspec.json.encode(document)
    return Response(body, status_code=status, media_type="application/json")


def refused(error: MartError) -> Response:
    """The answer to a refused request; its trace id stands in the log of a fault of ours."""
    trace = uuid.uuid4().hex
    if error.status >= 500:
        logger.error("answered %d (trace %s): %s", error.status, trace, error)
    response = answer({"trace": trace, "errors": error.errors}, error.status)
    response.headers.update(_HEADERS.get(error.status, {}))
    return response


class MartRoute(APIRoute):
    """A route that answers every error in the mart's shape; none reaches the server's own log.

    The store's passing faults (locked, disk full) are 503, so that senders keep their records.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with its errors answered."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except MartError as error:
                return refused(error)
            except ClientDisconnect:
                # Nobody is there to read it; it only must not look like a fault of ours.
                return refused(refusal(400, "incomplete_body", "the body ended too early"))
            except (OperationalError, PoolTimeoutError) as error:
                # Its text names statement and cause; values are hidden by the engine.
                logger.exception("the store failed")
                message = f"the store is not available ({type(error).__name__})"
                return refused(refusal(503, "store_unavailable", message))
            except Exception:
                logger.exception("a request failed")
                return refused(refusal(500, "internal_error", "the mart failed; see its log"))

        return handle
