"""Refusals: each fault of a payload has status, code, index and field; nothing is stored."""

from __future__ import annotations

import json

import pytest

from scorespan.mart.incoming import LARGEST_TOTAL


def faults(answer):
    """What an answer names, without the messages."""
    document = answer.json()
    assert document["trace"]
    assert all(error["message"] for error in document["errors"])
    return [
        tuple(error.get(name) for name in ("code", "index", "field", "row"))
        for error in document["errors"]
    ]


def refused(mart, body, status):
    """The faults of a refused body; holds that nothing was stored."""
    answer = mart.store(body)
    assert answer.status_code == status, answer.text
    assert mart.records() == []
    return faults(answer)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[1,]", "invalid_json"),
        (b"[] []", "invalid_json"),
        (b'[{"a": NaN}]', "invalid_json"),
        (b'[{"a": -Infinity}]', "invalid_json"),
        (b'[{"a": "\\ud800"}]', "invalid_json"),
        (b'[{"\\udc00": 1}]', "invalid_json"),
        (b'[{"a": "\xff"}]', "invalid_json"),
        (b"\xef\xbb\xbf[]", "invalid_json"),
        (b"null", "not_a_list"),
        (b'"text"', "not_a_list"),
        (b"{}", "not_a_list"),
        (b"[]", "empty_list"),
        (b"[" * 100_000 + b"]" * 100_000, "nested_too_deep"),
    ],
)
def test_a_body_that_is_no_list_of_records(mart, body, code):
    """A body that cannot be read as a list of records is 400 with one code."""
    assert refused(mart, body, 400) == [(code, None, None, None)]


def test_a_single_object_is_refused(mart, mart_record):
    """A record outside a list is 400: the contract is a list."""
    assert refused(mart, mart_record(), 400) == [("not_a_list", None, None, None)]


FAULTS = [
    ({"request": None}, "missing_member", "request", None),
    ({"request": []}, "wrong_type", "request", None),
    ({"request": "text"}, "wrong_type", "request", None),
    ({"request": {}}, "missing_fields", "request.fields", None),
    ({"request": {"values": [[1]]}}, "missing_fields", "request.fields", None),
    ({"request": {"fields": ["a"]}}, "missing_values", "request.values", None),
    ({"request": {"fields": "a", "values": [[1]]}}, "wrong_type", "request.fields", None),
    ({"request": {"fields": [1], "values": [[1]]}}, "wrong_type", "request.fields", None),
    ({"request": {"fields": ["a"], "values": {}}}, "wrong_type", "request.values", None),
    ({"request": {"fields": ["a"], "values": [{"a": 1}]}}, "wrong_type", "request.values", 0),
    (
        {"request": {"fields": ["a"], "values": [[1], [1, 2]]}},
        "row_width_mismatch",
        "request.values",
        1,
    ),
    ({"request": {"fields": ["a"], "values": [1, 2]}}, "row_width_mismatch", "request.values", 0),
    ({"request": {"input_data": []}}, "several_bodies", "request.input_data", None),
    ({"request": {"input_data": [{}, {}]}}, "several_bodies", "request.input_data", None),
    ({"request": {"input_data": {}}}, "wrong_type", "request.input_data", None),
    ({"request": {"input_data": [1]}}, "wrong_type", "request.input_data", None),
    ({"request": {"input_data": [{}]}}, "missing_fields", "request.fields", None),
    ({"response": None}, "missing_response", "response", None),
    ({"response": []}, "wrong_type", "response", None),
    ({"response": {"predictions": [{}, {}]}}, "several_bodies", "response.predictions", None),
    (
        {"response": {"fields": ["p", "q"], "values": [[1]]}},
        "row_width_mismatch",
        "response.values",
        0,
    ),
    (
        {"response": {"fields": ["p"], "values": [[1], [2]]}},
        "row_count_mismatch",
        "response.values",
        1,
    ),
    ({"response": {"fields": ["p"], "values": []}}, "row_count_mismatch", "response.values", 0),
    ({"subscription_id": None}, "missing_member", "subscription_id", None),
    ({"subscription_id": 1}, "wrong_type", "subscription_id", None),
    ({"binding_id": 1}, "wrong_type", "binding_id", None),
    ({"deployment_id": ["d"]}, "wrong_type", "deployment_id", None),
    ({"scoring_id": 5}, "wrong_type", "scoring_id", None),
    ({"scoring_id": ""}, "scoring_id_length", "scoring_id", None),
    ({"scoring_id": "x" * 57}, "scoring_id_length", "scoring_id", None),
    ({"scoring_timestamp": 5}, "wrong_type", "scoring_timestamp", None),
    ({"scoring_timestamp": "yesterday"}, "invalid_timestamp", "scoring_timestamp", None),
    ({"scoring_timestamp": "2026-02-30T00:00:00Z"}, "invalid_timestamp", "scoring_timestamp", None),
    ({"response_time": "soon"}, "wrong_type", "response_time", None),
    ({"response_time": True}, "wrong_type", "response_time", None),
    ({"response_time": -1}, "wrong_type", "response_time", None),
    ({"response_time": 10**30}, "wrong_type", "response_time", None),
    ({"response_time": [1]}, "wrong_type", "response_time", None),
    ({"scorespan": []}, "wrong_type", "scorespan", None),
    ({"scorespan": {"status": 1}}, "wrong_type", "scorespan.status", None),
    ({"scorespan": {"status": "late"}}, "unknown_status", "scorespan.status", None),
    ({"scorespan": {"sequence": "7"}}, "wrong_type", "scorespan.sequence", None),
    ({"scorespan": {"sequence": 2**63}}, "wrong_type", "scorespan.sequence", None),
    ({"scorespan": {"producer": 7}}, "wrong_type", "scorespan.producer", None),
    ({"scorespan": {"status": "error"}, "request": {}}, "missing_fields", "request.fields", None),
]
META = [
    ([], "wrong_type", "request.meta", None),
    ({"fields": ["m"]}, "missing_values", "request.meta.values", None),
    ({"fields": ["m"], "values": [["a"], ["b"]]}, "row_count_mismatch", "request.meta.values", 1),
    ({"fields": ["m", "n"], "values": [["a"]]}, "row_width_mismatch", "request.meta.values", 0),
]
FAULTS += [
    ({"request": {"fields": ["a"], "values": [[1]], "meta": meta}}, code, field, row)
    for meta, code, field, row in META
]


