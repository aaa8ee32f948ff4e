"""The refusal of a gRPC request says to its sender whether to come again."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from scorespan.errors import ReceiverError
from scorespan.receiver.grpc_refusal import refusal_of


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, grpc.StatusCode.INVALID_ARGUMENT),
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (413, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (415, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
def test_what_never_can_be_taken_has_no_time(status, code):
    """With RetryInfo a Collector would send the same for ever."""
    assert refusal_of(ReceiverError(status, "why")) == (code, "why", ())


@pytest.mark.parametrize(
    ("status", "given", "seconds"), [(503, 10, 10), (503, None, 5), (503, 0, 5), (500, None, 5)]
)
def test_everything_else_may_come_again(status, given, seconds):
    """UNAVAILABLE with RetryInfo, also for a status that nobody thought of."""
    refusal = refusal_of(ReceiverError(status, "why", retry_after=given))
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    ((name, packed),) = refusal.metadata
    told = Status.FromString(packed)
    again = RetryInfo()
    assert (name, told.code, told.message) == ("grpc-status-details-bin", 14, "why")
    assert told.details[0].Unpack(again)
    assert again.retry_delay.seconds == seconds


def test_a_reason_fits_into_a_header():
    """Whatever stands in it, and however long it is."""
    for text in ("x" * 100_000, "\ud800", "€" * 5000):
        refusal = refusal_of(ReceiverError(503, text))
        assert 0 < len(refusal.reason.encode()) * 3 + len(refusal.metadata[0][1]) < 8192
