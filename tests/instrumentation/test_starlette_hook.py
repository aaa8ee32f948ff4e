"""The Starlette hook: Starlette and FastAPI applications as they are."""

from __future__ import annotations

import asyncio
import gzip
import inspect

import fastapi
import flask
import pytest
import starlette.applications
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

import scorespan.instrumentation.starlette
from instrumentation.calls import ask_asgi, asking, scope
from scorespan import attributes

REQUEST = b'{"fields": ["a"], "values": [[1]]}'
RESPONSE = b'{"fields": ["b"], "values": [[2]]}'

pytestmark = pytest.mark.usefixtures("hooked")


async def score(request):
    """A route as people write them."""
    await request.json()
    return Response(RESPONSE, media_type="application/json")


def service(endpoint=score, **options):
    """A Starlette application with one scoring route."""
    return Starlette(routes=[Route("/score", endpoint, methods=["POST"])], **options)


def only(recorded):
    """The attributes of the only span."""
    (span,) = recorded.spans()
    return span.attributes


def test_a_service_gets_records(recorded):
    """It does nothing for them."""
    assert ask_asgi(service(), scope(), [REQUEST]).body == RESPONSE
    record = recorded.record()
    assert (record.request, record.response) == (REQUEST, RESPONSE)
    assert only(recorded)[attributes.HOOK] == "starlette"


def test_fastapi_is_seen_once(recorded):
    """Its application hands over to Starlette's, and so do those that are mounted."""
    inner = fastapi.FastAPI()

    @inner.post("/score")
    def score(values: list[int]):
        return {"sum": sum(values)}

    outer = fastapi.FastAPI()
    outer.mount("/v1", inner)
    outermost = Starlette(routes=[Mount("/api", outer)])
    assert ask_asgi(outermost, scope("/api/v1/score"), [b"[1, 2]"]).body == b'{"sum":3}'
    assert only(recorded)[attributes.REQUEST] == "[1, 2]"


def test_a_flask_application_inside_makes_one_record(recorded):
    """The hooks of both are passed; what Flask knows of an error is known."""
    app = flask.Flask("inner")

    @app.post("/score")
    def score():
        flask.request.get_data()
        raise ValueError("bad")

    outer = Starlette(routes=[Mount("/", WSGIMiddleware(app))])
    headers = [(b"content-length", b"34"), (b"content-type", b"application/json")]
    ask_asgi(outer, scope(headers=headers), [REQUEST])
    assert only(recorded)[attributes.HOOK] == "starlette"
    error = recorded.record().extras["error"]
    assert (error["type"], error["message"]) == ("ValueError", "bad")


def test_an_exception_behind_an_error_answer_is_known(recorded):
    """Starlette answers with 500 and raises it again."""

    async def fail(request):
        await request.body()
        raise ValueError("bad")

    sent = ask_asgi(service(fail), scope(), [REQUEST])
    assert sent.error == "ValueError('bad')"
    error = recorded.record().extras["error"]
    assert (error["type"], error["response"]) == ("ValueError", "Internal Server Error")
    assert "in fail" in error["stacktrace"]


def test_what_fastapi_refuses_is_a_failed_scoring(recorded):
    """With what is wrong with the request."""
    app = fastapi.FastAPI()

    @app.post("/score")
    def score(values: list[int]):
        return values

    sent = ask_asgi(app, scope(), [b'{"a": 1}'])
    assert sent.messages[0]["status"] == 422
    error = recorded.record().extras["error"]
    assert error["type"] == "fastapi.exceptions.RequestValidationError"
    assert error["response"].encode() == sent.body


def test_a_background_task_is_none_of_the_scoring(recorded):
    """The record is made before it runs."""
    seen = []

    async def answer(request):
        await request.body()
        task = BackgroundTask(lambda: seen.append(len(recorded.spans())))
        return Response(RESPONSE, media_type="application/json", background=task)

    ask_asgi(service(answer), scope(), [REQUEST])
    assert seen == [1]


@pytest.mark.parametrize("kind", [BaseHTTPMiddleware, None])
def test_a_middleware_changes_nothing(recorded, kind):
    """One of the kind that runs the application in a task of its own neither."""

    async def dispatch(request, call_next):
        return await call_next(request)

    middleware = [Middleware(kind, dispatch=dispatch)] if kind else []
    sent = ask_asgi(service(middleware=middleware), scope(), [REQUEST])
    assert sent.body == RESPONSE
    assert recorded.record().response == RESPONSE


def test_a_compressed_answer_is_kept_as_it_went_out(recorded):
    """The middleware that compresses is inside of the hook."""
    middleware = [Middleware(GZipMiddleware, minimum_size=1)]
    headers = [(b"accept-encoding", b"gzip"), (b"content-type", b"application/json")]
    sent = ask_asgi(service(middleware=middleware), scope(headers=headers), [REQUEST])
    assert gzip.decompress(sent.body) == RESPONSE
    found = only(recorded)
    assert found[attributes.RESPONSE_ENCODING] == "gzip,base64"


def test_a_stream_that_fails_is_a_failed_scoring(recorded):
    """The client got its beginning."""

    async def parts():
        yield b"half"
        raise ValueError("bad")

    async def answer(request):
        await request.body()
        return StreamingResponse(parts(), media_type="text/plain")

    sent = ask_asgi(service(answer), scope(), [REQUEST])
    assert "bad" in sent.error
    error = recorded.record().extras["error"]
    assert (error["type"], error["response"]) == ("ValueError", "half")


def test_a_stream_whose_client_is_gone_leaves_a_note(recorded):
    """Starlette stops, and what went out until then is the answer."""

    async def call():
        async def parts():
            yield b"half"
            await asyncio.Event().wait()

        async def answer(request):
            await request.body()
            return StreamingResponse(parts(), media_type="text/plain")

        then = [{"type": "http.disconnect"}]
        return await asking(service(answer), scope(), [REQUEST], then=then, then_after=2)

    asyncio.run(call())
    found = only(recorded)
    assert found[attributes.RESPONSE] == "half"
    assert found[attributes.NOTES] == ("response: the client was gone after 4 bytes",)


def test_the_hook_is_put_in_place_once():
    """However often it is asked for; and servers see the signature of ASGI 3."""
    patched = Starlette.__call__
    scorespan.instrumentation.starlette.instrument(starlette.applications)
    assert Starlette.__call__ is patched
    assert inspect.iscoroutinefunction(patched)
    assert list(inspect.signature(patched).parameters) == ["self", "scope", "receive", "send"]
    with pytest.raises(TypeError):
        service()()
