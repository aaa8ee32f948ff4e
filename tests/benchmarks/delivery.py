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

from tests.benchmarks.measure import REQUEST, RESPONSE, Comparison, compare
from tests.benchmarks.null_server import null_server

WHAT = "CPU of the whole way"
_BATCH = 2000
_BATCHES = 16
_MODULE = "tests.benchmarks.delivery"


def run() -> list[Comparison]:
    """The comparison."""
    with null_server() as url:

        def side(name: str) -> Callable[[], float]:
            command = [sys.executable, "-m", _MODULE, name, url]
            return lambda: float(subprocess.check_output(command, text=True))

        ours, theirs, ratio = compare(side("scorespan"), side("otlp"), turns=7)
    what = "CPU per record: span, spool, conversion, POST"
    against = "OTLP/HTTP behind the batch processor"
    return [Comparison(what, ours, against, theirs, ratio, must=1.0, goal=0.5)]


def _scorespan(url: str) -> None:
    import scorespan

    with tempfile.TemporaryDirectory() as spool:
        scorespan.configure(
            data_mart_url=url,
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


def _otlp(url: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
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


if __name__ == "__main__":
    {"scorespan": _scorespan, "otlp": _otlp}[sys.argv[1]](sys.argv[2])
