"""The text dialect: one cell for each body."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_bodies import JSON, native, parsed, read, table
from scorespan import dialects
from scorespan.dialects import Native, NativeBody

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}


@pytest.mark.parametrize(
    "request_body",
    [
        CHAT,
        {"prompt": "hello", "max_tokens": 5},
        {"prompt": ["hello", "bye"]},
        {"inputs": "hello", "parameters": {"top_k": 3}},
        {"input": "hello", "model": "m"},
    ],
)
def test_requests_to_language_models_are_texts(request_body):
    """The whole body stands there, with all that the model was told."""
    answer = {"choices": [{"message": {"content": "hi"}}], "usage": {"tokens": 2}}
    found = read(None, native(request_body, answer))
    assert found.dialect == "text"
    assert found.request == table(["scoring_input"], [json.dumps(request_body)])
    assert found.response == table(["prediction"], [json.dumps(answer)])
    assert found.notes == ()


def test_streamed_answers_are_texts():
    """Server-sent events, as they went out."""
    events = 'data: {"delta": "h"}\n\ndata: {"delta": "i"}\n\ndata: [DONE]\n\n'
    found = read(None, native(CHAT, events, answered="text/event-stream"))
    assert found.response == table(["prediction"], [events])
    assert found.notes == ()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("hello", "text/plain"),
        ("<a>1</a>", "application/xml"),
        ("a=1&b=2", "application/x-www-form-urlencoded"),
        ("", "text/plain"),
        ("", ""),
        ("hello", ""),
        ('"hello"', JSON),
        ("5", JSON),
        ("null", None),
        ("[]", JSON),
        ("{}", JSON),
    ],
)
def test_what_no_dialect_recognises_is_text(body, kind):
    """Whatever its type is."""
    found = read(None, native(body, "[1]", sent=kind))
    assert found.dialect == "text"
    assert found.request == table(["scoring_input"], [body])
    assert found.notes == ()


def test_what_is_said_to_be_json_and_is_none_is_text_with_a_note():
    """The service took it, so there is something to keep."""
    found = read(None, native('{"a": 1', "fine", answered="text/html"))
    assert found.request == table(["scoring_input"], ['{"a": 1'])
    assert found.response == table(["prediction"], ["fine"])
    assert len(found.notes) == 1
    assert found.notes[0].startswith("request: not valid JSON")
    assert found.notes[0].endswith("kept as text")


@pytest.mark.parametrize("name", [None, "fields_values", "mlflow", "text"])
@pytest.mark.parametrize("side", ["request", "response"])
def test_a_body_that_is_not_whole_makes_both_texts(name, side):
    """There is nothing to pair."""
    whole = json.dumps(table(["a"], [1]))
    request, response = (
        NativeBody(whole[:9].encode(), None, each, whole=False)
        if each == side
        else NativeBody(whole.encode(), None, each)
        for each in ("request", "response")
    )
    bodies = dialects.read(name, Native(request, response))
    assert isinstance(bodies, dialects.DialectBodies)
    cells = (parsed(bodies.request)["values"], parsed(bodies.response)["values"])
    assert cells == (
        ([[whole[:9]]], [[whole]]) if side == "request" else ([[whole]], [[whole[:9]]])
    )


@given(st.text() | st.binary(), st.sampled_from(["text/plain", "", JSON]))
def test_any_text_comes_back(body, kind):
    """To the last character; bytes that are no UTF-8 by their numbers."""
    found = read("text", native(body, body, sent=kind, answered="text/plain"))
    shown = body if isinstance(body, str) else body.decode(errors="backslashreplace")
    assert found.request == table(["scoring_input"], [shown])
    if found.response is not None:
        assert found.response == table(["prediction"], [shown])
