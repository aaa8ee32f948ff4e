"""The outbox before an OTLP exporter."""

from __future__ import annotations

import os
import threading

import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

from running import wait_until
from scorespan import attributes
from scorespan.outbox import Outbox

MIB = 1024**2


class Collector(SpanExporter):
    """An exporter that keeps the names of what it is given, batch by batch.

    Attributes:
        going: it waits while this is not set.
        answers: what it does instead of saying SUCCESS, first one first.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.going = threading.Event()
        self.going.set()
        self.entered = threading.Event()
        self.answers: list[object] = []
        self.suppressed: list[object] = []
        self.made = 0

    def make(self) -> Collector:
        """The exporter; counts how often it was made."""
        self.made += 1
        return self

    def export(self, spans):
        """Keep the names."""
        self.entered.set()
        assert self.going.wait(60)
        self.suppressed.append(context_api.get_value("suppress_instrumentation"))
        answer = self.answers.pop(0) if self.answers else SpanExportResult.SUCCESS
        if isinstance(answer, Exception):
            raise answer
        self.batches.append([span.name for span in spans])
        return answer

    @property
    def names(self) -> list[str]:
        """All that it was given, in order."""
        return [name for batch in self.batches for name in batch]


@pytest.fixture
def collector():
    """An exporter that is going, and does at the end."""
    made = Collector()
    yield made
    made.going.set()


def span(name: str, size: int = 10) -> ReadableSpan:
    """A span with a body of that size."""
    context = SpanContext(1, 2, is_remote=False)
    return ReadableSpan(
        name, context, resource=Resource({}), attributes={attributes.REQUEST: "x" * size}
    )


def test_spans_are_exported_in_order_without_being_asked_to(collector):
    """A short time after they have ended; nothing waits for a full batch."""
    outbox = Outbox(collector.make, 5, delay=0.01)
    for number in range(10):
        outbox.on_end(span(str(number)))
    wait_until(lambda: len(collector.names) == 10, "all are exported")
    assert collector.names == [str(number) for number in range(10)]
    assert set(collector.suppressed) == {True}, "our own traffic is not traced"


def test_a_flush_exports_what_was_taken_and_does_not_wait_for_the_delay(collector):
    """It is the end of a process that asks."""
    outbox = Outbox(collector.make, 5, delay=1000)
    assert outbox.force_flush(10)
    outbox.on_end(span("1"))
    assert outbox.force_flush(60_000)
    outbox.on_end(span("2"))
    outbox.shutdown()
    assert collector.names == ["1", "2"]
    outbox.on_end(span("3"))
    outbox.shutdown()
    assert collector.names == ["1", "2", "3"], "what comes after the end is sent, too"


def test_a_request_stays_below_what_receivers_take(collector):
    """Many of them refuse one of more than 4 MiB, with all that is in it."""
    outbox = Outbox(collector.make, 5, delay=1000)
    collector.going.clear()
    outbox.on_end(span("first"))
    for name in ("a", "b", "c"):
        outbox.on_end(span(name, MIB))
    outbox.on_end(span("large", 20 * MIB))
    outbox.on_end(span("last"))
    collector.going.set()
    assert outbox.force_flush(60_000)
    assert collector.names == ["first", "a", "b", "c", "large", "last"]
    assert ["large"] in collector.batches
    assert ["a", "b", "c"] not in collector.batches


def test_what_waits_is_bounded_in_bytes_and_the_rest_is_refused(collector, caplog):
    """Never the oldest, never without a word, and never by waiting."""
    outbox = Outbox(collector.make, 5, max_bytes=3 * MIB, delay=1000)
    collector.going.clear()
    for number in range(6):
        outbox.on_end(span(str(number), MIB))
    assert [record.getMessage() for record in caplog.records] == [
        f"a scoring is refused: {2 * (MIB + 1024)} bytes wait for the Collector"
    ]
    collector.going.set()
    assert outbox.force_flush(60_000)
    assert collector.names == ["0", "1"]
    outbox.on_end(span("larger than the bound", 4 * MIB))
    assert outbox.force_flush(60_000)
    assert collector.names[2:] == ["larger than the bound"]


def test_a_flush_ends_in_time_while_the_exporter_hangs(collector):
    """A service must end, whatever its Collector does."""
    outbox = Outbox(collector.make, 0.01)
    collector.going.clear()
    outbox.on_end(span("1"))
    assert not outbox.force_flush(10)
    outbox.shutdown()
    assert collector.names == []
    collector.going.set()
    assert outbox.force_flush(60_000)
    assert collector.names == ["1"]


def test_a_batch_that_fails_holds_up_no_other(collector, caplog):
    """It is said once a minute, by the type of the error alone."""
    outbox = Outbox(collector.make, 5, delay=1000)
    collector.answers = [SpanExportResult.FAILURE, LookupError("a body"), SpanExportResult.SUCCESS]
    for name in ("1", "2", "3"):
        outbox.on_end(span(name))
        assert outbox.force_flush(60_000)
    assert collector.names == ["1", "3"]
    assert [record.getMessage() for record in caplog.records] == [
        "scorings did not reach the Collector: refused"
    ]


def test_a_forked_child_begins_empty_with_an_exporter_of_its_own(collector):
    """What waits is the parent's, and so are its connections; no lock is left locked."""
    outbox = Outbox(collector.make, 5, delay=1000)
    collector.going.clear()
    outbox.on_end(span("parent"))
    assert not outbox.force_flush(10)
    assert collector.entered.wait(60)
    with outbox._changed:
        child = os.fork()
        if child == 0:
            collector.going = threading.Event()
            collector.going.set()
            outbox.on_end(span("child"))
            well = outbox.force_flush(60_000) and collector.names == ["child"]
            os._exit(0 if well and collector.made == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    collector.going.set()
    assert outbox.force_flush(60_000)
    assert collector.names == ["parent"]
    assert collector.made == 1


def test_threads_may_end_spans_while_others_flush(collector):
    """Each is exported once."""
    outbox = Outbox(collector.make, 5, delay=0.001)

    def end(letter: str) -> None:
        for number in range(200):
            outbox.on_end(span(f"{letter}{number}"))
        assert outbox.force_flush(60_000)

    threads = [threading.Thread(target=end, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(collector.names) == sorted(
        f"{letter}{number}" for letter in "abcd" for number in range(200)
    )


def test_a_span_that_cannot_be_measured_reaches_no_caller(collector, caplog):
    """Whatever ends there, the scoring goes on."""
    outbox = Outbox(collector.make, 5)
    outbox.on_end(object())
    assert len(caplog.records) == 1
