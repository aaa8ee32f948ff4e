"""The dialects: native bodies as fields/values, rows and widths checked."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan import dialects
from scorespan.dialects import Native, NativeBody
from scorespan.errors import ConversionError

ONE = b'{"fields":["p"],"values":[[0]]}'


def read(
    name: str | None, request: str | bytes, response: str | bytes | None = None, **known: object
) -> dialects.DialectBodies | ConversionError:
    """What a dialect, or the detected one, makes of bodies whose spans say nothing of them."""
    answer = None if response is None else NativeBody(encoded(response), side="response")
    return dialects.read(name, Native(NativeBody(encoded(request)), answer, **known))


def rows_of(body: str | bytes, response: str | bytes | None = None) -> int:
    """How many rows a request has; its response, if any, must have as many."""
    bodies = read(None, body, response)
    assert not isinstance(bodies, ConversionError), bodies
    assert bodies.request == encoded(body)
    assert bodies.response == (None if response is None else encoded(response))
    assert bodies.notes == ()
    return bodies.rows


def refusal(body: str | bytes) -> ConversionError:
    """Why a body is refused; on the other side it is refused for the same reason."""
    error = read("fields_values", body, ONE)
    assert isinstance(error, ConversionError), error
    other = read(None, ONE, body)
    assert isinstance(other, ConversionError), other
    assert other.code == error.code
    assert other.reason.replace("response", "request") == error.reason
    return error


def encoded(body: str | bytes) -> bytes:
    """A body as bytes."""
    return body if isinstance(body, bytes) else body.encode()


def test_a_dialect_can_be_named():
    """What a span names is what reads its bodies."""
    assert not isinstance(read("fields_values", ONE, ONE), ConversionError)


def test_a_dialect_of_another_name_is_refused():
    """A name that is not known is refused with those that are."""
    error = read("csv", ONE, ONE)
    assert error.code == "unknown_dialect"
    assert "scoring.dialect: 'csv' is not one of: fields_values, " in error.reason


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('{"fields":["a"],"values":[[1],[2],[3]]}', 3),
        ('{"fields":["a","b"],"values":[[1,null]]}', 1),
        ('{"values":[[1]],"fields":["a"]}', 1),
        ('{"fields":[],"values":[]}', 0),
        ('{"fields":["a"],"values":[]}', 0),
        ('{"fields":[],"values":[[],[]]}', 2),
        (' {"fields":["a"],\n"values":[[1]]}\t', 1),
        ('{"fields":["a","a"],"values":[[1,2]]}', 1),
        ('{"fields":["a"],"values":[[{"deep":[1,{"er":2}]}]]}', 1),
        ('{"fields":["a"],"values":[[[1,2,3]]]}', 1),
        ('{"fields":["a"],"values":[[12345678901234567890123456789012]]}', 1),
        ('{"fields":["ä€𝄞"],"values":[["\\u0000"]]}', 1),
        ('{"fields":["a"],"values":[[1]],"more":{"values":5}}', 1),
    ],
)
def test_rows_are_counted(body, rows):
    """A body in fields/values form is kept as it is, and its rows are counted."""
    assert rows_of(body) == rows


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('{"fields":["a","b"],"values":[1,"x"]}', 1),
        ('{"fields":["a"],"values":[null]}', 1),
        ('{"fields":["a","b"],"values":["good",[0.3,0.7]]}', 1),
        ('{"fields":["a"],"values":[{"x":1}]}', 1),
    ],
)
def test_a_flat_list_is_one_row(body, rows):
    """Values that are no rows, one for each field, are one row, as hosted marts take it."""
    assert rows_of(body) == rows
    assert rows_of(body, ONE) == 1


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (
            '{"fields":["a"],"values":[[1,2]]}',
            "row_width_mismatch",
            "request.values[0]: 2 values for 1",
        ),
        (
            '{"fields":["a"],"values":[[1],[]]}',
            "row_width_mismatch",
            "request.values[1]: 0 values for 1",
        ),
        ('{"fields":["a"],"values":[1,2]}', "row_width_mismatch", "request.values: 2 values for 1"),
        ('{"fields":["a"],"values":[[1],2]}', "wrong_type", "request.values[1]: a list"),
        ('{"fields":"a","values":[[1]]}', "wrong_type", "request.fields: a list of strings"),
        ('{"fields":[1],"values":[[1]]}', "wrong_type", "request.fields: a list of strings"),
        ('{"fields":null,"values":[[1]]}', "wrong_type", "request.fields"),
        ('{"fields":["a"],"values":{"a":1}}', "wrong_type", "request.values: a list of rows"),
        ('{"fields":["a"],"values":null}', "wrong_type", "request.values"),
        ('{"fields":["a"]}', "no_fields_values", "request: an object"),
    ],
)
def test_what_is_no_table_is_refused(body, code, said):
    """The reason names the code, the place and what is needed there."""
    error = refusal(body)
    assert error.code == code
    assert said in error.reason


@pytest.mark.parametrize("body", ["{}", "[[1]]", '"fields values"', "null", "5"])
def test_a_request_of_a_named_dialect_is_not_detected(body):
    """A request in another form is refused where the span says that it is fields/values."""
    error = read("fields_values", body, ONE)
    assert isinstance(error, ConversionError), error
    assert error.code == "no_fields_values"
    assert "request: an object" in error.reason


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "a,b\n1,2",
        '{"fields":["a"],"values":[[NaN]]}',
        '{"fields":["a"],"values":[[Infinity]]}',
        '{"fields":["a"],"values":[[1]],}',
        '{"fields":["a"],"values":[[1]]} {}',
        "{'fields':['a'],'values':[[1]]}",
        '\ufeff{"fields":["a"],"values":[[1]]}',
        '{"fields":["a"],"values":[["\\ud800"]]}',
        b'{"fields":["a"],"values":[["\xed\xa0\x80"]]}',
        b'{"fields":["a"],"values":[["\xff"]]}',
        b'{"fields":["a"],"values":[["caf\xc3',
        '{"fields":["a"],"values":[[' + "1" * 400 + "]]}",
        '{"fields":["a"],"values":[[' + "[" * 2000 + "]" * 2000 + "]]}",
    ],
)
def test_what_is_no_json_is_refused(body):
    """Text that a strict reader does not take is refused; nothing is mended in silence."""
    assert refusal(body).code == "invalid_json"


@given(end=st.integers(1, 46))
def test_a_cut_body_says_that_it_was_cut(end):
    """A body that ends too early points to the limit that has cut it."""
    whole = '{"fields":["ä","b"],"values":[[1.5,"x\\u00e4"]]}'
    error = refusal(whole[:end])
    assert error.code == "invalid_json"
    assert "ends too early" in error.reason


@pytest.mark.parametrize("body", ["{x", '{"fields":["a"],"values":[[NaN]]}', b'["\xff"]'])
def test_a_body_that_was_not_cut_does_not_say_so(body):
    """The hint is for cut bodies only."""
    assert "too early" not in refusal(body).reason


def test_nesting_has_a_bound():
    """A hundred levels are data; thousands are refused without using up the stack."""
    cell = "[" * 100 + "]" * 100
    assert rows_of('{"fields":["a"],"values":[[' + cell + "]]}") == 1


def test_the_last_of_two_members_counts():
    """JSON allows a name twice; the check goes by the last one, as parsers do."""
    assert rows_of('{"fields":["x","y"],"fields":["a"],"values":[[1]]}') == 1
    assert (
        refusal('{"fields":["a"],"fields":["x","y"],"values":[[1]]}').code == "row_width_mismatch"
    )


# Meta.


def with_meta(meta: str) -> str:
    """A body of two rows with this meta."""
    return '{"fields":["a"],"values":[[1],[2]],"meta":' + meta + "}"


@pytest.mark.parametrize(
    "meta",
    [
        '{"fields":["m"],"values":[["x"],["y"]]}',
        '{"fields":["m","n"],"values":[["x",1],["y",2]]}',
        '{"anything":"else"}',
        "{}",
        "null",
        "[1]",
        "5",
    ],
)
def test_meta_of_as_many_rows_is_kept(meta):
    """Meta columns pair with the rows; a meta that is no table is left alone."""
    assert rows_of(with_meta(meta)) == 2


@pytest.mark.parametrize(
    ("meta", "code", "said"),
    [
        (
            '{"fields":["m"],"values":[["x"]]}',
            "row_count_mismatch",
            "request.meta.values: 1 rows for 2 rows",
        ),
        ('{"fields":["m"],"values":[["x"],[]]}', "row_width_mismatch", "request.meta.values[1]"),
        ('{"fields":"m","values":[["x"],["y"]]}', "wrong_type", "request.meta.fields"),
        ('{"values":[["x"],["y"]]}', "no_fields_values", "request.meta"),
        ('{"fields":["m"],"values":5}', "wrong_type", "request.meta.values"),
    ],
)
def test_meta_that_does_not_pair_is_refused(meta, code, said):
    """Meta rows that cannot be matched to rows are named."""
    error = refusal(with_meta(meta))
    assert error.code == code
    assert said in error.reason


# Pairs.


def test_rows_of_request_and_response_pair():
    """Row i of the response belongs to row i of the request, so there must be as many."""
    two = '{"fields":["p"],"values":[[0],[1]]}'
    assert rows_of(two, two) == 2
    error = read(None, ONE, two)
    assert error.code == "row_count_mismatch"
    assert error.reason == "response.values: 2 rows for 1 rows of the request"


def test_a_failed_scoring_has_only_a_request():
    """Without a response, the request alone is checked."""
    assert rows_of('{"fields":["a"],"values":[[1],[2]]}') == 2


finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | finite | st.text()


@given(
    width=st.integers(0, 3),
    count=st.integers(0, 4),
    space=st.sampled_from([None, 1]),
    data=st.data(),
)
def test_any_table_is_read(width, count, space, data):
    """Every table of one width is read, whatever stands in its cells, and its text is kept."""
    row = st.lists(scalars, min_size=width, max_size=width)
    table = {
        "fields": data.draw(st.lists(st.text(), min_size=width, max_size=width)),
        "values": data.draw(st.lists(row, min_size=count, max_size=count)),
    }
    assert rows_of(json.dumps(table, indent=space)) == count


@given(request=st.binary() | st.text().map(str.encode), response=st.none() | st.binary())
def test_any_bytes_are_read_or_refused(request, response):
    """Nothing that a body can hold raises."""
    outcome = read(None, request, response)
    assert isinstance(outcome, (ConversionError, dialects.DialectBodies))


@pytest.mark.parametrize(
    ("attribute", "known"),
    [
        ("scoring.feature.names", {"feature_names": ("a", "b", "a")}),
        ("scoring.prediction.fields", {"prediction_fields": ("a", "b", "a")}),
    ],
)
def test_names_that_are_there_twice_are_refused(attribute, known):
    """No column could be told from the other; the names are to be mended."""
    error = read(None, "[[1,2,3]]", "[[1,2,3]]", **known)
    assert isinstance(error, ConversionError)
    assert error.code == "duplicate_names"
    assert error.reason == f"{attribute}: must be different names; 'a' is there twice"


def test_columns_of_one_name_are_told_apart():
    """On both sides, with a note; a name that is there is never given."""
    request = {"dataframe_split": {"columns": ["a", "a", "a_2", "a"], "data": [[1, 2, 3, 4]]}}
    output = {"shape": [1], "datatype": "INT64"}
    bodies = read(None, json.dumps(request), "[1]")
    assert not isinstance(bodies, ConversionError), bodies
    assert bodies.request == b'{"fields":["a","a_3","a_2","a_4"],"values":[[1,2,3,4]]}'
    assert bodies.notes == ("request: columns of one name are told apart: a_3, a_4",)
    bodies = read(
        None,
        json.dumps({"inputs": [{"name": "x", "data": [0], **output}]}),
        json.dumps({"outputs": [{"name": "p", "data": [at], **output} for at in (1, 2)]}),
    )
    assert not isinstance(bodies, ConversionError), bodies
    assert bodies.response == b'{"fields":["p","p_2"],"values":[[1,2]]}'
    assert bodies.notes == ("response: columns of one name are told apart: p_2",)
