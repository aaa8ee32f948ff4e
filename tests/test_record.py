"""The payload record: wire form, key fields and hash."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.record import GENERIC_DEPLOYMENT, PayloadRecord, body_text, content_hash

REQUEST = b'{ "fields":["a"], "values":[[1.10]] }'
RESPONSE = b'{"fields":["p"],"values":[[12345678901234567890123456789.0]]}'


def record(**fields: object) -> PayloadRecord:
    """A record with these fields and usual others."""
    usual = {
        "scoring_id": "id",
        "subscription_id": "s",
        "request": REQUEST,
        "response": RESPONSE,
        "scoring_timestamp": "2026-01-31T12:00:00.123456Z",
        "response_time": 42,
        "binding_id": "b",
    }
    return PayloadRecord(**{**usual, **fields})


def test_the_wire_form_is_the_documented_one():
    """Every member stands in its place under its name."""
    assert json.loads(record().wire(extras=False)) == {
        "binding_id": "b",
        "subscription_id": "s",
        "deployment_id": GENERIC_DEPLOYMENT,
        "scoring_id": "id",
        "scoring_timestamp": "2026-01-31T12:00:00.123456Z",
        "response_time": 42,
        "request": json.loads(REQUEST),
        "response": json.loads(RESPONSE),
    }


def test_bodies_keep_their_text_to_the_byte():
    """Space, order and every digit of a body that is text arrive as they were."""
    wire = record().wire(extras=True)
    assert b'"request":' + REQUEST in wire
    assert b'"response":' + RESPONSE in wire


def test_a_mapping_is_encoded_when_sent():
    """A body may be a mapping, with numpy's values in it."""
    body = {"fields": ["a"], "values": np.array([[1, 2]])}
    wire = json.loads(record(request=body, response={"a": np.float64(0.5)}).wire(extras=False))
    assert wire["request"] == {"fields": ["a"], "values": [[1, 2]]}
    assert wire["response"] == {"a": 0.5}


def test_no_response_is_null():
    """A failed scoring's response is null, which is not the same as leaving it out."""
    wire = json.loads(record(response=None).wire(extras=False))
    assert wire["response"] is None


def test_what_is_unknown_is_left_out():
    """A binding or a response time that is not known has no member."""
    wire = json.loads(record(binding_id=None, response_time=None).wire(extras=False))
    assert "binding_id" not in wire
    assert "response_time" not in wire


def test_extras_go_where_they_are_asked_for():
    """Only our own mart gets the `scorespan` member, and only where there are extras."""
    extra = record(extras={"v": 1, "notes": ("a",)})
    assert json.loads(extra.wire(extras=True))["scorespan"] == {"v": 1, "notes": ["a"]}
    assert "scorespan" not in json.loads(extra.wire(extras=False))
    assert "scorespan" not in json.loads(record().wire(extras=True))


def test_the_status_is_ok_unless_told_otherwise():
    """A record has failed where its extras say so."""
    assert record().status == "ok"
    assert not record().failed
    failed = record(extras={"status": "error"}, response=None)
    assert failed.status == "error"
    assert failed.failed


@pytest.mark.parametrize(
    "other",
    [
        {"scoring_id": "other"},
        {"subscription_id": "other"},
        {"deployment_id": "other"},
        {"binding_id": None},
        {"scoring_timestamp": "2026-02-01T00:00:00Z"},
        {"response_time": 7},
        {"extras": {"v": 2, "status": "ok", "notes": ["x"]}},
    ],
)
def test_the_hash_ignores_all_but_bodies_and_status(other):
    """A record that is sent again with other extras is the same record."""
    assert record(**other).content_hash == record().content_hash


@pytest.mark.parametrize(
    "other",
    [
        {"request": REQUEST + b" "},
        {"response": RESPONSE.replace(b"9.0", b"9.1")},
        {"response": None},
        {"extras": {"status": "error"}},
    ],
)
def test_the_hash_sees_every_change_of_content(other):
    """Another body, none, or another status is another content."""
    assert record(**other).content_hash != record().content_hash


def test_the_hash_is_of_what_is_sent():
    """A mapping hashes as the text it is sent as."""
    body = {"fields": ["a"], "values": [[1]]}
    assert record(request=body).content_hash == record(request=body_text(body)).content_hash
    assert record(response=None).content_hash == record(response=b"null").content_hash


triples = st.tuples(st.binary(max_size=4), st.binary(max_size=4), st.sampled_from(["ok", "error"]))


@given(one=triples, other=triples)
def test_different_contents_have_different_hashes(one, other):
    """No bytes can move from one part to the next and leave the hash the same."""
    assert (content_hash(*one) == content_hash(*other)) == (one == other)


def test_records_are_values():
    """Two records of the same fields are equal, and no field can be changed."""
    assert record() == record()
    with pytest.raises(AttributeError):
        record().scoring_id = "other"
