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
from scorespan.conversion.attribute_values import OwnData, resource_values, scoring_span
from scorespan.conversion.span import ScoringSpan

_NOTHING: Mapping[str, Any] = {}
_ERROR = StatusCode.ERROR

# One resource belongs to one provider, so nearly every span shows the same object again.
_resource_seen: tuple[Resource | None, list[Any]] = (None, resource_values({}))


def read_sdk(span: ReadableSpan) -> ScoringSpan | None:
    """The scoring span of an ended SDK span; None for a span that is none.

    Never raises for what an attribute holds: what cannot be read is named in `problems`.
    """
    found: Mapping[str, Any] | None = span.attributes
    if not found:
        return None
    # Looking into the SDK's mapping runs Python code each time; into a plain dict it does not.
    found = found.copy() if hasattr(found, "copy") else dict(found)
    if not (attributes.REQUEST in found or attributes.RESPONSE in found or attributes.ID in found):
        return None
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
    own = OwnData(
        span.name,
        f"{context.trace_id:032x}" if context else "",
        f"{context.span_id:016x}" if context else "",
        span.start_time or 0,
        span.end_time or 0,
        failed,
        error_type,
        error_message,
    )
    return scoring_span(found, own, _of_resource(span.resource))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _of_resource(resource: Resource) -> list[Any]:
    global _resource_seen  # noqa: PLW0603 - a one-place cache; a lost race only fills it again
    seen, values = _resource_seen
    if resource is not seen:
        values = resource_values(resource.attributes if resource is not None else _NOTHING)
        _resource_seen = (resource, values)
    return values
