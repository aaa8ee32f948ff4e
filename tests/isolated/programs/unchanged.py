"""A scoring service that knows nothing of scorespan, and one request to it."""

from __future__ import annotations

import asyncio
import sys

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

REQUEST = b'{"fields": ["a"], "values": [[1.5]]}'


async def score(request):
    """The prediction for each row."""
    rows = (await request.json())["values"]
    return JSONResponse({"fields": ["p"], "values": [[1] for _ in rows]})


app = Starlette(routes=[Route("/score", score, methods=["POST"])])


async def receive():
    """The request, as a server hands it over."""
    return {"type": "http.request", "body": REQUEST, "more_body": False}


async def send(part):
    """The answer, as a server takes it."""
    sys.stdout.write(part.get("body", b"").decode())


SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/score",
    "raw_path": b"/score",
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 2),
}
asyncio.run(app(SCOPE, receive, send))
