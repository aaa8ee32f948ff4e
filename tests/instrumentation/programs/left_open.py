"""A service that scores once, and leaves the answer open until the interpreter ends."""

from __future__ import annotations

import asyncio
import http.server
import sys
import threading
from typing import Any

import flask
import requests
import starlette.applications
import starlette.routing

from scorespan import startup

CASE = sys.argv[1]
BODY = {"fields": ["number"], "values": [[1]]}
HEADERS = [(b"content-type", b"application/json")]

startup.start()
service = flask.Flask(__name__)
client = service.test_client()
kept: list[Any] = []


@service.post("/score")
def score() -> dict[str, Any]:
    """One prediction."""
    flask.request.get_data()
    return {"fields": ["prediction"], "values": [[0.5]]}


class Engine(http.server.BaseHTTPRequestHandler):
    """Another's engine."""

    def do_POST(self) -> None:
        """Answer as ours."""
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"fields": ["prediction"], "values": [[0.5]]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def raise_within() -> None:
    """Keep an exception whose traceback knows the answer, which knows nobody."""
    answer = client.post("/score", json=BODY)
    try:
        answer.headers["none"]
    except KeyError as error:
        kept.append(error)


async def stay(_request: Any) -> None:
    """Never answer."""
    await asyncio.get_running_loop().create_future()


async def receive() -> dict[str, Any]:
    """The request's body."""
    return {"type": "http.request", "body": b'{"fields": ["number"], "values": [[1]]}'}


if CASE == "drained":
    client.post("/score", json=BODY).close()
if CASE in {"open", "drained"}:
    kept.append(client.post("/score", json=BODY))
elif CASE == "kept":
    raise_within()
elif CASE == "client":
    engine = http.server.HTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{engine.server_port}/score"
    kept.append(requests.post(url, json=BODY, stream=True, timeout=60))
elif CASE == "loop":
    routes = [starlette.routing.Route("/score", stay, methods=["POST"])]
    application = starlette.applications.Starlette(routes=routes)
    scope = {"type": "http", "method": "POST", "path": "/score", "headers": HEADERS}
    loop = asyncio.new_event_loop()
    scoring = application({**scope, "query_string": b""}, receive, None)
    kept.append(loop.create_task(scoring))
    kept[0]._log_destroy_pending = False
    loop.run_until_complete(asyncio.sleep(0.1))
