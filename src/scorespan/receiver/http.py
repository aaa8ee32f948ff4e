"""The HTTP door: OTLP/HTTP traces, and what tells whether this process lives and is ready."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from scorespan.errors import ReceiverError
from scorespan.receiver.access import Access
from scorespan.receiver.body_format import JSON, BodyFormat, format_of
from scorespan.receiver.decompression import check_encoding, decompressed
from scorespan.receiver.memory import DECOMPRESSED_BYTES, WIRE_BYTES, Memory, Share, to_read
from scorespan.receiver.reception import Reception

_TRACES = "/v1/traces"
_METHODS = {_TRACES: ("POST",), "/healthz": ("GET", "HEAD"), "/readyz": ("GET", "HEAD")}
_THREADS = 8
"""One sync serves those who wait for it at the same time: it takes several for that."""


def create_app(
    reception: Reception, access: Access, memory: Memory, *, threads: int = _THREADS
) -> ASGIApp:
    """The app that answers `/v1/traces`, `/healthz` and `/readyz`.

    Yes is said when every record of a request is synced. What cannot be taken now is 503 with
    Retry-After, whatever the reason; 4xx is what never can be taken as it is.

    Args:
        reception: takes what a request holds.
        access: who may send; health and readiness are everybody's.
        memory: the budget that requests share.
        threads: how many requests are read or wait for the disk at a time.

    The state of a request has `known`, called when it has shown that it may send.
    """
    return _Door(reception, access, memory, threads)


class _Door:
    """The app: everything but waiting is done in its threads."""

    def __init__(self, reception: Reception, access: Access, memory: Memory, threads: int) -> None:
        self._reception = reception
        self._access = access
        self._memory = memory
        self._threads = ThreadPoolExecutor(threads, "scorespan-receiver")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except ReceiverError as error:
            response = self._early(request, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the same request may come again
            response = self._early(request, self._reception.failed(error))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        methods = _METHODS.get(path)
        if methods is None:
            raise ReceiverError(404, f"there is nothing here but {_TRACES}")
        if request.method not in methods:
            raise ReceiverError(405, f"{path} takes {' and '.join(methods)}")
        if path == "/healthz":
            return PlainTextResponse("alive\n")
        if path == "/readyz":
            why_not = self._reception.not_ready()
            status = 200 if why_not is None else 503
            return PlainTextResponse(f"{why_not or 'ready'}\n", status)
        return await self._traces(request)

    async def _traces(self, request: Request) -> Response:
        if not self._access.allows(request.headers.get("authorization")):
            raise ReceiverError(401, "no bearer token that is known here")
        request.state.known()
        form = format_of(request.headers.get("content-type", ""))
        if form is None:
            raise ReceiverError(415, "the content type is neither protobuf nor JSON")
        encoding = ", ".join(request.headers.getlist("content-encoding"))
        check_encoding(encoding)
        if int(request.headers.get("content-length", "0")) > WIRE_BYTES:
            raise _too_large()
        share = self._memory.share()
        try:
            body = await _whole(request, share)
            work = self._threads.submit(self._taken, body, encoding, form, share)
        except BaseException:
            share.hold(0)
            raise
        # Also of work that is cancelled before it begins.
        work.add_done_callback(lambda _: share.hold(0))
        return await asyncio.wrap_future(work)

    def _taken(self, body: BytesIO, encoding: str, form: BodyFormat, share: Share) -> Response:
        """Take a request that has come as a whole."""
        try:
            read = _opened(body, encoding, form, share)
        except ReceiverError as error:
            self._reception.refused(error)
            return _refusal(error, form)
        try:
            taken = self._reception.take(read, form.read)
        except ReceiverError as error:
            return _refusal(error, form)
        return Response(form.yes(taken.warning), media_type=form.content_type)

    def _early(self, request: Request, error: ReceiverError) -> Response:
        """Refuse before the body is read; the connection ends with it."""
        self._reception.refused(error)
        response = _refusal(error, format_of(request.headers.get("content-type", "")) or JSON)
        response.headers["connection"] = "close"
        if error.status == 405:
            response.headers["allow"] = ", ".join(_METHODS[request.scope["path"]])
        return response


async def _whole(request: Request, share: Share) -> BytesIO:
    """The body as it comes, at most what the wire may bring; as far as the budget has room."""
    body = BytesIO()
    async for piece in request.stream():
        size = body.tell() + len(piece)
        if size > WIRE_BYTES:
            raise _too_large()
        share.hold(size)
        body.write(piece)
    return body


def _opened(body: BytesIO, encoding: str, form: BodyFormat, share: Share) -> bytes:
    """The body decompressed, with room to read it."""
    wire = body.getvalue()
    body.close()
    opened = decompressed(
        wire, encoding, DECOMPRESSED_BYTES, lambda size: share.hold(len(wire) + size)
    )
    share.hold(to_read(opened, form.marks))
    return opened


def _refusal(error: ReceiverError, form: BodyFormat) -> Response:
    response = Response(
        form.no(error.status, error.reason), error.status, media_type=form.content_type
    )
    if error.retry_after is not None:
        response.headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _too_large() -> ReceiverError:
    return ReceiverError(413, f"the body is larger than {WIRE_BYTES} bytes")
