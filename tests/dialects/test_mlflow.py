"""The MLflow dialect: data frames in JSON, CSV with a header, predictions."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import CSV, JSON, native, read, refused, table
from scorespan.dialects.detector import detected

FRAME = table(["a", "b"], [1, "x"], [2, None])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"dataframe_split":{"columns":["a","b"],"data":[[1,"x"],[2,null]]}}', JSON),
        ('{"dataframe_split":{"columns":["a","b"],"index":[0,1],"data":[[1,"x"],[2,null]]}}', JSON),
        ('{"dataframe_split":{"columns":["a","b"],"data":[[1,"x"],[2,null]]}}', None),
        ('{"dataframe_records":[{"a":1,"b":"x"},{"a":2}]}', JSON),
        ('{"input_data":{"columns":["a","b"],"index":[0,1],"data":[[1,"x"],[2,null]]}}', JSON),
        (
            '{"columns":["a","b"],"data":[[1,"x"],[2,null]]}',
            "application/json; format=pandas-split",
        ),
        ('{"input_data":[{"a":1,"b":"x"},{"a":2}]}', JSON),
        ('{"input_data":{"a":[1,2],"b":["x",null]}}', JSON),
        ("a,b\n1,x\n2,\n", CSV),
        ('"a","b"\r\n1,"x"\r\n2,\r\n', "text/csv; charset=utf-8"),
    ],
)
def test_every_form_of_a_frame_gives_the_same_rows(body, kind):
    """Split, records or CSV: the same table, detected."""
    found = read(None, native(body, '{"predictions":[0.5,1]}', sent=kind))
    assert found.dialect == "mlflow"
    assert found.request == FRAME
    assert found.response == table(["prediction"], [0.5], [1])
    assert found.notes == ()


@pytest.mark.parametrize(
    ("body", "request_table"),
    [
        ('{"instances":[[1,"x"],[2,null]]}', table(["f0", "f1"], [1, "x"], [2, None])),
        ('{"instances":[{"a":1,"b":"x"},{"a":2}]}', FRAME),
        ('{"instances":{"a":[1,2],"b":["x",null]}}', FRAME),
        ('{"inputs":[[1,"x"],[2,null]]}', table(["f0", "f1"], [1, "x"], [2, None])),
        ('{"inputs":{"a":[1,2],"b":["x",null]}}', FRAME),
        ('{"inputs":[5,6]}', table(["f0"], [5], [6])),
    ],
)
def test_instances_and_inputs_are_the_same_under_either_name(body, request_table):
    """They do not say whose they are; MLflow's and KServe's become one table."""
    scoring = native(body, '{"predictions":[0.5,1]}')
    named, detected = read("mlflow", scoring), read(None, scoring)
    assert detected.dialect == "kserve"
    assert named.request == detected.request == request_table
    assert named.response == detected.response == table(["prediction"], [0.5], [1])


@pytest.mark.parametrize(
    ("answer", "fields", "response"),
    [
        ('{"predictions":[0.5,1]}', ("p",), table(["p"], [0.5], [1])),
        ('{"predictions":["a","b"]}', None, table(["prediction"], ["a"], ["b"])),
        ('{"predictions":[[0.1,0.9],[1,0]]}', None, table(["prediction"], [[0.1, 0.9]], [[1, 0]])),
        ('{"predictions":[[0.1,0.9],[1,0]]}', ("p", "q"), table(["p", "q"], [0.1, 0.9], [1, 0])),
        (
            '{"predictions":[{"l":"a","p":[0.1,0.9]},{"p":[1,0],"l":"b"}]}',
            None,
            table(["l", "p"], ["a", [0.1, 0.9]], ["b", [1, 0]]),
        ),
        (
            '{"predictions":[{"l":"a","p":1},{"p":2,"l":"b"}]}',
            ("p", "l"),
            table(["p", "l"], [1, "a"], [2, "b"]),
        ),
        ('{"predictions":{"l":["a","b"],"p":[1,2]}}', None, table(["l", "p"], ["a", 1], ["b", 2])),
        ("[0.5,1]", None, table(["prediction"], [0.5], [1])),
    ],
)
def test_predictions_become_columns(answer, fields, response):
    """Scalars and lists are one column, objects are several; settings name or pick them."""
    body = '{"dataframe_split":{"columns":["a"],"data":[[1],[2]]}}'
    assert read(None, native(body, answer, fields=fields)).response == response


def test_what_is_no_row_is_named_in_a_note():
    """Parameters and an index of its own are left out, and the record says so."""
    body = '{"dataframe_split":{"columns":["a"],"index":["k"],"data":[[1]]},"params":{"t":0}}'
    found = read(None, native(body, "[1]"))
    assert found.request == table(["a"], [1])
    assert found.notes == ("request.dataframe_split: left out: index", "request: left out: params")


def test_a_frame_without_columns_has_the_feature_names():
    """Numbered columns are names as well; none at all are taken from the settings."""
    bare = native('{"dataframe_split":{"data":[[1,2]]}}', "[1]", names=("a", "b"))
    assert read(None, bare).request == table(["a", "b"], [1, 2])
    numbered = native('{"dataframe_split":{"columns":[0,1],"data":[[1,2]]}}', "[1]", names=("a",))
    assert read(None, numbered).request == table(["0", "1"], [1, 2])


@pytest.mark.parametrize(
    ("body", "answer", "kind", "dialect"),
    [
        ("a,b\n1,x", '{"predictions":[1]}', JSON, "mlflow"),
        ("a\nb\nc", '{"predictions":["p","q"]}', JSON, "mlflow"),
        ("a\nb\nc", '{"predictions":["p","q","r"]}', JSON, "sagemaker_csv"),
        ("1,b\n1,x", '{"predictions":[1]}', JSON, "sagemaker_csv"),
        ("a,a\n1,x", '{"predictions":[1]}', JSON, "sagemaker_csv"),
        ("a,\n1,x", '{"predictions":[1]}', JSON, "sagemaker_csv"),
        ("a,b\n1,x", "1", CSV, "sagemaker_csv"),
        ("a,b\n1,x", "[1]", JSON, "sagemaker_csv"),
        ("a,b\n1,x", None, JSON, "mlflow"),
        ("a,b\ny,x", None, JSON, "sagemaker_csv"),
    ],
)
def test_csv_says_by_its_answer_whose_it_is(body, answer, kind, dialect):
    """MLflow's has a header above as many lines as there are predictions; any other has none."""
    assert dialect == detected(native(body, answer, sent=CSV, answered=kind)).NAME


