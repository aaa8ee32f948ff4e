"""Conversion: ScoringSpan into PayloadRecord. Pure, and behind the put.

A span that cannot become a record is answered with the reason, as a value.
"""

from __future__ import annotations

import functools
import re
from datetime import date, datetime, timedelta

from scorespan import attributes, dialects
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import ConversionError
from scorespan.record import (
    GENERIC_DEPLOYMENT,
    MAX_SCORING_ID,
    STATUS_ERROR,
    STATUS_OK,
    PayloadRecord,
)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC; without the zone isoformat() is the wire form
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[Tt ]{_CLOCK}:[0-5]\d(\.\d+)?([Zz]|[+-]{_CLOCK})", re.ASCII
)
_KEPT_ANSWER = 4096
"""Bytes of a failed scoring's answer that are kept beside its error."""


def convert(span: ScoringSpan) -> PayloadRecord | ConversionError:
    """The payload record of a scoring span, or the reason why there is none. Never raises."""
    reason = _unusable(span)
    if reason is not None:
        return reason
    timestamp = _timestamp(span)
    if isinstance(timestamp, ConversionError):
        return timestamp
    bodies = dialects.read(span.dialect, span.request or b"", _answer(span))
    if isinstance(bodies, ConversionError):
        return bodies
    response_time, time_notes = _response_time(span)
    notes = (span.notes or ()) + time_notes + bodies.notes
    return PayloadRecord(
        scoring_id=span.key,
        subscription_id=span.subscription_id or "",
        binding_id=span.binding_id,
        deployment_id=span.deployment_id or GENERIC_DEPLOYMENT,
        scoring_timestamp=timestamp,
        response_time=response_time,
        request=bodies.request,
        response=bodies.response,
        extras=_extras(span, notes),
    )


def _unusable(span: ScoringSpan) -> ConversionError | None:
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
    return None


def _answer(span: ScoringSpan) -> bytes | None:
    return None if span.failed else span.response


def _timestamp(span: ScoringSpan) -> str | ConversionError:
    if span.timestamp is None:
        second, nanoseconds = divmod(span.start_time, 1_000_000_000)
        try:
            return f"{_second_text(second)}.{nanoseconds // 1000:06d}Z"
        except OverflowError:
            return ConversionError("timestamp", "the span's start is outside the calendar")
    form = _RFC3339.fullmatch(span.timestamp)
    try:
        if form is not None and date.fromisoformat(form[1]):
            return span.timestamp
    except ValueError:  # a day that no calendar has
        pass
    return ConversionError(
        "timestamp", f"{attributes.TIMESTAMP}: RFC 3339 is needed, not {span.timestamp[:64]!r}"
    )


@functools.lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    """Date and time of a second since the epoch; the records of a batch share a few of them."""
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _response_time(span: ScoringSpan) -> tuple[int, tuple[str, ...]]:
    milliseconds = span.response_time
    if milliseconds is None:
        milliseconds = (span.end_time - span.start_time + 500_000) // 1_000_000
    if milliseconds < 0:
        return 0, (f"response_time: {milliseconds} ms became 0",)
    return milliseconds, ()


def _extras(span: ScoringSpan, notes: tuple[str, ...]) -> dict[str, object]:
    extras: dict[str, object] = {
        "v": 1,
        "status": STATUS_ERROR if span.failed else STATUS_OK,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
    }
    optional = (
        ("model", span.model_name),
        ("model_version", span.model_version),
        ("client_id", span.client_id),
        ("producer", span.producer_id),
        ("sequence", span.sequence),
        ("service_name", span.service_name),
        ("service_instance_id", span.service_instance_id),
    )
    extras.update({name: value for name, value in optional if value is not None})
    if span.failed:
        error: dict[str, object] = {"type": span.error_type, "message": span.error_message}
        if span.response is not None:
            error["response"] = span.response[:_KEPT_ANSWER].decode("utf-8", "replace")
            if len(span.response) > _KEPT_ANSWER:
                notes += (f"response: {_KEPT_ANSWER} of {len(span.response)} bytes kept",)
        extras["error"] = error
    if notes:
        extras["notes"] = notes
    return extras