def test_every_fault_of_a_record_names_code_index_field_and_row(mart, mart_record):
    """Each faulty record alone, after a good one, is 400 with its own code and place."""
    for members, code, field, row in FAULTS:
        faulty = mart_record(**{"scoring_id": "two", **members})
        found = refused(mart, [mart_record("one"), faulty], 400)
        assert found == [(code, 1, field, row)], members


def test_every_bad_index_of_a_list_is_named(mart, mart_record):
    """All faulty records of a list are named at once, in order; the good one is not kept."""
    records = [mart_record("good")] + [
        mart_record(**{"scoring_id": f"r{at}", **members})
        for at, (members, *_) in enumerate(FAULTS)
    ]
    found = refused(mart, records, 400)
    assert [(code, field, row) for code, _, field, row in found] == [
        (code, field, row) for _, code, field, row in FAULTS
    ]
    assert [index for _, index, _, _ in found] == list(range(1, len(records)))


@pytest.mark.parametrize("element", [b"1", b"null", b'"text"', b"[]", b"true"])
def test_an_element_that_is_no_object(mart, mart_record, element):
    """A list element that is no record is 400 with its index, beside good ones."""
    good = json.dumps(mart_record()).encode()
    assert refused(mart, b"[" + good + b"," + element + b"]", 400) == [
        ("wrong_type", 1, None, None)
    ]


def test_a_response_of_null_without_error_status(mart, mart_record):
    """A response of null is 400 unless the scoring failed, and so is a status of ok beside it."""
    for extras in ({}, {"scorespan": None}, {"scorespan": {"status": "ok"}}):
        record = {**mart_record(), "response": None, **extras}
        assert refused(mart, [record], 400) == [("missing_response", 0, "response", None)]


def test_a_number_beyond_a_double_is_refused(mart, mart_record):
    """A number that no reader could hold names its record and body."""
    text = json.dumps([mart_record("one"), mart_record("two")])
    for number in ("1e999", "-1e999"):
        cut = text.rindex("0.25")
        body = text[:cut] + number + text[cut + 4 :]
        assert refused(mart, body.encode(), 400) == [("number_out_of_range", 1, "response", None)]


def nested(record, member, depth):
    """The list of one record whose member is nested so that the document has that depth."""
    inside = {"request": 3, "response": 3, "scorespan": 3, "unknown": 2, "label": 3}[member]
    levels = depth - inside
    deep = "[" * levels + "]" * levels
    mark = "@@"
    if member == "unknown":
        record["unknown"] = mark
    elif member == "scorespan":
        record["scorespan"] = {"notes": mark}
    elif member == "label":
        record["response"]["labels"] = mark
    else:
        record[member]["extra"] = mark
    return json.dumps([record]).replace(f'"{mark}"', deep).encode()


