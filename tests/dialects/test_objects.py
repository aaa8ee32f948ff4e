"""The objects dialect: a list of objects, or one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import native, read, refused, table
from scorespan import dialects


def test_a_list_of_objects_is_a_table():
    """Columns are all keys, first seen first; what is absent is null."""
    found = read(None, native([{"a": 1}, {"b": "x", "a": 2}], [{"p": 0}, {"p": 1}]))
    assert found.dialect == "objects"
    assert found.request == table(["a", "b"], [1, None], [2, "x"])
    assert found.response == table(["p"], [0], [1])


def test_one_flat_object_is_one_row():
    """Its members are the columns, nested ones too."""
    found = read(None, native({"age": 3, "pet": {"kind": "cat"}}, {"label": "yes", "p": 0.9}))
    assert found.request == table(["age", "pet"], [3, {"kind": "cat"}])
    assert found.response == table(["label", "p"], ["yes", 0.9])


def test_a_list_of_lists_is_a_matrix():
    """Columns are those of the settings, else numbered."""
    found = read("objects", native([[1, 2]], [[3, 4]], names=("a", "b"), fields=("p", "q")))
    assert found.request == table(["a", "b"], [1, 2])
    assert found.response == table(["p", "q"], [3, 4])


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "binary/octet-stream", ""]
)
def test_json_that_is_not_said_to_be_json_is_found_by_its_looks(kind):
    """Command line tools send it as a form, and services take it."""
    assert read(None, native({"a": 1}, [1], sent=kind)).dialect == "objects"
    assert read(None, native("a=1", [1], sent=kind)).dialect == "text"


def test_objects_that_share_no_keys_are_refused():
    """The table would be the square of the body."""
    error = refused("objects", native([{f"k{at}": 1} for at in range(5000)], [0] * 5000))
    assert error.code == "too_sparse"


@pytest.mark.parametrize(
    "answer", [["x", "y"], {"label": ["x", "y"]}, [{"label": "x"}, {"label": "y"}]]
)
@pytest.mark.parametrize(
    "request_body",
    [
        {"rows": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        {"a": [1, 3], "b": [2, 4]},
    ],
)
def test_rows_within_an_object_are_found_by_the_number_of_answers(request_body, answer):
    """Under any name, or column by column."""
    found = read(None, native(request_body, answer))
    assert found.request == table(["a", "b"], [1, 2], [3, 4])
    assert [row[0] for row in found.response["values"]] == ["x", "y"]


@pytest.mark.parametrize("name", ["rows", "features", "X"])
def test_a_matrix_under_any_name_is_one_of_rows(name):
    """Its columns are numbered."""
    found = read(None, native({name: [[1, 2], [3, 4]]}, {"prediction": [0, 1], "model": "m"}))
    assert found.request == table(["f0", "f1"], [1, 2], [3, 4])
    assert found.response == table(["prediction", "model"], [0, "m"], [1, "m"])


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", ["rows", "features", "X"])
def test_rows_that_the_settings_names_do_not_fit_are_refused(name, rows):
    """Nothing is guessed about which columns are meant, under any name, of one row or many."""
    body = {name: [[1, 2, 3]] * rows}
    answer = {"prediction": 0 if rows == 1 else [0] * rows}
    error = refused(None, native(body, answer, names=("a", "b")))
    assert error.code == "row_width_mismatch"
    assert error.reason == f"request.{name}[0]: 3 values for 2 names in scoring.feature.names"


@pytest.mark.parametrize("rows", [1, 3])
def test_columns_are_the_same_for_one_row_as_for_many(rows):
    """Cells have the same type too, whatever stands beside the lists of an answer."""
    answer = {"predictions": ["yes"] * rows, "probabilities": [[0.1, 0.9]] * rows, "model": "m"}
    wanted = table(["predictions", "probabilities", "model"], *[["yes", [0.1, 0.9], "m"]] * rows)
    for body in ({"a": [1] * rows, "b": ["x"] * rows}, [{"a": 1, "b": "x"}] * rows):
        found = read(None, native(body, answer))
        assert found.request == table(["a", "b"], *[[1, "x"]] * rows)
        assert found.response == wanted


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("row", [{"a": 1, "b": "x"}, [1, "x"]])
def test_rows_beside_single_values_are_rows(rows, row):
    """What is left out is told."""
    body = {"id": "r1", "customers": [row] * rows, "threshold": 0.5}
    found = read(None, native(body, {"id": "r1", "predictions": [0] * rows}))
    assert found.request["values"] == [[1, "x"]] * rows
    assert found.response == table(["prediction"], *[[0]] * rows)
    assert found.notes == (
        "response: left out beside predictions: id",
        "request: left out: id, threshold",
    )


def test_a_list_within_an_object_that_has_one_answer_is_a_value():
    """An order has items, and one answer."""
    order = {"customer": "c", "items": [{"a": 1}, {"a": 2}]}
    found = read(None, native(order, {"fraud": 0.1}))
    assert found.request == table(["customer", "items"], ["c", [{"a": 1}, {"a": 2}]])
    nested = {"customer": {"age": 3}, "items": [{"a": 1}]}
    assert read(None, native(nested, [0.1])).request["fields"] == ["customer", "items"]


@pytest.mark.parametrize("rows", [1, 2])
def test_columns_by_index_are_columns(rows):
    """As pandas writes a data frame where it is told nothing."""
    indexes = list(map(str, range(rows)))
    body = {"a": dict.fromkeys(indexes, 1), "b": dict.fromkeys(indexes, "x")}
    found = read(None, native(body, [0] * rows))
    assert found.request == table(["a", "b"], *[[1, "x"]] * rows)
    assert found.response == table(["prediction"], *[[0]] * rows)


def test_one_list_of_values_under_any_name_has_the_names_of_the_settings():
    """Where it is as long as they are; else it is as it is without them."""
    row = native({"array": [1, 2]}, [0.1, 0.9], names=("a", "b"))
    assert read(None, row).request == table(["a", "b"], [1, 2])
    texts = native({"texts": ["x", "y", "z"]}, ["p", "q", "r"], names=("a", "b"))
    assert read(None, texts).request == table(["texts"], ["x"], ["y"], ["z"])


def test_prediction_fields_that_an_answer_has_not_are_named():
    """A column of nothing but nulls would hide a wrong setting."""
    error = refused(None, native([{"a": 1}], [{"label": "x"}], fields=("p", "q")))
    assert error.code == "wrong_prediction_fields"
    assert error.reason == (
        "response: scoring.prediction.fields: no row has p, q; some are needed of: label"
    )


@pytest.mark.parametrize(
    "body",
    [[1, 2], {"data": [1, 2]}, {"rows": [[1, 2]]}, {"rows": [{"a": 1}]}, {"a": [1], "b": [2]}],
)
def test_a_failed_scoring_has_its_request_in_rows(body):
    """As an answered one has; a list of single values is one row."""
    bodies = dialects.read(None, native(body))
    assert len(json.loads(bodies.request)["values"]) == 1
    assert bodies.response is None


def test_one_answer_may_hold_lists():
    """Of one row, and never columns, where the answer itself stands beside them."""
    found = read(None, native({"tags": ["x"]}, {"label": "cat", "topics": ["y"]}))
    assert found.request == table(["tags"], [["x"]])
    assert found.response == table(["label", "topics"], ["cat", ["y"]])
    two = [{"a": 1}, {"a": 2}]
    error = refused(None, native(two, {"label": "cat", "probabilities": [0.1, 0.9]}))
    assert error.code == "row_count_mismatch"


def test_one_answer_belongs_to_one_row():
    """Lists that have one answer are values."""
    found = read(None, native({"image": [[1, 2], [3, 4]]}, {"label": "cat"}))
    assert found.request == table(["image"], [[[1, 2], [3, 4]]])
    both = read(None, native({"a": [1, 2], "b": [3, 4]}, {"label": "cat"}))
    assert both.request == table(["a", "b"], [[1, 2], [3, 4]])


def test_mixed_rows_are_refused():
    """A table has rows of one kind."""
    assert refused("objects", native([{"a": 1}, 2], [1, 2])).code == "wrong_type"


def test_numbers_keep_their_digits():
    """What a double would change goes on as it is written."""
    digits = '{"a": 123456789012345678901234567890, "b": 0.12345678901234567890, "c": 1e-400}'
    found = read(None, native(digits, "[0.10000000000000000001]"))
    assert found.request["values"] == [
        [123456789012345678901234567890, "number 0.12345678901234567890", "number 1e-400"]
    ]
    assert found.response["values"] == [["number 0.10000000000000000001"]]


@pytest.mark.parametrize("run", [".", "1", "1.", "-", "1e", "e000", "1-"])
def test_texts_that_look_like_numbers_take_time_in_proportion(run):
    """A megabyte of it would take hours, were each place in it a start to be tried to the end."""
    text = run * (1_000_000 // len(run))
    found = read(None, native([{"a": text}], [0]))
    assert found.request == table(["a"], [text])


def test_numbers_that_json_has_not_become_null_with_a_note():
    """Python writes them; the record says how many there were."""
    found = read(None, native('[{"a": NaN, "b": "NaN"}, {"a": -Infinity}]', "[NaN, Infinity]"))
    assert found.request == table(["a", "b"], [None, "NaN"], [None, None])
    assert found.response == table(["prediction"], [None], [None])
    assert found.notes == (
        "request: 1 NaN became null",
        "request: 1 -Infinity became null",
        "response: 1 NaN became null",
        "response: 1 Infinity became null",
    )


def test_a_number_that_no_reader_takes_is_refused():
    """Beyond the range of a double, whatever stands beside it."""
    for text in ('[{"a": 1e999}]', '[{"a": 1e999, "b": NaN}]', '[{"a": %s}]' % ("9" * 400)):
        assert refused("objects", native(text, [1])).code == "invalid_json"


def test_what_nests_too_deep_is_refused():
    """It can be read, and not be written."""
    deep = '[{"a": ' + "[" * 600 + "]" * 600 + "}]"
    assert refused("objects", native(deep, [1])).code == "nested_too_deep"


numbers = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(numbers, st.text()), min_size=1, max_size=4))
def test_any_objects_come_back(rows):
    """Rows of any numbers and texts are the same rows in the record."""
    objects = [{"a": number, "b": text} for number, text in rows]
    found = read(None, native(objects, json.dumps([number for number, _ in rows])))
    assert found.request == table(["a", "b"], *map(list, rows))
    assert found.response == table(["prediction"], *([number] for number, _ in rows))
