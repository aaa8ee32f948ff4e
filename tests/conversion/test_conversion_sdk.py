"""The reader of the SDK's spans, over spans that the SDK itself has made."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, Status, StatusCode

from scorespan import attributes
from scorespan.conversion.convert import convert
from scorespan.conversion.sdk import read_sdk
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import ConversionError

REQUEST = '{"fields":["a"],"values":[[1]]}'
RESPONSE = '{"fields":["p"],"values":[[0]]}'
BODIES = {attributes.REQUEST: REQUEST, attributes.RESPONSE: RESPONSE}


def ended(
    found: dict[str, Any],
    resource: dict[str, Any] | None = None,
    limits: SpanLimits | None = None,
    act: Callable[[Span], object] | None = None,
    **times: Any,
) -> ReadableSpan:
    """An ended span with these attributes, of a provider of its own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource(resource or {}), span_limits=limits, shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("test").start_span("scoring", start_time=times.get("start", 1000))
    span.set_attributes(found)
    if act is not None:
        act(span)
    span.end(times.get("end", 6_000_000))
    (finished,) = exporter.get_finished_spans()
    return finished


def read(found: dict[str, Any], **how: Any) -> ScoringSpan:
    """The scoring span of a span with bodies and these attributes."""
    span = read_sdk(ended({**BODIES, **found}, **how))
    assert span is not None
    return span


def kept(name: str, value: object) -> bool:
    """Whether this SDK keeps such a value as an attribute; older ones drop what is nested."""
    return name in ended({name: value}).attributes


def test_everything_on_the_span_is_read():
    """Each attribute stands in its field, and the span's own data beside them."""
    span = ended(
        {
            **BODIES,
            attributes.REQUEST_CONTENT_TYPE: "application/json",
            attributes.RESPONSE_CONTENT_TYPE: "text/csv",
            attributes.DIALECT: "fields_values",
            attributes.ID: "id",
            attributes.BINDING_ID: "b",
            attributes.SUBSCRIPTION_ID: "s",
            attributes.DEPLOYMENT_ID: "d",
            attributes.FEATURE_NAMES: ["a", "b"],
            attributes.RESPONSE_TIME: 42,
            attributes.TIMESTAMP: "2026-01-31T12:00:00Z",
            attributes.MODEL_NAME: "m",
            attributes.MODEL_VERSION: "7",
            attributes.CLIENT_ID: "c",
            attributes.PRODUCER_ID: "p",
            attributes.SEQUENCE: 9,
            attributes.NOTES: ["n"],
            "http.method": "POST",
        },
        resource={attributes.SERVICE_NAME: "svc", attributes.SERVICE_INSTANCE_ID: "i"},
    )
    context = span.get_span_context()
    assert read_sdk(span) == ScoringSpan(
        request=REQUEST.encode(),
        response=RESPONSE.encode(),
        name="scoring",
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        start_time=1000,
        end_time=6_000_000,
        request_content_type="application/json",
        response_content_type="text/csv",
        dialect="fields_values",
        scoring_id="id",
        binding_id="b",
        subscription_id="s",
        deployment_id="d",
        feature_names=("a", "b"),
        response_time=42,
        timestamp="2026-01-31T12:00:00Z",
        model_name="m",
        model_version="7",
        client_id="c",
        producer_id="p",
        sequence=9,
        service_name="svc",
        service_instance_id="i",
        notes=("n",),
    )


@pytest.mark.parametrize("name", [attributes.REQUEST, attributes.RESPONSE, attributes.ID])
def test_one_of_three_attributes_makes_a_scoring_span(name):
    """A request, a response or a scoring id is enough."""
    assert read_sdk(ended({name: "x"})) is not None


@pytest.mark.parametrize("found", [{}, {"http.method": "POST"}, {attributes.MODEL_NAME: "m"}])
def test_other_spans_are_none(found):
    """A span of the application is not a scoring span."""
    assert read_sdk(ended(found)) is None


def test_ids_of_the_span_win_over_those_of_the_resource():
    """The three ids stand on the span, else on the resource."""
    resource = {
        attributes.BINDING_ID: "rb",
        attributes.SUBSCRIPTION_ID: "rs",
        attributes.DEPLOYMENT_ID: "rd",
    }
    span = read({attributes.SUBSCRIPTION_ID: "s"}, resource=resource)
    assert (span.binding_id, span.subscription_id, span.deployment_id) == ("rb", "s", "rd")


