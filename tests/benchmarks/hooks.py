"""The hooks of the HTTP servers: what they add to a call, beside a scoring span set by hand.

Applications are called directly, as a server calls them, and their time without either is taken
off. CPU time of the calling thread: delivery takes turns with it.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import time
from collections.abc import Callable
from typing import Any

import flask
import flask.app
import starlette.applications
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.benchmarks.measure import REQUEST, RESPONSE, Comparison, compare
from tests.benchmarks.null_server import null_server

import scorespan
import scorespan.instrumentation.flask
import scorespan.instrumentation.starlette
from scorespan.instrumentation import switch
from scorespan.settings import Settings

WHAT = "what the hooks of Flask and Starlette add to a call"
_CALLS = 1500
_BODY = (REQUEST + " " * (1024 - len(REQUEST))).encode()
_HEADERS = [
    (b"host", b"localhost"),
    (b"content-type", b"application/json"),
    (b"content-length", b"1024"),
]


def run() -> list[Comparison]:
    """Both, with a spool and a mart behind them."""
    frameworks: tuple[tuple[str, type, Any, Callable[[bool], Callable[[], float]]], ...] = (
        ("Flask", flask.Flask, (scorespan.instrumentation.flask, flask.app), _flask),
        (
            "Starlette",
            Starlette,
            (scorespan.instrumentation.starlette, starlette.applications),
            _starlette,
        ),
    )
    with null_server() as url, tempfile.TemporaryDirectory() as spool:
        scorespan.configure(
            data_mart_url=url,
            data_mart_id="benchmark",
            data_mart_kind="scorespan",
            token="benchmark",
            subscription_id="benchmark",
            spool_dir=spool,
        )
        switch.install(Settings.load({}, {}), lambda: None, lambda _seconds: None)
        found = [_compared(*framework) for framework in frameworks]
        switch.off()
        scorespan.shutdown()
    return found


def _compared(name: str, owner: Any, hook: Any, made: Any) -> Comparison:
    plain, by_hand = made(False), made(True)
    original = owner.__call__
    ours, module = hook
    ours.instrument(module)
    patched = owner.__call__

    def added(call: Callable[[], float], method: Any) -> float:
        owner.__call__ = original
        without = plain()
        owner.__call__ = method
        took = call()
        owner.__call__ = original
        scorespan.flush(60)
        return took - without

    hooked, handmade, ratio = compare(
        lambda: added(plain, patched), lambda: added(by_hand, original), turns=7
    )
    what = f"added to a call by the {name} hook, 1 KB"
    against = "scoring_span in the service"
    return Comparison(what, hooked, against, handmade, ratio, must=3.0, goal=2.0)


def _flask(by_hand: bool) -> Callable[[], float]:
    app = flask.Flask(__name__)

    @app.post("/score")
    def score() -> flask.Response:
        body = flask.request.get_data()
        if by_hand:
            with scorespan.scoring_span(body.decode()) as scoring:
                scoring.set_response(RESPONSE)
        return flask.Response(RESPONSE, mimetype="application/json")

    def start_response(*_: object) -> Any:
        return None

    def call() -> float:
        started = time.thread_time()
        for _ in range(_CALLS):
            answer = app(_environ(), start_response)
            b"".join(answer)
            answer.close()  # type: ignore[attr-defined]
        return (time.thread_time() - started) / _CALLS * 1e6

    return call


def _environ() -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/score",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "1024",
        "wsgi.input": io.BytesIO(_BODY),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }


def _starlette(by_hand: bool) -> Callable[[], float]:
    async def score(request: Request) -> Response:
        body = await request.body()
        if by_hand:
            with scorespan.scoring_span(body.decode()) as scoring:
                scoring.set_response(RESPONSE)
        return Response(RESPONSE, media_type="application/json")

    app = Starlette(routes=[Route("/score", score, methods=["POST"])])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(_: object) -> None:
        """A client that is always there."""

    async def calls() -> float:
        started = time.thread_time()
        for _ in range(_CALLS):
            scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/score",
                     "root_path": "", "query_string": b"", "scheme": "http",
                     "headers": _HEADERS, "server": ("localhost", 80)}  # fmt: skip
            await app(scope, receive, send)
        return (time.thread_time() - started) / _CALLS * 1e6

    return lambda: asyncio.run(calls())
