"""The conversion: scoring span into payload record, or the reason why not."""

from __future__ import annotations

import ast
import inspect
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode

from scorespan import attributes
from scorespan.conversion import convert as module
from scorespan.conversion.convert import convert
from scorespan.conversion.sdk import read_sdk
from scorespan.conversion.span import ScoringSpan, decode, encode
from scorespan.dialects import fields_values
from scorespan.errors import ConversionError
from scorespan.record import PayloadRecord

REQUEST = b'{"fields":["a"],"values":[[1]]}'
RESPONSE = b'{"fields":["p"],"values":[[0]]}'
WHOLE = ScoringSpan(
    request=REQUEST,
    response=RESPONSE,
    name="scoring",
    trace_id="a" * 32,
    span_id="b" * 16,
    start_time=1_769_860_800_123_456_789,
    end_time=1_769_860_800_165_000_000,
    subscription_id="s",
)


def record_of(**fields: Any) -> PayloadRecord:
    """The record of the usual span with these fields; it must be sendable."""
    record = convert(WHOLE._replace(**fields))
    assert isinstance(record, PayloadRecord), record
    json.loads(record.wire(extras=True))
    return record


def error_of(**fields: Any) -> ConversionError:
    """The reason why the usual span with these fields has no record."""
    error = convert(WHOLE._replace(**fields))
    assert isinstance(error, ConversionError), error
    assert str(error) == f"{error.code}: {error.reason}"
    return error


def notes_of(**fields: Any) -> list[str]:
    """The notes on a record."""
    return list(record_of(**fields).extras.get("notes", ()))


def test_a_whole_span_is_a_whole_record():
    """Every field of the span stands in its place on the record."""
    record = record_of(
        binding_id="b",
        deployment_id="d",
        model_name="m",
        model_version="7",
        client_id="c",
        producer_id="p",
        sequence=9,
        service_name="svc",
        service_instance_id="i",
        notes=("n",),
    )
    assert json.loads(record.wire(extras=True)) == {
        "binding_id": "b",
        "subscription_id": "s",
        "deployment_id": "d",
        "scoring_id": "a" * 32 + "b" * 16,
        "scoring_timestamp": "2026-01-31T12:00:00.123456Z",
        "response_time": 42,
        "request": json.loads(REQUEST),
        "response": json.loads(RESPONSE),
        "scorespan": {
            "v": 1,
            "status": "ok",
            "trace_id": "a" * 32,
            "span_id": "b" * 16,
            "model": "m",
            "model_version": "7",
            "client_id": "c",
            "producer": "p",
            "sequence": 9,
            "service_name": "svc",
            "service_instance_id": "i",
            "notes": ["n"],
        },
    }


def test_what_a_span_leaves_open_is_left_out():
    """A bare span has the generic deployment, no binding and no empty extras."""
    record = record_of()
    assert record.deployment_id == "generic_deployment"
    assert record.binding_id is None
    assert set(record.extras) == {"v", "status", "trace_id", "span_id"}


def test_the_body_text_is_kept_to_the_byte():
    """Space, member order, escapes and every digit are on the wire as they were on the span."""
    request = (
        b'{ "values": [[123456789012345678901234567890, 1.10, 1e5, "\\u00e4"]],\n'
        b'"fields": ["a", "b", "c", "d"] , "more": -0.0}'
    )
    wire = record_of(request=request).wire(extras=True)
    assert b'"request":' + request in wire


# Reasons.


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"problems": ("scoring.id: x", "y")}, "wrong_attribute", "scoring.id: x; y"),
        ({"request": None}, "no_request", "scoring.request"),
        ({"response": None}, "no_response", "scoring.response"),
        ({"subscription_id": None}, "no_subscription", "SCORESPAN_SUBSCRIPTION_ID"),
        ({"subscription_id": ""}, "no_subscription", "scoring.subscription.id"),
        ({"scoring_id": "x" * 57}, "scoring_id", "1 to 56"),
        ({"trace_id": "", "span_id": ""}, "scoring_id", "1 to 56"),
        ({"timestamp": "yesterday"}, "timestamp", "'yesterday'"),
        ({"start_time": 2**63 * 32}, "timestamp", "calendar"),
        ({"dialect": "mystery"}, "unknown_dialect", "'mystery' is not one of: fields_values"),
        ({"dialect": ""}, "unknown_dialect", "fields_values"),
        ({"request": b""}, "invalid_json", "request: not valid JSON"),
        ({"response": b"{"}, "invalid_json", "response: not valid JSON"),
        ({"request": b"[]", "dialect": "fields_values"}, "no_fields_values", "request: "),
        (
            {"request": b'{"input_data":[{"fields":["a"],"values":[]},{"fields":[],"values":[]}]}'},
            "several_tables",
            "request.input_data: 2 elements",
        ),
        ({"response": b'{"fields":1,"values":[]}'}, "wrong_type", "response.fields"),
        (
            {"response": b'{"fields":["p"],"values":[[1,2]]}'},
            "row_width_mismatch",
            "response.values[0]",
        ),
        (
            {"response": b'{"fields":["p"],"values":[[1],[2]]}'},
            "row_count_mismatch",
            "2 rows for 1",
        ),
    ],
)
def test_every_reason_has_a_code_and_names_the_place(fields, code, said):
    """A span that cannot become a record says which word of ours and which attribute or field."""
    error = error_of(**fields)
    assert error.code == code
    assert said in error.reason


