"""Prints what OpenTelemetry's metrics show: of a process, of a forked child, and once more."""

from __future__ import annotations

import json
import os

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from scorer import score_many

import scorespan

reader = InMemoryMetricReader()


def show() -> None:
    """One line of JSON."""
    scorespan.flush(50)
    data = json.loads(reader.get_metrics_data().to_json())
    (scope,) = [
        scope
        for scope in data["resource_metrics"][0]["scope_metrics"]
        if scope["scope"]["name"] == "scorespan"
    ]
    shown = {}
    for metric in scope["metrics"]:
        for point in metric["data"]["data_points"]:
            name = ".".join([metric["name"], *point["attributes"].values()])
            shown[name] = point.get("value", point.get("count"))
    print(json.dumps(shown), flush=True)


score_many(5)
metrics.set_meter_provider(MeterProvider([reader]))  # some applications do so late
score_many(5)
show()
child = os.fork()
if child == 0:
    score_many(3)
    show()
    os._exit(0)
os.waitpid(child, 0)
scorespan.configure()
score_many(1)
show()
