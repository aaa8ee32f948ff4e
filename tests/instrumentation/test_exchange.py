"""An exchange: one request and its answer, and the span that they become."""

from __future__ import annotations

import threading
import time

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from scorespan import attributes, producer, provider
from scorespan.instrumentation import guard
from scorespan.instrumentation.exchange import REQUEST_IDS, Exchange
from scorespan.record import STATUS_ERROR
from scorespan.settings import Settings

TRACE, SPAN = "a" * 32, "b" * 16


def begun(headers=None, **settings):
    """An exchange with a request."""
    exchange = Exchange("hook", Settings.load(settings, {}), headers or {})
    exchange.request.add(b'{"fields": ["a"], "values": [[1]]}')
    return exchange


def answer(exchange):
    """Give it an answer and end it."""
    exchange.response.add(b'{"fields": ["b"], "values": [[2]]}')
    exchange.answered(200)
    exchange.stop()
    exchange.end()


def only(recorded):
    """The attributes of the only span."""
    (span,) = recorded.spans()
    return span.attributes


def test_it_becomes_a_record(recorded):
    """Request, answer, status and hook are on the record."""
    answer(begun())
    record = recorded.record()
    assert record.request == b'{"fields": ["a"], "values": [[1]]}'
    assert record.response == b'{"fields": ["b"], "values": [[2]]}'
    found = only(recorded)
    assert (found[attributes.HOOK], found[attributes.HTTP_STATUS]) == ("hook", 200)
    assert attributes.NOTES not in found


@pytest.mark.parametrize("flags", ["00", "01"])
def test_the_parent_is_the_callers_whether_sampled_or_not(recorded, flags):
    """The scoring id names the trace of the caller."""
    answer(begun({"traceparent": f"00-{TRACE}-{SPAN}-{flags}", "tracestate": "a=b"}))
    (span,) = recorded.spans()
    assert f"{span.parent.span_id:016x}" == SPAN
    assert span.context.trace_state["a"] == "b"
    assert recorded.record().scoring_id == f"{TRACE}{span.context.span_id:016x}"


@pytest.mark.parametrize("header", ["", "rubbish", f"00-{'0' * 32}-{SPAN}-01"])
def test_a_broken_header_is_no_parent(recorded, header):
    """The scoring has a trace of its own."""
    answer(begun({"traceparent": header}))
    (span,) = recorded.spans()
    assert span.parent is None
    assert span.context.is_valid


def test_the_active_span_is_the_parent_before_the_header(recorded):
    """What the application traces has been made of the header already."""
    with TracerProvider(shutdown_on_exit=False).get_tracer("app").start_as_current_span("x") as app:
        exchange = begun({"traceparent": f"00-{TRACE}-{SPAN}-01"})
        assert trace.get_current_span() is app
    answer(exchange)
    assert recorded.spans()[0].parent.span_id == app.get_span_context().span_id


def test_a_span_that_the_service_made_is_the_parent_where_no_other_is(recorded):
    """A framework that traces itself does so inside of the hook."""
    exchange = begun()
    tracer = TracerProvider(shutdown_on_exit=False, sampler=ALWAYS_OFF).get_tracer("app")
    with tracer.start_as_current_span("x") as app:
        exchange.answered(200)
    answer(exchange)
    assert recorded.spans()[0].context.trace_id == app.get_span_context().trace_id


def test_the_time_ends_where_it_is_stopped(recorded):
    """Whatever happens between the last byte and the end is none of it."""
    started = time.perf_counter_ns()
    exchange = begun()
    exchange.stop()
    elapsed = time.perf_counter_ns() - started
    while time.perf_counter_ns() - started <= 2 * elapsed:
        """It is as long again until the end."""
    exchange.end()
    (span,) = recorded.spans()
    assert span.end_time - span.start_time <= elapsed


def test_a_time_that_was_told_stays(recorded):
    """The engine knows better."""
    exchange = begun()
    exchange.stop(5_000_000)
    answer(exchange)
    (span,) = recorded.spans()
    assert span.end_time - span.start_time == 5_000_000


def test_the_first_id_of_the_call_counts(recorded):
    """Ids are taken in one order, whatever order the headers have."""
    answer(begun({name: name for name in reversed(REQUEST_IDS)}))
    assert only(recorded)[attributes.REQUEST_ID] == "x-request-id"


def test_no_caller_of_any_service_chooses_the_deployment(recorded):
    """The header is Azure ML's; elsewhere whoever asks may have sent it."""
    answer(begun({"azureml-model-deployment": "blue"}))
    assert recorded.record().deployment_id == "generic_deployment"


