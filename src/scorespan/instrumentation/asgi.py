"""An ASGI call, seen by a hook: the request as it is received, the answer as it is sent.

Only `receive` and `send` are wrapped, and every message passes as it is and when it is. The record
is made when the last part of the body has been sent: what the service does after that is not a
part of the scoring.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from scorespan.instrumentation import http, switch
from scorespan.instrumentation.exchange import HEADERS, Exchange, running
from scorespan.instrumentation.guard import guarded
from scorespan.instrumentation.http import MARK

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAMES = {name.encode("latin-1"): name for name in HEADERS}


async def call(
    hook: str, application: Application, scope: Scope, receive: Receive, send: Send
) -> None:
    """Call an ASGI application; where the request is a scoring, it becomes a record.

    Args:
        hook: name of the hook.
        application: called once, with this scope, which gets a mark.
        scope: of the connection.
        receive: the server's.
        send: likewise.
    """
    seen = _seen(hook, scope, receive, send)
    if seen is None:
        await application(scope, receive, send)
        return
    outer = running.set(seen.exchange)
    try:
        await application(scope, seen.receive, seen.send)
    except BaseException as error:
        seen.raised(error)
        raise
    finally:
        try:  # noqa: SIM105 - at each call
            running.reset(outer)
        except ValueError:  # the coroutine was closed in another context
            pass
    if not seen.exchange.ended:
        seen.returned()


@guarded("asgi")
def _seen(hook: str, scope: Scope, receive: Receive, send: Send) -> Seen | None:
    if scope["type"] != "http":
        if scope["type"] == "lifespan":
            switch.ready()  # so that no scoring waits until the SDK is loaded
        return None
    if MARK in scope:
        return None
    root, path = scope.get("root_path") or "", scope["path"]
    if root and not path.startswith(root):  # as servers had it before the specification said
        path = root + path
    headers = _named(scope["headers"])
    exchange = http.begin(hook, scope["method"], path, headers, root=root)
    if exchange is None:
        return None
    scope[MARK] = True
    # Later versions of HTTP need no header for a body of unknown length.
    later = not (str(scope.get("http_version", "")).startswith("1") or "content-length" in headers)
    chunked = later or "chunked" in headers.get("transfer-encoding", "").lower()
    seen = Seen(exchange, receive, send, chunked=chunked)
    exchange.at_exit = seen.left
    return seen


def _named(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Those of a message's headers that are looked at, by their names."""
    named = {}
    for name, value in headers:
        known = _NAMES.get(name.lower())
        if known is not None:
            named[known] = value.decode("latin-1")
    return named


class Seen:
    """One call of an ASGI application, from its request to the end of its answer."""

    __slots__ = ("_chunked", "_gone", "_handled", "_receive", "_received", "_send", "exchange")

    def __init__(self, exchange: Exchange, receive: Receive, send: Send, *, chunked: bool) -> None:
        self.exchange = exchange
        self._receive = receive
        self._send = send
        self._chunked = chunked
        self._gone = False
        self._received = False
        # Of the server's, or of whoever calls the service while handling another.
        self._handled = sys.exc_info()[1]

    async def receive(self) -> Message:
        """The server's next message, unchanged."""
        message = await self._receive()
        self._take(message)
        return message

    async def send(self, message: Message) -> None:
        """Send a message through the server, unchanged."""
        kind = None if self.exchange.ended else self._look(message)
        try:
            await self._send(message)
        except OSError:  # how servers say that the client is gone
            self._gone = True
            raise
        if kind is not None:
            self._sent(kind, message)

    @guarded("asgi")
    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.request":
            if body := message.get("body"):
                self.exchange.took(body)
            if not message.get("more_body"):
                self._received = True
        elif kind == "http.disconnect":
            self._gone = True

    @guarded("asgi")
    def _look(self, message: Message) -> str | None:
        """What kind of part of the answer goes out, if it is one; the time is taken before."""
        kind: str = message["type"]
        if kind == "http.response.start":
            self._started(message)
            return None
        # The message that ends an answer is often empty, and may come long after the last byte.
        if message.get("body") or not self.exchange.response.size:
            self.exchange.stop()
        return kind

    def _started(self, message: Message) -> None:
        status = message["status"]
        self.exchange.answered(status)
        error = sys.exc_info()[1]
        if status >= 400 and error is not None and error is not self._handled:
            # An exception that the framework has caught, and makes this answer of.
            self.exchange.fail(error)
        headers = message.get("headers")
        if isinstance(headers, (list, tuple)):  # another iterable is the server's to use up
            http.describe(self.exchange, _named(headers))

    @guarded("asgi")
    def _sent(self, kind: str, message: Message) -> None:
        exchange = self.exchange
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                exchange.sent(body)
        elif kind in {"http.response.pathsend", "http.response.zerocopysend"}:
            http.sent_as_file(exchange)
        else:
            return
        if not message.get("more_body"):
            if self._gone:
                exchange.tell("response: the client was gone before it was complete")
            self._end(complete=True)

    @guarded("asgi")
    def raised(self, error: BaseException) -> None:
        """The application raised; where its answer was complete, that is none of the scoring."""
        if self.exchange.ended:
            return
        self.exchange.stop()
        # What frameworks make of a client that is gone.
        gone = self._gone and (
            isinstance(error, (OSError, asyncio.CancelledError))
            or type(error).__name__ == "ClientDisconnect"
        )
        if not gone:
            self.exchange.fail(error)
        # A coroutine that nobody awaits any more is closed where it is collected.
        self._end(complete=not gone, collected=isinstance(error, GeneratorExit))

    @guarded("asgi")
    def returned(self) -> None:
        """The application has returned before its answer was complete: there is no more."""
        self.exchange.stop()
        if not self._gone:
            self.exchange.fail_as("NoAnswer", "the service returned before its answer was complete")
        self._end(complete=not self._gone)

    @guarded("asgi")
    def left(self) -> None:
        """The process ends, and no loop goes on with this."""
        self._end(complete=False)

    def _end(self, *, complete: bool, collected: bool = False) -> None:
        unread = self._chunked and not self._received
        http.end(self.exchange, unread=unread, complete=complete, collected=collected)
