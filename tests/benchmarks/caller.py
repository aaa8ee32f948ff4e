"""The caller's thread: one scoring span, put included, against the SDK's empty span."""

from __future__ import annotations

import tempfile
import time

from opentelemetry.sdk.trace import TracerProvider
from tests.benchmarks.measure import REQUEST, RESPONSE, Comparison, compare
from tests.benchmarks.null_server import null_server

import scorespan

WHAT = "time on the caller's thread"
_SPANS = 5000


def run() -> list[Comparison]:
    """The comparison, while the spool's own threads sync and deliver beside it."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("benchmark")

    def empty() -> float:
        started = time.perf_counter()
        for _ in range(_SPANS):
            tracer.start_span("empty").end()
        return (time.perf_counter() - started) / _SPANS * 1e6

    def scored() -> float:
        started = time.perf_counter()
        for _ in range(_SPANS):
            with scorespan.scoring_span(REQUEST) as scoring:
                scoring.set_response(RESPONSE)
        elapsed = (time.perf_counter() - started) / _SPANS * 1e6
        # Delivery is on another thread and would take turns with the next measurement.
        scorespan.flush(60)
        return elapsed

    with null_server() as url, tempfile.TemporaryDirectory() as spool:
        scorespan.configure(
            data_mart_url=url,
            data_mart_id="benchmark",
            data_mart_kind="scorespan",
            token="benchmark",
            subscription_id="benchmark",
            spool_dir=spool,
        )
        ours, theirs, ratio = compare(scored, empty, turns=9)
        scorespan.shutdown()
    what = "caller's time per scoring span, put included"
    return [Comparison(what, ours, "the SDK's empty span", theirs, ratio, must=3.0, goal=1.8)]
