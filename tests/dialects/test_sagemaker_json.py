"""The SageMaker JSON dialect: instances with features, JSON lines, bare lists."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import CSV, JSON, LINES, native, read, refused, table
from scorespan import dialects
from scorespan.errors import ConversionError

PREDICTIONS = (
    '{"predictions":[{"score":0.2,"predicted_label":0},{"predicted_label":1,"score":0.9}]}'
)
ANSWERED = table(["predicted_label", "score"], [0, 0.2], [1, 0.9])
TWO_ROWS = table(["f0", "f1"], [1, "a"], [2, None])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"instances":[{"features":[1,"a"]},{"features":[2,null]}]}', JSON),
        ('{"instances":[{"features":[1,"a"]},{"features":[2,null]}]}', None),
        ('{"instances":[{"features":{"values":[1,"a"]}},{"features":[2,null]}]}', JSON),
        (
            {
                "instances": [
                    {"data": {"features": {"values": [1, "a"]}}},
                    {"data": {"features": {"values": [2, None]}}},
                ]
            },
            JSON,
        ),
        ('{"features":[1,"a"]}\n{"features":[2,null]}', LINES),
        ('{"features":[1,"a"]}\r\n\r\n{"features":[2,null]}\r\n', "application/x-jsonlines; a=b"),
        ('{"data":{"features":{"values":[1,"a"]}}}\n{"features":[2,null]}', LINES),
        ('[1,"a"]\n[2,null]\n', "application/x-ndjson"),
        ('[[1,"a"],[2,null]]', JSON),
    ],
)
def test_every_form_of_a_request_gives_the_same_rows(body, kind):
    """Wrapped, in lines or bare: the features become the columns."""
    found = read(None, native(body, PREDICTIONS, sent=kind))
    assert found.dialect == "sagemaker_json"
    assert (found.request, found.response) == (TWO_ROWS, ANSWERED)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (PREDICTIONS, JSON),
        ('{"score":0.2,"predicted_label":0}\n{"predicted_label":1,"score":0.9}', LINES),
        ("0,0.2\n1,0.9", CSV),
    ],
)
def test_every_format_of_an_answer_gives_the_same_columns(answer, kind):
    """What the answer is in does not hang on what the request was in."""
    assert read(None, native("[[1],[2]]", answer, answered=kind)).response == ANSWERED


@pytest.mark.parametrize(
    ("body", "answer", "kind", "request_table", "response"),
    [
        (
            '{"features":[1,2]}',
            '{"score":0.5}',
            JSON,
            table(["f0", "f1"], [1, 2]),
            table(["score"], [0.5]),
        ),
        (
            "[1,2,3]",
            "[0.5]",
            JSON,
            table(["f0", "f1", "f2"], [1, 2, 3]),
            table(["prediction"], [0.5]),
        ),
        (
            "[1,2,3]",
            "0.5",
            JSON,
            table(["f0", "f1", "f2"], [1, 2, 3]),
            table(["prediction"], [0.5]),
        ),
        (
            "[1,2,3]",
            "[4,5,6]",
            JSON,
            table(["f0"], [1], [2], [3]),
            table(["prediction"], [4], [5], [6]),
        ),
        ("[1]", "[4]", JSON, table(["f0"], [1]), table(["prediction"], [4])),
        (
            "[[1,2]]",
            "[0.3,0.7]",
            JSON,
            table(["f0", "f1"], [1, 2]),
            table(["prediction"], [[0.3, 0.7]]),
        ),
        (
            "[[1,2]]",
            "[[0.3,0.7]]",
            JSON,
            table(["f0", "f1"], [1, 2]),
            table(["prediction"], [[0.3, 0.7]]),
        ),
        (
            '["good","bad"]',
            '["p","n"]',
            JSON,
            table(["f0"], ["good"], ["bad"]),
            table(["prediction"], ["p"], ["n"]),
        ),
        (
            "[[[1,2],[3,4]]]",
            "[7]",
            JSON,
            table(["f0"], [[[1, 2], [3, 4]]]),
            table(["prediction"], [7]),
        ),
        (
            '{"a":1}\n{"a":2,"b":3}',
            "[7,8]",
            LINES,
            table(["a", "b"], [1, None], [2, 3]),
            table(["prediction"], [7], [8]),
        ),
        ('"x"\n5', "[7,8]", LINES, table(["f0"], ["x"], [5]), table(["prediction"], [7], [8])),
        (
            '{"instances":[{"features":{"keys":[1],"shape":[9],"values":[5]}},{"features":[1,2]}]}',
            "[7,8]",
            JSON,
            table(["features"], [{"keys": [1], "shape": [9], "values": [5]}], [[1, 2]]),
            table(["prediction"], [7], [8]),
        ),
        (
            "[[12345678901234567890123,0.12345678901234567890]]",
            "[1]",
            JSON,
            table(["f0", "f1"], [12345678901234567890123, "number 0.12345678901234567890"]),
            table(["prediction"], [1]),
        ),
    ],
)
def test_rows_are_what_the_body_says(body, answer, kind, request_table, response):
    """One row or several, of scalars, arrays or objects; numbers keep all their digits."""
    found = read(None, native(body, answer, sent=kind))
    assert (found.request, found.response) == (request_table, response)


@pytest.mark.parametrize(
    ("answer", "kind", "rows"),
    [
        ("4\n5", CSV, 2),
        ("4\n5", LINES, 2),
        ("4\n5", "text/plain", 2),
        ("4", CSV, 1),
        ("{}x", JSON, 0),
    ],
)
def test_predictions_are_counted_in_every_format(answer, kind, rows):
    """A bare list is several rows where there are as many predictions, whatever they are in."""
    bodies = dialects.read(None, native("[1,2]", answer, answered=kind))
    if rows == 0:
        assert isinstance(bodies, ConversionError)
    else:
        assert bodies.rows == rows


def test_feature_names_say_what_a_bare_list_is():
    """With as many names a bare list is one row, however many predictions there are."""
    found = read(None, native("[1,2]", "[3,4]", names=("a", "b"), fields=("p", "q")))
    assert found.request == table(["a", "b"], [1, 2])
    assert found.response == table(["p", "q"], [3, 4])


def test_members_beside_the_features_are_named():
    """What is no feature is left out of the record, with a note."""
    body = '{"instances":[{"features":[1],"id":7}],"configuration":{}}'
    found = read(None, native(body, "[1]"))
    assert found.request == table(["f0"], [1])
    assert found.notes == (
        "request.instances: left out: id",
        "request: left out: configuration",
    )


@pytest.mark.parametrize(
    ("body", "kind", "code", "said"),
    [
        (
            '{"instances":[{"features":[1]},{"features":[1,2]}]}',
            JSON,
            "row_width_mismatch",
            "request.instances[1]: 2",
        ),
        (
            '{"instances":[{"features":[1]},[1]]}',
            JSON,
            "wrong_type",
            "request.instances[1]: an object with a list",
        ),
        (
            '{"instances":{"features":[1]}}',
            JSON,
            "wrong_type",
            "request.instances: a list is needed",
        ),
        ("5", JSON, "wrong_type", "request: an object with `instances` or `features`"),
        ("[[1],2]", JSON, "wrong_type", "request[1]: a value among rows of another kind, a list"),
        ('[{"a":1},[2]]', JSON, "wrong_type", "request[1]: a list among rows"),
        ('{"features":[1]}\n{', LINES, "invalid_json", "request, line 2: not valid JSON"),
        ("[1,2\n3]", LINES, "invalid_json", "request, line 1: not valid JSON"),
        ("{", JSON, "invalid_json", "request: not valid JSON"),
        ("[[1]]", JSON, "row_count_mismatch", "response: 2 rows for 1 rows"),
    ],
)
def test_what_is_no_such_body_is_refused(body, kind, code, said):
    """The reason names the member and what is allowed there."""
    error = refused("sagemaker_json", native(body, "1\n2", sent=kind, answered=CSV))
    assert error.code == code
    assert said in error.reason


def test_not_a_number_in_lines_is_null_with_a_note():
    """What Python writes and JSON has not is a missing value, counted over all lines."""
    body = '{"features":[NaN]}\n{"features":[NaN]}'
    found = read(None, native(body, "[NaN,1]", sent=LINES))
    assert found.request == table(["f0"], [None], [None])
    assert found.notes == ("request: 2 NaN became null", "response: 1 NaN became null")


def test_objects_with_hardly_a_key_in_common_are_refused():
    """A table never grows with the square of a body."""
    body = "\n".join(f'{{"k{place}":1}}' for place in range(20_000))
    error = refused(None, native(body, "[1]", sent=LINES))
    assert error.code == "too_sparse"


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=5
        )
    ),
    st.sampled_from(["instances", "lines", "bare"]),
)
def test_rows_come_back_as_they_went(rows, form):
    """Whatever values the features have, in whichever form, and whatever the order of an answer."""
    items = [{"features": row} for row in rows]
    body = {
        "instances": json.dumps({"instances": items}),
        "lines": "\n".join(map(json.dumps, items)),
        "bare": json.dumps(rows),
    }[form]
    answers = [{"score": place, "predicted_label": str(place)} for place in range(len(rows))]
    answers[0] = dict(reversed(answers[0].items()))
    kind = LINES if form == "lines" else JSON
    found = read(None, native(body, {"predictions": answers}, sent=kind))
    assert found.dialect == "sagemaker_json"
    assert found.request["values"] == rows
    assert found.response["values"] == [[str(place), place] for place in range(len(rows))]
    assert found.response["fields"] == ["predicted_label", "score"]


@given(
    st.binary(), st.binary(), st.sampled_from([JSON, LINES]), st.sampled_from([JSON, LINES, CSV])
)
def test_any_bytes_are_read_or_refused(body, answer, sent, answered):
    """Nothing that a service may send or answer raises."""
    dialects.read("sagemaker_json", native(body, answer, sent=sent, answered=answered))


@pytest.mark.parametrize("body", [[[1, 2]], [[1, 2], [3, 4]]])
def test_bare_rows_are_answered_as_in_any_service(body):
    """One row or many: the same columns; nothing that is answered is left out in silence."""
    rows = len(body)
    answer = {"predictions": [0] * rows, "probabilities": [[0.9, 0.1]] * rows, "model": "m"}
    found = read(None, native(body, answer))
    assert found.response == table(
        ["model", "predictions", "probabilities"], *[["m", 0, [0.9, 0.1]]] * rows
    )
    told = read(None, native(body, {"predictions": [0] * rows, "model": "m"}))
    assert told.response == table(["prediction"], *[[0]] * rows)
    assert told.notes == ("response: left out beside predictions: model",)


def test_one_answer_with_probabilities_is_no_column_of_them():
    """A row of as many features as there are classes stays one row."""
    answer = {"label": "yes", "probabilities": [0.1, 0.9]}
    found = read(None, native([5.1, 3.5], answer))
    assert found.request == table(["f0", "f1"], [5.1, 3.5])
    assert found.response == table(["label", "probabilities"], ["yes", [0.1, 0.9]])
    assert refused(None, native([[1, 2], [3, 4]], answer)).code == "row_count_mismatch"
