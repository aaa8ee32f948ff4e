"""The refusal of a gRPC request: its code, and when the same may come again."""

from __future__ import annotations

from typing import NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from scorespan.errors import ReceiverError

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.UNIMPLEMENTED,
}
# It travels in a header, percent-encoded: clients cut off whole answers above 8 KiB.
_LONGEST_REASON = 500
_AGAIN_SECONDS = 5


class Refusal(NamedTuple):
    """What gRPC ends a call with."""

    code: grpc.StatusCode
    reason: str
    metadata: tuple[tuple[str, bytes], ...]
    """The trailing metadata: a google.rpc.Status with RetryInfo where the same may come again."""


def refusal_of(error: ReceiverError) -> Refusal:
    """The refusal that tells a gRPC sender what the HTTP status tells the others.

    A status that has no code of its own is UNAVAILABLE: a Collector keeps what it sent.
    """
    reason = error.reason.encode("utf-8", "replace").decode()[:_LONGEST_REASON]
    code = _CODES.get(error.status, grpc.StatusCode.UNAVAILABLE)
    if code is not grpc.StatusCode.UNAVAILABLE:
        # Without RetryInfo RESOURCE_EXHAUSTED is final, as it has to be for a size.
        return Refusal(code, reason, ())
    again = Packed()
    seconds = error.retry_after or _AGAIN_SECONDS
    again.Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    status = Status(code=code.value[0], message=reason, details=[again])
    return Refusal(code, reason, (("grpc-status-details-bin", status.SerializeToString()),))
