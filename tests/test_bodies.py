"""Bodies: values of model code as JSON text, line by line of the module's table."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import enum
import json
import types
import uuid
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.bodies import EncodedBody, encode_request, encode_response, encode_value

BOTH = pytest.mark.parametrize("encode", [encode_request, encode_response])


def request_of(value: object, names: list[str] | None = None) -> Any:
    """The request a value becomes, parsed; nothing may have been changed on the way."""
    return parsed(encode_request(value, names))


def response_of(value: object) -> Any:
    """The response a value becomes, parsed; nothing may have been changed on the way."""
    return parsed(encode_response(value))


def parsed(body: EncodedBody) -> Any:
    """A body's JSON; it must have no note and no problem."""
    assert body.problem is None
    assert body.notes == ()
    return json.loads(body.text)


def cell(value: object) -> Any:
    """The text that a single value of a row becomes."""
    text = encode_request({"v": value}).text
    return text.removeprefix('{"v":').removesuffix("}")


class Colour(enum.Enum):
    """A plain enumeration."""

    RED = "red"


class Word(str, enum.Enum):
    """An enumeration whose members are text."""

    YES = "yes"


class Level(enum.IntEnum):
    """An enumeration whose members are numbers."""

    HIGH = 3


@dataclasses.dataclass
class Applicant:
    """What a typed service might hand over."""

    age: int
    income: Decimal
    ratio: float = 0.5
    _secret: str = "hidden"


class SpeechlessError(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Hostile:
    """An array whose every use raises."""

    shape = (2,)

    def tolist(self) -> list[int]:
        """Fail, and fail to say why."""
        raise SpeechlessError

    def __str__(self) -> str:
        raise SpeechlessError


# Tables and arrays.


def test_a_mapping_is_kept_as_it_is():
    """A body in fields/values form keeps its members and their order."""
    body = {"fields": ["b", "a"], "values": [[1, "x"]], "meta": {"fields": [], "values": [[]]}}
    assert encode_request(body).text == json.dumps(body, separators=(",", ":"))


@pytest.mark.parametrize("kind", [OrderedDict, types.MappingProxyType, dict])
def test_any_mapping_is_an_object(kind):
    """A mapping of any type becomes a JSON object."""
    assert request_of(kind({"fields": ["a"], "values": [[1]]})) == {
        "fields": ["a"],
        "values": [[1]],
    }


@BOTH
def test_a_frame_has_its_columns_and_rows(encode):
    """A DataFrame becomes its column names and its rows, each cell of its column's own type."""
    frame = pd.DataFrame(
        {
            "age": [31, 45],
            "ratio": [0.25, 2.5],
            "married": [True, False],
            "job": ["cook", None],
            "since": pd.to_datetime(["2024-01-31T12:00", "2025-02-28T00:00"]),
            "rank": pd.Categorical(["low", "high"]),
            7: [10**20, 1],
        }
    )
    body = json.loads(encode(frame).text)
    assert body["fields"] == ["age", "ratio", "married", "job", "since", "rank", "7"]
    assert body["values"] == [
        [31, 0.25, True, "cook", "2024-01-31T12:00:00", "low", 10**20],
        [45, 2.5, False, None, "2025-02-28T00:00:00", "high", 1],
    ]


def test_missing_values_of_a_frame_become_null_and_are_counted():
    """NaN, NaT and NA become null, and the notes say how many of each."""
    frame = pd.DataFrame(
        {
            "x": [1.0, float("nan"), float("nan")],
            "when": pd.to_datetime(["2024-01-31", None, "2024-02-01"]),
            "count": pd.array([1, 2, None], dtype="Int64"),
        }
    )
    body = encode_request(frame)
    assert json.loads(body.text)["values"] == [
        [1.0, "2024-01-31T00:00:00", 1],
        [None, None, 2],
        [None, "2024-02-01T00:00:00", None],
    ]
    assert set(body.notes) == {
        "request: 2 x nan became null",
        "request: 1 x NaT became null",
        "request: 1 x <NA> became null",
    }


def test_a_subclass_of_a_frame_is_a_frame():
    """A DataFrame of a derived type is read like any other."""

    class Derived(pd.DataFrame):
        pass

    assert request_of(Derived({"a": [1]})) == {"fields": ["a"], "values": [[1]]}


def test_frames_without_rows_or_columns_stay_tables():
    """An empty frame keeps its columns, and one without columns keeps its count of rows."""
    assert request_of(pd.DataFrame()) == {"fields": [], "values": []}
    assert request_of(pd.DataFrame({"a": [], "b": []})) == {"fields": ["a", "b"], "values": []}
    assert request_of(pd.DataFrame(index=[0, 1])) == {"fields": [], "values": [[], []]}


def test_two_columns_of_one_name_both_stay():
    """A frame with a column name twice loses neither column."""
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert request_of(frame) == {"fields": ["a", "a"], "values": [[1, 2]]}


def test_a_series_as_request_is_one_row_named_by_its_index():
    """One observation as a Series names its fields itself."""
    series = pd.Series([1, 2], index=["age", "income"])
    assert request_of(series) == {"fields": ["age", "income"], "values": [[1, 2]]}


def test_a_series_as_result_is_one_column():
    """Predictions as a Series become one row each, whatever the index says."""
    series = pd.Series(["good", "bad"], index=[7, 9])
    assert response_of(series) == {"fields": ["prediction"], "values": [["good"], ["bad"]]}


@pytest.mark.parametrize(
    "rows", [np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], ((1, 2), (3, 4)), [np.array([1, 2])] * 2]
)
@BOTH
def test_rows_are_named_by_position(encode, rows):
    """An array of rows, or a list of them in any make, has the fields f0, f1, ..."""
    body = parsed(encode(rows))
    assert body["fields"] == ["f0", "f1"]
    assert body["values"][0] == [1, 2]
    assert len(body["values"]) == 2