def test_an_id_of_the_call_is_bounded_and_of_one_line(recorded):
    """Whoever asks has sent it."""
    answer(begun({"x-request-id": "a\r\n\x1b[2J\x85" + "b" * 1_000_000}))
    found = only(recorded)[attributes.REQUEST_ID]
    assert found == "a[2J" + "b" * (len(found) - 4)
    assert len(found) <= 256


@pytest.mark.parametrize(("parent", "state"), [(" " * 1_000_000, ""), ("", "a=b," * 250_000)])
def test_endless_trace_headers_are_left_out(recorded, caplog, parent, state):
    """And OpenTelemetry has nothing to say of them for each request."""
    header = f"00-{TRACE}-{SPAN}-01"
    answer(begun({"traceparent": header + parent, "tracestate": state}))
    (span,) = recorded.spans()
    assert (span.parent is None) is bool(parent)
    assert not span.context.trace_state
    assert not caplog.records


def test_an_attribute_that_is_set_wins(recorded):
    """A more specific hook knows better."""
    exchange = begun({"x-request-id": "a"})
    exchange.set(attributes.REQUEST_ID, "b")
    answer(exchange)
    assert only(recorded)[attributes.REQUEST_ID] == "b"


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "Bad Request"), (422, "Unprocessable"), (503, "Service Unavailable"), (599, "")],
)
def test_an_answer_from_400_on_is_a_failed_scoring(recorded, status, message):
    """The answer is kept beside the error."""
    exchange = begun()
    exchange.answered(status)
    exchange.response.add(b"no")
    exchange.end()
    (span,) = recorded.spans()
    record = recorded.record()
    assert record.extras["status"] == STATUS_ERROR
    assert record.extras["error"]["type"] == f"HTTP {status}"
    assert record.extras["error"]["message"].startswith(message)
    assert record.extras["error"]["response"] == "no"
    assert span.attributes[attributes.HTTP_STATUS] == status


def test_an_exception_says_more_than_a_status(recorded):
    """Type, message and traceback are the exception's."""
    exchange = begun()
    try:
        int("x")
    except ValueError as error:
        exchange.fail(error)
    exchange.answered(500)
    exchange.end()
    error = recorded.record().extras["error"]
    assert error["type"] == "ValueError"
    assert error["message"] == "invalid literal for int() with base 10: 'x'"
    assert 'int("x")' in error["stacktrace"]


def test_an_exception_of_a_package_is_named_with_it(recorded):
    """As OpenTelemetry's convention has it."""
    exchange = begun()
    exchange.fail(threading.BrokenBarrierError())
    exchange.end()
    assert recorded.record().extras["error"]["type"] == "threading.BrokenBarrierError"


def test_an_exception_that_says_nothing_is_a_failed_scoring(recorded):
    """Its `str` raises."""

    class Silent(Exception):  # noqa: N818 - a name for the test
        def __str__(self):
            raise ValueError

    exchange = begun()
    exchange.fail(Silent())
    exchange.end()
    assert recorded.record().extras["error"]["type"].endswith("Silent")


