"""What the receiver's tests share: requests as bytes, and a door that is served."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import uvicorn
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from scorespan.intake import Intake
from scorespan.receiver.access import Access
from scorespan.receiver.bounds import Bounds
from scorespan.receiver.http import create_app
from scorespan.receiver.memory import Memory
from scorespan.receiver.reception import Reception
from scorespan.receiver.server import HttpServer
from scorespan.settings import Secret
from scorespan.testing import ScriptedMart

TOKEN = "token-of-the-tests"


def request_of(*names: str, others: int = 0) -> ExportTraceServiceRequest:
    """A request with a scoring span for each of these ids, and spans that are no scorings."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, name in enumerate(names):
        span = spans.add(
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name="score",
            start_time_unix_nano=1_767_225_600_000_000_000,
            end_time_unix_nano=1_767_225_600_012_000_000,
        )
        for key, value in {
            "scoring.id": name,
            "scoring.request": '{"fields":["a"],"values":[[1]]}',
            "scoring.response": '{"fields":["p"],"values":[[0.5]]}',
        }.items():
            span.attributes.add(key=key).value.string_value = value
    for number in range(others):
        spans.add(trace_id=b"t" * 16, span_id=(number + 1).to_bytes(8, "big"), name="GET /")
    return request


def payload_of(*names: str, others: int = 0) -> bytes:
    """The same, as protobuf."""
    return request_of(*names, others=others).SerializeToString()


def json_of(*names: str) -> bytes:
    """The same as OTLP JSON, whose ids are hexadecimal."""
    spans = [
        {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "name": span.name,
            "startTimeUnixNano": str(span.start_time_unix_nano),
            "endTimeUnixNano": str(span.end_time_unix_nano),
            "attributes": [json_format.MessageToDict(pair) for pair in span.attributes],
        }
        for span in request_of(*names).resource_spans[0].scope_spans[0].spans
    ]
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})


@dataclass(frozen=True)
class Door:
    """An HTTP door that is served, and what stands behind it."""

    port: int
    reception: Reception
    memory: Memory
    intake: Intake
    mart: ScriptedMart

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.port}"

    def stored(self) -> set[str]:
        """The ids that the mart has stored once all is delivered."""
        assert self.intake.flush(60)
        return set(self.mart.stored)

    def connect(self, timeout: float = 60) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def exchange(self, *parts: bytes, timeout: float = 60) -> bytes:
        """What comes back for these bytes until the connection is closed."""
        with self.connect(timeout) as connection:
            for part in parts:
                connection.sendall(part)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes, or resets."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


@contextmanager
def served(
    reception: Reception,
    memory: Memory,
    *,
    token: str | None = None,
    bounds: Bounds | None = None,
    certificate: Path | None = None,
) -> Iterator[int]:
    """The HTTP door on a free loopback port, in a thread; yields the port."""
    app = create_app(reception, Access(Secret(token) if token else None), memory)
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        ssl_certfile=certificate,
    )
    server = HttpServer(config, bounds or Bounds())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
        )
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(60)
