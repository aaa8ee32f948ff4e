"""The Azure ML service dialect: rows under `data` or `input`, whatever the script answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import native, read, refused, table

ROWS = [{"age": 32, "sex": "f"}, {"age": 41, "sex": "m"}]
TABLE = table(["age", "sex"], [32, "f"], [41, "m"])
SCORED = [
    {"Scored Labels": "No Risk", "Scored Probabilities": [0.89, 0.11]},
    {"Scored Labels": "Risk", "Scored Probabilities": [0.2, 0.8]},
]
ANSWER = table(
    ["Scored Labels", "Scored Probabilities"], ["No Risk", [0.89, 0.11]], ["Risk", [0.2, 0.8]]
)


@pytest.mark.parametrize("around", ["data", "input"])
@pytest.mark.parametrize("within", ["output", "result", "results", "predictions", None])
@pytest.mark.parametrize("times", [0, 1])
def test_objects_are_read_in_each_of_their_forms(around, within, times):
    """Rows under either name; answers bare or under a name, and as JSON text in a JSON string."""
    answer = SCORED if within is None else {within: SCORED}
    for _ in range(times):
        answer = json.dumps(answer)
    found = read(None, native({around: ROWS}, json.dumps(answer)))
    assert (found.dialect, found.request, found.response) == ("azure_service", TABLE, ANSWER)


def test_a_request_may_be_doubly_encoded_too():
    """Callers send the text of JSON as JSON."""
    scoring = native(json.dumps(json.dumps({"data": ROWS})), SCORED)
    assert read(None, scoring).request == TABLE


@pytest.mark.parametrize(
    ("names", "fields"), [(None, ["f0", "f1"]), (("age", "income"), ["age", "income"])]
)
def test_a_matrix_has_the_columns_of_the_settings(names, fields):
    """Without settings, columns are numbered."""
    found = read(None, native({"data": [[1, 2], [3, 4]]}, [1.0, 0.5], names=names))
    assert found.request == table(fields, [1, 2], [3, 4])
    assert found.response == table(["prediction"], [1.0], [0.5])


def test_the_wrong_number_of_names_names_the_setting():
    """Nothing is guessed about which columns are meant."""
    error = refused(None, native({"data": [[1, 2]]}, [1], names=("a",)))
    assert error.code == "row_width_mismatch"
    assert error.reason == "request.data[0]: 2 values for 1 names in scoring.feature.names"
    uneven = refused(None, native({"data": [[1, 2], [3]]}, [1, 2]))
    assert "request.data[1]: 1 values for 2 in the first row" in uneven.reason


def test_one_list_of_values_is_one_row_where_the_settings_have_as_many_names():
    """Else it is one column."""
    one = native({"data": [1, 2]}, [0.5], names=("a", "b"))
    assert read(None, one).request == table(["a", "b"], [1, 2])
    two = native({"data": [1, 2]}, [0.5, 0.6])
    assert read(None, two).request == table(["f0"], [1], [2])


@pytest.mark.parametrize("answer", [[0], 0, [0.1, 0.9], {"label": "x"}])
def test_a_list_of_values_that_has_one_answer_is_one_row(answer):
    """As many answers as values would make it a column."""
    found = read(None, native({"data": [5.1, 3.5, 1.4]}, answer))
    assert found.request == table(["f0", "f1", "f2"], [5.1, 3.5, 1.4])
    assert len(found.response["values"]) == 1
    column = read(None, native({"data": [5.1, 3.5, 1.4]}, [0, 1, 0]))
    assert column.request == table(["f0"], [5.1], [3.5], [1.4])


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        ([1.0], table(["prediction"], [1.0])),
        (1.0, table(["prediction"], [1.0])),
        ([[0.1, 0.9]], table(["prediction"], [[0.1, 0.9]])),
        ([0.1, 0.9], table(["prediction"], [[0.1, 0.9]])),
        ({"label": "x", "score": 1}, table(["label", "score"], ["x", 1])),
        ({"label": ["x"], "score": [[1, 2]]}, table(["label", "score"], ["x", [1, 2]])),
        ({"label": ["x"], "score": 1}, table(["label", "score"], [["x"], 1])),
        ({"result": [1.5]}, table(["prediction"], [1.5])),
        ({"output": None, "p": 1}, table(["output", "p"], [None, 1])),
        ("yes", table(["prediction"], ["yes"])),
        (None, table(["prediction"], [None])),
    ],
)
def test_one_row_pairs_with_any_answer(answer, response):
    """One answer of any form is that row's."""
    found = read(None, native({"data": [{"a": 1}]}, json.dumps(answer)))
    assert found.response == response


