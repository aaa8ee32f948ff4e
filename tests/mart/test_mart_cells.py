"""Cells as engines have them: objects, lists and very long texts come back as they were sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LONG = 8 * 1024 * 1024
NESTED = [
    {"street": "x", "tags": ["a", None, {"deep": [1, 2.5]}]},
    [{"a": 1}, {"b": [True, None]}],
    [[1, 2], [3.0, 4.0]],
    [],
    {},
    "a text",
    None,
]

counter = iter(range(10**9))


def cells(mart):
    """The newest row by column, as readers get it."""
    document = mart.rows(limit=1)
    return dict(zip(document["fields"], document["values"][0], strict=True))


def store(mart, mart_record, request, indent=None):
    """Store one record with these features in one row; return its scoring id."""
    number = next(counter)
    record = mart_record(f"cell-{number}")
    record["scoring_timestamp"] = f"2026-01-31T12:{number // 60 % 60:02}:{number % 60:02}Z"
    record["request"] = {"fields": list(request), "values": [list(request.values())]}
    answer = mart.store(json.dumps([record], indent=indent).encode())
    assert answer.status_code == 204, answer.text
    return record["scoring_id"]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_cell_may_be_an_object_or_a_list(mart, mart_record, indent):
    """An object is shown as its JSON text, a list as it is; whole records have both as sent."""
    request = {f"column {place}": cell for place, cell in enumerate(NESTED)}
    store(mart, mart_record, request, indent)
    (record,) = mart.records()
    assert record["request"] == {"fields": list(request), "values": [NESTED]}
    shown = cells(mart)
    for name, cell in request.items():
        found = json.loads(shown[name]) if isinstance(cell, dict) else shown[name]
        assert found == cell, name


def test_a_column_may_hold_one_kind_after_another(mart, mart_record):
    """Engines that answer an object today and a list tomorrow lose nothing."""
    for cell in NESTED:
        store(mart, mart_record, {"cell": cell})
    document = mart.rows()
    place = document["fields"].index("cell")
    shown = [row[place] for row in reversed(document["values"])]
    assert [json.loads(cell) if cell and cell[0] == "{" else cell for cell in shown] == NESTED
    assert [record["request"]["values"][0][0] for record in mart.records()] == NESTED


def test_columns_of_nested_values_have_a_type(mart, mart_record):
    """A client that reads the schema finds one for each."""
    request = {f"column {place}": cell for place, cell in enumerate(NESTED)}
    store(mart, mart_record, request)
    types = {field["name"]: field["type"] for field in mart.schema()}
    assert all(types[name] for name in request)


def test_a_cell_may_be_a_very_long_text(mart, mart_record):
    """Eight MiB of it, escapes and all, in rows as in records; its neighbours are unharmed."""
    unit = 'plain text, "quoted" \\ \N{SNOWMAN} \x1f \n'
    text = unit * (LONG // len(unit.encode()) + 1)
    store(mart, mart_record, {"scoring_input": text, "age": 7})
    shown = cells(mart)
    assert shown["scoring_input"] == text
    assert shown["age"] == 7
    (record,) = mart.records()
    assert record["request"]["values"] == [[text, 7]]


def test_many_long_texts_are_read_page_by_page(mart, mart_record):
    """A page ends early where its bodies are large; nothing is left out."""
    ids = [store(mart, mart_record, {"scoring_input": "y" * LONG}) for _ in range(6)]
    found, after = [], None
    while True:
        page = mart.get("scoring_payloads", **({"after": after} if after else {}))
        assert sum(len(one["request"]["values"][0][0]) for one in page["records"]) <= 5 * LONG
        found += [one["scoring_id"] for one in page["records"]]
        after = page["after"]
        if after is None:
            break
    assert found == ids


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(JSON, st.sampled_from([None, 1]))
def test_any_json_may_be_a_cell(mart, mart_record, cell, indent):
    """Whatever an engine has in a column is stored, and is read as it was."""
    scoring_id = store(mart, mart_record, {"before": 1, "any": cell, "behind": "z"}, indent)
    document = mart.rows(limit=1000)
    names = document["fields"]
    (row,) = [
        row for row in document["values"] if row[names.index("scoring_id")] == f"{scoring_id}-1"
    ]
    shown = row[names.index("any")]
    assert (json.loads(shown) if isinstance(cell, dict) else shown) == cell
    assert (row[names.index("before")], row[names.index("behind")]) == (1, "z")
