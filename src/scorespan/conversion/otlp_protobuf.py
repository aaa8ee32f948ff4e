"""Reader of OTLP in protobuf: an ExportTraceServiceRequest into scoring spans.

The whole request is parsed at once; only where it is damaged is each part parsed by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
from scorespan.conversion.otlp_attributes import Seen, attributes_named, read_attributes
from scorespan.conversion.otlp_reading import NO_RESOURCE, Read, Reading, no_request
from scorespan.conversion.span import ScoringSpan

_CONTENT_TYPE = "application/x-protobuf"
_INT64 = 2**63
_REQUEST, _RESPONSE = BODIES[attributes.REQUEST], BODIES[attributes.RESPONSE]
_ID = TEXTS[attributes.ID]
_ERROR = 2
_NO_ERROR = (False, None, None)
_RESOURCE_KEYS = {name.encode(): name for name in OF_RESOURCE}
_EXCEPTION_KEYS = {name.encode(): name for name in ("exception.type", "exception.message")}


def read_otlp(body: bytes) -> Read:
    """The scoring spans of an ExportTraceServiceRequest in protobuf.

    A span that cannot be read is kept as it came. Time and memory go with the length of the body.

    Raises:
        ConversionError: the body is no such request.
    """
    reading = Reading(_CONTENT_TYPE)
    seen = Seen()
    try:
        request = wire.request(body)
    except DecodeError:
        _read_damaged(body, reading, seen)
        return reading.done()
    for group in request.resource_spans:
        resource, why = _resource(group.resource)
        for scope in group.scope_spans:
            for span in scope.spans:
                _read_span(span, resource, why, reading, seen)
    return reading.done()


def _read_damaged(body: bytes, reading: Reading, seen: Seen) -> None:
    """A request of which some part is damaged: each part is read by itself."""
    try:
        groups = wire.pieces(body).first
    except DecodeError:
        raise no_request("it is no protobuf message") from None
    for group in groups:
        try:
            parts = wire.pieces(group)
        except DecodeError:
            reading.keep(group, "damaged protobuf in place of ResourceSpans")
            continue
        resource, why = _resource(parts.first)
        for scope in parts.second:
            try:
                spans = wire.pieces(scope).second
            except DecodeError:
                reading.keep(scope, "damaged protobuf in place of ScopeSpans", resource)
                continue
            for raw in spans:
                try:
                    span = wire.span(raw)
                except DecodeError:
                    reading.keep(raw, "damaged protobuf in place of a span", resource)
                else:
                    _read_span(span, resource, why, reading, seen)


def _read_span(
    span: wire.Span, resource: list[Any], resource_why: str | None, reading: Reading, seen: Seen
) -> None:
    """Read one span into the reading."""
    try:
        reading.add(_scoring_span(span, resource, seen), resource_why)
    except DecodeError:
        reading.keep(span.SerializeToString(), "damaged protobuf in a span", resource)
    except Exception as error:  # noqa: BLE001 - one span's fault is not its batch's, whatever it is
        why = f"the span cannot be read: {type(error).__name__}"
        reading.keep(span.SerializeToString(), why, resource)


def _scoring_span(span: wire.Span, resource: list[Any], seen: Seen) -> ScoringSpan | None:
    """The scoring span in this message; None: it is none.

    Raises:
        DecodeError: it cannot be read.
    """
    values = resource.copy()
    found = read_attributes(span.attributes[:], values, seen)
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
        failed, error_type, error_message = _error(span.status, span.events)
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


def _error(raw: bytes, events: Iterable[bytes]) -> tuple[bool, str | None, str | None]:
    """What a status and the events say: whether the scoring failed, the error's type and message.

    The last exception is the one that ended it.
    """
    status = wire.status(raw)
    if status.code != _ERROR:
        return _NO_ERROR
    error_type: str | None = None
    error_message = status.message.decode("utf-8", "backslashreplace") or None
    for each in events:
        event = wire.event(each)
        if event.name == b"exception":
            recorded = attributes_named(event.attributes, _EXCEPTION_KEYS)
            error_type = text_of(recorded.get("exception.type"))
            error_message = text_of(recorded.get("exception.message"))
    return True, error_type, error_message


def _resource(parts: Iterable[bytes]) -> tuple[list[Any], str | None]:
    """The values that spans of a resource begin with; and why it cannot be read, if it cannot."""
    try:
        resource = wire.resource(b"".join(parts))
        return resource_values(attributes_named(resource.attributes, _RESOURCE_KEYS)), None
    except DecodeError:
        return NO_RESOURCE, "the resource cannot be read: damaged protobuf"
