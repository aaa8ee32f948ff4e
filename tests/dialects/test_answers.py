"""Answers: what the prediction fields pick, name and refuse, in every dialect."""

from __future__ import annotations

import pytest

from native_bodies import CSV, native, read, refused, table

TWO_ROWS = {
    "objects": [{"a": 1}, {"a": 2}],
    "rows": {"rows": [{"a": 1}, {"a": 2}]},
    "azure_service": {"data": [[1], [2]]},
    "azure_studio": {"Inputs": {"input1": [{"a": 1}, {"a": 2}]}},
    "mlflow": {"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}},
    "kserve": {"instances": [[1], [2]]},
    "sagemaker_json": [[1], [2]],
    "fields_values": table(["a"], [1], [2]),
}
N, Y = 'Scored Probabilities for Class "n"', 'Scored Probabilities for Class "y"'


@pytest.mark.parametrize("request_form", TWO_ROWS)
@pytest.mark.parametrize(
    ("answer", "fields", "said"),
    [
        ({"prediction": [1, 2]}, ("p",), "no row has p; some are needed of: prediction"),
        (
            [{"Label": "x", "probability": 0.3}, {"Label": "y", "probability": 0.4}],
            ("label", "probability"),
            "no row has label; some are needed of: Label, probability",
        ),
        (
            {"predictions": [1, 2]},
            ("p", "q", "r"),
            "3 names (p, q, r) for rows of 1 values without names; one name is needed, or as many",
        ),
        ({"predictions": [[1, 2], [3]]}, ("p", "q"), "2 names (p, q) for rows of 1 or 2 values"),
    ],
)
def test_fields_that_do_not_fit_are_refused(request_form, answer, fields, said):
    """The setting is named, and what it could be: the dead letter waits until it is mended."""
    error = refused(None, native(TWO_ROWS[request_form], answer, fields=fields))
    assert error.code == "wrong_prediction_fields"
    assert error.reason.startswith(f"response: scoring.prediction.fields: {said}")


@pytest.mark.parametrize("request_form", TWO_ROWS)
def test_fields_pick_the_columns_of_an_answer_and_name_what_they_leave_out(request_form):
    """In their order; a field that some rows lack is null there."""
    answer = [{"label": "x", "probability": 0.3, "version": 7}, {"label": "y", "took": 2}]
    found = read(None, native(TWO_ROWS[request_form], answer, fields=("probability", "label")))
    assert found.response == table(["probability", "label"], [0.3, "x"], [None, "y"])
    assert found.notes == ("response: left out, not in scoring.prediction.fields: version, took",)


@pytest.mark.parametrize(
    ("answer", "fields", "response"),
    [
        ({"predictions": [1, 2]}, ("p",), table(["p"], [1], [2])),
        ({"predictions": [[1, 2], [3, 4]]}, ("p", "q"), table(["p", "q"], [1, 2], [3, 4])),
        ({"predictions": [[1, 2], [3, 4]]}, ("p",), table(["p"], [[1, 2]], [[3, 4]])),
        ([1, 2], ("p",), table(["p"], [1], [2])),
        ({"values": [1, 2]}, ("p",), table(["p"], [1], [2])),
    ],
)
@pytest.mark.parametrize("request_form", TWO_ROWS)
def test_fields_name_the_columns_of_an_answer_without_names(request_form, answer, fields, response):
    """One holds all that a row has; several, as many values."""
    if "values" in answer and request_form != "fields_values":
        answer = answer["values"]
    found = read(None, native(TWO_ROWS[request_form], answer, fields=fields))
    assert (found.response, found.notes) == (response, ())


def test_a_field_beside_the_answer_is_had_with_it():
    """Where all names are members of the whole, none of it is only around the answer."""
    answer = {"predictions": [1, 2], "version": "7", "took": 3}
    scoring = native(TWO_ROWS["objects"], answer, fields=("predictions", "version"))
    found = read(None, scoring)
    assert found.response == table(["predictions", "version"], [1, "7"], [2, "7"])
    assert found.notes == ("response: left out, not in scoring.prediction.fields: took",)


def test_rows_of_values_are_refused_where_names_are_more():
    """Also where the answer is a table without fields."""
    scoring = native(TWO_ROWS["fields_values"], {"values": [[1], [2]]}, fields=("p", "q", "r"))
    assert refused(None, scoring).code == "wrong_prediction_fields"


@pytest.mark.parametrize("request_form", [{"data": [1, 2]}, [1, 2]])
def test_a_list_of_values_is_one_row_where_the_names_say_so(request_form):
    """As many names as values tell one answer of several columns from several answers."""
    found = read(None, native(request_form, [0.1, 0.9], fields=("p", "q")))
    assert found.request == table(["f0", "f1"], [1, 2])
    assert found.response == table(["p", "q"], [0.1, 0.9])


@pytest.mark.parametrize(
    ("fields", "response", "labels", "left_out"),
    [
        (("Scored Labels",), [["y"]], None, [N, Y]),
        (("Scored Probabilities", "Scored Labels"), [[[0.25, 0.75], "y"]], ["n", "y"], []),
        ((Y, "a"), [[0.75, 1]], None, [N, "Scored Labels"]),
    ],
)
def test_fields_pick_columns_of_a_studio_answer(fields, response, labels, left_out):
    """The one of the array, those that it is made of, and what the request has."""
    scored = {
        "a": "1",
        N: "0.25",
        Y: "0.75",
        "Scored Labels": "y",
    }
    scoring = native(
        {"Inputs": {"input1": [{"a": "1"}]}}, {"Results": {"output1": [scored]}}, fields=fields
    )
    found = read(None, scoring)
    assert found.response["fields"] == list(fields)
    assert found.response["values"] == response
    assert found.response.get("labels") == labels
    told = "response: left out, not in scoring.prediction.fields: "
    assert found.notes == ((told + ", ".join(left_out),) if left_out else ())


def test_a_studio_answer_without_a_field_is_refused():
    """Studio's own names are needed."""
    scoring = native(
        {"Inputs": {"input1": [{"a": "1"}]}},
        {"Results": {"output1": [{"Scored Labels": "y"}]}},
        fields=("label",),
    )
    error = refused(None, scoring)
    assert error.code == "wrong_prediction_fields"
    assert "Scored Labels" in error.reason


@pytest.mark.parametrize(
    ("outputs", "fields"),
    [
        ([("out", [2], [0, 1])], ("p", "q")),
        ([("q", [2], [0, 1])], ("p", "q")),
        ([("q", [2], [0, 1]), ("r", [2], [0, 1])], ("p",)),
    ],
)
def test_fields_that_do_not_fit_tensors_are_refused(outputs, fields):
    """Neither as many values, nor outputs of these names."""
    tensors = [
        {"name": name, "shape": shape, "datatype": "INT64", "data": data}
        for name, shape, data in outputs
    ]
    request = {"inputs": [{"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]}]}
    error = refused(None, native(request, {"outputs": tensors}, fields=fields))
    assert error.code == "wrong_prediction_fields"


def test_fields_that_do_not_fit_lines_of_text_are_refused():
    """CSV has no names: as many are needed as there are cells."""
    scoring = native("1\n2\n", "x,0.5\ny,0.25\n", sent=CSV, answered=CSV, fields=("p", "q", "r"))
    assert refused(None, scoring).code == "wrong_prediction_fields"


def test_rows_under_a_name_are_one_row_where_only_so_the_names_fit():
    """An object with a list may be one thing to score, and names tell that it is."""
    request = {"customer": [{"a": 1}, {"a": 2}]}
    found = read(None, native(request, {"predictions": [0.1, 0.9]}, fields=("p", "q")))
    assert found.request == table(["customer"], [request["customer"]])
    assert found.response == table(["p", "q"], [0.1, 0.9])


@pytest.mark.parametrize(
    ("answer", "response", "left_out"),
    [
        (
            {"success": True, "data": {"prediction": 1, "probability": [0.1, 0.9]}},
            table(["prediction", "probability"], [1, [0.1, 0.9]]),
            "data: success",
        ),
        ({"status": "ok", "data": [0.5]}, table(["prediction"], [0.5]), "data: status"),
        (
            {"result": {"label": "x"}, "took": 3},
            table(["label"], ["x"]),
            "result: took",
        ),
        ({"risk": 0.5, "data": [1]}, table(["risk", "data"], [0.5, [1]]), None),
        (
            {"label": "x", "probability": 0.5, "output": {"step": 1}},
            table(["label", "probability", "output"], ["x", 0.5, {"step": 1}]),
            None,
        ),
    ],
)
def test_what_is_around_an_answer_is_told_from_a_part_of_it(answer, response, left_out):
    """What only tells of the answer is left out; no other answer is."""
    found = read(None, native([{"a": 1}], answer))
    assert found.response == response
    assert found.notes == ((f"response: left out beside {left_out}",) if left_out else ())


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        ({"p": {"0": 1, "1": 2}, "q": {"0": 3, "1": 4}}, table(["p", "q"], [1, 3], [2, 4])),
        ({"result": {"p": {"0": 1, "1": 2}}}, table(["p"], [1], [2])),
        ({"0": 0.25, "1": 0.5}, table(["prediction"], [0.25], [0.5])),
        ({"predictions": {"0": 0.25, "1": 0.5}}, table(["prediction"], [0.25], [0.5])),
        ({"0": {"p": 1}, "1": {"p": 2}}, table(["p"], [1], [2])),
        ({"0": {"0": 1, "1": 2}, "1": {"0": 3, "1": 4}}, table(["0", "1"], [1, 3], [2, 4])),
    ],
)
@pytest.mark.parametrize("request_form", TWO_ROWS)
def test_data_frames_are_read_as_they_are_written_by_default(request_form, answer, response):
    """By columns, by rows, and a series; whatever the request is in."""
    assert read(None, native(TWO_ROWS[request_form], answer)).response == response


def test_a_frame_of_one_row_has_the_columns_of_any_other():
    """What counts to one counts the rows, too."""
    assert read(None, native([{"a": 1}], {"p": {"0": 1}})).response == table(["p"], [1])
    assert read(None, native([{"a": 1}], {"0": 1})).response == table(["prediction"], [1])
    classes = {"label": "x", "probability": {"0": 0.25, "1": 0.75}}
    assert read(None, native([{"a": 1}], classes)).response == table(
        ["label", "probability"], ["x", {"0": 0.25, "1": 0.75}]
    )


def test_null_among_objects_is_a_row_of_nulls():
    """The columns are those of the other rows; rows of nothing have the one of any answer."""
    objects = native(TWO_ROWS["objects"], [{"p": 1, "q": 2}, None])
    assert read(None, objects).response == table(["p", "q"], [1, 2], [None, None])
    nothing = native(TWO_ROWS["objects"], [None, None])
    assert read(None, nothing).response == table(["prediction"], [None], [None])