def test_rows_are_named_by_the_feature_names():
    """Feature names name the columns of a request that has none."""
    assert request_of([[1, 2]], ["age", "income"])["fields"] == ["age", "income"]
    assert request_of(np.array([1, 2]), ["age", "income"])["fields"] == ["age", "income"]


def test_feature_names_that_do_not_fit_are_not_used():
    """Names for another number of columns would name the wrong ones."""
    assert request_of([[1, 2, 3]], ["age", "income"])["fields"] == ["f0", "f1", "f2"]


@pytest.mark.parametrize("line", [np.array([5, 6]), [5, 6], (5, 6), pd.Index([5, 6])])
def test_one_dimension_is_one_row_of_a_request_and_one_column_of_a_result(line):
    """A flat request is one observation; a flat result is one prediction for each row."""
    assert request_of(line) == {"fields": ["f0", "f1"], "values": [[5, 6]]}
    assert response_of(line) == {"fields": ["prediction"], "values": [[5], [6]]}


@pytest.mark.parametrize(
    "value",
    [3, 0.5, True, np.int64(3), np.float64(0.5), np.bool_(True), np.array(3)],
)
def test_a_single_number_is_one_row_of_one_column(value):
    """A number or a flag is one row and one column."""
    assert request_of(value) == {"fields": ["f0"], "values": [[value]]}
    assert response_of(value) == {"fields": ["prediction"], "values": [[value]]}


def test_deeper_arrays_have_arrays_in_their_cells():
    """The third dimension and those below stay together in a cell."""
    assert request_of(np.zeros((1, 2, 2))) == {
        "fields": ["f0", "f1"],
        "values": [[[0.0, 0.0], [0.0, 0.0]]],
    }


def test_a_structured_array_is_a_table():
    """Records of a structured array become rows."""
    table = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")])
    assert request_of(table)["values"] == [[1, 2.5], [3, 4.5]]


def test_nothing_at_all_is_a_table_without_rows():
    """An empty batch has its columns and no row, on both sides."""
    for empty in ([], (), np.array([])):
        assert request_of(empty) == {"fields": [], "values": []}
        assert response_of(empty) == {"fields": ["prediction"], "values": []}
    assert request_of([], ["age"]) == {"fields": ["age"], "values": []}
    assert request_of(np.zeros((0, 2))) == {"fields": ["f0", "f1"], "values": []}
    assert request_of(np.zeros((0, 1)), ["age"]) == {"fields": ["age"], "values": []}
    assert response_of(np.zeros((0, 2))) == {"fields": ["f0", "f1"], "values": []}


