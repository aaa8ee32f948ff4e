"""CPU of the whole way, against OTLP/HTTP behind the batch processor.

The way is span, spool, conversion, POST. Each side runs in a process of its own, puts the same
attributes on its spans, and posts to a server in another process that answers at once. Both flush
after every 2,000 spans: the stock queue holds 2,048 and drops what it cannot hold.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.benchmarks.measure import REQUEST, RESPONSE, Comparison, compare

WHAT = "CPU of the whole way"
_BATCH = 2000
_BATCHES = 8
_MODULE = "tests.benchmarks.delivery"


def run() -> list[Comparison]:
    """The comparison."""
    with subprocess.Popen(
        [sys.executable, "-m", _MODULE, "server"], stdout=subprocess.PIPE, text=True
    ) as server:
        port = server.stdout.readline().strip() if server.stdout else ""

        def side(name: str) -> Callable[[], float]:
            command = [sys.executable, "-m", _MODULE, name, port]
            return lambda: float(subprocess.check_output(command, text=True))

        ours, theirs, ratio = compare(side("scorespan"), side("otlp"), turns=5)
        server.terminate()
    what = "CPU per record: span, spool, conversion, POST"
    against = "OTLP/HTTP behind the batch processor"
    return [Comparison(what, ours, against, theirs, ratio, must=1.0, goal=0.5)]


def _scorespan(port: str) -> None:
    import scorespan

    with tempfile.TemporaryDirectory() as spool:
        scorespan.configure(
            data_mart_url=f"http://127.0.0.1:{port}",
            data_mart_id="benchmark",
            data_mart_kind="scorespan",
            token="benchmark",
            subscription_id="benchmark",
            spool_dir=spool,
        )

        def score() -> None:
            with scorespan.scoring_span(REQUEST) as scoring:
                scoring.set_response(RESPONSE)

        _measure(score, lambda: scorespan.flush(60))
        scorespan.shutdown()


def _otlp(port: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark")
    producer_id = uuid.uuid4().hex
    numbers = itertools.count(1)

    def score() -> None:
        span = tracer.start_span("scoring")
        span.set_attributes(
            {
                "scoring.request": REQUEST,
                "scoring.response": RESPONSE,
                "scoring.producer.id": producer_id,
                "scoring.sequence": next(numbers),
            }
        )
        span.end()

    _measure(score, provider.force_flush)
    provider.shutdown()


def _measure(score: Callable[[], None], flush: Callable[[], bool]) -> None:
    """Print the CPU time for one record, in microseconds; the first batch is to warm up."""
    for _ in range(_BATCH):
        score()
    flush()
    started = time.process_time()
    for _ in range(_BATCHES):
        for _ in range(_BATCH):
            score()
        if not flush():
            sys.exit("a flush did not end: nothing was measured")
    print((time.process_time() - started) / (_BATCH * _BATCHES) * 1e6)  # noqa: T201 - read by run()


def _server() -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            # 200 is what OTLP calls success, 204 what the data mart does.
            self.send_response(200 if self.path == "/v1/traces" else 204)
            if self.path == "/v1/traces":
                self.send_header("Content-Length", "0")
            self.end_headers()
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)  # noqa: T201 - read by run()
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "server":
        _server()
    else:
        {"scorespan": _scorespan, "otlp": _otlp}[sys.argv[1]](sys.argv[2])
