"""Doubles for tests, yours and ours: a data mart that answers as it is told, over real HTTP."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, NamedTuple

import orjson

NEVER = float("inf")
"""A delay that ends only with the mart."""


class Answer(NamedTuple):
    """What the scripted mart says to one request.

    Attributes:
        delay: seconds between taking the records and saying so.
        drop: `before` or `after` taking the records the connection is closed without a word.
    """

    status: int = 204
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None


class ScriptedMart:
    """A data mart in memory on a free loopback port: a context manager.

    Every post is kept in `posts` as it came, in order. It is answered with the next of `answers`,
    and with 204 where there is none; what was answered with 202 or 204 stands in `stored` by
    scoring id, the first one winning.

    Attributes:
        settings: keyword arguments for `configure` and the others that point there.
        token_answers: like `answers`, for requests of a token.
        data_mart_answers: like `answers`, for requests of the data mart's details.
        payload_logging: whether the configuration of a subscription, any, says that it is on.
        always: what every request is answered with while it is set, whatever it asks for.
        judge: asked for each post that the script has no answer to; None: 204.
        largest: bytes of a post beyond which it is answered with 413; None: no bound.
        requests: how many requests of any kind have come.
    """

    API_KEY = "a-key-for-tests"
    DATA_MART_ID = "00000000-0000-0000-0000-000000000000"

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.stored: dict[str, dict[str, Any]] = {}
        self.answers: deque[Answer] = deque()
        self.token_answers: deque[Answer] = deque()
        self.data_mart_answers: deque[Answer] = deque()
        self.payload_logging = True
        self.always: Answer | None = None
        self.judge: Callable[[list[dict[str, Any]]], Answer | None] | None = None
        self.largest: int | None = None
        self.requests = 0
        self.tokens_given = 0
        self.closing = threading.Event()
        self.arrived = threading.Condition()
        self.authorizations: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments that point here."""
        return {
            "data_mart_url": self.url,
            "data_mart_id": self.DATA_MART_ID,
            "data_mart_kind": "scorespan",
            "api_key": self.API_KEY,
            "subscription_id": "subscription",
        }

    def wait_for_posts(self, count: int, timeout: float = 10.0) -> bool:
        """Wait until so many posts have come; false where they have not in time."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.posts) >= count, timeout)

    def answer_post(self, body: bytes) -> Answer:
        """Take a post and say what the script says."""
        with self.arrived:
            answer = self._answer_to(body)
            if answer.status in {202, 204} and answer.drop != "before":
                for record in orjson.loads(body):
                    self.stored.setdefault(record["scoring_id"], record)
            self.posts.append(body)
            self.arrived.notify_all()
        return answer

    def _answer_to(self, body: bytes) -> Answer:
        if self.largest is not None and len(body) > self.largest:
            return Answer(413)
        if self.answers:
            return self.answers.popleft()
        return (self.judge and self.judge(orjson.loads(body))) or Answer()

    def answer(self, method: str, path: str, body: bytes = b"", bearer: str = "") -> Answer:
        """Say what the script says to a request."""
        with self.arrived:
            self.requests += 1
            if self.always is not None:
                return self.always
        if path.endswith("/validateAuth"):
            return self.answer_token("access_token" if method == "POST" else "accessToken")
        if path.endswith("/configurations/payload_logging"):
            return Answer(200, orjson.dumps({"enabled": self.payload_logging, "parameters": {}}))
        if method == "GET":
            return self.answer_data_mart()
        self.authorizations.append(bearer)
        return self.answer_post(body)

    def answer_data_mart(self) -> Answer:
        """Our own mart's answer to GET, or what the script says."""
        with self.arrived:
            if self.data_mart_answers:
                return self.data_mart_answers.popleft()
        return Answer(200, b'{"scorespan": {"version": "test"}}')

    def answer_token(self, member: str) -> Answer:
        """A token of an hour, or what the script says."""
        with self.arrived:
            if self.token_answers:
                return self.token_answers.popleft()
            self.tokens_given += 1
            number = self.tokens_given
        now = int(time.time())
        claims = {"iat": now, "exp": now + 3600, "n": number}
        parts = [b'{"alg":"none"}', orjson.dumps(claims), b"unsigned"]
        token = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        return Answer(200, orjson.dumps({member: token.decode()}))

    def __enter__(self) -> ScriptedMart:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(mart: ScriptedMart) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one write

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            if len(body) < length:  # the sender died in the middle
                self.close_connection = True
                return
            bearer = self.headers.get("Authorization", "")
            self._send(mart.answer("POST", self.path, body, bearer))

        def do_GET(self) -> None:
            self._send(mart.answer("GET", self.path))

        def _send(self, answer: Answer) -> None:
            delay = min(answer.delay, threading.TIMEOUT_MAX)
            if answer.drop is not None or (delay > 0 and mart.closing.wait(delay)):
                self.close_connection = True
                return
            with contextlib.suppress(OSError):  # who asked may have gone
                _write(self, answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

    return Handler


def _write(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    for name, value in answer.headers:
        handler.send_header(name, value)
    if answer.status != 204 and "Content-Length" not in dict(answer.headers):
        handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(answer.body)
    handler.wfile.flush()