@pytest.mark.parametrize("member", ["request", "response", "scorespan", "unknown", "label"])
@pytest.mark.parametrize("depth", [1001, 1024, 1025, 5000, 200_000])
def test_a_document_nested_too_deep(mart, mart_record, member, depth):
    """Nesting over a thousand levels is 400 wherever it stands, and the mart lives on."""
    answer = mart.store(nested(mart_record(), member, depth))
    assert answer.status_code == 400
    assert [error["code"] for error in answer.json()["errors"]] == ["nested_too_deep"]
    assert mart.records() == []


@pytest.mark.parametrize("member", ["request", "response", "scorespan", "unknown", "label"])
def test_the_deepest_document_that_is_allowed(mart, mart_record, member):
    """A document of a thousand levels is stored and read back byte for byte."""
    body = nested(mart_record(), member, 1000)
    answer = mart.store(body)
    assert answer.status_code == 204, answer.text
    assert mart.http.get(f"{mart.root}/scoring_payloads").status_code == 200
    assert len(mart.rows()["values"]) == 1


def test_a_cell_nested_as_deep_as_allowed_is_stored_and_read(mart, mart_record):
    """Deep nesting inside a cell comes back in the table as it was sent."""
    deep = "[" * 990 + "]" * 990
    body = json.dumps([mart_record()]).replace('"x"', deep)
    assert mart.store(body.encode()).status_code == 204
    answer = mart.http.get(f"{mart.root}/scoring_transactions?subscription_id=sub")
    assert deep in answer.text


def test_unknown_subscription(mart, mart_record):
    """A subscription that does not exist is 422 with code, index and field."""
    records = [mart_record("a"), mart_record("b", subscription_id="nowhere")]
    assert refused(mart, records, 422) == [("unknown_subscription", 1, "subscription_id", None)]


def test_unknown_binding(mart, mart_record):
    """A binding that is not the subscription's is 422; no binding is fine."""
    records = [mart_record("a"), mart_record("b", binding_id="other")]
    assert refused(mart, records, 422) == [("unknown_binding", 1, "binding_id", None)]
    mart.stored(mart_record("c", binding_id=None))


def test_payload_logging_switched_off(mart, mart_record):
    """While payload logging is off each record is 422 with its index; then it is stored."""
    path = f"{mart.subscription}/configurations/payload_logging"
    assert mart.http.put(path, json={"enabled": False}).status_code == 200
    assert refused(mart, [mart_record("a"), mart_record("b")], 422) == [
        ("payload_logging_disabled", 0, "subscription_id", None),
        ("payload_logging_disabled", 1, "subscription_id", None),
    ]
    assert mart.http.put(path, json={"enabled": True}).status_code == 200
    mart.stored(mart_record("a"))


def test_faults_of_both_kinds_answer_400_with_all_of_them(mart, mart_record):
    """A list with faults of form and of place is 400 and names both kinds in list order."""
    records = [
        mart_record("a", subscription_id="nowhere"),
        mart_record("b", response_time="soon"),
        mart_record("c", binding_id="other"),
        mart_record("d"),
    ]
    assert refused(mart, records, 400) == [
        ("unknown_subscription", 0, "subscription_id", None),
        ("wrong_type", 1, "response_time", None),
        ("unknown_binding", 2, "binding_id", None),
    ]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"request": {"fields": ["age", "new"], "values": [[1, 2]]}}, "request.fields"),
        ({"response": {"fields": ["prediction", "new"], "values": [[1, 2]]}}, "response.fields"),
        (
            {
                "request": {
                    "fields": ["age", "job"],
                    "values": [[1, "x"]],
                    "meta": {"fields": ["new"], "values": [[1]]},
                }
            },
            "request.meta.fields",
        ),
    ],
)
def test_unknown_columns_after_the_schema_is_fixed(mart, mart_record, members, field):
    """With dynamic schema off a record with a new column is 400, one without is stored."""
    mart.stored(mart_record("first"))
    path = f"{mart.subscription}/configurations/payload_logging"
    parameters = {"dynamic_schema_update": False}
    assert mart.http.put(path, json={"enabled": True, "parameters": parameters}).is_success
    answer = mart.store([mart_record("second"), mart_record("third", **members)])
    assert answer.status_code == 400
    assert faults(answer) == [("unknown_columns", 1, field, None)]
    assert len(mart.records()) == 1
    mart.stored(mart_record("second"))


