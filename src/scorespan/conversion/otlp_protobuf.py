"""Reader of OTLP in protobuf: an ExportTraceServiceRequest into scoring spans.

A request is parsed at once; where it is large, or damaged, each of its spans by itself.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from scorespan import attributes
from scorespan.conversion import otlp_wire as wire
from scorespan.conversion.attribute_values import (
    BODIES,
    MARKS,
    OF_RESOURCE,
    TEXTS,
    filled,
    nanoseconds,
    resource_values,
    text_of,
)
from scorespan.conversion.otlp_attributes import (
    KEYS,
    Seen,
    attributes_named,
    read_attributes,
    repeated,
)
from scorespan.conversion.otlp_reading import (
    NO_RESOURCE,
    Read,
    Reading,
    WrongError,
    no_request,
    why_of,
)
from scorespan.conversion.span import ScoringSpan

_WHOLE = 2 * 1024 * 1024
"""Bytes of a request that is parsed at once: very small fields take up to 60 times as many."""
_FIELDS, _FIELD_BYTES = 1_000_000, 64
"""Of a larger message: fields that it may have, and one more for each so many of its bytes."""
_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SPANS = 1, 1, 2, 2
_CONTENT_TYPE = "application/x-protobuf"
_INT64 = 2**63
_REQUEST, _RESPONSE = BODIES[attributes.REQUEST], BODIES[attributes.RESPONSE]
_ID = TEXTS[attributes.ID]
_ERROR = 2
_Message = TypeVar("_Message")
_NO_ERROR = (False, None, None, None)
_RESOURCE_KEYS = {name.encode(): name for name in OF_RESOURCE}
_EXCEPTION_KEYS = {
    name.encode(): name for name in ("exception.type", "exception.message", "exception.stacktrace")
}


def read_otlp(body: bytes) -> Read:
    """The scoring spans of an ExportTraceServiceRequest in protobuf.

    A span that cannot be read is kept as it came. Time and memory go with the length of the body.

    Raises:
        ConversionError: the body is no such request.
    """
    if len(body) <= _WHOLE:
        # Whatever is wrong somewhere, read part by part it costs no more than its part.
        with contextlib.suppress(Exception):
            return _read_whole(body)
    return _read_apart(body)


def _read_whole(body: bytes) -> Read:
    """A request of which nothing is damaged; where something is, anything may be raised."""
    reading = Reading(_CONTENT_TYPE)
    seen = Seen()
    for group in wire.request(body).resource_spans:
        scopes = group.scope_spans
        if not scopes:
            continue
        resource, why = _resource(group.resource)
        for scope in scopes:
            for span in scope.spans:
                reading.add(_scoring_span(span, resource, seen), why)
    return reading.done(body)


def _read_apart(body: bytes) -> Read:
    """A request that is large, or damaged somewhere: each part of it is read by itself."""
    reading = Reading(_CONTENT_TYPE)
    seen = Seen()
    request = memoryview(body)
    try:
        _check(request)
    except (DecodeError, WrongError) as error:
        raise no_request(why_of(error)) from None
    for group in _held(request, _RESOURCE_SPANS):
        try:
            _check(group)
        except (DecodeError, WrongError) as error:
            reading.keep(bytes(group), error)
            continue
        resource, why = _resource(map(bytes, _held(group, _RESOURCE)))
        for scope in _held(group, _SCOPE_SPANS):
            try:
                _check(scope)
            except (DecodeError, WrongError) as error:
                reading.keep(bytes(scope), error, resource)
                continue
            for raw in _held(scope, _SPANS):
                try:
                    span = _parsed(wire.span, bytes(raw))
                    reading.add(_scoring_span(span, resource, seen), why)
                except Exception as error:  # noqa: BLE001 - one span's fault is not its batch's, whatever it is
                    reading.keep(bytes(raw), error, resource)
    return reading.done(body)


def _check(message: memoryview) -> None:
    """Whether a message can be read without far more memory than it has bytes.

    Raises:
        DecodeError: it is damaged.
        WrongError: it has too many fields.
    """
    most = _FIELDS + len(message) // _FIELD_BYTES
    fields = wire.fields(message)
    collections.deque(itertools.islice(fields, most), maxlen=0)
    if next(fields, None) is not None:
        raise WrongError(f"more than {most} fields")


def _parsed(parse: Callable[[bytes], _Message], raw: bytes) -> _Message:
    """A message; a large one only where `_check` allows it."""
    if len(raw) > _WHOLE:
        _check(memoryview(raw))
    return parse(raw)


def _held(message: memoryview, number: int) -> Iterator[memoryview]:
    return (value for found, value in wire.fields(message) if found == number)


def _scoring_span(span: wire.Span, resource: list[Any], seen: Seen) -> ScoringSpan | None:
    """The scoring span in this message; None: it is none.

    Raises:
        DecodeError: it is damaged.
        WrongError: it holds what cannot be read.
    """
    values = resource.copy()
    found = read_attributes(span.attributes[:], values, seen)
    if found and repeated(found, values):
        # The last of a name counts, as in a dict, and two places have lost which that was.
        values, found = resource.copy(), attributes_named(span.attributes, KEYS)
    if (
        values[_REQUEST] is None
        and values[_RESPONSE] is None
        and values[_ID] is None
        and MARKS.isdisjoint(found)
    ):
        return None
    start_time, end_time = span.start_time, span.end_time
    if start_time >= _INT64 or end_time >= _INT64:
        start_time = nanoseconds("start", start_time, found)
        end_time = nanoseconds("end", end_time, found)
    failed, error_type, error_message = False, None, None
    if span.status:
        failed, error_type, error_message, stacktrace = _error(span.status, span.events)
        if stacktrace is not None:
            found.setdefault(attributes.STACKTRACE, stacktrace)
    own = (
        span.name.decode("utf-8", "backslashreplace"),
        span.trace_id.hex(),
        span.span_id.hex(),
        start_time,
        end_time,
        failed,
        error_type,
        error_message,
    )
    return filled(values, found, own)


def _error(raw: bytes, events: Iterable[bytes]) -> tuple[bool, str | None, str | None, str | None]:
    """What a status and the events say: whether it failed, error type, message and stack trace.

    The last exception is the one that ended it.
    """
    status = wire.status(raw)
    if status.code != _ERROR:
        return _NO_ERROR
    error_type = stacktrace = None
    error_message = status.message.decode("utf-8", "backslashreplace") or None
    for each in events:
        event = _parsed(wire.event, each)
        if event.name == b"exception":
            recorded = attributes_named(event.attributes, _EXCEPTION_KEYS)
            error_type = text_of(recorded.get("exception.type"))
            error_message = text_of(recorded.get("exception.message"))
            stacktrace = text_of(recorded.get("exception.stacktrace"))
    return True, error_type, error_message, stacktrace


def _resource(parts: Iterable[bytes]) -> tuple[list[Any], str | None]:
    """The values that spans of a resource begin with; and why it cannot be read, if it cannot."""
    try:
        resource = _parsed(wire.resource, b"".join(parts))
        return resource_values(attributes_named(resource.attributes, _RESOURCE_KEYS)), None
    except (DecodeError, WrongError) as error:
        return NO_RESOURCE, f"the resource cannot be read: {why_of(error)}"
