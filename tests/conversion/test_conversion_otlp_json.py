"""The reader of OTLP in JSON, over what senders write by hand or wrongly."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.otlp_requests import FUZZ_SECONDS, check_kept, fuzz
from scorespan import attributes
from scorespan.conversion.otlp import Read, read_otlp_json
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import ConversionError

pytestmark = pytest.mark.timeout(FUZZ_SECONDS)

JSON = "application/json"


def attribute(name: str, value: Any) -> dict[str, Any]:
    """An attribute; the value is an AnyValue."""
    return {"key": name, "value": value}


GOOD: dict[str, Any] = {
    "traceId": "01" * 16,
    "spanId": "02" * 8,
    "startTimeUnixNano": "1000",
    "endTimeUnixNano": 2000,
    "status": {},
    "attributes": [
        attribute(attributes.REQUEST, {"stringValue": '{"fields":["a"],"values":[[1]]}'}),
        attribute(attributes.SUBSCRIPTION_ID, {"stringValue": "s"}),
    ],
}


def request(*spans: Any, **resource: Any) -> bytes:
    """A request with these spans in one scope."""
    return orjson.dumps({"resourceSpans": [{**resource, "scopeSpans": [{"spans": list(spans)}]}]})


def read_among(span: Any) -> Read:
    """What is read where a span stands between two good ones, which must be read in any case."""
    read = read_otlp_json(request(GOOD, span, GOOD))
    first, *found, last = read.spans
    assert first == last
    assert first.problems is None
    return read._replace(spans=found)


def with_value(value: Any, name: str = attributes.NOTES) -> dict[str, Any]:
    """A good span with one more attribute."""
    return {**GOOD, "attributes": [*GOOD["attributes"], attribute(name, value)]}


def read_value(name: str, value: Any) -> ScoringSpan:
    """The span that is read where an attribute has this value."""
    (span,) = read_among(with_value(value, name)).spans
    return span


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("sequence", {"intValue": "5"}, 5),
        ("sequence", {"intValue": 5}, 5),
        ("sequence", {"intValue": 5.0}, 5),
        ("sequence", {"intValue": "-9223372036854775808"}, -(2**63)),
        ("request", {"bytesValue": "eyJhIjoiw7/DvyJ9"}, '{"a":"ÿÿ"}'.encode()),
        ("request", {"bytesValue": "-_8"}, b"\xfb\xff"),
        ("request", {"doubleValue": "NaN"}, b"null"),
        ("request", {"doubleValue": 5}, b"5.0"),
        ("request", {"doubleValue": "1.5"}, b"1.5"),
        ("request", {"boolValue": False}, b"false"),
        ("request", {"arrayValue": {}}, b"[]"),
        ("request", {"arrayValue": {"values": [{}, None, {"intValue": "1"}]}}, b"[null,null,1]"),
        ("request", {"kvlistValue": {"values": [{"key": "a", "value": {}}]}}, b'{"a":null}'),
        ("request", {"kvlistValue": {"values": [{"value": {"intValue": 1}}]}}, b'{"":1}'),
        ("request", {"stringValue": None, "unknown": 5, "boolValue": True}, b"true"),
        ("request", None, b'{"fields":["a"],"values":[[1]]}'),
        ("model_name", {}, None),
    ],
)
def test_every_form_of_a_value_is_read(name, value, held):
    """Numbers as text, base64 of either alphabet, null as absent: as protobuf's mapping has it."""
    attribute_name = {"model_name": attributes.MODEL_NAME}.get(name, f"scoring.{name}")
    if value is None:
        (span,) = read_among({**GOOD, "attributes": [*GOOD["attributes"], {"key": "a"}]}).spans
    else:
        span = read_value(attribute_name, value)
    assert getattr(span, name) == held
    assert span.problems is None


def test_what_is_unknown_or_null_is_left_out():
    """A newer sender may say more; null is no value; ids may be in capitals."""
    span = {**GOOD, "new": {"a": []}, "name": None, "events": None, "traceId": "AB" * 16}
    (read,) = read_among(span).spans
    assert (read.name, read.trace_id, read.end_time) == ("", "ab" * 16, 2000)
    for body in (
        b"{}",
        b'{"resourceSpans":null}',
        b'{"resourceSpans":[null,{"scopeSpans":[null]}]}',
    ):
        assert read_otlp_json(body).spans == []


@pytest.mark.parametrize("code", [2, "STATUS_CODE_ERROR"])
def test_a_status_by_number_or_name_is_read(code):
    """OTLP says numbers; some senders write names."""
    (span,) = read_among({**GOOD, "status": {"code": code, "message": "no"}}).spans
    assert (span.failed, span.error_message) == (True, "no")


