"""The SageMaker CSV dialect: lines without a header, answers in three formats."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import CSV, JSON, LINES, native, read, refused, table
from scorespan import dialects

GERMAN = ("Sex_male", "Sex_female", "LoanDuration", "LoanAmount")
ANSWERED = table(["predicted_label", "score"], [0, 0.2], [1, 0.9])


def test_the_documents_example_becomes_a_record():
    """Lines get the names of training, and the answer its fixed order."""
    scoring = native(
        "1,0,12,4152",
        '{"predictions":[{"score":0.2024,"predicted_label":0.0}]}',
        sent=CSV,
        names=GERMAN,
    )
    found = read(None, scoring)
    assert found.dialect == "sagemaker_csv"
    assert found.request == table(list(GERMAN), [1, 0, 12, 4152])
    assert found.response == table(["predicted_label", "score"], [0.0, 0.2024])
    assert found.notes == ()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            '{"predictions":[{"predicted_label":0,"score":0.2},{"score":0.9,"predicted_label":1}]}',
            JSON,
        ),
        (
            '{"predictions":[{"predicted_label":0,"score":0.2},{"score":0.9,"predicted_label":1}]}',
            None,
        ),
        ('[{"predicted_label":0,"score":0.2},{"score":0.9,"predicted_label":1}]', "text/plain"),
        ('{"predictions":{"score":[0.2,0.9],"predicted_label":[0,1]}}', JSON),
        ('{"score":0.2,"predicted_label":0}\n{"predicted_label":1,"score":0.9}\n', LINES),
        ('{"score":0.2,"predicted_label":0}\n{"predicted_label":1,"score":0.9}', "text/html"),
        (
            '{"predictions":[{"predicted_label":0,"score":0.2},{"score":0.9,"predicted_label":1}]}\n',
            LINES,
        ),
        ("0,0.2\n1,0.9", CSV),
        ("0,0.2\r\n1,0.9\r\n", "text/csv; charset=utf-8"),
        ('"0","0.2"\n1,0.9\n', "text/html; charset=utf-8"),
        ("0,0.2\n1,0.9", None),
    ],
)
def test_every_format_of_an_answer_gives_the_same_columns(answer, kind):
    """JSON, JSON lines and CSV become the same table, whatever a service says that they are."""
    assert read(None, native("1,2\n3,4\n", answer, sent=CSV, answered=kind)).response == ANSWERED


@pytest.mark.parametrize(
    ("answer", "kind", "response"),
    [
        ('{"predictions":[{"score":0.1},{"score":0.2}]}', JSON, table(["score"], [0.1], [0.2])),
        ("0.1\n0.2\n", CSV, table(["score"], [0.1], [0.2])),
        ('{"scores":[{"score":0.1},{"score":0.2}]}', JSON, table(["score"], [0.1], [0.2])),
        ("0.1,0.2", CSV, table(["score"], [0.1], [0.2])),
        ("[0.1,0.2]", JSON, table(["prediction"], [0.1], [0.2])),
        ("[0.1, 0.9]\n[0.2, 0.8]\n", CSV, table(["score"], [[0.1, 0.9]], [[0.2, 0.8]])),
        ("[0.1, 0.9],[0.2, 0.8]", CSV, table(["score"], [[0.1, 0.9]], [[0.2, 0.8]])),
        ("nan\nnan\n", CSV, table(["score"], [None], [None])),
        ("good\nbad\n", CSV, table(["predicted_label"], ["good"], ["bad"])),
        ('["good","bad"]', JSON, table(["prediction"], ["good"], ["bad"])),
        ("0.1,0.2,0.7\n1,0,0", CSV, table(["score"], [[0.1, 0.2, 0.7]], [[1, 0, 0]])),
        (
            '{"predictions":[{"score":[0.1,0.9],"predicted_label":1},{"predicted_label":0,"score":[1,0]}]}',
            JSON,
            table(["predicted_label", "score"], [1, [0.1, 0.9]], [0, [1, 0]]),
        ),
        (
            '{"predictions":[{"z":1,"b":2,"score":3},{"a":4,"predicted_label":5}]}',
            JSON,
            table(
                ["predicted_label", "score", "a", "b", "z"],
                [None, 3, None, 2, 1],
                [5, None, 4, None, None],
            ),
        ),
    ],
)
def test_columns_of_an_answer_are_in_a_fixed_order(answer, kind, response):
    """Label and score first, those that are there; others by name; arrays stay arrays."""
    assert read(None, native("1,2\n3,4", answer, sent=CSV, answered=kind)).response == response


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ('{"predictions":[{"s":1,"l":"a","x":0},{"l":"b","s":2}]}', JSON),
        ("a,1\nb,2", CSV),
        ("l,s\na,1\nb,2", CSV),
        ('[["a",1],["b",2]]', JSON),
    ],
)
def test_settings_give_an_answer_its_columns(answer, kind):
    """The prediction fields pick the columns, or name them, in their order."""
    found = read(None, native("1\n2", answer, sent=CSV, answered=kind, fields=("l", "s")))
    assert found.response == table(["l", "s"], ["a", 1], ["b", 2])


@pytest.mark.parametrize(
    ("body", "request_table"),
    [
        ("1,2", table(["f0", "f1"], [1, 2])),
        ("1,2\r\n\r\n", table(["f0", "f1"], [1, 2])),
        ("1,2\r3,4\r", table(["f0", "f1"], [1, 2], [3, 4])),
        ("\ufeff1,2\n\n3,4", table(["f0", "f1"], [1, 2], [3, 4])),
        (" 1, 2\n3 ,4", table(["f0", "f1"], [1, 2], [3, 4])),
        ("1,\n,4", table(["f0", "f1"], [1, None], [None, 4])),
        ("a,\n,b", table(["f0", "f1"], ["a", None], [None, "b"])),
        ('""\n5', table(["f0"], [None], [5])),
        (
            '"a,b","say ""so"""\n"x\r\ny",5" pipe',
            table(["f0", "f1"], ["a,b", 'say "so"'], ["x\r\ny", '5" pipe']),
        ),
        ("007,1\n008,2", table(["f0", "f1"], ["007", 1], ["008", 2])),
        ("1,2\nx,4", table(["f0", "f1"], ["1", 2], ["x", 4])),
        (
            "12345678901234567890123,0.12345678901234567890,1e5,-0.0",
            table(
                ["f0", "f1", "f2", "f3"],
                [12345678901234567890123, "number 0.12345678901234567890", 100000.0, -0.0],
            ),
        ),
        ("ä,€", table(["f0", "f1"], ["ä", "€"])),
    ],
)
def test_lines_become_rows(body, request_table):
    """Numbers become numbers with all their digits, where their column does; empty is null."""
    answer = [0] * len(request_table["values"])
    assert read(None, native(body, answer, sent=CSV)).request == request_table


