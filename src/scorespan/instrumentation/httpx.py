"""The hook of `httpx`: calls of `Client.send` and `AsyncClient.send`, which all of its calls are.

It serves `httpx2` as well, whose classes are the same in what counts here. One call is one record,
whatever redirects it takes.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scorespan.instrumentation import client, unread

if TYPE_CHECKING:
    from scorespan.instrumentation.call import Call
    from scorespan.instrumentation.sending import Sent

_HOOK = "httpx"


def instrument(module: ModuleType) -> None:
    """Patch `httpx`, or `httpx2`."""
    streams = _Streams(module)
    for kind, wrap in ((module.Client, _sync_send), (module.AsyncClient, _async_send)):
        kind.send = functools.wraps(kind.send)(wrap(kind.send, streams))


def _sync_send(original: Callable[..., Any], streams: _Streams) -> Callable[..., Any]:
    def send(self: Any, request: Any, **options: Any) -> Any:
        call = _begin(request)
        if call is None:
            return original(self, request, **options)
        held = streams.ask(call, request)
        try:
            with call:
                response = original(self, request, **options)
        finally:
            if held is not None:
                request.stream = held
        streams.answer(call, response)
        return response

    return send


def _async_send(original: Callable[..., Any], streams: _Streams) -> Callable[..., Any]:
    async def send(self: Any, request: Any, **options: Any) -> Any:
        call = _begin(request)
        if call is None:
            return await original(self, request, **options)
        held = streams.ask(call, request)
        try:
            with call:
                response = await original(self, request, **options)
        finally:
            if held is not None:
                request.stream = held
        streams.answer(call, response)
        return response

    return send


def _begin(request: Any) -> Call | None:
    method, url = getattr(request, "method", None), getattr(request, "url", None)
    return client.begin(_HOOK, method, url, getattr(request, "headers", None))


class _Asked:
    """What a request's stream tells."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self.seen = sent.add

    def begun(self) -> None:
        self._sent.position = 0  # sent again after a redirect, it is kept once

    def ended(self) -> None:
        """Nothing: the answer is still to come."""

    closed = ended

    def raised(self, error: BaseException) -> None:
        """Nothing: `send` raises it, too."""


class _Told:
    """What an answer's stream tells."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.seen = call.seen
        self.raised = call.raised
        self.ended = call.finish

    def begun(self) -> None:
        """Nothing: an answer is read once."""

    def closed(self) -> None:
        self._call.finish(unread_rest=True)


class _Seen:
    """A stream that tells what passes; clients ask it of which kind it is."""

    def __init__(self, stream: Any, teller: _Asked | _Told) -> None:
        self._stream = stream
        self._teller = teller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _SeenSync(_Seen):
    def __iter__(self) -> Iterator[bytes]:
        teller = self._teller
        teller.begun()
        try:
            for part in self._stream:
                teller.seen(part)
                yield part
        except GeneratorExit:
            raise
        except BaseException as error:
            teller.raised(error)
            raise
        teller.ended()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._teller.closed()


class _SeenAsync(_Seen):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        teller = self._teller
        teller.begun()
        try:
            async for part in self._stream:
                teller.seen(part)
                yield part
        except GeneratorExit:
            raise
        except BaseException as error:
            teller.raised(error)
            raise
        teller.ended()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._teller.closed()


class _Streams:
    """The streams of one of the modules, seen as they pass."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        sync_base, async_base = self._bases = module.SyncByteStream, module.AsyncByteStream
        self._kinds = {
            (True, False): type("Seen", (_SeenSync, sync_base), {}),
            (False, True): type("Seen", (_SeenAsync, async_base), {}),
            (True, True): type("Seen", (_SeenSync, _SeenAsync, sync_base, async_base), {}),
        }

    def ask(self, call: Call, request: Any) -> Any:
        """See what is sent; returns the stream to restore, if there is one."""
        from scorespan.instrumentation.guard import swallowed  # noqa: PLC0415 - see client

        if call.exchange is None:
            return None
        with swallowed(_HOOK):
            try:
                call.sends(request.content)
            except self._module.RequestNotRead:
                held = request.stream
                request.stream = self._seen(held, _Asked(call.sent()))
                return held
        return None

    def answer(self, call: Call, response: Any) -> None:
        """See what has been read of an answer, or what will be."""
        from scorespan.instrumentation.guard import swallowed  # noqa: PLC0415 - see client
        from scorespan.instrumentation.reading import undone  # noqa: PLC0415

        with swallowed(_HOOK):
            call.answered(response.status_code, response.headers)
            exchange = call.exchange
            if exchange is None:
                return
            try:
                content = response.content
            except self._module.ResponseNotRead:
                unread.watch(call)
                response.stream = self._seen(response.stream, _Told(call))
                return
            decoders = getattr(getattr(self._module, "_decoders", None), "SUPPORTED_DECODERS", ())
            if undone(exchange.response.encoding, decoders):
                call.decoded()
            call.seen(content)
            call.finish()

    def _seen(self, stream: Any, teller: _Asked | _Told) -> Any:
        is_sync, is_async = (isinstance(stream, base) for base in self._bases)
        return self._kinds[is_sync, is_async](stream, teller)
