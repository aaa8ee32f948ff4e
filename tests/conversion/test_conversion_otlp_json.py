"""The reader of OTLP in JSON, over what senders write by hand or wrongly."""

from __future__ import annotations

import copy
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.otlp_requests import FUZZ_SECONDS, check_kept, fuzz
from scorespan import attributes
from scorespan.conversion.otlp import Read, read_otlp_json
from scorespan.conversion.span import ScoringSpan, decode, encode
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


@pytest.mark.parametrize("depth", [200, 500, 1000])
def test_what_no_writer_of_json_takes_is_kept(depth):
    """Parsers read deeper than they write; what they read is kept."""
    deep = b"[" * depth + b'{"a":["scoring.id",1.5,null,{}],"":[]}' + b"]" * depth
    (span,) = read_otlp_json(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % deep).spans
    assert span.request == deep


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"5", b'{"resourceSpans":5}', b'{"resourceSpans":[', b"\xff",
     b"[" * 2000, b'{"resourceSpans":[' + b"[]," * 4_000_001 + b"[]]}",
     b"NaN", b'{"a":"\\ud83d"', b'{"a":"\\ud83d","resourceSpans":5}', b'{"a":' + b"-" * 5000 + b"}",
     b'{"resourceSpans":[NaN,' + b"[]," * 1_000_001 + b"[]]}",
     b'{"resourceSpans":[NaN,' + b" " * 2**24 + b"5]}", b"NaN" + b"[" * 5000],
    ids=range(16),
)  # fmt: skip
def test_what_is_no_request_is_refused(body):
    """What is no JSON object of that shape is refused, and so is what would fill the memory."""
    with pytest.raises(ConversionError, match="otlp_request: the body is no Export"):
        read_otlp_json(body)


# Odd text and numbers, and names of other spellings.

ODD = {
    "half a pair": rb'"\ud83d"',
    "the other half": rb'"\ude00x"',
    "no UTF-8": b'"\xff"',
    "a control character": b'"a\nb"',
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "a large float": b"-1e400",
    "a large number": b"9" * 400,
    "a long number": b"9" * 5000,
}


def with_odd(span: Any, odd: bytes, *more: dict[str, Any]) -> Read:
    """What is read where `ODD` in a span is this text, and good spans stand around it."""
    body = request(GOOD, span, GOOD, *more)
    assert body.count(b'"ODD"') == 1
    read = read_otlp_json(body.replace(b'"ODD"', odd))
    assert read.spans[0] == read.spans[-1] == read_otlp_json(request(GOOD)).spans[0]
    return read


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    "span",
    [
        {**GOOD, "traceState": "ODD"},
        {**GOOD, "attributes": [*GOOD["attributes"], attribute("a", {"stringValue": "ODD"})]},
        {**GOOD, "events": [{"name": "exception", "attributes": ["ODD"]}]},
    ],
    ids=["member", "attribute", "event"],
)
def test_what_is_odd_where_nothing_is_read_costs_nothing(odd, span):
    """A batch is not refused for a text or number that JSON or UTF-8 does not have."""
    read = with_odd(span, odd)
    assert (len(read.spans), read.others, read.unreadable) == (3, 0, 0)
    assert read.spans[1] == read.spans[0]


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("span", [{"name": "ODD"}, {"traceId": "ODD"}, ["ODD"]])
def test_what_is_odd_in_another_span_is_none_of_ours(odd, span):
    """Spans that are no scorings are not even looked into."""
    read = with_odd(span, odd)
    assert (len(read.spans), read.others, read.unreadable) == (2, 1, 0)


@pytest.mark.parametrize(
    ("value", "odd", "held"),
    [
        ({"stringValue": "ODD"}, rb'"{\ud83d\u00ff"', b"{\xed\xa0\xbd\xc3\xbf"),
        ({"stringValue": "ODD"}, rb'"\ude00\ud83d\ude00"', b"\xed\xb8\x80\xf0\x9f\x98\x80"),
        ({"stringValue": "ODD"}, b'"a\nb"', b"a\nb"),
        ({"arrayValue": {"values": [{"stringValue": "ODD"}]}}, rb'"\ud83d"', rb'["\ud83d"]'),
        ({"doubleValue": "ODD"}, b"NaN", b"null"),
        ({"doubleValue": "ODD"}, b"-Infinity", b"null"),
        ({"doubleValue": "ODD"}, b"1e400", b"null"),
        ({"doubleValue": "ODD"}, b"9" * 5000, b"null"),
    ],
)
def test_a_body_that_is_odd_is_what_the_other_doors_make_of_it(value, odd, held):
    """Half a pair stays what it is; a number that JSON has not is null."""
    read = with_odd(with_value(value, attributes.REQUEST), odd)
    assert read.spans[1].request == held
    assert read.unreadable == 0


