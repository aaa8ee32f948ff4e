"""The connection: HTTP/1.1 with deadlines for what the other side does, and bounds for what it has.

uvicorn reads whatever comes for as long as it takes. Here a head has to be complete in time and
small, a body has to come at a pace, an answer has to be read, and there is a bounded number of
connections. Who keeps to none of it is answered where that is possible, and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from scorespan.receiver.bounds import Bounds
from scorespan.receiver.entrance import Visit
from scorespan.receiver.lingering import LingeringTransport


class _TooMuchError(Exception):
    """There is more of something than there may be; the parser stops at it."""


class ReceiverProtocol(HttpToolsProtocol):
    """One connection to a receiver; all of it in the thread of its event loop.

    While a request is worked on nothing is awaited of the other side, and no deadline runs.

    Args:
        arguments: those of the class above.
        bounds: what the other side may take.
        visit: tells when there are too many connections, and is told when this one is lost.
    """

    def __init__(self, *arguments: Any, bounds: Bounds, visit: Visit) -> None:
        super().__init__(*arguments)
        self.bounds = bounds
        self._visit = visit
        self._running: RequestResponseCycle | None = None
        self._awaited: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._in_head = self._in_body = self._ended = False
        self._head_bytes = self._more_head_bytes = self._body_bytes = 0
        self._body_began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, unless there are enough."""
        self._socket = LingeringTransport(cast("asyncio.Transport", transport), self._leave)
        super().connection_made(cast("asyncio.Transport", self._socket))
        self._await(self._give_up_head, self.bounds.head_seconds)
        self._visit.leave = self._make_room
        if self._visit.is_one_too_many():
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; who waits for a body learns that none comes."""
        self._await(None)
        self._written()
        self._end()
        self._visit.over()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay open for the answer to a whole request; with TLS there is no such half."""
        if self._in_head or self._in_body or not self._is_working() or self.scheme == "https":
            return False
        self._close_after_answer()
        return True

    def data_received(self, data: bytes) -> None:
        """Read on; what is no HTTP/1.1 is answered with 400."""
        if self._socket.is_closing():
            self._read_rest(data)
            return
        if self._ended:
            return
        self._unset_keepalive_if_required()
        if self._in_head:
            # The parser tells of a header when it is whole.
            self._more_head_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(431 if isinstance(error.__context__, _TooMuchError) else 400)
        else:
            if self._in_head and self._more_head_bytes > self.bounds.head_bytes:
                self._refuse(431)
            self._watch()

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._socket.is_closing():
            raise _TooMuchError
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._more_head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the target has come."""
        self._check_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come."""
        self._check_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete: its request begins, or waits for the one before."""
        if len(self.pipeline) >= self.bounds.pipelined:
            raise _TooMuchError
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._body_bytes = 0
        self._body_began = self.loop.time()

    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self.parser.should_upgrade():
            return
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is given; the next request may come, or wait already."""
        self._body_began = self.loop.time()
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Answers are not read as fast as they are written."""
        super().pause_writing()
        self._await_written()

    def resume_writing(self) -> None:
        """Answers are read."""
        super().resume_writing()
        self._written()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self, data: bytes) -> None:
        """Let the parser read; an upgrade that a request offers is not taken up.

        The parser would skip that request's body, and leave off. So it reads the head once more,
        without the offer.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                method = self.parser.get_method()
                if method == b"CONNECT":
                    raise httptools.HttpParserError("there is no tunnel here") from None
                line = b"%s %s HTTP/%s\r\n" % (
                    method,
                    self.url,
                    self.parser.get_http_version().encode(),
                )
                others = [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
                data = b"".join([line, *others, b"\r\n", data[upgrade.args[0] :]])
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def _is_working(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _check_head(self, size: int) -> None:
        self._head_bytes += size
        if len(self.headers) >= self.bounds.headers or self._head_bytes > self.bounds.head_bytes:
            raise _TooMuchError

    def _watch(self) -> None:
        """Have the deadline run for what is awaited now; one that runs already goes on."""
        if self._ended or self._socket.is_closing():
            return
        if self._in_body and not self.pipeline:
            self._await(self._give_up_body, self.bounds.body_seconds)
        elif self._is_working():
            self._await(None)
        elif self._in_head or self.timeout_keep_alive_task is None:
            self._await(self._give_up_head, self.bounds.head_seconds)
        else:
            self._await(None)

    def _await(self, give_up: Callable[[], None] | None, seconds: float = 0.0) -> None:
        if give_up == self._awaited and give_up is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = give_up
        self._timer = None if give_up is None else self.loop.call_later(seconds, give_up)

    def _give_up_head(self) -> None:
        if self._in_head:
            self._refuse(408)
        else:
            self._socket.close()

    def _give_up_body(self) -> None:
        allowed = self.bounds.body_seconds + self._body_bytes / self.bounds.body_pace
        left = self._body_began + allowed - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._give_up_body)
        else:
            # Not 408: the network may have stood still, and a Collector drops what is told so.
            self._refuse(503)

    def _refuse(self, status: int) -> None:
        """Answer what cannot become a request, and close."""
        mine = self._in_body and not self.pipeline
        if self._is_working() and not mine:
            # Out of its turn this would be taken for the answer to the request before.
            self._close_after_answer()
            return
        answered = mine and self.cycle.response_started
        self._end()
        if not answered:
            again = "retry-after: 1\r\n" if status == 503 else ""
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{again}"
            self._socket.write(f"{line}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self._socket.close()

    def _make_room(self) -> None:
        """Close at once, for somebody else."""
        if not self._socket.is_closing():
            self._refuse(503)
        self._socket.abort()

    def _close_after_answer(self) -> None:
        """Read nothing more, and answer nothing but what is worked on."""
        self._ended = True
        self.pipeline.clear()
        self._await(None)
        if self._running is not None and self._is_working():
            self._running.keep_alive = False
        else:
            self._socket.close()

    def _end(self) -> None:
        """Nothing comes any more: tell who waits for it."""
        self._ended = True
        self.pipeline.clear()
        if self._running is not None and self._is_working():
            self._running.disconnected = True
            self._running.message_event.set()

    def _leave(self) -> None:
        """Close, with what is written on its way."""
        self._await(None)
        self._unset_keepalive_if_required()
        self._await_written()
        if self._in_body:
            # Closed with bytes unread, the socket would reset, and the answer be lost.
            self.flow.resume_reading()
            self._await(self._socket.close_now, self.bounds.linger_seconds)
        else:
            self._socket.close_now()

    def _read_rest(self, data: bytes) -> None:
        """Read on in a body that is answered; at its end the connection may go."""
        if not self._ended:
            with contextlib.suppress(httptools.HttpParserError):
                self._parse(data)
                if self._in_body:
                    return
            self._ended = True
            self._socket.close_now()

    def _await_written(self) -> None:
        if self._unread_timer is None:
            seconds = self.bounds.answer_seconds
            self._unread_timer = self.loop.call_later(seconds, self._socket.abort)

    def _written(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
