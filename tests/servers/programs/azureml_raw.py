"""An Azure ML script that takes the HTTP request as it is, and has a logger provider of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import SpanProcessor

import scorespan


class LogWriter:
    """A log record processor that writes bodies and trace contexts to a file."""

    def emit(self, log_data: Any) -> None:
        """Write one."""
        record = log_data.log_record
        with Path(os.environ["LOG_RECORDS"]).open("a") as file:
            line = [record.body, f"{record.trace_id:032x}", f"{record.span_id:016x}"]
            file.write(json.dumps(line) + "\n")

    def shutdown(self) -> None:
        """Nothing is open."""


class SpanWriter(SpanProcessor):
    """A processor on the global provider that writes what every exporter there would send."""

    def on_end(self, span: Any) -> None:
        """Write one."""
        with Path(os.environ["GLOBAL_SPANS"]).open("a") as file:
            file.write(f"{span.name} {sorted(span.attributes)}\n")


def init() -> None:
    """Pass scorespan a logger provider, and look at what the server's own provider gets."""
    logger_provider = LoggerProvider()
    logger_provider.add_log_record_processor(LogWriter())
    scorespan.configure(logger_provider=logger_provider)
    trace.get_tracer_provider().add_span_processor(SpanWriter())


@rawhttp
def run(request: Any) -> Any:
    """The body backwards; a response, streamed or not, and what is no response."""
    print("raw")
    body = request.get_data()
    if request.args.get("form") == "stream":
        return AMLResponse((bytes([byte]) for byte in reversed(body)), 200)
    if request.args.get("form") == "teapot":
        return AMLResponse("no coffee", 418)
    return AMLResponse(body[::-1], 200, {"Content-Type": "application/octet-stream"})
