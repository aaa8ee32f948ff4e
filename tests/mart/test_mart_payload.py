"""The payload parser: any bytes become records or a refusal, by whichever way they are read."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.errors import MartError
from scorespan.mart.body import read_body
from scorespan.mart.layout import Layout
from scorespan.mart.payload import parse
from scorespan.mart.rows import rows_of
from scorespan.mart.shapes import Shapes
from scorespan.mart.store import StoredRecord
from scorespan.mart.table import Columns, table_schema
from scorespan.mart.timestamp import sortable
from scorespan.record import PayloadRecord

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
frames = st.fixed_dictionaries(
    {},
    optional={
        "fields": st.lists(st.sampled_from("abcd"), max_size=3) | json_values,
        "values": st.lists(st.lists(json_values, max_size=3) | json_values, max_size=3),
        "meta": json_values,
        "input_data": json_values,
        "predictions": json_values,
    },
)
almost_records = st.fixed_dictionaries(
    {"request": frames | json_values, "response": frames | json_values},
    optional={
        "subscription_id": st.just("s") | json_values,
        "binding_id": json_values,
        "deployment_id": json_values,
        "scoring_id": st.text(max_size=60) | json_values,
        "scoring_timestamp": st.text(max_size=30) | json_values,
        "response_time": st.integers() | json_values,
        "scorespan": st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(["ok", "error"]) | json_values,
                "producer": json_values,
                "sequence": json_values,
            },
        )
        | json_values,
        "other": json_values,
    },
)


def read(body, shapes=None):
    """The payload of a body, or the refusal's faults."""
    try:
        return parse(body, now=NOW, shapes=shapes, owner="dm")
    except MartError as error:
        return error.errors


def named(fault):
    """What a fault is about, without its message."""
    return fault["code"], fault.get("field"), fault.get("index"), fault.get("row")


@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: text.encode(errors="ignore")))
def test_arbitrary_bytes_are_records_or_a_refusal(body):
    """No bytes make the parser fail in any other way than by a refusal."""
    read(body)


@given(json_values | st.lists(almost_records | json_values, max_size=4))
def test_arbitrary_json_is_records_or_faults(document):
    """Each element of any JSON list is a record or is named in a fault, never both or neither."""
    payload = read(json.dumps(document).encode())
    if isinstance(document, list) and document:
        indices = [record.index for record in payload.records]
        indices += [fault["index"] for fault in payload.faults]
        assert sorted(indices) == list(range(len(document)))
    else:
        assert [fault["code"] for fault in payload] in (["not_a_list"], ["empty_list"])


kinds = st.sampled_from(
    [
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.lists(st.floats(0, 1), max_size=3),
        json_values,
    ]
)


@st.composite
def good_frames(draw, rows):
    """Fields with rows of their width, columns of one kind or of any."""
    names = draw(st.lists(st.text(max_size=4), max_size=4))
    columns = [draw(kinds) for _ in names]
    cells = [[draw(column) for column in columns] for _ in range(rows)]
    return {"fields": names, "values": cells}


@st.composite
def good_records(draw):
    """A record that must be accepted, and how many rows it has."""
    rows = draw(st.integers(0, 3))
    record = {
        "subscription_id": draw(st.sampled_from(["s", "t"])),
        "scoring_id": draw(st.uuids()).hex,
        "scoring_timestamp": "2026-01-31T12:00:00Z",
        "request": draw(good_frames(rows)),
        "response": draw(good_frames(rows)),
    }
    if draw(st.booleans()):
        record["request"]["meta"] = draw(good_frames(rows))
    return record


@given(st.lists(good_records(), min_size=1, max_size=4))
def test_known_shapes_change_nothing(documents):
    """A body read by the shape of the one before it gives the same record as read without."""
    shapes = Shapes()
    for document in documents:
        body = json.dumps([document]).encode()
        slow, fast = read(body), read(body, shapes)
        assert not slow.faults
        assert not fast.faults
        (one,), (other,) = slow.records, fast.records
        for name in one.__struct_fields__:
            if not name.endswith("_layout"):
                assert getattr(one, name) == getattr(other, name)
        assert one.request_layout.fields == other.request_layout.fields
        known = Columns().absorbed(other.request_layout, other.response_layout)
        # A known shape may be wider than the record, never narrower.
        assert known.absorbed(one.request_layout, one.response_layout) == known
        for owner, layout in fast.fresh.items():
            shapes.remember(owner, layout)


@given(st.lists(good_records(), min_size=1, max_size=3))
def test_a_record_of_n_rows_becomes_n_rows(documents):
    """A record has a row for each row of its request, numbered from 1, as wide as the schema."""
    payload = read(json.dumps(documents).encode())
    columns = Columns()
    for record in payload.records:
        columns = columns.absorbed(record.request_layout, record.response_layout)
    schema = table_schema(columns.text(), "{}")
    for record, document in zip(payload.records, documents, strict=True):
        rows = rows_of(stored(record), schema, 0, record.row_count)
        assert len(rows) == len(document["request"]["values"])
        assert [row[0] for row in rows] == [
            f"{record.scoring_id}-{number + 1}" for number in range(len(rows))
        ]
        assert {len(row) for row in rows} <= {len(schema.names)}


def stored(record):
    """A record as the store would give it back."""
    return StoredRecord(
        1,
        record.subscription_id,
        record.scoring_id,
        record.binding_id,
        record.deployment_id,
        record.scoring_timestamp,
        record.timestamp_utc,
        record.response_time,
        record.status,
        record.content_hash,
        record.row_count,
        record.request,
        record.response,
        record.extras,
        "",
    )


