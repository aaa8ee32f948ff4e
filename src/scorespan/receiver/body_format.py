"""The format of a body: protobuf or JSON, for what is asked and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from scorespan.conversion.otlp import Read, read_otlp, read_otlp_json
from scorespan.receiver.memory import Marks

# The codes of gRPC, which OTLP/HTTP puts in the body of a refusal.
_CODES = {401: 16, 404: 12, 405: 12, 503: 14}
_INVALID_ARGUMENT = 3


class BodyFormat(NamedTuple):
    """How a request is read, and how its sender is answered."""

    content_type: str
    read: Callable[[bytes], Read]
    yes: Callable[[str | None], bytes]
    """The ExportTraceServiceResponse to a request that is taken, with or without a warning."""
    no: Callable[[int, str], bytes]
    """The google.rpc.Status of a refusal, from its HTTP status and reason."""
    marks: Marks
    """What tells how much memory its reading may take."""


def format_of(content_type: str) -> BodyFormat | None:
    """The format of this `content-type`, whatever its parameters; None: another one."""
    return _FORMATS.get(content_type.partition(";")[0].strip().lower())


def _protobuf_yes(warning: str | None) -> bytes:
    answer = ExportTraceServiceResponse()
    if warning is not None:
        answer.partial_success.error_message = _clean(warning)
    return answer.SerializeToString()


def _json_yes(warning: str | None) -> bytes:
    if warning is None:
        return b"{}"
    # 64 bits are a string in the JSON of protobuf.
    partial = {"rejectedSpans": "0", "errorMessage": _clean(warning)}
    return orjson.dumps({"partialSuccess": partial})


def _protobuf_no(status: int, reason: str) -> bytes:
    code = _CODES.get(status, _INVALID_ARGUMENT)
    return Status(code=code, message=_clean(reason)).SerializeToString()


def _json_no(status: int, reason: str) -> bytes:
    code = _CODES.get(status, _INVALID_ARGUMENT)
    return orjson.dumps({"code": code, "message": _clean(reason)})


def _clean(text: str) -> str:
    """The text without what has no UTF-8."""
    return text.encode("utf-8", "replace").decode()


# The tags of repeated messages; the reader gives up where there are more fields.
PROTOBUF_MARKS = Marks((b"\x0a", b"\x12", b"\x4a", b"\x5a"), 100, 1_000_000)
# Objects and lists are few by the reader's own bound.
JSON_MARKS = Marks((b",",), 90)

PROTOBUF = BodyFormat(
    "application/x-protobuf", read_otlp, _protobuf_yes, _protobuf_no, PROTOBUF_MARKS
)
JSON = BodyFormat("application/json", read_otlp_json, _json_yes, _json_no, JSON_MARKS)
_FORMATS = {form.content_type: form for form in (PROTOBUF, JSON)}
