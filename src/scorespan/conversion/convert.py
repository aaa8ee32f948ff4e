"""Conversion: ScoringSpan into PayloadRecord. Pure, and behind the put.

A span that cannot become a record is answered with the reason, as a value.
"""

from __future__ import annotations

import functools
import re
from datetime import date, datetime, timedelta

from scorespan import attributes, dialects
from scorespan.conversion.extras import extras_of
from scorespan.conversion.reading import NOT_PLAIN, plain_facts, read_bodies
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import ConversionError
from scorespan.record import (
    GENERIC_DEPLOYMENT,
    MAX_SCORING_ID,
    PayloadRecord,
)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC; without the zone isoformat() is the wire form
_FIRST, _END = -62135596800 * 10**9, 253402300800 * 10**9
"""Nanoseconds from the epoch: between these there is a date."""
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[Tt ]{_CLOCK}:[0-5]\d(\.\d+)?([Zz]|[+-]{_CLOCK})", re.ASCII
)


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
    bodies = None
    details = span.details
    if (
        type(request) is bytes
        and type(response) is not memoryview
        and (details is None or NOT_PLAIN.isdisjoint(details))
    ):
        bodies = dialects.as_they_are(span.dialect, request, response)
    if bodies is not None:
        answer, facts = span.response, None
        if span.request_content_type is not None or span.response_content_type is not None:
            facts = plain_facts(span)
    else:
        bodies, answer, facts = read_bodies(span)
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
        extras_of(span, bodies, notes, answer, facts),
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
