"""What the printed lines of a scoring say of it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scorespan import attributes
from scorespan.instrumentation.exchange import Exchange
from scorespan.instrumentation.printed import MOST_LINES, Printed
from scorespan.settings import Settings

TEXTS = st.text(min_size=1, max_size=60).filter(str.strip)


@pytest.fixture
def score(recorded):
    """Scores once: calls a function with the exchange, and answers the span."""

    def call(function, answer=b"[1]", status=200, request=b'{"data": [1]}', **settings):
        exchange = Exchange("test", Settings.load(settings), {})
        exchange.request.add(request)
        function(exchange)
        exchange.response.add(answer)
        exchange.answered(status)
        exchange.end()
        return recorded.spans()[-1]

    return call


def handling(error, call):
    """What a function returns that is called while the error is being handled."""
    try:
        raise error
    except type(error):
        return call()


def catches(error, *lines):
    """A model that catches what it raises, and prints."""

    def model(exchange):
        handling(error, lambda: [exchange.add_print(line) for line in lines])

    return model


def failure(span):
    """Type, message and traceback of a failed scoring; None for a good one."""
    if span.status.is_ok or not span.events:
        return None
    (event,) = span.events
    return tuple(event.attributes[f"exception.{name}"] for name in ("type", "message"))


@pytest.mark.parametrize(
    "answer",
    [
        '"no such feature"',
        '{"error": "no such feature"}',
        '{"error": "failed: no such feature", "code": 1}',
        '{"success": false, "status": "failed", "message": "no such feature", "prediction": null}',
        "no such feature",
    ],
)
def test_an_exception_that_is_answered_with_is_a_failed_scoring(score, answer):
    """Caught, printed, and its text in the answer: it failed, whatever the status says."""
    error = ValueError("no such feature")
    span = score(catches(error, "no such feature12:00:00"), answer.encode())
    assert failure(span) == ("ValueError", "no such feature")
    stacktrace = span.events[0].attributes["exception.stacktrace"]
    assert "in handling\n    raise error" in stacktrace
    assert span.attributes[attributes.RESPONSE] == answer
    assert attributes.NOTES not in span.attributes


@pytest.mark.parametrize(
    "answer",
    [
        '{"decision": "rule hit", "probability": 0.87}',
        '{"error": "rule hit", "risk": 0.87}',
        '{"status": "approved", "reason": "rule hit"}',
        '{"success": true, "message": "rule hit"}',
        '{"label": "rule hit"}',
        '["rule hit"]',
        '"a rule hit it"',
    ],
)
def test_a_text_that_is_a_part_of_an_answer_is_none_of_an_error(score, answer):
    """A rule may have an exception for each decision, and what it prints of it is no failure."""
    span = score(catches(RuntimeError("rule hit"), "rule hit: rule hit"), answer.encode())
    assert failure(span) is None
    assert span.attributes[attributes.NOTES] == ("handled: RuntimeError",)


@pytest.mark.parametrize("answer", ["[1]", '{"prediction": [0.5]}', '"fine"', "", '{"a": [1,'])
def test_an_exception_that_was_got_over_is_a_note(score, answer):
    """A script that handles an exception and then answers well has not failed."""
    span = score(catches(KeyError("age"), "no age, so 40"), answer.encode())
    assert failure(span) is None
    assert span.attributes[attributes.NOTES] == ("handled: KeyError",)


def test_a_short_text_must_be_the_whole_answer(score):
    """An error that says `1` is not in every answer with a one."""
    assert failure(score(catches(ValueError("1"), "1"), b'{"error": "type 1"}')) is None
    assert failure(score(catches(ValueError("1"), "1"), b'{"error": "1"}')) == ("ValueError", "1")


def test_an_error_without_a_text_must_be_an_answer_without_one(score):
    """Such as the alarm of a time limit, which a script caught like any other."""
    assert failure(score(catches(TimeoutError(), "12:00:00"), b'""')) == ("TimeoutError", "")
    assert failure(score(catches(TimeoutError(), "12:00:00"), b'["", "a"]')) is None


def test_of_several_exceptions_the_answered_one_counts(score):
    """The record's error is the one that the client got; the last of those alike."""

    def model(exchange):
        for text in ("first fault", "second fault", "third fault"):
            catches(RuntimeError(text), text)(exchange)

    assert failure(score(model, b'"second fault"')) == ("RuntimeError", "second fault")


def test_an_exception_of_the_caller_is_not_the_models(score, recorded):
    """What a server handles while it calls the service has not begun within the scoring."""
    error = ConnectionError("the first try failed")
    span = handling(
        error, lambda: score(lambda exchange: exchange.add_print("hello"), f'"{error}"'.encode())
    )
    assert failure(span) is None
    assert attributes.NOTES not in span.attributes