def test_ragged_rows_are_kept_for_the_check_behind_the_put():
    """Rows of different lengths are neither padded nor cut."""
    assert request_of([[1], [2, 3]])["values"] == [[1], [2, 3]]


@pytest.mark.parametrize("value", [[{"a": 1}, {"a": 2}], [1, [2]]])
def test_lists_that_are_no_table_are_left_alone(value):
    """A list of objects, or of rows and numbers mixed, keeps its shape."""
    assert request_of(value) == value


# Texts.


@BOTH
@pytest.mark.parametrize("text", ['{"fields": [ ]}', "a,b\n1,2", "", '{"cut', "\ud800", "ä€𝄞"])
def test_text_is_a_body_already(encode, text):
    """Text is kept, whatever it holds."""
    assert encode(text) == EncodedBody(text)


@BOTH
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_a_body_already(encode, kind):
    """Bytes are the text that they encode."""
    assert encode(kind('{"ä":1}'.encode())) == EncodedBody('{"ä":1}')


@BOTH
def test_bytes_that_are_not_utf_8_are_a_problem(encode):
    """What cannot be text is said, not guessed."""
    body = encode(b"\xff\xfe")
    assert body.text is None
    assert "UTF-8" in body.problem


def test_a_member_of_a_text_enumeration_is_its_text():
    """A `str` of a derived type is the text that it holds, not what its `str()` says."""
    assert encode_request(Word.YES).text == "yes"
    assert request_of({"a": Word.YES}) == {"a": "yes"}


# Single values.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("-0"), "-0"),
        (Decimal("1E+5"), "1E+5"),
        (Decimal("0.00000001"), "1E-8"),
        (Decimal("123456789012345678901234567890.5"), "123456789012345678901234567890.5"),
        (10**30, "1" + "0" * 30),
        (-(10**30) - 1, str(-(10**30) - 1)),
        (2**64, str(2**64)),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (True, "true"),
        (None, "null"),
        (np.float32(0.5), "0.5"),
        (dt.date(2026, 1, 31), '"2026-01-31"'),
        (dt.datetime(2026, 1, 31, 12, 0, 0, 5), '"2026-01-31T12:00:00.000005"'),  # noqa: DTZ001
        (
            dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            '"2026-01-31T12:00:00+01:00"',
        ),
        (dt.time(12, 30), '"12:30:00"'),
        (dt.time(12, 30, tzinfo=dt.timezone.utc), '"12:30:00+00:00"'),
        (pd.Timestamp("2026-01-31T12:00:00.000000001"), '"2026-01-31T12:00:00.000000001"'),
        (pd.Timestamp("2026-01-31", tz="UTC"), '"2026-01-31T00:00:00+00:00"'),
        (np.datetime64("2026-01-31"), '"2026-01-31"'),
        (np.datetime64("2026-01-31T12:00:00", "ns"), '"2026-01-31T12:00:00"'),
        (np.datetime64("2026-01-31T12:00:00.000000001"), '"2026-01-31T12:00:00.000000001"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (b"abc", '"abc"'),
        (bytearray(b"abc"), '"abc"'),
        ({3}, "[3]"),
        (frozenset({"x"}), '["x"]'),
        (np.array([[1, 2]]), "[[1,2]]"),
        (pd.Series([1, 2]), "[1,2]"),
    ],
)
def test_a_value_has_one_json_form(value, text):
    """Each kind of value becomes the JSON that the table names, with all its digits."""
    assert cell(value) == text
    # Beside a value that only the thorough way knows, it is the same text.
    both = encode_request({"v": value, "w": Decimal(1)}).text
    assert both == '{"v":' + text + ',"w":1}'