def test_the_first_record_gives_a_fixed_schema_its_columns(mart, mart_record):
    """A table without columns takes them from the first record even when its schema is fixed."""
    path = f"{mart.subscription}/configurations/payload_logging"
    parameters = {"dynamic_schema_update": False}
    assert mart.http.put(path, json={"enabled": True, "parameters": parameters}).is_success
    mart.stored(mart_record("first"))
    new = mart_record("second", request={"fields": ["new"], "values": [[1]]})
    assert mart.store([new]).status_code == 400


def test_an_unknown_data_mart(mart, mart_record):
    """Storing into a data mart that does not exist is 404, whatever the body."""
    for body in (json.dumps([mart_record()]).encode(), b"not json"):
        answer = mart.http.post("/v1/data_marts/other/scoring_payloads", content=body)
        assert (answer.status_code, faults(answer)[0][0]) == (404, "unknown_data_mart")


LIMIT = 64 * 1024 * 1024


def test_a_body_over_the_limit_that_says_so(mart):
    """A declared length over 64 MiB is 413, and the client gets to read it."""
    answer = mart.store(b" " * (LIMIT + 1))
    assert (answer.status_code, faults(answer)[0][0]) == (413, "body_too_large")


def test_a_body_over_the_limit_in_chunks(mart):
    """A chunked body is 413 as soon as it is over the limit."""
    chunks = (b" " * 1024 * 1024 for _ in range(65))
    answer = mart.http.post(f"{mart.root}/scoring_payloads", content=chunks)
    assert (answer.status_code, faults(answer)[0][0]) == (413, "body_too_large")


def test_a_body_at_the_limit_is_read(mart, mart_record):
    """A body of exactly 64 MiB is stored."""
    text = json.dumps([mart_record()]).encode()
    assert mart.store(text.ljust(LIMIT)).status_code == 204


def test_too_much_at_a_time_is_a_passing_refusal(mart, mart_record):
    """Where all requests together are too large a request is 503 with Retry-After."""
    room = mart.running.mart.room
    room.take(LARGEST_TOTAL - 10)
    answer = mart.store([mart_record()])
    assert (answer.status_code, faults(answer)[0][0]) == (503, "overloaded")
    assert answer.headers["Retry-After"]
    room.give_back(LARGEST_TOTAL - 10)
    for _ in range(20):
        assert mart.store([mart_record()]).status_code == 204
        assert mart.store(b"not json").status_code == 400
        assert mart.http.get(mart.root).status_code == 200
    room.take(LARGEST_TOTAL)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity"])
def test_a_content_coding_is_refused(mart, coding):
    """A compressed body is 415."""
    answer = mart.http.post(
        f"{mart.root}/scoring_payloads", content=b"x", headers={"Content-Encoding": coding}
    )
    assert (answer.status_code, faults(answer)[0][0]) == (415, "unsupported_encoding")


def test_query_parameters_and_content_types_do_not_matter(mart, mart_record):
    """Unknown query parameters and any content type are accepted."""
    answer = mart.http.post(
        f"{mart.root}/scoring_payloads?version=2026-01-01",
        content=json.dumps([mart_record()]),
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("scoring_transactions", "subscription_id"),
        ("scoring_transactions?subscription_id=sub&limit=-1", "limit"),
        ("scoring_transactions?subscription_id=sub&limit=x", "limit"),
        ("scoring_transactions?subscription_id=sub&offset=1.5", "offset"),
        ("scoring_transactions?subscription_id=sub&include_failed=maybe", "include_failed"),
        ("scoring_payloads?limit=0", "limit"),
        ("scoring_payloads?after=!!", "after"),
        ("scoring_payloads?after=%C3%A9", "after"),
        ("scoring_payloads?after=LTE", "after"),
        ("scoring_conflicts?limit=0", "limit"),
    ],
)
def test_wrong_query_parameters(mart, path, field):
    """A parameter that cannot be read is 400 and named."""
    answer = mart.http.get(f"{mart.root}/{path}")
    assert answer.status_code == 400
    assert faults(answer)[0][2] == field


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/v2/data_marts", 404),
        ("DELETE", "/healthz", 405),
    ],
)
def test_paths_and_methods_that_do_not_exist(mart, method, path, status):
    """Other paths and methods are refused in the same shape."""
    answer = mart.http.request(method, path)
    assert answer.status_code == status
    assert faults(answer)
