"""The KServe dialect, version 1: instances and inputs, predictions and outputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import native, read, refused, table


@pytest.mark.parametrize(
    ("body", "answer", "request_table", "response"),
    [
        (
            '{"instances":[[1,2],[3,4]]}',
            '{"predictions":[0,1]}',
            table(["f0", "f1"], [1, 2], [3, 4]),
            table(["prediction"], [0], [1]),
        ),
        (
            '{"signature_name":"serving_default","instances":[1.5,2.5]}',
            '{"predictions":[[0.1,0.9],[0.2,0.8]]}',
            table(["f0"], [1.5], [2.5]),
            table(["prediction"], [[0.1, 0.9]], [[0.2, 0.8]]),
        ),
        (
            '{"instances":[{"a":1,"b":[5,6]},{"a":2,"b":[7,8]}]}',
            '{"predictions":[{"class":"x","p":[0.1,0.9]},{"class":"y","p":[1,0]}]}',
            table(["a", "b"], [1, [5, 6]], [2, [7, 8]]),
            table(["class", "p"], ["x", [0.1, 0.9]], ["y", [1, 0]]),
        ),
        (
            '{"inputs":{"a":[1,2],"b":[[5],[6]]}}',
            '{"outputs":{"class":["x","y"],"p":[[0.1,0.9],[1,0]]}}',
            table(["a", "b"], [1, [5]], [2, [6]]),
            table(["class", "p"], ["x", [0.1, 0.9]], ["y", [1, 0]]),
        ),
        (
            '{"inputs":[[1,2],[3,4]]}',
            '{"outputs":[[7],[8]]}',
            table(["f0", "f1"], [1, 2], [3, 4]),
            table(["prediction"], [[7]], [[8]]),
        ),
        (
            '{"inputs":{"question":"why","k":3}}',
            '{"outputs":"because"}',
            table(["question", "k"], ["why", 3]),
            table(["prediction"], ["because"]),
        ),
        (
            '{"instances":[{"b64":"aGk="},{"b64":"eW8="}]}',
            '{"predictions":[0,1]}',
            table(["f0"], [{"b64": "aGk="}], [{"b64": "eW8="}]),
            table(["prediction"], [0], [1]),
        ),
        (
            '{"instances":[{"image":{"b64":"aGk="},"k":1}]}',
            '{"predictions":[0]}',
            table(["image", "k"], [{"b64": "aGk="}, 1]),
            table(["prediction"], [0]),
        ),
        (
            '{"instances":[[[1,2],[3,4]],[[5,6],[7,8]]]}',
            '{"predictions":[0,1]}',
            table(["f0"], [[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]),
            table(["prediction"], [0], [1]),
        ),
        (
            '{"instances":[[12345678901234567890123]]}',
            '{"predictions":[0.12345678901234567890]}',
            table(["f0"], [12345678901234567890123]),
            table(["prediction"], ["number 0.12345678901234567890"]),
        ),
        ('{"instances":[]}', '{"predictions":[]}', table([]), table(["prediction"])),
    ],
)
def test_rows_and_columns_become_a_table(body, answer, request_table, response):
    """Rows of lists, scalars or objects, and columns; the same for the answer."""
    found = read(None, native(body, answer))
    assert found.dialect == "kserve"
    assert (found.request, found.response) == (request_table, response)
    assert found.notes == ()


def test_settings_name_the_columns():
    """Lists take the names of the settings, also where their cells are lists."""
    scoring = native(
        '{"instances":[[[1],[2]],[[3],[4]]]}',
        '{"predictions":[[5,6],[7,8]]}',
        names=("a", "b"),
        fields=("p", "q"),
    )
    found = read(None, scoring)
    assert found.request == table(["a", "b"], [[1], [2]], [[3], [4]])
    assert found.response == table(["p", "q"], [5, 6], [7, 8])


def test_members_beside_the_rows_are_named():
    """What is no row is left out, with a note that has no end in no case."""
    others = {f"m{place:02}": place for place in range(10)}
    found = read(None, native({"instances": [[1]], **others}, "[1]"))
    shown = ", ".join(list(others)[:8])
    assert found.notes == (f"request: left out: {shown} and 2 more",)


@pytest.mark.parametrize(
    ("body", "answer", "code", "said"),
    [
        (
            '{"instances":[[1],[2,3]]}',
            "[1,2]",
            "row_width_mismatch",
            "request.instances[1]: 2 values for 1",
        ),
        (
            '{"instances":[[1],{"a":1}]}',
            "[1,2]",
            "wrong_type",
            "request.instances[1]: an object among rows of another kind, a list",
        ),
        ('{"instances":[1,[1]]}', "[1,2]", "wrong_type", "request.instances[1]: a list among rows"),
        (
            '{"instances":5}',
            "[1]",
            "wrong_type",
            "request.instances: a list of rows or an object of columns is needed",
        ),
        (
            '{"inputs":{"a":[1,2],"b":[1]}}',
            "[1]",
            "row_count_mismatch",
            "request.inputs.b: 1 values for the 2 of a",
        ),
        (
            '{"rows":[[1]]}',
            "[1]",
            "missing_member",
            "request: an object with `instances` or `inputs`",
        ),
        ("[[1]]", "[1]", "missing_member", "request: an object with `instances` or `inputs`"),
        (
            '{"instances":[[1],[2]]}',
            '{"predictions":[1]}',
            "row_count_mismatch",
            "response: 1 rows for 2 rows",
        ),
        ('{"instances":[[1]]}', "{", "invalid_json", "response: not valid JSON"),
    ],
)
def test_what_is_no_such_body_is_refused(body, answer, code, said):
    """The reason names the member and what is allowed there."""
    error = refused("kserve", native(body, answer))
    assert error.code == code
    assert said in error.reason


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.dictionaries(st.text("abc"), inner, max_size=2),
    max_leaves=4,
)


@given(st.data(), st.booleans())
def test_tables_come_back_as_they_went(data, columns):
    """By rows or by columns, a table keeps its names and values."""
    names = data.draw(st.lists(st.text("abcxyz", min_size=1), min_size=1, max_size=4, unique=True))
    row = st.lists(VALUES, min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    if columns:
        body = {"inputs": dict(zip(names, zip(*rows, strict=True), strict=True))}
    else:
        body = {"instances": [dict(zip(names, row, strict=True)) for row in rows]}
    found = read(None, native(body, {"predictions": [[0, 1]] * len(rows)}))
    assert found.dialect == "kserve"
    assert found.request == table(names, *rows)
