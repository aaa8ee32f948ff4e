"""The reader of OTLP in protobuf, over bytes that no encoder of OpenTelemetry writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from conversion.otlp_requests import FUZZ_SECONDS, check_kept, fuzz
from scorespan import attributes
from scorespan.conversion.attribute_values import NAMES
from scorespan.conversion.convert import convert
from scorespan.conversion.otlp import Read, read_otlp
from scorespan.errors import ConversionError

pytestmark = pytest.mark.timeout(FUZZ_SECONDS)

PROTOBUF = "application/x-protobuf"


def number(value: int, digits: int = 1) -> bytes:
    """A number as protobuf has it, in at least so many digits."""
    found = bytearray()
    while value > 127 or len(found) + 1 < digits:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))


def field(place: int, value: bytes, digits: int = 1) -> bytes:
    """A field with text, bytes or a message."""
    return number(place << 3 | 2) + number(len(value), digits) + value


def text(value: str | bytes) -> bytes:
    """A text as AnyValue."""
    return field(1, value.encode() if isinstance(value, str) else value)


def attribute(name: str, value: bytes) -> bytes:
    """An attribute of a span; the value is an AnyValue."""
    return field(9, field(1, name.encode()) + field(2, value))


IDS = field(1, b"\1" * 16) + field(2, b"\2" * 8)
GOOD = IDS + b"".join(
    attribute(name, text(value))
    for name, value in {
        attributes.REQUEST: '{"fields":["a"],"values":[[1]]}',
        attributes.RESPONSE: '{"fields":["p"],"values":[[0]]}',
        attributes.SUBSCRIPTION_ID: "s",
    }.items()
)


def request(*spans: bytes, resource: bytes = b"") -> bytes:
    """A request with these spans, each in its wire form, in one scope."""
    scope = b"".join(field(2, span) for span in spans)
    return field(1, field(1, resource) + field(2, scope))


def read_among(span: bytes) -> Read:
    """What is read where a span stands between two good ones, which must be read in any case."""
    read = read_otlp(request(GOOD, span, GOOD))
    first, *found, last = read.spans
    assert first == last
    assert first.problems is None
    return read._replace(spans=found)


DAMAGED = {
    "cut": attribute(attributes.REQUEST, text("secret"))[:-1],
    "no length": GOOD + b"\x4a",
    "endless number": GOOD + b"\x38" + b"\xff" * 11,
    "a group": GOOD + b"\x5b",
    "no field": GOOD + b"\x00",
    "a cut attribute": field(9, field(1, b"scoring.id") + b"\x12\x7f"),
    "a cut value": GOOD + attribute(attributes.NOTES, b"\x2a\x05\x0a"),
    "a cut number": GOOD + attribute(attributes.SEQUENCE, b"\x18\x85"),
    "a damaged status": GOOD + field(15, b"\x12\x7f"),
    "a damaged event": GOOD + field(15, b"\x18\x02") + field(11, b"\x12\x7f"),
    "a damaged exception": GOOD
    + field(15, b"\x18\x02")
    + field(11, field(2, b"exception") + field(3, b"\x0a\x0eexception.type\x12\x7f")),
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_scoring_span_is_kept_and_costs_no_other(raw):
    """A span that cannot be read is kept to the byte, with the reason; its neighbours are read."""
    read = read_among(raw)
    check_kept(read, raw, PROTOBUF)
    assert read.why == "damaged (DecodeError)"


def test_the_reason_of_a_request_is_that_of_its_first_unreadable_span():
    """Others are with their spans."""
    large = IDS + attribute(attributes.REQUEST, field(5, bytes(8 * 1024 * 1024)))
    damaged = DAMAGED["a cut value"]
    for first, second in ((large, damaged), (damaged, large)):
        read = read_otlp(request(first, GOOD, second))
        assert read.unreadable == 2
        assert read.spans[0].problems == (read.why,)
        assert read.spans[2].problems != (read.why,)


@pytest.mark.parametrize("raw", [b"\x4a", attribute("http.route", text("a")) + b"\x4a\x05"])
def test_a_damaged_span_of_others_is_none_of_ours(raw):
    """Damage in a span that names no scoring is counted with the spans that are none."""
    read = read_among(raw)
    assert (read.spans, read.others, read.unreadable) == ([], 1, 0)


def test_damage_in_attributes_of_others_costs_nothing():
    """What is not read cannot be damaged."""
    raw = (
        GOOD + field(9, b"\x0a\x7f") + attribute("http.route", b"\x2a\x7f") + field(11, b"\x12\x7f")
    )
    assert read_among(raw).spans == read_otlp(request(GOOD)).spans


def test_damage_between_spans_costs_only_what_it_hit():
    """Where spans of a resource or scope cannot be told apart, they are kept as one."""
    good = field(1, field(2, field(2, GOOD)))
    for damaged in (field(2, field(2, GOOD) + b"\x12\x7f"), field(2, field(2, GOOD)) + b"\x12\x7f"):
        read = read_otlp(good + field(1, damaged) + good)
        assert len(read.spans) == 3
        check_kept(read._replace(spans=read.spans[:2]), read.spans[1].request, PROTOBUF)
        assert GOOD in read.spans[1].request
    with pytest.raises(ConversionError, match="otlp_request"):
        read_otlp(good + b"\x0a\x7f")


def test_a_damaged_resource_is_a_problem_of_its_spans():
    """Without its resource a span might belong anywhere: it is refused, with everything it has."""
    for resource in (b"\x0a\x7f", field(1, field(1, b"scoring.subscription.id") + b"\x12\x7f")):
        read = read_otlp(request(GOOD, IDS, resource=resource))
        (span,) = read.spans
        assert (read.others, read.unreadable) == (1, 0)
        assert span.problems == ("the resource cannot be read: damaged (DecodeError)",)
        assert span.subscription_id == "s"


def test_a_value_nested_too_deeply_is_kept():
    """Deeper than protobuf reads, an attribute of ours is kept, and one of others is left out."""
    value = text("secret")
    for _ in range(200):
        value = field(5, field(1, value))
    raw = IDS + attribute(attributes.REQUEST, value)
    check_kept(read_among(raw), raw, PROTOBUF)
    assert read_among(GOOD + attribute("http.route", value)).spans[0].problems is None


def test_a_very_large_array_is_kept_unread():
    """In memory it would take many times its bytes; a text of that size is a body."""
    size = 8 * 1024 * 1024
    raw = IDS + attribute(attributes.REQUEST, field(5, field(1, text("x")) + field(2, bytes(size))))
    read = read_among(raw)
    check_kept(read, raw, PROTOBUF)
    assert read.why == "an array or map of more than 8388608 bytes"
    for body in (text("x" * size), field(7, b"x" * size)):
        (span,) = read_among(IDS + attribute(attributes.REQUEST, body)).spans
        assert span.request == b"x" * size
    for name in ("http.route", "my.scoring.request", "scoring.request.raw"):
        other = attribute(name, field(5, bytes(size)))
        assert read_among(GOOD + other).spans[0].problems is None


@fuzz
@given(body=st.binary())
def test_a_body_is_kept_to_the_byte(body):
    """A body that is no UTF-8 is for the conversion to judge, as text or as bytes."""
    for value in (text(body), field(7, body)):
        raw = IDS + attribute(attributes.REQUEST, value) + attribute(attributes.RESPONSE, value)
        (span,) = read_among(raw).spans
        assert (span.request, span.response, span.problems) == (body, body, None)


def test_an_id_that_is_no_utf8_is_a_problem():
    """A text attribute that is no text is named; it is no key."""
    for name in (attributes.ID, attributes.SUBSCRIPTION_ID, attributes.PRODUCER_ID):
        (span,) = read_among(GOOD + attribute(name, text(b"\xff"))).spans
        assert span.problems == (f"{name}: a string is needed, not bytes b'\\xff'",)


def test_a_name_or_message_that_is_no_utf8_is_shown():
    """What is only shown is made readable."""
    status = field(15, field(2, b"no\xff") + b"\x18\x02")
    (span,) = read_among(GOOD + field(5, b"a\xff") + status).spans
    assert (span.name, span.error_message) == ("a\\xff", "no\\xff")


def test_a_map_that_is_no_utf8_is_refused_as_a_record():
    """A text inside a map that is no UTF-8 stays visible, and the record is refused for it."""
    value = field(6, field(1, field(1, b"a") + field(2, text(b"\xff"))))
    raw = IDS + attribute(attributes.REQUEST, value)
    (span,) = read_among(raw).spans
    assert span.request == b'{"a":"\\udcff"}'
    assert isinstance(convert(span._replace(subscription_id="s", response=b"[0]")), ConversionError)


# Other forms of the same.

digits = st.integers(1, 5)


@fuzz
@given(data=st.data())
def test_every_form_of_an_attribute_is_read(data):
    """Fields in another order, longer lengths, unknown fields and repeated ones say the same."""
    name, value, held = data.draw(
        st.sampled_from(
            [
                (attributes.REQUEST, text("x" * 130), ("request", b"x" * 130)),
                (attributes.ID, text("id"), ("scoring_id", "id")),
                (attributes.MODEL_NAME, text("m"), ("model_name", "m")),
                (attributes.SEQUENCE, b"\x18" + number(5), ("sequence", 5)),
                (attributes.NOTES, field(5, field(1, text("n"))), ("notes", ("n",))),
            ]
        )
    )
    before = [field(1, b"other"), field(2, text("other")), field(2, b"\x18\x07"), field(9, b"a")]
    parts = data.draw(st.lists(st.sampled_from(before), max_size=2))
    parts += data.draw(
        st.permutations(
            [field(1, name.encode(), data.draw(digits)), field(2, value, data.draw(digits))]
        )
    )
    after = [b"", field(9, b"a"), b"\x50" + number(1, data.draw(digits))]
    parts.append(data.draw(st.sampled_from(after)))
    raw = GOOD + field(9, b"".join(parts), data.draw(digits))
    (span,) = read_among(raw).spans
    assert getattr(span, held[0]) == held[1]
    assert span.problems is None


# Attributes of few lengths: nearly every one is as long as another one of the request.
like = st.sampled_from([b"", b"a", b"ab", b"abc", b"x" * 105, b"y" * 105, b"x" * 106, b"y" * 107])
values = st.lists(
    st.one_of(
        like.map(text),
        like.map(lambda held: field(7, held)),
        st.integers(0, 2**64 - 1).map(lambda held: b"\x18" + number(held)),
        st.tuples(st.integers(0, 300), digits).map(lambda held: b"\x18" + number(*held)),
        st.just(b"\x10\x01"),
        like.map(lambda held: field(5, field(1, text(held)))),
    ),
    max_size=2,
).map(b"".join)
keys = st.sampled_from([*sorted(NAMES), "scoring.notez", "scoring.sequencf", "http.method"])
pairs = st.builds(
    lambda key, value, name_digits, value_digits, behind: (
        field(1, key.encode(), name_digits) + field(2, value, value_digits) + behind
    ),
    keys,
    values,
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([b"", b"", b"", b"\x50\x01", field(2, b"\x18\x07")]),
)


@fuzz
@given(
    spans=st.lists(
        st.lists(pairs, max_size=5, unique_by=lambda raw: KeyValue.FromString(raw).key),
        min_size=2,
        max_size=12,
    )
)
def test_no_attribute_is_taken_for_another_one(spans):
    """Whatever was in a request before it, a span is read as it is alone, by a parser alone."""

    def plainly(raw: bytes) -> bytes:
        # Nothing but a parser reads the value before the key.
        pair = KeyValue.FromString(raw)
        return field(2, pair.value.SerializeToString()) + field(1, pair.key.encode())

    def span(held: list[bytes]) -> bytes:
        return IDS + b"".join(field(9, raw) for raw in held)

    expected = [read_otlp(request(span(list(map(plainly, held))))) for held in spans]
    read = read_otlp(request(*map(span, spans)))
    assert read.spans == [found for alone in expected for found in alone.spans]
    assert read.others == sum(alone.others for alone in expected)


def test_an_integer_with_something_behind_it_is_what_protobuf_says():
    """Of values that exclude one another the last one counts; a number may have needless digits."""
    for value, sequence in (
        (b"\x18\x05\x18\x07", 7),
        (b"\x18\x85\x00", 5),
        (b"\x18\x05" + text("x"), None),
        (text("x") + b"\x18\x05", 5),
        (b"\x18" + number(2**64 - 1), -1),
    ):
        (span,) = read_among(GOOD + attribute(attributes.SEQUENCE, value)).spans
        assert span.sequence == sequence
        assert (span.problems is None) == (sequence is not None)


def test_a_resource_in_parts_is_one():
    """Protobuf allows a message to come in parts; they are one resource."""
    first = field(1, field(1, b"service.name") + field(2, text("svc")))
    second = field(1, field(1, b"scoring.deployment.id") + field(2, text("d")))
    read = read_otlp(field(1, field(1, first) + field(2, field(2, GOOD)) + field(1, second)))
    assert (read.spans[0].service_name, read.spans[0].deployment_id) == ("svc", "d")


def test_what_is_no_request_is_refused():
    """JSON, text and the end of a request are none; the reason says so."""
    for body in (b'{"resourceSpans":[]}', b"hello", request(GOOD)[:-1]):
        with pytest.raises(ConversionError, match="otlp_request: the body is no Export"):
            read_otlp(body)


@pytest.mark.parametrize("size", [1, 3 * 1024 * 1024], ids=["small", "large"])
def test_a_scoring_where_no_span_is_looked_for_is_kept(size):
    """The scopes of years ago stood elsewhere; what a sender takes for taken must not be gone."""
    body = field(1, field(1000, field(2, GOOD)) + field(3, b"x" * size))
    read = read_otlp(body)
    check_kept(read, body, PROTOBUF)
    assert (len(read.spans), read.others) == (1, 0)
    assert read.why == "no spans where OTLP has them"
