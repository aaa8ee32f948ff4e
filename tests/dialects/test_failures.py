"""Failures: an engine's error body in place of an answer, whatever the dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import CSV, JSON, native, parsed, table
from scorespan import dialects
from scorespan.errors import ConversionError

REQUESTS: dict[str, tuple[Any, str]] = {
    "fields_values": (table(["a"], [1], [2]), JSON),
    "azure_studio": ({"Inputs": {"input1": [{"a": 1}, {"a": 2}]}}, JSON),
    "azure_service": ({"data": [{"a": 1}, {"a": 2}]}, JSON),
    "objects": ([{"a": 1}, {"a": 2}], JSON),
    "sagemaker_csv": ("1\n2\n", CSV),
    "sagemaker_json": ({"instances": [{"features": [1]}, {"features": [2]}]}, JSON),
    "mlflow": ({"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}, JSON),
    "kserve": ({"instances": [[1], [2]], "signature_name": "s"}, JSON),
    "open_inference": (
        {"inputs": [{"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]}]},
        JSON,
    ),
    "text": ({"messages": [{"role": "user", "content": "hello"}]}, JSON),
}


def failure(answer: Any, request: Any = None, sent: str = JSON) -> tuple[str, str] | None:
    """What is found to have failed; then there is no response."""
    scoring = native(request or [{"a": 1}], answer, sent=sent, answered=JSON)
    bodies = dialects.read(None, scoring)
    assert not isinstance(bodies, ConversionError), bodies
    assert (bodies.failure is None) == (bodies.response is not None)
    return bodies.failure


@pytest.mark.parametrize("dialect", REQUESTS)
@pytest.mark.parametrize("times", [0, 1])
def test_an_error_body_is_a_failure_in_every_dialect(dialect, times):
    """The request is read as ever, however many rows it has; there is no answer."""
    request, sent = REQUESTS[dialect]
    answer: Any = {"error": "bad row"}
    for _ in range(times):
        answer = json.dumps(answer)
    bodies = dialects.read(None, native(request, json.dumps(answer), sent=sent))
    assert not isinstance(bodies, ConversionError), bodies
    assert bodies.dialect == dialect
    assert bodies.failure == ("engine_error", "bad row")
    assert bodies.response is None
    assert bodies.rows == (1 if dialect == "text" else 2)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ({"error": "bad row"}, "engine_error", "bad row"),
        ({"status": "error", "message": "bad row"}, "engine_error", "bad row"),
        ({"error": {"code": "E1", "message": "bad row"}}, "E1", "bad row"),
        (
            {"error": {"type": "ValueError", "detail": "bad row", "code": 7}},
            "ValueError",
            "bad row",
        ),
        ({"error": {"code": 400}}, "400", '{"code":400}'),
        ({"error": ["a", "b"]}, "engine_error", '{"error":["a","b"]}'),
        ({"errors": [{"m": "b"}]}, "engine_error", '{"errors":[{"m":"b"}]}'),
        ({"success": False, "message": "bad row"}, "engine_error", "bad row"),
        (json.dumps(json.dumps({"ok": False, "msg": "bad row"})), "engine_error", "bad row"),
        ({"code": 500, "message": "bad row", "data": None}, "500", "bad row"),
        ({"status": "error", "code": "200", "reason": "bad row"}, "engine_error", "bad row"),
        ({"status": 422, "detail": "bad row"}, "422", "bad row"),
        ({"error": True, "message": "bad row"}, "engine_error", "bad row"),
        ({"error": "bad row", "code": 422}, "422", "bad row"),
        ({"Error": "bad row"}, "engine_error", "bad row"),
        ({"error": "bad row", "predictions": None}, "engine_error", "bad row"),
        ({"error": "bad row", "predictions": [], "label": ""}, "engine_error", "bad row"),
        (
            {
                "error": "bad row",
                "requestId": "r-1",
                "timestamp": 1700000000,
                "elapsed_ms": 3,
                "stack_trace": ["a", "b"],
                "input": {"a": 1},
                "modelVersion": 7,
            },
            "engine_error",
            "bad row",
        ),
        ({"error_code": "BAD_REQUEST", "message": "bad row"}, "BAD_REQUEST", "bad row"),
        ({"error_code": 17, "message": "bad row"}, "17", "bad row"),
        ({}, "engine_error", "the engine answered {}"),
        ("{}", "engine_error", "the engine answered {}"),
        (' { "error" : "bad row" } ', "engine_error", "bad row"),
    ],
)
def test_type_and_message_are_found(answer, kind, message):
    """In the forms that engines have for them."""
    assert failure(answer) == (kind, message)


@pytest.mark.parametrize(
    "answer",
    [
        {"prediction": 1, "error": None},
        {"prediction": 1, "error": ""},
        {"prediction": 1, "error": {}},
        {"prediction": 1, "error": False},
        {"prediction": 1, "error": 0.25},
        {"prediction": 0.91, "error_code": "0"},
        {"prediction": 0.91, "error_code": "OK"},
        {"prediction": 0.91, "error_code": "00"},
        {"prediction": 0.91, "error_code": "E7", "message": "an old model answered"},
        {"predictions": [1], "error": [0.1]},
        {"prediction": [1], "error": {"mae": 0.1}},
        {"prediction": 1, "error": "none"},
        {"predictions": [1], "error": "one feature was missing"},
        {"risk": 0.5, "error": "one feature was missing"},
        {"error": "none", "message": "fine"},
        {"error_code": "0", "message": "fine"},
        {"error_code": 0, "message": "fine"},
        {"status": "error", "message": "an old model answered", "score": 0.5},
        {"7": 0.25, "error": "one feature was missing"},
        {"detail": "nothing is wrong"},
        {"status": "error", "score": 0.5},
        {"status": "ok", "message": "no error"},
        {"success": False},
        {"success": False, "reason": "too many calls before"},
        {"success": False, "message": "an old model answered", "prediction": 1},
        {"success": True, "message": "fine"},
        {"code": 0, "message": "fine"},
        {"code": 200, "message": "fine"},
        {"code": "500", "message": "a class of that name"},
        {"status": "failed", "reason": "vibration"},
        {"errors": [0.1]},
        {"error": [0.1]},
        {"status": ["error"], "message": "no error"},
        {"terror": "yes"},
        [{"error": "one of the rows"}],
        ["error"],
        '"error"',
        table(["error"], ["a class of that name"]),
    ],
)
def test_answers_that_speak_of_errors_are_answers(answer):
    """What a prediction stands beside is said of it; a number may be its error, a label be so."""
    assert failure(answer) is None


def test_a_problem_by_its_type_is_a_failure():
    """Whatever stands in it."""
    answer = {"type": "about:blank", "title": "Bad row", "detail": "a is text", "row": 1}
    scoring = native([{"a": 1}], answer, answered="application/problem+json")
    bodies = dialects.read(None, scoring)
    assert not isinstance(bodies, ConversionError), bodies
    assert bodies.failure == ("Bad row", "a is text")


def test_a_request_that_nobody_can_read_is_text_where_the_scoring_failed():
    """Perhaps it failed of that; the failure is what there is to say."""
    scoring = native('{"data": [{"a"', {"error": "no JSON"}, sent=None)
    bodies = dialects.read("azure_service", scoring)
    assert not isinstance(bodies, ConversionError), bodies
    assert parsed(bodies.request) == table(["scoring_input"], ['{"data": [{"a"'])
    assert bodies.failure == ("engine_error", "no JSON")
    assert bodies.dialect == "text"
    assert "not valid JSON" in bodies.notes[0]


def test_an_unknown_dialect_is_an_error_for_failed_scorings_too():
    """A wrong setting is to be mended, and the dead letter requeued."""
    error = dialects.read("mystery", native([1]))
    assert isinstance(error, ConversionError)
    assert error.code == "unknown_dialect"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(answer=anything, request=anything)
def test_any_answer_is_read_or_refused(answer, request):
    """A failure has a type and a message, both texts."""
    bodies = dialects.read(None, native(json.dumps(request), json.dumps(answer)))
    if isinstance(bodies, ConversionError):
        assert bodies.reason
    elif bodies.failure is not None:
        assert all(isinstance(text, str) and text for text in bodies.failure)
    else:
        assert len(parsed(bodies.request)["values"]) == len(parsed(bodies.response)["values"])
