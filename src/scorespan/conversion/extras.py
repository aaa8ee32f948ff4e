"""Extras: the `scorespan` member that goes beside a record to our own mart."""

from __future__ import annotations

from typing import Any

from scorespan.conversion.span import ScoringSpan
from scorespan.dialects import DialectBodies
from scorespan.record import STATUS_ERROR, STATUS_OK

_USUAL_DIALECT = "fields_values"
_BESIDE = ("request_id", "http_status", "hook", "prints", "response_chunks", "first_byte_time")
_DEPENDENCIES = {
    "dependency_count": "count",
    "dependency_time": "time",
    "dependency_failures": "failures",
}
_KEPT_ANSWER = 4096
"""Bytes of a failed scoring's answer that are kept beside its error."""


def extras_of(
    span: ScoringSpan,
    bodies: DialectBodies,
    notes: tuple[str, ...],
    answer: bytes | memoryview | None,
    facts: dict[str, Any] | None,
) -> dict[str, object]:
    """The `scorespan` member of a record; what nobody said is left out.

    Args:
        span: the scoring span.
        bodies: what the dialect made of its bodies.
        notes: what was changed on the way.
        answer: the response as it was; kept beside the error of a failed scoring.
        facts: what is to be said of the way the bodies came, by side.
    """
    failed = span.failed or bodies.failure is not None
    extras = _names(span, STATUS_ERROR if failed else STATUS_OK)
    if bodies.dialect != _USUAL_DIALECT:
        extras["dialect"] = bodies.dialect
    if facts is not None:
        extras["bodies"] = facts
    if span.details is not None:
        _add_details(extras, span.details)
    if failed:
        extras["error"], cut = _error(span, bodies.failure, answer)
        notes += cut
    if notes:
        extras["notes"] = notes
    return extras


def _names(span: ScoringSpan, status: str) -> dict[str, object]:
    """What names a scoring, and where it comes from; members are left out where nobody said it."""
    extras: dict[str, object] = {
        "v": 1,
        "status": status,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
    }
    if span.model_name is not None:
        extras["model"] = span.model_name
    if span.model_version is not None:
        extras["model_version"] = span.model_version
    if span.client_id is not None:
        extras["client_id"] = span.client_id
    if span.producer_id is not None:
        extras["producer"] = span.producer_id
    if span.sequence is not None:
        extras["sequence"] = span.sequence
    if span.service_name is not None:
        extras["service_name"] = span.service_name
    if span.service_instance_id is not None:
        extras["service_instance_id"] = span.service_instance_id
    return extras


def _add_details(extras: dict[str, object], details: dict[str, Any]) -> None:
    """What hooks saw of a scoring, where they saw it."""
    for name in _BESIDE:
        if name in details:
            extras[name] = details[name]
    dependencies = {
        short: details[name] for name, short in _DEPENDENCIES.items() if name in details
    }
    if dependencies:
        extras["dependencies"] = dependencies


def _error(
    span: ScoringSpan, failure: tuple[str, str] | None, answer: bytes | memoryview | None
) -> tuple[dict[str, object], tuple[str, ...]]:
    """What a failed scoring says of itself, and a note where its answer was cut."""
    error: dict[str, object] = {"type": span.error_type, "message": span.error_message}
    if failure is not None and not span.failed:
        error["type"], error["message"] = failure
    stacktrace = (span.details or {}).get("stacktrace")
    if stacktrace is not None:
        error["stacktrace"] = stacktrace
    if answer is None:
        return error, ()
    error["response"] = bytes(answer[:_KEPT_ANSWER]).decode("utf-8", "replace")
    if len(answer) <= _KEPT_ANSWER:
        return error, ()
    return error, (f"response: {_KEPT_ANSWER} of {len(answer)} bytes kept",)