@pytest.mark.parametrize(
    ("values", "notes"),
    [
        ([float("nan"), 1.0, float("nan")], {"request: 2 x nan became null"}),
        (
            [float("inf"), float("-inf")],
            {"request: 1 x inf became null", "request: 1 x -inf became null"},
        ),
        (np.array([np.nan, 1.0], dtype=np.float32), {"request: 1 x nan became null"}),
        ([np.float32("nan"), 1.0], {"request: 1 x nan became null"}),
        ([Decimal("NaN"), Decimal("sNaN")],
         {"request: 1 x NaN became null", "request: 1 x sNaN became null"}),
        ([pd.NA, pd.NaT], {"request: 1 x <NA> became null", "request: 1 x NaT became null"}),
        (np.array(["2026-01-31", "NaT"], "M8[ns]"), {"request: 1 x NaT became null"}),
        (np.array(["2026-01-31", "NaT"], "M8[D]"), {"request: 1 x NaT became null"}),
        ([np.datetime64("NaT", "s"), np.timedelta64("NaT", "s")],
         {"request: 2 x NaT became null"}),
    ],
)  # fmt: skip
def test_what_is_no_number_becomes_null_with_a_note(values, notes):
    """JSON has no NaN, no infinity and no missing time; what became null is counted by kind."""
    body = encode_request(values)
    assert body.problem is None
    assert set(body.notes) == notes
    counted = sum(int(note.split()[1]) for note in notes)
    assert json.loads(body.text)["values"][0].count(None) == counted


def test_a_null_of_the_callers_is_no_change():
    """None beside numbers is a null without a note."""
    assert request_of([[1.0, None]])["values"] == [[1.0, None]]


def test_nan_inside_foreign_containers_is_counted():
    """NaN in a mapping's array, a dataclass or a tuple is noted as in a list."""
    body = encode_request({"a": np.array([np.nan]), "b": Applicant(1, Decimal(1), float("nan"))})
    assert json.loads(body.text) == {
        "a": [None],
        "b": {"age": 1, "income": 1, "ratio": None},
    }
    assert body.notes == ("request: 2 x nan became null",)


def test_times_inside_a_mapping_of_arrays_are_times():
    """An array of times is never written as bare numbers, nor a missing one as a year long ago."""
    times = np.array(["2026-01-31T12:00:00", "NaT"], dtype="M8[ns]")
    body = encode_request({"fields": ["t"], "values": times.reshape(2, 1)})
    assert json.loads(body.text)["values"] == [["2026-01-31T12:00:00"], [None]]
    assert body.notes == ("request: 1 x NaT became null",)


def test_a_dataclass_is_an_object():
    """A dataclass becomes its fields, without those that begin with an underscore."""
    assert cell(Applicant(31, Decimal("1.10"))) == '{"age":31,"income":1.10,"ratio":0.5}'


def test_keys_become_text():
    """Numbers, dates, flags and None as keys become their text."""
    keyed = {
        1: 1, 2.5: 2, None: 3, False: 0, dt.date(2026, 1, 31): 4, uuid.UUID(int=1): 5,
        Colour.RED: 6, Word.YES: 7, np.int64(9): 8,
    }  # fmt: skip
    assert request_of(keyed) == {
        "1": 1, "2.5": 2, "null": 3, "false": 0, "2026-01-31": 4,
        "00000000-0000-0000-0000-000000000001": 5,
        "red": 6, "yes": 7, "9": 8,
    }  # fmt: skip


@pytest.mark.parametrize("number", ["1E-999999999", "0E-999999999", "1E+999999", "-1E-999999999"])
def test_a_huge_exponent_is_not_written_out(number):
    """A number of eleven characters does not become a gigabyte."""
    assert cell(Decimal(number)) == number


# Problems.


@BOTH
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "object"),
        (int, "type"),
        (1j, "complex"),
        (range(3), "range"),
        (dt.timedelta(1), "timedelta"),
        (np.timedelta64(1, "ns"), "timedelta64"),
        (np.array([1], "m8[ns]"), "timedelta64"),
        (np.longdouble("0.1"), "longdouble"),
        (np.array([1j]), "complex"),
        ({(1, 2): 3}, "tuple"),
        ({1: "a", "1": "b"}, "same text"),
        ({"\ud800": 1}, "surrogates"),
        ({"a": b"\xff"}, "UTF-8"),
        ([object()], "object"),
        (Hostile(), "Hostile"),
        ({"a": Hostile()}, "SpeechlessError"),
    ],
)  # fmt: skip
def test_what_has_no_json_form_is_a_problem(encode: Callable[..., EncodedBody], value, said):
    """A value that cannot be a body yields the reason and no text."""
    body = encode(value)
    assert body.text is None
    side = "request" if encode is encode_request else "response"
    assert body.problem.startswith(f"{side}: ")
    assert said in body.problem