@pytest.mark.parametrize(
    ("answer", "response", "notes"),
    [
        ({"result": "yes", "score": 1}, table(["result", "score"], ["yes", 1]), 0),
        ({"predictions": [0], "probs": [[1]]}, table(["predictions", "probs"], [0, [1]]), 0),
        ({"predictions": [0], "model": "m", "v": 1}, table(["prediction"], [0]), 1),
        ({"output": {"p": 1}, "model": "m"}, table(["p"], [1]), 1),
    ],
)
def test_what_stands_beside_an_answer_is_a_column_or_told(answer, response, notes):
    """Nothing that was answered is left out in silence."""
    found = read(None, native({"data": [{"a": 1}]}, answer))
    assert found.response == response
    assert len(found.notes) == notes
    assert all(note.startswith("response: left out beside ") for note in found.notes)


def test_prediction_fields_name_and_order_the_answer():
    """Members go by the settings' names, lists of that width by their places."""
    of_objects = native({"data": ROWS}, [{"q": 1, "p": 2, "r": 3}, {"p": 4}], fields=("p", "q"))
    assert read(None, of_objects).response == table(["p", "q"], [2, 1], [4, None])
    of_lists = native({"data": ROWS}, [[1, 2], [3, 4]], fields=("p", "q"))
    assert read(None, of_lists).response == table(["p", "q"], [1, 2], [3, 4])
    of_scalars = native({"data": ROWS}, [1, 2], fields=("p",))
    assert read(None, of_scalars).response == table(["p"], [1], [2])


def test_text_that_is_said_to_be_text_is_a_prediction():
    """A service that answers with a label in plain text."""
    scoring = native({"data": [{"a": 1}]}, "No Risk", answered="text/html; charset=utf-8")
    assert read(None, scoring).response == table(["prediction"], ["No Risk"])


@pytest.mark.parametrize("answer", [[1.0], [1, 2, 3], 0.5, {"p": 1}, {"p": [1]}])
def test_other_numbers_of_rows_are_refused(answer):
    """Two rows need two answers."""
    error = refused(None, native({"data": ROWS}, answer))
    assert error.code == "row_count_mismatch"
    assert "rows for 2 rows of the request" in error.reason


def test_rows_of_different_kinds_are_refused():
    """An object and a list are no table."""
    error = refused(None, native({"data": [{"a": 1}, [2]]}, [1, 2]))
    assert (error.code, error.reason) == ("wrong_type", "request.data: rows of one kind are needed")


def test_objects_may_lack_members_and_hold_any_value():
    """What is absent is null; nested values stay what they are."""
    rows = [{"a": {"b": [1]}}, {"c": [True], "a": None}]
    found = read(None, native({"data": rows}, [1, 2]))
    assert found.request == table(["a", "c"], [{"b": [1]}, None], [None, [True]])


def test_how_to_score_is_no_column():
    """Members beside the rows that say how to score do not count."""
    scoring = native({"data": ROWS, "method": "predict_proba"}, [1, 2])
    assert read(None, scoring).request == TABLE


def test_an_object_with_more_members_is_an_object():
    """`data` beside other columns is a column."""
    scoring = native({"data": [1], "age": 3}, [1])
    assert read(None, scoring).dialect == "objects"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_any_objects_come_back(data, width, count, twice):
    """Rows of any JSON values are the same rows in the record."""
    names = st.lists(st.text(), min_size=width, max_size=width, unique=True)
    fields = data.draw(names)
    row = st.lists(values, min_size=width, max_size=width)
    rows = data.draw(st.lists(row, min_size=count, max_size=count))
    objects = [dict(zip(fields, row, strict=True)) for row in rows]
    body = json.dumps({"data": objects})
    scoring = native(json.dumps(body) if twice else body, [0] * count)
    assert read("azure_service", scoring).request == table(fields, *rows)