@pytest.mark.parametrize(
    ("body", "kind", "code", "said"),
    [
        (
            '{"dataframe_split":[]}',
            JSON,
            "wrong_type",
            "request.dataframe_split: an object with a list `data`",
        ),
        (
            '{"dataframe_split":{"columns":["a"]}}',
            JSON,
            "wrong_type",
            "request.dataframe_split: an object",
        ),
        (
            '{"dataframe_split":{"columns":["a"],"data":[1]}}',
            JSON,
            "wrong_type",
            "request.dataframe_split.data[0]: a list",
        ),
        (
            '{"dataframe_split":{"columns":["a"],"data":[[1,2]]}}',
            JSON,
            "row_width_mismatch",
            "data[0]: 2 values for 1 columns",
        ),
        (
            '{"dataframe_split":{"columns":[["a"]],"data":[[1]]}}',
            JSON,
            "wrong_type",
            "request.dataframe_split.columns: a list of names",
        ),
        (
            '{"dataframe_split":{"columns":5,"data":[[1]]}}',
            JSON,
            "wrong_type",
            "request.dataframe_split.columns",
        ),
        (
            '{"dataframe_records":5}',
            JSON,
            "wrong_type",
            "request.dataframe_records: a list of rows or an object",
        ),
        (
            '{"dataframe_records":[{"a":1},5]}',
            JSON,
            "wrong_type",
            "request.dataframe_records[1]: a value among rows",
        ),
        (
            '{"inputs":{"a":[1,2],"b":[1]}}',
            JSON,
            "row_count_mismatch",
            "request.inputs.b: 1 values for the 2 of a",
        ),
        (
            '{"a":1}',
            JSON,
            "missing_member",
            "dataframe_split, dataframe_records, input_data, instances, inputs",
        ),
        ("[[1]]", JSON, "wrong_type", "request: an object is needed with one of: dataframe_split"),
        (
            '{"dataframe_split":{"columns":["a"],"data":[[1],[2]]}}',
            JSON,
            "row_count_mismatch",
            "response: 1 rows for 2",
        ),
        ("1,2\n3,4", CSV, "no_header", "request: the first line must have the columns"),
        ("", CSV, "no_header", "request: the first line"),
        ("a,b\n1", CSV, "row_width_mismatch", "request, below the header[0]: 1 values for 2"),
    ],
)
def test_what_is_no_frame_is_refused(body, kind, code, said):
    """The reason names the member and what is allowed there."""
    error = refused("mlflow", native(body, '{"predictions":[1]}', sent=kind))
    assert error.code == code
    assert said in error.reason


VALUES = st.one_of(st.none(), st.integers(), st.text(st.characters(exclude_categories=["Cs"])))
NAMES = st.lists(
    st.text('abcä ,"', min_size=1).filter(str.strip).map(lambda name: f"n{name}n"),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(NAMES, st.data(), st.booleans())
def test_frames_come_back_as_they_went(names, data, split):
    """Split or as records, a frame keeps its columns, rows and values."""
    row = st.lists(VALUES, min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    frame = {"columns": names, "data": rows}
    records = [dict(zip(names, row, strict=True)) for row in rows]
    body = {"dataframe_split": frame} if split else {"dataframe_records": records}
    found = read(None, native(body, {"predictions": [row[0] for row in rows]}))
    assert found.dialect == "mlflow"
    assert found.request == table(names, *rows)
    assert found.response == table(["prediction"], *([row[0]] for row in rows))


@given(NAMES, st.data())
def test_csv_comes_back_as_it_went(names, data):
    """A header of any names is found, and the numbers below it are numbers."""
    row = st.lists(st.integers(), min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, *rows])
    found = read(None, native(text.getvalue(), {"predictions": [0] * len(rows)}, sent=CSV))
    assert found.dialect == "mlflow"
    assert found.request == table(names, *rows)