def test_every_reason_in_the_code_is_tested():
    """A new reason comes with its case above."""
    source = inspect.getsource(module) + inspect.getsource(fields_values)
    codes = {
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "ConversionError"
    }
    marks = test_every_reason_has_a_code_and_names_the_place.pytestmark
    assert codes <= {case[1] for case in marks[0].args[1]}


def test_the_length_of_a_scoring_id_is_bounded():
    """Fifty-six characters fit, of whatever script; fifty-seven do not."""
    assert record_of(scoring_id="ä" * 56).scoring_id == "ä" * 56
    assert error_of(scoring_id="ä" * 57).code == "scoring_id"


# Times.


@pytest.mark.parametrize(
    ("nanoseconds", "milliseconds"),
    [(0, 0), (499_999, 0), (500_000, 1), (1_499_999, 1), (1_500_000, 2), (-1, 0), (-499_999, 0)],
)
def test_the_response_time_is_the_duration_to_the_nearest_millisecond(nanoseconds, milliseconds):
    """Half a millisecond counts up."""
    record = record_of(end_time=WHOLE.start_time + nanoseconds)
    assert record.response_time == milliseconds
    assert "notes" not in record.extras


def test_a_given_response_time_wins_over_the_duration():
    """What the engine measured is better than the span."""
    assert record_of(response_time=7).response_time == 7
    assert record_of(response_time=0).response_time == 0
    assert record_of(response_time=2**63 - 1).response_time == 2**63 - 1


def test_a_negative_response_time_is_0_with_a_note():
    """A clock that was set back does not make a record that the mart refuses."""
    assert record_of(response_time=-5).response_time == 0
    assert notes_of(response_time=-5) == ["response_time: -5 ms became 0"]
    assert notes_of(end_time=WHOLE.start_time - 2_000_000) == ["response_time: -2 ms became 0"]


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31T12:00:00+01:00",
        "2026-01-31T12:00:00.5-23:59",
        "2024-02-29T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ],
)
def test_a_timestamp_of_rfc_3339_is_kept(timestamp):
    """A given timestamp arrives as it was written, its offset included."""
    assert record_of(timestamp=timestamp).scoring_timestamp == timestamp


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+0100",
        "2026-13-01T12:00:00Z",
        "2026-00-01T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-04-31T12:00:00Z",
        "0000-01-01T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60",
        "٢٠٢٦-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "2026-01-31T12:00:00Z" * 1000,
    ],
)
def test_what_is_no_timestamp_is_refused(timestamp):
    """A form or a day that does not exist is named, and not shown at length."""
    error = error_of(timestamp=timestamp)
    assert error.code == "timestamp"
    assert len(error.reason) < 200


@pytest.mark.parametrize(
    ("start", "timestamp"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_000_001_999, "1970-01-01T00:00:01.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (-62_135_596_800_000_000_000, "0001-01-01T00:00:00.000000Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775Z"),
    ],
)
def test_the_start_of_the_span_is_the_timestamp(start, timestamp):
    """Without a timestamp, the span's start stands there in UTC, to the microsecond."""
    assert record_of(start_time=start, end_time=start).scoring_timestamp == timestamp


# Failed scorings.


def test_a_failed_scoring_has_no_response_but_its_error():
    """The status, the type and the message of what went wrong are kept beside a null response."""
    record = record_of(failed=True, response=None, error_type="ValueError", error_message="bad row")
    assert record.failed
    assert record.response is None
    assert json.loads(record.wire(extras=True))["response"] is None
    assert record.extras["status"] == "error"
    assert record.extras["error"] == {"type": "ValueError", "message": "bad row"}


