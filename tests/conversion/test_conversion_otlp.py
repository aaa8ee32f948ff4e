"""The reader of OTLP, in both formats, over requests that OpenTelemetry has encoded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode

from conversion.otlp_requests import (
    FUZZ_SECONDS,
    SPAN_ID,
    TRACE_ID,
    as_json,
    as_protobuf,
    ended,
    fuzz,
    of_message,
)
from scorespan import attributes
from scorespan.conversion.attribute_values import NAMES
from scorespan.conversion.convert import convert
from scorespan.conversion.otlp import Read, read_otlp, read_otlp_json
from scorespan.conversion.sdk import read_sdk
from scorespan.conversion.span import decode, encode
from scorespan.errors import ConversionError
from scorespan.record import PayloadRecord

REQUEST = '{"fields":["a"],"values":[[1]]}'
RESPONSE = '{"fields":["p"],"values":[[0]]}'
BODIES = {attributes.REQUEST: REQUEST, attributes.RESPONSE: RESPONSE}
SUBSCRIBED = {**BODIES, attributes.SUBSCRIPTION_ID: "s"}


class Format(NamedTuple):
    """One of the two formats: how a request is written, and how it is read."""

    write: Callable[..., bytes]
    of_message: Callable[[ExportTraceServiceRequest], bytes]
    read: Callable[[bytes], Read]


FORMATS = {
    "protobuf": Format(as_protobuf, ExportTraceServiceRequest.SerializeToString, read_otlp),
    "json": Format(as_json, of_message, read_otlp_json),
}


@pytest.fixture(params=FORMATS)
def door(request):
    """One format after the other."""
    return FORMATS[request.param]


def several(*found: dict[str, Any]) -> list[ReadableSpan]:
    """Spans with these attributes, each with ids of its own."""
    return [ended(held, ids=(TRACE_ID, SPAN_ID + place)) for place, held in enumerate(found)]


def test_a_span_of_each_format_becomes_a_record(door):
    """A span with bodies and a subscription is a payload record."""
    (span,) = door.read(door.write(ended(SUBSCRIBED))).spans
    record = convert(span)
    assert isinstance(record, PayloadRecord)
    assert record.request == REQUEST.encode()
    assert record.scoring_id == f"{TRACE_ID:032x}{SPAN_ID:016x}"


def test_a_request_without_spans_is_read(door):
    """Nothing in a request is nothing, not an error."""
    assert door.read(door.of_message(ExportTraceServiceRequest())) == ([], 0, 0, None)


def test_spans_that_are_no_scorings_are_counted(door):
    """A span of the application is not among the scoring spans."""
    spans = several(BODIES, {"http.method": "POST"}, {attributes.MODEL_NAME: "m"}, BODIES)
    read = door.read(door.write(*spans))
    assert (len(read.spans), read.others) == (2, 2)


def test_spans_of_several_resources_do_not_mix(door):
    """Each span has the ids and names of its own resource; its own ids win."""
    ours = {"service.name": "ours", attributes.SUBSCRIPTION_ID: "o", attributes.BINDING_ID: "b"}
    theirs = {"service.name": "theirs", "service.instance.id": "i"}
    spans = [ended(BODIES, ours), ended(SUBSCRIBED, ours), ended(BODIES, theirs)]
    read = door.read(door.write(*spans))
    assert [
        (span.service_name, span.service_instance_id, span.subscription_id, span.binding_id)
        for span in read.spans
    ] == [("ours", None, "o", "b"), ("ours", None, "s", "b"), ("theirs", "i", None, None)]


def test_a_large_request_is_read_as_a_small_one(door):
    """What is read part by part is the same as what is read at once."""
    found = {**BODIES, attributes.CLIENT_ID: "c" * 600, attributes.PRODUCER_ID: "p"}
    failed = Status(StatusCode.ERROR, "no")
    spans = [
        ended({**found, attributes.SEQUENCE: number}, {"service.name": "svc"}, status=failed)
        for number in range(3000)
    ]
    body = door.write(*spans)
    assert len(body) > 2 * 1024 * 1024
    assert door.read(body) == (list(map(read_sdk, spans)), 0, 0, None)


def test_whole_numbers_of_every_length_are_read(door):
    """Producers count from 1 on, as far as 64 bits go, and response times may be negative."""
    numbers = [0, 1, 127, 128, 16383, 16384, 2**31, 2**56 - 1, 2**56, 2**63 - 1, -1, -(2**63)]
    spans = several(*({**BODIES, attributes.SEQUENCE: number} for number in numbers))
    assert [span.sequence for span in door.read(door.write(*spans)).spans] == numbers


def test_a_number_is_told_from_what_is_as_long(door):
    """Such as the larger number of a shorter name, and a text."""
    spans = several(
        {**BODIES, attributes.RESPONSE_TIME: 5, attributes.SEQUENCE: 5},
        {**BODIES, attributes.SEQUENCE: 2**35, "http.route": "/" * 9, "http.path": "/" * 15},
        {**BODIES, attributes.PROBLEM: "a"},
    )
    assert door.read(door.write(*spans)).spans == list(map(read_sdk, spans))


@pytest.mark.parametrize("size", [*range(90, 140), *range(16_350, 16_390), 2_097_150, 3_000_000])
def test_bodies_of_every_length_are_read(size):
    """Where a length takes one more byte, a body is read as everywhere."""
    body, answer = "x" * size, "y" * (size + 3)
    spans = several(
        {attributes.REQUEST: body, attributes.RESPONSE: answer, attributes.MODEL_NAME: body},
        {attributes.REQUEST: answer, attributes.RESPONSE: body},
        # As long as an attribute as the first one's request.
        {attributes.RESPONSE: body[1:], attributes.REQUEST: body},
        {attributes.REQUEST: [1], attributes.MODEL_NAME: body[3:]},
    )
    assert read_otlp(as_protobuf(*spans)).spans == list(map(read_sdk, spans))


def test_the_same_attribute_of_many_spans_is_each_ones(door):
    """Spans that say the same of model and service, and differ in ids, keep both."""
    shared = {**BODIES, attributes.MODEL_NAME: "m", attributes.CLIENT_ID: "c"}
    spans = several(
        *({**shared, attributes.ID: f"id-{number}"} for number in range(600)),
        *({**shared, attributes.CLIENT_ID: f"c-{number}"} for number in range(600)),
        {**BODIES, attributes.MODEL_NAME: 5, attributes.CLIENT_ID: "c"},
    )
    assert door.read(door.write(*spans)).spans == list(map(read_sdk, spans))


# Status, ids and times.


def test_the_last_exception_is_the_one_that_ended_it(door):
    """Type and message are those of the last exception event of a failed span."""
    events = [
        ("exception", {"exception.type": "KeyError", "exception.message": "first"}),
        ("exception", {"exception.type": "OSError", "exception.message": "last"}),
        ("retry", {"exception.type": "no exception"}),
    ]
    (span,) = door.read(
        door.write(ended(BODIES, status=Status(StatusCode.ERROR, "d"), events=events))
    ).spans
    assert (span.failed, span.error_type, span.error_message) == (True, "OSError", "last")


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [
        (b"", b""),
        (b"\1" * 16, b""),
        (b"\1" * 5, b"\2" * 8),
        (b"\1" * 8, b"\2" * 16),
        (bytes(16), b"\2" * 8),
        (b"\1" * 16, bytes(8)),
    ],
)
def test_a_span_without_any_id_is_no_record(door, trace_id, span_id):
    """Two spans without ids must not be taken for one: they are refused, with what is there."""
    said = [{}, {attributes.ID: "", attributes.PROBLEM: "told"}, {attributes.ID: "given"}]
    request = encode_spans([ended({**SUBSCRIBED, **more}) for more in said])
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id, span.span_id = trace_id, span_id
    without, empty, given = door.read(door.of_message(request)).spans
    assert (without.trace_id, without.span_id) == (trace_id.hex(), span_id.hex())
    problem = "scoring.id: none, and no trace id and span id to make it of"
    assert (without.problems, empty.problems) == ((problem,), ("told", problem))
    assert isinstance(convert(without), ConversionError)
    assert isinstance(convert(given), PayloadRecord)


def test_a_time_beyond_64_bits_with_sign_is_a_problem(door):
    """A start that no clock has is named, beside what the producer itself has told."""
    span = ended({**BODIES, attributes.PROBLEM: "told"}, times=(2**64 - 1, 2**63))
    (read,) = door.read(door.write(span)).spans
    assert (read.start_time, read.end_time) == (0, 0)
    (problem,) = read.problems
    told = problem.split("; ")
    expected = "the span's {} is not a time in nanoseconds of 64 bits"
    assert told == ["told", expected.format("start"), expected.format("end")]


# Damage.


def refused_or_read(read: Callable[[bytes], Read], body: bytes) -> Read | None:
    """What a body holds; None where it is refused, which says nothing of what it holds."""
    try:
        return read(body)
    except ConversionError as refused:
        error = refused
    assert error.code == "otlp_request"
    assert "secret" not in error.reason
    return None


@fuzz
@given(body=st.binary() | st.binary(min_size=100))
def test_arbitrary_bytes_are_read_or_refused(body):
    """Whatever comes is read or refused with a reason; nothing else is raised."""
    for door in FORMATS.values():
        refused_or_read(door.read, body)


SAMPLE = several(
    {**SUBSCRIBED, "http.route": "secret", attributes.ID: "first"},
    {attributes.REQUEST: {"a": [1, None, {"secret": b"x"}]}, attributes.ID: "second"},
    {"http.method": "POST"},
    {**SUBSCRIBED, attributes.NOTES: ["secret"], attributes.SEQUENCE: 5, attributes.ID: "fourth"},
)
SAMPLES = {name: door.write(*SAMPLE) for name, door in FORMATS.items()}


OF_ANY_TYPE = st.sampled_from(
    [
        {},
        {"string_value": "5"},
        {"string_value": "ÿ" * 90},
        {"string_value": "x" * 200},
        {"int_value": 5},
        {"int_value": -1},
        {"double_value": 0.5},
        {"bool_value": True},
        {"bytes_value": b"\xff"},
        {"array_value": ArrayValue(values=[AnyValue(string_value="a")])},
        {"array_value": ArrayValue(values=[AnyValue(int_value=1)])},
        {"kvlist_value": KeyValueList(values=[KeyValue(key="a")])},
    ]
)
PAIRS = st.sampled_from(sorted(NAMES)).flatmap(lambda name: st.tuples(st.just(name), OF_ANY_TYPE))


@fuzz
@given(
    pairs=st.lists(PAIRS, max_size=6),
    again=st.lists(OF_ANY_TYPE, min_size=2, max_size=4),
    name=st.sampled_from(sorted(NAMES)),
    data=st.data(),
)
def test_the_last_of_a_name_counts(pairs, again, name, data):
    """An attribute that a span has more than once is its last, of whatever type, in each format."""
    pairs = data.draw(st.permutations([*pairs, *((name, value) for value in again)]))
    request = encode_spans([ended(SUBSCRIBED, SUBSCRIBED)])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.extend(KeyValue(key=key, value=AnyValue(**value)) for key, value in pairs)
    read = read_otlp(request.SerializeToString())
    assert read == read_otlp_json(of_message(request))
    last = {pair.key: KeyValue(key=pair.key, value=pair.value) for pair in span.attributes}
    del span.attributes[:]
    span.attributes.extend(list(last.values()))
    assert read == read_otlp(request.SerializeToString())


@fuzz
@given(data=st.data(), name=st.sampled_from(sorted(FORMATS)))
def test_a_request_cut_anywhere_is_read_or_refused(data, name):
    """A request that ends too early is refused, or is what stands before the cut."""
    body = SAMPLES[name]
    read = refused_or_read(FORMATS[name].read, body[: data.draw(st.integers(0, len(body) - 1))])
    assert read is None or len(read.spans) <= 3


@fuzz
@given(data=st.data(), name=st.sampled_from(sorted(FORMATS)))
def test_a_flipped_bit_is_read_or_refused(data, name):
    """Damage within one span costs at most that span; no reason repeats a value."""
    body = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 8 * len(body) - 1))
        body[place // 8] ^= 1 << place % 8
    read = refused_or_read(FORMATS[name].read, bytes(body))
    if read is not None:
        assert read.unreadable <= len(read.spans)
        assert (read.why is None) == (read.unreadable == 0)
        assert "secret" not in (read.why or "")
        for span in read.spans:
            decode(b"".join(encode(span)))
            convert(span)


# Size.

PEAK = """
import resource, sys
from scorespan.conversion.otlp import read_otlp, read_otlp_json
from scorespan.errors import ConversionError
prefix, unit, count, read = eval(sys.argv[1])
body = unit * count
for tag in reversed(prefix):
    size, digits = len(body), bytearray()
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    body = bytes((tag, *digits, size)) + body
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    found = locals()["read_otlp" if read else "read_otlp_json"](body)
    print(len(found.spans), found.others, found.unreadable, end=" ")