@pytest.mark.parametrize("wrap", [lambda once: once, lambda once: {"values": once}, lambda o: [o]])
def test_what_can_be_read_only_once_is_not_read(wrap):
    """A generator is left for the model, and the record says why there is none."""
    once = (number for number in range(3))
    body = encode_request(wrap(once))
    assert "read only once" in body.problem
    assert list(once) == [0, 1, 2]


def test_a_structure_that_holds_itself_is_a_problem():
    """A cycle ends, and so does what is nested beyond all use."""
    cycle: list[Any] = []
    cycle.append(cycle)
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, loop, deep):
        assert "nested deeper" in encode_request(value).problem
    while deep:  # taken apart by hand: freeing it at once would use up the stack
        deep = deep.pop()


def test_a_hundred_levels_are_no_problem():
    """Nesting as deep as data really is goes through."""
    deep: list[Any] = [1]
    for _ in range(100):
        deep = [deep]
    assert request_of({"a": deep}) == {"a": deep}


def test_a_lone_surrogate_stays_visible():
    """Text that UTF-8 cannot hold is kept as an escape, so that nothing is made up."""
    assert encode_request(["\ud800"]).text == '{"fields":["f0"],"values":[["\\ud800"]]}'


def test_bodies_that_arrive_as_maps_keep_their_shape():
    """A body that is a map or an array on the span is not made a table."""
    assert encode_value([[1, 2]], "scoring.request").text == "[[1,2]]"
    assert encode_value({"values": [1]}, "scoring.request").text == '{"values":[1]}'
    assert encode_value(5, "scoring.request").text == "5"
    assert encode_value(object(), "scoring.request").problem.startswith("scoring.request: ")


def test_the_callers_value_is_not_changed():
    """Encoding looks and does not touch."""
    frame = pd.DataFrame({"a": [1.0, float("nan")]})
    array = np.array([[1.0, np.nan]])
    rows = [[Decimal("1.10"), {"k": {1, 2}}], [float("nan"), None]]
    before = frame.copy(deep=True), array.copy(), copy.deepcopy(rows)
    for value in (frame, array, rows):
        encode_request(value)
        encode_response(value)
    pd.testing.assert_frame_equal(frame, before[0])
    np.testing.assert_array_equal(array, before[1])
    assert repr(rows) == repr(before[2])


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=5)
    | st.decimals()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from([Colour.RED, Word.YES, Level.HIGH, pd.NaT, pd.NA, object(), Hostile(), int])
    | st.sampled_from([np.float32("nan"), np.int8(1), np.datetime64("NaT"), np.array([1, np.nan])])
)
keys = st.text(st.characters()) | st.integers() | st.none() | st.floats() | st.dates()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.lists(inner, max_size=3).map(iter)
    ),
    max_leaves=12,
)


@given(value=values, names=st.none() | st.lists(st.text(), max_size=3))
def test_any_value_is_a_body_or_a_problem(value, names):
    """Whatever model code hands over becomes JSON text, stays the text it is, or is a problem."""
    for body in (encode_request(value, names), encode_response(value), encode_value(value, "v")):
        if body.problem is not None:
            assert body.text is None
        elif isinstance(value, str):
            assert body.text == str.__str__(value)
        elif isinstance(value, bytes):
            assert body.text == value.decode()
        else:
            json.loads(body.text, parse_constant=pytest.fail)


@given(rows=st.lists(st.lists(st.integers() | st.text(), min_size=2, max_size=2), min_size=1))
def test_rows_survive(rows):
    """Rows of whole numbers and text arrive as they were, however large the numbers."""
    assert request_of(rows)["values"] == rows
