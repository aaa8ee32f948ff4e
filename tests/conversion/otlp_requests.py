"""OTLP requests for tests: spans of the SDK, encoded by OpenTelemetry, in both formats."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, settings
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode

from faults.size import sized
from scorespan.conversion.convert import convert
from scorespan.conversion.otlp import Read
from scorespan.conversion.span import decode, encode
from scorespan.errors import ConversionError

fuzz = settings(
    max_examples=sized(150, 20_000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
"""How often a test with generated requests is run."""
FUZZ_SECONDS = sized(120, 3600)
"""How long it may take."""
TRACE_ID, SPAN_ID = 0x1234567890ABCDEF1234567890ABCDEF, 0x1234567890ABCDEF


def ended(  # noqa: PLR0913 - what a span may hold
    attributes: Mapping[str, Any],
    resource: Mapping[str, Any] | None = None,
    *,
    name: str = "scoring",
    ids: tuple[int, int] = (TRACE_ID, SPAN_ID),
    times: tuple[Any, Any] = (1000, 6_000_000),
    status: Status | None = None,
    events: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> ReadableSpan:
    """An ended span of the SDK that holds this, cleaned as the SDK cleans it."""
    return ReadableSpan(
        name,
        context=SpanContext(*ids, is_remote=False),
        resource=Resource(dict(resource or {})),
        attributes=BoundedAttributes(attributes=dict(attributes)),
        events=[
            Event(event, BoundedAttributes(attributes=dict(held)), 1) for event, held in events
        ],
        status=status or Status(StatusCode.UNSET),
        start_time=times[0],
        end_time=times[1],
    )


def as_protobuf(*spans: ReadableSpan) -> bytes:
    """The request in protobuf, as OpenTelemetry encodes it."""
    return encode_spans(spans).SerializeToString()


def as_json(*spans: ReadableSpan, text_integers: bool = True) -> bytes:
    """The same request in OTLP's JSON."""
    return of_message(encode_spans(spans), text_integers=text_integers)


def of_message(request: ExportTraceServiceRequest, *, text_integers: bool = True) -> bytes:
    """A request in OTLP's JSON: protobuf's own mapping, but for the ids.

    Args:
        request: the request.
        text_integers: whether integers of 64 bits are strings, as protobuf writes them.
    """
    plain = MessageToDict(request, use_integers_for_enums=True)
    return orjson.dumps(_otlp(plain, text_integers=text_integers))


def _otlp(value: Any, *, text_integers: bool) -> Any:
    if isinstance(value, list):
        return [_otlp(item, text_integers=text_integers) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, held in value.items():
        if name in {"traceId", "spanId", "parentSpanId"}:
            made[name] = base64.b64decode(held).hex()
        elif name in {"intValue", "startTimeUnixNano", "endTimeUnixNano"} and not text_integers:
            made[name] = int(held)
        else:
            made[name] = _otlp(held, text_integers=text_integers)
    return made


def check_kept(read: Read, raw: bytes, content_type: str) -> None:
    """The last span is one that could not be read; its bytes and the reason are there."""
    span = read.spans[-1]
    assert read.unreadable == 1
    assert (span.request, span.request_content_type) == (raw, content_type)
    assert span.scoring_id.startswith("unreadable-")
    assert decode(b"".join(encode(span))) == span
    error = convert(span._replace(subscription_id="s"))
    assert isinstance(error, ConversionError)
    assert (error.code, error.reason) == ("wrong_attribute", read.why)
