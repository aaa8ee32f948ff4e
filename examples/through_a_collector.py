"""Payload logging through an OpenTelemetry Collector: the script knows no data mart.

Start `scorespan receive` and a Collector with `collector-config/agent.yaml`, install
`opentelemetry-exporter-otlp-proto-http`, and

    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
    export OTEL_RESOURCE_ATTRIBUTES=service.name=irises,scoring.subscription.id=irises
    export OTEL_BSP_MAX_QUEUE_SIZE=8192
    python examples/through_a_collector.py
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import scorespan

data = load_iris()
tree = DecisionTreeClassifier(random_state=7).fit(data.data, data.target)


def score(values: list[list[float]]) -> list[str]:
    """The species of each flower."""
    request = {"fields": list(data.feature_names), "values": values}
    with scorespan.scoring_span(request, model="tree") as scoring:
        species = data.target_names[tree.predict(values)].tolist()
        scoring.set_response({"fields": ["species"], "values": [[name] for name in species]})
    return species


def main() -> None:
    """Score all flowers, ten at a time."""
    # Only scoring spans go this way: the application's other spans go where they went before.
    # Each brings its number along, so that one that is lost on the way is named by `reconcile`.
    scorespan.configure(exporter=OTLPSpanExporter())
    for start in range(0, 150, 10):
        score(data.data[start : start + 10].tolist())
    # Until the Collector has them, spans are in the memory of this process: its queue has room for
    # OTEL_BSP_MAX_QUEUE_SIZE of them, and the exporter gives each batch up after some seconds.
    scorespan.shutdown()
    print("15 scorings")


if __name__ == "__main__":
    main()