except ConversionError as error:
    print(error.code, end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

pytestmark = pytest.mark.timeout(FUZZ_SECONDS)


@pytest.mark.parametrize(
    ("prefix", "unit", "said"),
    [
        (b"", b"\x0a\x00", "otlp_request"),
        (b"", b"\x08\x01", "otlp_request"),
        (b"\x0a", b"\x12\x00", "0 1 0"),
        (b"\x0a\x12", b"\x12\x00", "0 1 0"),
        (b"\x0a\x12\x12", b"\x4a\x00", "0 1 0"),
        (b"\x0a\x12\x12", b"\x4a\x0e\x0a\x0cscoring.id\x00\x00", "1 0 1"),
        (b"\x0a\x12\x12\x5a", b"\x1a\x00", "0 1 0"),
    ],
    ids=["resources", "numbers", "scopes", "spans", "attributes", "marked", "events"],
)
def test_very_many_small_parts_take_no_memory(prefix, unit, said):
    """32 MiB of fields of a few bytes are no gigabytes and no minutes; a marked span is kept."""
    what = repr((prefix, unit, 32 * 1024 * 1024 // len(unit), True))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, what], capture_output=True, text=True, check=True
    )
    *outcome, peak = done.stdout.split()
    assert " ".join(outcome) == said
    assert int(peak) <= 300


def test_a_million_attributes_on_one_span_are_read():
    """A span with a million attributes of others is still the scoring that it is."""
    request = encode_spans([ended(SUBSCRIBED)])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    raw = b"".join(b"\x4a\x0e\x0a\x06%06x\x12\x04\x0a\x02ab" % number for number in range(10**6))
    span.MergeFromString(raw)
    assert len(span.attributes) == 10**6 + 3
    (read,) = read_otlp(request.SerializeToString()).spans
    assert read == read_sdk(ended(SUBSCRIBED))
