"""A service that replays recorded scorings, a line of JSON each, from its input.

Arguments: the OTLP address (`http://host:port`), and how many to score in a second. It says on its
output, a line each, the id of every scoring whose span has ended, its producer and its number; it
ends when its exporter has delivered them all. `OTEL_*` variables say the rest.
"""

from __future__ import annotations

import json
import sys
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

import scorespan
from scorespan import attributes, producer

_PATIENCE_SECONDS = 60
"""How long the exporter tries a batch again; its default of 10 is little for a busy machine."""


def replay(rate: float) -> None:
    """Score what comes, so many a second at most."""
    due = time.monotonic()
    for line in sys.stdin:
        recorded = json.loads(line)
        with scorespan.scoring_span(
            recorded["request"], scoring_id=recorded["scoring_id"]
        ) as scoring:
            # It took its time when it was recorded.
            scoring._span.set_attribute(attributes.RESPONSE_TIME, recorded["response_time"])
            scoring.set_response(recorded["response"])
        print(recorded["scoring_id"], producer.current().id, producer.current().last, flush=True)  # noqa: T201 - read by the test
        due = max(due + 1 / rate, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    address, rate = sys.argv[1:]
    exporter = OTLPSpanExporter(endpoint=f"{address}/v1/traces", timeout=_PATIENCE_SECONDS)
    scorespan.configure(exporter=exporter)
    replay(float(rate))
    scorespan.flush(600)
    scorespan.shutdown()
