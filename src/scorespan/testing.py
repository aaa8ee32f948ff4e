"""Doubles for tests, yours and ours: a data mart that answers as it is told, over real HTTP."""

from __future__ import annotations

import base64
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

import orjson


class Answer(NamedTuple):
    """What the scripted mart says to one post."""

    status: int = 204
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class ScriptedMart:
    """A data mart in memory on a free loopback port: a context manager.

    Every post is kept in `posts` as it came, in order. It is answered with the next of `answers`,
    and with 204 where there is none; what was answered with 202 or 204 stands in `stored` by
    scoring id, the first one winning.

    Attributes:
        settings: keyword arguments for `configure` and the others that point there.
        token_answers: like `answers`, for requests of a token.
        data_mart_answers: like `answers`, for requests of the data mart's details.
    """

    API_KEY = "a-key-for-tests"
    DATA_MART_ID = "00000000-0000-0000-0000-000000000000"

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.stored: dict[str, dict[str, Any]] = {}
        self.answers: deque[Answer] = deque()
        self.token_answers: deque[Answer] = deque()
        self.data_mart_answers: deque[Answer] = deque()
        self.tokens_given = 0
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
            answer = self.answers.popleft() if self.answers else Answer()
            if answer.status in {202, 204}:
                for record in orjson.loads(body):
                    self.stored.setdefault(record["scoring_id"], record)
            self.posts.append(body)
            self.arrived.notify_all()
        return answer

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
            if self.path.endswith("/validateAuth"):
                self._send(mart.answer_token("access_token"))
            else:
                mart.authorizations.append(self.headers.get("Authorization", ""))
                self._send(mart.answer_post(body))

        def do_GET(self) -> None:
            if self.path.endswith("/validateAuth"):
                self._send(mart.answer_token("accessToken"))
            else:
                self._send(mart.answer_data_mart())

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

    return Handler