def test_a_text_with_half_a_pair_is_kept_visible():
    """Whoever looks for the record finds the text, and where it was cut."""
    read = with_odd(with_value({"stringValue": "ODD"}, attributes.MODEL_NAME), rb'"m\ud83d"')
    (entry,) = encode(read.spans[1])
    assert decode(entry).model_name == r"m\ud83d"
    assert decode(entry).problems is None
    read = with_odd({**GOOD, "name": "ODD"}, b'"\xff"')
    (entry,) = encode(read.spans[1])
    assert decode(entry).name == r"\udcff"


@pytest.mark.parametrize(
    ("span", "odd", "kept", "why"),
    [
        (
            {**GOOD, "traceId": "ODD", "nan": "\x7fÿ"},
            rb'"\ud83d"',
            rb'"\ud83d"',
            "traceId is not in hex",
        ),
        (
            {**GOOD, "startTimeUnixNano": "ODD"},
            b"NaN",
            b'"NaN"',
            "startTimeUnixNano is no time in nanoseconds",
        ),
        (
            {**GOOD, "endTimeUnixNano": "ODD"},
            b"9" * 5000,
            b'"%b"' % (b"9" * 5000),
            "endTimeUnixNano is no time in nanoseconds",
        ),
        (with_value({"intValue": "ODD"}), b"1e400", b'"1e400"', "intValue is of another type"),
    ],
)
def test_what_is_odd_where_it_is_read_costs_its_span_alone(span, odd, kept, why):
    """The span is kept, with what is odd in it, and is read again as the same."""
    read = with_odd(span, odd)
    assert (len(read.spans), read.unreadable, read.why) == (3, 1, why)
    assert kept in read.spans[1].request
    again = read_otlp_json(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}'
                           % read.spans[1].request)  # fmt: skip
    assert again.spans == [read.spans[1]]


def test_numbers_beside_what_is_odd_are_read_as_ever():
    """A number of 64 bits is exact, a larger one a float, with or without something odd."""
    for digits in (b"9223372036854775807", b"-9223372036854775808", b"5", b"5.0", b"-0"):
        span = with_value({"intValue": "ODD"}, attributes.SEQUENCE)
        (plain,) = read_otlp_json(request(span).replace(b'"ODD"', digits)).spans
        assert with_odd(span, digits, {"name": 5, "odd": "x"}).spans[1] == plain
        assert with_odd(span, digits + b',"\xff":NaN').spans[1] == plain
    span = with_value({"doubleValue": "ODD"}, attributes.REQUEST)
    read = with_odd(span, b'18446744073709551616,"a":NaN')
    assert read.spans[1].request == b"1.8446744073709552e+19"


def test_what_is_odd_and_deep_is_kept():
    """A part that no parser's writer takes is written whatever it holds."""
    deep = b"[" * 500 + rb'{"\ud83d":["\ud83d",NaN,"scoring.id",{}]}' + b"]" * 500
    (span,) = read_otlp_json(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % deep).spans
    assert span.request == deep.replace(b"NaN", b'"NaN"')


def spelt(value: Any) -> Any:
    """The same with names as protobuf spells them."""
    if isinstance(value, list):
        return list(map(spelt, value))
    if isinstance(value, dict):
        return {
            re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name): spelt(held)
            for name, held in value.items()
        }
    return value


def test_names_spelt_as_in_protobuf_are_read():
    """Both spellings are read as the same, of every member and every kind of value."""
    inner = {"kvlistValue": {"values": [{"key": "aB", "value": {"bytesValue": "eA=="}}]}}
    values = {"arrayValue": {"values": [inner, {"doubleValue": 0.5}, {"boolValue": True}]}}
    span = with_value(values, attributes.RESPONSE)
    span["attributes"].append(attribute(attributes.SEQUENCE, {"intValue": "5"}))
    body = request(span, resource={"attributes": GOOD["attributes"][1:]})
    other = orjson.dumps(spelt(orjson.loads(body)))
    assert b"resource_spans" in other
    assert b"kvlist_value" in other
    read = read_otlp_json(body)
    assert len(read.spans) == 1
    assert read_otlp_json(other) == read


@pytest.mark.parametrize(
    "name", ["instrumentationLibrarySpans", "instrumentation_library_spans", "scope_spans"]
)
def test_older_names_of_scopes_are_read(name):
    """Senders of years ago, and their Collectors, still have spans."""
    body = request(GOOD, {}, GOOD)
    assert read_otlp_json(body.replace(b"scopeSpans", name.encode())) == read_otlp_json(body)


@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps({"scopeSpans": [{"spans": [GOOD]}]}),
        orjson.dumps({"resourceSpans": [{"scopes": [{"spans": [GOOD]}]}]}),
    ],
)
def test_a_scoring_where_no_span_is_looked_for_is_kept(body):
    """What a sender takes for taken must not be gone."""
    read = read_otlp_json(body)
    check_kept(read, body, JSON)
    assert (len(read.spans), read.others) == (1, 0)
    assert read.why == "no spans where OTLP has them"


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
