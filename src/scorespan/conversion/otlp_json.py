"""Reader of OTLP in JSON: an ExportTraceServiceRequest into scoring spans.

The JSON mapping of protobuf, as OTLP has changed it: ids in hex, enumerations as numbers. Members
that are not known are left out, null is no value, and names may be spelt as protobuf spells them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scorespan import attributes
from scorespan.conversion.attribute_values import (
    MARKS,
    NAMES,
    OF_RESOURCE,
    nanoseconds,
    resource_values,
    scoring_span,
    text_of,
)
from scorespan.conversion.json_text import dumped, parsed
from scorespan.conversion.otlp_members import (
    hex_of,
    list_of,
    object_of,
    string_of,
    time_of,
    value_of,
)
from scorespan.conversion.otlp_reading import NO_RESOURCE, Read, Reading, WrongError, no_request
from scorespan.conversion.span import ScoringSpan

_CONTENT_TYPE = "application/json"
_ERROR = {2, "STATUS_CODE_ERROR"}
_OF_EXCEPTION = frozenset({"exception.type", "exception.message", "exception.stacktrace"})


def read_otlp_json(body: bytes) -> Read:
    """The scoring spans of an ExportTraceServiceRequest in JSON.

    A span that cannot be read is kept as JSON of the same members.

    Raises:
        ConversionError: the body is no such request.
    """
    request = parsed(body)
    if type(request) is not dict:
        raise no_request("it is no JSON object")
    try:
        groups = list_of(request, "resourceSpans")
    except WrongError as error:
        raise no_request(str(error)) from None
    reading = Reading(_CONTENT_TYPE)
    for group in groups:
        try:
            held = object_of(group, "ResourceSpans")
            resource, why = _resource(held.get("resource"))
            scopes = list_of(held, "scopeSpans")
        except WrongError as error:
            reading.keep(dumped(group), error)
            continue
        for scope in scopes:
            try:
                spans = list_of(object_of(scope, "ScopeSpans"), "spans")
            except WrongError as error:
                reading.keep(dumped(scope), error, resource)
                continue
            _read_spans(spans, resource, why, reading)
    return reading.done(body)


def _read_spans(
    spans: Iterable[Any], resource: list[Any], resource_why: str | None, reading: Reading
) -> None:
    for span in spans:
        try:
            read = _scoring_span(object_of(span, "a span"), resource)
        except Exception as error:  # noqa: BLE001 - one span's fault is not its batch's, whatever it is
            reading.keep(dumped(span), error, resource)
        else:
            reading.add(read, resource_why)


def _scoring_span(span: dict[str, Any], resource: list[Any]) -> ScoringSpan | None:
    """The scoring span in this object; None: it is none."""
    found = _attributes(span, NAMES)
    if MARKS.isdisjoint(found):
        return None
    failed, error_type, error_message, stacktrace = False, None, None, None
    status = object_of(span.get("status"), "status")
    if status.get("code") in _ERROR:
        failed, error_message = True, string_of(status, "message") or None
        for item in list_of(span, "events"):
            event = object_of(item, "an event")
            if string_of(event, "name") == "exception":
                recorded = _attributes(event, _OF_EXCEPTION)
                error_type = text_of(recorded.get("exception.type"))
                error_message = text_of(recorded.get("exception.message"))
                stacktrace = text_of(recorded.get("exception.stacktrace"))
        if stacktrace is not None:
            found.setdefault(attributes.STACKTRACE, stacktrace)
    start_time, end_time = time_of(span, "startTimeUnixNano"), time_of(span, "endTimeUnixNano")
    own = (
        string_of(span, "name"),
        hex_of(span, "traceId"),
        hex_of(span, "spanId"),
        nanoseconds("start", start_time, found),
        nanoseconds("end", end_time, found),
        failed,
        error_type,
        error_message,
    )
    return scoring_span(found, own, resource)


def _resource(resource: Any) -> tuple[list[Any], str | None]:
    """The values that spans of a resource begin with; and why it cannot be read, if it cannot."""
    try:
        return resource_values(_attributes(object_of(resource, "resource"), OF_RESOURCE)), None
    except WrongError as error:
        return NO_RESOURCE, f"the resource cannot be read: {error}"


def _attributes(holder: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of an object's attributes that have one of these names."""
    found: dict[str, Any] = {}
    for item in list_of(holder, "attributes"):
        pair = object_of(item, "an attribute")
        name = pair.get("key")
        if type(name) is str and name in names:
            found[name] = value_of(pair.get("value"), 0)
    return found