def test_what_is_no_number_of_json_is_null_with_a_note():
    """NaN among numbers is a missing value, and the record says so."""
    found = read(None, native("1,nan\n2,5", [0, 1], sent=CSV))
    assert found.request == table(["f0", "f1"], [1, None], [2, 5])
    assert found.notes == ("request: nan in 'f1' became null",)


def test_a_header_is_known_by_the_feature_names():
    """A first line that equals the names is left out; without names nothing is."""
    found = read("sagemaker_csv", native("a,b\n1,2", [0], sent=CSV, names=("a", "b")))
    assert found.request == table(["a", "b"], [1, 2])
    assert found.notes == ("request: header left out",)
    other = read("sagemaker_csv", native("a,b\n1,2", [0, 1], sent=CSV))
    assert other.request == table(["f0", "f1"], ["a", "b"], ["1", "2"])


def test_a_header_that_nobody_knows_is_hinted_at():
    """Where rows and predictions do not pair for want of names, the reason says what to set."""
    for answer in ([0], "0"):
        error = refused("sagemaker_csv", native("a,b\n1,2", answer, sent=CSV, answered=None))
        assert error.code == "row_count_mismatch"
        assert error.reason.startswith("response: 1 rows for 2 rows of the request; a header")
    named = native("a,b\n1,2", [0], sent=CSV, names=("x", "y"))
    assert refused("sagemaker_csv", named).reason == "response: 1 rows for 2 rows of the request"


