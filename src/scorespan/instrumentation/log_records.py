"""Log records: printed lines as OpenTelemetry's own, for a logger provider that was passed to us.

The API for them has changed thrice between the versions that are supported; each kind of logger is
told from the arguments that it takes, none by its version.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any

from opentelemetry import _logs as logs
from opentelemetry import trace
from opentelemetry.trace import SpanContext

from scorespan.failure import Failure
from scorespan.instrumentation.printed import Line


def emit(logger: logs.Logger, lines: Iterable[Line], span: SpanContext) -> None:
    """Emit a log record for each line, in the trace context of the scoring's span.

    A line that is an object with `input` and `output` is its body as a map, the input parsed where
    it is JSON once more. One that was printed while an exception was handled is an error, with the
    attributes of OpenTelemetry's convention for exceptions.

    Raises:
        Exception: what a processor of the application raises.
    """
    for line in lines:
        error = line.error
        _emit(
            logger,
            span,
            timestamp=line.time,
            observed_timestamp=line.time,
            severity_number=logs.SeverityNumber.INFO
            if error is None
            else logs.SeverityNumber.ERROR,
            severity_text="INFO" if error is None else "ERROR",
            body=_body(line),
            attributes=None if error is None else Failure.of(error).attributes(),
        )


def _body(line: Line) -> Any:
    value = line.pair()
    if value is None:
        return line.text
    if isinstance(value["input"], str):
        try:
            value["input"] = json.loads(value["input"])
        except (ValueError, RecursionError):
            return value
    return value


def _emit(logger: logs.Logger, span: SpanContext, **values: Any) -> None:
    context = trace.set_span_in_context(trace.NonRecordingSpan(span))
    if "body" in inspect.signature(type(logger).emit).parameters:  # since 1.38
        logger.emit(context=context, **values)
        return
    # The SDK's own record is what its exporters of that time know how to write.
    own = getattr(sys.modules[type(logger).__module__], "LogRecord", logs.LogRecord)
    known = inspect.signature(own.__init__).parameters
    if "context" in known:  # since 1.35
        values["context"] = context
    else:
        values.update(trace_id=span.trace_id, span_id=span.span_id, trace_flags=span.trace_flags)
    if "resource" in known:
        values["resource"] = getattr(logger, "resource", None)
    logger.emit(own(**values))
