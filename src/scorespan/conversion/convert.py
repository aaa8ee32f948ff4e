"""Conversion: ScoringSpan into PayloadRecord. Pure, and behind the put.

A span that cannot become a record is answered with the reason, as a value.
"""

from __future__ import annotations

import functools
import re
from datetime import date, datetime, timedelta
from typing import Any

from scorespan import attributes, dialects
from scorespan.conversion.native import Kept, kept_bodies
from scorespan.conversion.span import OPAQUE_BYTES, ScoringSpan
from scorespan.errors import ConversionError
from scorespan.record import (
    GENERIC_DEPLOYMENT,
    MAX_SCORING_ID,
    STATUS_ERROR,
    STATUS_OK,
    PayloadRecord,
)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC; without the zone isoformat() is the wire form
_FIRST, _END = -62135596800 * 10**9, 253402300800 * 10**9
"""Nanoseconds from the epoch: between these there is a date."""
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[Tt ]{_CLOCK}:[0-5]\d(\.\d+)?([Zz]|[+-]{_CLOCK})", re.ASCII
)
_USUAL_DIALECT = "fields_values"
_BESIDE = ("request_id", "http_status", "hook", "prints", "response_chunks", "first_byte_time")
_DEPENDENCIES = {
    "dependency_count": "count",
    "dependency_time": "time",
    "dependency_failures": "failures",
}
_KEPT_ANSWER = 4096
"""Bytes of a failed scoring's answer that are kept beside its error."""


def convert(span: ScoringSpan) -> PayloadRecord | ConversionError:
    """The payload record of a scoring span, or the reason why there is none. Never raises."""
    request, key = span.request, span.scoring_id or span.trace_id + span.span_id
    timestamp, start_time = span.timestamp, span.start_time
    response = None if span.failed else span.response
    if (
        request is None
        or (response is None and not span.failed)
        or not span.subscription_id
        or not 0 < len(key) <= MAX_SCORING_ID
        or span.problems
        or (timestamp is not None and not _is_timestamp(timestamp))
        or not _FIRST <= start_time < _END
    ):
        return _reason(span)
    bodies = facts = None
    if span.details is None and type(request) is bytes and type(response) is not memoryview:
        bodies = dialects.as_they_are(span.dialect, request, response)
    if bodies is None:
        bodies, facts = _read(span)
    if isinstance(bodies, ConversionError):
        return bodies
    notes = (span.notes or ()) + bodies.notes
    response_time = span.response_time
    if response_time is None:
        response_time = (span.end_time - start_time + 500_000) // 1_000_000
    if response_time < 0:
        notes += (f"response_time: {response_time} ms became 0",)
        response_time = 0
    return PayloadRecord(
        key,
        span.subscription_id,
        bodies.request,
        bodies.response,
        timestamp or _start_text(start_time),
        span.binding_id,
        span.deployment_id or GENERIC_DEPLOYMENT,
        response_time,
        _extras(span, bodies, notes, facts),
    )


def _reason(span: ScoringSpan) -> ConversionError:
    """Why a span is no record, one reason of perhaps several."""
    if span.problems:
        return ConversionError("wrong_attribute", "; ".join(span.problems))
    if span.request is None:
        return ConversionError("no_request", f"the span has no {attributes.REQUEST}")
    if span.response is None and not span.failed:
        return ConversionError(
            "no_response", f"the span has no {attributes.RESPONSE} and did not fail"
        )
    if not span.subscription_id:
        return ConversionError(
            "no_subscription",
            f"no {attributes.SUBSCRIPTION_ID} on the span or its resource, "
            "and no SCORESPAN_SUBSCRIPTION_ID",
        )
    if not 0 < len(span.key) <= MAX_SCORING_ID:
        return ConversionError(
            "scoring_id", f"{attributes.ID}: 1 to {MAX_SCORING_ID} characters are allowed"
        )
    if span.timestamp is None:
        return ConversionError("timestamp", "the span's start is outside the calendar")
    shown = span.timestamp[:64]
    return ConversionError(
        "timestamp", f"{attributes.TIMESTAMP}: RFC 3339 is needed, not {shown!r}"
    )