def test_what_else_says_that_it_failed_counts_first(score):
    """An error of the hook's own, or of the status, is not replaced."""

    def model(exchange):
        catches(ValueError("within"), "within")(exchange)
        exchange.fail(TypeError("outer"))

    assert failure(score(model, b'"within"')) == ("TypeError", "outer")
    assert failure(score(catches(ValueError("within"), "within"), b'"within"', 500))[0] == (
        "HTTP 500"
    )


@pytest.mark.parametrize(
    ("line", "answer", "expected"),
    [
        ("no model12:34:56", '"no model"', ("unknown", "no model")),
        ("no\nmodel12:34:56", '"no\\nmodel"', ("unknown", "no\nmodel")),
        ("no model12:34:56", '"no model, sorry"', None),
        ("no model12:34:56", '["no", "no model"]', None),
        ("no model 12:34", '"no model"', None),
        ("12:34:56", '""', None),
        ("12:34:56", "", None),
    ],
)
def test_a_text_with_the_time_that_is_the_answer_is_an_error(score, line, answer, expected):
    """Printed after the except block there is no exception to see; its type stays unknown."""
    span = score(lambda exchange: exchange.add_print(line), answer.encode())
    assert failure(span) == expected


@given(text=TEXTS)
def test_any_error_text_is_found_in_the_answer_that_it_is(text):
    """Whatever characters it has, and however JSON writes them."""
    printed, error = Printed(10**6), ValueError(text)
    handling(error, lambda: printed.add(text))
    for ensure_ascii in (True, False):
        answer = json.dumps(text, ensure_ascii=ensure_ascii).encode("utf-8", "surrogatepass")
        with suppress(UnicodeDecodeError):
            answer.decode()
            assert printed.cause(answer) is error


@given(text=TEXTS, answer=st.lists(st.floats(allow_nan=False) | TEXTS, max_size=5))
def test_no_other_answer_is_an_error(text, answer):
    """An answer that does not hold the text is a good one."""
    assume(not any(isinstance(item, str) and text in item for item in answer))
    printed = Printed(10**6)
    handling(ValueError(text), lambda: printed.add(text))
    assert printed.cause(json.dumps(answer).encode()) is None


@given(lines=st.lists(st.text(max_size=20), max_size=8), limit=st.integers(0, 60))
def test_lines_are_bounded_in_bytes_and_nothing_is_left_out_unsaid(lines, limit):
    """At most `limit` bytes; whole lines in order, the last one perhaps cut; a note if not all."""
    printed = Printed(limit)
    for line in lines:
        printed.add(line)
    kept = [line.text for line in printed.lines]
    assert sum(len(line.encode("utf-8", "surrogatepass")) for line in kept) <= limit
    assert kept[:-1] == lines[: max(len(kept) - 1, 0)]
    assert (printed.note is None) == (kept == lines)
    assert printed.count == len(lines)


@given(parts=st.lists(st.text(max_size=5), max_size=30), limit=st.integers(1, 30))
def test_a_line_that_does_not_end_is_bounded_too(parts, limit):
    """Parts of a line are kept up to the bound, and the line says whether it was cut."""
    printed = Printed(limit)
    for part in parts:
        printed.add(part, ended=False)
    assert len("".join(printed._begun)) <= limit + 5
    printed.add("")
    whole = "".join(parts)
    (line,) = printed.lines
    assert whole.startswith(line.text)
    assert (printed.note is None) == (line.text == whole)


def test_very_many_short_lines_are_bounded_too():
    """Empty ones have no bytes, and cost memory all the same."""
    printed = Printed(10**6)
    for _ in range(MOST_LINES + 5):
        printed.add("")
    assert len(printed.lines) == MOST_LINES
    assert printed.note == f"prints: {MOST_LINES} of {MOST_LINES + 5} lines kept"


def test_lines_past_the_bound_are_told_in_a_note(score):
    """The bound is that of a body."""

    def model(exchange):
        for line in ("1234", "56789", "more"):
            exchange.add_print(line)

    span = score(model, body_max_bytes=8)
    assert span.attributes[attributes.PRINTS] == ("1234", "5678")
    assert "prints: 2 of 3 lines kept, the last one cut" in span.attributes[attributes.NOTES]


def test_a_line_with_input_and_output_gives_the_bodies_that_no_hook_saw(score):
    """Only then: otherwise it says again what the record has."""
    told = json.dumps({"input": '{"data": [2]}', "output": [3]})

    def model(exchange):
        exchange.add_print("{not json")
        exchange.add_print(told)
        exchange.add_print('{"input": 1}')

    span = score(model, b"", request=b"")
    assert span.attributes[attributes.REQUEST] == '{"data": [2]}'
    assert span.attributes[attributes.RESPONSE] == "[3]"
    span = score(model, b"[9]")
    assert span.attributes[attributes.REQUEST] == '{"data": [1]}'
    assert span.attributes[attributes.RESPONSE] == "[9]"
