"""Printed lines as log records, for the logger provider that was passed and no other."""

from __future__ import annotations

import decimal
import json

import pytest
from opentelemetry.sdk._logs import LoggerProvider

import scorespan
from scorespan import provider
from scorespan.instrumentation.exchange import Exchange
from scorespan.settings import Settings

TOLD = {"input": '{"data": [[1, 2]]}', "output": [3.5]}


class Kept:
    """A log record processor that keeps what it gets, by the names of every version."""

    def __init__(self):
        self.records = []

    def on_emit(self, log_data):
        """Keep one."""
        self.records.append(log_data.log_record)

    emit = on_emit

    def shutdown(self):
        """Nothing to end."""

    def force_flush(self, *_):
        """Nothing waits."""
        return True


@pytest.fixture
def kept(recorded):
    """A logger provider's processor; scorings of the test go to it."""
    processor = Kept()
    logger_provider = LoggerProvider(shutdown_on_exit=False)
    logger_provider.add_log_record_processor(processor)
    logger = logger_provider.get_logger(provider.INSTRUMENTATION_NAME)
    provider.install(provider.slot().tracer, logger=logger)
    return processor


def score(*lines, error=None, during=lambda: None, **settings):
    """One scoring that prints; each line while the error is being handled, if there is one."""
    exchange = Exchange("test", Settings.load(settings), {})
    exchange.request.add(b"[1]")
    for line in lines:
        try:
            if error is not None:
                raise error
            exchange.add_print(line)
        except ArithmeticError:
            exchange.add_print(line)
    during()
    exchange.response.add(b"[2]")
    exchange.end()


def test_a_line_is_a_log_record_of_its_scoring(kept, recorded):
    """Body, times, severity, and the trace context of the scoring's span."""
    score("first", "second", during=lambda: kept.records.append("the run is over"))
    marker, *records = kept.records
    assert marker == "the run is over"
    assert [record.body for record in records] == ["first", "second"]
    (span,) = recorded.spans()
    for record in records:
        assert record.trace_id == span.context.trace_id
        assert record.span_id == span.context.span_id
        assert record.severity_text == record.severity_number.name == "INFO"
        assert record.observed_timestamp == record.timestamp >= span.start_time
        assert not record.attributes


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (json.dumps(TOLD), {"input": {"data": [[1, 2]]}, "output": [3.5]}),
        ('{"input": "no json", "output": 1}', {"input": "no json", "output": 1}),
        ('{"input": [1], "output": null}', {"input": [1], "output": None}),
        ('{"input": 1}', '{"input": 1}'),
        ('{"input" "output"', '{"input" "output"'),
        ('["input", "output"]', '["input", "output"]'),
    ],
)
def test_a_line_with_input_and_output_has_them_as_a_map(kept, line, body):
    """What was printed as JSON is structured, the input parsed once more."""
    score(line)
    (record,) = kept.records
    assert record.body == body


def test_a_line_printed_while_an_exception_is_handled_is_an_error(kept):
    """With type, message and traceback, as OpenTelemetry names them."""
    score("failed", error=ZeroDivisionError("by zero"))
    score("failed", error=decimal.DivisionByZero())
    record, other = kept.records
    assert other.attributes["exception.type"] == "decimal.DivisionByZero"
    assert (record.body, record.severity_text) == ("failed", "ERROR")
    found = dict(record.attributes)
    assert found.pop("exception.stacktrace").endswith("ZeroDivisionError: by zero\n")
    assert found == {
        "exception.type": "ZeroDivisionError",
        "exception.message": "by zero",
    }


def test_a_processor_that_fails_harms_no_scoring(kept, recorded):
    """The record is there, and nothing is raised."""
    kept.records = None
    score("a line")
    assert len(recorded.spans()) == 1


def test_lines_go_to_the_provider_that_was_passed(configure, scripted_mart):
    """`configure(logger_provider=...)` names it; without one there is none, as after shutdown."""
    processor = Kept()
    logger_provider = LoggerProvider(shutdown_on_exit=False)
    logger_provider.add_log_record_processor(processor)
    configure(logger_provider=logger_provider)
    score("kept")
    configure()
    score("not kept")
    configure(logger_provider=logger_provider)
    scorespan.shutdown()
    score("after the end")
    assert [record.body for record in processor.records] == ["kept"]
    assert processor.records[0].trace_id
    assert len(scripted_mart.stored) == 2
