"""What an application sends: spans, in one OTLP request."""

from __future__ import annotations

import os
from collections.abc import Iterable

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

REQUEST = '{"fields":["age"],"values":[[41]]}'
RESPONSE = '{"fields":["prediction"],"values":[["Risk"]]}'


def span(name: str, **attributes: str) -> Span:
    """A span of a trace of its own; underlines in the names of attributes become dots."""
    return Span(
        name=name,
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        start_time_unix_nano=1_700_000_000_000_000_000,
        end_time_unix_nano=1_700_000_000_005_000_000,
        status=Status(),
        attributes=[
            KeyValue(key=key.replace("_", "."), value=AnyValue(string_value=value))
            for key, value in attributes.items()
        ],
    )


def scoring(name: str, *, size: int = 0) -> Span:
    """A scoring span; its request is padded with so many bytes that do not shrink."""
    request = REQUEST if not size else os.urandom(size // 2).hex()
    return span(name, scoring_request=request, scoring_response=RESPONSE)


def scorings(prefix: str, count: int) -> list[Span]:
    """Scoring spans of different names."""
    return [scoring(f"{prefix} {number}") for number in range(count)]


def request_of(spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """One request."""
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=list(spans))])]
    )


def post(
    url: str, spans: Iterable[Span], *, token: str | None = None, ca: str | None = None
) -> int:
    """The status that a Collector answers to one request over HTTP."""
    headers = {"Content-Type": "application/x-protobuf"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = request_of(spans).SerializeToString()
    return requests.post(
        f"{url}/v1/traces", data=body, headers=headers, timeout=60, verify=ca or True
    ).status_code