def test_the_answer_of_a_failed_scoring_is_kept_beside_its_error():
    """What a failing engine still said is not taken for a response, and not thrown away."""
    record = record_of(failed=True, response=b'{"error": "bad row"}')
    assert record.response is None
    assert record.extras["error"]["response"] == '{"error": "bad row"}'


def test_a_long_answer_of_a_failed_scoring_is_cut_with_a_mark():
    """A cut says how much of how much was kept, even through the middle of a character."""
    record = record_of(failed=True, response=b"x" + "ä".encode() * 5000)
    kept = record.extras["error"]["response"]
    assert kept.startswith("xää")
    assert len(kept.encode()) < 4200
    assert list(record.extras["notes"]) == ["response: 4096 of 10001 bytes kept"]


def test_the_answer_of_a_failed_scoring_need_not_be_text():
    """Bytes of any kind can be shown."""
    assert "\ufffd" in record_of(failed=True, response=b"\xff\xfe").extras["error"]["response"]


def test_a_failed_scoring_still_needs_its_request():
    """What was asked is what the record is about."""
    assert error_of(failed=True, request=None).code == "no_request"


@pytest.mark.parametrize("dialect", [None, "fields_values", "azure_service"])
@pytest.mark.parametrize("request_text", [b"", b"{", b"\xff", b'{"fields":["a"],"values":[[1,2]]}'])
def test_the_request_of_a_failed_scoring_may_be_anything(dialect, request_text):
    """What cannot be read is kept as text with the reason: perhaps the scoring failed of it."""
    record = record_of(failed=True, response=None, request=request_text, dialect=dialect)
    assert record.failed
    wire = json.loads(record.wire(extras=True))
    shown = request_text.decode(errors="backslashreplace")
    assert wire["request"] == {"fields": ["scoring_input"], "values": [[shown]]}
    assert wire["scorespan"]["dialect"] == "text"
    assert wire["scorespan"]["notes"][-1].endswith("; kept as text")


def test_what_hooks_saw_is_kept_beside_the_record():
    """Ids, status, prints, parts of the answer and outgoing calls, each where it was seen."""
    details = {
        "request_id": "r-1",
        "http_status": 200,
        "hook": "flask",
        "prints": ["model initialized"],
        "response_chunks": 3,
        "first_byte_time": 12,
        "dependency_count": 2,
        "dependency_time": 40,
        "dependency_failures": 1,
        "prediction_fields": ["p"],
    }
    extras = record_of(details=details).extras
    assert extras["dependencies"] == {"count": 2, "time": 40, "failures": 1}
    for name in ("request_id", "http_status", "hook", "prints", "response_chunks"):
        assert extras[name] == details[name]
    assert extras["first_byte_time"] == 12
    assert set(extras) <= {"v", "status", "trace_id", "span_id", "dependencies", *details}
    assert "hook" not in record_of(details={"request_id": "r-1"}).extras
    some = record_of(details={"dependency_count": 0}).extras
    assert some["dependencies"] == {"count": 0}


def test_the_stack_trace_of_a_failed_scoring_is_kept_with_its_error():
    """With type and message, or the failure that an engine's error body tells."""
    details = {"stacktrace": "Traceback: ..."}
    failed = record_of(failed=True, response=None, error_type="T", details=details)
    assert failed.extras["error"] == {"type": "T", "message": None, "stacktrace": "Traceback: ..."}
    told = record_of(response=b'{"error": "bad row"}', details=details)
    assert told.failed
    assert told.response is None
    assert told.extras["error"] == {
        "type": "engine_error",
        "message": "bad row",
        "stacktrace": "Traceback: ...",
        "response": '{"error": "bad row"}',
    }


def test_a_content_type_that_is_not_json_is_kept_beside_the_record():
    """Also where the body turned out to be fields/values; JSON is what is usual."""
    assert "bodies" not in record_of(request_content_type="application/json; charset=utf-8").extras
    bodies = record_of(response_content_type="text/html").extras["bodies"]
    assert bodies == {"response": {"content_type": "text/html"}}


def test_the_dialect_is_kept_where_it_is_not_the_usual_one():
    """What was read in which way can be seen."""
    assert "dialect" not in record_of().extras
    assert record_of(request=b'{"data":[[1]]}').extras["dialect"] == "azure_service"


# Whatever an application puts on its spans.

