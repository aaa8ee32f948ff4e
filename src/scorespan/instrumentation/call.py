"""The call: one outgoing call that counts, from its request to the last byte of its answer.

A call during a scoring is a dependency of that one: number, time until the answer began, and
whether it failed. A call that is a scoring itself has an exchange, and becomes a record when its
answer was read to the end or closed. One that its caller drops unread is ended by the next call
that counts, or at exit: where it is collected nobody may wait for a lock.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Any

from opentelemetry import context

from scorespan import attributes
from scorespan.instrumentation import reading, sending, unread
from scorespan.instrumentation.body import KeptBody
from scorespan.instrumentation.client import calling
from scorespan.instrumentation.exchange import DEPLOYMENT, REQUEST_IDS, Exchange, running
from scorespan.instrumentation.guard import failed, guarded
from scorespan.instrumentation.headers import plain
from scorespan.instrumentation.http import describe
from scorespan.settings import Settings

_GUARDED = "client"
# Exporters set the key that their version of OpenTelemetry knows, others the plain word.
_SUPPRESSED = (
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
)


class Call:
    """One outgoing call; one thread or task at a time. No method raises.

    A context manager for the time until the answer has begun; an exception that leaves it makes
    the call a failed one.

    Attributes:
        exchange: of a scoring, until it has ended; None: a dependency.
        over: whether the answer has begun, so that another call is not a part of this one.
    """

    __slots__ = (
        "__weakref__", "_answered", "_generation", "_named", "_outer", "_query", "_sent",
        "_started", "_tokens", "exchange", "over",
    )  # fmt: skip

    def __init__(self, outer: Exchange | None, exchange: Exchange | None, query: str = "") -> None:
        self._outer = outer
        self.exchange = exchange
        self.over = False
        self._answered = False
        self._query = query
        self._named: set[str] = set()
        self._sent: sending.Sent | None = None
        self._generation = unread.generation()
        self._tokens: tuple[Token[Call | None], Token[Exchange | None] | None] | None = None
        self._started = time.perf_counter_ns()

    def __enter__(self) -> Call:
        # A server that answers within this call, in this context, makes no second record.
        within = None if self.exchange is None else running.set(self.exchange)
        self._tokens = calling.set(self), within
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over = True
        if self._tokens is not None:
            of_call, within = self._tokens
            with contextlib.suppress(ValueError):  # another context has gone on with it
                calling.reset(of_call)
                if within is not None:
                    running.reset(within)
        if error is not None and not self._answered:
            self.raised(error)

    def keep_named(self, headers: Mapping[str, str]) -> None:
        """The request's headers, by their names in lower case."""
        self._named = {name for name in (*REQUEST_IDS, DEPLOYMENT) if headers.get(name)}

    @property
    def is_named(self) -> bool:
        """Whether the request brings an id of the call."""
        return not self._named.isdisjoint(REQUEST_IDS)

    def sends(self, body: Any) -> Any:
        """The request's body: the same, or what is to be sent in its place and passes it on."""
        if self.exchange is None or body is None:
            return body
        try:
            return sending.seen(body, self.sent())
        except Exception as error:  # noqa: BLE001 - the service must not see our fault
            failed(_GUARDED, error)
            return body

    def sent(self) -> sending.Sent:
        """The request's body, to which its parts are added as they are sent."""
        kept = KeptBody(0) if self.exchange is None else self.exchange.request
        self._sent = sending.Sent(kept)
        return self._sent

    @guarded(_GUARDED)
    def answered(self, status: int, headers: Any = None) -> None:
        """The answer has begun. A dependency is counted; 400 and above has failed.

        Args:
            status: of HTTP.
            headers: of the answer, with a `get` that knows names in lower case.
        """
        self._answered = True
        if self._outer is not None:
            elapsed = time.perf_counter_ns() - self._started
            self._outer.add_dependency(elapsed, failed=status >= 400)
            return
        exchange = self.exchange
        if exchange is None:
            return
        exchange.stop()
        exchange.answered(status)
        if headers is None:
            return
        describe(exchange, headers)
        if DEPLOYMENT not in self._named and (told := plain(headers.get(DEPLOYMENT))):
            exchange.set(attributes.DEPLOYMENT_ID, told)

    @guarded(_GUARDED)
    def decoded(self) -> None:
        """What is read of the answer has no content coding any more."""
        if self.exchange is not None and self.exchange.response.encoding:
            self.exchange.response.encoding = None
            self.exchange.response.expected = None

    @guarded(_GUARDED)
    def seen(self, part: bytes | memoryview) -> None:
        """A part of the answer's body that the caller has read."""
        if self.exchange is not None:
            self.exchange.stop()
            self.exchange.response.add(part)

    @guarded(_GUARDED)
    def watch(self, response: Any) -> None:
        """See a response of `http.client` or `urllib3` as the caller reads it."""
        if self.exchange is None:
            return
        unread.watch(self)
        if not reading.watch(response, self):
            self.exchange.tell("response: this kind is not captured")
            self.finish()

    @guarded(_GUARDED)
    def raised(self, error: BaseException, status: int | None = None) -> None:
        """The call has failed with this, before or within its answer."""
        if self._outer is not None:
            if not self._answered:
                self._answered = True
                elapsed = time.perf_counter_ns() - self._started
                self._outer.add_dependency(elapsed, failed=True)
        elif self.exchange is not None:
            self.exchange.stop()
            if status is not None:
                self.exchange.answered(status)
            # Clients name the address, which may hold a key.
            self.exchange.fail(error, secret=self._query)
            self.finish()

    @guarded(_GUARDED)
    def finish(self, *, unread_rest: bool = False) -> None:
        """The answer was read to its end, or will not be; the record is in the spool. Idempotent.

        Args:
            unread_rest: whether there was more to read.
        """
        exchange = self._take()
        if exchange is not None:
            if unread_rest:
                unread.tell(exchange)
                if unread.within_writing():
                    unread.wait(exchange)
                    return
            exchange.end()
        unread.end_waiting()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter has taken apart what this uses
            exchange = self._take()
            if exchange is not None:
                unread.tell(exchange)
                unread.wait(exchange)

    def _take(self) -> Exchange | None:
        exchange, self.exchange = self.exchange, None
        if self._sent is not None:
            self._sent.let_go()
        # The child of a fork has a copy of what is its parent's to record.
        return exchange if self._generation == unread.generation() else None


def dependency(outer: Exchange) -> Call | None:
    """A call that goes out during a scoring; None for traffic that is not to be seen."""
    return None if _is_suppressed() else Call(outer, None)


def scoring(hook: str, settings: Settings, url: str, headers: Any) -> Call | None:
    """A call that is a scoring; None for traffic that is not to be seen, such as our own."""
    unread.end_waiting()
    own = (settings.data_mart_url, settings.token_url)
    if _is_suppressed() or any(_is_at(url, address) for address in own if address):
        return None
    known = {_text(name).lower(): _text(value) for name, value in headers.items()}
    exchange = Exchange(hook, settings, known)
    exchange.request.content_type = plain(known.get("content-type"))
    exchange.request.encoding = plain(known.get("content-encoding"))
    if deployment := plain(known.get(DEPLOYMENT)):
        exchange.set(attributes.DEPLOYMENT_ID, deployment)
    call = Call(None, exchange, url.partition("?")[2].partition("#")[0])
    call.keep_named(known)
    return call


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _is_suppressed() -> bool:
    return any(context.get_value(key) for key in _SUPPRESSED)


def _is_at(url: str, address: str) -> bool:
    base = address.rstrip("/")
    return url == base or url.startswith(f"{base}/")
