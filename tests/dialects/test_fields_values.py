"""The fields/values dialect in the other forms that are taken."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import native, parsed, read, refused, table
from scorespan import dialects

ROW = table(["a", "b"], [1, "x"])
INNER = '{ "values": [[1.10, 123456789012345678901234567890]],\n "fields": ["a", "b"], "k": 1e5 }'
ONE = '{"fields":["p"],"values":[[0]]}'


@pytest.mark.parametrize(
    "wrapped",
    ['{"input_data":[%s]}', ' { "input_data" : [ %s ] } \n', '{"input_data"\n:\t[%s\n]}'],
)
def test_what_a_wrapper_holds_is_kept_to_the_byte(wrapped):
    """Space, member order and every digit are those of the caller, on each side."""
    answer = wrapped.replace("input_data", "predictions") % INNER
    bodies = dialects.read(None, native(wrapped % INNER, answer))
    assert (bodies.request, bodies.response) == (INNER.encode(), INNER.encode())
    assert bodies.dialect == "fields_values"
    assert bodies.notes == ()


def test_each_side_may_be_wrapped_for_itself():
    """Engines take the one and send the other."""
    wrapped_request = read(None, native({"input_data": [ROW]}, ONE))
    assert (wrapped_request.request, wrapped_request.response) == (ROW, table(["p"], [0]))
    wrapped_response = read(None, native(ROW, {"predictions": [table(["p"], [0])]}))
    assert (wrapped_response.request, wrapped_response.response) == (ROW, table(["p"], [0]))


def test_members_beside_a_wrapper_do_not_count():
    """The table within has the same numbers, to the last digit."""
    body = '{"id": 1, "input_data": [' + INNER + '], "more": [1]}'
    found = read(None, native(body, ONE))
    assert found.request == {**parsed(INNER.encode()), "k": 100000.0}
    assert found.request["values"] == [[1.1, 123456789012345678901234567890]]


def test_several_elements_are_joined_where_their_fields_are_equal():
    """With their meta; a flat list is one row."""
    one = {**table(["a"], [1]), "meta": table(["m"], ["x"])}
    two = {**table(["a"], [2], [3]), "meta": table(["m"], ["y"], ["z"])}
    found = read(None, native({"input_data": [one, two]}, [1, 2, 3]))
    joined = {**table(["a"], [1], [2], [3]), "meta": table(["m"], ["x"], ["y"], ["z"])}
    assert found.request == joined
    flat = {"fields": ["a"], "values": [4]}
    answers = {"predictions": [flat, {**flat, "values": [[5], [6]]}]}
    assert read(None, native(joined, answers)).response == table(["a"], [4], [5], [6])


@pytest.mark.parametrize(
    "second",
    [
        table(["b"], [1]),
        table(["a", "b"], [1, 2]),
        {**table(["a"], [1]), "meta": table(["m"], ["x"])},
    ],
)
def test_several_elements_of_different_columns_are_refused(second):
    """They are no table."""
    error = refused(None, native({"input_data": [table(["a"], [1]), second]}, [1, 2]))
    assert error.code == "several_tables"
    assert "request.input_data: 2 elements" in error.reason


def test_a_faulty_element_is_refused_as_it_would_be_alone():
    """Its rows are counted before they are joined."""
    body = {"input_data": [table(["a"], [1]), table(["a"], [1, 2])]}
    assert refused(None, native(body, [1, 2])).code == "row_width_mismatch"


@pytest.mark.parametrize(
    ("body", "names", "request_table"),
    [
        ({"values": ["one", "two"]}, None, table(["scoring_input"], ["one"], ["two"])),
        ({"values": [["one"], ["two"]]}, None, table(["scoring_input"], ["one"], ["two"])),
        ({"values": [[1, 2], [3, 4]]}, None, table(["scoring_input"], [[1, 2]], [[3, 4]])),
        ({"values": [[1, 2], [3, 4]]}, ("a", "b"), table(["a", "b"], [1, 2], [3, 4])),
        ({"input_data": [{"values": ["one"]}]}, ("a", "b"), table(["scoring_input"], ["one"])),
    ],
)  # fmt: skip
def test_values_without_fields_get_those_of_the_settings(body, names, request_table):
    """Else they are one column, as images and texts are."""
    rows = len(request_table["values"])
    found = read(None, native(body, [0] * rows, names=names))
    assert found.request == request_table
    assert found.response == table(["prediction"], *[[0]] * rows)


def test_values_that_the_settings_names_do_not_fit_are_refused():
    """Rows of scalars; an image has no such columns."""
    error = refused(None, native({"values": [[1, 2, 3]]}, [0], names=("a", "b")))
    assert error.code == "row_width_mismatch"
    assert error.reason == "request.values[0]: 3 values for 2 names in scoring.feature.names"
    image = [[1, 2, 3], [4, 5, 6]]
    found = read(None, native({"values": [image]}, [0], names=("a", "b", "c")))
    assert found.request == table(["scoring_input"], [image])


def test_a_flat_list_without_fields_is_one_row_of_the_settings_names():
    """As it is one where the fields stand there."""
    found = read(None, native({"values": [1, 2]}, [0], names=("a", "b")))
    assert found.request == {"fields": ["a", "b"], "values": [1, 2]}


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        ([0.5, 0.6], table(["prediction"], [0.5], [0.6])),
        ({"predictions": [0.5, 0.6]}, table(["prediction"], [0.5], [0.6])),
        ([{"p": 1}, {"p": 2}], table(["p"], [1], [2])),
        ({"p": [1, 2], "q": [3, 4]}, table(["p", "q"], [1, 3], [2, 4])),
        ({"predictions": [{"values": [7, 8]}]}, table(["prediction"], [7], [8])),
        ({"values": [[7], [8]]}, table(["prediction"], [7], [8])),
    ],
)
def test_the_answer_may_have_another_form(answer, response):
    """Fields/values go in, and anything comes out."""
    request = table(["a"], [1], [2])
    assert read(None, native(request, answer)).response == response


def test_fields_values_within_a_json_string_are_taken_out():
    """Scripts return JSON text, and their server encodes it once more."""
    bodies = dialects.read(None, native(json.dumps(INNER), json.dumps(ONE)))
    assert (bodies.request, bodies.response) == (INNER.encode(), ONE.encode())


texts = st.text()
scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts


@given(st.data(), st.integers(1, 3), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_any_wrapped_table_comes_back(data, width, sizes):
    """Split over any number of elements, the rows are the same rows."""
    fields = data.draw(st.lists(texts, min_size=width, max_size=width))
    row = st.lists(scalars, min_size=width, max_size=width)
    parts = [data.draw(st.lists(row, min_size=size, max_size=size)) for size in sizes]
    rows = [row for part in parts for row in part]
    wrapped = {"input_data": [table(fields, *part) for part in parts]}
    found = read(None, native(wrapped, {"predictions": [table(fields, *part) for part in parts]}))
    assert found.request == found.response == table(fields, *rows)