texts = st.text(st.characters(), max_size=12)
numbers = st.integers() | st.integers(-(2**65), 2**65) | st.floats()
tables = st.builds(
    lambda names, rows: json.dumps({"fields": names, "values": rows}),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(st.lists(numbers | texts | st.none(), max_size=3), max_size=3),
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.binary(max_size=8) | tables,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = sorted(value for name, value in vars(attributes).items() if name.isupper())
attribute_maps = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NAMES, anything),
        attributes.REQUEST: tables | anything,
        attributes.RESPONSE: tables | anything,
        attributes.ID: texts | anything,
    },
)
small = st.integers(-(2**63), 2**63 - 1)
plain_maps = st.fixed_dictionaries(
    {
        attributes.REQUEST: st.just(REQUEST.decode()),
        attributes.RESPONSE: st.just(RESPONSE.decode()),
    },
    optional={
        attributes.ID: texts,
        attributes.MODEL_NAME: texts,
        attributes.CLIENT_ID: texts,
        attributes.NOTES: st.lists(texts, max_size=2),
        attributes.RESPONSE_TIME: small,
        attributes.SEQUENCE: small,
        attributes.SUBSCRIPTION_ID: texts,
        attributes.DEPLOYMENT_ID: texts,
    },
)
table_maps = st.fixed_dictionaries({attributes.REQUEST: tables, attributes.RESPONSE: tables})
times = st.none() | st.integers(0, 2**62) | numbers
errors = st.none() | st.tuples(anything, anything)


@given(
    found=attribute_maps | plain_maps | table_maps,
    resource=st.dictionaries(st.sampled_from(NAMES), texts, max_size=3),
    error=errors,
    start=times,
    end=times,
)
def test_whatever_a_span_holds_it_is_a_record_or_a_reason(found, resource, error, start, end):
    """Reading, encoding, decoding and converting raise nothing, and each record can be sent."""
    events = []
    status = Status(StatusCode.UNSET)
    if error is not None:
        events = [Event("exception", {"exception.type": error[0], "exception.message": error[1]})]
        status = Status(StatusCode.ERROR, "failed")
    span = read_sdk(
        ReadableSpan(
            "scoring",
            SpanContext(trace_id=7, span_id=8, is_remote=False),
            resource=Resource({attributes.SUBSCRIPTION_ID: "s", **resource}),
            attributes=found,
            events=events,
            status=status,
            start_time=start,
            end_time=end,
        )
    )
    if span is None:
        assert not found.keys() & {attributes.REQUEST, attributes.RESPONSE, attributes.ID}
        return
    decoded = decode(b"".join(encode(span)))
    assert decoded[:2] == span[:2]
    outcome = convert(decoded)
    if isinstance(outcome, ConversionError):
        assert outcome.code
        assert outcome.reason
        return
    wire = json.loads(outcome.wire(extras=True))
    if is_table(span.request):
        assert b'"request":' + span.request in outcome.wire(extras=True)
    if span.failed:
        assert wire["scorespan"]["status"] == "error"
    assert (wire["response"] is None) == (wire["scorespan"]["status"] == "error")
    assert wire["response_time"] >= 0
    assert 0 < len(wire["scoring_id"]) <= 56
    if wire["response"] is not None:
        assert rows(wire["request"]) == rows(wire["response"])


def is_table(text: bytes) -> bool:
    """Whether a text is in fields/values form, looked at apart from our own code."""
    try:
        body = json.loads(text)
        fields, values = body["fields"], body["values"]
        lists = [isinstance(row, list) for row in values]
    except (ValueError, TypeError, KeyError):
        return False
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        return False
    return not all(lists) or all(len(row) == len(fields) for row in values)


def rows(body: dict[str, Any]) -> int:
    """How many rows a body has, counted apart from our own code."""
    width = len(body["fields"])
    values = body["values"]
    if all(isinstance(row, list) and len(row) == width for row in values):
        return len(values)
    assert len(values) == width
    return 1


@given(entry=st.binary(max_size=80), request=tables, response=tables)
def test_whatever_is_in_the_spool_can_be_converted(entry, request, response):
    """A span that could be decoded is converted or refused, never raised about."""
    span = WHOLE._replace(request=request.encode(), response=response.encode())
    for bodies in (span, span._replace(request=entry), span._replace(response=entry)):
        outcome = convert(bodies)
        if isinstance(outcome, PayloadRecord):
            orjson.loads(outcome.wire(extras=True))