def test_calls_to_others_are_counted(recorded):
    """Number, time and failures, from whatever thread."""
    exchange = begun()
    calls = [(1_000_000, False), (2_600_000, True), (0, True)]
    threads = [
        threading.Thread(target=exchange.add_dependency, args=(time,), kwargs={"failed": failed})
        for time, failed in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer(exchange)
    found = only(recorded)
    assert found[attributes.DEPENDENCY_COUNT] == 3
    assert found[attributes.DEPENDENCY_TIME] == 4
    assert found[attributes.DEPENDENCY_FAILURES] == 2


def test_a_streamed_answer_has_its_parts_counted(recorded):
    """One part is no stream, unless its type says so."""
    for parts, content_type in [(1, None), (1, "text/event-stream"), (3, "text/plain")]:
        exchange = begun()
        exchange.response.content_type = content_type
        for _ in range(parts):
            exchange.stop()
            exchange.sent(b"x")
        exchange.end()
    counts = [span.attributes.get(attributes.RESPONSE_CHUNKS) for span in recorded.spans()]
    times = [span.attributes.get(attributes.FIRST_BYTE_TIME) for span in recorded.spans()]
    assert counts == [None, 1, 3]
    assert [time is not None for time in times] == [False, True, True]


def test_numbers_have_no_gap(recorded):
    """One that is dropped takes none."""
    for index in range(4):
        exchange = begun()
        if index == 1:
            exchange.drop()
        answer(exchange)
        exchange.end()
    assert [span.attributes[attributes.SEQUENCE] for span in recorded.spans()] == [1, 2, 3]
    assert producer.current().last == 3


def test_nothing_is_kept_where_nothing_records():
    """Without an SDK there is no span, no number and no error."""
    guard.counted.clear()
    answer(begun())
    assert producer.current().last == 0
    assert not guard.counted


def test_a_body_that_cannot_be_kept_makes_a_dead_letter(recorded):
    """The scoring is not lost: its letter says what was wrong."""
    exchange = begun()
    exchange.took("text")
    answer(exchange)
    assert "TypeError in capture" in str(recorded.error())


def test_a_body_that_cannot_be_encoded_makes_a_dead_letter(recorded):
    """Likewise, where it fails at the end."""

    class Broken:
        size = 1

        def put_into(self, *_):
            raise MemoryError

    exchange = begun()
    exchange.request = Broken()
    answer(exchange)
    assert "scoring.request: MemoryError in capture" in str(recorded.error())


def test_a_broken_tracer_is_not_seen():
    """Whatever fails at the end is counted."""

    class Broken:
        def start_span(self, *_arguments, **_more):
            raise OSError

    guard.counted.clear()
    provider.install(Broken())
    exchange = begun()
    answer(exchange)
    assert exchange.ended
    assert guard.counted == {"exchange": 1}


def test_an_interrupt_goes_on_where_no_record_can_be_made():
    """It is the service's; that the second try failed is counted."""

    class Broken:
        def __init__(self):
            self.errors = [SystemExit, OSError]

        def start_span(self, *_arguments, **_more):
            raise self.errors.pop(0)

    guard.counted.clear()
    provider.install(Broken())
    exchange = begun()
    with pytest.raises(SystemExit):
        answer(exchange)
    assert guard.counted == {"exchange": 1}


def test_the_time_to_the_first_byte_is_that_of_the_first_part(recorded):
    """In milliseconds, whatever comes later."""
    began = time.perf_counter_ns()
    exchange = begun()
    while time.perf_counter_ns() - began < 3_000_000:
        """The service computes."""
    exchange.sent(b"a")
    elapsed = time.perf_counter_ns() - began
    while time.perf_counter_ns() - began < elapsed + 3_000_000:
        """It computes the next part."""
    exchange.sent(b"b")
    exchange.end()
    assert 2 <= only(recorded)[attributes.FIRST_BYTE_TIME] <= elapsed // 1_000_000 + 1


def test_an_answer_that_cannot_be_kept_is_a_dead_letter(recorded):
    """As for a request."""
    exchange = begun()
    exchange.sent("no bytes")
    exchange.end()
    assert "scoring.response: TypeError in capture" in str(recorded.error())


def test_a_dropped_exchange_holds_no_body():
    """Its context may outlive it, too."""
    exchange = begun()
    exchange.drop()
    assert exchange.request.kept == b""


def test_an_ended_exchange_holds_no_body(recorded):
    """A context may hold it for as long as the process runs."""
    exchange = begun()
    answer(exchange)
    assert exchange.request.kept == exchange.response.kept == b""


@pytest.mark.parametrize(("put_first", "spans"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("kind", [SystemExit, TimeoutError])
def test_a_signal_handler_that_raises_ends_no_record(recorded, kind, put_first, spans):
    """The answer was sent; where the span was put already, the mart sees the same id twice."""

    class Interrupting(SpanProcessor):
        """Raises once, as a handler that runs while a span ends."""

        raised = None

        def on_end(self, span):
            if self.raised is None:
                self.raised = span
                raise kind

    interrupting, keeping = Interrupting(), SimpleSpanProcessor(recorded.exporter)
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    for processor in (keeping, interrupting) if put_first else (interrupting, keeping):
        tracer_provider.add_span_processor(processor)
    provider.install(tracer_provider.get_tracer(provider.INSTRUMENTATION_NAME))
    exchange = begun()
    with pytest.raises(kind):
        answer(exchange)
    first = interrupting.raised.context
    scoring_id = f"{first.trace_id:032x}{first.span_id:016x}"
    outcomes = recorded.outcomes()
    assert [outcome.scoring_id for outcome in outcomes] == [scoring_id] * spans
    assert len({outcome.request for outcome in outcomes}) == 1
    exchange.end()
    assert len(recorded.spans()) == spans
