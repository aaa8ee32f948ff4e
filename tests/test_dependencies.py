"""Calls that client spans of the application's own provider tell of, on the record."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from scorespan import attributes, dependencies, provider, scoring_span
from scorespan.conversion.sdk import read_sdk
from scorespan.conversion.span import ScoringSpan
from scorespan.dependencies import Dependencies
from scorespan.sdk import ScoringSpanProcessor

REQUEST = {"fields": ["a"], "values": [[1]]}
COUNT, TIME, FAILURES = "dependency_count", "dependency_time", "dependency_failures"


class Counting(SpanProcessor):
    """What the processor does with the spans of a provider, without a spool."""

    def __init__(self) -> None:
        self.dependencies = Dependencies()
        self.scorings: list[ScoringSpan] = []

    def on_start(self, span: Span, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's
        """As in `ScoringSpanProcessor`."""
        self.dependencies.started(span)

    def on_end(self, span: ReadableSpan) -> None:
        """As in `ScoringSpanProcessor`."""
        found = self.dependencies.ended(span, read_sdk(span))
        if found is not None:
            self.scorings.append(found)

    def details(self) -> dict[str, Any] | None:
        """Of the only scoring."""
        (found,) = self.scorings
        return found.details


@pytest.fixture
def counting() -> Counting:
    """What is seen of the application's spans."""
    return Counting()


@pytest.fixture
def tracer(counting) -> Iterator[trace.Tracer]:
    """The application's tracer, from which scoring spans come as well."""
    own = TracerProvider(shutdown_on_exit=False)
    own.add_span_processor(counting)
    tracer = own.get_tracer("application")
    provider.install(own.get_tracer(provider.INSTRUMENTATION_NAME))
    yield tracer
    provider.install(None)


def score(*calls: Any) -> None:
    """One scoring during which these are called."""
    with scoring_span(REQUEST) as scoring:
        for call in calls:
            call()
        scoring.set_response(REQUEST)


def call(tracer: trace.Tracer, *, failed: bool = False, kind: SpanKind = SpanKind.CLIENT) -> None:
    """A call that goes out, as an instrumentation of the application shows it."""
    with tracer.start_as_current_span("call", kind=kind) as span:
        if failed:
            span.set_status(Status(StatusCode.ERROR))


def test_calls_beside_the_scoring_count(counting, tracer):
    """A scoring is not current: calls of model code stand under its parent, and are counted."""
    with tracer.start_as_current_span("request", kind=SpanKind.SERVER):
        call(tracer)  # before it
        score(lambda: call(tracer), lambda: call(tracer, failed=True))
        call(tracer)  # after it
    found = counting.details()
    assert (found[COUNT], found[FAILURES]) == (2, 1)
    assert found[TIME] >= 0


def test_calls_below_the_scoring_count(counting, tracer):
    """A scoring span that is current has the calls below it, at any depth."""
    with tracer.start_as_current_span("scoring") as span:
        span.set_attribute(attributes.REQUEST, "{}")
        call(tracer)
        with tracer.start_as_current_span("step"), tracer.start_as_current_span("part"):
            call(tracer)
    assert counting.details()[COUNT] == 2


def test_a_call_within_a_call_counts_once(counting, tracer):
    """A client that is built on another one shows two spans, and is one call."""
    with tracer.start_as_current_span("request"):

        def nested() -> None:
            with tracer.start_as_current_span("outer", kind=SpanKind.CLIENT):
                call(tracer)

        score(nested)
    assert counting.details()[COUNT] == 1


def test_other_spans_do_not_count(counting, tracer):
    """Only what goes out does: neither steps of the model, nor what another request calls."""
    with tracer.start_as_current_span("request"):
        other = trace.set_span_in_context(trace.INVALID_SPAN)

        def elsewhere() -> None:
            with tracer.start_as_current_span("call", context=other, kind=SpanKind.CLIENT):
                pass

        score(lambda: call(tracer, kind=SpanKind.INTERNAL), elsewhere)
    assert counting.details() is None


