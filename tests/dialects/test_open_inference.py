"""The Open Inference dialect, version 2: tensors in, tensors out."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import native, read, refused, table
from scorespan import dialects


def tensor(name, shape, data, datatype="FP64", **more):
    """One tensor."""
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


def inputs(*tensors, **more):
    """A request."""
    return {"inputs": list(tensors), **more}


def outputs(*tensors, **more):
    """An answer."""
    return {"model_name": "m", "model_version": "1", "outputs": list(tensors), **more}


ONE = outputs(tensor("predict", [2], [0, 1], "INT64"))
PREDICTED = table(["predict"], [0], [1])


@pytest.mark.parametrize(
    ("tensors", "request_table"),
    [
        ([tensor("x", [2], [1, 2])], table(["x"], [1], [2])),
        ([tensor("x", [2, 1], [1, 2])], table(["x"], [1], [2])),
        ([tensor("x", [2, 1], [[1], [2]])], table(["x"], [1], [2])),
        (
            [tensor("x", [2, 3], [1, 2, 3, 4, 5, 6])],
            table(["x_0", "x_1", "x_2"], [1, 2, 3], [4, 5, 6]),
        ),
        ([tensor("x", [2, 2], [[1, 2], [3, 4]])], table(["x_0", "x_1"], [1, 2], [3, 4])),
        ([tensor("x", [2, 1, 2], [1, 2, 3, 4])], table(["x"], [[[1, 2]]], [[[3, 4]]])),
        (
            [tensor("x", [2, 2, 1], [[[1], [2]], [[3], [4]]])],
            table(["x"], [[[1], [2]]], [[[3], [4]]]),
        ),
        (
            [
                tensor("age", [2], [31, 32], "INT64"),
                tensor("sex", [2, 1], ["f", "m"], "BYTES"),
                tensor("v", [2, 2], [1, 2, 3, 4]),
            ],
            table(["age", "sex", "v_0", "v_1"], [31, "f", 1, 2], [32, "m", 3, 4]),
        ),
        (
            [tensor("x", [2], [9007199254740993, 18446744073709551615], "UINT64")],
            table(["x"], [9007199254740993], [18446744073709551615]),
        ),
        ([tensor("x", [2], [True, None], "BOOL")], table(["x"], [True], [None])),
    ],
)
def test_tensors_become_columns(tensors, request_table):
    """The first dimension counts the rows; a second one is columns; more are one array."""
    body = inputs(*tensors, id="4", parameters={"content_type": "pd"})
    found = read(None, native(body, ONE))
    assert found.dialect == "open_inference"
    assert (found.request, found.response) == (request_table, PREDICTED)
    assert found.notes == ()


def test_numbers_keep_all_their_digits():
    """What a double cannot hold is in the record as it was in the body."""
    body = json.dumps(inputs(tensor("x", [2], ["DATA"])))
    body = body.replace('"DATA"', "0.12345678901234567890,12345678901234567890123")
    found = read(None, native(body, ONE)).request
    assert found == table(["x"], ["number 0.12345678901234567890"], [12345678901234567890123])


def test_feature_names_are_the_columns_of_one_tensor():
    """One tensor takes them, and must have that width; several have names of their own."""
    alone = native(inputs(tensor("x", [2, 2], [1, 2, 3, 4])), ONE, names=("a", "b"))
    assert read(None, alone).request["fields"] == ["a", "b"]
    wider = native(inputs(tensor("x", [2, 3], [1] * 6)), ONE, names=("a", "b"))
    error = refused(None, wider)
    assert error.code == "row_width_mismatch"
    assert "3 values for 2 names in scoring.feature.names" in error.reason
    named = native(inputs(tensor("x", [2, 1], [1, 2])), ONE, names=("a", "b"))
    assert read(None, named).request["fields"] == ["x"]
    several = native(
        inputs(tensor("x", [2], [1, 2]), tensor("y", [2], [1, 2])), ONE, names=("a", "b")
    )
    assert read(None, several).request["fields"] == ["x", "y"]


@pytest.mark.parametrize(
    ("answer", "fields", "response"),
    [
        (
            outputs(
                tensor("predict", [2], [0, 1]),
                tensor("predict_proba", [2, 2], [0.9, 0.1, 0.2, 0.8]),
            ),
            None,
            table(["predict", "predict_proba"], [0, [0.9, 0.1]], [1, [0.2, 0.8]]),
        ),
        (
            outputs(
                tensor("predict_proba", [2, 2], [[0.9, 0.1], [0.2, 0.8]]),
                tensor("predict", [2, 1], ["n", "y"], "BYTES"),
            ),
            ("predict", "predict_proba"),
            table(["predict", "predict_proba"], ["n", [0.9, 0.1]], ["y", [0.2, 0.8]]),
        ),
        (
            outputs(tensor("out", [2, 2], [0, 1, 2, 3])),
            ("p", "q"),
            table(["p", "q"], [0, 1], [2, 3]),
        ),
        (outputs(tensor("out", [2, 2], [0, 1, 2, 3])), ("p",), table(["p"], [[0, 1]], [[2, 3]])),
        (
            outputs(tensor("out", [2, 1, 2], [0, 1, 2, 3])),
            None,
            table(["out"], [[[0, 1]]], [[[2, 3]]]),
        ),
    ],
)
def test_outputs_are_columns_by_name(answer, fields, response):
    """Class and probabilities stand side by side; settings pick or name them."""
    assert (
        read(None, native(inputs(tensor("x", [2], [1, 2])), answer, fields=fields)).response
        == response
    )


def test_a_single_value_is_one_row():
    """A tensor without dimensions is one cell."""
    found = read(None, native(inputs(tensor("x", [], [1])), outputs(tensor("y", [], [2]))))
    assert (found.request, found.response) == (table(["x"], [1]), table(["y"], [2]))


def test_no_rows_are_no_rows():
    """An empty batch has columns and no rows."""
    found = read(None, native(inputs(tensor("x", [0, 1], [])), outputs(tensor("y", [0], []))))
    assert (found.request, found.response) == (table(["x"]), table(["y"]))


MANY = [1] * 33


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        (
            tensor("x", [3], [1, 2]),
            "shape_mismatch",
            "inputs[0].data: 2 values do not fill the shape [3]",
        ),
        (tensor("x", [2, 2], [1, 2]), "shape_mismatch", "inputs[0].data: 2 values do not fill"),
        (
            tensor("x", [2, 2], [[1, 2], [3]]),
            "shape_mismatch",
            "inputs[0].data: lists of 2 are needed 1 deep",
        ),
        (
            tensor("x", [2, 1], [[1], 2]),
            "shape_mismatch",
            "inputs[0].data: lists of 1 are needed 1 deep",
        ),
        (tensor("x", [2], [[1], [2]]), "shape_mismatch", "inputs[0].data: 2 values do not fill"),
        (
            tensor("x", [1000000000000, 0], []),
            "shape_mismatch",
            "inputs[0].data: 0 values do not fill",
        ),
        (tensor("x", [-1], [1]), "wrong_type", "inputs[0].shape: at most 32 whole numbers"),
        (tensor("x", [True], [1]), "wrong_type", "inputs[0].shape"),
        (tensor("x", [1.0], [1]), "wrong_type", "inputs[0].shape"),
        (tensor("x", MANY, [1]), "wrong_type", "inputs[0].shape"),
        (tensor("x", 2, [1, 2]), "wrong_type", "inputs[0].shape"),
        (tensor("x", [2], "ab"), "wrong_type", "inputs[0].data: a list is needed"),
        (tensor(5, [2], [1, 2]), "wrong_type", "inputs[0].name: text is needed"),
        ({"name": "x", "shape": [2], "datatype": "FP32"}, "wrong_type", "inputs[0].data"),
        (
            {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
            "binary_tensor",
            "inputs[0]: tensors are read as JSON; binary data behind it is not",
        ),
        (5, "wrong_type", "inputs[0]: an object is needed"),
    ],
)
def test_what_is_no_tensor_is_refused(bad, code, said):
    """The reason names the tensor, its member, and what is allowed there; in answers as well."""
    error = refused("open_inference", native(inputs(bad), ONE))
    assert error.code == code
    assert f"request.{said}" in error.reason
    other = refused(None, native(inputs(tensor("x", [2], [1, 2])), outputs(bad)))
    assert other.code == code
    assert f"response.{said.replace('inputs', 'outputs')}" in other.reason


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (inputs(), "missing_member", "request.inputs: a list of tensors is needed"),
        ({}, "missing_member", "request.inputs"),
        ([], "missing_member", "request.inputs"),
        ("{", "invalid_json", "request: not valid JSON"),
        (
            '{"inputs":[{"parameters":{"binary_data_size":3}}]}abc',
            "binary_tensor",
            "request.inputs: tensors are read as JSON",
        ),
        (
            inputs(tensor("x", [2], [1, 2]), tensor("y", [1], [1])),
            "row_count_mismatch",
            "request.inputs[1]: 1 rows, but request.inputs[0] has 2",
        ),
        (inputs(tensor("x", [1], [1])), "row_count_mismatch", "response: 2 rows for 1 rows"),
    ],
)
def test_what_is_no_request_of_tensors_is_refused(body, code, said):
    """So is a body without tensors, and one whose tensors do not fit together."""
    error = refused("open_inference", native(body, ONE))
    assert error.code == code
    assert said in error.reason


SHAPES = st.lists(st.integers(1, 3), min_size=0, max_size=3)
CELLS = (
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
)


def nested(cells, shape):
    """Flat values, nested as a shape says."""
    if not shape:
        return cells[0]
    size = len(cells) // shape[0]
    return [nested(cells[at * size : (at + 1) * size], shape[1:]) for at in range(shape[0])]


@given(st.integers(1, 4), SHAPES, st.data())
def test_flat_and_nested_data_are_the_same_tensor(rows, inner, data):
    """However a tensor is written, its rows are the slices along the first dimension."""
    shape = [rows, *inner]
    size = math.prod(shape)
    cells = data.draw(st.lists(CELLS, min_size=size, max_size=size))
    deep = nested(cells, shape)
    answer = outputs(tensor("y", [rows], [0] * rows))
    flat = read(None, native(inputs(tensor("x", shape, cells)), answer))
    assert read(None, native(inputs(tensor("x", shape, deep)), answer)) == flat
    for row, part in zip(flat.request["values"], deep, strict=True):
        if len(shape) == 2:
            assert row == part
        else:
            assert row == [part]


@given(
    st.recursive(
        CELLS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["inputs", "outputs", "name", "shape", "data", "datatype"]), inner
            )
        ),
    )
)
def test_any_document_is_read_or_refused(document):
    """Nothing that a service may send or answer raises."""
    dialects.read("open_inference", native(json.dumps(document), json.dumps(document)))
