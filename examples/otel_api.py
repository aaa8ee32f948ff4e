"""Payload logging without scorespan in the code: OpenTelemetry's API and three attributes.

Install scorespan and `opentelemetry-distro` (a beta: pin it, as in `opentelemetry-distro==0.66b1`
with `opentelemetry-sdk==1.45.1`), set the data mart in the environment (see `plain_script.py`), and

    export OTEL_TRACES_EXPORTER=scorespan OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
    opentelemetry-instrument python examples/otel_api.py
"""

from __future__ import annotations

import json
import math
from typing import Any

from opentelemetry import trace

tracer = trace.get_tracer("churn")


def churn(row: list[float]) -> float:
    """The model: how likely a customer is to leave, by months of contract and complaints."""
    months, complaints = row
    if months < 0:
        raise ValueError("a contract of less than no months")
    return 1 / (1 + math.exp(0.1 * months - complaints))


def score(request: dict[str, Any]) -> dict[str, Any]:
    """Score a request inside a scoring span.

    A span is a scoring span by its attributes. Bodies are JSON text, so that every version and
    language of OpenTelemetry can carry them; id and response time follow from the span.
    """
    # An exception that leaves the block marks the span as failed, and so the record.
    with tracer.start_as_current_span("score") as span:
        # Before the model runs: a scoring that fails has a request all the same.
        span.set_attribute("scoring.request", json.dumps(request))
        span.set_attribute("scoring.model.name", "churn")
        values = [[churn(row)] for row in request["values"]]
        response = {"fields": ["probability"], "values": values}
        span.set_attribute("scoring.response", json.dumps(response))
    return response


def main() -> None:
    """Score ten customers, and one who cannot be."""
    # These spans come from the application's own provider: its sampler and its limits decide what
    # is recorded. `scorespan.configure()` is the way to be independent of both.
    for complaints in range(10):
        score({"fields": ["months", "complaints"], "values": [[24, complaints]]})
    try:
        score({"fields": ["months", "complaints"], "values": [[-1, 0]]})
    except ValueError as error:
        print("refused:", error)
    print("11 scorings")


if __name__ == "__main__":
    main()
