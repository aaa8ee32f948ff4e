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
from scorespan.conversion.attribute_values import AttributeReader
from scorespan.conversion.span import ScoringSpan

_NOTHING: Mapping[str, Any] = {}
_ERROR = StatusCode.ERROR

# One resource belongs to one provider, so nearly every span shows the same object again.
_resource_seen: tuple[Resource | None, Mapping[str, Any]] = (None, _NOTHING)


def is_scoring_span(span: ReadableSpan) -> bool:
    """Whether the span has a request, a response or a scoring id."""
    found = span.attributes or _NOTHING
    return attributes.REQUEST in found or attributes.RESPONSE in found or attributes.ID in found


def read_sdk(span: ReadableSpan) -> ScoringSpan:
    """The scoring span of an ended SDK span.

    Never raises for what an attribute holds: what cannot be read is named in `problems`.
    """
    found: Mapping[str, Any] = span.attributes or _NOTHING
    if hasattr(found, "copy"):
        found = found.copy()
    read = AttributeReader(found, _resource_attributes(span.resource))
    context = span.context
    error_type = error_message = None
    status = span.status
    failed = status.status_code is _ERROR
    if failed:
        error_message = status.description
        for event in span.events:
            if event.name == "exception":
                recorded = event.attributes or _NOTHING
                error_type = _text(recorded.get("exception.type"))
                error_message = _text(recorded.get("exception.message"))
    return read.scoring_span(
        name=span.name,
        trace_id=format(context.trace_id, "032x") if context else "",
        span_id=format(context.span_id, "016x") if context else "",
        start_time=span.start_time or 0,
        end_time=span.end_time or 0,
        failed=failed,
        error_type=error_type,
        error_message=error_message,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _resource_attributes(resource: Resource | None) -> Mapping[str, Any]:
    global _resource_seen  # noqa: PLW0603 - a one-place cache; a lost race only fills it again
    seen, found = _resource_seen
    if resource is None or resource is seen:
        return found if resource is not None else _NOTHING
    found = dict(resource.attributes)
    _resource_seen = (resource, found)
    return found