def _read(
    span: ScoringSpan,
) -> tuple[dialects.DialectBodies | ConversionError, dict[str, Any] | None]:
    """The bodies, and what is to be said of the way they came; a failed one's answer is none."""
    request, response = kept_bodies(span if not span.failed else span._replace(response=None))
    bodies: dialects.DialectBodies | ConversionError
    if len(request.text) + (len(response.text) if response else 0) > OPAQUE_BYTES:
        bodies = dialects.read_opaque(
            span.dialect,
            memoryview(request.text),
            None if response is None else memoryview(response.text),
            tables=_may_be_table(request) and (response is None or _may_be_table(response)),
        )
    else:
        native = dialects.Native(
            _native(request, "request"),
            None if response is None else _native(response, "response"),
            span.feature_names,
            _texts((span.details or {}).get("prediction_fields")),
        )
        bodies = dialects.read(span.dialect, native)
    facts: dict[str, Any] = {}
    for side, body in (("request", request), ("response", response)):
        if body is None:
            continue
        told = dict(body.facts or {})
        if body.content_type and not dialects.NativeBody(b"", body.content_type).says_json:
            told["content_type"] = body.content_type
        if told:
            facts[side] = told
    if isinstance(bodies, dialects.DialectBodies):
        notes = request.notes + (response.notes if response else ())
        bodies = bodies._replace(notes=notes + bodies.notes)
    return bodies, facts or None


def _native(body: Kept, side: str) -> dialects.NativeBody:
    return dialects.NativeBody(bytes(body.text), body.content_type, side, whole=body.whole)


def _may_be_table(body: Kept) -> bool:
    """Whether a body that is not parsed may be fields/values."""
    return body.whole and dialects.NativeBody(b"{", body.content_type).is_json


def _texts(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if value else None


def _is_timestamp(text: str) -> bool:
    form = _RFC3339.fullmatch(text)
    try:
        return form is not None and bool(date.fromisoformat(form[1]))
    except ValueError:  # a day that no calendar has
        return False


def _start_text(nanoseconds: int) -> str:
    """A span's start in RFC 3339."""
    second, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second_text(second)}.{rest // 1000:06d}Z"


@functools.lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    """Date and time of a second since the epoch; the records of a batch share a few of them."""
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _extras(
    span: ScoringSpan,
    bodies: dialects.DialectBodies,
    notes: tuple[str, ...],
    facts: dict[str, Any] | None,
) -> dict[str, object]:
    failed = span.failed or bodies.failure is not None
    extras = _names(span)
    extras["status"] = STATUS_ERROR if failed else STATUS_OK
    if bodies.dialect != _USUAL_DIALECT:
        extras["dialect"] = bodies.dialect
    if facts is not None:
        extras["bodies"] = facts
    if span.details is not None:
        _add_details(extras, span.details)
    if failed:
        extras["error"], cut = _error(span, bodies.failure)
        notes += cut
    if notes:
        extras["notes"] = notes
    return extras


def _names(span: ScoringSpan) -> dict[str, object]:
    """What names a scoring, and where it comes from; members are left out where nobody said it."""
    extras: dict[str, object] = {
        "v": 1,
        "status": STATUS_OK,
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
    span: ScoringSpan, failure: tuple[str, str] | None
) -> tuple[dict[str, object], tuple[str, ...]]:
    """What a failed scoring says of itself, and a note where its answer was cut."""
    error: dict[str, object] = {"type": span.error_type, "message": span.error_message}
    if failure is not None and not span.failed:
        error["type"], error["message"] = failure
    stacktrace = (span.details or {}).get("stacktrace")
    if stacktrace is not None:
        error["stacktrace"] = stacktrace
    if span.response is None:
        return error, ()
    error["response"] = bytes(span.response[:_KEPT_ANSWER]).decode("utf-8", "replace")
    if len(span.response) <= _KEPT_ANSWER:
        return error, ()
    return error, (f"response: {_KEPT_ANSWER} of {len(span.response)} bytes kept",)
