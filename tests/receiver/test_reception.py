"""A request is taken as a whole, or refused so that it comes again."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from receiver.door import payload_of, request_of
from running import wait_until
from scorespan.conversion.otlp import Read, read_otlp
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import ReceiverError
from scorespan.receiver.reception import Reception, Taken
from scorespan.spool.dead import read_letters
from scorespan.testing import Answer


@pytest.fixture
def reception(make_intake):
    """A reception over an intake of its own."""
    return Reception(make_intake())


def refused(reception, body=None, read=read_otlp) -> ReceiverError:
    """What a request is refused with."""
    with pytest.raises(ReceiverError) as caught:
        reception.take(payload_of("refused") if body is None else body, read)
    return caught.value


def test_every_scoring_of_a_request_is_delivered(reception, scripted_mart):
    """What is taken arrives; spans that are no scorings are counted and left out."""
    taken = reception.take(payload_of("a", "b", "c", others=4), read_otlp)
    assert taken == Taken(3, 4, 0, None)
    assert taken.warning is None
    wait_until(lambda: set(scripted_mart.stored) == {"a", "b", "c"}, "three records")
    assert reception.requests == {"taken": 1}
    assert reception.spans == {"scoring": 3, "other": 4, "unreadable": 0}


def test_what_is_taken_is_on_the_disk(make_intake, scripted_mart):
    """When the answer is given the records are in the spool, though the mart is down."""
    scripted_mart.always = Answer(503)
    intake = make_intake()
    Reception(intake).take(payload_of("kept"), read_otlp)
    spooled = b"".join(path.read_bytes() for path in intake.root.rglob("*") if path.is_file())
    assert b"kept" in spooled


def test_threads_may_take_requests_at_the_same_time(reception, scripted_mart):
    """Each of many requests arrives whole, and is counted once."""
    names = [[f"{request}-{span}" for span in range(5)] for request in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda them: reception.take(payload_of(*them), read_otlp), names))
    expected = {name for them in names for name in them}
    wait_until(lambda: set(scripted_mart.stored) == expected, "every record")
    assert reception.requests["taken"] == 40
    assert reception.spans["scoring"] == 200


def test_a_request_without_scorings_is_taken(reception, scripted_mart):
    """An application's other spans are no fault, nor is nothing at all."""
    assert reception.take(payload_of(others=2), read_otlp) == Taken(0, 2, 0, None)
    assert reception.take(b"", read_otlp) == Taken(0, 0, 0, None)
    assert reception.requests == {"taken": 2}


def test_a_scoring_that_cannot_be_read_is_kept_and_told(make_intake):
    """It ends as a dead letter, the sender gets a warning, and the others are delivered."""
    request = request_of("good", "bad")
    bad = request.resource_spans[0].scope_spans[0].spans[1]
    for attribute in bad.attributes:
        if attribute.key == "scoring.request":
            attribute.value.bytes_value = b"\xff\xfe not text"
    intake = make_intake()
    reception = Reception(intake)
    taken = reception.take(request.SerializeToString(), read_otlp)
    assert (taken.scorings, taken.others) == (2, 0)
    wait_until(lambda: bool(list(read_letters(intake.root / "dead"))), "a dead letter")


def test_a_warning_says_how_many_and_why():
    """The text of the partial success names the count and the first reason."""
    assert Taken(3, 0, 2, "no request").warning == (
        "2 scoring spans cannot be read and are kept aside: no request"
    )


def test_a_body_that_is_none_never_can_be_taken(reception):
    """It is 400, with no time to come again."""
    error = refused(reception, b"\xff\xff\xff")
    assert (error.status, error.retry_after) == (400, None)
    assert reception.requests == {"invalid": 1}


def test_a_full_spool_may_have_room_later(make_intake, scripted_mart):
    """It is 503 with a time, readiness says why, and both end when there is room."""
    scripted_mart.always = Answer(503)
    intake = make_intake(spool_max_bytes=1_500_000)
    reception = Reception(intake)
    assert reception.not_ready() is None
    count = 0
    error = None
    while error is None and count < 10_000:
        try:
            reception.take(payload_of(*(f"{count}-{number}" for number in range(20))), read_otlp)
            count += 1
        except ReceiverError as caught:
            error = caught
    assert error is not None
    assert (error.status, error.retry_after) == (503, 10)
    assert "spool holds" in (reception.not_ready() or "")
    scripted_mart.always = None
    wait_until(lambda: reception.not_ready() is None, "room again")
    reception.take(payload_of("later"), read_otlp)


def test_what_never_has_room_is_told_apart(make_intake, caplog):
    """A sender that comes again with it for ever shows in the log, and others are taken."""
    reception = Reception(make_intake(spool_max_bytes=1024 * 1024))
    large = ScoringSpan(request=b"x" * 2**20, trace_id="0" * 32, span_id="0" * 16)
    error = refused(reception, read=lambda _: Read([large], 0, 0, None))
    assert (error.status, error.retry_after) == (503, 10)
    assert "however empty" in error.reason
    assert "however empty" in caplog.text
    assert reception.not_ready() is None
    reception.take(payload_of("small"), read_otlp)


def test_a_reception_that_stops_refuses_everything(reception):
    """From then on the sender comes again, to whoever is there then."""
    reception.stop()
    error = refused(reception)
    assert (error.status, error.retry_after) == (503, 1)
    assert "stopping" in (reception.not_ready() or "")


def test_a_closed_intake_is_one_that_stops(make_intake):
    """What comes after the spool was closed may come again."""
    intake = make_intake()
    intake.close()
    error = refused(Reception(intake))
    assert error.status == 503
    assert error.retry_after


def test_a_fault_of_ours_is_no_fault_of_the_request(reception, caplog):
    """It is 503, and the log says its type alone, once a minute."""

    def broken(body: bytes):
        raise ZeroDivisionError(body.decode("latin-1"))

    with caplog.at_level(logging.WARNING, "scorespan"):
        errors = [refused(reception, b"private", broken) for _ in range(5)]
    assert {(error.status, error.retry_after) for error in errors} == {(503, 5)}
    assert [record.getMessage() for record in caplog.records] == [
        "a request failed: ZeroDivisionError"
    ]
    assert "private" not in errors[0].reason


def test_the_counts_are_shown_as_metrics(reception):
    """An application's or operator's meter reads requests and spans by what became of them."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    reception.report(provider.get_meter("scorespan"))
    reception.take(payload_of("a", others=2), read_otlp)
    refused(reception, b"\xff")
    reception.refused(ReceiverError(413, "too large"))
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    shown = {
        (metric.name, *point.attributes.values()): point.value
        for metric in metrics
        for point in metric.data.data_points
    }
    assert shown == {
        ("scorespan.receiver.requests", "taken"): 1,
        ("scorespan.receiver.requests", "invalid"): 1,
        ("scorespan.receiver.requests", "too_large"): 1,
        ("scorespan.receiver.spans", "scoring"): 1,
        ("scorespan.receiver.spans", "unreadable"): 0,
        ("scorespan.receiver.spans", "other"): 2,
    }
    provider.shutdown()
