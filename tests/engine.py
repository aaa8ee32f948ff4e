"""A scoring engine over real HTTP, as the hooks of clients meet it: it answers as it is told."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

REQUEST = b'{"fields": ["a", "b"], "values": [[1, 2]]}'
RESPONSE = b'{"fields": ["prediction"], "values": [["yes"]]}'
JSON = {"Content-Type": "application/json"}


class Reply(NamedTuple):
    """What the engine says to one request.

    Attributes:
        parts: the body in chunks of HTTP; None: in one, with its length.
        cut: bytes of the body after which the connection breaks.
        wait: for this, before the last chunk.
    """

    status: int = 200
    body: bytes = RESPONSE
    headers: Mapping[str, str] = JSON
    parts: tuple[bytes, ...] | None = None
    cut: int | None = None
    wait: threading.Event | None = None


class Request(NamedTuple):
    """What came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Engine:
    """The engine while it runs; `replies` come in order, then the default one."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_port
        self.replies: deque[Reply] = deque()
        self.requests: list[Request] = []

    @property
    def address(self) -> str:
        """Where it scores, without the scheme."""
        return f"127.0.0.1:{self.port}/score"

    @property
    def url(self) -> str:
        """Where it scores."""
        return f"http://{self.address}"

    def reply(self, request: Request) -> Reply:
        """Keep the request, and say what is told."""
        self.requests.append(request)
        return self.replies.popleft() if self.replies else Reply()


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """An engine on a free loopback port while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.engine = Engine(server)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.engine  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def _answer(self) -> None:
        request = Request(self.command, self.path, dict(self.headers), self._body())
        reply = self.server.engine.reply(request)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):  # who asked may have gone
            self._send(reply)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - named by the base class

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline() or b"0", 16):  # the sender may have gone
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.parts is None:
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for place, part in enumerate(reply.parts):
                if reply.wait is not None and place == len(reply.parts) - 1:
                    reply.wait.wait(30)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
            if reply.cut is None:
                self.wfile.write(b"0\r\n\r\n")
        if reply.cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Say nothing."""