def test_a_failed_scoring_has_its_request():
    """Without an answer there is the request alone."""
    found = read(None, native("1,2", sent=CSV))
    assert (found.request, found.response) == (table(["f0", "f1"], [1, 2]), None)


@pytest.mark.parametrize(
    ("body", "answer", "kind", "code", "said"),
    [
        ("1,2\n3", "[1,2]", JSON, "row_width_mismatch", "request[1]: 1 values for 2"),
        ("1,2\n3,4", "[1]", JSON, "row_count_mismatch", "response: 1 rows for 2 rows"),
        ("1,2\n3,4", "1\n2\n3", CSV, "row_count_mismatch", "response: 3 rows for 2 rows"),
        ("1,2", "1\n2", CSV, "row_count_mismatch", "response: 2 rows for 1 rows"),
        ("1,2", "", CSV, "row_count_mismatch", "response: 0 rows for 1 rows"),
        ("1,2\n3,4", "1,2,3\n4", CSV, "row_width_mismatch", "response, row 1: 1 cells for 3"),
        (
            '1,2\n"3,4',
            "[1,2]",
            JSON,
            "invalid_csv",
            "request: a quote does not fit in row 1, cell 0",
        ),
        ('1,2\n"3"x,4', "[1,2]", JSON, "invalid_csv", "request: a quote does not fit in row 1"),
        ("1,2", '"0', CSV, "invalid_csv", "response: a quote does not fit in row 0"),
        (b"1,\xff", "[1]", JSON, "invalid_csv", "request: UTF-8 is needed, which byte 2 is not"),
        ("1,2", "0.5 or so", JSON, "invalid_json", "response: not valid JSON"),
        ("1,2\n3,4", '{"a":1}\n{"a":', LINES, "invalid_json", "response, line 2: not valid JSON"),
        ("1,2\n3,4", '{"a":1},{"a":2}\n', LINES, "invalid_json", "response, line 1: not valid"),
    ],
)
def test_what_cannot_be_paired_or_read_is_refused(body, answer, kind, code, said):
    """The reason names the side and the place."""
    error = refused(None, native(body, answer, sent=CSV, answered=kind))
    assert error.code == code
    assert said in error.reason


def test_feature_names_must_fit():
    """Lines of another width than the names are refused, and the reason says where names stand."""
    error = refused(None, native("1,2", "[1]", sent=CSV, names=("a",)))
    assert "request[0]: 2 values for 1 names in scoring.feature.names" in error.reason


CELLS = st.one_of(
    st.none(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",\n'), min_size=1)
    .filter(lambda text: text.strip() == text)
    .map(lambda text: f"x{text}"),
)


@given(
    rows=st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5
        )
    ),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_pythons_writer_writes_is_read_again(rows, quoting, end):
    """Cells come back as they went: numbers in columns of numbers, else their text."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=end).writerows(rows)
    found = read("sagemaker_csv", native(text.getvalue(), [0] * len(rows), sent=CSV))
    for place, column in enumerate(zip(*rows, strict=True)):
        numeric = not any(isinstance(cell, str) for cell in column)
        for row, cell in zip(found.request["values"], column, strict=True):
            wanted = cell if numeric or cell is None else str(cell)
            shown = row[place]
            if isinstance(shown, str) and shown.startswith("number "):
                shown = float(shown.removeprefix("number "))
            assert shown == wanted


@given(st.binary(), st.binary(), st.sampled_from([CSV, JSON, LINES, None]))
def test_any_bytes_are_read_or_refused(body, answer, kind):
    """Nothing that a service may send or answer raises."""
    dialects.read("sagemaker_csv", native(body, answer, sent=CSV, answered=kind))


def test_many_rows_take_time_in_proportion():
    """Ten times the rows take about ten times as long, with quotes and without."""
    for cell in ("1.5", '"a ""b"""'):
        taken = []
        for rows in (5_000, 50_000):
            scoring = native(f"{cell},2\n" * rows, "0.5\n" * rows, sent=CSV, answered=CSV)
            start = time.process_time()
            assert len(read(None, scoring).request["values"]) == rows
            taken.append(time.process_time() - start)
        assert taken[1] < 50 * max(taken[0], 0.05)
