"""An OTLP server of the tests: keeps every span it is sent, and can be away."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import zstandard
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.hop import free_port


class Backend:
    """Spans as they came, over OTLP/HTTP, and what each request is answered.

    It listens at the same port whenever it is up, and keeps what it has through every outage.
    """

    def __init__(self) -> None:
        self._port = free_port()
        self.spans: list[Span] = []
        """Every span of every request that was answered well."""
        self.tokens: set[str | None] = set()
        """The Authorization header of every request."""
        self.status = 200

    @property
    def url(self) -> str:
        """Its address; `/v1/traces` comes behind it."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def names(self) -> set[str]:
        """The name of every span."""
        return {span.name for span in self.spans}

    @contextmanager
    def up(self) -> Iterator[None]:
        """It listens while the block runs; before and after, connections are refused."""
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                backend.tokens.add(self.headers["Authorization"])
                status = backend.status
                if status == 200:
                    packed = self.headers.get("Content-Encoding", "identity")
                    backend.keep(ExportTraceServiceRequest.FromString(_unpacked(body, packed)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", self._port), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def keep(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)


class GrpcBackend(Backend):
    """The same over OTLP/gRPC with TLS, at `localhost`."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        super().__init__()
        self._credentials = grpc.ssl_server_credentials([(key, certificate)])

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"localhost:{self._port}"

    @contextmanager
    def up(self) -> Iterator[None]:
        """It listens while the block runs."""
        backend = self

        class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
            def Export(self, request: ExportTraceServiceRequest, context: Any) -> Any:  # noqa: N802 - the service's own name
                backend.tokens.add(dict(context.invocation_metadata()).get("authorization"))
                backend.keep(request)
                return ExportTraceServiceResponse()

        with ThreadPoolExecutor(4) as threads:
            server = grpc.server(threads)
            trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), server)
            server.add_secure_port(f"127.0.0.1:{self._port}", self._credentials)
            server.start()
            try:
                yield
            finally:
                server.stop(None).wait()


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body