def test_other_attributes_of_the_resource_are_not_the_spans():
    """Only the three ids and the service's names are taken from the resource."""
    span = read({}, resource={attributes.ID: "x", attributes.MODEL_NAME: "m", "a": "b"})
    assert span.scoring_id is None
    assert span.model_name is None


def test_spans_of_different_resources_do_not_mix():
    """Each span has the ids of its own resource, in whatever order they come."""
    ours = ended(BODIES, resource={attributes.SUBSCRIPTION_ID: "ours"})
    theirs = ended(BODIES, resource={attributes.SUBSCRIPTION_ID: "theirs"})
    found = [read_sdk(span).subscription_id for span in (ours, theirs, ours, ours, theirs)]
    assert found == ["ours", "theirs", "ours", "ours", "theirs"]


def test_an_id_of_the_resource_that_is_no_string_is_its_text():
    """A number as id is not left out: its records would go to another subscription."""
    assert read({}, resource={attributes.SUBSCRIPTION_ID: 5}).subscription_id == "5"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (attributes.SUBSCRIPTION_ID, 5, "a string is needed, not int 5"),
        (attributes.ID, True, "a string is needed, not bool True"),
        (attributes.TIMESTAMP, 1.5, "a string is needed, not float 1.5"),
        (attributes.PROBLEM, 5, "a string is needed"),
        (attributes.RESPONSE_TIME, "5", "an integer of 64 bits is needed, not str 5"),
        (attributes.RESPONSE_TIME, 5.0, "an integer of 64 bits is needed, not float 5.0"),
        (attributes.RESPONSE_TIME, float("nan"), "an integer of 64 bits is needed, not float nan"),
        (attributes.RESPONSE_TIME, True, "an integer of 64 bits is needed, not bool"),
        (attributes.RESPONSE_TIME, 2**63, "an integer of 64 bits is needed"),
        pytest.param(
            attributes.SEQUENCE, 10**5000, "an integer of 64 bits is needed, not int", id="huge"
        ),
        (attributes.FEATURE_NAMES, "age", "a list of strings is needed, not str age"),
        (attributes.FEATURE_NAMES, [1, 2], "a list of strings is needed, not tuple"),
        (attributes.NOTES, "note", "a list of strings is needed"),
    ],
)
def test_a_wrong_type_is_a_problem(name, value, said):
    """What cannot be read is named with what is needed; nothing is guessed, nothing raises."""
    (problem,) = read({name: value}, resource={attributes.SUBSCRIPTION_ID: "r"}).problems
    assert problem.startswith(f"{name}: {said}")


def test_a_wrong_id_does_not_fall_back():
    """A subscription of the wrong type is not replaced by that of the resource."""
    span = read({attributes.SUBSCRIPTION_ID: 5}, resource={attributes.SUBSCRIPTION_ID: "r"})
    assert span.subscription_id is None


def test_a_long_wrong_value_is_not_repeated_in_full():
    """A problem shows the beginning of what it is about."""
    (problem,) = read({attributes.FEATURE_NAMES: "x" * 100_000}).problems
    assert len(problem) < 400


class Name(str, enum.Enum):
    """An enumeration whose members are text."""

    CREDIT = "credit"


@pytest.mark.parametrize("value", [np.str_("credit"), Name.CREDIT])
def test_text_of_a_derived_type_is_text(value):
    """A string of numpy or of an enumeration is the text that it holds."""
    if not kept(attributes.SUBSCRIPTION_ID, value):
        pytest.skip("this SDK does not keep such an attribute")
    span = read({attributes.SUBSCRIPTION_ID: value, attributes.FEATURE_NAMES: [value]})
    assert span.subscription_id == "credit"
    assert span.problems is None


def test_a_problem_told_by_the_producer_is_a_problem():
    """Why a body is not on the span stands among the problems."""
    assert read({attributes.PROBLEM: "request: no JSON form"}).problems == (
        "request: no JSON form",
    )


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ([1, 2], b"[1,2]"),
        (5, b"5"),
        (True, b"true"),
        ({"fields": ["a"], "values": [[1], [None]]}, b'{"fields":["a"],"values":[[1],[null]]}'),
        (b'{"fields":[]}', b'{"fields":[]}'),
        ("\ud800", "\ud800".encode("utf-8", "surrogatepass")),
        ("", b""),
    ],
)
def test_bodies_are_read_in_every_type_that_the_sdk_keeps(value, body):
    """Strings, arrays, maps and bytes are bodies; which of them there are is the SDK's word."""
    if not kept(attributes.REQUEST, value):
        pytest.skip("this SDK does not keep such an attribute")
    assert read({attributes.REQUEST: value}).request == body


