"""A service whose own tracing is sampled and short: argument 1 is where it writes what it scored.

Run under `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=10`. It prints how many spans its own provider exported
and the longest attribute among them, so that the test sees sampler and limit at work.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from sklearn.datasets import load_breast_cancer

import scorespan

own = InMemorySpanExporter()
provider = TracerProvider(sampler=TraceIdRatioBased(0.01))
provider.add_span_processor(SimpleSpanProcessor(own))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("service")
scorespan.configure()


@scorespan.scored(scoring_id=lambda _request, number: f"patient-{number}")
def predict(request: str, number: int) -> str:
    """An answer whose spacing is the service's own, so that a body written anew is seen."""
    assert request
    return f'{{ "fields": ["prediction"],  "values": [[ {number / 7!r} ]] }}'


data = load_breast_cancer()
with Path(sys.argv[1]).open("w") as written:
    for number, row in enumerate(data.data.tolist()):
        request = json.dumps({"fields": list(map(str, data.feature_names)), "values": [row]})
        # Nearly every scoring happens inside a span that is not sampled.
        with tracer.start_as_current_span("request", attributes={"path": "/score/breast-cancer"}):
            response = predict(request, number)
        line = {"scoring_id": f"patient-{number}", "request": request, "response": response}
        written.write(json.dumps(line) + "\n")

spans = own.get_finished_spans()
longest = max((len(str(value)) for span in spans for value in span.attributes.values()), default=0)
print(json.dumps({"spans": len(spans), "longest": longest}))  # noqa: T201 - the test reads it