DAMAGED = {
    "traceId is not in hex": {**GOOD, "traceId": "secret"},
    "spanId is no JSON string": {**GOOD, "spanId": 5},
    "name is no JSON string": {**GOOD, "name": ["secret"]},
    "startTimeUnixNano is no time in nanoseconds": {**GOOD, "startTimeUnixNano": "secret"},
    "endTimeUnixNano is no time in nanoseconds": {**GOOD, "endTimeUnixNano": -1},
    "status is no JSON object": {**GOOD, "status": "secret"},
    "events is no JSON list": {**GOOD, "status": {"code": 2}, "events": "secret"},
    "an event is no JSON object": {**GOOD, "status": {"code": 2}, "events": ["secret"]},
    "an attribute is no JSON object": {**GOOD, "attributes": [*GOOD["attributes"], "secret"]},
    "attributes is no JSON list": {**GOOD, "attributes": {"scoring.id": "secret"}},
    "a value is no JSON object": with_value("secret"),
    "stringValue is of another type": with_value({"stringValue": 5}),
    "boolValue is of another type": with_value({"boolValue": "secret"}),
    "intValue is of another type": with_value({"intValue": 2**63}),
    "doubleValue is of another type": with_value({"doubleValue": "secret"}),
    "bytesValue is of another type": with_value({"bytesValue": "s!cret"}),
    "arrayValue is no JSON object": with_value({"arrayValue": ["secret"]}),
    "values is no JSON list": with_value({"kvlistValue": {"values": "secret"}}),
    "key is no JSON string": with_value({"kvlistValue": {"values": [{"key": 5}]}}),
    "a span is no JSON object": ["scoring.id"],
    "damaged (TypeError)": {**GOOD, "status": {"code": ["secret"]}},
}


@pytest.mark.parametrize(("why", "span"), DAMAGED.items(), ids=DAMAGED)
def test_a_span_that_cannot_be_read_is_kept_and_costs_no_other(why, span):
    """A wrong type is named without its value; the span is kept, its neighbours are read."""
    read = read_among(span)
    check_kept(read, orjson.dumps(span), JSON)
    assert read.why == why


def test_a_span_of_others_that_cannot_be_read_is_none_of_ours():
    """Only what names a scoring is kept."""
    for span in (5, "text", {"attributes": 5}, {"attributes": [{"key": 5}]}):
        read = read_among(span)
        assert (read.spans, read.others, read.unreadable) == ([], 1, 0)


def test_spans_that_cannot_be_told_apart_are_kept_as_one():
    """Damage around spans costs only those."""
    for damaged in (
        {"scopeSpans": {"spans": [GOOD]}},
        {"scopeSpans": [{"spans": {"a": GOOD}}]},
        {"scopeSpans": [[GOOD]]},
        [GOOD],
    ):
        body = orjson.loads(request(GOOD))
        body["resourceSpans"].insert(0, damaged)
        read = read_otlp_json(orjson.dumps(body))
        assert len(read.spans) == 2
        assert read.spans[1].subscription_id == "s"
        check_kept(read._replace(spans=read.spans[:1]), read.spans[0].request, JSON)


def test_a_damaged_resource_is_a_problem_of_its_spans():
    """Without its resource a span might belong anywhere."""
    (span,) = read_otlp_json(request(GOOD, resource={"attributes": 5})).spans
    assert span.problems == ("the resource cannot be read: attributes is no JSON list",)


@pytest.mark.parametrize("depth", [30, 60, 120, 300])
def test_a_value_nested_too_deeply_is_kept(depth):
    """Deeper than is read, whatever JSON could be read is kept, to be read again as the same."""
    inner = b'{"doubleValue":1.5,"stringValue":null,"boolValue":null,"arrayValue":{"values":[]}}'
    deep = b'{"arrayValue":{"values":[{"stringValue":"\\"x"},' * depth + inner + b"]}}" * depth
    span = orjson.dumps(with_value("DEEP", attributes.REQUEST)).replace(b'"DEEP"', deep)
    good = orjson.dumps(GOOD)
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b,%b,%b]}]}]}' % (good, span, good)
    read = read_otlp_json(body)
    assert len(read.spans) == 3
    if depth <= 60:
        assert read.unreadable == 0
    else:
        assert read.why == "a value is nested deeper than 100"
        assert orjson.loads(read.spans[1].request) == orjson.loads(span)


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"5", b'{"resourceSpans":5}', b'{"resourceSpans":[', b"\xff",
     b"[" * 2000, b'{"resourceSpans":[' + b"[]," * 4_000_001 + b"[]]}"],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_request_is_refused(body):
    """What is no JSON object of that shape is refused, and so is what would fill the memory."""
    with pytest.raises(ConversionError, match="otlp_request: the body is no Export"):
        read_otlp_json(body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
RICH: dict[str, Any] = {
    **GOOD,
    "status": {"code": 2, "message": "m"},
    "events": [{"name": "exception", "attributes": [attribute("exception.type", {})]}],
    "attributes": [
        *GOOD["attributes"],
        attribute(attributes.NOTES, {"arrayValue": {"values": [{"stringValue": "n"}]}}),
        attribute(attributes.SEQUENCE, {"intValue": "5"}),
    ],
}


@fuzz
@given(data=st.data())
def test_whatever_stands_in_a_span_it_costs_no_other(data):
    """Any value in any place of a span leaves its neighbours as they are, and is not lost."""
    span = copy.deepcopy(RICH)
    place: Any = span
    while True:
        names = list(range(len(place))) if isinstance(place, list) else sorted(place)
        name = data.draw(st.sampled_from(names))
        if not isinstance(place[name], (dict, list)) or not place[name] or data.draw(st.booleans()):
            break
        place = place[name]
    place[name] = data.draw(anything)
    read = read_among(span)
    assert len(read.spans) + read.others == 1