def test_a_body_that_the_sdk_drops_is_a_span_without_it(caplog):
    """Where the SDK drops an attribute, its span is still a scoring span, by its response."""
    caplog.set_level(logging.CRITICAL)
    assert read({attributes.REQUEST: object()}).request in {None, REQUEST.encode()}


def test_nan_in_a_body_that_is_an_array_is_noted():
    """What becomes null on the way is told, as for bodies of model code."""
    span = read({attributes.REQUEST: [1.0, float("nan")], attributes.NOTES: ["first"]})
    assert span.request == b"[1.0,null]"
    assert set(span.notes) == {"scoring.request: 1 x nan became null", "first"}


# Status and exceptions.


def test_an_error_status_makes_a_failed_scoring():
    """Without an exception event, the status description is the message."""
    span = read({}, act=lambda span: span.set_status(Status(StatusCode.ERROR, "out of memory")))
    assert span.failed
    assert (span.error_type, span.error_message) == (None, "out of memory")


def test_the_exception_event_supplies_type_and_message():
    """An exception on a failed span is the error of the record."""

    def fail(span):
        span.record_exception(ValueError("bad row"))
        span.set_status(Status(StatusCode.ERROR, "ValueError: bad row"))

    span = read({}, act=fail)
    assert (span.error_type, span.error_message) == ("ValueError", "bad row")


def test_the_last_exception_is_the_one_that_ended_it():
    """An earlier exception was overcome."""

    def fail(span):
        span.record_exception(KeyError("first"))
        span.record_exception(OSError("last"))
        span.set_status(StatusCode.ERROR)

    assert read({}, act=fail).error_type == "OSError"


def test_an_exception_that_was_overcome_is_no_failure():
    """An exception event on a span without error status does not make it a failed scoring."""
    span = read({}, act=lambda span: span.record_exception(ValueError("retried")))
    assert not span.failed
    assert span.error_type is None


def test_an_exception_event_with_other_types_is_read():
    """Whatever an event holds, type and message are text or absent."""

    def fail(span):
        span.add_event("exception", {"exception.type": 5})
        span.set_status(StatusCode.ERROR)

    span = read({}, act=fail)
    assert (span.error_type, span.error_message) == ("5", None)


# Times.


def test_times_that_are_no_whole_numbers_are_read():
    """An application that gives times as floats has them rounded down."""
    span = read({}, start=1000.9, end=2000.0)
    assert (span.start_time, span.end_time) == (1000, 2000)
    assert span.problems is None


@pytest.mark.parametrize("start", [float("nan"), float("inf"), 2**63, -(2**70), "soon"])
def test_a_time_that_is_none_is_a_problem(start):
    """A start that no clock has is named; no record gets a made-up time."""
    span = read({}, start=start)
    assert span.problems == ("the span's start is not a time in nanoseconds of 64 bits",)


def test_a_span_that_ends_before_it_starts_is_read():
    """A clock that was set back is for the conversion to note."""
    span = read({}, start=2_000_000, end=1)
    assert (span.start_time, span.end_time, span.problems) == (2_000_000, 1, None)


def test_a_span_without_context_or_resource_is_read():
    """A bare readable span, as other code may make one, is read."""
    span = read_sdk(ReadableSpan("bare", attributes=BODIES, resource=None))
    assert (span.trace_id, span.span_id, span.start_time) == ("", "", 0)


# Limits of an application's own provider.


def test_a_body_that_a_limit_has_cut_is_seen(monkeypatch):
    """A cut body is refused with a reason that says it was cut; it never becomes a record."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10")
    span = read({}, resource={attributes.SUBSCRIPTION_ID: "s"}, limits=SpanLimits())
    assert span.request == REQUEST[:10].encode()
    error = convert(span._replace(subscription_id="s"))
    assert isinstance(error, ConversionError)
    assert error.code == "invalid_json"
    assert "ends too early" in error.reason
    assert "length limit" in error.reason
