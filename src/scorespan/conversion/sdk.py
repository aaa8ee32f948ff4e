"""Reader of the SDK's spans: ReadableSpan into ScoringSpan.

Runs on the caller's thread, before the put: it copies, and parses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from scorespan import attributes
from scorespan.conversion.attribute_values import (
    nanoseconds,
    resource_values,
    scoring_span,
    text_of,
)
from scorespan.conversion.span import ScoringSpan

_NOTHING: Mapping[str, Any] = {}
_ERROR = StatusCode.ERROR
_INT64 = 2**63

# One resource belongs to one provider, so nearly every span shows the same object again.
_resource_seen: tuple[Resource | None, list[Any]] = (None, resource_values({}))


def read_sdk(span: ReadableSpan) -> ScoringSpan | None:
    """The scoring span of an ended SDK span; None for a span that is none.

    Never raises for what an attribute holds: what cannot be read is named in `problems`.
    """
    held = span.attributes
    if held is None:
        return None
    # Looking into the SDK's mapping runs Python code each time; into a plain dict it does not.
    found: dict[str, Any] = held.copy() if hasattr(held, "copy") else dict(held)
    if not (attributes.REQUEST in found or attributes.RESPONSE in found or attributes.ID in found):
        return None
    context = span.context
    error_type = error_message = stacktrace = None
    status = span.status
    failed = status.status_code is _ERROR
    if failed:
        error_message = status.description or None  # OTLP cannot tell the two apart
        for event in span.events:
            if event.name == "exception":
                recorded = event.attributes or _NOTHING
                error_type = text_of(recorded.get("exception.type"))
                error_message = text_of(recorded.get("exception.message"))
                stacktrace = text_of(recorded.get("exception.stacktrace"))
        if stacktrace is not None:
            found.setdefault(attributes.STACKTRACE, stacktrace)
    start, end = span.start_time, span.end_time
    if type(start) is not int or type(end) is not int or not 0 <= start < _INT64 > end >= 0:
        start, end = nanoseconds("start", start, found), nanoseconds("end", end, found)
    own = (
        str(span.name),
        f"{context.trace_id:032x}" if context else "",
        f"{context.span_id:016x}" if context else "",
        start,
        end,
        failed,
        error_type,
        error_message,
    )
    return scoring_span(found, own, _of_resource(span.resource))


def _of_resource(resource: Resource) -> list[Any]:
    global _resource_seen  # noqa: PLW0603 - a one-place cache; a lost race only fills it again
    seen, values = _resource_seen
    if resource is not seen:
        values = resource_values(resource.attributes if resource is not None else _NOTHING)
        _resource_seen = (resource, values)
    return values
