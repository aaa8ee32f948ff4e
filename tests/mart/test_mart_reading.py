"""Reading: rows, schemas, whole records and conflicts come back as they were sent."""

from __future__ import annotations

import base64
import json
import logging
import random
import sqlite3

import pytest

from scorespan.record import content_hash

SYSTEM = ["scoring_id", "scoring_timestamp", "deployment_id", "asset_revision"]
COMPUTED = [
    "prediction_probability",
    "debiased_prediction",
    "debiased_probability",
    "debiased_decoded_target",
]


def names(fields):
    """Column names in order."""
    return [field["name"] for field in fields]


def role(fields, name):
    """The modeling role of one column."""
    (field,) = [field for field in fields if field["name"] == name]
    return field["metadata"].get("modeling_role")


def table(mart, **query):
    """The table as one dictionary for each row."""
    document = mart.rows(**query)
    return [dict(zip(document["fields"], row, strict=True)) for row in document["values"]]


def test_a_table_without_records_has_the_system_columns(mart):
    """Before any record the schema has four columns and the table no rows."""
    assert names(mart.schema()) == SYSTEM
    assert mart.rows(include_total_count="true") == {
        "fields": SYSTEM,
        "values": [],
        "total_count": 0,
    }


def test_columns_have_their_order_roles_and_types(mart, mart_record):
    """System, features, outputs, meta, computed columns; each with its role and type."""
    mart.http.patch(
        mart.subscription,
        json=[{"op": "add", "path": "/asset_properties/categorical_fields", "value": ["job"]}],
    )
    record = mart_record()
    record["request"]["meta"] = {"fields": ["who"], "values": [["me"]]}
    mart.stored(record)
    fields = mart.schema()
    outputs = ["prediction", "probability"]
    assert names(fields) == [*SYSTEM, "age", "job", *outputs, "who", *COMPUTED]
    assert mart.rows()["fields"] == names(fields)
    by_name = {field["name"]: field for field in fields}
    assert role(fields, "scoring_id") == "record-id"
    assert by_name["scoring_id"]["nullable"] is False
    assert role(fields, "scoring_timestamp") == "record-timestamp"
    assert by_name["scoring_timestamp"]["type"] == "timestamp"
    assert role(fields, "age") == "feature"
    assert by_name["age"]["type"] == "long"
    assert by_name["job"]["metadata"]["measure"] == "discrete"
    assert by_name["job"]["metadata"]["columnInfo"] == {"columnLength": 64}
    assert role(fields, "prediction") == "prediction"
    assert role(fields, "probability") == "probability"
    array = {"type": "array", "elementType": "double", "containsNull": True}
    assert by_name["probability"]["type"] == by_name["debiased_probability"]["type"] == array
    assert role(fields, "who") == "meta-field"
    assert role(fields, "prediction_probability") == "prediction-probability"
    assert by_name["debiased_prediction"]["type"] == by_name["prediction"]["type"] == "string"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, {"prediction": "prediction", "probability": "probability", "q": None}),
        ({"prediction_field": "q"}, {"q": "prediction", "prediction": None}),
        ({"predicted_target_field": "q"}, {"q": "prediction", "prediction": None}),
        (
            {"prediction_field": "prediction", "predicted_target_field": "q"},
            {"prediction": "prediction", "q": "decoded-target"},
        ),
        ({"probability_fields": "q"}, {"q": "probability", "probability": None}),
        ({"probability_fields": ["q"]}, {"q": "probability", "probability": None}),
        ({"probability_fields": ["gone"]}, {"q": None, "probability": None}),
        ({"probability_fields": 5, "prediction_field": [{}]}, {"probability": "probability"}),
    ],
)
def test_roles_follow_the_asset_properties(mart, mart_record, properties, expected):
    """Prediction and probability are the columns that are named, else the usual ones."""
    mart.running.prepare("dm", "sub", asset_properties=properties)
    response = {"fields": ["prediction", "probability", "q"], "values": [["a", 0.5, 0.5]]}
    mart.stored(mart_record(response=response))
    fields = mart.schema()
    assert {name: role(fields, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("cell", "probability"),
    [
        ([0.25, 0.75], 0.75),
        (0.014, 0.986),
        (0.44, 0.56),
        (0.2024, 0.7976),
        ("0.2024", 0.7976),
        (1, 1.0),
        (["0.1", "0.9"], 0.9),
        ([], None),
        (None, None),
        ("high", None),
        ("nan", None),
        (True, None),
        (5.5, None),
        ({"a": 1}, None),
        ([[0.1]], None),
    ],
)
def test_the_probability_of_the_prediction(mart, mart_record, cell, probability):
    """The largest of an array; for one p the larger of p and 1-p; null where there is neither."""
    response = {"fields": ["prediction", "probability"], "values": [["a", cell]]}
    mart.stored(mart_record(response=response))
    (row,) = table(mart)
    assert row["prediction_probability"] == (
        None if probability is None else pytest.approx(probability)
    )


def test_the_probability_over_one_column_for_each_class(mart, mart_record):
    """With several probability columns it is the largest of them."""
    mart.running.prepare("dm", "sub", asset_properties={"probability_fields": ["p", "q"]})
    mart.stored(mart_record(response={"fields": ["p", "q"], "values": [[0.3, 0.7]]}))
    assert table(mart)[0]["prediction_probability"] == 0.7


def test_a_record_of_n_rows_is_n_rows_of_the_table(mart, mart_record):
    """Rows are numbered from 1, a single one too, and share timestamp and deployment."""
    mart.stored(mart_record("a", rows=3), mart_record("b"))
    rows = table(mart)
    assert sorted(row["scoring_id"] for row in rows) == ["a-1", "a-2", "a-3", "b-1"]
    by_id = {row["scoring_id"]: row for row in rows}
    assert [by_id[f"a-{number}"]["age"] for number in (1, 2, 3)] == [30, 31, 32]
    assert {row["deployment_id"] for row in rows} == {"dep"}
    assert {row["scoring_timestamp"] for row in rows} == {"2026-01-31T12:00:00.000000Z"}
    assert all(row[name] is None for row in rows for name in COMPUTED[1:])
    assert all(row["asset_revision"] is None for row in rows)


def test_rows_are_ordered_newest_first_and_paged(mart, mart_record):
    """Newest timestamp first whatever its form; pages of any size are the cut-up whole."""
    times = [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.5Z",
        "2026-01-31T14:00:00.25+02:00",
        "2026-01-31T11:59:59.999999999Z",
    ]
    for at, moment in enumerate(times):
        mart.stored(mart_record(f"r{at}", rows=at + 1, scoring_timestamp=moment))
    whole = [row["scoring_id"] for row in table(mart)]
    assert [one for one in whole if one.endswith("-1")] == ["r1-1", "r2-1", "r0-1", "r3-1"]
    assert len(whole) == 10
    for size in (1, 2, 3, 4, 7, 10, 11):
        pages = [
            [row["scoring_id"] for row in table(mart, limit=size, offset=offset)]
            for offset in range(0, 12, size)
        ]
        assert [one for page in pages for one in page] == whole
        assert all(len(page) == size for page in pages[: 10 // size])


def test_equal_timestamps_keep_one_order(mart, mart_record):
    """Records of the same moment come back in the same order on every page."""
    mart.stored(*(mart_record(f"r{at}") for at in range(20)))
    whole = [row["scoring_id"] for row in table(mart)]
    paged = [table(mart, limit=1, offset=at)[0]["scoring_id"] for at in range(20)]
    assert whole == paged == [f"r{at}-1" for at in reversed(range(20))]


def test_a_page_has_up_to_a_thousand_rows(mart, mart_record):
    """A thousand rows are asked for and had; more are cut to a thousand; none are fine."""
    mart.stored(mart_record("a", rows=700), mart_record("b", rows=700))
    assert len(mart.rows()["values"]) == 1000
    assert len(mart.rows(limit=5000)["values"]) == 1000
    assert len(mart.rows(limit=1000, offset=1000)["values"]) == 400
    counted = mart.rows(limit=0, include_total_count="true")
    assert (counted["values"], counted["total_count"]) == ([], 1400)
    assert "total_count" not in mart.rows()


def test_columns_grow_with_the_records(mart, mart_record):
    """A new column appears, older rows have null there, and kinds widen to hold both."""
    mart.stored(mart_record("a", request={"fields": ["x"], "values": [[1]]}))
    later = {"fields": ["x", "y"], "values": [[0.5, "new"]]}
    mart.stored(mart_record("b", request=later, scoring_timestamp="2026-02-01T00:00:00Z"))
    rows = table(mart)
    assert [(row["x"], row["y"]) for row in rows] == [(0.5, "new"), (1, None)]
    types = {field["name"]: field["type"] for field in mart.schema()}
    assert (types["x"], types["y"]) == ("double", "string")


def test_a_refused_record_leaves_no_trace_in_the_schema(mart, mart_record):
    """Columns and kinds of a refused list are not taken."""
    new = mart_record("a", request={"fields": ["new"], "values": [["text"]]})
    assert mart.store([new, mart_record("b", subscription_id="none")]).status_code == 422
    assert names(mart.schema()) == SYSTEM


def test_an_echoed_input_is_one_column(mart, mart_record):
    """Output columns that repeat inputs appear once, with the input's value."""
    response = {"fields": ["age", "prediction"], "values": [["31.0", "yes"]]}
    mart.stored(mart_record(response=response))
    assert mart.rows()["fields"].count("age") == 1
    assert table(mart)[0]["age"] == 30


def test_columns_cannot_take_the_place_of_the_systems(mart, mart_record):
    """A feature called scoring_id or a given prediction_probability does not replace ours."""
    request = {"fields": ["scoring_id", "x"], "values": [["mine", 1]]}
    response = {"fields": ["probability", "prediction_probability"], "values": [[0.25, 9]]}
    mart.stored(mart_record("one", request=request, response=response))
    (row,) = table(mart)
    assert (row["scoring_id"], row["prediction_probability"]) == ("one-1", 0.75)
    assert len(set(mart.rows()["fields"])) == len(mart.rows()["fields"])


def test_tolerated_forms_are_read_back(mart, mart_record):
    """Flat values and wrapped bodies become rows like any other."""
    mart.stored(
        mart_record(
            "flat",
            request={"fields": ["age", "job"], "values": [1, "x"]},
            response={"fields": ["prediction", "probability"], "values": ["yes", [0.1, 0.9]]},
        ),
        mart_record(
            "wrapped",
            request={"input_data": [{"fields": ["age", "job"], "values": [[2, "y"]]}]},
            response={"predictions": [{"fields": ["prediction"], "values": [["no"]]}]},
        ),
    )
    by_id = {row["scoring_id"]: row for row in table(mart)}
    assert by_id["flat-1"]["probability"] == [0.1, 0.9]
    assert (by_id["wrapped-1"]["age"], by_id["wrapped-1"]["prediction"]) == (2, "no")


def test_objects_are_shown_as_their_text(mart, mart_record):
    """A cell that is an object is a string of JSON in a string column; arrays stay arrays."""
    request = {"fields": ["o", "a"], "values": [[{"k": [1]}, [{"k": 1}]]]}
    mart.stored(mart_record(request=request))
    (row,) = table(mart)
    assert json.loads(row["o"]) == {"k": [1]}
    assert row["a"] == [{"k": 1}]
    types = {field["name"]: field["type"] for field in mart.schema()}
    assert types["o"] == "string"


NUMBER = "123456789012345678901234567890.123456789012345678901234567890"
EXACT = (
    '{ "fields" : ["age","job"],\t"values":[[' + NUMBER + ', "\\u0000 \\/ \\ud83d\\ude00 é" ]] }'
)


def test_bodies_come_back_byte_for_byte(mart, mart_record):
    """Spaces, escapes, NUL and numbers of any length are what was sent, in records and rows."""
    record = mart_record()
    record["request"] = "@@"
    body = json.dumps([record]).replace('"@@"', EXACT).encode()
    assert mart.store(body).status_code == 204
    text = mart.http.get(f"{mart.root}/scoring_payloads").text
    assert f'"request":{EXACT},' in text
    rows = mart.http.get(f"{mart.root}/scoring_transactions?subscription_id=sub").text
    assert f',{NUMBER},"\\u0000 \\/ \\ud83d\\ude00 é",' in rows


def test_whole_records_keep_their_members(mart, mart_record):
    """A record comes back with its ids, its time as given, our extras and any unknown member."""
    extras = {"v": 1, "status": "ok", "trace_id": "t", "producer": "p", "sequence": 7}
    sent = mart_record(
        scoring_timestamp="2026-01-31T14:00:00.123456789+02:00",
        scorespan=extras,
        asset_revision="3",
        user={"name": "u"},
    )
    mart.stored(sent)
    (found,) = mart.records(subscription_id="sub")
    assert found == sent


def test_members_that_were_absent_stay_absent(mart, mart_record):
    """Without binding and response time the record has neither; time and deployment are ours."""
    sent = mart_record(
        binding_id=None, response_time=None, deployment_id=None, scoring_timestamp=None
    )
    mart.stored(sent)
    (found,) = mart.records()
    assert found == {
        **sent,
        "deployment_id": "generic_deployment",
        "scoring_timestamp": "2026-01-31T12:00:00.000000Z",
    }


def test_producer_and_sequence_are_columns(mart, mart_record):
    """What names a gap in a producer's numbers can be asked of the database."""
    extras = {"producer": "p", "sequence": 7}
    mart.stored(mart_record("a", scorespan=extras), mart_record("b"))
    with sqlite3.connect(mart.database) as database:
        query = "SELECT producer, sequence FROM payload_records ORDER BY store_sequence"
        assert database.execute(query).fetchall() == [("p", 7), (None, None)]
    database.close()


def test_whole_records_are_paged_in_the_order_they_were_stored(mart, mart_record):
    """Following the cursor gives every record once, in stored order, and ends with null."""
    ids = [f"r{at}" for at in range(25)]
    shuffled = random.Random(5).sample(range(25), 25)
    for scoring_id, minute in zip(ids, shuffled, strict=True):
        moment = f"2026-01-31T12:{minute:02d}:00Z"
        mart.stored(mart_record(scoring_id, scoring_timestamp=moment))
    for limit in (1, 7, 24, 25, 1000, 5000):
        found, after = [], ""
        while after is not None:
            page = mart.get("scoring_payloads", limit=limit, after=after)
            found += [record["scoring_id"] for record in page["records"]]
            after = page["after"]
        assert found == ids


def test_whole_records_of_one_subscription_or_all(mart, mart_record):
    """Without a subscription all of the data mart's records come; another data mart has its own."""
    mart.running.prepare("dm", "sub2", binding_id="binding")
    mart.running.prepare("dm2", "sub", binding_id="binding")
    mart.stored(mart_record("a"), mart_record("b", subscription_id="sub2"))
    assert [one["scoring_id"] for one in mart.records()] == ["a", "b"]
    assert [one["scoring_id"] for one in mart.records(subscription_id="sub2")] == ["b"]
    other = mart.http.get("/v1/data_marts/dm2/scoring_payloads").json()
    assert other == {"records": [], "after": None}
    answer = mart.http.get(f"{mart.root}/scoring_payloads?subscription_id=none")
    assert answer.status_code == 404


def test_a_page_of_large_records_ends_early(mart, mart_record):
    """A page stops after a bounded amount of text, and the cursor goes on from there."""
    large = {"fields": ["x"], "values": [["y" * 12_000_000]]}
    for at in range(5):
        mart.stored(mart_record(f"r{at}", request=large))
    first = mart.get("scoring_payloads")
    assert 0 < len(first["records"]) < 5
    rest = mart.get("scoring_payloads", after=first["after"])
    assert len(first["records"]) + len(rest["records"]) == 5


def test_the_same_record_again_is_ignored(mart, mart_record):
    """A record sent again is 204, stored once, and no conflict; extras take no part in it."""
    mart.stored(mart_record())
    mart.stored(mart_record(scorespan={"notes": ["again"]}, response_time=99))
    assert len(mart.records()) == 1
    assert mart.get("scoring_conflicts") == {"conflicts": []}


def test_the_same_key_with_other_content_is_a_conflict(mart, mart_record):
    """First wins; the other record is kept whole, once for each content, and listed."""
    mart.stored(mart_record())
    other = mart_record(request={"fields": ["age"], "values": [[99]]}, note="kept")
    third = mart_record(request={"fields": ["age"], "values": [[98]]})
    for _ in range(2):
        mart.stored(other)
    mart.stored(third)
    (stored,) = mart.records()
    assert stored.pop("conflicts") == 2
    assert stored == mart_record()
    newest, oldest = mart.get("scoring_conflicts", subscription_id="sub")["conflicts"]
    assert oldest["record"] == other
    assert newest["record"] == third
    assert oldest["scoring_id"] == "one"
    assert oldest["stored_hash"] != oldest["hash"] != newest["hash"]
    assert oldest["received_at"] == "2026-01-31T12:00:00.000000Z"
    assert len(mart.get("scoring_conflicts", limit=1)["conflicts"]) == 1
    assert mart.rows(include_total_count="true")["total_count"] == 1


def test_one_key_twice_in_a_list(mart, mart_record):
    """Within one list the first of a key wins, and the answer is 204."""
    other = mart_record(request={"fields": ["age"], "values": [[99]]})
    mart.stored(mart_record(), other, mart_record())
    (stored,) = mart.records()
    assert stored["request"] == mart_record()["request"]
    assert len(mart.get("scoring_conflicts")["conflicts"]) == 1


def test_the_key_is_that_of_the_subscription(mart, mart_record):
    """The same scoring id in another subscription is another record."""
    mart.running.prepare("dm", "sub2", binding_id="binding")
    mart.stored(mart_record(), mart_record(subscription_id="sub2"))
    assert len(mart.records()) == 2


def test_failed_scorings_stand_apart(mart, mart_record):
    """A failed scoring is stored with a null response, outside the table unless asked for."""
    failed = {**mart_record("bad", rows=2), "response": None}
    failed["scorespan"] = {"status": "error", "error": "Boom"}
    mart.stored(mart_record("good"), failed)
    assert mart.records()[1] == failed
    assert [row["scoring_id"] for row in table(mart)] == ["good-1"]
    assert mart.rows(include_total_count="true")["total_count"] == 1
    every = table(mart, include_failed="true")
    assert [row["scoring_id"] for row in every] == ["bad-1", "bad-2", "good-1"]
    assert (every[0]["age"], every[0]["prediction"]) == (30, None)
    counted = mart.rows(include_failed="true", include_total_count="true")
    assert counted["total_count"] == 3


def test_a_failed_scoring_may_have_an_answer_of_any_form(mart, mart_record):
    """Whatever a failing engine answered is kept and not paired with the rows."""
    sent = mart_record(response={"error": "no"}, scorespan={"status": "error"})
    absent = mart_record("two", response=None, scorespan={"status": "error"})
    mart.stored(sent, absent)
    assert mart.records()[0] == sent
    assert mart.records()[1]["response"] is None
    assert len(table(mart, include_failed="true")) == 2


def test_the_same_scoring_failed_and_not_is_a_conflict(mart, mart_record):
    """Status is a part of what must be equal."""
    mart.stored(mart_record())
    mart.stored(mart_record(scorespan={"status": "error"}))
    assert len(mart.get("scoring_conflicts")["conflicts"]) == 1


def test_a_damaged_record_is_not_served(mart, mart_record, caplog):
    """A stored body that does not match its hash answers 500 naming the id, and logs no value."""
    mart.stored(mart_record("good"), mart_record("broken"))
    database = sqlite3.connect(mart.database)
    with database:
        database.execute(
            "UPDATE payload_records SET request = replace(request, '30', '31') "
            "WHERE scoring_id = 'broken'"
        )
    database.close()
    with caplog.at_level(logging.DEBUG):
        for path in ("scoring_payloads", "scoring_transactions?subscription_id=sub"):
            answer = mart.http.get(f"{mart.root}/{path}")
            assert answer.status_code == 500
            (error,) = answer.json()["errors"]
            assert error["code"] == "record_damaged"
            assert "broken" in error["message"]
            assert answer.json()["trace"] in caplog.text
    assert "age" not in caplog.text


def test_the_stored_hash_is_the_shared_one(mart, mart_record):
    """The hash column is record.content_hash over the texts as sent."""
    mart.stored(mart_record())
    database = sqlite3.connect(mart.database)
    request, response, found = database.execute(
        "SELECT request, response, content_hash FROM payload_records"
    ).fetchone()
    database.close()
    assert found == content_hash(request.encode(), response.encode(), "ok")


def test_a_cursor_of_any_length_is_refused_as_one(mart):
    """A number that no store sequence reaches is a wrong parameter, not a failure."""
    cursor = base64.urlsafe_b64encode(b"9" * 5000).decode().rstrip("=")
    answer = mart.http.get(f"{mart.root}/scoring_payloads", params={"after": cursor})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "after"
