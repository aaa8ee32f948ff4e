"""Calls: applications called as a server calls them, and everything that they gave it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What a server got from a WSGI application."""

    started: list[tuple[Any, ...]]
    parts: list[Any]
    error: str | None
    written: list[bytes]
    closed: int

    @property
    def body(self) -> bytes:
        """All that the client gets."""
        return b"".join((*self.written, *self.parts))


class FileWrapper:
    """A server's `wsgi.file_wrapper`."""

    def __init__(self, file: Any, size: int = 8192) -> None:
        self.file = file
        self.size = size

    def __iter__(self):
        return iter(lambda: self.file.read(self.size), b"")


def environ(path: str = "/score", body: bytes = b"", **more: Any) -> dict[str, Any]:
    """The environ of a POST; names with two underscores stand for those with a dot."""
    found = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    found.update({name.replace("__", "."): value for name, value in more.items()})
    return {name: value for name, value in found.items() if value is not None}


def ask_wsgi(application: Any, asked: dict[str, Any], *, parts: int | None = None) -> Answer:
    """What an application answers.

    Args:
        application: a WSGI application.
        asked: the environ.
        parts: after so many the client is gone; None: never.
    """
    started: list[tuple[Any, ...]] = []
    written: list[bytes] = []
    given: list[Any] = []
    error = None
    closed = 0

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        started.append((status, list(headers), exc_info is not None))
        return written.append

    try:
        result = application(asked, start_response)
        try:
            iterator = iter(result)
            while parts is None or len(given) < parts:
                try:
                    given.append(next(iterator))
                except StopIteration:
                    break
        finally:
            if hasattr(result, "close"):
                closed += 1
                result.close()
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is what the server gets
        error = repr(raised)
    return Answer(started, given, error, written, closed)


def scope(path: str = "/score", **more: Any) -> dict[str, Any]:
    """The scope of a POST."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **more,
    }


class Sent(NamedTuple):
    """What a server got from an ASGI application."""

    messages: list[dict[str, Any]]
    error: str | None

    @property
    def body(self) -> bytes:
        """All that the client gets."""
        return b"".join(message.get("body", b"") for message in self.messages)


async def asking(  # noqa: PLR0913 - what a client may do
    application: Any,
    asked: dict[str, Any],
    parts: Iterable[bytes] = (b"",),
    *,
    gone_after: int | None = None,
    then: Sequence[dict[str, Any]] = (),
    then_after: int = 0,
) -> Sent:
    """What an application sends.

    Args:
        application: an ASGI application.
        asked: the scope.
        parts: the request's body.
        gone_after: sending fails after so many messages, as where the client is gone.
        then: messages after the request.
        then_after: they come when so many messages were sent.
    """
    bodies = list(parts)
    left = [
        {"type": "http.request", "body": body, "more_body": index < len(bodies) - 1}
        for index, body in enumerate(bodies)
    ]
    left += list(then)
    messages: list[dict[str, Any]] = []
    finished, reached = asyncio.Event(), asyncio.Event()
    if not then_after:
        reached.set()

    async def receive() -> dict[str, Any]:
        if not left:
            await finished.wait()  # the server waits for what the client sends next
        elif left[0]["type"] != "http.request":
            await reached.wait()
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if gone_after is not None and len(messages) >= gone_after:
            raise OSError("the client is gone")
        messages.append(dict(message))
        if len(messages) == then_after:
            reached.set()
        if message["type"] == "http.response.body" and not message.get("more_body"):
            finished.set()

    error = None
    try:
        await application(asked, receive, send)
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is what the server gets
        error = repr(raised)
    finally:
        finished.set()
    return Sent(messages, error)


def ask_asgi(application: Any, asked: dict[str, Any], *arguments: Any, **options: Any) -> Sent:
    """The same, in an event loop of its own."""
    return asyncio.run(asking(application, asked, *arguments, **options))