@given(good_records(), st.sampled_from(["ok", "error"]))
def test_the_hash_is_that_of_the_sender(document, status):
    """The mart's hash of a record is the one the sending side has for it."""
    sent = PayloadRecord(
        scoring_id=document["scoring_id"],
        subscription_id="s",
        request=document["request"],
        response=None if status == "error" else document["response"],
        scoring_timestamp="2026-01-31T12:00:00Z",
        extras={"status": status},
    )
    try:
        body = b"[" + sent.wire(extras=True) + b"]"
    except TypeError:
        return  # integers beyond what the sender can write
    (record,) = read(body).records
    assert record.content_hash == sent.content_hash


def test_the_documents_own_snippet_is_taken():
    """Response time as text, no timestamp, no ids but the subscription: all tolerated."""
    body = json.dumps(
        [
            {
                "subscription_id": "s",
                "response_time": "120",
                "request": {"fields": ["a"], "values": [[1]]},
                "response": {"fields": ["p"], "values": [[0.5]]},
            }
        ]
    )
    (record,) = read(body.encode()).records
    assert record.response_time == 120
    assert record.deployment_id == "generic_deployment"
    assert record.timestamp_utc == "2026-01-31T12:00:00.000000Z"
    assert uuid.UUID(record.scoring_id).version == 4


@pytest.mark.parametrize(
    ("given_time", "kept"),
    [(0, 0), (7, 7), ("7", 7), (" 7 ", 7), ("7.6", 8), (7.4, 7), (None, None)],
)
def test_response_times(given_time, kept):
    """Whole numbers, fractions and their text become milliseconds; null is unknown."""
    record = {
        "subscription_id": "s",
        "response_time": given_time,
        "request": {"fields": [], "values": []},
        "response": {"fields": [], "values": []},
    }
    (found,) = read(json.dumps([record]).encode()).records
    assert found.response_time == kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000Z"),
        ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00.123456Z"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31 12:00:00z", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00.123456+01:00", "2026-01-31T11:00:00.123456Z"),
        ("2026-01-31T12:00:00-0530", "2026-01-31T17:30:00.000000Z"),
        ("2026-01-01T00:00:00+02", "2025-12-31T22:00:00.000000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-02-29T00:00:00Z", None),
        ("2026-01-31T24:00:00Z", None),
        ("2026-01-31T12:00:60Z", None),
        ("2026-W05-6T12:00:00.123456Z", None),
        ("2026-01-31T12:00:00,123456Z", None),
        ("2026-01-31T12:00:00+01:60", None),
        ("2026-01-31", None),
        ("٢٠٢٦-01-31T12:00:00Z", None),
        ("", None),
    ],
)
def test_timestamps(text, expected):
    """Timestamps with Z, offset or nothing and any fraction sort in one form; others are none."""
    assert sortable(text) == expected


@given(st.text(max_size=30))
def test_any_text_is_a_timestamp_or_none(text):
    """Reading a timestamp never fails in another way, and what it reads sorts."""
    found = sortable(text)
    assert found is None or (len(found) == 27 and found.endswith("Z"))


@given(st.datetimes())
def test_a_canonical_timestamp_stays_as_it_is(moment):
    """What our own side writes is its own sortable form."""
    text = moment.isoformat("T", "microseconds") + "Z"
    assert sortable(text) == text


@pytest.mark.parametrize(
    ("body", "rows", "kinds"),
    [
        ({"fields": ["a", "b"], "values": [1, 2]}, 1, ("long", "long")),
        ({"fields": ["a", "b"], "values": ["x", [0.1]]}, 1, ("string", "array<double>")),
        ({"fields": ["a"], "values": []}, 0, ("null",)),
        ({"fields": [], "values": [[], []]}, 2, ()),
        ({"fields": ["a"], "values": [[1], [2.5], [None]]}, 3, ("double",)),
        ({"fields": ["a"], "values": [[1], ["x"]]}, 2, ("mixed",)),
        ({"fields": ["a"], "values": [[[1]], [[0.5]]]}, 2, ("array<double>",)),
        ({"fields": ["a"], "values": [[[[1]]]]}, 1, ("array<array<long>>",)),
        ({"fields": ["a"], "values": [[True], [1]]}, 2, ("mixed",)),
        ({"fields": ["a"], "values": [[{}]]}, 1, ("object",)),
        ({"input_data": [{"fields": ["a"], "values": [[1]]}]}, 1, ("long",)),
        ({"fields": ["a"], "values": [[1]], "labels": [1], "GlobalParameters": {}}, 1, ("long",)),
    ],
)
def test_accepted_forms_of_a_body(body, rows, kinds):
    """Each accepted form gives its rows and the kinds of its columns."""
    found = read_body(json.dumps(body).encode(), "request")
    assert (found.rows, found.layout.kinds) == (rows, kinds)


def test_a_shape_does_not_hide_a_fault():
    """A body that almost has the known shape is refused like any other."""
    shapes = Shapes()
    shapes.remember(("dm", "s", "request"), Layout(("a", "b"), ("long", "string")))
    shapes.remember(("dm", "s", "response"), Layout(("p",), ("double",)))
    for values in ([[1]], [[1, "x", 2]], [[1, "x"], [1]], [1], "text", [[1, "x"]] * 2):
        record = {
            "subscription_id": "s",
            "scoring_id": "i",
            "scoring_timestamp": "2026-01-31T12:00:00Z",
            "request": {"fields": ["a", "b"], "values": values},
            "response": {"fields": ["p"], "values": [[0.5]]},
        }
        body = json.dumps([record]).encode()
        fast, slow = read(body, shapes), read(body)
        assert [named(fault) for fault in fast.faults] == [named(fault) for fault in slow.faults]
        assert len(fast.faults) == 1
