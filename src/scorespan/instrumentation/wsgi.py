"""A WSGI call, seen by a hook: the request as it is read, the answer as it is handed out.

Nothing is read ahead of the service, and no part of the answer is held back or changed. The record
is made when the server closes the answer, which is after its last byte was handed over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from scorespan.instrumentation import http
from scorespan.instrumentation.exchange import HEADERS, Exchange, running
from scorespan.instrumentation.guard import failed, guarded
from scorespan.instrumentation.http import MARK
from scorespan.instrumentation.teed import TeedInput

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], object]]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

_CGI_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_VARIABLES = tuple(
    (name, _CGI_NAMES.get(name, "HTTP_" + name.upper().replace("-", "_"))) for name in HEADERS
)
"""Headers of a request that are looked at, and where an environ has them."""


def call(
    hook: str, application: Application, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Call a WSGI application; where the request is a scoring, it becomes a record.

    Args:
        hook: name of the hook.
        application: called once, with this environ, which gets a mark and another `wsgi.input`.
        environ: of the request.
        start_response: the server's.
    """
    seen = _seen(hook, environ, start_response)
    if seen is None:
        return application(environ, start_response)
    outer = running.set(seen.exchange)
    try:
        result = application(environ, seen.start_response)
    except BaseException as error:
        seen.raised(error)
        raise
    finally:
        running.reset(outer)
    return seen.answer(result)


@guarded("wsgi")
def _seen(hook: str, environ: Environ, start_response: StartResponse) -> Seen | None:
    root, path = environ.get("SCRIPT_NAME") or "", environ.get("PATH_INFO") or ""
    if MARK in environ or MARK in environ.get("asgi.scope", ()):
        return None
    if root:
        root = _decoded(root)
    method = environ["REQUEST_METHOD"]
    headers = {name: environ[variable] for name, variable in _VARIABLES if variable in environ}
    exchange = http.begin(hook, method, root + _decoded(path), headers, root=root)
    if exchange is None:
        return None
    seen = Seen(exchange, environ, start_response)
    exchange.at_exit = seen.end
    environ["wsgi.input"] = seen.teed
    environ[MARK] = True
    return seen


def _decoded(text: str) -> str:
    """A path of an environ, whose characters stand for bytes, as the text that it is."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


class Seen:
    """One call of a WSGI application, from its request to the end of its answer."""

    __slots__ = ("_chunked", "_file_wrapper", "_start_response", "complete", "exchange", "teed")

    def __init__(self, exchange: Exchange, environ: Environ, start_response: StartResponse) -> None:
        self.exchange = exchange
        self.teed = TeedInput(environ["wsgi.input"], exchange.took)
        self.complete = False
        self._chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        self._file_wrapper = environ.get("wsgi.file_wrapper")
        self._start_response = start_response

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """The server's, called with the same; its answer, which keeps what is written to it."""
        exchange = self.exchange
        if exc_info is None:
            write = self._start_response(status, headers)
        else:
            write = self._start_response(status, headers, exc_info)
        self._started(status, headers, exc_info)

        def written(part: bytes) -> object:
            result = write(part)
            exchange.stop()
            exchange.sent(part)
            return result

        return written

    def answer(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """What the server gets instead of the application's answer."""
        try:
            wrapper = self._file_wrapper
            if isinstance(wrapper, type) and isinstance(result, wrapper):
                # The server knows it by its type, and sends the file without reading it here.
                http.sent_as_file(self.exchange)
                self.complete = True
                self.end()
                return result
            kind = SizedAnswer if hasattr(result, "__len__") else Answer
            return kind(self, result)
        except Exception as error:  # noqa: BLE001 - the service must not see our fault
            failed("wsgi", error)
            self.end()
            return result

    @guarded("wsgi")
    def _started(self, status: str, headers: Any, exc_info: Any) -> None:
        code = int(status[:3])
        self.exchange.answered(code)
        if exc_info is not None and code >= 400:
            self.exchange.fail(exc_info[1])
        if isinstance(headers, (list, tuple)):
            http.describe(self.exchange, {name.lower(): value for name, value in headers})

    @guarded("wsgi")
    def raised(self, error: BaseException) -> None:
        """The application raised, before its answer or within it."""
        self.exchange.stop()
        self.exchange.fail(error)
        self.complete = True
        self.end()

    @guarded("wsgi")
    def end(self, *, collected: bool = False) -> None:
        """The answer is closed, or was collected."""
        if not self.exchange.ended:
            unread = self._chunked and not self.teed.ended
            http.end(self.exchange, unread=unread, complete=self.complete, collected=collected)


class Answer:
    """The application's answer, part by part, as the server asks for it."""

    __slots__ = ("__weakref__", "_closed", "_iterator", "_result", "_seen")

    def __init__(self, seen: Seen, result: Iterable[bytes]) -> None:
        self._seen = seen
        self._result = result
        self._iterator: Iterator[bytes] | None = None
        self._closed = False

    def __iter__(self) -> Answer:
        return self

    def __next__(self) -> bytes:
        seen = self._seen
        outer = running.set(seen.exchange)
        try:
            if self._iterator is None:
                self._iterator = iter(self._result)
            part = next(self._iterator)
        except StopIteration:
            seen.complete = True
            raise
        except BaseException as error:
            seen.raised(error)
            raise
        finally:
            running.reset(outer)
        seen.exchange.stop()
        seen.exchange.sent(part)
        return part

    def close(self) -> None:
        """End the record, then close the application's answer; once."""
        if self._closed:
            return
        self._closed = True
        try:
            self._seen.end()
        finally:  # whatever a signal handler raised
            close = getattr(self._result, "close", None)
            if close is not None:
                close()

    def __del__(self, _finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # A server has to close it; a record must not be lost by one that does not. What is open at
        # exit was ended there: now the modules that this would need are taken apart.
        if not self._closed and not _finalizing():
            self._seen.end(collected=True)


class SizedAnswer(Answer):
    """An answer whose number of parts is known: servers make a length of it where it is one."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]  # asked before
