"""What stands where the mart should: a proxy before a real one, or a mart that is steered."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from scorespan.testing import Answer, ScriptedMart

_SCORING_ID = re.compile(rb'"scoring_id":"([^"]+)"')


class Exchange:
    """One request of a sender, held in the proxy's hand."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes, target: str) -> None:
        self._handler = handler
        self._target = target
        self.body = body

    @property
    def ids(self) -> list[str]:
        """Scoring ids of the records that are posted."""
        return [found.decode() for found in _SCORING_ID.findall(self.body)]

    def forward(self) -> Answer:
        """Have the mart answer."""
        handler = self._handler
        address = urlsplit(self._target)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        kept = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in {"host", "connection", "transfer-encoding", "content-length"}
        }
        try:
            connection.request(handler.command, handler.path, self.body or None, kept)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), tuple(answer.getheaders()))
        finally:
            connection.close()

    def answer(self, answer: Answer) -> None:
        """Give the sender an answer."""
        handler = self._handler
        handler.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date"}:
                handler.send_header(name, value)
        if answer.status != 204:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)
        handler.wfile.flush()

    def reset(self) -> None:
        """Close the connection the hard way, without an answer."""
        handler = self._handler
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.close_connection = True
        # shutdown() would say farewell first; the last reference to the descriptor resets.
        os.close(handler.connection.detach())


def passes(exchange: Exchange) -> None:
    """No fault."""
    exchange.answer(exchange.forward())


def is_down(exchange: Exchange) -> None:
    """The mart takes nothing now."""
    exchange.answer(Answer(503))


class _Server(ThreadingHTTPServer):
    contexts: deque[ssl.SSLContext] | None = None
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if not self.contexts:
            return connection, address
        return self.contexts[0].wrap_socket(connection, server_side=True), address


class Proxy:
    """An HTTP proxy on loopback, from sender to mart, that does `fault` to each post of records.

    Attributes:
        url: where senders find it.
        fault: what is done with a post of records; everything else passes.
        posted: ids of all posts, in order.
        times: when each post came, by a clock that only grows.
        most_at_once: the most posts that were here at one time.
        keep: whether ids and times of posts are kept.
        count: how many posts have come.

    Args:
        target: the mart's address.
        fault: what is done with a post of records.
        contexts: speak TLS; the first of them is used, as of now.
    """

    def __init__(
        self,
        target: str,
        fault: Callable[[Exchange], None] = passes,
        contexts: deque[ssl.SSLContext] | None = None,
    ) -> None:
        self.target = target
        self.fault = fault
        self.posted: list[list[str]] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self.keep = True
        self.count = 0
        self._now = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.contexts = contexts
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if contexts:
            self.url = f"https://localhost:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def resent(self) -> int:
        """How many records came more than once."""
        ids = [scoring_id for ids in self.posted for scoring_id in ids]
        return len(ids) - len(set(ids))

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _do(self, exchange: Exchange) -> None:
        with self._lock:
            self.count += 1
            if self.keep:
                self.posted.append(exchange.ids)
                self.times.append(time.monotonic())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            self.fault(exchange)
        finally:
            with self._lock:
                self._now -= 1

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has its own self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def handle(self) -> None:
                with suppress(OSError, ValueError):  # the sender died, or was reset by us
                    super().handle()

            def finish(self) -> None:
                with suppress(OSError, ValueError):
                    super().finish()

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length)
                if len(body) < length:
                    self.close_connection = True
                    return
                exchange = Exchange(self, body, proxy.target)
                if self.path.endswith("/scoring_payloads"):
                    proxy._do(exchange)
                else:
                    passes(exchange)

            def do_GET(self) -> None:
                passes(Exchange(self, b"", proxy.target))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                """Say nothing."""

        return Handler


class SteeredMart(ScriptedMart):
    """A scripted mart whose posts are answered by a rule that may change.

    Attributes:
        rule: what is said to a post; None from it: what the scripted mart says.
        times: when each post came, by a clock that only grows.
        keep: whether posts are kept.
    """

    def __init__(self, rule: Callable[[bytes], Answer | None] = lambda _: None) -> None:
        super().__init__()
        self.keep = True
        self.rule = rule
        self.times: list[float] = []

    def answer_post(self, body: bytes) -> Answer:
        """The rule's answer, else the script's."""
        self.times.append(time.monotonic())
        answer = self.rule(body)
        if answer is None:
            return super().answer_post(body)
        with self.arrived:
            if self.keep:
                self.posts.append(body)
            self.arrived.notify_all()
        return answer


class CountingMart(SteeredMart):
    """A mart that stores nothing, and knows which numbers of one producer have come."""

    def __init__(self, highest: int) -> None:
        super().__init__(self._note)
        self.keep = False
        self._seen = bytearray(highest + 1)

    @property
    def has_all(self) -> bool:
        """Whether every number has come."""
        return all(self._seen[1:])

    def _note(self, body: bytes) -> Answer:
        for number in re.findall(rb'"sequence":(\d+)', body):
            self._seen[int(number)] = 1
        return Answer(204)
