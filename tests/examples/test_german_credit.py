"""The German credit records, 2,880 real ones, from the OpenTelemetry API to the mart."""

from __future__ import annotations

import time

import pytest

import scorespan
from examples.payloads import read_payloads
from scorespan import attributes, provider


@pytest.fixture(scope="module")
def payloads():
    """The records of the file, by scoring id."""
    return read_payloads()


@pytest.fixture
def tracer(live):
    """The tracer of `configure`'s private provider."""
    scorespan.configure(**live.settings)
    yield provider.slot().tracer
    scorespan.shutdown()


def test_german_credit_arrives_byte_equal_and_once(live, tracer, payloads):
    """All 2,880 records must be stored once, with the id, response time and bytes of the file."""
    assert len(payloads) == 2880
    for payload in payloads.values():
        span = tracer.start_span("scoring")
        span.set_attributes(
            {
                attributes.ID: payload.scoring_id,
                attributes.RESPONSE_TIME: payload.response_time,
                attributes.REQUEST: bytes(payload.request).decode(),
                attributes.RESPONSE: bytes(payload.response).decode(),
            }
        )
        span.end(time.time_ns())
    assert scorespan.flush(timeout=60)

    stored = live.records()
    assert len(stored) == 2880
    assert {record.scoring_id for record in stored} == set(payloads)
    assert live.conflicts() == []
    for record in stored:
        payload = payloads[record.scoring_id]
        assert record.request_text == bytes(payload.request)
        assert record.response_text == bytes(payload.response)
        assert record.response_time == payload.response_time
    # The file's own spacing is not what any writer here would produce: equal bytes mean kept bytes.
    assert all(b'", "' in record.request_text for record in stored)
