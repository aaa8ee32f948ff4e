"""The Azure ML Studio dialect: web services of Studio, and containers of the Designer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import native, read, refused, table

COLUMNS = ["Sex", "Age"]
REQUEST = {"Inputs": {"input1": [{"Sex": "female", "Age": 32}]}, "GlobalParameters": {}}
ECHO = {"Sex": "female", "Age": "32"}
ANSWER = {
    "Results": {"output1": [{**ECHO, "Scored Labels": "No Risk", "Scored Probabilities": "0.0140"}]}
}
SCORED = table(["Scored Labels", "Scored Probabilities"], ["No Risk", 0.014])


def test_a_new_web_service_answers_in_text_and_with_its_input():
    """Text becomes numbers, columns of the request are left out, parameters do not count."""
    found = read(None, native(REQUEST, ANSWER))
    assert found.dialect == "azure_studio"
    assert found.request == table(COLUMNS, ["female", 32])
    assert found.response == SCORED
    assert found.notes == ()


def test_the_table_form_is_the_same_scoring():
    """Column names and values, all of them text, with or without `type` around."""
    columns = [*COLUMNS, "Scored Labels", "Scored Probabilities"]
    values = [["female", "32", "No Risk", "0.0140"]]
    inputs = {"ColumnNames": COLUMNS, "Values": [["female", "32"]]}
    outputs = {"ColumnNames": columns, "ColumnTypes": ["String"] * 4, "Values": values}
    for output in (outputs, {"type": "table", "value": outputs}):
        scoring = native({"Inputs": {"input1": inputs}}, {"Results": {"output1": output}})
        found = read(None, scoring)
        assert (found.request, found.response) == (table(COLUMNS, ["female", 32]), SCORED)


def test_column_types_tell_text_from_numbers():
    """A label `1` is the text that the labels of other calls are."""
    output = {
        "ColumnNames": ["Scored Labels", "Scored Probabilities"],
        "ColumnTypes": ["String", "Double"],
        "Values": [["1", "0.0140"]],
    }
    found = read(None, native(REQUEST, {"Results": {"output1": {"value": output}}}))
    assert found.response == table(["Scored Labels", "Scored Probabilities"], ["1", 0.014])


def test_a_container_of_the_designer_sends_types():
    """What is text there is text: a label `1`, a code `32`."""
    scoring = native(
        {"Inputs": {"WebServiceInput0": [{"code": "32"}]}, "GlobalParameters": {}},
        {"Results": {"WebServiceOutput0": [{"code": "32", "Scored Labels": "1"}]}},
    )
    found = read(None, scoring)
    assert found.request == table(["code"], ["32"])
    assert found.response == table(["Scored Labels"], ["1"])


def test_the_name_of_a_port_is_anything():
    """The one that there is counts."""
    scoring = native({"Inputs": {"credit": [{"a": 1}]}}, {"Results": {"o": [{"p": "2"}]}})
    assert read(None, scoring).response == table(["p"], [2])


def test_probabilities_of_classes_become_one_array():
    """In the order of the columns, at the place of the first, with the labels beside."""
    answer = {
        "Scored Labels": "b",
        'Scored Probabilities for Class "a"': "0.1",
        'Scored Probabilities for Class "b"': "0.7",
        'Scored Probabilities for Class "c d"': "2E-1",
    }
    found = read(None, native(REQUEST, {"Results": {"output1": [answer]}}))
    scored = table(["Scored Labels", "Scored Probabilities"], ["b", [0.1, 0.7, 0.2]])
    assert found.response == {**scored, "labels": ["a", "b", "c d"]}


@pytest.mark.parametrize(
    ("texts", "cells", "notes"),
    [
        (["1", "-2", "0.5"], [1, -2, 0.5], 0),
        (["1e5", "1.5E-05", "1E+2"], [100000.0, 1.5e-05, 100.0], 0),
        (["1", "", "3"], [1, None, 3], 0),
        (["1", " ", "3"], [1, None, 3], 0),
        (["", "", ""], ["", "", ""], 0),
        (["1", "NaN", "-Infinity"], [1, None, None], 2),
        (["NaN", "NaN", "NaN"], [None] * 3, 1),
        (["Nan", "Nan", "Nan"], ["Nan"] * 3, 0),
        (["1", "x", "3"], ["1", "x", "3"], 0),
        (["007", "1", "2"], ["007", "1", "2"], 0),
        (["1", "+2", "3"], ["1", "+2", "3"], 0),
        (["1", "0x10", "3"], ["1", "0x10", "3"], 0),
        (["1", "1e400", "3"], ["1", "1e400", "3"], 0),
        (["1", "٣", "3"], ["1", "٣", "3"], 0),
        (["1,5", "2", "3"], ["1,5", "2", "3"], 0),
        (["true", "false", "true"], ["true", "false", "true"], 0),
        (
            ["0.1000000000000000055", "123456789012345678901", "0.25"],
            ["number 0.1000000000000000055", 123456789012345678901, 0.25],
            0,
        ),
    ],
)
def test_a_column_of_texts_has_one_type(texts, cells, notes):
    """All of its texts are numbers, or none of them becomes one; empty ones are missing values."""
    rows = [{"p": text} for text in texts]
    scoring = native({"Inputs": {"input1": [{"a": 1}] * 3}}, {"Results": {"output1": rows}})
    found = read(None, scoring)
    assert [row[0] for row in found.response["values"]] == cells
    assert len(found.notes) == notes
    assert all("'p' became null" in note for note in found.notes)


def test_typed_values_beside_text_say_that_text_is_text():
    """A web service that knows numbers does not send them as text."""
    answer = {"Results": {"output1": [{"p": "1", "q": 2}]}}
    assert read(None, native(REQUEST, answer)).response == table(["p", "q"], ["1", 2])


def test_an_answer_that_only_repeats_its_input_is_kept():
    """A response must have columns."""
    found = read(None, native(REQUEST, {"Results": {"output1": [ECHO]}}))
    assert found.response == table(COLUMNS, ["female", 32])


@pytest.mark.parametrize(
    "answer",
    ['{"Results": [1.5]}', '"{\\"Results\\": [1.5]}"', "[1.5]", "1.5", '{"Results": {"p": [1.5]}}'],
)
def test_other_answers_are_predictions(answer):
    """Scripts behind the same request form answer as they like."""
    found = read(None, native(REQUEST, answer))
    assert found.response["values"] == [[1.5]]


def test_rows_without_names_get_those_of_the_settings():
    """A matrix in place of objects."""
    scoring = native({"Inputs": {"data": [[1, 2]]}}, {"Results": [3]}, names=("a", "b"))
    assert read(None, scoring).request == table(["a", "b"], [1, 2])


@pytest.mark.parametrize(
    ("request_body", "answer", "code", "said"),
    [
        ({"Inputs": {"a": [{"x": 1}], "b": [{"x": 2}]}}, ANSWER, "several_tables", "not: a, b"),
        ({"Inputs": {"a": [1, 2]}}, ANSWER, "wrong_type", "request.Inputs.a: a list of objects"),
        (
            {"Inputs": {"a": {"ColumnNames": [1], "Values": []}}},
            ANSWER,
            "wrong_type",
            "request.Inputs.a.ColumnNames",
        ),
        (
            {"Inputs": {"a": {"ColumnNames": ["x"], "Values": 1}}},
            ANSWER,
            "wrong_type",
            "request.Inputs.a.Values",
        ),
        (
            {"Inputs": {"a": {"ColumnNames": ["x"], "Values": [[1], [2, 3]]}}},
            ANSWER,
            "row_width_mismatch",
            "request.Inputs.a.Values[1]: a list of 1",
        ),
        (
            REQUEST,
            {"Results": {"output1": [{"p": 1}, {"p": 2}]}},
            "row_count_mismatch",
            "response: 2 rows for 1 rows",
        ),
        (REQUEST, "no json", "invalid_json", "response: not valid JSON"),
    ],
)
def test_what_cannot_be_paired_is_refused(request_body, answer, code, said):
    """The reason names the place."""
    error = refused(None, native(request_body, answer))
    assert error.code == code
    assert said in error.reason


def test_the_dialect_can_be_named_for_bodies_that_are_not_in_it():
    """Then the reason says what is needed."""
    assert refused("azure_studio", native([1], [1])).code == "no_rows"


cells = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.data(), st.integers(1, 3), st.integers(1, 4))
def test_any_table_comes_back(data, width, count):
    """Numbers that went as text are the same numbers."""
    fields = [f"c{at}" for at in range(width)]
    row = st.lists(cells, min_size=width, max_size=width)
    rows = data.draw(st.lists(row, min_size=count, max_size=count))
    texts = [[repr(cell) for cell in row] for row in rows]
    scoring = native(
        {"Inputs": {"input1": {"ColumnNames": fields, "Values": texts}}},
        {"Results": {"output1": [dict(zip("pqr", row, strict=False)) for row in texts]}},
    )
    found = read(None, scoring)
    assert found.request == table(fields, *rows)
    assert found.response == table(["p", "q", "r"][:width], *rows)
