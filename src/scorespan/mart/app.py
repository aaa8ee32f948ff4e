"""The application: the routes over one store and one authority."""

from __future__ import annotations

import sys

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from scorespan.mart import (
    data_mart_routes,
    payload_routes,
    performance_routes,
    subscription_routes,
    token_routes,
)
from scorespan.mart.access import Mart, TheMart
from scorespan.mart.answers import MartRoute, answer, refused
from scorespan.mart.body import DEEPEST
from scorespan.mart.faults import refusal

health = APIRouter(route_class=MartRoute)


@health.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


@health.get("/readyz")
def readyz(mart: TheMart) -> Response:
    """The store answers."""
    with mart.store.reading() as reader:
        reader.api_keys()
    return answer({"status": "ok"})


ROUTERS = (
    health,
    token_routes.router,
    data_mart_routes.router,
    subscription_routes.router,
    payload_routes.router,
    performance_routes.router,
)


def create_app(mart: Mart) -> FastAPI:
    """The data mart as an ASGI application. It owns nothing: whoever made the store closes it."""
    # Up to 3.11 the parser's nesting counts against the interpreter's own limit, which leaves a
    # document of the deepest allowed nesting no room.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 2 * DEEPEST))
    # Its pages would load scripts from elsewhere, and all of it would be open to anyone.
    app = FastAPI(title="scorespan data mart", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.mart = mart
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _unrouted)
    return app


async def _unrouted(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the framework calls it
    """What the framework itself refuses: paths and methods that do not exist."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return refused(refusal(405, "method_not_allowed", "the path does not take this method"))
    return refused(refusal(status, "unknown_path", "there is no such path"))
