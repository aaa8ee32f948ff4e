"""The two doors: a span read from the SDK and the same span read from OTLP are the same."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import json
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode

from conversion.otlp_requests import FUZZ_SECONDS, as_json, as_protobuf, ended, fuzz
from scorespan import attributes
from scorespan.conversion.attribute_values import NAMES, OF_RESOURCE
from scorespan.conversion.otlp import read_otlp, read_otlp_json
from scorespan.conversion.sdk import read_sdk

pytestmark = pytest.mark.timeout(FUZZ_SECONDS)


class Name(str, enum.Enum):
    """Text of a derived type."""

    CREDIT = "credit"


class Level(enum.IntEnum):
    """A number of a derived type."""

    HIGH = 3


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 - an untyped one is the case

integer = st.integers(-(2**63), 2**63 - 1)
odd = st.sampled_from(
    [
        Name.CREDIT,
        Level.HIGH,
        Pair(1, "b"),
        np.str_("credit"),
        np.float64(1.5),
        np.int64(5),
        bytearray(b"ab"),
        dt.date(2026, 1, 31),
    ]
)
plain = st.one_of(
    st.none(), st.booleans(), integer, st.floats(), st.text(), st.binary(max_size=20), odd
)
anything = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4)
    ),
    max_leaves=8,
)
texts = st.lists(st.text(), max_size=3)
body = st.text() | st.text(min_size=100) | anything
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    attributes.REQUEST: body,
    attributes.RESPONSE: body,
    attributes.FEATURE_NAMES: texts,
    attributes.NOTES: texts,
    attributes.RESPONSE_TIME: integer,
    attributes.SEQUENCE: integer,
}
held = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(RIGHT.get(name, st.text()), anything)
        for name in (*sorted(NAMES), "http.method")
    },
)
resources = st.fixed_dictionaries(
    {}, optional={name: st.text() | anything for name in (*sorted(OF_RESOURCE), attributes.REQUEST)}
)
time = st.integers(0, 2**64 - 1) | st.none() | st.just(np.int64(5))
statuses = st.builds(Status, st.sampled_from(StatusCode), st.none() | st.text())
recorded = st.fixed_dictionaries(
    {},
    optional={name: st.text() | anything for name in ("exception.type", "exception.message", "a")},
)
# As a sender has them that counts in UTF-16: a text may be cut within a character.
cut_texts = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\ud83d\ude00\udc80")
).map(lambda text: json.loads(json.dumps(text)))
spans = st.fixed_dictionaries(
    {
        "attributes": held,
        "resource": resources,
        "name": st.text(),
        "ids": st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1)),
        "times": st.tuples(time, time),
        "status": statuses,
        "events": st.lists(
            st.tuples(st.sampled_from(["exception", "other"]), recorded), max_size=3
        ),
    }
)


def carried(held: dict[str, Any]) -> ReadableSpan:
    """The span, without those attributes that OpenTelemetry itself cannot encode."""
    span = ended(**held)
    group = encode_spans([span]).resource_spans[0]
    encoded = group.scope_spans[0].spans[0]

    def those_of(message: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {pair.key: given[pair.key] for pair in message.attributes if pair.key in given}

    return ended(
        **{
            **held,
            "attributes": those_of(encoded, held["attributes"]),
            "resource": those_of(group.resource, held["resource"]),
            "events": [
                (name, those_of(event, given))
                for event, (name, given) in zip(encoded.events, held["events"], strict=True)
            ],
        }
    )


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """OpenTelemetry says of each attribute that it cannot encode it; here that is many."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


PLAIN = {
    "attributes": {attributes.ID: "i"},
    "resource": {},
    "name": "",
    "ids": (1, 1),
    "events": [],
}
FAILED = Status(StatusCode.ERROR, "")
UNSET = Status(StatusCode.UNSET)


@fuzz
@example(held={**PLAIN, "times": (1, 2), "status": FAILED})
@example(held={**PLAIN, "times": (2**63, 1), "status": UNSET})
@example(held={**PLAIN, "times": (1, 2**63), "status": UNSET})
@given(held=spans)
def test_both_doors_read_the_same(held):
    """Whatever an SDK span can hold, it is the same scoring span by either door and format."""
    span = carried(held)
    expected = read_sdk(span)
    spans = [] if expected is None else [expected]
    for read in (
        read_otlp(as_protobuf(span)),
        read_otlp_json(as_json(span)),
        read_otlp_json(as_json(span, text_integers=False)),
    ):
        assert read == (spans, int(expected is None), 0, None)
        assert [list(map(type, found)) for found in read.spans] == [
            list(map(type, found)) for found in spans
        ]


@fuzz
@given(
    held=st.dictionaries(
        st.sampled_from([attributes.REQUEST, attributes.RESPONSE, attributes.MODEL_NAME]),
        st.one_of(cut_texts, st.lists(cut_texts, max_size=3)),
        min_size=2,
    ),
    name=cut_texts,
)
def test_a_text_that_was_cut_within_a_character_is_the_same(held, name):
    """JSON can have a lone surrogate, as the SDK can; protobuf cannot."""
    expected = read_sdk(ended(held, name=name))
    body = json.loads(as_json(ended({attributes.ID: ""})))
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["name"] = name
    span["attributes"] = [{"key": key, "value": _any_value(value)} for key, value in held.items()]
    assert read_otlp_json(json.dumps(body).encode()) == ([expected], 0, 0, None)


def _any_value(value: str | list[str]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": list(map(_any_value, value))}}
