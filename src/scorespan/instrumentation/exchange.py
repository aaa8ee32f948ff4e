"""The exchange: one request and its answer, as a hook sees them pass, until they are a span.

The span is made when the exchange ends, with the times that were taken meanwhile. It is never
current: spans of the application keep their own parents. Its parent is the span that was active
when the request came, else the one that the request names, else one that the service itself had
made by the time it answered. Whether any of them is sampled does not matter.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from scorespan import attributes, producer, provider
from scorespan.failure import Failure, beginning
from scorespan.instrumentation import gate
from scorespan.instrumentation.body import REQUEST, RESPONSE, KeptBody, Names
from scorespan.instrumentation.guard import failed, guarded, swallowed
from scorespan.instrumentation.headers import plain
from scorespan.instrumentation.printed import Printed
from scorespan.settings import Settings

NAME = "scoring"
REQUEST_IDS = (
    "x-request-id",
    "x-ms-client-request-id",
    "x-ms-request-id",
    "x-bentoml-request-id",
    "x-amzn-sagemaker-inference-id",
)
"""Headers with an id of the call; the first that is there counts."""
DEPLOYMENT = "azureml-model-deployment"
"""Says which deployment, where a request is known to be for Azure ML; else anybody may send it."""
PARENT, STATE = "traceparent", "tracestate"
HEADERS = (
    PARENT,
    STATE,
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    *REQUEST_IDS,
)
"""Headers of a request that are looked at."""
_LONGEST_PARENT, _LONGEST_STATE = 512, 8192  # OpenTelemetry logs each that is longer
_GUARDED = "exchange"
_NO_PARENT = Context()
_propagator = TraceContextTextMapPropagator()
_NOTHING, _NO_BODY = Printed(0), KeptBody(0)
"""What an exchange that is over holds. A `Printed` made then would hold what is handled then."""


class Exchange:
    """One request and its answer; one thread or task at a time. No method raises.

    The response time begins here.

    Attributes:
        hook: which hook saw it. A more specific one that runs inside takes the exchange over: it
            sets this, and adds what it knows.
        request: the bytes that the service read.
        response: the bytes that it answered.
        status: the answer's, once it is known.
        ended: whether it is over; then nothing more is kept of it.
        thread: identity of the thread or greenlet in which it has begun, once that is known.
        at_exit: ends it where the process ends before its answer; None: that is left to the hook.

    Args:
        hook: name of the hook.
        settings: those of the process.
        headers: of the request, by their names in lower case.
    """

    __slots__ = (
        "__weakref__", "_calls", "_chunks", "_failure", "_first_byte", "_keep_prints", "_notes",
        "_parent", "_printed", "_span", "_started", "_stopped", "_told_time", "_values",
        "_wall_start", "at_exit", "ended", "hook", "request", "response", "status", "thread",
    )  # fmt: skip

    def __init__(self, hook: str, settings: Settings, headers: Mapping[str, str]) -> None:
        self._wall_start = time.time_ns()
        self._started = time.perf_counter_ns()
        self.hook = hook
        limit, digest = settings.body_max_bytes, settings.binary_bodies == "digest"
        self.request = KeptBody(limit, digest=digest)
        self.response = KeptBody(limit, digest=digest)
        self.ended = False
        self.thread: int | None = None
        self.at_exit: Callable[[], object] | None = None
        self._stopped: int | None = None
        self._told_time: int | None = None
        self._span: trace.Span | None = None
        self.status: int | None = None
        self._chunks = 0
        self._first_byte = 0
        self._failure: Failure | None = None
        self._parent: Context | None = None
        self._values: dict[str, Any] = {}
        self._notes: list[str] = []
        self._printed = Printed(limit)
        self._keep_prints = settings.keep_prints
        self._calls: list[int] = []
        gate.scores()
        self._read(headers)

    @guarded(_GUARDED)
    def _read(self, headers: Mapping[str, str]) -> None:
        self._look_for_parent()
        parent, state = headers.get(PARENT), headers.get(STATE) or ""
        if self._parent is None and parent and len(parent) <= _LONGEST_PARENT:
            carrier = {PARENT: parent, STATE: state if len(state) <= _LONGEST_STATE else ""}
            context = _propagator.extract(carrier, _NO_PARENT)
            if trace.get_current_span(context).get_span_context().is_valid:
                self._parent = context
        self.name_call(headers)

    def _look_for_parent(self) -> None:
        span = trace.get_current_span()
        if span is not trace.INVALID_SPAN and span.get_span_context().is_valid:
            parent = trace.NonRecordingSpan(span.get_span_context())
            self._parent = trace.set_span_in_context(parent, _NO_PARENT)

    def set(self, name: str, value: object) -> None:
        """Set an attribute of the span; it wins over what the exchange finds itself.

        Args:
            name: one of those in `attributes`.
            value: a value that OpenTelemetry can carry.
        """
        self._values[name] = value

    def name_call(self, headers: Mapping[str, str]) -> None:
        """Take the id of the call from its headers, unless it has one already."""
        if attributes.REQUEST_ID not in self._values:
            for name in REQUEST_IDS:
                if given := plain(headers.get(name)):
                    self._values[attributes.REQUEST_ID] = given
                    return

    def tell(self, note: str) -> None:
        """Add a note to the record; the same one is told once."""
        if note not in self._notes:
            self._notes.append(note)

    @guarded(_GUARDED)
    def add_print(self, line: str, *, ended: bool = True) -> None:
        """Keep a printed line, while there is room: as much as for a body.

        To be called while it is printed: it is seen then which exception is being handled.

        Args:
            line: without the line feed at its end.
            ended: false: it had none, and the next one goes on where this one ends.
        """
        if not self.ended:
            self._printed.add(line, ended=ended)

    def prints_to(self, file: object) -> bool:
        """Whether a line that is printed there is one of the exchange's."""
        return not self.ended and self._printed.is_output(file)

    def add_dependency(self, elapsed_ns: int, *, failed: bool) -> None:
        """Count a call that went out during the scoring; from any thread."""
        self._calls.append(~elapsed_ns if failed else elapsed_ns)

    def took(self, part: bytes) -> None:
        """The service has read this of the request."""
        try:
            self.request.add(part)
        except Exception as error:  # noqa: BLE001 - the service must not see our fault
            self._lose(REQUEST, error)

    def sent(self, part: bytes) -> None:
        """The service has answered this; when, `stop` was told before."""
        try:
            if not self._chunks:
                self._first_byte = (self._stopped or time.perf_counter_ns()) - self._started
            self._chunks += 1
            self.response.add(part)
        except Exception as error:  # noqa: BLE001 - the service must not see our fault
            self._lose(RESPONSE, error)

    @guarded(_GUARDED)
    def answered(self, status: int) -> None:
        """The status of the answer; 400 and above makes it a failed scoring.

        To be called in the context of the service, which may have a span by now.
        """
        self.status = int(status)
        if self._parent is None:
            self._look_for_parent()

    @guarded(_GUARDED)
    def fail(self, error: BaseException, *, secret: str = "") -> None:
        """The scoring failed with this; type, message and traceback are kept, not the error.

        Args:
            error: what it failed with.
            secret: a text that is not kept where it stands in them.
        """
        self._failure = Failure.of(error, secret=secret)

    def fail_as(self, kind: str, text: str) -> None:
        """The scoring failed, and no exception says how."""
        self._failure = Failure(kind, beginning(text), None)

    def stop(self, elapsed_ns: int | None = None) -> None:
        """The response time ends here, or is this. One that was given stays."""
        if elapsed_ns is None:
            self._stopped = time.perf_counter_ns()
        else:
            self._told_time = elapsed_ns

    @property
    def failed(self) -> bool:
        """Whether anything has said so far that the scoring failed."""
        return self._failure is not None or (self.status or 0) >= 400

    def drop(self) -> None:
        """Nothing of it is recorded."""
        self.ended = True
        self._let_go()

    @guarded(_GUARDED)
    def leave(self) -> None:
        """The process ends, and nobody goes on with the answer: what went out of it is recorded."""
        if self.at_exit is not None:
            self.at_exit()

    @guarded(_GUARDED)
    def end(self) -> None:
        """Make, number and end the span: it is in the spool when this returns. Idempotent.

        While the interpreter is taken apart nothing is recorded any more: a thread that has stopped
        there may hold a lock of the spool for ever.
        """
        if self.ended:
            return
        if sys.is_finalizing():
            self.drop()
            return
        try:
            self.ended = True
            self._make_span()
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, TimeoutError):
                # A signal handler raised it: the answer was sent, whatever ends here.
                with swallowed(_GUARDED):
                    self._make_span_again()
            raise
        finally:
            self._let_go()

    def _make_span(self) -> None:
        elapsed = self._told_time
        if elapsed is None:
            elapsed = (self._stopped or time.perf_counter_ns()) - self._started
        tracer, numbered, logger = provider.slot()
        start = self._wall_start
        span = tracer.start_span(NAME, self._parent or _NO_PARENT, start_time=start)
        if not span.is_recording():
            return
        self._span = span
        self._printed.finish(self)
        values = self._attributes()
        if numbered:
            values[attributes.PRODUCER_ID], values[attributes.SEQUENCE] = (
                producer.current().next_number()
            )
        span.set_attributes(values)
        failure = self._failure
        if failure is not None:
            span.add_event("exception", failure.attributes())
            span.set_status(Status(StatusCode.ERROR, f"{failure.kind}: {failure.message}"))
        span.end(start + elapsed)
        if logger is not None:
            self._printed.emit(logger, span.get_span_context())

    def _make_span_again(self) -> None:
        """Should the first span have been put, the mart takes both for the one record."""
        if self._span is not None:
            first = self._span.get_span_context()
            scoring_id = trace.format_trace_id(first.trace_id) + trace.format_span_id(first.span_id)
            self._values.setdefault(attributes.ID, scoring_id)
        self._make_span()

    def _attributes(self) -> dict[str, Any]:
        """Everything that the span says, by the names of `attributes`."""
        status = self.status
        if status is not None and status >= 400 and self._failure is None:
            self._failure = Failure(f"HTTP {status}", _reason(status), None)
        values: dict[str, Any] = {attributes.HOOK: self.hook}
        notes = self._notes
        self._put(self.request, REQUEST, values)
        if self._failure is None or self.response.size:
            self._put(self.response, RESPONSE, values)
        if status is not None:
            values[attributes.HTTP_STATUS] = status
        if self._chunks > 1 or (self._chunks and _is_stream(self.response)):
            values[attributes.RESPONSE_CHUNKS] = self._chunks
            values[attributes.FIRST_BYTE_TIME] = (self._first_byte + 500_000) // 1_000_000
        if self._keep_prints and self._printed.lines:
            values[attributes.PRINTS] = [line.text for line in self._printed.lines]
        if calls := self._calls:
            took = sum(~call if call < 0 else call for call in calls)
            values[attributes.DEPENDENCY_COUNT] = len(calls)
            values[attributes.DEPENDENCY_TIME] = (took + 500_000) // 1_000_000
            values[attributes.DEPENDENCY_FAILURES] = sum(call < 0 for call in calls)
        if notes:
            values[attributes.NOTES] = notes
        values.update(self._values)
        return values

    def _put(self, body: KeptBody, names: Names, values: dict[str, Any]) -> None:
        try:
            body.put_into(values, self._notes, names)
        except Exception as error:  # noqa: BLE001 - such as no memory for a large one
            self._lose(names, error)
            values.setdefault(names.text, "")

    def _lose(self, names: Names, error: Exception) -> None:
        """A part of a body could not be kept: the record becomes a dead letter that says so."""
        failed(_GUARDED, error)
        self._values[attributes.PROBLEM] = f"{names.text}: {type(error).__name__} in capture"

    def _let_go(self) -> None:
        """Drop the bodies: a context that outlives the exchange may hold it for long."""
        gate.answering.discard(self)
        self.at_exit = None
        self._span = None
        self.request = self.response = _NO_BODY
        self._values, self._notes, self._calls = {}, [], []
        self._printed = _NOTHING


def _is_stream(body: KeptBody) -> bool:
    return (body.content_type or "").startswith("text/event-stream")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


running: ContextVar[Exchange | None] = ContextVar("scorespan_exchange", default=None)
"""The exchange of this context; it may have ended, where the context outlives it."""