@pytest.mark.parametrize(("told", "expected"), [(3, 3), (2, 2), (1, 2)])
def test_the_larger_number_of_calls_counts(counting, tracer, told, expected):
    """Where the hooks of clients have counted as well, both saw the same calls."""
    with (
        tracer.start_as_current_span("request"),
        tracer.start_as_current_span("scoring") as span,
    ):
        span.set_attribute(attributes.REQUEST, "{}")
        span.set_attribute(attributes.DEPENDENCY_COUNT, told)
        span.set_attribute(attributes.DEPENDENCY_FAILURES, 0)
        call(tracer, failed=True)
        call(tracer, failed=True)
    found = counting.details()
    assert found[COUNT] == expected
    assert found[FAILURES] == (2 if told == 1 else 0)


def test_a_span_that_is_made_when_the_scoring_ends_counts_from_its_start(counting, tracer):
    """Capture makes its span at the end, with the time of the start."""
    with tracer.start_as_current_span("request"):
        call(tracer)
        with tracer.start_as_current_span("during") as during:
            began = during.start_time
            call(tracer)
        span = tracer.start_span("scoring", start_time=began)
        span.set_attribute(attributes.REQUEST, "{}")
        span.end()
    assert counting.details()[COUNT] == 1


def test_what_is_remembered_is_bounded(counting, tracer):
    """Spans that never end, spans in a row, and calls without end take no memory without end."""
    with tracer.start_as_current_span("root"):
        score(*[lambda: call(tracer)] * (dependencies._MOST_CALLS + 5))
    assert counting.details()[COUNT] == dependencies._MOST_CALLS
    for _ in range(dependencies._MOST_OPEN + 100):
        tracer.start_span("never ends")
    assert len(counting.dependencies._open) == dependencies._MOST_OPEN
    former = tracer.start_span("first")
    for _ in range(1000):
        following = tracer.start_span("next", context=trace.set_span_in_context(former))
        former.end()
        former = following
    entry = counting.dependencies._open[former.get_span_context().span_id]
    assert entry.above is not None
    assert entry.above.above is None


def test_threads_count_what_they_call(counting, tracer):
    """Calls of several threads under one parent are all counted."""
    with tracer.start_as_current_span("request") as request:

        def work() -> None:
            with trace.use_span(request):
                for _ in range(50):
                    call(tracer)

        def together() -> None:
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        score(together)
    assert counting.details()[COUNT] == 200


def test_a_span_of_another_make_is_no_error():
    """What has none of the SDK's members passes by."""
    found = Dependencies()
    found.started(object())
    scoring = ScoringSpan(request=b"{}")
    assert found.ended(object(), scoring) is scoring
    assert found.ended(object(), None) is None


def test_the_record_says_what_was_called(scripted_mart, tmp_path):
    """On its way to the mart a record has number, time and failures of its dependencies."""
    processor = ScoringSpanProcessor(**scripted_mart.settings, spool_dir=tmp_path)
    own = TracerProvider(shutdown_on_exit=False)
    own.add_span_processor(processor)
    tracer = own.get_tracer("application")
    provider.install(own.get_tracer(provider.INSTRUMENTATION_NAME))
    with tracer.start_as_current_span("request"):
        score(lambda: call(tracer), lambda: call(tracer, failed=True))
    assert own.force_flush()
    own.shutdown()
    (post,) = scripted_mart.posts
    (record,) = orjson.loads(post)
    told = record["scorespan"]["dependencies"]
    assert (told["count"], told["failures"]) == (2, 1)
    assert told["time"] >= 0


def test_on_the_private_provider_nothing_is_watched(configured):
    """There no spans of the application come: nothing is kept of any."""
    import scorespan.sdk

    assert scorespan.sdk._configured is not None
    active = scorespan.sdk._configured.provider._active_span_processor
    assert active._dependencies is None
